"""The one place that carries comparisons out: pairs of records in, one packed integer of levels per pair out.

Equal and missing values are told by their codes; only what is left goes to rapidfuzz's batch functions
(1 M pairs of names take 0.17 s, less than finding out which pairs of values occur twice).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA, JaroWinkler

from onefold_workers.identity.fields import Field
from onefold_workers.identity.names import overlap, standard_given
from onefold_workers.identity.people import People, Rows
from onefold_workers.identity.text import Codes, Values

Levels = npt.NDArray[np.uint8]
Packed = npt.NDArray[np.uint64]
BITS = 3
"""Bits per field in a packed pattern: up to seven levels, `fields.MAX_FIELDS` fields."""


_V = pl.col("v")
_LONG = _V.str.len_chars().cast(pl.Int64)
AREA = _V.str.slice(
    0, pl.when(_V.str.contains(r"^[a-z]{1,2}\d.*\d[a-z]{2}$")).then(_LONG - 3).otherwise((_LONG + 1) // 2)
)
"""The larger area a postcode lies in: its first half; where letters follow digits, all but the last three."""

_AT = _V.str.split("@").list.first()
_PARTS: dict[str, pl.Expr] = {
    "letter": _V.str.slice(0, 1),
    "initial": _V.str.len_chars() == 1,
    "two letters": _V.str.slice(0, 2),
    "double": _V.str.contains(" ", literal=True),
    "whole": _V.str.len_chars() == 8,
    "year": _V.str.slice(0, 4).cast(pl.Int32, strict=False),
    "month": _V.str.slice(4, 2).cast(pl.Int32, strict=False),
    "day": _V.str.slice(6, 2).cast(pl.Int32, strict=False),
    "local": _AT,
    "number": _V.str.replace_all(r"\D+", "").add("."),
    "long local": _AT.str.len_chars() >= 4,
    "long": _V.str.len_chars() >= 5,
    "area": AREA,
}
_NEEDED: dict[str, tuple[str, ...]] = {
    "given": ("letter", "initial", "two letters"),
    "family": ("double", "two letters"),
    "date": ("whole", "year", "month", "day"),
    "email": ("local", "number", "long local"),
    "postcode": ("area",),
    "identifier": ("long",),
}
"""Parts of values that a comparison looks at."""


def prepare(values: Values, field: Field) -> None:
    """Make the parts of the distinct values that comparing this field needs, so that it is done once."""
    for name in _NEEDED.get(field.compare, ()):
        _part(values, name)
    if field.compare == "given":
        standard_given(values)


def _part(values: Values, name: str) -> Codes:
    return values.part(name, _PARTS[name])


def compare_pairs(people: People, left: Rows, right: Rows) -> Packed:
    """Levels of all fields of the pairs (left[i], right[i]), `BITS` bits each, first field lowest."""
    packed = np.zeros(len(left), dtype=np.uint64)
    done: dict[str, Levels] = {}
    top = {f.name: f.levels - 1 for f in people.fields}
    for place, field in enumerate(people.fields):
        levels = _COMPARE[field.compare](people, field, left, right)
        for finer in field.implied_by:
            if finer in done:
                levels[done[finer] == top[finer]] = 0
        done[field.name] = levels
        packed |= levels.astype(np.uint64) << np.uint64(BITS * place)
    return packed


def unpacked(packed: Packed, fields: tuple[Field, ...]) -> Levels:
    """Levels by pattern and field, shape (patterns, fields)."""
    shifts = np.arange(len(fields), dtype=np.uint64) * np.uint64(BITS)
    return ((packed[:, None] >> shifts[None, :]) & np.uint64((1 << BITS) - 1)).astype(np.uint8)


def _start(values: Values, left: Rows, right: Rows, top: int) -> tuple[Levels, Codes, Codes, Rows]:
    """Levels for missing (0), same (top) and else (1); the codes; and which pairs are still open."""
    a, b = values.codes[left], values.codes[right]
    missing = (a < 0) | (b < 0)
    levels = np.where(missing, 0, np.where(a == b, top, 1)).astype(np.uint8)
    return levels, a, b, np.flatnonzero(levels == 1)


def _likeness(values: Values, a: Codes, b: Codes, scorer: Any, cutoff: float) -> npt.NDArray[np.float32]:
    """Likeness of the values behind codes a[i] and b[i]; below the cut-off (above, for distances) it is coarse."""
    if not len(a):
        return np.zeros(0, dtype=np.float32)
    first, second = values.texts(a), values.texts(b)
    return process.cpdist(first, second, scorer=scorer, score_cutoff=cutoff, dtype=np.float32)


def _given(people: People, field: Field, left: Rows, right: Rows) -> Levels:
    """Different, fuzzy, elsewhere in the name, nearly the same, nickname or initial, same."""
    values = people.columns[field.name]
    levels, a, b, rest = _start(values, left, right, 6)
    levels = _name(people, people.given_token, levels, values, a, b, rest, left, right)
    rest = np.flatnonzero((levels > 0) & (levels < 6))
    standard, letter, initial = standard_given(values), _part(values, "letter"), _part(values, "initial") == 1
    x, y = a[rest], b[rest]
    nick = (standard[x] == standard[y]) | ((initial[x] | initial[y]) & (letter[x] == letter[y]))
    levels[rest[nick]] = 5
    return levels


def _family(people: People, field: Field, left: Rows, right: Rows) -> Levels:
    """Different, fuzzy, elsewhere in the name, nearly the same, part of a double name, same."""
    values = people.columns[field.name]
    levels, a, b, rest = _start(values, left, right, 6)
    levels = _name(people, people.family_token, levels, values, a, b, rest, left, right)
    double = _part(values, "double") == 1
    rest = rest[double[a[rest]] | double[b[rest]]]
    if rest.size:
        part = _likeness(values, a[rest], b[rest], fuzz.token_set_ratio, 99.5) >= 99.5
        levels[rest[part]] = 5
    return levels


def _name(
    people: People,
    token: Codes,
    levels: Levels,
    values: Values,
    a: Codes,
    b: Codes,
    rest: Rows,
    left: Rows,
    right: Rows,
) -> Levels:
    score = _likeness(values, a[rest], b[rest], JaroWinkler.similarity, 0.8)
    levels[rest] = 1 + (score >= 0.82)
    levels[rest[score >= 0.91]] = 4
    low = rest[score < 0.91]
    i, j = left[low], right[low]
    elsewhere = overlap(token[i][:, None], people.tokens[j]) | overlap(token[j][:, None], people.tokens[i])
    levels[low[elsewhere]] = 3
    return levels


def _rest(people: People, field: Field, left: Rows, right: Rows) -> Levels:
    """Further names: nothing shared, something shared, all shared."""
    tokens = people.slots[field.name]
    a, b = tokens[left], tokens[right]
    levels = ((a[:, 0] >= 0) & (b[:, 0] >= 0)).astype(np.uint8)
    rest = np.flatnonzero(levels)
    x, y = a[rest], b[rest]
    levels[rest[overlap(x, y)]] = 2
    levels[rest[(x == y).all(axis=1)]] = 3
    return levels


def _date(people: People, field: Field, left: Rows, right: Rows) -> Levels:
    """Different, same year, two parts of three, one slip or day and month exchanged, same."""
    values = people.columns[field.name]
    levels, a, b, rest = _start(values, left, right, 5)
    known = _part(values, "whole") == 1
    year, month, day = (_part(values, name) for name in ("year", "month", "day"))
    x, y = a[rest], b[rest]
    full = known[x] & known[y]
    same_y, same_m, same_d = year[x] == year[y], (month[x] == month[y]) & full, (day[x] == day[y]) & full
    swapped = same_y & full & (month[x] == day[y]) & (day[x] == month[y])
    out = np.where(same_y, 2, 1)
    # 1 January stands for "some day of that year": that two dates have it says nothing.
    vague = (month[x] == 1) & (day[x] == 1)
    out[(same_y & (same_m | same_d)) | (same_m & same_d & ~vague)] = 3
    slip = _likeness(values, x, y, OSA.distance, 1) <= 1
    out[slip | swapped] = 4
    levels[rest] = out
    return levels


def _email(people: People, field: Field, left: Rows, right: Rows) -> Levels:
    """Different, alike before the @, same before it, one slip that leaves the digits alone, same.

    People of one name choose like addresses, so likeness before the @ says nothing where the names agree.
    """
    values = people.columns[field.name]
    levels, a, b, rest = _start(values, left, right, 5)
    local, number, long = _part(values, "local"), _part(values, "number"), _part(values, "long local") == 1
    x, y = a[rest], b[rest]
    same = local[x] == local[y]
    out = np.where(same & long[x], 3, 1).astype(np.uint8)
    open_ = np.flatnonzero(~same)
    out[open_[_likeness(values, x[open_], y[open_], JaroWinkler.similarity, 0.9) >= 0.92]] = 2
    slip = np.flatnonzero((out > 1) & (number[x] == number[y]))
    near = _likeness(values, x[slip], y[slip], OSA.distance, 2) <= 2
    named = (_alike(people, "given_name", left[rest], right[rest])) & _alike(
        people, "family_name", left[rest], right[rest]
    )
    out[named & (out > 1)] = 0
    out[slip[near]] = 4
    levels[rest] = out
    return levels


def _alike(people: People, name: str, left: Rows, right: Rows) -> npt.NDArray[np.bool_]:
    values = people.columns.get(name)
    if values is None:
        return np.zeros(len(left), dtype=bool)
    a, b = values.codes[left], values.codes[right]
    initial = _part(values, "two letters")
    return np.asarray((a >= 0) & (b >= 0) & (initial[a] == initial[b]))


def _stepped(scorer: Any, steps: tuple[float, ...], distance: bool) -> Callable[..., Levels]:
    """A comparison with one level per step of likeness, the least likely first."""

    def compare(people: People, field: Field, left: Rows, right: Rows) -> Levels:
        values = people.columns[field.name]
        levels, a, b, rest = _start(values, left, right, len(steps) + 2)
        score = _likeness(values, a[rest], b[rest], scorer, steps[0]) if steps else np.zeros(0)
        for step, bound in enumerate(steps):
            levels[rest[score <= bound if distance else score >= bound]] = step + 2
        return levels

    return compare


def _postcode(people: People, field: Field, left: Rows, right: Rows) -> Levels:
    """Different, same area, one slip, same."""
    values = people.columns[field.name]
    levels, a, b, rest = _start(values, left, right, 4)
    area = _part(values, "area")
    x, y = a[rest], b[rest]
    out = np.where((area[x] == area[y]) & (area[x] >= 0), 2, 1).astype(np.uint8)
    out[_likeness(values, x, y, OSA.distance, 1) <= 1] = 3
    levels[rest] = out
    return levels


def _identifier(people: People, field: Field, left: Rows, right: Rows) -> Levels:
    """Different, one slip in five or more characters, same (any of several)."""
    values = people.columns[field.name]
    levels, a, b, rest = _start(values, left, right, 3)
    long = _part(values, "long") == 1
    open_ = rest[long[a[rest]] & long[b[rest]]]
    levels[open_[_likeness(values, a[open_], b[open_], OSA.distance, 1) <= 1]] = 2
    slots = people.slots.get(field.name)
    if slots is not None:
        levels[rest[overlap(slots[left[rest]], slots[right[rest]])]] = 3
    return levels


_COMPARE: dict[str, Callable[[People, Field, Rows, Rows], Levels]] = {
    "given": _given,
    "family": _family,
    "rest": _rest,
    "date": _date,
    "email": _email,
    "postcode": _postcode,
    "identifier": _identifier,
    "same": _stepped(JaroWinkler.similarity, (), distance=False),
    "number": _stepped(OSA.distance, (1,), distance=True),
    "phone": _stepped(OSA.distance, (1,), distance=True),
    "place": _stepped(JaroWinkler.similarity, (0.88,), distance=False),
    "street": _stepped(fuzz.ratio, (70.0, 86.0), distance=False),
}
