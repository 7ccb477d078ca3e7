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
from onefold_workers.identity.text import Codes, Values, encode

Levels = npt.NDArray[np.uint8]
Packed = npt.NDArray[np.uint64]
BITS = 3
"""Bits per field in a packed pattern: up to seven levels, `fields.MAX_FIELDS` fields."""


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
    first, second = values.values[a].tolist(), values.values[b].tolist()
    workers = 2 if len(a) > 50_000 else 1
    return process.cpdist(first, second, scorer=scorer, score_cutoff=cutoff, workers=workers, dtype=np.float32)


def _given(people: People, field: Field, left: Rows, right: Rows) -> Levels:
    """Different, fuzzy, elsewhere in the name, nearly the same, nickname or initial, same."""
    values = people.columns[field.name]
    levels, a, b, rest = _start(values, left, right, 6)
    levels = _name(people, people.given_token, levels, values, a, b, rest, left, right)
    rest = np.flatnonzero((levels > 0) & (levels < 6))
    standard = standard_given(values)
    initial = np.array([v[:1] if len(v) == 1 else "" for v in values.values], dtype=object)
    x, y = a[rest], b[rest]
    nick = standard.codes[x] == standard.codes[y]
    letters = np.array([v[:1] for v in values.values], dtype=object)
    is_initial = initial != ""
    nick |= (is_initial[x] | is_initial[y]) & (letters[x] == letters[y])
    levels[rest[nick]] = 5
    return levels


def _family(people: People, field: Field, left: Rows, right: Rows) -> Levels:
    """Different, fuzzy, elsewhere in the name, nearly the same, part of a double name, same."""
    values = people.columns[field.name]
    levels, a, b, rest = _start(values, left, right, 6)
    levels = _name(people, people.family_token, levels, values, a, b, rest, left, right)
    double = np.array([" " in v for v in values.values], dtype=bool)
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
    text = values.series()
    known = text.str.len_chars().to_numpy() == 8
    year, month, day = (
        text.str.slice(s, n).cast(pl.Int32, strict=False).fill_null(-1).to_numpy()
        for s, n in ((0, 4), (4, 2), (6, 2))
    )
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
    local = np.array([str(v).split("@", 1)[0] for v in values.values], dtype=object)
    before = Values(np.zeros(0, dtype=np.int32), local)
    x, y = a[rest], b[rest]
    out = 1 + (_likeness(before, x, y, JaroWinkler.similarity, 0.9) >= 0.92).astype(np.uint8)
    long = np.array([len(v) >= 4 for v in local], dtype=bool)
    out[(local[x] == local[y]) & long[x]] = 3
    number = encode(
        values.series().to_frame("v").select(pl.col("v").str.replace_all(r"\D", "").add("."))["v"]
    ).codes
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
    initial = np.array([str(v)[:2] for v in values.values] + [""], dtype=object)
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
    area = postcode_area(values)
    x, y = a[rest], b[rest]
    out = np.where((area.codes[x] == area.codes[y]) & (area.codes[x] >= 0), 2, 1).astype(np.uint8)
    out[_likeness(values, x, y, OSA.distance, 1) <= 1] = 3
    levels[rest] = out
    return levels


def _identifier(people: People, field: Field, left: Rows, right: Rows) -> Levels:
    """Different, one slip in five or more characters, same (any of several)."""
    values = people.columns[field.name]
    levels, a, b, rest = _start(values, left, right, 3)
    long = np.array([len(v) >= 5 for v in values.values], dtype=bool)
    open_ = rest[long[a[rest]] & long[b[rest]]]
    levels[open_[_likeness(values, a[open_], b[open_], OSA.distance, 1) <= 1]] = 2
    slots = people.slots.get(field.name)
    if slots is not None:
        levels[rest[overlap(slots[left[rest]], slots[right[rest]])]] = 3
    return levels


def postcode_area(values: Values) -> Values:
    """The larger area a postcode lies in: its first half, or all but the last three characters with letters."""
    text = values.series()
    v = pl.col("v")
    long = v.str.len_chars().cast(pl.Int64)
    lettered = v.str.contains(r"^[a-z]{1,2}\d.*\d[a-z]{2}$")
    cut = pl.when(lettered).then(long - 3).otherwise((long + 1) // 2)
    return encode(text.to_frame("v").select(v.str.slice(0, cut).alias("v"))["v"])


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
