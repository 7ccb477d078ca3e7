"""Objects and lists inside columns, opened to a bounded depth: what stands in them is judged as columns are.

A nested column itself is never a key, a kind or an attribute: the whole of an object changes with any part of it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import polars as pl
import pyarrow as pa

from onefold_storage.contract_fields import FieldRule
from onefold_storage.derived import taken
from onefold_storage.row_text import frame_of
from onefold_workers.drafting.headers import header_kind, is_about, is_attribute
from onefold_workers.drafting.kinds import identifier
from onefold_workers.drafting.profile import Profile, month_first, profile
from onefold_workers.drafting.types import Type
from onefold_workers.drafting.vocabulary import tokens, vocabulary

_DEEPEST = 4
_MOST_LEAVES = 40
_LOOKED_AT = 300
_NESTED_SHARE = 0.9
_SELDOM = 0.05
"""A name that so few of the objects have is data that stands in a name's place, such as an email."""
_NAME = re.compile(r"[^\W\d][^'\\@]*")
_BARE = re.compile(r"[^.\[\]'\"$*?@]+")
_CONTACTS = ("email", "phone", "street")
_ADDRESS = ("street", "city", "postcode", "region", "country", "house_number", "address_line2")

Steps = tuple[str | int, ...]


@dataclass(frozen=True)
class Leaf:
    """Where a value stands: its column, and the path into it as contracts write paths."""

    column: str
    path: str


@dataclass(frozen=True)
class Opened:
    """A sample without nesting. `frame`: its plain columns, then the leaves as text; `profiles`: of all of them, by
    name; `leaves`: those of them that a contract has to derive; `nested`: the type of each column that was opened;
    `whole`: those columns as text.
    """

    frame: pl.DataFrame
    profiles: dict[str, Profile]
    leaves: dict[str, Leaf]
    nested: dict[str, Type]
    whole: pl.DataFrame


def opened(sample: pa.Table) -> Opened:
    """The sample with its nested columns opened. They are read as they land: as JSON."""
    named = [c for c in sample.column_names if c and not c.startswith("_")]
    frame = cast("pl.DataFrame", pl.from_arrow(sample.select(named))) if named else pl.DataFrame()
    nested = {c: kind for c in named if (kind := _nested(frame[c])) is not None}
    order = month_first(frame)
    profiles = {c: profile(c, frame[c], month_first=order) for c in named if c not in nested}
    if not nested:
        return Opened(frame, profiles, {}, {}, pl.DataFrame())
    texts, _ = frame_of(sample.select(list(nested)))
    leaves: dict[str, Leaf] = {}
    found: list[pl.Series] = []
    for column in nested:
        for steps in _paths(column, texts[column]):
            leaf = Leaf(column, _spelt(steps))
            name = "_".join([column, *(s for s in steps if isinstance(s, str))])
            if name in leaves or name in named:
                continue
            value = taken(FieldRule(column=column, path=leaf.path), texts.schema[column])
            found.append(texts.select(value.alias(name)).to_series())
            leaves[name] = leaf
            profiles[name] = _headed(profile(name, found[-1], month_first=order), column, steps)
    return Opened(frame.drop(*nested).hstack(found), profiles, leaves, nested, texts)


def _nested(values: pl.Series) -> Type | None:
    """The type of a column of objects or lists, native ones or such as stand in text; None of any other column."""
    if isinstance(values.dtype, pl.Struct):
        return Type("object")
    if values.dtype.is_nested():
        return Type("array")
    if values.dtype != pl.String:
        return None
    there = values.drop_nulls().head(_LOOKED_AT)
    shaped = there.filter(there.str.contains(r"^\s*(?:\{[\s\S]*\}|\[[\s\S]*\])\s*$"))
    if not there.len() or shaped.len() < _NESTED_SHARE * there.len():
        return None
    return Type("string") if len(list(_read(shaped))) >= _NESTED_SHARE * there.len() else None


def _read(texts: pl.Series) -> Iterator[object]:
    for text in texts:  # at most some hundred
        try:
            value = json.loads(text)
        except ValueError:
            continue
        if isinstance(value, dict | list):
            yield value


def _paths(column: str, texts: pl.Series) -> list[Steps]:
    """Where the values of a column's objects stand, in the order in which they come."""
    values = list(_read(texts.drop_nulls().head(_LOOKED_AT)))
    counts = Counter(steps for value in values for steps in dict.fromkeys(_walk(column, value, ())))
    often = [steps for steps, count in counts.items() if count >= _SELDOM * len(values)]
    return often[:_MOST_LEAVES]


def _walk(name: str, value: object, steps: Steps) -> Iterator[Steps]:
    """The steps to each value below, of lists to the first: of a person's contact points, and of no other list."""
    if len(steps) > _DEEPEST or value is None:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            if _NAME.fullmatch(key):
                yield from _walk(key, inner, (*steps, key))
    elif isinstance(value, list):
        if value and _points(name):
            yield from _walk(name, value[0], (*steps, 0))
    elif steps:
        yield steps


def _points(name: str) -> bool:
    """The name is that of several contact points: `phones`, `emailAddresses`."""
    kinds = vocabulary().kinds
    words = {*tokens(name), "".join(tokens(name))}
    return any({w, _one(w)} & kinds[kind].anywhere for kind in _CONTACTS for w in words)


def _one(word: str) -> str:
    return word.removesuffix("es") if word.endswith("sses") else word.removesuffix("s")


def _headed(p: Profile, column: str, steps: Steps) -> Profile:
    """The profile under the header that its path amounts to: what it is by itself, or beside the name around it.

    A place is one in whatever object (`address.zip`); a name may be anybody's (`company.name`, `name.first`). What
    the whole path is about stays what it is about (`store.city`).
    """
    names = [column, *(s for s in steps if isinstance(s, str))]
    if 0 in steps:
        at = steps.index(0)
        names[at] = " ".join(_one(w) for w in tokens(names[at]))
    whole, near, own = (replace(p, header=" ".join(n)) for n in (names, names[-2:], names[-1:]))
    if is_about(whole) or is_attribute(whole):
        return whole
    known = header_kind(own)
    if known in _ADDRESS or (known and not header_kind(near) and not identifier(near)):
        return own
    return near


def _spelt(steps: Steps) -> str:
    """The path as contracts write it."""
    parts = [f"[{s}]" if isinstance(s, int) else f".{s}" if _BARE.fullmatch(s) else f"['{s}']" for s in steps]
    return "".join(parts).removeprefix(".")
