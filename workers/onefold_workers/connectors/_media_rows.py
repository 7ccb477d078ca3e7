"""Media files as batches: facts as rows, each file as the document that its row names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from itertools import islice

import orjson
import pyarrow as pa

from onefold_storage.deliveries import BadRow, Batch, Document
from onefold_storage.errors import BadInput
from onefold_workers.connectors._media_files import MediaFile, SidecarError, beside, digest, opened
from onefold_workers.media import rows as media_rows
from onefold_workers.media.bounded import Reader

BATCH = 50
_BYTES = 64 << 20


def batches(
    some: list[MediaFile],
    pattern: re.Pattern[str] | None,
    most: int,
    reader: Reader,
    origin: str,
    expected: tuple[str, ...] = (),
) -> Iterator[Batch]:
    """Rows of the files in order, at most `BATCH` or some megabytes of them at once; closes the reader at its end.

    A file larger than `most` bytes, gone meanwhile, or with a sidecar that cannot be used, is a bad row.
    """
    numbered = enumerate(some)
    with reader:
        while True:
            rows: list[dict[str, str | None]] = []
            ids: list[int] = []
            bad: list[BadRow] = []
            documents: list[Document] = []
            held = at = 0
            for at, file in islice(numbered, BATCH):
                row, document = _read(at, file, pattern, most, reader)
                documents += [document] if document else []
                held += document.size if document else 0
                held += len(row["text"] or "") if isinstance(row, dict) else 0
                if isinstance(row, _Broken):
                    bad.append(
                        BadRow(at, row.rule, f"{origin}: file {at + 1}: {row.message}", orjson.dumps(row.known))
                    )
                else:
                    rows.append(row)
                    ids.append(at)
                if held > _BYTES:
                    break
            if not rows and not bad:
                return
            yield Batch(table(rows, expected), pa.array(ids, pa.int64()), tuple(bad), documents=tuple(documents))


class _Broken:
    """A file that makes no row, with what is known of it."""

    def __init__(self, rule: str, message: str, known: dict[str, str | None]) -> None:
        self.rule, self.message, self.known = rule, message, known


def _read(
    at: int, file: MediaFile, pattern: re.Pattern[str] | None, most: int, reader: Reader
) -> tuple[dict[str, str | None] | _Broken, Document | None]:
    path = file.path.encode("utf-8", "replace").decode()
    match = pattern.search(path) if pattern else None
    names = dict.fromkeys(pattern.groupindex) if pattern else {}
    known: dict[str, str | None] = {"path": path, **(match.groupdict() if match else {})}
    try:
        data = file.fetch()
    except BadInput:
        return _Broken(
            "unread", f"cannot be fetched: it is larger than {most} bytes, or went meanwhile", known
        ), None
    with opened(data) as stream:
        size = stream.seek(0, 2)
        if size > most:
            return _Broken("too_large", f"expected at most {most} bytes, found {size}", known), None
        sha256 = digest(stream)
        facts = media_rows.row(reader.facts(stream, file.extension), sha256, size)
    document = Document(at, sha256, size, partial(opened, data))
    fixed = {k: facts[k] for k in media_rows.FIXED}
    try:
        said = beside(file)
    except SidecarError as error:
        return _Broken("sidecar", str(error), known | fixed), document
    return names | facts | said | known | fixed, document


def table(rows: list[dict[str, str | None]], expected: tuple[str, ...] = ()) -> pa.Table:
    """Rows as strings, with every column that media files have, and those that a contract expects."""
    columns = dict.fromkeys(("path", *media_rows.COLUMNS, *expected)) | {k: None for r in rows for k in r}
    return pa.table({c: pa.array([r.get(c) for r in rows], pa.string()) for c in columns})
