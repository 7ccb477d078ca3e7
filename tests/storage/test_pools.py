"""The next pool by MinIO's rules: set sizes, parity, nodes that may fail, room with a margin."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onefold_storage.capacity import Capacity, Pool, of_disk, of_information
from onefold_storage.deliveries import Document
from onefold_storage.documents import brought, keep, stored
from onefold_storage.errors import BadInput
from onefold_storage.installation import Installation
from onefold_storage.minio_figures import parse
from onefold_storage.outlook import outlook
from onefold_storage.packages import Package
from onefold_storage.planning import plan_pool
from onefold_storage.pools import PoolPlan, drive_for, needed, propose, set_drives, shape
from onefold_storage.settings import StorageSettings
from onefold_storage.shapes import TableShape
from onefold_storage.storage_status import storage_status

TB = 10**12
NOW = datetime(2018, 3, 1, 4, tzinfo=UTC)
FIRST = Pool(0, 4, 8, 8, 8, 4, 4 * TB, 1 * TB, 0)


def cluster(*pools: Pool) -> Capacity:
    found = pools or (FIRST,)
    drives = sum(p.drives for p in found)
    return Capacity("cluster", sum(p.usable_bytes for p in found), sum(p.free_bytes for p in found), (), found, 0,
                    drives, drives, 0, 4)  # fmt: skip


@pytest.mark.parametrize(
    ("nodes", "drives", "size"),
    [(4, 2, 8), (4, 4, 16), (8, 2, 16), (5, 2, 10), (6, 4, 12), (16, 4, 16), (4, 8, 16)],
)
def test_sets_are_the_largest_that_spread_evenly(nodes: int, drives: int, size: int) -> None:
    assert set_drives(nodes, drives) == size


@pytest.mark.parametrize(("nodes", "drives"), [(17, 1), (19, 2), (1, 1)])
def test_a_shape_that_does_not_spread_is_refused(nodes: int, drives: int) -> None:
    with pytest.raises(BadInput, match="no erasure set of 2 to 16 drives"):
        set_drives(nodes, drives)


@given(nodes=st.integers(1, 40), drives=st.integers(1, 20))
def test_a_set_divides_the_drives_and_no_node_has_more_of_it_than_another(nodes: int, drives: int) -> None:
    try:
        size = set_drives(nodes, drives)
    except BadInput:
        return
    assert 2 <= size <= 16
    assert nodes * drives % size == 0
    assert size % nodes == 0 or nodes % size == 0


def test_a_set_too_small_for_the_parity_is_refused() -> None:
    with pytest.raises(BadInput, match="too few for the cluster's parity of 4"):
        shape(2, 3, 2, TB, FIRST)


def test_fewer_nodes_that_may_fail_are_refused() -> None:
    with pytest.raises(BadInput, match="writes would end with 1 nodes away, in the first pool with 2"):
        shape(2, 2, 4, TB, FIRST)


def test_a_node_may_be_away_for_writing_as_design_says() -> None:
    assert PoolPlan(1, 4, 2, TB, 8, 4).nodes_may_fail == 1
    assert PoolPlan(1, 8, 2, TB, 16, 4).nodes_may_fail == 2


def test_the_smallest_pool_with_the_room_is_proposed() -> None:
    assert propose(cluster(), 3 * TB) == PoolPlan(2, 4, 2, TB, 8, 4)
    larger = propose(cluster(), 7 * TB)
    assert (larger.nodes, larger.usable_bytes >= 7 * TB) == (8, True)
    assert propose(cluster(), 7 * TB, drive_bytes=4 * TB).nodes == 4
    assert propose(cluster(FIRST, FIRST), TB).number == 3


def test_what_no_pool_holds_names_the_drive_that_would_do() -> None:
    with pytest.raises(BadInput, match="--drive-size"):
        propose(cluster(), 900 * TB)
    with pytest.raises(BadInput, match="2,000,000,000,000 bytes"):
        propose(cluster(), 8 * TB, nodes=4)
    assert PoolPlan(2, 4, 2, drive_for(PoolPlan(2, 4, 2, 1, 8, 4), 8 * TB), 8, 4).usable_bytes >= 8 * TB


def test_room_is_made_with_a_margin() -> None:
    assert needed(cluster(), 0, 0.75) == 0
    more = needed(cluster(), 3 * TB, 0.75)
    assert (3 * TB + 3 * TB) / (4 * TB + more) == pytest.approx(0.75)
    assert needed(cluster(), 3 * TB, 1.0) > 2 * TB, "never planned above what MinIO calls filled"


def test_pools_that_cannot_be_seen_are_told() -> None:
    with pytest.raises(BadInput, match="ONEFOLD_S3_ROOT_USER"):
        propose(Capacity("cluster", TB, TB), TB)


def test_information_with_a_node_away_is_no_sample_of_growth() -> None:
    drive = {"state": "ok", "totalspace": 100, "availspace": 60, "pool_index": 0}
    servers = [{"state": "online", "endpoint": f"n{n}", "drives": [drive, drive]} for n in range(3)]
    away = {"state": "offline", "endpoint": "n3", "drives": [{"state": "offline", "pool_index": 0}] * 2}
    backend = {"standardSCParity": 4, "totalDrivesPerSet": [8], "onlineDisks": 6, "offlineDisks": 2}
    found = of_information({"servers": [*servers, away], "backend": backend})
    assert (found.drives, found.drives_online, found.nodes_offline, found.whole) == (8, 6, 1, False)
    assert (found.usable_bytes, found.free_bytes) == (300, 180)
    (pool,) = found.pools
    assert pool.drive_bytes == 100


def test_nodes_come_in_the_same_order_however_they_are_told() -> None:
    names = ["minio-1:9000", "minio-2:9000", "minio-10:9000", "10.0.0.9:9000", "10.0.0.10:9000", "n"]
    told = [of_information({"servers": [{"endpoint": n} for n in order]}) for order in (names, names[::-1])]
    assert [n.address for n in told[0].nodes] == [*names[3:5], *names[:3], names[5]]
    assert told[0] == told[1]


def test_a_full_drive_is_told_though_there_is_room() -> None:
    drive = {"state": "ok", "totalspace": 1000, "availspace": 600, "pool_index": 0}
    servers = [{"state": "online", "endpoint": f"n{n}", "drives": [drive, drive]} for n in range(4)]
    servers[2] = servers[2] | {"drives": [drive, drive | {"availspace": 9}]}
    found = of_information({"servers": servers, "backend": {"standardSCParity": 4, "totalDrivesPerSet": [8]}})
    assert [n.drives_full for n in found.nodes] == [0, 0, 1, 0]
    assert found.drives_full == 1


def test_a_pool_that_is_given_up_is_no_room_and_what_it_holds_goes_to_the_others() -> None:
    both = cluster(FIRST, Pool(1, 4, 8, 8, 8, 4, 8 * TB, 8 * TB, 0))
    left = both.without({0})
    assert (left.usable_bytes, left.used_bytes, left.free_bytes) == (8 * TB, 3 * TB, 5 * TB)
    assert both.without(set()) == both


def test_a_quota_bounds_the_room() -> None:
    found = Capacity("cluster", 100 * TB, 50 * TB, quota_bytes=10 * TB, bucket_bytes=9 * TB)
    assert found.room_bytes == TB
    assert Capacity("cluster", 100 * TB, 50 * TB).room_bytes == 49 * TB, "MinIO keeps one in a hundred back"


def test_figures_with_labels_are_read() -> None:
    text = '# HELP x y\nminio_a{server="a:1",p="x\\"y"} 2.5e+09\nminio_b 3\nnot a figure\n'
    assert parse(text) == {"minio_a": [({"server": "a:1", "p": 'x\\"y'}, 2.5e9)], "minio_b": [({}, 3.0)]}


@pytest.fixture
def grown(tmp_path: Path) -> Installation:
    """Forty days of a shop that lands a thousand rows on working days, and a first load of fifty thousand."""
    made = Installation(StorageSettings(home=tmp_path / "home", now=NOW))
    days = [50_000, *(1000 if n % 7 < 5 else 0 for n in range(1, 41))]
    table = pa.table({"id": pa.array(range(sum(days)), pa.int64())})
    form = TableShape(table.schema)
    with made.lake.lock("bronze/shop"):
        made.lake.commit("bronze/shop", made.lake.parts("bronze/shop", table, shape=form), shape=form)
    for n, rows in enumerate(days):
        at = NOW - timedelta(days=len(days) - n)
        made.ledger.packages.record(Package("shop", n + 1, f"c{n}", "x.csv", rows, rows, 0, 0, 0, at, at))
    return made


def test_status_on_a_disk_tells_growth_and_what_is_not_known(grown: Installation) -> None:
    lake = grown.lake
    lake.objects.put("bronze/shop/part-abandoned.zstd.parquet", b"x" * 1000)
    told = storage_status(grown, waste=True)
    assert told["kind"] == "disk"
    assert 0 < told["free_bytes"] <= told["usable_bytes"]
    (source,) = told["sources"]
    assert source["rows_per_day"] == pytest.approx(5000 / 7, rel=0.02), "the first load is no rate"
    assert source["rows"] == lake.rows("bronze/shop")
    assert told["waste"] == {"bytes": 1000, "objects": 1}
    assert told["unknown"]


def test_the_outlook_is_by_source_and_leaves_the_first_load_out(grown: Installation) -> None:
    found = outlook(grown, cluster())
    facts = found.facts(grown.settings)
    assert facts["state"] == "sound"
    (jump,) = facts["jumps"]
    assert jump["on"] == (NOW - timedelta(days=41)).date().isoformat()
    day = facts["bytes_per_day"]["expected"]
    assert facts["days_to_full"]["expected"] is None, "a thousand rows a day do not fill a terabyte in ten years"
    assert facts["sources"][0]["share"] == 1
    small = cluster(Pool(0, 4, 8, 8, 8, 4, 10**6, int(10**4 + 200 * day), 0))
    told = outlook(grown, small).facts(grown.settings)
    assert told["days_to_full"]["expected"] == pytest.approx(200, rel=0.05), "without the reserve of one percent"
    assert told["level"] in ("warning", "critical")
    assert {a["what"] for a in told["alerts"]} >= {"share_used"}


def test_documents_are_counted_for_the_source_that_brought_them(grown: Installation) -> None:
    """Each object once, whoever else names it; they are stored as they are, so nothing is derived from their bytes."""
    before = outlook(grown, cluster()).facts(grown.settings)
    photos = [f"photo {n} ".encode() * 100_000 for n in range(9)]

    def document(row: int, data: bytes) -> Document:
        return Document(row, hashlib.sha256(data).hexdigest(), len(data), lambda: nullcontext(BytesIO(data)))

    both = [[document(n, d) for n, d in enumerate(some)] for some in (photos[:4], photos[2:])]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda some: keep(grown.lake, "shop", some), [both[0], *([[d] for d in both[1][2:]])]))
    keep(grown.lake, "shop", both[1])
    keep(grown.lake, "other", both[0])
    size = sum(map(len, photos))
    assert (brought(grown.lake.objects, "shop"), brought(grown.lake.objects, "other")) == (size, 0)
    assert sum(e.size for e in stored(grown.lake.objects).values()) == size
    (source,) = (facts := outlook(grown, cluster()).facts(grown.settings))["sources"]
    assert source["document_bytes"] == size
    each = size / source["rows"]
    for found, known in ((source, before["sources"][0]), (facts, before)):
        more = found["bytes_per_day"]["expected"] - known["bytes_per_day"]["expected"]
        assert more == pytest.approx(each * source["rows_per_day"], rel=0.02)


def test_a_plan_needs_a_rate_or_is_given_one(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onefold_storage.outlook.room", lambda _settings: cluster())
    with pytest.raises(BadInput, match="--per-day"):
        plan_pool(installation, 180)
    made = plan_pool(installation, 180, bytes_per_day=20e9)
    assert made.pool is not None
    assert made.needed_bytes == pytest.approx((3 * TB + 3.6 * TB) / 0.75 - 4 * TB)
    assert made.pool.usable_bytes >= made.needed_bytes
    half = Pool(0, 4, 8, 8, 8, 4, 4 * TB, 2 * TB, 0)
    monkeypatch.setattr("onefold_storage.outlook.room", lambda _settings: cluster(half))
    assert plan_pool(installation, 90, bytes_per_day=10e9).pool is None, "2.9 of 4 TB are under the margin"


def test_the_disk_of_a_folder_that_is_not_there_yet_is_that_of_its_parent(tmp_path: Path) -> None:
    assert of_disk(tmp_path / "a" / "b").usable_bytes == of_disk(tmp_path).usable_bytes
