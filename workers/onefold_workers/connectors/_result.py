"""A query's result on its way to landing: in a temporary file without a name, hashed as it comes, read once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

import numpy as np
import pyarrow as pa

from onefold_storage.deliveries import BadRow, Batch
from onefold_workers.connectors._result_hash import ResultHash
from onefold_workers.connectors._values import arrow_column
from onefold_workers.progress import came


class Result:
    """Batches as Arrow streams one after the other. `asked`: what was asked, part of `content`."""

    def __init__(self, origin: str, asked: str) -> None:
        self.origin = origin
        self.row = 0
        self.names: list[str] = []
        self._hash = ResultHash(asked)
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as its batches
        self._bad: list[tuple[BadRow, ...]] = []

    @property
    def content(self) -> str:
        """SHA-256 of what was asked, the columns' names, and values in order, in whatever pieces they came."""
        return self._hash.hexdigest(self.names)

    def write_rows(
        self, names: list[str], types: dict[str, pa.DataType | None], rows: list[tuple[Any, ...]]
    ) -> None:
        """Add rows as a driver gives them; those with text that is no text go to the bad ones."""
        self.names = names
        ids = self._ids(len(rows))
        bad: list[BadRow] = []
        columns = _columns(names, rows)
        try:
            arrays: list[Any] = _arrays(names, types, columns)
            whole = arrays
        except UnicodeEncodeError:
            spoilt = [not _is_text(row) for row in rows]
            message = f"{self.origin}: row {{}}: expected UTF-8 text, found other bytes"
            bad = [
                BadRow(int(i), "encoding", message.format(i + 1), repr(row).encode("utf-8", "surrogateescape"))
                for i, row, is_bad in zip(ids, rows, spoilt, strict=True)
                if is_bad
            ]
            good = [r for r, is_bad in zip(rows, spoilt, strict=True) if not is_bad]
            arrays, whole = _arrays(names, types, _columns(names, good)), [None] * len(names)
            ids = ids[~np.array(spoilt)]
        for n, (values, array) in enumerate(zip(columns, whole, strict=True)):
            self._hash.add_values(n, values, array)
        self._keep(pa.Table.from_arrays(arrays, names=names), ids, tuple(bad))

    def write_arrow(self, table: pa.Table, hashed: Sequence[tuple[bytes | None, Any]]) -> None:
        """Add rows that came as Arrow. `hashed`: for each column its kind and array, or None and its values."""
        self.names = table.column_names
        for n, (kind, given) in enumerate(hashed):
            if isinstance(given, pa.Array):
                self._hash.add_array(n, given, kind)
            else:
                self._hash.add_values(n, given)
        self._keep(table, self._ids(table.num_rows), ())

    def batches(self) -> Iterator[Batch]:
        """What was written."""
        with self._file as file:
            file.seek(0)
            for bad in self._bad:
                table = pa.ipc.open_stream(file).read_all()
                last = table.num_columns - 1
                yield Batch(table.remove_column(last), table.column(last).combine_chunks(), bad)

    def _ids(self, rows: int) -> Any:
        ids = np.arange(self.row, self.row + rows, dtype=np.int64)
        self.row += rows
        came(rows)
        return ids

    def _keep(self, table: pa.Table, ids: Any, bad: tuple[BadRow, ...]) -> None:
        table = table.append_column("_row_id", pa.array(ids))
        with pa.ipc.new_stream(self._file, table.schema) as writer:
            writer.write_table(table)
        self._bad.append(bad)


def _columns(names: list[str], rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True)) if rows else [()] * len(names)


def _arrays(
    names: list[str], types: dict[str, pa.DataType | None], columns: Iterable[tuple[Any, ...]]
) -> list[pa.Array]:
    return [arrow_column(v, types.get(n)) for n, v in zip(names, columns, strict=True)]


def _is_text(row: tuple[Any, ...]) -> bool:
    try:
        "".join(v for v in row if isinstance(v, str)).encode()
    except UnicodeEncodeError:
        return False
    return True
