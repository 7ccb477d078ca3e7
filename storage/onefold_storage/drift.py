"""Where a source leaves its contract, and the history of its columns.

A delivery in which a column stopped fitting altogether is a change at the source, not bad rows: it is held back
whole, and lands when the contract was amended. Columns that the contract does not name stay in `_extra`; they and
promised ones that stopped coming are told once. What changed, and with which package and version of the contract,
stands in `columns/<source>.json`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any, cast

import orjson
import polars as pl
import pyarrow as pa

from onefold_storage.contract_fields import format_said
from onefold_storage.contracts import Contract
from onefold_storage.deliveries import BadRow, Batch
from onefold_storage.errors import BadInput
from onefold_storage.evolution import type_words
from onefold_storage.lake import Lake

_LEAST = 3
"""Values from which on a column that never fits is a change at the source."""
_NAME = re.compile(r"[^\W\d][\w .:/#-]{0,62}")
"""What may be shown as a column's name: without a header line, or with data as keys, it may be a person's data."""
_LONG_NUMBER = re.compile(r"\d{5}")
_SAMPLE = 1000
_KEPT = 200


class Drift:
    """What a delivery's columns are beside its contract's; one for each delivery.

    `apart`: its rows come from many senders, of whom each leaves out what it has not.
    """

    def __init__(self, contract: Contract, *, apart: bool = False) -> None:
        self._contract, self._apart = contract, apart
        self._given: Counter[str] = Counter()
        self._misfits: Counter[str] = Counter()
        self._samples: dict[str, pa.ChunkedArray] = {}
        self._seen: dict[str, None] = {}
        self._rows = 0

    def note(self, batch: Batch, bad: Iterable[BadRow]) -> None:
        """Look at a batch and at those of its rows that break the contract."""
        self._rows += batch.rows.num_rows
        self._seen |= dict.fromkeys(batch.rows.column_names)
        faults = Counter(b.field for b in bad if b.rule == "type" and b.field)
        for name in batch.rows.column_names:
            if name in self._contract.by_name:
                column = batch.rows.column(name)
                self._given[name] += batch.rows.num_rows - column.null_count
                if name in faults and name not in self._samples:
                    self._samples[name] = column.slice(0, _SAMPLE)
        self._misfits.update(faults)

    def hold(self, origin: str) -> None:
        """Hold the delivery back where no value of a column fits any more.

        Raises:
            BadInput: so it is; names origin, column, what was expected and found, and what to do.
        """
        for name, misfits in self._misfits.items():
            if misfits >= _LEAST and misfits == self._given[name] and 2 * misfits >= self._rows:
                column = self._contract.by_name[name]
                form = format_said(column.rules.format)
                raise BadInput(
                    f"{origin}: column {name} has changed: contract {self._contract.id} expects {column.logical_type}"
                    f"{form}, found {_found(self._samples[name])} in all {misfits:,} values. If that is right, amend "
                    "the contract (text holds everything) and land again; if not, ask the source. The package is "
                    "held back until then"
                )

    @property
    def unknown(self) -> list[str]:
        """Names of columns that the contract does not have, as far as they look like names; sorted."""
        if not self._seen.keys() & self._contract.by_name.keys():
            return []
        names = (n for n in self._seen if n not in self._contract.by_name)
        return sorted(n for n in names if _NAME.fullmatch(n) and not _LONG_NUMBER.search(n))[:_KEPT]

    @property
    def absent(self) -> list[str]:
        """Columns of the contract that did not come, sorted; none of a delivery without rows."""
        return [] if self._apart or not self._rows else sorted(self._contract.by_name.keys() - self._seen.keys())


def remember(lake: Lake, contract: Contract, drift: Drift, package_id: str, at: datetime) -> str | None:
    """Bring the history of a source's columns up to its table and this delivery; what is new of it, for people."""
    known = history(lake, contract.id)
    first = not known
    before = known or {"columns": {}, "unknown": [], "absent": [], "changes": []}
    columns = {c.name: type_words(c.type) for c in contract.columns}
    entry: dict[str, Any] = {
        "added": {n: t for n, t in columns.items() if n not in before["columns"]},
        "changed": {n: [before["columns"][n], t] for n, t in columns.items() if before["columns"].get(n, t) != t},
        "removed": sorted(before["columns"].keys() - columns.keys()),
        "unknown": [n for n in drift.unknown if n not in before["unknown"]],
        "absent": [n for n in drift.absent if n not in before["absent"]],
    }
    if not any(entry.values()):
        return None
    stamp = {"at": at.isoformat(), "package": package_id, "contract": contract.version}
    unknown = sorted({n for n in before["unknown"] if n not in columns} | set(entry["unknown"]))[:_KEPT]
    state = {
        "columns": columns,
        "unknown": unknown,
        "absent": sorted({*before["absent"], *drift.absent} & columns.keys()),
        "changes": [*before["changes"], stamp | {k: v for k, v in entry.items() if v}],
    }
    lake.objects.put(_key(contract.id), orjson.dumps(state))
    return _told(entry, first=first)


def history(lake: Lake, source: str) -> dict[str, Any]:
    """What is known of a source's columns; empty where nothing has landed.

    `columns`: type by name, `unknown`: names that the contract does not have, `absent`: those that did not always come,
    `changes`: oldest first, each with its time, package and contract version.
    """
    data = lake.objects.get(_key(source))
    return cast("dict[str, Any]", orjson.loads(data)) if data else {}


def _told(entry: dict[str, Any], *, first: bool) -> str | None:
    told = []
    if not first and (entry["added"] or entry["changed"]):
        new = [*entry["added"], *(f"{n} ({a} to {b})" for n, (a, b) in entry["changed"].items())]
        told.append(f"the table follows the contract: {', '.join(new)}")
    if entry["unknown"]:
        told.append(
            f"{_columns(entry['unknown'])} not in the contract, kept in _extra: {', '.join(entry['unknown'])}"
        )
    if entry["absent"]:
        told.append(f"{_columns(entry['absent'])} of the contract did not come: {', '.join(entry['absent'])}")
    return "; ".join(told) or None


def _columns(names: list[str]) -> str:
    return f"{len(names)} column{'s' * (len(names) != 1)}"


def _found(sample: pa.ChunkedArray) -> str:
    """The narrowest type that holds the values."""
    if not (pa.types.is_string(sample.type) or pa.types.is_large_string(sample.type)):
        return type_words(sample.type)
    text = cast("pl.Series", pl.from_arrow(sample)).drop_nulls().str.strip_chars()
    for kind in (pl.Int64, pl.Float64):
        if text.cast(kind, strict=False).null_count() == 0:
            return "integer" if kind == pl.Int64 else "number"
    if text.str.to_lowercase().is_in(["true", "false", "yes", "no"]).all():
        return "boolean"
    if text.str.contains(r"^\d{4}-\d\d-\d\d").all():
        return "date" if text.str.len_chars().eq(10).all() else "timestamp"
    return "text"


def _key(source: str) -> str:
    return f"columns/{source}.json"
