"""Names of people: what a whole name consists of, and the tokens by which names are compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from onefold_workers.cleaning import family_first
from onefold_workers.identity.nicknames import nicknames
from onefold_workers.identity.text import Codes, Values, folded, recode

TOKENS = 6
"""Tokens of a person's names that are kept."""

_TITLES = (
    "mr|mrs|ms|miss|dr|prof|professor|sir|lord|lady|dame|rev|reverend|hon|the|captain|capt|major|colonel|col|"
    "general|admiral|baron|baroness|countess|duke|duchess|viscount|viscountess|marquess|marquis|"
    "baronet|bt|herr|frau|mme|mlle|monsieur|madame|senor|senora"
)
_SUFFIXES = "jr|junior|sr|senior|ii|iii|iv|phd|md|esq|esquire|mba|obe|mbe|cbe|kbe|frs|qc|kc|mp|dds|cpa"
_PARTICLES = "of|de|von|van|der|den|del|della|dos|ibn|and|zu|zum"


@dataclass(frozen=True)
class Names:
    """The names of each row: given and family as compared, and all tokens (codes, -1 where fewer).

    `given`, `family`, `extra`: codes in one vocabulary; `standard[c]`: code of the nickname group of value c.
    `tokens`: shape (rows, TOKENS), codes in the vocabulary of `words`.
    """

    given: Values
    family: Values
    tokens: Codes
    given_token: Codes
    family_token: Codes
    words: pl.Series


def parsed(full: pl.Expr) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """Given name, family name and all tokens (list) of whole names such as `Dr. Ann B. Lee`, `Lee, Ann B.`.

    Names in the scripts of Japan, China and Korea begin with the family's. A comma reverses the order, unless
    what follows it is a rank or suffix (`, Jr.`, `, 1st Baron …`).
    """
    raw = full.str.slice(0, 320)
    after = folded(raw.str.extract(r",(.*)$", 1))
    turned = after.is_not_null() & (after != "") & ~after.str.contains(rf"^(?:\d|(?:{_SUFFIXES}|{_TITLES})\b)")
    head = folded(raw.str.extract(r"^([^,]*)", 1))
    whole = pl.when(turned).then(pl.concat_str(after, pl.lit(" "), head)).otherwise(folded(raw))
    main = pl.when(turned).then(whole).otherwise(head)
    tokens = _clean(whole)
    core = _clean(main)
    leads = family_first(raw) & (core.list.len() > 1)
    given = pl.when(leads).then(core.list.last()).otherwise(core.list.first())
    family = pl.when(turned).then(_clean(head).list.last()).when(core.list.len() > 1).then(core.list.last())
    return given, pl.when(leads).then(core.list.first()).otherwise(family), tokens


def _clean(name: pl.Expr) -> pl.Expr:
    words = name.str.split(" ")
    junk = rf"^(?:{_TITLES}|{_SUFFIXES}|{_PARTICLES}|\d+(?:st|nd|rd|th)?)?$"
    return words.list.eval(pl.element().filter(~pl.element().str.contains(junk)))


def read_names(
    given: Values | None, family: Values | None, middle: Values | None, full: Values | None, rows: int
) -> Names:
    """Names from the columns at hand; a missing given or family name is taken from the whole name."""
    none = Values(np.full(rows, -1, dtype=np.int32), pl.Series([], dtype=pl.String))
    parts = [
        recode(v, v.series().to_frame("v").select(folded(pl.col("v")))["v"]) if v else none
        for v in (given, family, middle)
    ]
    lists: list[tuple[Codes, pl.Series]] = []
    first, last = parts[0], parts[1]
    if full is not None and full.size:
        g, f, t = parsed(pl.col("v"))
        frame = full.series().to_frame("v").select(g=g, f=f, t=t)
        first = _filled(first, recode(full, frame["g"]))
        last = _filled(last, recode(full, frame["f"]))
        lists.append((full.codes, frame["t"]))
    lists[:0] = [(p.codes, _clean_list(p)) for p in (first, last, parts[2])]
    tokens, (given_token, family_token), words = _tokens(lists, rows)
    return Names(first, last, tokens, given_token, family_token, words)


def _clean_list(values: Values) -> pl.Series:
    return values.series().to_frame("v").select(_clean(pl.col("v")))["v"]


def _filled(values: Values, other: Values) -> Values:
    offset = values.size
    codes = np.where(values.codes >= 0, values.codes, np.where(other.codes >= 0, other.codes + offset, -1))
    both = Values(codes.astype(np.int32), pl.concat([values.values.alias("v"), other.values.alias("v")]))
    return recode(both, both.series()) if both.size else both


def _tokens(lists: list[tuple[Codes, pl.Series]], rows: int) -> tuple[Codes, tuple[Codes, Codes], pl.Series]:
    """Token matrix over all name columns; the first given and the last family token's codes; and the words."""
    wide = [s.to_frame("t").select(pl.col("t").cast(pl.List(pl.String))) for _, s in lists]
    found = [w["t"].list.explode() if w.height else pl.Series("t", [], dtype=pl.String) for w in wide]
    # In the order of the words, so that which tokens of a very long name are kept depends on that name alone.
    words = pl.concat(found).drop_nulls().unique().sort()
    vocabulary = pl.DataFrame({"t": words, "code": np.arange(len(words), dtype=np.int32)})
    out = np.full((rows, 0), -1, dtype=np.int32)
    ends: list[Codes] = []
    for i, ((codes, _), frame) in enumerate(zip(lists, wide, strict=True)):
        table = np.full((frame.height + 1, TOKENS), -1, dtype=np.int32)
        if frame.height:
            long = frame.with_row_index("row").explode("t").drop_nulls("t")
            long = long.with_columns(place=pl.int_range(pl.len()).over("row")).filter(pl.col("place") < TOKENS)
            long = long.join(vocabulary, on="t", how="left", maintain_order="left")
            table[long["row"].to_numpy(), long["place"].to_numpy()] = long["code"].to_numpy()
        block = table[codes]
        if i < 2:
            ends.append(block[:, 0] if i == 0 else _last(block))
        out = np.concatenate([out, block], axis=1)
    return _distinct(out)[:, :TOKENS], (ends[0], ends[1]), words


def _last(block: Codes) -> Codes:
    count = (block >= 0).sum(axis=1)
    return np.asarray(block[np.arange(len(block)), np.maximum(count - 1, 0)])


def _distinct(tokens: Codes) -> Codes:
    """Each row's distinct tokens in descending order of code, then -1."""
    ordered = np.negative(tokens)  # in place from here on: copies took longer than sorting
    ordered.sort(axis=1)
    again = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != 1)
    rows = np.flatnonzero(again.any(axis=1))
    mended = ordered[rows]
    mended[:, 1:][again[rows]] = 1
    mended.sort(axis=1)
    ordered[rows] = mended
    return np.negative(ordered, out=ordered)


def standard_given(given: Values) -> Codes:
    """The first token of each given name as the standard form of its nickname group, code by
    distinct value."""
    return given.part("standard", standard_form(pl.col("v")))


def standard_form(given: pl.Expr) -> pl.Expr:
    """The first token of given names as the standard form of its nickname group."""
    table = nicknames()
    return given.str.extract(r"^(\S+)", 1).replace(list(table), list(table.values()))


def overlap(left: Codes, right: Codes) -> npt.NDArray[np.bool_]:
    """Whether a token of `left` (rows, k) stands in `right` (rows, m), row by row."""
    found = np.zeros(len(left), dtype=bool)
    for i in range(left.shape[1]):
        column = left[:, i : i + 1]
        found |= ((right == column) & (column >= 0)).any(axis=1)
    return found
