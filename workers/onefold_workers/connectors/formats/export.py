"""Exports of social media ("download your data", page exports): JSON with rows deep inside, and its quirks.

- `records` is a path to the rows: `messages`, `comments_v2`, `Activity.Like List.ItemFavoriteList`.
- A column of the contract whose name is a path (`data[0].post`, `string_map_data.Name.value`) holds what stands there;
  `parent.title` what the nearest object around the row has under `title`.
- Some platforms write each byte of UTF-8 as an escaped character (`\\u00c3\\u00bc` for ü). A file whose escapes all read as
  UTF-8 that way is repaired.
- Some write JavaScript: an assignment before the JSON is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import orjson

from onefold_storage.deliveries import Batch
from onefold_storage.json_paths import Step, steps
from onefold_workers.connectors.formats._format import FileOptions, Format
from onefold_workers.connectors.formats._input import InputFile
from onefold_workers.connectors.formats._objects import Objects
from onefold_workers.connectors.formats._paths import every, value
from onefold_workers.connectors.formats._text import utf8

_ROWS = 5_000
_MOST = 32 << 20
"""Bytes of a file where `max_bytes` is not given: read whole, it takes ten times that in memory."""
_ASSIGNED = re.compile(rb"^\s*[A-Za-z_$][\w.$\[\]\"']{0,200}\s*=\s*")
_ESCAPES = re.compile(rb"\\\\|(?:\\u00[89a-fA-F][0-9a-fA-F])+|\\u[0-9a-fA-F]{4}")
_PARENT = "parent."
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_ ]{0,40}")


def read(file: InputFile, options: FileOptions, expected: tuple[str, ...]) -> Iterator[Batch]:
    """The rows as strings, with every key met so far as a column; what is no object at the path comes as a bad row.

    Raises:
        BadInput: empty, larger than 32 MB (or `max_bytes`), not JSON, or no path to rows.
    """
    document = _document(file, options)
    try:
        path = steps(options.records) if options.records else _only(document, file)
        wanted = {c: steps(c) for c in expected if "." in c or "[" in c}
    except ValueError as error:
        raise file.bad(f"`records` or a column: {error}") from None
    objects = Objects(file.name, dict.fromkeys(expected))
    lines = (_line(row, above, wanted) for row, above in every(document, path))
    while some := list(islice(lines, _ROWS)):
        yield objects.batch(b"\n".join(some))
    if objects.row == 0:
        yield objects.nothing()


def repaired(text: bytes) -> bytes:
    """JSON whose escapes are bytes of UTF-8, with the characters that were meant; any other as it is."""
    runs = [m for m in _ESCAPES.findall(text) if m != b"\\\\" and not m.lower().startswith((b"\\u000", b"\\u001"))]
    try:
        if not runs or not all(_bytes_of(r).decode() for r in set(runs)):
            return text
    except ValueError:  # an escape beyond a byte, or bytes that are no UTF-8: it was written as it is meant
        return text
    return _ESCAPES.sub(lambda m: _meant(m[0]), text)


def _meant(run: bytes) -> bytes:
    return run if run == b"\\\\" or run.lower().startswith((b"\\u000", b"\\u001")) else _bytes_of(run)


def _bytes_of(run: bytes) -> bytes:
    """The bytes that escapes stand for; ValueError where one is beyond a byte, or within ASCII."""
    found = bytes(int(run[at + 2 : at + 6], 16) for at in range(0, len(run), 6))
    if min(found) < 0x80:
        raise ValueError
    return found


def _document(file: InputFile, options: FileOptions) -> Any:
    most = options.max_bytes if "max_bytes" in options.model_fields_set else _MOST
    parts = bytearray()
    for chunk in utf8(file.chunks(), options.encoding):
        parts += chunk
        if len(parts) > most:
            raise file.bad(
                f"expected an export of at most {most} bytes, found more; "
                "raise the option `max_bytes`, or ask the platform for smaller files"
            )
    text = bytes(parts).strip()
    if not text:
        raise file.bad("the file is empty; expected an export in JSON")
    if text[:1] not in (b"[", b"{"):
        text = _ASSIGNED.sub(b"", text).rstrip(b"; \n\r\t")
    try:
        return orjson.loads(repaired(text))
    except orjson.JSONDecodeError as error:
        raise file.bad(f"is not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None


def _only(document: Any, file: InputFile) -> tuple[Step, ...]:
    """The way to the rows where nobody names one: the document itself, or its one array."""
    arrays = [k for k, v in document.items() if isinstance(v, list)] if isinstance(document, dict) else []
    if len(arrays) > 1:
        plain = ", ".join(f"'{k}'" for k in arrays[:10] if _FIELD.fullmatch(k))
        raise file.bad(f"has several arrays ({plain or 'with odd names'}); name one with the option `records`")
    return tuple(arrays)


def _line(row: Any, above: tuple[dict[str, Any], ...], wanted: dict[str, tuple[Step, ...]]) -> bytes:
    if not isinstance(row, dict):
        return orjson.dumps(row)
    found = dict(row)
    for column, path in wanted.items():
        if column in row:
            continue
        if column.startswith(_PARENT):
            found[column] = next((v for a in above if (v := value(a, path[1:])) is not None), None)
        else:
            found[column] = value(row, path)
    return orjson.dumps(found)


FORMAT = Format("export", (), read)
