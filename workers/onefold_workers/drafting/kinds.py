"""Which semantic kind a column has: what its header says, and whether its values agree.

A header alone may mislead and may be missing, so each kind has a measure of how well values fit it. A header that
the values contradict is not believed; values that fit a kind very well are believed without a header.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from onefold_workers.drafting.headers import header_kind, is_about, is_attribute, says_plainly
from onefold_workers.drafting.profile import Profile
from onefold_workers.drafting.vocabulary import longest, runs, vocabulary

_NAMES = ("given_name", "middle_name", "family_name", "full_name")
_YEAR = r"(?:^|\D)(?:1\d|20)\d{2}(?:\D|$)|^(?:1\d|20)\d{2}[01]\d{3}$"
_DAY_AND_YEAR = r"^\D*\d{1,2}\D+\d{1,2}\D+\d{2,4}$"
_TURNED_ROUND = r"^\p{Lu}[\p{L}'’ -]+, (?:\p{Lu}[\p{L}.'’-]+ ?)+(?:\(.*\))?$"
"""`Abbott, John Joseph`: family name first."""
_KANA = r"^[\p{Hiragana}\p{Katakana}ー・ ]+$"
_ADDRESS = ("street", "city", "postcode")
_NEVER_TWICE = 50
"""So many numbers, no two the same, are no numbers of houses."""


@dataclass(frozen=True)
class Guess:
    """A proposed kind: how sure (`high`, `medium`, `low`) and why; `scheme` for identifiers, `format` for a part of a
    date of birth."""

    kind: str
    confidence: str
    why: str
    scheme: str | None = None
    format: str | None = None


Fit = Callable[[Profile], float]


def _year_span(p: Profile) -> float:
    when = p.when
    if not when or when.times or when.share < 0.3:
        return 0.0
    return when.share if when.first < 2012 and when.last - when.first >= 15 and when.last <= 2025 else 0.0


def _dates_at_all(p: Profile) -> float:
    """Dates, whole or in part, right or wrong: what people write where they are asked for one."""
    if p.dtype.is_temporal():
        return 1.0
    return max(p.when.share if p.when else 0.0, p.share(_YEAR), p.share(_DAY_AND_YEAR))


def _words(p: Profile) -> float:
    """Text made of letters, as names and places are, and not of codes or sentences."""
    return p.share(r"^[^\d@]*\p{L}[^\d@]*$") if 0 < p.length <= 45 else 0.0


def _postal(p: Profile) -> float:
    return p.share(r"^(?=.*\d)?[A-Za-z0-9]{1,5}[ -]?[A-Za-z0-9]{1,5}$".replace("(?=.*\\d)?", "")) * p.share(r"\d")


def _phone_like(p: Profile) -> float:
    return p.share(r"^[^\p{L}]*(?:\d[^\p{L}]*){6,}(?i:e?xt?n?[ .:]*\d+)?$")


def _number_of_a_house(p: Profile) -> float:
    return p.share(r"^#?\s*\d{1,5}(?:\.0)?\s*[A-Za-z]?(?:\s*[-/]\s*\d{1,5}\s*[A-Za-z]?)?$")


def _one_word_names(p: Profile) -> bool:
    return p.several_words < 0.3 and _words(p) > 0.8 and p.distinct > 10


# How well values must fit what the header says, to believe it; and the measure of the fit.
AGREES: dict[str, tuple[Fit, float]] = {
    "given_name": (_words, 0.6),
    "middle_name": (_words, 0.5),
    "family_name": (_words, 0.6),
    "full_name": (_words, 0.6),
    "birth_date": (_dates_at_all, 0.3),
    "gender": (lambda p: p.genders if p.distinct <= 12 else 0.0, 0.4),
    "email": (lambda p: p.share("@"), 0.3),
    "phone": (_phone_like, 0.4),
    "house_number": (_number_of_a_house, 0.5),
    "street": (lambda p: p.letters, 0.6),
    "address_line2": (lambda p: p.share(r"\p{L}|^\d{1,5}$") if not p.decimals else 0.0, 0.3),
    "city": (_words, 0.6),
    "region": (_words, 0.6),
    "postcode": (_postal, 0.5),
    "country": (lambda p: p.countries, 0.5),
    "organisation": (lambda p: p.letters if p.length <= 80 else 0.0, 0.6),
}

# Values that say it alone, the surest kind first: the measure and what it must reach.
SPEAKS: tuple[tuple[str, Fit, float], ...] = (
    ("email", lambda p: p.emails, 0.7),
    (
        "gender",
        lambda p: p.genders if 2 <= p.distinct <= 6 and p.letters == 1 and not p.truth_values else 0.0,
        0.95,
    ),
    ("birth_date", lambda p: _year_span(p) if p.distinct_share > 0.05 else 0.0, 0.6),
    ("phone", lambda p: p.sure_phones if p.distinct_share > 0.3 else 0.0, 0.7),
    ("full_name", lambda p: p.whole_names if p.several_words > 0.8 and _words(p) > 0.8 else 0.0, 0.3),
    (
        "street",
        lambda p: p.streets if p.several_words > 0.6 and p.distinct > 5 and p.companies < 0.3 else 0.0,
        0.55,
    ),
    ("street", lambda p: p.share(r"^\d{1,5}[A-Za-z]? \p{L}+ \p{L}") if p.distinct > 20 else 0.0, 0.8),
    ("organisation", lambda p: p.companies if p.several_words > 0.4 else 0.0, 0.3),
    ("given_name", lambda p: p.given_names if _one_word_names(p) else 0.0, 0.35),
    ("family_name", lambda p: p.family_names if _one_word_names(p) else 0.0, 0.2),
    ("country", lambda p: p.countries if p.letters > 0.9 and p.length > 3 else 0.0, 0.9),
    ("city", lambda p: p.cities if _words(p) > 0.8 and p.distinct > 5 else 0.0, 0.35),
)


def identifier(p: Profile) -> Guess | None:
    """A person's identifier by its header: a national one, or a customer's number; its scheme with it."""
    found = runs(p.words)
    for scheme, words in vocabulary().identifiers.items():
        if found & words and not p.decimals and p.filled and not p.truth_values:
            return Guess("external_id", "high", f"the header names an identifier ({scheme})", scheme)
    if not entity_reference(p, "customer"):
        return None
    scheme = "_".join(p.words) if p.words[0].isascii() and p.words[0][0].isalpha() else "customer"
    return Guess("external_id", "medium", "the header names a customer's number", scheme[:60])


def entity_reference(p: Profile, entity: str) -> bool:
    """The column refers to something of that entity by an id, by its header and by values that look like codes."""
    known, roles = vocabulary().entities[entity], vocabulary().roles
    if _is_about_values(p):
        return False
    named = longest(p.words, known) > 0
    coded = p.words[-1] in roles["code"]
    as_id = (
        bool(set(p.words) & roles["id"]) or coded or p.compact in known or any(p.compact == f"{e}s" for e in known)
    )
    # One run of letters without a seam: householdid, kundennr, customerno.
    joined = any(p.compact == f"{e}{i}" for e in known for i in roles["id"])
    return (named and as_id) or joined


def _is_about_values(p: Profile) -> bool:
    """Values that no reference has: fractions, dates with separators, sentences, truth values, emails."""
    sentences = p.several_words > 0.5
    spelt = p.when is not None and p.when.format != "%Y%m%d" and p.when.share > 0.9 and not p.dtype.is_integer()
    counted = p.distinct <= 3 < p.rows // 10
    return bool(
        counted or p.decimals > 0.2 or sentences or p.truth_values or p.emails > 0.5 or spelt or not p.filled
    )


def guesses(profiles: dict[str, Profile]) -> dict[str, Guess]:
    """The proposed kind of each column that has one."""
    found: dict[str, Guess] = {}
    for name, p in profiles.items():
        guess = _guess(p)
        if guess:
            found[name] = guess
    return _together(profiles, found)


def _guess(p: Profile) -> Guess | None:
    if not p.filled or p.compact in vocabulary().roles["row"] or p.truth_values:
        return None
    known_id = identifier(p)
    if known_id and not p.emails > 0.5:
        return known_id
    said = header_kind(p)
    spoken = next((kind for kind, fit, least in SPEAKS if fit(p) >= least), None) if _may_speak(p, said) else None
    if said:
        fit, least = AGREES[said]
        least = least / 2 if says_plainly(p, said) else least
        share = fit(p)
        if share >= least:
            if spoken in ("email", "birth_date") and said != spoken:
                return Guess(spoken, "medium", f"the header says {said}, the values say {spoken}")
            sure = "high" if spoken == said or share > 0.9 else "medium"
            return Guess(said, sure, f"the header says so, {share:.0%} of the values agree")
        if spoken:
            return Guess(spoken, "medium", f"the header says {said}, the values say {spoken}")
        return None
    if spoken:
        return Guess(spoken, "low", "only the values say so")
    return None


def _may_speak(p: Profile, said: str | None) -> bool:
    """Whether values alone may decide: not against a header that plainly means something else."""
    if said:
        return True
    roles, entities = vocabulary().roles, vocabulary().entities
    other = set().union(
        *(roles[r] for r in ("time", "updated", "created", "amount", "quantity", "about", "item_name"))
    )
    other |= set().union(*(roles[r] for r in ("item_category", "item_department", "item_brand", "consent", "kind")))
    things = set().union(*(entities[e] for e in ("item", "order", "event", "campaign", "place", "case")))
    plain = bool(set(p.words) & (other | things)) or is_about(p) or is_attribute(p)
    return not plain or p.emails > 0.7


def _together(profiles: dict[str, Profile], found: dict[str, Guess]) -> dict[str, Guess]:
    """What only shows from all columns together."""
    kinds = {g.kind for g in found.values()}
    result = dict(found)
    for name, guess in found.items():
        p = profiles[name]
        if guess.kind == "full_name" and not _is_a_person(p, kinds):
            del result[name]
        elif (
            guess.kind in ("given_name", "family_name") and p.several_words > 0.6 and not _paired(guess.kind, kinds)
        ):
            result[name] = Guess("full_name", "medium", "several words in one name column")
        elif guess.kind == "region" and not kinds & {*_ADDRESS, "country"} and not p.compact.endswith("state"):
            if p.share_in(vocabulary().roles["status_words"]) > 0.2 or not kinds & {*_NAMES, "email", "phone"}:
                del result[name]
        elif guess.kind == "region" and p.share_in(vocabulary().roles["status_words"]) > 0.2:
            del result[name]
    for kind in ("given_name", "family_name"):  # how a name is read is not a second name
        same = [n for n, g in result.items() if g.kind == kind]
        for name in same if any(profiles[n].share(_KANA) < 0.5 for n in same) else []:
            if profiles[name].share(_KANA) > 0.9:
                del result[name]
    regions = [n for n, g in result.items() if g.kind == "region"]
    for name in regions:  # `State` and `Region`: the finer one is the region
        if any(profiles[o].distinct > 3 * profiles[name].distinct for o in regions):
            del result[name]
    return _name_pair(profiles, _with_house_number(profiles, result))


def _with_house_number(profiles: dict[str, Profile], found: dict[str, Guess]) -> dict[str, Guess]:
    """A column named only `Nr` or `no` is a house number after a street without numbers, or before it if it repeats.

    Anything else of that name is left alone: it numbers the rows.
    """
    if "house_number" in {g.kind for g in found.values()}:
        return found
    names = list(profiles)
    for place, name in enumerate(names):
        p, fit = profiles[name], _number_of_a_house(profiles[name])
        if name in found or p.compact not in vocabulary().roles["number"] or fit < AGREES["house_number"][1]:
            continue
        after = _is_bare_street(profiles, found, names[place - 1]) if place else False
        before = _is_bare_street(profiles, found, names[place + 1]) if place + 1 < len(names) else False
        if (after and not _running(p)) or (before and p.distinct < p.filled):
            why = f"a number beside a street without one, {fit:.0%} of the values agree"
            return {**found, name: Guess("house_number", "high" if fit > 0.9 else "medium", why)}
    return found


def _is_bare_street(profiles: dict[str, Profile], found: dict[str, Guess], name: str) -> bool:
    return name in found and found[name].kind == "street" and profiles[name].share(r"\d") < 0.5


def _running(p: Profile) -> bool:
    """Numbers that count rows: each one more than that before it, or many and no two the same."""
    if p.distinct < p.filled:
        return False
    steps = p.text.cast(pl.Float64, strict=False).diff().drop_nulls()
    return p.filled >= _NEVER_TWICE or (steps.len() > 1 and bool((steps == 1).all()))


def _paired(kind: str, kinds: set[str]) -> bool:
    return ("family_name" if kind == "given_name" else "given_name") in kinds


def _is_a_person(p: Profile, kinds: set[str]) -> bool:
    if p.distinct <= 3 and p.filled >= 20:  # groom and bride
        return False
    if p.share(_TURNED_ROUND) > 0.7:
        return True
    person = kinds & {"email", "phone", "birth_date", "gender", "given_name", "family_name"}
    return p.whole_names >= 0.15 or p.given_names >= 0.2 or bool(person and p.compact != "description")


def _name_pair(profiles: dict[str, Profile], found: dict[str, Guess]) -> dict[str, Guess]:
    """`name` beside a given name and no family name is the family name (`prenom`, `nom`; `first`, `name`)."""
    kinds = {g.kind for g in found.values()}
    result = dict(found)
    if "given_name" in kinds and "family_name" not in kinds:
        for name, guess in found.items():
            if guess.kind == "full_name" and profiles[name].several_words < 0.4:
                result[name] = Guess("family_name", "medium", "a single word beside a given name")
        if "family_name" not in {g.kind for g in result.values()}:
            for name, p in profiles.items():
                if name not in found and "name" in p.words and _one_word_names(p) and not is_about(p):
                    result[name] = Guess("family_name", "low", "a name column of single words beside a given name")
                    break
    if "family_name" in kinds and "given_name" not in kinds:
        for name, guess in found.items():
            if guess.kind == "full_name" and profiles[name].several_words < 0.4:
                result[name] = Guess("given_name", "medium", "a single word beside a family name")
    return result
