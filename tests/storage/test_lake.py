"""The lake: appending, replacing, and what a commit refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onefold_storage.errors import BadInput, Conflict, NotFound, Unavailable
from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.locks import FileLocks
from onefold_storage.shapes import TableShape

NOW = datetime(2018, 1, 1, tzinfo=UTC)
SEGMENTS = "gold/segments"
ITEMS = "silver/items"


@pytest.fixture
def lake(installation: Installation) -> Lake:
    return installation.lake


def _segments(*ids: str) -> pa.Table:
    return pa.table({"golden_id": list(ids), "segment": ["all"] * len(ids), "as_of": [NOW] * len(ids)})


def _items(source: str, *names: str) -> pa.Table:
    n = len(names)
    return pa.table(
        {
            "record_key": [f"{source}:{x}" for x in names],
            "source": [source] * n,
            "package_id": [f"{source}-00000001-x"] * n,
            "row_id": pa.array(range(n), pa.int64()),
            "effective_at": [NOW] * n,
            "deleted": [False] * n,
            "name": list(names),
        }
    )


def _names(lake: Lake) -> list[str]:
    return sorted(lake.read(ITEMS, ["name"]).column("name").to_pylist())


def test_append_adds_and_replace_replaces(lake: Lake) -> None:
    assert (lake.exists(SEGMENTS), lake.version(SEGMENTS), lake.rows(SEGMENTS)) == (False, -1, 0)
    assert lake.read(SEGMENTS).num_rows == 0, "an absent table of a declared shape is empty"
    first = lake.append(SEGMENTS, _segments("a", "b"))
    second = lake.append(SEGMENTS, _segments("c"))
    assert second == first + 1
    assert lake.rows(SEGMENTS) == 3
    third = lake.replace(SEGMENTS, _segments("d"))
    assert lake.read(SEGMENTS).column("golden_id").to_pylist() == ["d"]
    assert lake.read(SEGMENTS, version=first).num_rows == 2
    assert lake.read(SEGMENTS).schema == lake.handle(SEGMENTS).to_pyarrow_table().schema
    assert lake.append(SEGMENTS, _segments()) == third, "no rows, no commit"
    assert lake.names() == [SEGMENTS]


def test_replacing_one_partition_leaves_the_others(lake: Lake) -> None:
    lake.append(ITEMS, pa.concat_tables([_items("a", "a1", "a2"), _items("b", "b1")]))
    lake.replace(ITEMS, _items("a", "a3"), where={"source": "a"})
    assert _names(lake) == ["a3", "b1"]
    lake.replace(ITEMS, _items("a"), where={"source": "a"})
    assert _names(lake) == ["b1"]
    assert {Path(f).parent.name for f in lake.files(ITEMS)} == {"source=b"}


def test_a_part_of_another_partition_than_the_one_replaced_is_refused(lake: Lake) -> None:
    lake.append(ITEMS, _items("a", "a1"))
    with lake.lock(ITEMS), pytest.raises(BadInput, match="source=b"):
        lake.commit(ITEMS, lake.parts(ITEMS, _items("b", "b1")), replace={"source": "a"})
    assert _names(lake) == ["a1"]


def test_a_missing_or_cut_part_is_not_committed(lake: Lake) -> None:
    lake.append(SEGMENTS, _segments("a"))
    for whole in (False, True):
        (part,) = lake.parts(SEGMENTS, _segments("b"))
        key = f"{SEGMENTS}/{part.path}"
        data = lake.objects.get(key) or b""
        lake.objects.delete(key)
        if whole:
            lake.objects.put(key, data[:-9])
        with lake.lock(SEGMENTS), pytest.raises(Unavailable, match=part.path):
            lake.commit(SEGMENTS, [part])
    assert lake.version(SEGMENTS) == 1
    assert lake.read(SEGMENTS).num_rows == 1


def test_a_part_of_another_schema_is_not_committed(lake: Lake) -> None:
    (part,) = lake.parts(SEGMENTS, _segments("a"))
    other = pa.BufferOutputStream()
    pq.write_table(pa.table({"golden_id": [1]}), other)
    data = other.getvalue().to_pybytes()
    lake.objects.put(f"{SEGMENTS}/{part.path}", data)
    with lake.lock(SEGMENTS), pytest.raises(BadInput, match="another schema"):
        lake.commit(SEGMENTS, [replace(part, size=len(data))])
    assert not lake.exists(SEGMENTS) or lake.rows(SEGMENTS) == 0


def test_writes_must_have_the_declared_shape(lake: Lake) -> None:
    with pytest.raises(BadInput, match=r"gold/segments: has no column colour"):
        lake.append(SEGMENTS, _segments("a").append_column("colour", pa.array(["red"])))
    with pytest.raises(BadInput, match=r"gold/segments\.as_of: expected timestamp"):
        lake.append(SEGMENTS, _segments("a").set_column(2, "as_of", pa.array(["soon"])))
    with pytest.raises(BadInput, match=r"gold/segments\.segment: is required"):
        lake.append(SEGMENTS, _segments("a").drop_columns(["segment"]))
    with pytest.raises(NotFound, match=r"gold/nothing"):
        lake.append("gold/nothing", _segments("a"))
    with pytest.raises(NotFound, match=r"gold/nothing"):
        lake.read("gold/nothing")


def test_absent_columns_and_safe_casts(lake: Lake) -> None:
    rows = _items("a", "x").set_column(3, "row_id", pa.array([5], pa.int32()))
    lake.append(ITEMS, rows)
    read = lake.read(ITEMS)
    assert read.column("row_id").to_pylist() == [5]
    assert read.column("brand").to_pylist() == [None]


def test_inputs_and_transactions_stand_in_the_table(lake: Lake) -> None:
    assert lake.inputs(SEGMENTS) is None
    assert lake.transaction(SEGMENTS, "job") == -1
    lake.replace(SEGMENTS, _segments("a"), inputs="one")
    with lake.lock(SEGMENTS):
        lake.commit(SEGMENTS, lake.parts(SEGMENTS, _segments("b")), transaction=("job", 7))
    assert lake.inputs(SEGMENTS) == "one"
    assert lake.transaction(SEGMENTS, "job") == 7
    lake.replace(SEGMENTS, _segments(), inputs="two")
    assert (lake.inputs(SEGMENTS), lake.transaction(SEGMENTS, "job")) == ("two", 7), "a replacement forgets no app"


def test_transactions_outlive_many_commits_and_a_checkpoint(lake: Lake) -> None:
    with lake.lock(SEGMENTS):
        lake.commit(SEGMENTS, lake.parts(SEGMENTS, _segments("a")), transaction=("job", 1), inputs="one")
    for n in range(12):
        lake.append(SEGMENTS, _segments(f"g{n}"))
    table = lake.handle(SEGMENTS)
    table.create_checkpoint()
    table.cleanup_metadata()
    assert lake.transaction(SEGMENTS, "job") == 1
    assert lake.inputs(SEGMENTS) is None, "so long ago that it is computed anew"


def test_personal_columns_have_no_statistics(lake: Lake) -> None:
    lake.append(ITEMS, _items("a", "x"))
    links = pa.table(
        {"record_key": ["crm:ann@example.com"], "golden_id": ["g1"], "valid_from": [NOW], "valid_to": [None]}
    )
    lake.append("identity/links", links)
    commits = [k for k in lake.objects.keys("identity/links/_delta_log") if k.endswith(".json")]
    log = "\n".join((lake.objects.get(k) or b"").decode() for k in commits)
    assert "example.com" not in log
    (added,) = (a for line in log.splitlines() if (a := json.loads(line).get("add")))
    assert json.loads(added["stats"])["maxValues"] == {"golden_id": "g1", "valid_from": "2018-01-01T00:00:00Z"}
    ((path, _),) = lake.standing("identity/links")
    with lake.objects.open(f"identity/links/{path}") as file:
        group = pq.ParquetFile(file).metadata.row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert columns["record_key"].statistics is None
    assert columns["golden_id"].statistics.min == "g1"


def test_a_second_writer_waits_for_the_lock(lake: Lake, installation: Installation) -> None:
    code = f"""
import sys, pyarrow as pa
from datetime import UTC, datetime
from pathlib import Path
from onefold_storage.lake import Lake
from onefold_storage.settings import StorageSettings
lake = Lake.open(StorageSettings(home=Path({str(installation.settings.root)!r})))
print("ready", flush=True)
now = datetime(2018, 1, 1, tzinfo=UTC)
for n in range(5):
    rows = pa.table({{"golden_id": [f"{{sys.argv[1]}}{{n}}"], "segment": ["s"], "as_of": [now]}})
    lake.append({SEGMENTS!r}, rows)
"""
    lake.append(SEGMENTS, _segments("first"))
    with lake.lock(SEGMENTS):
        others = [
            subprocess.Popen([sys.executable, "-c", code, n], stdout=subprocess.PIPE, text=True) for n in "ab"
        ]
        for other in others:
            assert other.stdout is not None
            assert other.stdout.readline() == "ready\n"
        stale = lake.handle(SEGMENTS)
        lake.commit(SEGMENTS, lake.parts(SEGMENTS, _segments("held")))
        assert all(other.poll() is None for other in others)
        assert lake.rows(SEGMENTS) == 2
        assert stale.version() == lake.version(SEGMENTS) - 1, "a handle does not see what came after it"
    for other in others:
        other.communicate(timeout=60)
        assert other.returncode == 0
    assert lake.rows(SEGMENTS) == 12
    assert lake.version(SEGMENTS) == 12


def test_a_lock_that_is_not_given_up_in_time_is_a_conflict(tmp_path: Path) -> None:
    locks = FileLocks(tmp_path)
    others = FileLocks(tmp_path)
    refused = pytest.raises(Conflict, match="silver/items: another process")
    with locks.hold("silver/items"), refused, others.hold("silver/items", timeout=0.05):
        pass


def test_tables_of_a_shape_of_their_own(lake: Lake) -> None:
    shape = TableShape(
        pa.schema([("golden_id", pa.string()), ("visits", pa.int64())]), (), ("visits",), ("golden_id",)
    )
    rows = pa.table({"golden_id": ["a"], "visits": [3]})
    lake.replace("gold/features/visits", rows, shape=shape)
    assert lake.read("gold/features/visits").to_pylist() == [{"golden_id": "a", "visits": 3}]
    assert lake.names() == ["gold/features/visits"]
    with pytest.raises(BadInput, match="golden_id: is required"):
        lake.replace("gold/features/visits", pa.table({"visits": [3]}), shape=shape)


def test_files_stay_bounded_and_their_statistics_true(lake: Lake) -> None:
    from onefold_storage.parts import PartWriter

    schema = pa.schema([("n", pa.int64()), ("at", pa.timestamp("us", "UTC")), ("s", pa.string())])
    writer = PartWriter(lake.objects, "bronze/x", schema, statistics=["n", "at", "s"])
    for first in (5, 1, 9):
        writer.write(pa.table({"n": [first, None], "at": [NOW, NOW], "s": [f"v{first}", "a"]}))
    (part,) = writer.close()
    stats = json.loads(part.stats)
    assert part.rows == 6
    assert stats["numRecords"] == 6
    assert (stats["minValues"]["n"], stats["maxValues"]["n"], stats["nullCount"]["n"]) == (1, 9, 3)
    assert (stats["minValues"]["s"], stats["maxValues"]["s"]) == ("a", "v9")
