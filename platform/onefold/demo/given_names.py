"""Given names for generated people, with nicknames. Written by hand from common knowledge, most usual first.

No list was copied: the order is a feeling for what is common, and weights fall with the rank.
"""

from __future__ import annotations

import numpy as np

_FEMALE = """
Mary Jennifer Linda Patricia Elizabeth Susan Jessica Sarah Karen Lisa Nancy Margaret Ashley Emily Michelle
Kimberly Amanda Melissa Donna Deborah Stephanie Rebecca Laura Sharon Cynthia Kathleen Amy Angela Anna Barbara
Pamela Nicole Samantha Katherine Christine Debra Rachel Carolyn Janet Catherine Maria Heather Diane Ruth Julie
Olivia Joyce Virginia Victoria Kelly Lauren Christina Joan Evelyn Judith Megan Andrea Cheryl Hannah Jacqueline
Martha Gloria Teresa Ann Sara Madison Frances Kathryn Janice Jean Abigail Alice Julia Judy Sophia Grace Denise
Amber Doris Marilyn Danielle Beverly Isabella Theresa Diana Natalie Brittany Charlotte Marie Kayla Alexis Lori
Tiffany Tammy Crystal Dawn Holly Erin Gail Monica Wendy Tracy Tina Peggy Robin Rhonda Vanessa Valerie Kristen
Kristin Erica Shannon April Leslie Carrie Renee Jill Colleen Vivian Josephine Eleanor Hazel Lillian Paula
Sylvia Rita Irene Lucille Bonnie Ellen Marjorie Claire Molly Leah Audrey Sabrina Caroline Bridget Naomi Miriam
Esther Rosa Carmen Elena Yolanda Guadalupe Alma Lucia Adriana Marisol Priya Anjali Mei Ling Yuki Fatima Aisha
Leila Nadia Svetlana Olga Ingrid Astrid Greta Bernadette Constance Harriet Dorothy Florence Edith Mabel Pearl
Opal Loretta Geraldine Maxine Jeanette Annette Yvonne Suzanne Nora Stella Violet Ivy Clara Rose Daisy June
Autumn Summer Faith Hope Joy Felicity Paige Brooke Chelsea Courtney Kelsey Lindsay Mackenzie Jasmine Imani
Latoya Keisha Tamika Ebony Shanice Deja Selena Daniela Gabriela Valentina Camila Ximena Catalina
"""
_MALE = """
James Robert John Michael David William Richard Joseph Thomas Christopher Charles Daniel Matthew Anthony Mark
Donald Steven Andrew Paul Joshua Kenneth Kevin Brian Timothy Ronald George Jason Edward Jeffrey Ryan Jacob
Nicholas Gary Eric Jonathan Stephen Larry Justin Scott Brandon Benjamin Samuel Gregory Alexander Patrick Frank
Raymond Jack Dennis Jerry Tyler Aaron Jose Adam Nathan Henry Zachary Douglas Peter Kyle Noah Ethan Jeremy
Walter Christian Keith Roger Terry Austin Sean Gerald Carl Harold Dylan Arthur Lawrence Jordan Jesse Bryan
Billy Bruce Gabriel Joe Logan Alan Juan Albert Willie Elijah Wayne Randy Vincent Mason Roy Ralph Bobby Russell
Bradley Philip Eugene Derek Troy Dustin Shane Todd Craig Curtis Marcus Victor Martin Leonard Stanley Travis
Cody Chad Joel Edwin Howard Ernest Francis Glenn Norman Clarence Leroy Melvin Alfred Frederick Theodore Hugh
Warren Vernon Clifford Lloyd Herbert Leon Calvin Isaac Caleb Evan Ian Owen Lucas Luke Connor Colin Blake
Trevor Garrett Spencer Grant Preston Mitchell Wesley Marvin Manuel Carlos Luis Miguel Antonio Francisco Javier
Ricardo Eduardo Fernando Alejandro Diego Rafael Hector Raj Arjun Sanjay Vikram Wei Jun Hiroshi Kenji Omar
Ahmed Hassan Ali Ibrahim Dmitri Sergei Ivan Lars Erik Sven Otto Felix Oscar Max Leo Milo Jasper Silas Ezra
Levi Micah Jonah Gideon Solomon Abraham Reuben Malik Jamal Darnell Terrell Deshawn Tyrone Andre Dominic Damian
Quentin Roland Rudolph Sterling Winston Clayton Dalton Harrison Jackson Lincoln Carson Hunter Parker Wyatt
Brady Cole
"""
_NICKNAMES = """
James=Jim,Jimmy,Jamie Robert=Bob,Rob,Bobby John=Jack,Johnny Michael=Mike,Mick David=Dave
William=Bill,Will,Billy Richard=Rick,Dick,Rich Joseph=Joe Thomas=Tom,Tommy Christopher=Chris
Charles=Charlie,Chuck Daniel=Dan,Danny Matthew=Matt Anthony=Tony Donald=Don Steven=Steve Stephen=Steve
Andrew=Andy,Drew Joshua=Josh Kenneth=Ken,Kenny Timothy=Tim Ronald=Ron Edward=Ed,Eddie,Ted Jeffrey=Jeff
Jacob=Jake Nicholas=Nick Jonathan=Jon Benjamin=Ben Samuel=Sam Gregory=Greg Alexander=Alex Patrick=Pat
Raymond=Ray Zachary=Zach Douglas=Doug Nathan=Nate Lawrence=Larry Gerald=Jerry Arthur=Art Albert=Al
Vincent=Vince Bradley=Brad Philip=Phil Eugene=Gene Leonard=Len Stanley=Stan Frederick=Fred Theodore=Ted,Theo
Herbert=Herb Clifford=Cliff Manuel=Manny Francisco=Paco,Frank Alejandro=Alex Elizabeth=Liz,Beth,Betty
Jennifer=Jen,Jenny Patricia=Pat,Trish,Patty Susan=Sue,Susie Jessica=Jess Margaret=Meg,Maggie Kimberly=Kim
Amanda=Mandy Melissa=Missy Deborah=Deb,Debbie Debra=Deb,Debbie Stephanie=Steph Rebecca=Becky,Becca
Cynthia=Cindy Kathleen=Kathy,Kate Angela=Angie Barbara=Barb Pamela=Pam Nicole=Nikki Samantha=Sam
Katherine=Kate,Kathy Christine=Chris,Tina Catherine=Cathy,Kate Christina=Tina,Chris Victoria=Vicky,Tori
Virginia=Ginny Judith=Judy Jacqueline=Jackie Teresa=Terry,Tess Theresa=Terry Kathryn=Kate,Kathy Abigail=Abby
Sophia=Sophie Isabella=Bella Madison=Maddie Alexis=Lexi Dorothy=Dot,Dottie Florence=Flo Josephine=Jo
Eleanor=Ellie,Nell Caroline=Carrie Gabriela=Gaby Suzanne=Sue Constance=Connie Harriet=Hattie Bernadette=Bernie
Vanessa=Nessa
"""


def _weighted(text: str) -> tuple[np.ndarray, np.ndarray]:
    names = list(dict.fromkeys(text.split()))
    weights = 1.0 / (np.arange(len(names)) + 12.0)
    return np.array(names, dtype=object), weights / weights.sum()


FEMALE, FEMALE_WEIGHTS = _weighted(_FEMALE)
MALE, MALE_WEIGHTS = _weighted(_MALE)
NICKNAMES: dict[str, tuple[str, ...]] = {
    name: tuple(short.split(",")) for name, short in (pair.split("=") for pair in _NICKNAMES.split())
}
