"""What a file format is, and the options that say how a file is to be read."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, field_validator

from onefold_storage.deliveries import Batch
from onefold_workers.connectors._paced import PacedOptions
from onefold_workers.connectors.formats._input import InputFile


class FileOptions(PacedOptions):
    """How files are read; everything is found out where it is not said.

    `format`: by default from the extension. `compression`: `auto` looks at the first bytes.
    `encoding`: of text formats; by default UTF-8, or what a byte order mark says.
    `delimiter`, `quote`: of CSV; one ASCII character each, `quote: ""` turns quoting off.
    `header`: column names for a CSV file that has no header line.
    `skip_lines`: of CSV and Excel; lines, or rows of the sheet, above the header (a title, a date).
    `attachments`: of mailboxes, a row an attachment instead of a row a mail; each is a document.
    `records`: for JSON, the key of the array that holds the rows, such as `data.customers`.
    `max_bytes`: for JSON and Excel documents, which are read whole. `max_row_bytes`: of one row of text.
    `sheet`: of Excel; by default the first one.
    `storage`: credentials of files that lie elsewhere, secrets by name. `max_fetched_bytes`: of one of those.
    `requests_per_second`, `bytes_per_second`: how fast their server may be asked.
    `max_unpacked_bytes`: of what a compressed file holds.
    """

    format: str | None = None
    compression: Literal["auto", "none", "gzip", "zstd"] = "auto"
    encoding: str | None = None
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    quote: str = Field(default='"', max_length=1)
    header: tuple[str, ...] | None = Field(default=None, min_length=1)
    skip_lines: int = Field(default=0, ge=0, le=1000)
    attachments: bool = False
    records: str | None = None
    max_bytes: int = Field(default=256 << 20, ge=1)
    sheet: str | None = None
    storage: dict[str, str | bool] = Field(default_factory=dict)
    max_fetched_bytes: int = Field(default=64 << 30, ge=1)
    max_unpacked_bytes: int = Field(default=64 << 30, ge=1)
    max_row_bytes: int = Field(default=8 << 20, ge=1)

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            name = codecs.lookup(value).name
            "".encode(name)
        except LookupError as error:
            raise ValueError(f"encoding {value!r} is unknown; expected a name such as cp1252") from error
        return name

    @field_validator("delimiter", "quote")
    @classmethod
    def _ascii(cls, value: str | None) -> str | None:
        if value and (not value.isascii() or value in "\r\n"):
            raise ValueError("expected one ASCII character that is not a line end")
        return value


@dataclass(frozen=True)
class Format:
    """One file format.

    `extensions`: without the dot, in lower case.
    `read(file, options, expected)`: batches in order, with bounded memory; `expected` are the column names the
    contract promises (formats whose rows may leave a key out add those columns as nulls).
    `found(file, options)`: options that reading would find out, worth writing into a contract.
    Both raise BadInput naming the file.
    """

    name: str
    extensions: tuple[str, ...]
    read: Callable[[InputFile, FileOptions, tuple[str, ...]], Iterator[Batch]]
    found: Callable[[InputFile, FileOptions], dict[str, object]] = lambda _file, _options: {}
