"""Seeded generators of person records with their truth, for tests and benchmarks. Nobody in them exists.

`customers`: a customer base as silos hold it (neat columns, typing errors, missing values, people who moved,
households that share surname, address and sometimes phone). `chronicle`: historical persons as encyclopaedias
name them (whole names with titles, nicknames, uncertain dates, relatives of one name and place, ten records
each). `crumbs`: very few columns and much noise.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from onefold_workers.identity.nicknames import nicknames

_START = [
    "ab",
    "al",
    "ash",
    "bar",
    "ben",
    "black",
    "brad",
    "bur",
    "car",
    "clay",
    "cole",
    "craw",
    "dal",
    "dan",
    "den",
    "dun",
    "ed",
    "far",
    "fen",
    "fitz",
    "gar",
    "glen",
    "grant",
    "hal",
    "ham",
    "har",
    "hart",
    "haw",
    "hol",
    "hud",
    "kel",
    "ken",
    "kirk",
    "lang",
    "lind",
    "lock",
    "mac",
    "mar",
    "mill",
    "mor",
    "nor",
    "os",
    "pem",
    "pen",
    "rad",
    "ran",
    "red",
    "rob",
    "ros",
    "rud",
    "san",
    "shel",
    "sher",
    "sil",
    "stan",
    "ston",
    "sum",
    "tem",
    "thorn",
    "tre",
    "up",
    "van",
    "wal",
    "war",
    "wes",
    "whit",
    "wil",
    "win",
    "wood",
    "york",
    "zim",
]
_MIDDLE = ["", "", "", "ing", "er", "en", "le", "ring", "ma", "ber", "der", "mon", "sa", "vin"]
_END = [
    "ton",
    "son",
    "ford",
    "ley",
    "man",
    "well",
    "field",
    "wood",
    "ham",
    "by",
    "worth",
    "er",
    "s",
    "ridge",
    "more",
    "stead",
    "gate",
    "bury",
    "den",
    "sen",
    "sky",
    "escu",
    "ez",
    "elli",
    "ani",
    "wicz",
    "ov",
    "a",
    "in",
]
_ROADS = ["street", "road", "avenue", "drive", "lane", "close", "court", "place", "terrace", "way"]
_MAIL = ["mail.example", "post.example", "inbox.example", "web.example", "home.example"]
_WORK = [
    "politician",
    "writer",
    "painter",
    "lawyer",
    "soldier",
    "officer",
    "priest",
    "physician",
    "engineer",
    "merchant",
    "actor",
    "composer",
    "judge",
    "botanist",
    "footballer",
    "cricketer",
    "architect",
    "journalist",
    "banker",
    "farmer",
]
_GROUPS: dict[str, list[str]] = {}
for _name, _group in nicknames().items():
    _GROUPS.setdefault(_group, []).append(_name)
_GIVEN = list(_GROUPS)


def _zipf(rng: np.random.Generator, size: int, count: int, power: float = 0.9) -> np.ndarray:
    p = 1.0 / np.arange(1, size + 1) ** power
    return rng.choice(size, count, p=p / p.sum())


def _words(rng: np.random.Generator, count: int) -> np.ndarray:
    made: dict[str, None] = {}
    while len(made) < count:
        some = zip(*(np.array(p)[rng.integers(0, len(p), count)] for p in (_START, _MIDDLE, _END)), strict=True)
        made |= dict.fromkeys("".join(s) for s in some)
        made |= dict.fromkeys(a + b for a, b in zip(list(made)[: count // 4], list(made)[::-1], strict=False))
    return np.array(list(made)[:count], dtype=object)


def _letter(rng: np.random.Generator) -> str:
    return chr(97 + int(rng.integers(26)))


def _slip(rng: np.random.Generator, text: str) -> str:
    """One typing error: a character lost, doubled, replaced or exchanged with its neighbour."""
    if len(text) < 2:
        return text
    at, how = int(rng.integers(0, len(text) - 1)), int(rng.integers(0, 4))
    letter = (
        "0123456789"[int(rng.integers(10))]
        if text[at].isdigit()
        else "abcdefghijklmnoprstuvwyz"[int(rng.integers(24))]
    )
    if how == 0:
        return text[:at] + text[at + 1 :]
    if how == 1:
        return text[:at] + letter + text[at:]
    if how == 2:
        return text[:at] + letter + text[at + 1 :]
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def _slipped(rng: np.random.Generator, column: np.ndarray, share: float) -> np.ndarray:
    out = column.copy()
    for i in np.flatnonzero(rng.random(len(column)) < share):
        if out[i] is not None:
            out[i] = _slip(rng, str(out[i]))
    return out


def _lost(rng: np.random.Generator, column: np.ndarray, share: float) -> np.ndarray:
    out = column.copy()
    out[rng.random(len(column)) < share] = None
    return out


def customers(records: int, seed: int = 7, duplicates: float = 0.3) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`records` rows, of which the share `duplicates` are further records of a person; and the truth."""
    rng = np.random.default_rng(seed)
    persons = max(int(records * (1 - duplicates)), 1)
    homes = max(int(persons / 1.8), 1)
    home = np.sort(rng.integers(0, homes, persons))
    families, towns, streets = _words(rng, 20_000), _words(rng, 800), _words(rng, 6_000)
    h_family = families[_zipf(rng, len(families), homes, 0.7)]
    h_town = _zipf(rng, len(towns), homes, 0.8)
    h_post = np.array(
        [f"{10 + t % 90:02d}{int(x):03d}" for t, x in zip(h_town, rng.integers(0, 60, homes), strict=True)],
        dtype=object,
    )
    h_street = streets[(h_town * 7 + rng.integers(0, 60, homes)) % len(streets)]
    h_road = np.array(_ROADS, dtype=object)[rng.integers(0, len(_ROADS), homes)]
    h_number = rng.integers(1, 180, homes).astype(str).astype(object)
    h_phone = np.array([f"0{int(x)}" for x in rng.integers(200_000_000, 999_999_999, homes)], dtype=object)
    given = np.array(_GIVEN, dtype=object)[_zipf(rng, len(_GIVEN), persons, 0.6)]
    family = np.where(rng.random(persons) < 0.85, h_family[home], families[_zipf(rng, len(families), persons, 0.7)])
    days = rng.integers(-18_000, 12_500, persons)
    birth = (np.datetime64("1970-01-01") + days).astype(str).astype(object)
    mobile = np.array([f"07{int(x)}" for x in rng.integers(10_000_000, 99_999_999, persons)], dtype=object)
    phone = np.where(rng.random(persons) < 0.3, h_phone[home], mobile)
    mail = np.array(_MAIL, dtype=object)[rng.integers(0, len(_MAIL), persons)]
    name = given + "." + family
    # An address belongs to one person: of those with the same name, all but the first have a number in it.
    namesakes = pl.DataFrame({"name": name.tolist(), "mail": mail.tolist()}).select(
        pl.int_range(pl.len()).over("name", "mail")
    )
    number = namesakes.to_series().to_numpy() + np.where(
        rng.random(persons) < 0.5, rng.integers(1, 99, persons) * 1000, 0
    )
    email = np.array([f"{n}{k or ''}@{m}" for n, k, m in zip(name, number, mail, strict=True)], dtype=object)
    extra = rng.integers(0, persons, records - persons)
    who = np.concatenate([np.arange(persons), extra])
    where = home[who]
    again = np.arange(records) >= persons
    moved = again & (rng.random(records) < 0.12)
    where = np.where(moved, rng.integers(0, homes, records), where)
    g, f = given[who], family[who]
    nick = again & (rng.random(records) < 0.08)
    for i in np.flatnonzero(nick):
        group = _GROUPS[g[i]]
        g[i] = group[int(rng.integers(0, len(group)))]
    swap = again & (rng.random(records) < 0.02)
    g, f = np.where(swap, f, g), np.where(swap, g, f)
    noise = 0.06
    columns = {
        "given_name": _lost(rng, _slipped(rng, g, noise), 0.03),
        "family_name": _lost(rng, _slipped(rng, f, noise), 0.02),
        "birth_date": _lost(rng, _slipped(rng, birth[who], 0.04), 0.20),
        "email": _lost(rng, _slipped(rng, email[who], 0.04), 0.40),
        "phone": _lost(rng, _slipped(rng, phone[who], 0.03), 0.40),
        "house_number": _lost(rng, h_number[where], 0.10),
        "street": _lost(rng, _slipped(rng, h_street[where] + " " + h_road[where], noise), 0.10),
        "city": _lost(rng, _slipped(rng, towns[h_town[where]], 0.04), 0.10),
        "postcode": _lost(rng, _slipped(rng, h_post[where], 0.04), 0.10),
    }
    frame = pl.DataFrame({n: pl.Series(n, c.tolist(), dtype=pl.String) for n, c in columns.items()})
    frame = frame.rename({"birth_date": "birth_digits"})
    return _shuffled(rng, frame, who)


def chronicle(persons: int, seed: int = 11) -> tuple[pl.DataFrame, pl.DataFrame]:
    """About ten records for each of `persons` historical persons, many of them related; and the truth."""
    rng = np.random.default_rng(seed)
    families, towns = _words(rng, 3_000), _words(rng, 400)
    life: list[tuple[list[str], str, str, int, str, str, str | None]] = []
    for i in range(persons):
        related = i > 10 and rng.random() < 0.3
        given = [_GIVEN[int(k)] for k in _zipf(rng, len(_GIVEN), 1 + int(rng.integers(0, 3)), 0.8)]
        family = str(families[int(_zipf(rng, len(families), 1, 0.7)[0])])
        town, area = (
            str(towns[int(_zipf(rng, len(towns), 1)[0])]),
            f"{_letter(rng)}{_letter(rng)}{int(rng.integers(1, 30))}",
        )
        day = int(rng.integers(-130_000, -10_000))
        work = _WORK[int(_zipf(rng, len(_WORK), 1, 1.0)[0])]
        title = (
            f"{int(rng.integers(1, 9))}th baron {families[int(rng.integers(len(families)))]}"
            if rng.random() < 0.12
            else None
        )
        if related:
            other = life[int(rng.integers(len(life)))]
            family, town, area, title = other[1], other[2], other[4], other[6]
            day = other[3] + int(rng.integers(-12_000, 12_000))
            given[0] = other[0][0] if rng.random() < 0.2 else given[0]
        life.append((given, family, town, day, area, work, title))
    rows, who = [], []
    for i, person in enumerate(life):
        codes = [f"{person[4]} {int(rng.integers(1, 10))}{_letter(rng)}{_letter(rng)}" for _ in range(3)]
        for _ in range(1 + min(int(rng.geometric(0.11)), 30)):
            rows.append(_mention(rng, person, codes))
            who.append(i)
    names = [
        "full_name",
        "given_name",
        "family_name",
        "birth_digits",
        "postcode",
        "gender",
        "attribute:birth_place",
        "attribute:occupation",
    ]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    return _shuffled(rng, frame, np.array(who))


def _mention(rng: np.random.Generator, person: tuple, codes: list[str]) -> list[str | None]:
    given, family, town, day, _, work, title = person
    first = list(given)
    if rng.random() < 0.15:
        group = _GROUPS[first[0]]
        first[0] = group[int(rng.integers(len(group)))]
    if len(first) > 1 and rng.random() < 0.45:
        first = first[: int(rng.integers(1, len(first)))]
    elif len(first) > 1 and rng.random() < 0.1:
        first = first[1:]
    if rng.random() < 0.04:
        first = [first[0][:1]]
    last = _slip(rng, family) if rng.random() < 0.08 else family
    if rng.random() < 0.06:
        first[0] = _slip(rng, first[0])
    whole = " ".join([*first, last])
    if title and rng.random() < 0.6:
        whole = f"{whole}, {title}" if rng.random() < 0.6 else f"{first[0]} {title}"
        last = whole.split()[-1]
    date = np.datetime64("1970-01-01") + day
    roll = rng.random()
    text: str | None = str(date)
    if roll < 0.10:
        text = None
    elif roll < 0.22:
        text = f"{str(date)[:4]}-01-01"
    elif roll < 0.30:
        text = _slip(rng, str(date))
    place: str | None = None if rng.random() < 0.2 else town if rng.random() < 0.85 else town + "shire"
    post = None if rng.random() < 0.2 else codes[int(rng.integers(3))]
    done = None if rng.random() < 0.35 else work if rng.random() < 0.8 else _WORK[int(rng.integers(len(_WORK)))]
    return [whole, first[0], last, text, post, "male" if len(family) % 5 else "female", place, done]


def crumbs(persons: int, seed: int = 5) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Four noisy columns (names, date of birth, town, email), a fifth of the values missing; and the truth."""
    rng = np.random.default_rng(seed)
    families, towns = _words(rng, 2_000), _words(rng, 60)
    who = np.repeat(np.arange(persons), rng.integers(1, 6, persons))
    given = np.array(_GIVEN, dtype=object)[_zipf(rng, len(_GIVEN), persons, 0.6)]
    family = families[_zipf(rng, len(families), persons, 0.6)]
    birth = (np.datetime64("1970-01-01") + rng.integers(-12_000, 12_000, persons)).astype(str).astype(object)
    email = np.array(
        [f"{g[:1]}{f}{i % 97}@{_MAIL[i % 5]}" for i, (g, f) in enumerate(zip(given, family, strict=True))],
        dtype=object,
    )
    town = towns[_zipf(rng, len(towns), persons, 0.8)]
    columns = {"given_name": given, "family_name": family, "birth_digits": birth, "city": town, "email": email}
    frame = pl.DataFrame(
        {
            n: pl.Series(n, _lost(rng, _slipped(rng, c[who], 0.12), 0.18).tolist(), dtype=pl.String)
            for n, c in columns.items()
        }
    )
    return _shuffled(rng, frame, who)


def _shuffled(rng: np.random.Generator, frame: pl.DataFrame, who: np.ndarray) -> tuple[pl.DataFrame, pl.DataFrame]:
    order = rng.permutation(frame.height)
    frame = frame[order].select(
        pl.format("p:{}", pl.int_range(pl.len()).cast(pl.String).str.zfill(8)).alias("record_key"), pl.all()
    )
    return frame, pl.DataFrame({"record_key": frame["record_key"], "truth": who[order]})
