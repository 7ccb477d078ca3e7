"""Files of every format and compression go the same way into the lake, and large ones of the kinds that grow large."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pyarrow as pa
import pytest

from onefold_storage import contracts
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_workers.connectors._mail import COLUMNS
from onefold_workers.stages.landing import land_source

Row = dict[str, Any]


def _separated(rows: list[Row], delimiter: str = ",") -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _columnar(rows: list[Row], how: str) -> bytes:
    held = io.BytesIO()
    frame = pl.DataFrame(rows)
    if how == "parquet":
        frame.write_parquet(held)
    elif how == "arrow":
        frame.write_ipc(held)
    else:
        frame.write_excel(held)
    return held.getvalue()


FORMATS: dict[str, Callable[[list[Row]], bytes]] = {
    "csv": _separated,
    "tsv": lambda rows: _separated(rows, "\t"),
    "ndjson": lambda rows: b"\n".join(map(orjson.dumps, rows)),
    "json": orjson.dumps,
    "parquet": lambda rows: _columnar(rows, "parquet"),
    "arrow": lambda rows: _columnar(rows, "arrow"),
    "xlsx": lambda rows: _columnar(rows, "excel"),
}
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".zst": lambda data: bytes(pa.Codec("zstd").compress(data, asbytes=True)),
}


def _contract(
    location: str, columns: dict[str, str], key: str | None, delivery: str, **options: Any
) -> contracts.Contract:
    properties = [{"name": n, "logicalType": t, "primaryKey": n == key} for n, t in columns.items()]
    rules = {"location": location, "options": options, "delivery": delivery}
    document = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "files", "version": "1.0.0", "status": "active",
        "schema": [{"name": "files", "properties": properties}],
        "customProperties": [
            {"property": "onefold", "value": {**rules, "lawful_basis": "contract", "data_use": ["service"]}}
        ],
    }  # fmt: skip
    return contracts.parse(orjson.dumps(document).decode(), "files.yaml")


def _land(folder: Path, contract: contracts.Contract) -> list[tuple[int, int]]:
    settings = StorageSettings(home=folder / "home", now=datetime(2018, 2, 1, tzinfo=UTC))
    found = land_source(settings, contract, folder)
    assert found.errors == ()
    return [(p.landed, p.failed) for p in found.packages if p.status == "committed"]


def _bronze(folder: Path) -> pl.LazyFrame:
    return Installation(StorageSettings(home=folder / "home")).lake.scan("bronze/files")


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("form", FORMATS)
def test_each_format_and_compression_goes_its_way(tmp_path: Path, form: str, packed: str) -> None:
    """First load, nothing new, changed and new and deleted rows, and a second file."""
    contract = _contract(f"*.{form}*", {"id": "integer", "name": "string"}, "id", "snapshot")
    write = FORMATS[form]

    def put(rows: list[Row]) -> None:
        (tmp_path / f"people.{form}{packed}").write_bytes(PACKED[packed](write(rows)))

    rows: list[Row] = [{"id": n, "name": f"Zoë {n}"} for n in range(20)]
    put(rows)
    assert _land(tmp_path, contract) == [(20, 0)]
    assert _land(tmp_path, contract) == []
    put([{"id": 0, "name": "Renamed"}, *rows[1:15], {"id": 20, "name": "New"}])
    assert _land(tmp_path, contract) == [(2, 0)]
    landed = _bronze(tmp_path).collect()
    assert sorted(landed.filter(pl.col("_deleted"))["id"].to_list()) == [15, 16, 17, 18, 19]
    assert landed.filter(~pl.col("_deleted")).height == 22
    assert landed.filter(pl.col("id") == 3)["name"].to_list() == ["Zoë 3"]


@pytest.mark.slow
def test_a_web_log_of_100_mb(tmp_path: Path) -> None:
    when = "[01/Jan/2018:{:02d}:{:02d}:{:02d} +0000]"
    line = "10.{}.{}.{} - - " + when + ' "GET /shop/item-{}?ref=mail HTTP/1.1" 200 {} "-" "Mozilla/5.0"\n'
    rows, size = 0, 0
    with (tmp_path / "access.log").open("w") as file:
        while size < 100_000_000:
            some = "".join(
                line.format(n >> 16 & 255, n >> 8 & 255, n & 255, n % 24, n % 60, n % 59, n % 999, n)
                for n in range(rows, rows + 10_000)
            )
            rows, size = rows + 10_000, size + len(some)
            file.write(some)
        file.write("no request at all\n")
    columns = {"host": "string", "time": "timestamp", "path": "string", "status": "integer"}
    contract = _contract("access.log", columns, None, "append", format="weblog")
    assert _land(tmp_path, contract) == [(rows, 1)]
    assert _land(tmp_path, contract) == []
    assert _bronze(tmp_path).select(pl.len(), pl.col("host").n_unique()).collect().row(0) == (rows, rows)


@pytest.mark.slow
def test_a_mailbox_of_thousands_of_mails(tmp_path: Path) -> None:
    def put(mails: int) -> None:
        with (tmp_path / "box.mbox").open("wb") as file:
            for n in range(mails):
                mail = EmailMessage()
                mail["Subject"], mail["From"], mail["Message-ID"] = f"s{n}", "b@example.org", f"<{n}@x>"
                mail.set_content("Hello\nFrom here on\n" * 20)
                quoted = mail.as_bytes().replace(b"\nFrom ", b"\n>From ")
                file.write(b"From b@example.org Mon Jan  1 00:00:00 2018\n" + quoted + b"\n")

    contract = _contract("box.mbox", dict.fromkeys(COLUMNS, "string"), "sha256", "changes")
    put(2000)
    assert _land(tmp_path, contract) == [(2000, 0)]
    assert _land(tmp_path, contract) == []
    put(2010)
    assert _land(tmp_path, contract) == [(10, 0)]
    subjects = _bronze(tmp_path).collect()["subject"]
    assert (subjects.len(), subjects.n_unique()) == (2010, 2010)
