"""A lake of people in two sources, with purchases and wishes, for tests of what decisions do to it; run by path."""

from __future__ import annotations

import importlib.util
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl

from onefold_storage.installation import Installation
from onefold_storage.schema import CONSENTS, CONTACT_RECORDS, CUSTOMERS, INTERACTIONS, LINKS, PERMISSIONS, Table
from onefold_storage.settings import StorageSettings
from onefold_workers.stages.gathering import customer_rows, gather
from onefold_workers.stages.profiling import build_profiles
from onefold_workers.stages.resolving import Resolved, resolve_identities

NOW = datetime(2018, 1, 1, tzinfo=UTC)


def _people() -> ModuleType:
    path = Path(__file__).parents[1] / "bench" / "people.py"
    spec = importlib.util.spec_from_file_location("bench_people", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("bench_people", module)
    spec.loader.exec_module(module)
    return module


def shaped(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with every column of a table, and what silver's rows carry besides."""
    types = dict(pl.DataFrame(pl.from_arrow(table.arrow.empty_table())).schema)
    base = {"package_id": "p", "row_id": 0, "effective_at": NOW, "deleted": False}
    given = rows.with_columns(pl.lit(v).alias(k) for k, v in base.items() if k in types and k not in rows.columns)
    return given.with_columns(pl.lit(None).alias(c) for c in types if c not in given.columns).select(
        pl.col(c).cast(t) for c, t in types.items()
    )


def contact_records(count: int, seed: int = 5) -> pl.DataFrame:
    """Contact records of about `count` mentions; every third is of the shop, the others of the CRM."""
    made, _ = _people().customers(count, seed=seed)
    shop = pl.int_range(pl.len()) % 3 == 0
    source = pl.when(shop).then(pl.lit("shop")).otherwise(pl.lit("crm"))
    number = pl.int_range(pl.len()).cast(pl.String)
    birth = pl.col("birth_digits").str.to_date("%Y%m%d", strict=False) if "birth_digits" in made.columns else None
    known = made.with_columns(source=source, record_key=pl.concat_str(source, pl.lit(":"), number))
    return shaped(CONTACT_RECORDS, known if birth is None else known.with_columns(birth_date=birth))


def fill(folder: Path, records: pl.DataFrame, settings: str = "") -> Installation:
    """An installation with these records, three purchases and a wish for each fifth of them."""
    home = Installation(StorageSettings(home=folder, now=NOW))
    workspace = home.settings.workspace_folder
    workspace.mkdir(parents=True, exist_ok=True)
    (workspace / "onefold.yaml").write_text("name: test\n" + settings)
    add(home, CONTACT_RECORDS, records)
    key = records.gather_every(5).select("record_key")["record_key"]
    bought = pl.DataFrame({"contact_key": [k for k in key for _ in range(3)]}).with_row_index("n")
    bought = bought.with_columns(
        source=pl.lit("till"),
        record_key=pl.concat_str(pl.lit("till:"), "n"),
        kind=pl.lit("purchase"),
        amount=pl.col("n"),
    ).drop("n")
    add(home, INTERACTIONS, shaped(INTERACTIONS, bought))
    wishes = pl.DataFrame({"subject": key}).with_columns(
        source=pl.lit("crm"), record_key=pl.concat_str(pl.lit("wish:"), "subject"), subject_kind=pl.lit("record"),
        data_use=pl.lit("marketing"), channel=pl.lit("email"),
        state=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit("GRANTED")).otherwise(pl.lit("DENIED")),
    )  # fmt: skip
    add(home, CONSENTS, shaped(CONSENTS, wishes))
    return home


def add(home: Installation, table: Table, rows: pl.DataFrame) -> None:
    """Append rows to a table."""
    home.lake.append(table.name, home.lake.frame_to_arrow(table.name, rows))


def resolve(home: Installation, **how: Any) -> Resolved:
    """Who is who, and nothing built on it."""
    return resolve_identities(home, [], **how)


def integrate(home: Installation, **how: Any) -> Resolved:
    """What the flow `integrate` does after mapping."""
    resolved = resolve(home, **how)
    build_profiles(home, [], gather(home))
    return resolved


def owners(home: Installation) -> dict[str, str]:
    """Golden ID by record key, as it holds."""
    held = home.lake.scan(LINKS.name).filter(pl.col("valid_to").is_null())
    return dict(held.select("record_key", "golden_id").collect().iter_rows())


def keys_of(home: Installation, golden_id: str) -> list[str]:
    """Record keys of a customer, sorted."""
    return sorted(k for k, g in owners(home).items() if g == golden_id)


def gold(home: Installation) -> tuple[pl.DataFrame, ...]:
    """Golden records, permissions and interactions by customer: all that a decision could disturb."""
    gathered = gather(home)
    rows = [customer_rows(home.lake, gathered, "interactions", p).collect() for p in range(gathered.partitions)]
    customers = home.lake.scan(CUSTOMERS.name).collect().sort("golden_id")
    permissions = home.lake.scan(PERMISSIONS.name).collect().sort("golden_id", "data_use", "channel")
    return customers, permissions, pl.concat(rows).sort("record_key")
