"""What rows could as well mean: numbers and days that a contract reads one way and that nothing proves to be so.

Nothing is lost by such a reading, so no count of failed values shows that it is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import polars as pl
import pyarrow as pa

from onefold_storage.contract_fields import each_format
from onefold_storage.contract_rules import MapRules
from onefold_storage.contracts import Contract
from onefold_storage.schema import TABLES
from onefold_workers.decimal_marks import marks
from onefold_workers.mapping import bronze_frame
from onefold_workers.mapping_fields import Fields
from onefold_workers.mapping_values import bare_number

_DAY_AND_MONTH = re.compile(r"%[dm][/-]%[dm]")
_MONTHS = 12


def doubts(contract: Contract, rows: pa.Table) -> tuple[str, ...]:
    """A sentence for each column that is read by a guess; none holds a value. `rows` as for `silver_rows`."""
    frame = bronze_frame(contract, rows).with_columns(pl.lit("").alias("record_key"))
    numbers = [said for rules in contract.maps for said in _numbers(Fields(contract, rules, frame), rules)]
    return tuple(dict.fromkeys([*numbers, *_days(contract, frame)]))


def _numbers(fields: Fields, rules: MapRules) -> Iterator[str]:
    types = {c.name: c.type for c in TABLES[f"silver/{rules.table}"].columns}
    for name, rule in rules.fields.items():
        target = types[name]
        if not (pa.types.is_decimal(target) or pa.types.is_floating(target)):
            continue
        if rule.column is None or rule.path or fields.locale(rule) or fields.frame.schema[rule.column] != pl.String:
            continue
        bare = fields.frame.select(bare_number(fields.text(rule)).alias("x")).to_series().drop_nulls()
        found = marks(bare)
        if found.either and found.mark != ".":
            why = "others have a decimal comma" if found.comma else "nothing tells"
            yield (
                f"{rules.table}.{name}: numbers such as 1.234 are read as one and a bit, such as 1,234 as more than a"
                f" thousand; {why}, so name a `locale`"
            )


def _days(contract: Contract, frame: pl.DataFrame) -> Iterator[str]:
    for name, column in contract.by_name.items():
        form = next((f for f in each_format(column.rules.format) if _DAY_AND_MONTH.search(f)), None)
        if form is None:
            continue
        values = frame.get_column(name)
        if values.dtype == pl.String:
            clock = "%H" in form or "%I" in form
            values = values.str.strip_chars().str.strptime(
                pl.Datetime("us") if clock else pl.Date, form, strict=False
            )
        days = values.drop_nulls()
        if days.dtype in (pl.Date, pl.Datetime) and len(days) and (days.dt.day() <= _MONTHS).all():
            yield f"{name}: read by {form}; every day is at most 12, so day and month could be the other way round"
