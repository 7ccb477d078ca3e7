"""Some hundred damaged files: each gives rows and bad rows, all accounted for, or one clear line; never a crash."""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onefold_storage.errors import BadInput
from onefold_workers.connectors.formats import _input

# mypy: disable-error-code="no-untyped-def"

FILES = 60
"""Damaged files a format, one seed each."""
ROWS = 40


def people(rng: random.Random) -> list[dict[str, object]]:
    names = ["Ann", "Zoë", 'O\'Neil; "Pat"', "漢字", "a,b", "line\nend", ""]
    return [
        {"a": i, "b": rng.choice(names), "c": round(rng.random() * 100, 2), "d": rng.choice([None, True, "x"])}
        for i in range(ROWS)
    ]


def as_csv(rng: random.Random) -> bytes:
    def field(value: object) -> str:
        text = "" if value is None else str(value)
        return '"' + text.replace('"', '""') + '"' if set(text) & set(',;"\n') or rng.random() < 0.1 else text

    return "".join(",".join(map(field, r)) + "\n" for r in ("abcd", *(p.values() for p in people(rng)))).encode()


def as_ndjson(rng: random.Random) -> bytes:
    return "".join(json.dumps(p, ensure_ascii=rng.random() < 0.5) + "\n" for p in people(rng)).encode()


def as_json(rng: random.Random) -> bytes:
    return json.dumps({"records": people(rng)}, indent=rng.choice([None, 1])).encode()


def as_parquet(rng: random.Random) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": list(range(ROWS)), "b": [str(rng.random()) for _ in range(ROWS)]}), sink)
    return sink.getvalue()


def as_arrow(rng: random.Random) -> bytes:
    sink = io.BytesIO()
    table = pa.table({"a": list(range(ROWS)), "b": [str(rng.random()) for _ in range(ROWS)]})
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


ODD = [b'"', b"\n", b",", b"\r", b"\x00", b"\xef\xbb\xbf", b"{", b"}\n", b"\\"]


def damage(data: bytes, rng: random.Random) -> bytes:
    """One to three of: bytes flipped, cut off, cut out, doubled, junk or other charsets put in, a long line."""
    for _ in range(rng.randint(1, 3)):
        at, other = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
        kind = rng.randrange(9)
        if kind == 0:
            data = b"".join(
                bytes([rng.randrange(256)]) if rng.random() < 0.01 else data[i : i + 1] for i in range(len(data))
            )
        elif kind == 1:
            data = data[:at]
        elif kind == 2:
            data = data[:at] + data[min(other, at + 30) :]
        elif kind == 3:
            data = data[:other] + data[at:]
        elif kind == 4:
            data = data[:at] + rng.randbytes(rng.randrange(200)) + data[at:]
        elif kind == 5:
            data = (
                data[:at]
                + rng.choice([b'"', b"\n", b",", b"\r", b"\x00", b"\xef\xbb\xbf", b"{", b"}\n", b"\\"])
                + data[at:]
            )
        elif kind == 6:
            data = data[:at] + data[at : at + 100].decode("utf-8", "replace").encode("utf-16") + data[at:]
        elif kind == 7:
            data = data[:at] + b"x" * rng.choice([100, 5000]) + data[at:]
        else:
            data = data.decode("utf-8", "replace").encode(rng.choice(["cp1252", "utf-16", "latin-1"]), "replace")
    return data


FORMATS: dict[str, Callable[[random.Random], bytes]] = {
    "x.csv": as_csv,
    "x.ndjson": as_ndjson,
    "x.json": as_json,
    "x.parquet": as_parquet,
    "x.arrow": as_arrow,
}


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files(read_bytes, monkeypatch, name: str) -> None:
    read = 0
    for seed in range(FILES):
        rng = random.Random(f"{name} {seed}")
        whole = FORMATS[name](rng)
        data = damage(whole, rng)
        packed = rng.random() < 0.2
        monkeypatch.setattr(_input, "CHUNK", rng.choice([50, 1000, 4 << 20]))
        try:
            found = read_bytes(gzip.compress(data) if packed else data, name, max_row_bytes=2000)
        except BadInput as error:
            assert str(error).startswith(f"{name}: "), seed
            assert "\n" not in str(error), seed
            continue
        read += 1
        assert all(
            b.row_id in found.rules and b.message.startswith(f"{name}: row {b.row_id}") for b in found.bad
        ), seed
        if name == "x.ndjson" and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
            text = data.removeprefix(b"\xef\xbb\xbf")
            assert len(found.rows) + len(found.bad) == sum(1 for n in text.split(b"\n") if n.strip()), seed
    assert name in {"x.json", "x.parquet", "x.arrow"} or read > FILES * 0.7


JUNK = [b for b in range(256) if b not in b'"\r\n \t\v\f']


@pytest.mark.parametrize("name", ["x.csv", "x.ndjson"])
def test_what_one_damaged_line_costs(read_bytes, monkeypatch, name: str) -> None:
    """One line replaced by junk without quotes and line ends: every other row is read as it was."""
    for seed in range(FILES):
        rng = random.Random(f"line {name} {seed}")
        lines = [b"%d,b,c,d" % i if name == "x.csv" else b'{"a":"%d"}' % i for i in range(ROWS)]
        at = rng.randrange(ROWS)
        lines[at] = bytes(
            rng.choice([b for b in range(256) if b not in b'"\r\n ']) for _ in range(rng.randint(1, 60))
        )
        monkeypatch.setattr(_input, "CHUNK", rng.choice([10, 100, 4 << 20]))
        head = b"a,b,c,d\n" if name == "x.csv" else b""
        found = read_bytes(head + b"\n".join(lines), name, columns=("a",))
        places = [i for i in range(ROWS) if i != at]
        assert [found.rows[i]["a"] for i in places] == [str(i) for i in places], seed
        assert at in {*found.rows, *found.rules}, seed
