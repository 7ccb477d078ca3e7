"""What a contract's maps could not read: values that are there and of which nothing becomes.

A map never fails a row over a value: an amount that is no number is null, a time that cannot be read is the time of
landing, or keeps the row from being an interaction. So a preview counts them, field by field, before anything lands.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pyarrow as pa

from onefold_storage.contract_rules import FieldRule, MapRules
from onefold_storage.contracts import Contract
from onefold_storage.derived import written
from onefold_storage.schema import TABLES, Table
from onefold_workers.mapping import bronze_frame, untimed
from onefold_workers.mapping_fields import Fields


def losses(contract: Contract, rows: pa.Table) -> dict[str, int]:
    """Rows by `table.field` whose value was lost; fields that lost none are left out. `rows` as for `silver_rows`.

    For the time of interactions, which they cannot be without, absent values count too.
    """
    frame = bronze_frame(contract, rows).with_columns(pl.lit("").alias("record_key"))
    found: dict[str, int] = {}
    for rules in contract.maps:
        table = TABLES[f"silver/{rules.table}"]
        for field, lost in _lost(Fields(contract, rules, frame), rules, table, frame):
            if lost:
                name = f"{rules.table}.{field}"
                found[name] = found.get(name, 0) + lost
    if without := untimed(contract, rows):
        found["interactions.effective_at"] = without
    return found


def _lost(fields: Fields, rules: MapRules, table: Table, frame: pl.DataFrame) -> Iterator[tuple[str, int]]:
    types = {c.name: c.type for c in table.columns}
    made = fields.of(table)
    person = fields.person
    if person is not None:
        kinds = fields.contract.kinds
        for kind in dict.fromkeys(k for k in kinds.values() if k in person.columns and k not in rules.fields):
            given = [written(pl.col(c), frame.schema[c]).is_not_null() for c, k in kinds.items() if k == kind]
            there = frame.select(pl.any_horizontal(given).alias("there"))["there"]
            yield kind, int((there & person[kind].is_null()).sum())
    for name, rule in rules.fields.items():
        if rule.column is None or name not in types:
            continue
        there = frame.select(fields.text(rule).is_not_null().alias("there"))["there"]
        if person is not None and name in person.columns:
            yield name, int((there & person[name].is_null()).sum())
            continue
        value = fields.moment(rule) if name == "effective_at" else made.get(name)
        if value is not None:
            yield name, int((there & frame.select(value.is_null().alias("null"))["null"]).sum())
    column = rules.effective_at
    if column is not None:
        there = frame.select(written(pl.col(column), frame.schema[column]).is_not_null().alias("there"))["there"]
        value = fields.moment(FieldRule(column=column))
        yield "effective_at", int((there & frame.select(value.is_null().alias("null"))["null"]).sum())
