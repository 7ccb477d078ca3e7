"""Parquet and Arrow IPC."""

from __future__ import annotations

import gzip
import io
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from onefold_storage.errors import BadInput

# mypy: disable-error-code="no-untyped-def"

TABLE = pa.table(
    {
        "a": pa.array(range(1000), pa.int64()),
        "b": pa.array([Decimal("1.10")] * 1000, pa.decimal128(10, 2)),
        "t": pa.array([datetime(2017, 1, 1, tzinfo=UTC)] * 1000, pa.timestamp("us", "UTC")),
        "n": pa.array([{"x": [1, 2]}] * 1000),
    }
)


def parquet(table: pa.Table = TABLE) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=300)
    return sink.getvalue()


def arrow(table: pa.Table = TABLE, *, stream: bool = False) -> bytes:
    sink = io.BytesIO()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=300)
    return sink.getvalue()


CASES = [("x.parquet", parquet()), ("x.arrow", arrow()), ("x.feather", arrow(stream=True))]


@pytest.mark.parametrize(("name", "data"), CASES)
@pytest.mark.parametrize("pack", [lambda d: d, gzip.compress])
def test_rows_keep_their_types(read_bytes, name: str, data: bytes, pack) -> None:
    found = read_bytes(pack(data), name)
    assert found.values == TABLE.to_pylist()
    assert all(t.schema.equals(TABLE.schema) for t in found.tables)


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow"])
def test_no_rows(read_bytes, name: str) -> None:
    data = (parquet if name == "x.parquet" else arrow)(TABLE.slice(0, 0))
    found = read_bytes(data, name)
    assert (found.values, found.tables[0].schema) == ([], TABLE.schema)


@pytest.mark.parametrize(("name", "data"), CASES)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.97])
def test_a_truncated_file_is_an_error_that_names_it(read_bytes, name: str, data: bytes, share: float) -> None:
    with pytest.raises(BadInput, match=rf"^{name}: ") as caught:
        read_bytes(data[: int(len(data) * share)], name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow"])
def test_what_is_something_else_is_an_error(read_bytes, name: str) -> None:
    with pytest.raises(BadInput, match=rf"^{name}: "):
        read_bytes(b"a,b\n1,2\n" * 100, name)


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow"])
def test_text_that_is_no_text_comes_as_bytes(read_bytes, name: str) -> None:
    unchecked = pc.CastOptions(pa.string(), allow_invalid_utf8=True)
    spoilt = pa.array([b"ok", b"\xff", None], pa.binary()).cast(options=unchecked)
    table = pa.table({"a": spoilt, "b": [1, 2, 3]})
    found = read_bytes((parquet if name == "x.parquet" else arrow)(table), name)
    assert [r["a"] for r in found.values] == [b"ok", b"\xff", None]


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow"])
def test_doubled_columns_are_refused(read_bytes, name: str) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(BadInput, match=rf"^{name}: columns: named twice: 'a'"):
        read_bytes((parquet if name == "x.parquet" else arrow)(table), name)


def test_a_large_record_batch_comes_in_pieces_that_keep_their_places(read_bytes, monkeypatch) -> None:
    from onefold_workers.connectors.formats import arrow as arrow_format

    monkeypatch.setattr(arrow_format, "ROWS", 70)
    texts = TABLE.append_column("s", pa.array([f"text {i}" for i in range(1000)]))
    found = read_bytes(arrow(texts), "x.arrow")
    assert list(found.rows) == list(range(1000))
    assert found.values == texts.to_pylist()
    assert max(t.num_rows for t in found.tables) == 70
