"""What a column's header says: its words matched against the vocabulary, with those that say nothing left out."""

from __future__ import annotations

from onefold_workers.drafting.profile import Profile
from onefold_workers.drafting.vocabulary import longest, runs, vocabulary


def header_kind(p: Profile) -> str | None:
    """What the header calls the column, by its longest known word; None where it is about something else.

    A header of a given and a family name (`first_and_surname`, `Nom Prénom`) over values of several words is
    that of a whole name.
    """
    if is_about(p) or is_attribute(p):
        return None
    if p.several_words > 0.5 and _names_a_whole(p.words):
        return "full_name"
    plain = bare(p.words)
    whole = {p.compact, "".join(plain)}
    best, longest_found = None, 0
    for kind, words in vocabulary().kinds.items():
        length = max((len(w) + 1 for w in whole & words.whole), default=longest(p.words, words.anywhere))
        if length > longest_found:
            best, longest_found = kind, length
    return best


def bare(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words without digits and those that say nothing (`dob_raw` is `dob`); all of them if none is left.

    What is left must say something by itself: `client_no` is not a `no`.
    """
    known = vocabulary().roles
    left = tuple(w for w in words if w not in known["noise"] and not w.isdigit())
    return words if not left or {*left} <= known["id"] else left


def says_plainly(p: Profile, kind: str) -> bool:
    """The header is nothing but a word for that kind, whatever the values look like."""
    words = vocabulary().kinds[kind]
    return bool({p.compact, "".join(bare(p.words))} & (words.anywhere | {w for w in words.whole if len(w) > 3}))


def is_attribute(p: Profile) -> bool:
    """The header names what a person is or comes from, such as an occupation or a place of birth."""
    known, found = vocabulary(), runs(p.words)
    if found & known.roles["attribute"]:
        return True
    born = found & (known.kinds["birth_date"].anywhere | {"born"})
    return bool(born) and bool({*p.words} & (known.roles["birth_place"] | known.roles["birth_part"]))


def is_truth(p: Profile) -> bool:
    """The header names who is who as somebody decided it (cluster, entity_id, label): never evidence."""
    return p.compact in vocabulary().roles["truth"]


def is_about(p: Profile) -> bool:
    """The header is about a name or contact point (verified, opt-in, type, …), or about a thing."""
    roles = vocabulary().roles
    words = set(p.words)
    if words & roles["about"] or is_truth(p) or runs(p.words) & roles["died"]:
        return True
    if words & roles["prose"] or (runs(p.words) & (roles["consent"] | roles["refusal"]) and not p.emails > 0.5):
        return True
    entities = vocabulary().entities
    things = entities["item"] | entities["campaign"] | entities["place"] | entities["event"] | entities["case"]
    return bool(words & things) and not (words & {"address", "contact", "customer"})


def _names_a_whole(words: tuple[str, ...]) -> bool:
    """Every word belongs to a given or family name, joins them or says nothing, and both names are there."""
    known = vocabulary()
    given, family = (known.kinds[k].anywhere | known.kinds[k].whole for k in ("given_name", "family_name"))
    middle = known.kinds["middle_name"].anywhere
    passed = known.roles["connector"] | known.roles["noise"] | middle
    seen: set[str] = set()
    at = 0
    while at < len(words):
        tried = {end: "".join(words[at:end]) for end in range(len(words), at, -1)}
        end, name = next(((e, n) for e, r in tried.items() for n in _meanings(r, given, family, passed)), (0, ""))
        if not end:
            return words[at].isdigit() and at == len(words) - 1 and {"given", "family"} <= seen
        seen.add(name)
        at = end
    # `Vorname Name`, `Name Vorname`: the family's name is often just "name".
    return {"given", "family"} <= seen or {"given", "name"} <= seen


def _meanings(run: str, given: frozenset[str], family: frozenset[str], passed: frozenset[str]) -> list[str]:
    if run == "name":
        return ["name"]
    if run in given:
        return ["given"]
    if run in family:
        return ["family"]
    return ["joined"] if run in passed else []
