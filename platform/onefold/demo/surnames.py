"""Surnames for generated people: usual ones written from common knowledge, and ones composed of word parts.

About a thousand; the weights fall with the rank, so that a few are shared by many people and most are rare.
"""

from __future__ import annotations

import numpy as np

_USUAL = """
Smith Johnson Williams Brown Jones Miller Davis Garcia Wilson Anderson Taylor Thomas Moore Martin Jackson
Thompson White Lopez Lee Harris Clark Lewis Robinson Walker Hall Young Allen King Wright Scott Hill Green
Adams Baker Nelson Carter Mitchell Perez Roberts Turner Phillips Campbell Parker Evans Edwards Collins Stewart
Morris Murphy Cook Rogers Reed Morgan Bell Cooper Bailey Kelly Howard Ward Cox Richardson Watson Brooks Gray
James Bennett Wood Hughes Price Myers Long Foster Sanders Ross Powell Sullivan Russell Jenkins Perry Butler
Barnes Fisher Henderson Coleman Simmons Patterson Jordan Reynolds Hamilton Graham Wallace West Cole Hayes
Gibson Bryant Ellis Stevens Murray Ford Marshall Owens McDonald Harrison Kennedy Wells Woods Washington
Freeman Webb Tucker Burns Crawford Henry Simpson Porter Hunter Gordon Shaw Snyder Mason Dixon Hunt Hicks
Holmes Palmer Wagner Black Robertson Boyd Stone Fox Mills Warren Rose Rice Schmidt Daniels Ferguson Nichols
Stephens Weaver Ryan Gardner Payne Grant Dunn Kelley Spencer Hawkins Arnold Pierce Hansen Peters Hudson Hart
Elliott Cunningham Knight Bradley Carroll Duncan Armstrong Berry Andrews Johnston Ray Lane Riley Carpenter
Perkins Sanchez Rodriguez Martinez Hernandez Gonzalez Torres Ramirez Flores Rivera Gomez Diaz Cruz Reyes
Morales Ortiz Gutierrez Chavez Ramos Ruiz Alvarez Mendoza Castillo Jimenez Moreno Romero Herrera Medina
Aguilar Vargas Guzman Salazar Nguyen Tran Pham Chen Wang Li Zhang Liu Huang Kim Park Choi Singh Patel Shah
Khan Ahmed Ali Hassan Rahman Tanaka Suzuki O'Brien O'Connor O'Neill McCarthy McCoy McKinney McBride McGuire
McLaughlin Fitzgerald Gallagher Quinn Doyle Byrne Nolan Schneider Fischer Meyer Weber Becker Hoffman Koch
Bauer Richter Klein Wolf Schroeder Neumann Schwartz Zimmerman Krueger Larson Olson Carlson Peterson Swanson
Jensen Christensen Lindgren Bergman Nilsson Kowalski Nowak Wojcik Kaminski Novak Horvath Petrov Ivanov Romano
Russo Ferrari Esposito Bianchi Conti Moretti Silva Costa Pereira Dubois Moreau Lambert Girard Rousseau
Van-Dyke De-Vries Janssen Bakker Visser Papadakis Cohen Levy Goldberg Friedman Katz Okafor Mensah Diallo
"""
_STARTS = """
Ash Birch Black Brad Bram Brook Burn Caul Clay Cliff Cold Crab Dal Dun East Elm Fair Farn Fen Gild Glad Green
Hal Ham Har Haw Hazel Hol Horn Kirk Lang Law Lin Lock Mar Mill Nor Oak Pem Red Rock Rush Sand Shel Stan Stock
Thorn Wake Wal Whit Win Wood
"""
_ENDS = "bury by combe field ford gate ham land ley man mere more ridge shaw smith stead ton wick well worth"


def _surnames() -> tuple[np.ndarray, np.ndarray]:
    usual = [name.replace("-", " ") for name in _USUAL.split()]
    composed = [start + end for start in _STARTS.split() for end in _ENDS.split() if start[-1] != end[0]]
    rare = [composed[i] for i in np.random.default_rng(1).permutation(len(composed))]
    names = list(dict.fromkeys(usual + rare))[:1000]
    weights = 1.0 / (np.arange(len(names)) + 45.0)
    return np.array(names, dtype=object), weights / weights.sum()


SURNAMES, SURNAME_WEIGHTS = _surnames()
