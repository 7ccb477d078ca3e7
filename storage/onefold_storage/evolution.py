"""How a bronze table follows its contract: what it has, then what the contract adds.

A column that a contract adds is added to the table; what breaks with what has landed holds the package back.
"""

from __future__ import annotations

import pyarrow as pa

from onefold_storage.contracts import Contract
from onefold_storage.errors import BadContract
from onefold_storage.lake import Lake, TableShape
from onefold_storage.schema import BRONZE_META


def bronze_shape(lake: Lake, contract: Contract) -> TableShape:
    """The shape that the contract's bronze table has after it was brought up to the contract.

    Raises:
        BadContract: the contract does not fit the table that earlier packages made.
    """
    meta = [pa.field(c.name, c.type) for c in BRONZE_META]
    wanted = pa.schema([*contract.arrow, *meta])
    statistics = ("_package_id", "_row_id", "_landed_at", "_deleted")
    required = tuple(c.name for c in BRONZE_META if c.required)
    if not lake.exists(contract.bronze):
        return TableShape(wanted, (), statistics, required)
    present = pa.schema(lake.handle(contract.bronze).schema().to_arrow())
    changed = [f"{f.name} from {present.field(f.name).type} to {f.type}" for f in wanted
               if f.name in present.names and present.field(f.name).type != f.type]  # fmt: skip
    if changed:
        raise BadContract(
            f"{contract.id}: the contract changes the type of {'; '.join(changed)}; that breaks what has "
            "landed: give the column a new name, or keep its type"
        )
    added = [f for f in wanted if f.name not in present.names]
    if added:
        from deltalake import Schema

        with lake.lock(contract.bronze):
            lake.handle(contract.bronze).alter.add_columns(list(Schema.from_arrow(pa.schema(added)).fields))
    return TableShape(pa.schema([*present, *added]), (), statistics, required)
