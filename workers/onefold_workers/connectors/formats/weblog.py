"""Web server logs in the common and the combined format (Apache, nginx): one request a line."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pyarrow as pa

from onefold_storage.deliveries import BadRow, Batch
from onefold_workers.connectors.formats._format import FileOptions, Format
from onefold_workers.connectors.formats._input import InputFile
from onefold_workers.connectors.formats._text import stretches, utf8

_LINE = (
    r"^(?P<host>\S+) (?P<ident>\S+) (?P<user>.+?) \[(?P<time>[^\]]+)\] "
    r'"(?:(?P<method>[A-Z]+) (?P<path>\S*)(?: (?P<protocol>[^"\\]*))?|(?P<request>(?:[^"\\]|\\.)*))" '
    r"(?P<status>\d{3}|-) (?P<bytes>\d+|-)"
    r'(?: "(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)")?\s*$'
)
_TIME = "%d/%b/%Y:%H:%M:%S %z"
COLUMNS = (
    "host", "ident", "user", "time", "method", "path", "protocol", "request", "status", "bytes", "referer", "agent",
)  # fmt: skip


def read(file: InputFile, options: FileOptions, expected: tuple[str, ...]) -> Iterator[Batch]:
    """The file's requests as strings: `time` in ISO 8601 (UTC), `-` as null, `request` where it is no HTTP request.

    Lines of another form, or with a time that is none, come as bad rows (`log`).

    Raises:
        BadInput: empty file.
    """
    del expected
    row = 0
    empty = True
    for stretch in stretches(utf8(file.chunks(), options.encoding), options.max_row_bytes, carriage=False):
        empty = False
        if stretch.too_long:
            message = f"{file.name}: row {row + 1}: expected a row of at most {options.max_row_bytes} bytes"
            yield _nothing((BadRow(row, "too_long", message, stretch.data),))
            row += 1
            continue
        raw = stretch.data.split(b"\n")
        batch = _batch(
            pl.Series("line", _texts(stretch.data, raw), pl.String), pl.Series("raw", raw), file.name, row
        )
        row += batch.rows.num_rows + len(batch.bad)
        yield batch
    if empty:
        raise file.bad("the file is empty; expected one request a line")


def _texts(data: bytes, lines: list[bytes]) -> list[str | None]:
    """The lines as text; None for those that are none."""
    try:
        return list(data.decode().split("\n"))
    except UnicodeDecodeError:
        return [None if "\ufffd" in (text := line.decode(errors="replace")) else text for line in lines]


def _batch(lines: pl.Series, raw: pl.Series, name: str, first: int) -> Batch:
    given = pl.DataFrame([lines, raw]).filter(pl.col("raw").bin.size() > 0)
    given = given.filter(pl.col("line").is_null() | (pl.col("line").str.strip_chars() != ""))
    parsed = given.with_row_index("at").with_columns(pl.col("line").str.extract_groups(_LINE).alias("found"))
    found = parsed.select("at", "line", "raw", pl.col("found").struct.unnest())
    moment = pl.col("time").str.to_datetime(_TIME, strict=False, time_zone="UTC")
    found = found.with_columns(moment.dt.strftime("%Y-%m-%dT%H:%M:%SZ").alias("time"))
    good = found.filter(pl.col("time").is_not_null())
    texts = [pl.when(pl.col(c) != "-").then(pl.col(c)).alias(c) for c in COLUMNS]
    table = good.select(texts).to_arrow(compat_level=pl.CompatLevel.oldest())
    table = table.cast(pa.schema([(c, pa.string()) for c in COLUMNS]))
    ids = good["at"].cast(pl.Int64) + first
    bad = tuple(
        BadRow(
            first + at,
            "log",
            f"{name}: row {first + at + 1}: expected a request in the common or combined format",
            text,
        )
        for at, text in found.filter(pl.col("time").is_null()).select("at", "raw").iter_rows()
    )
    return Batch(table, ids.to_arrow(), bad)


def _nothing(bad: tuple[BadRow, ...]) -> Batch:
    return Batch(pa.table({c: pa.array([], pa.string()) for c in COLUMNS}), pa.array([], pa.int64()), bad)


FORMAT = Format("weblog", ("log", "clf"), read)
