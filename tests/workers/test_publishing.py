"""A publication is made by partitions of customers: the same bytes however many, and no table of all on the client."""

from __future__ import annotations

import runpy
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from onefold_storage import schema
from onefold_storage.errors import OnefoldError
from onefold_storage.installation import FLOW, Installation
from onefold_storage.objects import Objects
from onefold_storage.places import undeclared
from onefold_storage.publications import SERVING_FILE, Publication
from onefold_storage.settings import StorageSettings
from onefold_workers.cluster import cluster
from onefold_workers.publication import GoldFrames, build
from onefold_workers.publication.share import KEYS
from onefold_workers.stages import shares
from onefold_workers.stages.gathering import gather
from onefold_workers.stages.publishing import publish_snapshot

pytestmark = pytest.mark.needs_dask
made_up = runpy.run_path(str(Path(__file__).parents[1] / "gold_frames.py"))
TABLES = tuple(GoldFrames.__dataclass_fields__)


@pytest.fixture(scope="module", autouse=True)
def _workers() -> Iterator[None]:
    with cluster():
        yield


@pytest.fixture(scope="module")
def gold() -> GoldFrames:
    """300 customers; of the first and the last one the same email; some live together; some items came twice.

    Two IDs that had been merged away came back.
    """
    frames: GoldFrames = made_up["gold_frames"](300, interactions=70)
    shared = pl.when(pl.col("golden_id") == "g0000299").then(pl.lit("person0@example.org"))
    number = pl.col("golden_id").str.slice(1).cast(pl.Int64)
    homes = frames.customers.select("golden_id", household_id="h" + (number // 3).cast(pl.String))
    again = frames.items.with_columns(name=pl.lit("newer"), row_id=pl.lit(1, pl.Int64))
    day, base = timedelta(days=1), made_up["NOW"] - timedelta(days=20)
    told = {"golden_id": ["old3", "old3", "old4", "g0000002"], "event": ["merged", "created", "merged", "split"]}
    told |= {"other_id": ["g0000001", None, "g0000002", "old4"], "happened_at": [base, base + day] * 2}
    came_back = made_up["frame"](schema.HISTORY, told | {"records": [1] * 4})
    changed = {
        "history": pl.concat([frames.history, came_back]),
        "customers": frames.customers.with_columns(email=shared.otherwise("email")),
        "households": made_up["frame"](schema.HOUSEHOLDS, homes.with_columns(valid_from=made_up["NOW"]).to_dict()),
        "items": pl.concat([frames.items, again[:2]]),
    }
    return made_up["without"](frames, **changed)


def _filled(gold: GoldFrames, **settings: Any) -> Installation:
    """Their lake."""
    made = Installation(StorageSettings(now=made_up["NOW"], **settings))
    made.settings.workspace_folder.mkdir(parents=True)
    (made.settings.workspace_folder / "onefold.yaml").write_text("name: test\n")
    for name in TABLES:
        table = getattr(schema, name.upper())
        rows = getattr(gold, name)
        needed = {c: v for c, v in made_up["RECORD"].items() if c in rows.columns}
        filled = rows.with_columns(pl.col(c).fill_null(pl.lit(v)) for c, v in needed.items())
        made.lake.append(table.name, made.lake.frame_to_arrow(table.name, filled))
    return made


@pytest.fixture
def home(tmp_path: Path, gold: GoldFrames) -> Iterator[Installation]:
    """Their lake in a folder."""
    opened = _filled(gold, home=tmp_path / "home")
    yield opened
    opened.ledger.close()


def _published(home: Installation, partitions: int) -> Publication:
    with home.lake.lock(FLOW):
        return publish_snapshot(home, gather(home, at_least=partitions)).publication


def _file(home: Installation, published: Publication) -> bytes:
    data = home.lake.objects.get(f"publications/{published.version}/{SERVING_FILE}")
    assert data is not None
    return data


def _rows(home: Installation, published: Publication) -> list[list[Any]]:
    """Every table's rows, without the facts."""
    path = home.lake.objects.path(f"publications/{published.version}/{SERVING_FILE}")
    with closing(sqlite3.connect(path)) as file:
        tables = ("uses", "reasons", "merged", "models", "segments", *KEYS)
        return [file.execute(f"SELECT * FROM {table}").fetchall() for table in tables]


def _as_in_memory(home: Installation, published: Publication, gold: GoldFrames, path: Path) -> bytes:
    """The file of frames that are in memory, with what was published beside them."""
    newest = gold.items.sort("row_id").unique("record_key", keep="last")
    counts = build(path, made_up["without"](gold, items=newest), _facts(published), hashed=home.keyed_hash)
    assert counts == published.facts["counts"]
    return path.read_bytes()


def _facts(published: Publication) -> dict[str, Any]:
    return {k: v for k, v in published.facts.items() if k != "counts"}


def test_however_many_partitions_the_bytes_are_the_same(
    home: Installation, gold: GoldFrames, tmp_path: Path
) -> None:
    one = _published(home, 1)
    wanted = _as_in_memory(home, one, gold, tmp_path / "in_memory")
    assert _file(home, one) == wanted
    five = _published(home, 5)
    assert five.facts["inputs"] != one.facts["inputs"] and five.facts["counts"] == one.facts["counts"]
    assert _file(home, five) == _as_in_memory(home, five, gold, tmp_path / "in_memory")
    assert _rows(home, five) == _rows(home, one)
    assert five.facts["counts"]["identifiers"] > 900 and five.facts["counts"]["merged"] == 2


def test_more_rows_than_are_read_at_a_time_come_in_order(
    home: Installation, gold: GoldFrames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "spread", lambda task, chunks: [task(chunk) for chunk in chunks])
    monkeypatch.setattr(shares, "_TOGETHER", 35)
    made = _published(home, 5)
    assert _file(home, made) == _as_in_memory(home, made, gold, tmp_path / "in_memory")


@pytest.mark.needs_minio
def test_in_a_bucket_the_bytes_are_the_same(gold: GoldFrames, tmp_path: Path, bucket: dict[str, Any]) -> None:
    home = _filled(gold, home=tmp_path / "home", **bucket)
    made = _published(home, 3)
    assert _file(home, made) == _as_in_memory(home, made, gold, tmp_path / "in_memory")
    assert not home.lake.objects.keys(shares.AREA)
    home.ledger.close()


def test_the_client_reads_no_customers_rows_and_leaves_no_share(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with home.lake.lock(FLOW):
        gathered = gather(home, at_least=2)
    read = Objects.get

    def watched(objects: Objects, key: str) -> bytes | None:
        assert not key.startswith("work/customers/") or not key.endswith(".parquet"), (
            "the client reads what belongs to a worker"
        )
        return read(objects, key)

    monkeypatch.setattr(Objects, "get", watched)
    with home.lake.lock(FLOW):
        assert publish_snapshot(home, gathered).changed
    assert not home.lake.objects.keys(shares.AREA)


def test_shares_of_a_run_that_failed_are_of_a_declared_place_and_go(
    home: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def broken(*_: Any, **__: Any) -> None:
        seen.extend(home.lake.objects.keys(shares.AREA))
        assert not undeclared(home)
        raise OnefoldError("no room")

    monkeypatch.setattr(shares, "write", broken)
    with pytest.raises(OnefoldError, match="no room"):
        _published(home, 2)
    assert len([key for key in seen if "/shares/" in key]) == 10
    assert not home.lake.objects.keys(shares.AREA)
    assert not home.lake.objects.keys("publications")
