"""Words that cleaning knows: placeholders, genders, name particles, places. Data only, no rule.

All are in lower case unless said otherwise; add a word here and every source understands it.
"""

from __future__ import annotations

NOTHING = (
    " ", "n/a", "n.a.", "n.a", "#n/a", "na/na", "n\\a", "none", "nil", "<na>", "#null!", "#ref!", "#value!",
    "#name?", "nullptr", "undefined", "unknown", "unkown", "unknow", "unspecified", "unavailable", "missing",
    "tbd", "tba", "tbc", "test", "testing", "dummy", "asdf", "qwerty", "not available", "not applicable",
    "not provided", "not given", "not known", "not specified", "not set", "no name", "no data", "no value",
    "unbekannt", "keine angabe", "k.a.", "inconnu", "non renseigné", "non communiqué", "desconocido",
    "sin datos", "no aplica", "sconosciuto", "desconhecido", "onbekend", "okänd", "ukjent", "ukendt",
    "nieznany", "неизвестно",
)  # fmt: skip
"""What people and systems write where there is nothing to say (compared in lower case)."""

NOTHING_EXACT = ("NULL", "null", "NA", "nan", "NaN", "NAN")
"""Placeholders only in this spelling: Null, Na and Nan are names of people, NULL, NA and NaN are not."""

NO_MAILBOX = (
    "unknown", "none", "noemail", "no-email", "no.email", "no_email", "nomail", "no-mail", "na", "n.a", "n/a",
    "null",
    "nil", "noreply", "no-reply", "donotreply", "invalid", "missing", "notprovided", "anonymous", "test",
    "test.test",
    "abc", "asdf", "xxx", "nobody",
)  # fmt: skip
"""The part before the @ of addresses that belong to nobody."""

NO_PHONE = ("1234567", "12345678", "123456789", "1234567890", "0123456789", "01234567890", "9876543210")
"""Digits that somebody typed to get past a form; repeated single digits are recognised by rule."""

GENDERS = {
    "f": ("f", "female", "woman", "w", "weiblich", "frau", "femme", "féminin", "feminin", "femenino", "mujer",
          "femmina",
          "donna", "feminino", "mulher", "vrouw", "vrouwelijk", "kvinna", "kvinde", "kvinne", "nainen",
          "kobieta", "žena",
          "girl", "mrs", "mrs.", "ms", "ms.", "miss", "mme", "mme.", "madame", "sra", "sra.", "señora", "signora",
          "ж", "женский", "2", "女", "女性", "女士", "여", "여성", "여자", "mlle", "mlle.", "mademoiselle", "sig.ra",
          "sigra", "sig.na", "signorina", "srta", "srta.", "señorita", "senhora", "dña", "dña.", "fr.", "fru",
          "mw", "mw.", "mevr", "mevr.", "mevrouw", "pani", "rouva"),
    "m": ("m", "male", "man", "männlich", "maennlich", "herr", "mann", "homme", "masculin", "masculino", "hombre",
          "maschio", "uomo", "homem", "mannelijk", "manlig", "mandlig", "mies", "mężczyzna", "muž", "boy", "mr",
          "mr.",
          "monsieur", "m.", "mister", "sr", "sr.", "señor", "senhor", "signor", "signore", "sig", "sig.", "hr.",
          "dhr", "dhr.", "heer", "de heer", "meneer", "pan", "herra", "м", "мужской", "1", "男", "男性", "남", "남성",
          "남자"),
    "x": ("x", "d", "diverse", "divers", "other", "nonbinary", "non-binary", "non binary", "nb", "enby",
          "diverso",
          "autre", "otro", "otra", "altro", "outro", "anders", "annat", "andet", "genderqueer", "gender fluid"),
}  # fmt: skip
"""Words for each gender; 1 and 2 are ISO/IEC 5218, 0 and 9 there mean not known."""

PARTICLES = (
    "von", "van", "der", "den", "de", "del", "della", "di", "da", "dos", "das", "do", "du", "des", "la", "le",
    "las",
    "los", "zu", "zur", "zum", "ter", "ten", "bin", "bint", "ibn",
)  # fmt: skip
"""Name particles that are written in lower case inside a name that is recased."""

TITLES = (
    "mr", "mrs", "ms", "miss", "mx", "dr", "prof", "professor", "sir", "madam", "mme", "mlle", "monsieur",
    "madame",
    "herr", "frau", "sr", "sra", "srta", "don", "doña", "sig", "dott", "ing", "dipl",
)  # fmt: skip
STYLES = (
    "lady", "lord", "dame", "rev", "reverend", "hon", "capt", "captain", "col", "colonel", "señor", "señora",
)  # fmt: skip
"""Titles that go only where two names follow: `Lord Byron` has no other first word."""
SUFFIXES = ("jr", "sr", "ii", "iii", "iv", "phd", "md", "esq", "mba", "dds")
RANKS = (
    *SUFFIXES, "junior", "senior", "baron", "baroness", "baronet", "bart", "bt", "earl", "count", "countess", "duke",
    "duchess", "viscount", "viscountess", "marquess", "marquis", "lord", "lady", "the", "of", "obe", "mbe", "cbe",
)  # fmt: skip
"""What follows a name after a comma without being a given name; so do words that begin with a number (1st Baron)."""

NOT_HOUSE = (
    "box", "postfach", "bp", "apartado", "casella", "apt", "apartment", "unit", "suite", "ste", "route", "rte",
    "highway", "hwy", "floor", "level", "lvl", "flat", "room", "rm", "road", "interstate", "exit", "km", "bag",
    "lot",
    "county", "state", "block", "building", "bldg", "tower", "carretera", "autopista", "via", "calle", "carrera",
)  # fmt: skip
"""A number after one of these is not a house number."""

ALPHA3 = dict(
    pair.split(":")
    for pair in [
        "abw:AW",
        "afg:AF",
        "ago:AO",
        "aia:AI",
        "ala:AX",
        "alb:AL",
        "and:AD",
        "are:AE",
        "arg:AR",
        "arm:AM",
        "asm:AS",
        "ata:AQ",
        "atf:TF",
        "atg:AG",
        "aus:AU",
        "aut:AT",
        "aze:AZ",
        "bdi:BI",
        "bel:BE",
        "ben:BJ",
        "bes:BQ",
        "bfa:BF",
        "bgd:BD",
        "bgr:BG",
        "bhr:BH",
        "bhs:BS",
        "bih:BA",
        "blm:BL",
        "blr:BY",
        "blz:BZ",
        "bmu:BM",
        "bol:BO",
        "bra:BR",
        "brb:BB",
        "brn:BN",
        "btn:BT",
        "bvt:BV",
        "bwa:BW",
        "caf:CF",
        "can:CA",
        "cck:CC",
        "che:CH",
        "chl:CL",
        "chn:CN",
        "civ:CI",
        "cmr:CM",
        "cod:CD",
        "cog:CG",
        "cok:CK",
        "col:CO",
        "com:KM",
        "cpv:CV",
        "cri:CR",
        "cub:CU",
        "cuw:CW",
        "cxr:CX",
        "cym:KY",
        "cyp:CY",
        "cze:CZ",
        "deu:DE",
        "dji:DJ",
        "dma:DM",
        "dnk:DK",
        "dom:DO",
        "dza:DZ",
        "ecu:EC",
        "egy:EG",
        "eri:ER",
        "esh:EH",
        "esp:ES",
        "est:EE",
        "eth:ET",
        "fin:FI",
        "fji:FJ",
        "flk:FK",
        "fra:FR",
        "fro:FO",
        "fsm:FM",
        "gab:GA",
        "gbr:GB",
        "geo:GE",
        "ggy:GG",
        "gha:GH",
        "gib:GI",
        "gin:GN",
        "glp:GP",
        "gmb:GM",
        "gnb:GW",
        "gnq:GQ",
        "grc:GR",
        "grd:GD",
        "grl:GL",
        "gtm:GT",
        "guf:GF",
        "gum:GU",
        "guy:GY",
        "hkg:HK",
        "hmd:HM",
        "hnd:HN",
        "hrv:HR",
        "hti:HT",
        "hun:HU",
        "idn:ID",
        "imn:IM",
        "ind:IN",
        "iot:IO",
        "irl:IE",
        "irn:IR",
        "irq:IQ",
        "isl:IS",
        "isr:IL",
        "ita:IT",
        "jam:JM",
        "jey:JE",
        "jor:JO",
        "jpn:JP",
        "kaz:KZ",
        "ken:KE",
        "kgz:KG",
        "khm:KH",
        "kir:KI",
        "kna:KN",
        "kor:KR",
        "kwt:KW",
        "lao:LA",
        "lbn:LB",
        "lbr:LR",
        "lby:LY",
        "lca:LC",
        "lie:LI",
        "lka:LK",
        "lso:LS",
        "ltu:LT",
        "lux:LU",
        "lva:LV",
        "mac:MO",
        "maf:MF",
        "mar:MA",
        "mco:MC",
        "mda:MD",
        "mdg:MG",
        "mdv:MV",
        "mex:MX",
        "mhl:MH",
        "mkd:MK",
        "mli:ML",
        "mlt:MT",
        "mmr:MM",
        "mne:ME",
        "mng:MN",
        "mnp:MP",
        "moz:MZ",
        "mrt:MR",
        "msr:MS",
        "mtq:MQ",
        "mus:MU",
        "mwi:MW",
        "mys:MY",
        "myt:YT",
        "nam:NA",
        "ncl:NC",
        "ner:NE",
        "nfk:NF",
        "nga:NG",
        "nic:NI",
        "niu:NU",
        "nld:NL",
        "nor:NO",
        "npl:NP",
        "nru:NR",
        "nzl:NZ",
        "omn:OM",
        "pak:PK",
        "pan:PA",
        "pcn:PN",
        "per:PE",
        "phl:PH",
        "plw:PW",
        "png:PG",
        "pol:PL",
        "pri:PR",
        "prk:KP",
        "prt:PT",
        "pry:PY",
        "pse:PS",
        "pyf:PF",
        "qat:QA",
        "reu:RE",
        "rou:RO",
        "rus:RU",
        "rwa:RW",
        "sau:SA",
        "sdn:SD",
        "sen:SN",
        "sgp:SG",
        "sgs:GS",
        "shn:SH",
        "sjm:SJ",
        "slb:SB",
        "sle:SL",
        "slv:SV",
        "smr:SM",
        "som:SO",
        "spm:PM",
        "srb:RS",
        "ssd:SS",
        "stp:ST",
        "sur:SR",
        "svk:SK",
        "svn:SI",
        "swe:SE",
        "swz:SZ",
        "sxm:SX",
        "syc:SC",
        "syr:SY",
        "tca:TC",
        "tcd:TD",
        "tgo:TG",
        "tha:TH",
        "tjk:TJ",
        "tkl:TK",
        "tkm:TM",
        "tls:TL",
        "ton:TO",
        "tto:TT",
        "tun:TN",
        "tur:TR",
        "tuv:TV",
        "twn:TW",
        "tza:TZ",
        "uga:UG",
        "ukr:UA",
        "umi:UM",
        "ury:UY",
        "usa:US",
        "uzb:UZ",
        "vat:VA",
        "vct:VC",
        "ven:VE",
        "vgb:VG",
        "vir:VI",
        "vnm:VN",
        "vut:VU",
        "wlf:WF",
        "wsm:WS",
        "xkx:XK",
        "yem:YE",
        "zaf:ZA",
        "zmb:ZM",
        "zwe:ZW",
    ]
)
"""ISO 3166 alpha-3 to alpha-2."""

COUNTRY_WORDS = {
    "u.s.": "US", "u.s.a.": "US", "u.s.a": "US", "u.s": "US", "america": "US", "united states of america": "US",
    "uk": "GB", "u.k.": "GB", "great britain": "GB", "england": "GB", "scotland": "GB", "wales": "GB",
    "northern ireland": "GB", "britain": "GB", "holland": "NL", "the netherlands": "NL", "brd": "DE",
    "brasil": "BR",
    "czech republic": "CZ", "korea": "KR", "republic of korea": "KR", "south korea": "KR",
    "russian federation": "RU",
    "viet nam": "VN", "ivory coast": "CI", "macedonia": "MK", "turkiye": "TR", "türkiye": "TR", "éire": "IE",
    "eire": "IE",
    "republic of ireland": "IE", "uae": "AE", "u.a.e.": "AE", "schweiz": "CH", "suisse": "CH", "svizzera": "CH",
    "österreich": "AT", "españa": "ES", "méxico": "MX", "suomi": "FI", "sverige": "SE", "norge": "NO",
    "danmark": "DK",
    "polska": "PL", "magyarország": "HU", "ελλάδα": "GR", "el": "GR", "belgië": "BE", "belgique": "BE",
}  # fmt: skip
"""Names of countries that the locale data lacks."""

REGIONS = {
    "US": (
        "alabama:AL alaska:AK arizona:AZ arkansas:AR california:CA colorado:CO connecticut:CT delaware:DE "
        "district~of~columbia:DC florida:FL georgia:GA hawaii:HI idaho:ID illinois:IL indiana:IN iowa:IA "
        "kansas:KS "
        "kentucky:KY louisiana:LA maine:ME maryland:MD massachusetts:MA michigan:MI minnesota:MN mississippi:MS "
        "missouri:MO montana:MT nebraska:NE nevada:NV new~hampshire:NH new~jersey:NJ new~mexico:NM new~york:NY "
        "north~carolina:NC north~dakota:ND ohio:OH oklahoma:OK oregon:OR pennsylvania:PA puerto~rico:PR "
        "rhode~island:RI south~carolina:SC south~dakota:SD tennessee:TN texas:TX utah:UT vermont:VT virginia:VA "
        "washington:WA west~virginia:WV wisconsin:WI wyoming:WY"
    ),
    "AU": (
        "new~south~wales:NSW victoria:VIC queensland:QLD western~australia:WA south~australia:SA tasmania:TAS "
        "australian~capital~territory:ACT northern~territory:NT"
    ),
    "CA": (
        "alberta:AB british~columbia:BC manitoba:MB new~brunswick:NB newfoundland~and~labrador:NL "
        "newfoundland:NL "
        "nova~scotia:NS ontario:ON prince~edward~island:PE quebec:QC québec:QC saskatchewan:SK yukon:YT "
        "nunavut:NU "
        "northwest~territories:NT"
    ),
}
"""Names of states and provinces by country; where the country is known they become its usual codes."""

POSTCODE_DIGITS = {
    "AU" : 4, "AT" : 4, "BE" : 4, "CH" : 4, "DK" : 4, "NO" : 4, "NZ" : 4, "HU" : 4, "ZA" : 4, "DE" : 5, "ES" : 5,
    "FI" : 5, "FR" : 5,
    "IT": 5, "MX": 5, "US": 5, "TR": 5, "CZ": 5, "SE": 5, "EE": 5,
}  # fmt: skip
"""Countries whose postcodes are that many digits: zeros that a spreadsheet dropped are put back."""

POSTCODE_FORMS = {
    "GB": (r"^([A-Z]{1,2}\d[A-Z\d]?)(\d[A-Z]{2})$", "${1} ${2}"),
    "CA": (r"^([A-Z]\d[A-Z])(\d[A-Z]\d)$", "${1} ${2}"),
    "NL": (r"^(\d{4})([A-Z]{2})$", "${1} ${2}"),
}
"""Countries whose postcodes are written in two parts: the shape without spaces, and how it is written."""

MONTH_FIRST = ("US", "PH", "FM", "MH", "PW", "GU", "PR")
"""Countries that write 12/31/1999."""
