"""From bronze to silver: carries out a contract's maps, rows of one source in, rows of canonical tables out.

What a map means is written in `onefold_storage.contract_rules`; here it is done, column by column:

- record key: `source:key`; rows without any declared key have `source:package:row`.
- Of rows with one record key in one package, the last by effective time, landing and row stands. Cases and consents
  keep one per effective time, because their earlier states are history.
- A row without a value for its key, or for a required column that has no sensible default, becomes no row of that
  table; it stays in bronze, where a corrected contract finds it. So does what happened at a time that is mapped and
  absent or not to be read: dated by its landing, an old purchase would be one of today. And a contact record without
  a key and without any value: it would be a customer of whom nothing is known.
"""

from __future__ import annotations

from typing import cast

import polars as pl
import pyarrow as pa

from onefold_storage.contract_rules import FieldRule, MapRules
from onefold_storage.contracts import Contract
from onefold_storage.derived import with_derived
from onefold_storage.errors import BadContract, BadInput
from onefold_storage.schema import CONTACT_RECORDS, INTERACTIONS, TABLES, Table
from onefold_workers.mapping_consents import consent_fields
from onefold_workers.mapping_fields import Fields
from onefold_workers.mapping_values import MOMENT, polars_type, record_key, row_key
from onefold_workers.mapping_words import KIND_OF_ROW

_OWN = ("record_key", "source", "package_id", "row_id")
_LAKE = ("_package_id", "_row_id", "_landed_at")
_HISTORY = ("silver/cases", "silver/consents")
_CHUNK = 500_000


def silver_rows(contract: Contract, rows: pa.Table) -> dict[str, pa.Table]:
    """Rows of canonical tables by table name (`silver/contact_records`, …), each exactly in its `schema.arrow`.

    `rows`: the source's bronze rows: the contract's columns (missing ones are null: the contract may have grown
    since they landed) with `_package_id`, `_row_id`, `_landed_at`, and `_deleted` where a snapshot lost the row.
    Every table that the contract maps to is there, even if it is empty.
    Raises BadInput where a lake column is missing, BadContract where a map sets what only the lake may.
    """
    frame = bronze_frame(contract, rows)
    parts: dict[str, list[pa.Table]] = {}
    for rules in contract.maps:
        table = TABLES[f"silver/{rules.table}"]
        parts.setdefault(table.name, []).append(_conform(table, _mapped(contract, rules, table, frame)))
    return {name: pa.concat_tables(tables) for name, tables in parts.items()}


def untimed(contract: Contract, rows: pa.Table) -> int:
    """Rows that are no interactions because their mapped time is absent or cannot be read. `rows`: see `silver_rows`."""
    timed = [m for m in contract.maps if f"silver/{m.table}" == INTERACTIONS.name and _time(m)]
    if not timed:
        return 0
    frame = bronze_frame(contract, rows)
    return sum(int(frame.select(_untimed(contract, m, frame).sum()).item()) for m in timed)


def bronze_frame(contract: Contract, rows: pa.Table) -> pl.DataFrame:
    """Bronze rows with every column that the contract's maps may name, and `_deleted`.

    Raises:
        BadInput: a lake column is missing.
    """
    absent = [c for c in _LAKE if c not in rows.column_names]
    if absent:
        raise BadInput(f"{contract.bronze}: expected the lake's columns {', '.join(absent)}, found none")
    wanted = [n for n in (*contract.arrow.names, *_LAKE, "_deleted") if n in rows.column_names]
    frame = cast("pl.DataFrame", pl.from_arrow(rows.select(wanted)))
    missing = [c for c in contract.columns if c.name not in frame.columns]
    nulls = [pl.lit(None, dtype=polars_type(c.type)).alias(c.name) for c in missing]
    deleted = pl.col("_deleted").fill_null(False) if "_deleted" in frame.columns else pl.lit(False)
    frame = frame.with_columns(*nulls, deleted.alias("_deleted"))
    return with_derived(contract, frame, contract.rules.derived)


def _mapped(contract: Contract, rules: MapRules, table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    forbidden = sorted(set(rules.fields) & set(_OWN))
    if forbidden:
        raise BadContract(
            f"{contract.id}: maps: {rules.table}: {', '.join(forbidden)} is set by the lake; leave it out"
        )
    if table is INTERACTIONS and _time(rules):
        frame = frame.filter(~_untimed(contract, rules, frame))
    key = rules.key or contract.primary_key
    base = frame.with_columns(
        _record_key(contract, key, frame).alias("record_key"),
        pl.lit(contract.id).alias("source"),
        _effective(contract, rules, frame).alias("effective_at"),
    )
    if key:
        base = base.filter(pl.col("record_key").is_not_null())
        if table.name not in _HISTORY:
            base = _last(base)
    fields = Fields(contract, rules, base)
    produced = consent_fields(contract, fields) if table.name == "silver/consents" else fields.of(table)
    if KIND_OF_ROW.get(table.name):
        kind = produced.get("kind", pl.lit(None, dtype=pl.String))
        produced["kind"] = kind.fill_null(KIND_OF_ROW[table.name])
    gone = pl.col("_deleted") | produced.pop("deleted", pl.lit(False)).fill_null(False)
    produced = (
        {n: pl.col(n) for n in ("record_key", "source", "effective_at", *_LAKE)} | produced | {"deleted": gone}
    )
    mapped = base.select(e.alias(n) for n, e in produced.items())
    if fields.person is not None:
        mapped = mapped.hstack(fields.person.get_columns())
    mapped = mapped.filter(
        pl.all_horizontal(pl.col(n).is_not_null() for n in table.required if n in mapped.columns)
    )
    if table is CONTACT_RECORDS and not key:
        mapped = mapped.filter(pl.col("deleted") | _tells(mapped))
    if key and table.name in _HISTORY:
        mapped = _last(mapped, "effective_at")
    return mapped.rename({"_package_id": "package_id", "_row_id": "row_id"})


def _record_key(contract: Contract, key: tuple[str, ...], frame: pl.DataFrame) -> pl.Expr:
    return record_key(contract.id, key, frame.schema) if key else row_key(contract.id)


def _effective(contract: Contract, rules: MapRules, frame: pl.DataFrame) -> pl.Expr:
    landed = pl.col("_landed_at").cast(MOMENT)
    rule = _time(rules)
    return pl.coalesce(Fields(contract, rules, frame).moment(rule), landed) if rule else landed


def _time(rules: MapRules) -> FieldRule | None:
    """Where the map says that the effective time stands."""
    named = rules.fields.get("effective_at")
    rule = FieldRule(column=rules.effective_at) if rules.effective_at else named
    return rule if rule is not None and rule.column is not None else None


def _untimed(contract: Contract, rules: MapRules, frame: pl.DataFrame) -> pl.Expr:
    """Rows without a readable time; one that says that an interaction is deleted needs none."""
    fields, rule = Fields(contract, rules, frame), _time(rules)
    assert rule is not None
    gone = pl.col("_deleted")
    if "deleted" in rules.fields:
        gone = gone | fields.typed(INTERACTIONS, "deleted", pa.bool_()).fill_null(False)
    return fields.moment(rule).is_null() & ~gone


def _tells(mapped: pl.DataFrame) -> pl.Expr:
    """Whether a contact record says anything of its person."""
    own = {c.name for c in CONTACT_RECORDS.columns} - {
        "record_key",
        "source",
        "package_id",
        "row_id",
        "effective_at",
    }
    columns = [n for n in mapped.columns if n in own - {"deleted"}]
    lists = [pl.col(n).list.len() > 0 for n in columns if isinstance(mapped.schema[n], pl.List)]
    return pl.any_horizontal(
        pl.lit(False),
        *lists,
        *(pl.col(n).is_not_null() for n in columns if not isinstance(mapped.schema[n], pl.List)),
    )


def _last(frame: pl.DataFrame, *further: str) -> pl.DataFrame:
    """Of rows with one record key in one package, the last; the others' order stays."""
    keys = ["record_key", "_package_id", *further]
    order = frame.select(*keys, *{"effective_at", "_landed_at", "_row_id"} - set(keys)).with_row_index("at")
    if frame.height == order.select(pl.struct(keys).n_unique()).item():
        return frame
    latest = order.sort("effective_at", "_landed_at", "_row_id").unique(keys, keep="last")
    return frame[latest.get_column("at").sort()]


def _conform(table: Table, mapped: pl.DataFrame) -> pa.Table:
    """Exactly the table's schema: order, types, and null for what the map does not give."""
    present = {n: t for n, t in mapped.schema.items() if n in table.arrow.names}
    columns = [
        (pl.col(f.name) if f.name in present else pl.lit(None)).cast(polars_type(f.type)).alias(f.name)
        for f in table.arrow
    ]
    frame = mapped.select(columns)
    # In stretches, because Arrow's string type holds two gigabytes a chunk.
    chunks = [
        frame.slice(at, _CHUNK).to_arrow(compat_level=pl.CompatLevel.oldest()).cast(table.arrow)
        for at in range(0, frame.height, _CHUNK)
    ]
    return pa.concat_tables(chunks) if chunks else table.arrow.empty_table()
