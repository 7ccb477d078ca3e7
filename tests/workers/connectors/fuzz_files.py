"""Files for fuzzing, all from a seed: one maker a format, and what may befall a file on its way."""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage

import pyarrow as pa
import pyarrow.parquet as pq
import xlsxwriter

ROWS = 40
_NAMES = ["Ann", "Zoë", 'O\'Neil; "Pat"', "漢字", "a,b", "line\nend", "", "=1+1", "\u202eevil", "x" * 300]
_DATES = ["2017-01-31", "31.01.2017", "01/31/2017", "31 Jan 2017", "20170131", "2017-02-30"]


def people(rng: random.Random) -> list[dict[str, object]]:
    """Rows with odd names, dates of five formats, and values that do not fit."""
    return [
        {
            "a": rng.choice([i, i, i, str(i), None, "x", 10**30]) if rng.random() < 0.2 else i,
            "b": rng.choice(_NAMES),
            "c": rng.choice([round(rng.random() * 100, 2), "1.234,56", "1e400", None]),
            "d": rng.choice([None, True, "x", *_DATES]),
        }
        for i in range(ROWS)
    ]


def as_csv(rng: random.Random) -> bytes:
    mark = rng.choice([",", ",", ";", "\t", "|"])

    def field(value: object) -> str:
        text = "" if value is None else str(value)
        return '"' + text.replace('"', '""') + '"' if set(text) & set(',;|\t"\n') or rng.random() < 0.1 else text

    head = rng.choice(["abcd", "abcd", "abcd", "abca", ["a", "", "c", "d"], [" a ", "b", "c", "d"]])
    rows = [head, *(p.values() for p in people(rng))]
    return rng.choice(["\n", "\r\n"]).join(mark.join(map(field, r)) for r in rows).encode()


def as_ndjson(rng: random.Random) -> bytes:
    lines = [json.dumps(p, ensure_ascii=rng.random() < 0.5) for p in people(rng)]
    if rng.random() < 0.2:
        depth = rng.choice([100, 1_000, 10_000])
        lines[rng.randrange(ROWS)] = '{"a":1,"b":' + '{"k":[' * depth + "1" + "]}" * depth + "}"
    if rng.random() < 0.2:
        lines[rng.randrange(ROWS)] = '{"a":1,"a":2,"b":' + "9" * 400 + "}"
    return ("\n".join(lines) + "\n").encode()


def as_json(rng: random.Random) -> bytes:
    rows = people(rng)
    if rng.random() < 0.2:
        rows[rng.randrange(ROWS)]["b"] = [[[{"k": [1, {"l": None}]}]]]
    text = json.dumps({"records": rows} if rng.random() < 0.5 else rows, indent=rng.choice([None, 1]))
    if rng.random() < 0.1:
        text = text.replace("[", "[" + "[" * 10_000 + "]" * 10_000 + ",", 1)
    return text.encode()


def _columns(rng: random.Random) -> pa.Table:
    columns: dict[str, pa.Array] = {
        "a": pa.array(range(ROWS)),
        "b": pa.array([str(rng.random()) for _ in range(ROWS)]),
        "c": pa.array([rng.choice([None, 1.5, float("nan"), float("inf")]) for _ in range(ROWS)], pa.float64()),
    }
    kind = rng.randrange(4)
    if kind == 0:
        columns["d"] = pa.array([{"k": [i]} for i in range(ROWS)])
    elif kind == 1:
        columns["d"] = pa.array([b"\xff\xfe"] * ROWS, pa.binary())
    elif kind == 2:
        columns["d"] = pa.array([None, "x", "y", "x"] * (ROWS // 4)).dictionary_encode()
    return pa.table(columns)


def as_parquet(rng: random.Random) -> bytes:
    sink = io.BytesIO()
    pq.write_table(
        _columns(rng), sink, compression=rng.choice(["none", "snappy", "zstd", "gzip"]), row_group_size=15
    )
    return sink.getvalue()


def as_arrow(rng: random.Random) -> bytes:
    sink = io.BytesIO()
    table = _columns(rng)
    with rng.choice([pa.ipc.new_file, pa.ipc.new_stream])(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def as_mbox(rng: random.Random) -> bytes:
    mails = []
    for i in range(ROWS // 4):
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = (
            "ann@x.example",
            "ben@x.example",
            rng.choice(["hi", "Grüße", ""]),
        )
        mail["Date"] = rng.choice(["Mon, 1 Jan 2018 00:00:00 +0000", "yesterday"])
        mail.set_content("text\nFrom here on\n" * rng.randrange(3))
        if rng.random() < 0.3:
            mail.add_attachment(rng.randbytes(50), maintype="image", subtype="png", filename=f"{i}.png")
        mails.append(b"From x\n" + mail.as_bytes() + b"\n")
    return b"\n".join(mails)


def as_log(rng: random.Random) -> bytes:
    request = rng.choice(["GET /a?x=1 HTTP/1.1", "-", r"\x16\x03", 'GET /\\"q HTTP/1.0'])
    lines = [
        f'10.0.0.{i} - - [10/Oct/2000:13:{i:02}:36 -0700] "{request}" {rng.choice([200, 404])} {rng.randrange(9999)}'
        for i in range(ROWS)
    ]
    return "\n".join(lines).encode() + b"\n"


def as_excel(rng: random.Random) -> bytes:
    sink = io.BytesIO()
    book = xlsxwriter.Workbook(sink, {"in_memory": True, "strings_to_formulas": rng.random() < 0.5})
    sheet = book.add_worksheet()
    for at, row in enumerate([dict.fromkeys("abcd"), *people(rng)]):
        for column, (name, value) in enumerate(row.items()):
            cell = name if at == 0 else value
            if cell is not None:
                sheet.write(at, column, str(cell) if isinstance(cell, bool | int) and abs(cell) > 2**60 else cell)
    book.close()
    return sink.getvalue()


FORMATS: dict[str, Callable[[random.Random], bytes]] = {
    "x.csv": as_csv,
    "x.tsv": as_csv,
    "x.ndjson": as_ndjson,
    "x.json": as_json,
    "x.parquet": as_parquet,
    "x.arrow": as_arrow,
    "x.mbox": as_mbox,
    "x.log": as_log,
    "x.xlsx": as_excel,
}
_ODD = [b'"', b"\n", b",", b"\r", b"\x00", b"\xef\xbb\xbf", b"{", b"}\n", b"\\", b"\nFrom ", b"\xff\xfe", b"\n\n\n"]


def damage(data: bytes, rng: random.Random) -> bytes:
    """One to three of: bytes flipped, cut off, cut out, doubled, junk or other charsets put in, a long line."""
    for _ in range(rng.randint(1, 3)):
        at, other = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
        kind = rng.randrange(9)
        if kind == 0:
            flipped = bytearray(data)
            for place in rng.sample(range(len(data)), len(data) // 100 + 1 if data else 0):
                flipped[place] = rng.randrange(256)
            data = bytes(flipped)
        elif kind == 1:
            data = data[:at]
        elif kind == 2:
            data = data[:at] + data[min(other, at + 30) :]
        elif kind == 3:
            data = data[:other] + data[at:]
        elif kind == 4:
            data = data[:at] + rng.randbytes(rng.randrange(200)) + data[at:]
        elif kind == 5:
            data = data[:at] + rng.choice(_ODD) + data[at:]
        elif kind == 6:
            data = data[:at] + data[at : at + 100].decode("utf-8", "replace").encode("utf-16") + data[at:]
        elif kind == 7:
            data = data[:at] + b"x" * rng.choice([100, 5000]) + data[at:]
        else:
            data = data.decode("utf-8", "replace").encode(rng.choice(["cp1252", "utf-16", "latin-1"]), "replace")
    return data


def packed(data: bytes, rng: random.Random) -> bytes:
    """As gzip or zstd, one in three of them damaged, or with something else behind."""
    data = gzip.compress(data, mtime=0) if rng.random() < 0.5 else pa.compress(data, "zstd", asbytes=True)
    kind = rng.randrange(9)
    if kind == 0:
        return damage(data, rng)
    if kind == 1:
        return data[: rng.randrange(len(data))]
    return data + data if kind == 2 else data


@dataclass(frozen=True)
class Fuzzed:
    """A damaged file. `lines`: rows that it surely has, where that can be told without its reader."""

    name: str
    data: bytes
    lines: int | None


def fuzzed(seed: int, names: tuple[str, ...] = tuple(FORMATS)) -> Fuzzed:
    """The damaged file of a seed; now and then it is whole, or another format's under this name."""
    rng = random.Random(f"file {seed}")
    name = names[seed % len(names)]
    data = FORMATS[name if rng.random() < 0.97 else rng.choice(list(FORMATS))](rng)
    if rng.random() < 0.95:
        data = damage(data, rng)
    lines = None
    if name == "x.ndjson" and not data.startswith((b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b", b"\x28\xb5\x2f\xfd")):
        lines = sum(1 for n in data.removeprefix(b"\xef\xbb\xbf").split(b"\n") if n.strip())
    if rng.random() < 0.2:
        data, lines = packed(data, rng), None
    return Fuzzed(name, data, lines)
