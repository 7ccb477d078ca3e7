"""A date of birth written over three columns: its year, its month and its day."""

from __future__ import annotations

from onefold_workers.drafting.kinds import Guess
from onefold_workers.drafting.profile import Profile
from onefold_workers.drafting.vocabulary import vocabulary

PARTS = {"%Y": r"^(?:1[4-9]|20)\d\d$", "%m": r"^(?:0?[1-9]|1[0-2])$", "%d": r"^(?:0?[1-9]|[12]\d|3[01])$"}
_FIT = 0.9
_NAMES = {
    "%Y": frozenset({"y", "yy", "yyyy", "yr", "year", "jahr", "annee", "ano", "anno", "jaar"}),
    "%m": frozenset({"m", "mm", "mo", "mon", "mth", "month", "monat", "mois", "mes", "mese", "maand"}),
    "%d": frozenset({"d", "dd", "day", "tag", "jour", "dia", "giorno", "dag"}),
}
_STEMS = ("", "b", "birth", "born", "geb", "geburts", "dob", "naissance", "nacimiento", "nascita")
_INITIALS = {"yob": "%Y", "mob": "%m", "dob": "%d", "birthday": "%d"}


def with_birth_parts(profiles: dict[str, Profile], found: dict[str, Guess]) -> dict[str, Guess]:
    """The kinds with year, month and day of birth where three columns are that and nothing else is the whole date.

    Each part is a birth date whose format is that part alone. `profiles`: the sample's columns; `found`: their kinds.
    """
    named: dict[str, list[str]] = {p: [] for p in PARTS}
    for column, profile in profiles.items():
        part = _part(profile)
        if part and profile.filled and profile.share(PARTS[part]) >= _FIT:
            named[part].append(column)
    parts = {p: columns[0] for p, columns in named.items() if len(columns) == 1}
    whole = [c for c, g in found.items() if g.kind == "birth_date" and c not in parts.values()]
    if len(parts) < len(PARTS) or whole or not _of_people(found):
        return found
    why = "year, month and day of birth stand in three columns"
    return found | {c: Guess("birth_date", "medium", why, format=p) for p, c in parts.items()}


def _part(p: Profile) -> str | None:
    """Which part the header names: `by`, `birth_year`, `Geburtsjahr`, `yob`, or just `year`."""
    if p.compact in _INITIALS:
        return _INITIALS[p.compact]
    born = vocabulary().kinds["birth_date"].anywhere
    for part, names in _NAMES.items():
        stems = {p.compact.removesuffix(n) for n in names if p.compact.endswith(n)}
        stems |= {p.compact.removeprefix(n).removeprefix("of") for n in names if p.compact.startswith(n)}
        if stems & {*_STEMS, *born}:
            return part
    return None


def _of_people(found: dict[str, Guess]) -> bool:
    return bool({g.kind for g in found.values()} & {"given_name", "family_name", "full_name"})
