"""Several name columns of one table held against each other: which are whole names, and of the same person."""

from __future__ import annotations

import polars as pl

from onefold_workers.drafting.headers import is_about
from onefold_workers.drafting.kinds import Guess
from onefold_workers.drafting.profile import Profile

_LOOKED_AT = 5_000
_AGREE = 0.6
_ENOUGH = 20
_LONGEST = 45
_NAMES = ("given_name", "family_name", "full_name")


def settled(frame: pl.DataFrame, profiles: dict[str, Profile], found: dict[str, Guess]) -> dict[str, Guess]:
    """The kinds with name columns settled row by row.

    A column that repeats both the given and the family name is a whole name, whatever its header says. Of several
    whole names, one that mostly shares no word with the fullest is another person's (a mother's, an agent's):
    it has no kind. `frame`: the sample; `profiles`: its columns; `found`: kinds by column.
    """
    columns = [n for n, g in found.items() if g.kind in _NAMES and frame.schema[n] == pl.String]
    if len(columns) < 2:
        return found
    unknown = [n for n, p in profiles.items() if n not in found and _may_be_whole(p)]
    columns += unknown
    words = frame.head(_LOOKED_AT).select(pl.col(c).map_batches(_words, return_dtype=_LIST) for c in columns)
    result = dict(found)
    pairs = [
        (g, f) for g in _of("given_name", found, columns) for f in _of("family_name", found, columns) if g != f
    ]
    for column in columns:
        repeated = [p for p in pairs if column not in p and _holds(words, column, p)]
        if repeated and (column in unknown or result[column].kind != "full_name"):
            result[column] = Guess("full_name", "medium", "it repeats the given and the family name")
    whole = _of("full_name", result, columns)
    fullest = max(whole, key=lambda c: words[c].list.len().sum(), default=None)
    for column in whole:
        if fullest and column != fullest and not _shares(words, column, fullest):
            del result[column]
    return result


_LIST = pl.List(pl.String)


def _may_be_whole(p: Profile) -> bool:
    words = p.share(r"^[^\d@]*\p{L}[^\d@]*$") > _AGREE and p.length <= _LONGEST
    return not p.native and words and p.several_words > _AGREE and not is_about(p)


def _words(values: pl.Series) -> pl.Series:
    plain = values.str.to_lowercase().str.normalize("NFKD").str.replace_all(r"\p{M}", "")
    return plain.str.extract_all(r"\p{L}+").fill_null(pl.Series([[]], dtype=_LIST))


def _of(kind: str, found: dict[str, Guess], columns: list[str]) -> list[str]:
    return [c for c in columns if c in found and found[c].kind == kind]


def _holds(words: pl.DataFrame, column: str, pair: tuple[str, str]) -> bool:
    """Most values of the column hold a word of each of the pair's columns, and the two differ."""
    given, family = (pl.col(c) for c in pair)
    both = words.filter((given.list.len() > 0) & (family.list.len() > 0) & (pl.col(column).list.len() > 1))
    if both.height < _ENOUGH:
        return False
    held = both.select(
        (pl.col(column).list.set_intersection(given).list.len() > 0)
        & (pl.col(column).list.set_intersection(family).list.len() > 0)
        & (given.list.set_intersection(family).list.len() == 0)
    )
    return float(held.to_series().mean() or 0.0) >= _AGREE  # type: ignore[arg-type]


def _shares(words: pl.DataFrame, column: str, other: str) -> bool:
    """Most values that stand side by side share a word; columns that hardly meet are the same until shown otherwise."""
    both = words.filter((pl.col(column).list.len() > 0) & (pl.col(other).list.len() > 0))
    if both.height < _ENOUGH:
        return True
    shared = both.select(pl.col(column).list.set_intersection(pl.col(other)).list.len() > 0).to_series()
    return float(shared.mean() or 0.0) >= _AGREE  # type: ignore[arg-type]
