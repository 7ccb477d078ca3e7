"""Rows taken out of tables for good."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from deltalake import Schema

from onefold_storage.errors import Unavailable
from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.rewriting import rewrite, vacuum
from onefold_storage.shapes import TableShape

NOW = datetime(2018, 1, 1, tzinfo=UTC)
ITEMS = "silver/items"


@pytest.fixture
def lake(installation: Installation) -> Lake:
    return installation.lake


def items(source: str, *called: str) -> pa.Table:
    n = len(called)
    return pa.table(
        {
            "record_key": [f"{source}:{x}" for x in called],
            "source": [source] * n,
            "package_id": [f"{source}-00000001-x"] * n,
            "row_id": pa.array(range(n), pa.int64()),
            "effective_at": [NOW] * n,
            "deleted": [False] * n,
            "name": list(called),
        }
    )


def _there(lake: Lake) -> list[str]:
    return [f"{lake.root}/{key}" for key in lake.objects.keys(ITEMS) if key.endswith(".parquet")]


def names(lake: Lake) -> list[str]:
    return sorted(lake.read(ITEMS, ["name"]).column("name").to_pylist())


def test_rewriting_drops_rows_and_vacuum_their_files(lake: Lake) -> None:
    lake.append(ITEMS, pa.concat_tables([items("a", "a1", "a2"), items("b", "b1"), items("c", "c1")]))
    with lake.lock(ITEMS):
        lake.commit(ITEMS, lake.parts(ITEMS, items("c", "c2")), transaction=("map:c", 3))
    before = set(lake.files(ITEMS))
    with lake.lock(ITEMS):
        assert rewrite(lake, ITEMS, lambda f: f["record_key"].is_in(["a:a1", "b:b1"])) == 2
    assert names(lake) == ["a2", "c1", "c2"]
    after = set(lake.files(ITEMS))
    assert len(before & after) == 2, "files of others stay as they are"
    assert before <= set(_there(lake)), "until they are vacuumed"
    assert lake.transaction(ITEMS, "map:c") == 3
    assert lake.shape(ITEMS).partition_by == ("source",)
    uploaded = lake.parts(ITEMS, items("a", "a3"))
    with lake.lock(ITEMS):
        vacuum(lake, ITEMS)
    there = set(_there(lake))
    assert there == after
    assert names(lake) == ["a2", "c1", "c2"]
    with lake.lock(ITEMS), pytest.raises(Unavailable):
        lake.commit(ITEMS, uploaded)
    version = lake.version(ITEMS)
    with lake.lock(ITEMS):
        assert rewrite(lake, ITEMS, lambda f: f["record_key"] == "z") == 0
    assert lake.version(ITEMS) == version, "nothing dropped, nothing committed"


def test_rewriting_keeps_columns_that_older_files_lack(lake: Lake) -> None:
    old, new = pa.schema([("id", pa.int64())]), pa.schema([("id", pa.int64()), ("name", pa.string())])
    lake.replace("bronze/x", pa.table({"id": [1, 2]}), shape=TableShape(old, (), ("id",)))
    lake.handle("bronze/x").alter.add_columns(list(Schema.from_arrow(pa.schema([("name", pa.string())])).fields))
    with lake.lock("bronze/x"):
        lake.commit(
            "bronze/x",
            lake.parts("bronze/x", pa.table({"id": [3], "name": ["C"]}), shape=TableShape(new)),
            shape=TableShape(new),
        )
        assert rewrite(lake, "bronze/x", lambda f: f["id"] == 1) == 1
    assert lake.scan("bronze/x").sort("id").collect().rows() == [(2, None), (3, "C")]
