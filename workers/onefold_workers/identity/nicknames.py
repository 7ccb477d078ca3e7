"""Given names that stand for each other, by group: the first name of a line is the group's standard form.

English forms of address as commonly known; a name that belongs to several groups stands in the first only.
"""

from __future__ import annotations

_GROUPS = """
abigail abbie abby gail
abraham abe bram
albert al bert bertie
alexander alex alec sandy xander alexandre aleksandr
alexandra alexa lexi
alfred alf alfie fred
alice ali allie
amanda mandy manda
andrew andy drew andreas andre
angela angie angelina
ann anne anna annie nan nancy hannah
anthony tony antony anton antonio
arthur art artie
augustus gus august
barbara barb barbie babs
bartholomew bart
beatrice bea trixie beatrix
benjamin ben benny benji
bernard bernie barney
bridget bridie biddy
caroline carolyn carrie caro
catherine kate katherine kathryn katharine cathy kathy katie kit kitty kay catharine karen katrina
charles charlie chas chuck charley carl karl carlos
charlotte lottie lotte
christina tina chrissie
christine chris chrissy kirsten
christopher kris topher kester
clarence clarrie
claire clare clara
clifford cliff
cornelius con neil
cynthia cindy
daniel dan danny
david dave davy davey
deborah deb debbie debra
dennis denis denny
diana di diane
dominic dom nick
donald don donny
dorothy dot dottie dolly dorothea
douglas doug
edmund ned eddie
edward ed ted teddy eduard edwin
eleanor ellie nell nora elinor leonora
elizabeth liz beth betty eliza elisabeth lizzie bess betsy libby elise lisa elsie bessie
emily em emmy emilie
emma emmeline
ernest ernie
esther essie hester
eugene gene
evelyn eve evie
ferdinand ferdie
florence flo florrie flossie
frances fanny fran francesca
francis frank franky frankie francois
franklin
frederick freddie freddy fredrick frederic fritz friedrich
gabriel gabe
gabrielle gabby
george georgie jorge georg
georgina georgiana
gerald gerry
gerard gerrard
gertrude gertie trudy
gilbert gil
gregory greg gregg
gwendolen gwen gwendoline
harold harry hal
harriet hattie harriett
helen helena ellen nellie helene
henry hank henri heinrich enrique
herbert herb herbie
horace horatio
hubert
hugh hughie hugo
humphrey
ignatius iggy
isaac ike
isabel isabella bella isobel isabelle belle izzy
jacob jake jakob
jacqueline jackie jacqui
james jim jimmy jamie jem jimmie jaime
jane janie janet jean jenny
jason jay
jeffrey jeff geoffrey geoff jeffery
jennifer jen jenn jennie
jeremiah jeremy jerry
jessica jess jessie
joan joanna jo joanne
john jack johnny jon johann juan jonny johnnie ian sean ivan jean-baptiste
jonathan jonathon nathan
joseph joe joey jos josef jose
josephine josie
joshua josh
judith judy
julia julie juliet juliette
kenneth ken kenny
kimberly kim kimberley
laura laurie
lawrence larry laurence lars
leonard len lenny leo leon
leslie les lesley
lewis louis lou louie luis lew
lillian lily lilly lilian
louisa louise lulu
lucy lucille lucie lucinda
luke lucas
madeline maddie maddy madeleine
marcus mark marc
margaret maggie meg peg peggy madge greta margot marge rita daisy margery marjorie
maria mary marie mae may molly polly mamie miriam moll
martha mattie
martin marty
matilda tilly maud maude tillie
matthew matt mathew matthias
maurice morris moe
maximilian max
megan
melissa mel missy
michael mike mick mickey mikey micky michel miguel
mildred millie
mitchell mitch
mohammed mohammad muhammad mohamed mo
nathaniel nat nate
nicholas nicolas nicky nico niklas nikolai
nicole nikki nicola
oliver ollie noll
oscar ossie
pamela pam
patricia pat patsy trish tricia patty
patrick paddy
paul pablo pauli
penelope penny
peter pete pierre pedro
philip phil phillip pip felipe
philippa pippa
phyllis phyl
priscilla cilla
rachel rachael rae shelly
ralph raf rafe
randolph randy randall
raymond ray
rebecca becky becca beccy
reginald reg reggie rex
richard dick rich rick ricky richie ricardo dickie
robert bob rob bobby robbie bert robin bobbie roberto rupert
roderick rod roddy
roger rodger hodge
roland rowland rollo
ronald ron ronnie
rosemary rose rosie
rosamund rosalind
roy
rudolph rudy rolf
samantha sammie
samuel sam sammy
sarah sally sadie sara sal
sebastian seb bastian
sharon shari
sidney sid sydney
simon si simeon
solomon sol
sophia sophie sophy
stanley stan
stephanie steph stephie
stephen steve steven stevie stefan esteban
susan sue susie susanna suzanne suzie susannah
sylvia silvia
terence terry terrance
theodore theo
theresa tess terri teresa tessa
thomas tom tommy tomas thom thos
timothy tim timmy
tobias toby
ursula
valentine val
valerie
veronica ronni
victor vic vick
victoria vicky vicki tori
vincent vince vinnie
violet vi
virginia ginny ginger
walter wally walt wat
wilfred wilf wilfrid
wilhelmina mina minnie billie
william bill billy will willie wm liam willy wilhelm guillermo guillaume
winifred win winnie freda
winston
zachary zach zack zachariah
"""


def nicknames() -> dict[str, str]:
    """Standard form by given name, lower case; names not in it stand for themselves."""
    standard: dict[str, str] = {}
    for line in _GROUPS.split("\n"):
        names = line.split()
        for name in names:
            standard.setdefault(name, names[0])
    return standard
