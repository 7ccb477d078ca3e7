"""Rows that are checked and written in several threads: each lands once and whole, and memory stays bounded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onefold_storage import erasers, landing, parts
from onefold_storage.contracts import Contract
from onefold_storage.deliveries import Batch, Delivery
from onefold_storage.errors import BadInput
from onefold_storage.installation import Installation
from onefold_storage.lake import Lake
from onefold_storage.parts import PartWriter, encodings
from onefold_storage.person import Person
from onefold_storage.pipelining import AHEAD, in_order, threads, while_read_ahead

Make = Callable[..., Contract]


def test_results_come_in_order_and_few_items_are_taken_ahead() -> None:
    taken: list[int] = []
    first = threading.Event()

    def items() -> Iterator[int]:
        for i in range(50):
            taken.append(i)
            yield i

    def work(i: int) -> int:
        if i == 0:
            first.wait(10)  # the others must wait to be handed out, and are not taken without end
        return i * i

    threading.Timer(0.2, first.set).start()
    found = []
    for result in in_order(work, items(), 3):
        found.append(result)
        assert len(taken) - len(found) <= 3 * AHEAD
    assert found == [i * i for i in range(50)]


def test_the_first_error_ends_it() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for i in range(1000):
            taken.append(i)
            yield i

    def work(i: int) -> int:
        if i == 5:
            raise BadInput("five")
        return i

    with pytest.raises(BadInput, match="five"):
        list(in_order(work, items(), 2))
    assert len(taken) < 20


def test_items_are_made_while_other_work_goes_on_but_not_without_end() -> None:
    taken: list[int] = []
    read = threading.Event()

    def items() -> Iterator[int]:
        for i in range(1000):
            taken.append(i)
            if i == AHEAD * threads() - 1:
                read.set()
            yield i

    done, all_of_them = while_read_ahead(lambda: read.wait(10), items())
    assert done
    assert len(taken) == AHEAD * threads()
    assert list(all_of_them) == list(range(1000))


def test_an_error_of_an_item_that_was_read_ahead_comes_in_its_place() -> None:
    failed = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        failed.set()
        raise BadInput("the second")

    done, few = while_read_ahead(lambda: failed.wait(10), items())
    assert done
    assert next(few) == 1
    with pytest.raises(BadInput, match="the second"):
        next(few)
    with pytest.raises(BadInput, match="the work"):
        while_read_ahead(_fail, iter([1]))


def _fail() -> None:
    raise BadInput("the work")


def _batches(n: int, rows: int) -> Iterator[Batch]:
    for b in range(n):
        ids = list(range(b * rows, (b + 1) * rows))
        values = {"id": [str(i) for i in ids], "name": [f"name {i}" for i in ids]}
        if b % 5 == 3:
            values["id"][1] = "x"
        yield Batch(pa.table(values), pa.array(ids, pa.int64()))


def test_every_row_lands_once_and_whole_whatever_thread_wrote_it(
    installation: Installation, make_contract: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing, "threads", lambda: 4)
    monkeypatch.setattr(parts, "_ROW_GROUP", 300)
    package = installation.lander.land(make_contract(), Delivery("c", "people.csv", _batches(40, 100)))
    assert (package.sent, package.landed, package.failed) == (4000, 3992, 8)
    rows = installation.lake.scan("bronze/people").collect()
    assert rows.height == 3992
    assert rows["_row_id"].n_unique() == 3992
    assert rows.filter(
        (pl.col("id") != pl.col("_row_id")) | (pl.col("name") != "name " + pl.col("id").cast(str))
    ).is_empty()
    assert rows["_package_id"].unique().to_list() == [package.package_id]
    bad = installation.lake.scan("bronze/failed_events").collect()
    assert sorted(bad["row_id"]) == [b * 100 + 1 for b in range(40) if b % 5 == 3]


def test_a_delivery_that_breaks_off_lands_nothing(installation: Installation, make_contract: Make) -> None:
    def broken() -> Iterator[Batch]:
        yield from _batches(9, 50)
        raise BadInput("people.csv: is truncated")

    with pytest.raises(BadInput, match="truncated"):
        installation.lander.land(make_contract(), Delivery("c", "people.csv", broken()))
    assert not installation.lake.exists("bronze/people")
    package = installation.lander.land(make_contract(), Delivery("c", "people.csv", _batches(9, 50)))
    assert package.landed == installation.lake.rows("bronze/people") == 448


EXTREME = {
    "n": pa.array([0, -1, 2**63 - 1, -(2**63), None] * 40),
    "t": pa.array([0, -62135596800000000, 253402300799999999, None, 1] * 40, pa.timestamp("us", "UTC")),
    "d": pa.array([0, -719162, 2932896, None, 5] * 40, pa.date32()),
    "x": pa.array([0.0, -0.0, 1e308, None, 5e-324] * 40),
    "s": pa.array(["", "a", None, "Zoë\x00", "x" * 1000] * 40),
    "u": pa.array([f"{i:040x}" for i in range(200)]),
    "b": pa.array([b"\xff", None] * 100),
    "empty": pa.nulls(200, pa.string()),
    "m": pa.array([True, None] * 100),
}


@pytest.mark.parametrize("spread", [False, True], ids=["as they are", "all different"])
def test_values_are_read_as_they_were_written_whatever_the_encoding(
    installation: Installation, spread: bool
) -> None:
    table = pa.table(EXTREME)
    if spread:  # so that no column repeats and all take the other encoding
        numbers = pa.array([(-1) ** i * 2**62 // (i + 1) for i in range(200)])
        table = table.set_column(0, "n", numbers).set_column(
            1, "t", pa.array(range(200), pa.timestamp("us", "UTC"))
        )
    writer = PartWriter(installation.lake.objects, "bronze/x", table.schema)
    writer.write(table)
    [part] = writer.close()
    with installation.lake.objects.stream(f"bronze/x/{part.path}") as file:
        data = file.read()
    assert part.size == len(data)
    assert pq.read_table(pa.BufferReader(data)).equals(table)
    read = pl.read_parquet(data)
    assert read.equals(pl.from_arrow(table))  # type: ignore[arg-type]


def test_what_hardly_repeats_goes_without_a_dictionary() -> None:
    rows = pa.table({"id": [f"{i:032x}" for i in range(5000)], "kind": ["a", "b"] * 2500, "n": list(range(5000))})
    chosen = encodings(rows)
    assert chosen == {"use_dictionary": ["kind"], "column_encoding": {"n": "DELTA_BINARY_PACKED"}}
    assert encodings(rows.append_column("list", pa.array([[1]] * 5000))) == {}


def test_wide_rows_do_not_wait_for_each_other(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_GROUP_BYTES", 1 << 20)
    writer = PartWriter(installation.lake.objects, "bronze/x", pa.schema([("s", pa.string())]))
    for _ in range(8):
        writer.write(pa.table({"s": ["x" * 100_000] * 4}))
        assert sum(t.nbytes for t in writer._waiting) < 1 << 20
    [part] = writer.close()
    with installation.lake.objects.stream(f"bronze/x/{part.path}") as file:
        assert pq.ParquetFile(file).metadata.num_row_groups > 1


def test_a_kept_table_shows_what_others_commit(installation: Installation, make_contract: Make) -> None:
    def land(seq: int) -> Any:
        return installation.lander.land(make_contract(), Delivery(f"c{seq}", "people.csv", _batches(1, 3)))

    land(0)
    lake = installation.lake
    other = Lake.open(installation.settings)
    with lake.keeping("bronze/people"), lake.keeping("bronze/people"):
        assert lake.transaction("bronze/people", "land") == 1
        first = lake.handle("bronze/people")
        for seq in range(1, 4):
            land(seq)
            with other.lock("bronze/people"):
                other.handle("bronze/people").create_checkpoint()
            assert lake.transaction("bronze/people", "land") == seq + 1
            assert lake.version("bronze/people") == other.version("bronze/people")
        assert lake.handle("bronze/people") is first
        assert lake.rows("bronze/people") == 12
    assert lake.handle("bronze/people") is not first
    with lake.keeping("bronze/nothing"):
        assert not lake.exists("bronze/nothing")
        assert lake.transaction("bronze/nothing", "land") == -1


def test_an_erasure_of_failed_events_waits_for_what_is_landing(
    installation: Installation, make_contract: Make
) -> None:
    """It read the suppression list when it began; what begins later reads the list with the person on it."""
    installation.lander.land(make_contract(), Delivery("c", "people.csv", _batches(4, 5)))
    person = Person("g", frozenset("g"), frozenset(), frozenset({("email", "ann@x.example")}), 0)
    eraser = threading.Thread(target=erasers.failed_events, args=(installation, "bronze/failed_events", person))
    with Lake.open(installation.settings).lock("land:people"):
        eraser.start()
        eraser.join(0.5)
        assert eraser.is_alive()
    eraser.join(60)
    assert not eraser.is_alive()
