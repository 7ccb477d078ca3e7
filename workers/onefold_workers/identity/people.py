"""Records of people, coded for comparison: one column of integers per field, each distinct value held once.

Records are taken in the order of their keys and identical ones are held once, so that the answer depends
neither on the order of arrival nor on how often a record was copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from onefold_workers.identity.fields import ATTRIBUTE, IDENTIFIER, Field, derive
from onefold_workers.identity.names import TOKENS, Names, read_names
from onefold_workers.identity.text import Codes, Values, compact, digits, encode, folded, recode, street

Rows = npt.NDArray[np.int64]
_ID_SLOTS = 4
_MAX_ATTRIBUTES = 12
_LOOKED_AT = 20_000


@dataclass(frozen=True)
class People:
    """`size` records: `columns` holds the compared values by field name, `tokens` the tokens of their names.

    `slots`: identifiers by field name where a record has several of a scheme, shape (size, slots).
    `words`: the vocabulary of the tokens. `holders`: see `conflicts.py`. `copies`: how many records each one stands for.
    """

    size: int
    columns: dict[str, Values]
    tokens: Codes
    given_token: Codes
    family_token: Codes
    slots: dict[str, Codes] = field(default_factory=dict)
    counted: npt.NDArray[np.float64] | None = None
    holders: Codes | None = None
    copies: npt.NDArray[np.integer] | None = None
    words: pl.Series | None = None

    @property
    def persons(self) -> npt.NDArray[np.float64]:
        """How many persons each record stands for when values are counted: 1, but for copies of poor records."""
        return np.ones(self.size) if self.counted is None else self.counted

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields that can be compared."""
        return derive(self.columns)

    def at(self, rows: Rows) -> People:
        """These records alone, with all values."""
        return self._with(rows, {n: v.at(rows) for n, v in self.columns.items()})

    def take(self, rows: Rows) -> People:
        """These records alone, with only the values that they hold."""
        kept = {n: v.at(rows) if n in self.slots else v.take(rows) for n, v in self.columns.items()}
        return self._with(rows, kept)

    def _with(self, rows: Rows, columns: dict[str, Values]) -> People:
        return People(
            len(rows),
            columns,
            self.tokens[rows],
            self.given_token[rows],
            self.family_token[rows],
            {n: s[rows] for n, s in self.slots.items()},
            None if self.counted is None else self.counted[rows],
            words=self.words,
        )


_FORMS: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "gender": lambda v: compact(v).str.slice(0, 1),
    # What follows a plus before the @ is the person's own label on one address.
    "email": lambda v: (
        v.str.slice(0, 320).str.to_lowercase().str.strip_chars().str.replace(r"^([^@+]+)\+[^@]*@", "${1}@")
    ).str.slice(0, 120),
    "phone": lambda v: pl.when(digits(v).str.len_chars() >= 5).then(digits(v).str.slice(-9)),
    "house_number": compact,
    "street": street,
    "address_line2": street,
    "city": folded,
    "region": compact,
    "postcode": compact,
    "country": compact,
    "organisation": folded,
    "birth_date": lambda v: pl.when(digits(v).str.len_chars() >= 4).then(digits(v).str.slice(0, 8)),
}


@dataclass(frozen=True)
class Coded:
    """Some columns of a `People`: what comes out of one group of the records' columns."""

    columns: dict[str, Values]
    slots: dict[str, Codes] = field(default_factory=dict)
    names: tuple[Codes, Codes, Codes] | None = None
    words: pl.Series | None = None


NAMES, BIRTH, IDS, ATTRIBUTES = "names", "birth_date", "external_ids", "attributes"
_GROUPS: dict[str, tuple[str, ...]] = {
    NAMES: ("given_name", "family_name", "middle_name", "full_name"),
    BIRTH: ("birth_date", "birth_digits"),
    IDS: ("external_ids",),
}


def groups(records: pl.DataFrame) -> dict[str, list[str]]:
    """Columns that are coded together, by group: one group can be coded knowing nothing of the others."""
    have = records.columns
    found = {g: [c for c in columns if c in have] for g, columns in _GROUPS.items()}
    found |= {c: [c] for c in _FORMS if c in have and c != BIRTH}
    found |= {c: [c] for c in have if c.startswith(ATTRIBUTE)}
    if "attributes" in have and not any(c.startswith(ATTRIBUTE) for c in have):
        found[ATTRIBUTES] = ["attributes"]
    return {g: c for g, c in found.items() if c}


def code_group(group: str, records: pl.DataFrame, fields: frozenset[str] | None = None) -> Coded:
    """Code the columns of one of the `groups`; what is wholly null, or not among `fields`, makes no field."""
    coded = _code_group(group, records, fields)
    if fields is None:
        return coded
    slots = {n: s for n, s in coded.slots.items() if n in fields}
    return replace(coded, columns={n: v for n, v in coded.columns.items() if n in fields}, slots=slots)


def _code_group(group: str, records: pl.DataFrame, fields: frozenset[str] | None) -> Coded:
    if group == NAMES:
        return _coded_names(records)
    if group == IDS:
        found = _identifiers(records)
        slots = {IDENTIFIER + n: s for n, (_, s) in found.items() if s.shape[1] > 1}
        return Coded({IDENTIFIER + n: v for n, (v, _) in found.items()}, slots)
    if group == BIRTH:
        columns = {BIRTH: _formed(encode(_birth(records)), _FORMS[BIRTH])}
    elif group in _FORMS:
        columns = {group: _formed(encode(records[group]), _FORMS[group])}
    else:
        columns = {ATTRIBUTE + n: _formed(encode(s), folded) for n, s in _attributes(records, fields).items()}
    return Coded({n: v for n, v in columns.items() if v.known.any()})


def _coded_names(records: pl.DataFrame) -> Coded:
    names = _names(records)
    columns = {"given_name": names.given, "family_name": names.family}
    slots: dict[str, Codes] = {}
    rest = _rest(names)
    if (rest >= 0).any():
        columns["middle_name"] = Values(rest[:, 0], pl.Series(np.arange(rest.max() + 1)).cast(pl.String))
        slots["middle_name"] = rest
    columns = {n: v for n, v in columns.items() if v.known.any()}
    return Coded(columns, slots, (names.tokens, names.given_token, names.family_token), names.words)


def assembled(size: int, parts: Iterable[Coded]) -> People:
    """People from their coded groups."""
    columns: dict[str, Values] = {}
    slots: dict[str, Codes] = {}
    words: pl.Series | None = None
    none = np.full((size, 0), -1, dtype=np.int32)
    names: tuple[Codes, Codes, Codes] = (none, np.full(size, -1, np.int32), np.full(size, -1, np.int32))
    for part in parts:
        columns |= part.columns
        slots |= part.slots
        names, words = part.names or names, words if part.words is None else part.words
    return People(size, dict(sorted(columns.items())), *names, dict(sorted(slots.items())), words=words)


def encode_people(records: pl.DataFrame, fields: frozenset[str] | None = None) -> People:
    """Code the columns of `records` (silver's contact records; `birth_digits` may stand in for `birth_date`).

    Columns that are absent or wholly null, or not among `fields`, make no field.
    """
    parts = [code_group(g, records.select(c), fields) for g, c in groups(records).items()]
    return assembled(records.height, parts)


def _formed(values: Values, form: Callable[[pl.Expr], pl.Expr]) -> Values:
    return recode(values, values.series().to_frame("v").select(form(pl.col("v")).alias("v"))["v"])


def _birth(records: pl.DataFrame) -> pl.Series:
    parts = []
    if "birth_date" in records.columns:
        dates = records["birth_date"]
        parts.append(dates.dt.strftime("%Y%m%d") if dates.dtype == pl.Date else dates.cast(pl.String))
    if "birth_digits" in records.columns:
        parts.append(records["birth_digits"].cast(pl.String))
    return pl.select(pl.coalesce(*parts)).to_series() if parts else pl.Series([], dtype=pl.String)


def _names(records: pl.DataFrame) -> Names:
    given, family, middle, full = (encode(records[c]) if c in records.columns else None for c in _GROUPS[NAMES])
    return read_names(given, family, middle, full, records.height)


def _rest(names: Names) -> Codes:
    """Tokens of the names beyond the first given and the last family name."""
    rest = names.tokens.copy()
    for taken in (names.given_token, names.family_token):
        rest[rest == taken[:, None]] = -1
    return -np.sort(-rest, axis=1)[:, : TOKENS - 2]


def _identifiers(records: pl.DataFrame) -> dict[str, tuple[Values, Codes]]:
    """Identifiers by scheme: the first one of each record, and all (at most four) as codes."""
    if "external_ids" not in records.columns or records["external_ids"].null_count() == records.height:
        return {}
    long = (
        records.select(pl.col("external_ids"))
        .with_row_index("row")
        .explode("external_ids")
        .drop_nulls()
        .select("row", pl.col("external_ids").struct.unnest())
        .with_columns(value=compact(pl.col("value")))
        .filter(pl.col("value") != "")
        .unique()
        .sort("scheme", "row", "value")
    )
    out: dict[str, tuple[Values, Codes]] = {}
    for (scheme,), part in long.group_by("scheme", maintain_order=True):
        coded = encode(part["value"])
        place = part.select(p=pl.int_range(pl.len()).over("row"))["p"]
        keep = (place < _ID_SLOTS).to_numpy()
        slot = np.full((records.height, int(place.to_numpy()[keep].max()) + 1), -1, dtype=np.int32)
        slot[part["row"].to_numpy()[keep], place.to_numpy()[keep]] = coded.codes[keep]
        out[str(scheme)] = (Values(slot[:, 0].copy(), coded.values), slot)
    return out


def _attributes(records: pl.DataFrame, fields: frozenset[str] | None) -> dict[str, pl.Series]:
    """Further attributes: columns `attribute:<name>`, or the keys of the JSON objects in `attributes`."""
    given = {c.removeprefix(ATTRIBUTE): records[c] for c in records.columns if c.startswith(ATTRIBUTE)}
    if given or "attributes" not in records.columns or records["attributes"].null_count() == records.height:
        return given
    text = records["attributes"]
    if fields is not None:
        plain = sorted(f.removeprefix(ATTRIBUTE) for f in fields if f.startswith(ATTRIBUTE))
    else:
        some = text.drop_nulls().gather_every(max(1, records.height // _LOOKED_AT))
        keys = some.str.json_path_match("$").str.extract_all(r'"([^"\\]{1,63})"\s*:')
        names = keys.list.explode().drop_nulls().str.extract(r'"([^"]+)"', 1).unique().sort().to_list()
        plain = [n for n in names if n and n.replace("_", "").isalnum()][:_MAX_ATTRIBUTES]
    return {n: text.str.json_path_match(f"$.{n}") for n in plain}


def profiles(people: People, apart: Rows) -> tuple[Rows, Rows]:
    """Identical records collapsed: first row of each distinct one, and each row's place among them.

    `apart`: rows that are kept for themselves because somebody decided about them.
    """
    key = np.zeros(people.size, dtype=np.uint64)
    for values in people.columns.values():
        key = mixed(key, values.codes)
    for slot in (*people.slots.values(), people.tokens):
        for column in slot.T:
            key = mixed(key, column)
    key[apart] = mixed(key[apart], apart.astype(np.int64) + 1)
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    start = np.append(True, ordered[1:] != ordered[:-1]) if len(key) else np.zeros(0, dtype=bool)
    first_of = np.empty(len(key), dtype=np.int64)
    first_of[order] = order[start][np.cumsum(start) - 1] if len(key) else order
    first = np.flatnonzero(first_of == np.arange(len(key)))
    rank = np.empty(len(key), dtype=np.int64)
    rank[first] = np.arange(len(first))
    return first, rank[first_of]


def mixed(key: npt.NDArray[np.uint64], codes: npt.NDArray[np.integer]) -> npt.NDArray[np.uint64]:
    """The key with further codes mixed in (splitmix64 finaliser, Steele et al. 2014)."""
    z = key * np.uint64(0x9E3779B97F4A7C15)
    z += codes.astype(np.int64).view(np.uint64)
    z += np.uint64(0x632BE59BD9B4E019)
    for shift, factor in (
        (30, 0xBF58476D1CE4E5B9),
        (27, 0x94D049BB133111EB),
        (31, 1),
    ):  # in place: fresh pages cost
        z ^= z >> np.uint64(shift)
        z *= np.uint64(factor)
    return z
