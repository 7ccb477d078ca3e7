"""What a request to ingest may hold: one JSON object, an array of them, or NDJSON, perhaps gzipped; all bounded.

Events leave here as the sender wrote them, one a line; numbers and spelling are not touched.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass
from typing import Final

import orjson

from onefold.api.errors import FieldError
from onefold_storage.errors import OnefoldError

NDJSON: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")
PLAIN: Final = ("", "identity")
_JSON: Final = ("application/json", "")
_PIECE: Final = 16 << 10
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_EMPTY_PAIR = re.compile(rb"\{\}|\[\]")
_WHITE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class Unsupported(OnefoldError):  # noqa: N818 - as its siblings in errors.py
    """A content type or encoding that is not taken."""

    status = 415


class TooLarge(OnefoldError):  # noqa: N818
    """More than is taken at once."""

    status = 413


@dataclass(frozen=True)
class Bounds:
    """What one request may hold: bytes after decompression, events, nesting (an event's own braces count as one)."""

    size: int
    events: int
    depth: int


@dataclass(frozen=True)
class Events:
    """`lines`: events as they were sent, one a line; `invalid`: those of them that are no JSON object."""

    lines: bytes
    count: int
    invalid: int = 0
    first_invalid: int | None = None


def inflate(body: bytes, encoding: str, bounds: Bounds) -> bytes:
    """The body without its content encoding, which may be `gzip`, of no more members than the bound of events.

    Raises:
        Unsupported, TooLarge, FieldError: another encoding; more than the bounds; not whole or not gzip.
    """
    if encoding in PLAIN:
        return body
    if encoding != "gzip":
        raise Unsupported("Content-Encoding: expected gzip or none")
    parts: list[bytes] = []
    left, members, packed = bounds.size + 1, 0, memoryview(body)
    while packed:  # a file may have several members
        member = zlib.decompressobj(wbits=31)
        members += 1
        if members > bounds.events:
            raise TooLarge(f"the body has too many parts: at most {bounds.events} gzip members are taken at once")
        while not member.eof:
            if not packed:
                raise FieldError("body", "the gzip stream is cut off")
            piece = packed[:_PIECE]  # what lies behind a member is copied
            try:
                parts.append(member.decompress(piece, left))
            except zlib.error:
                raise FieldError("body", "expected gzip, as Content-Encoding says, found something else") from None
            left -= len(parts[-1])
            if left <= 0:
                raise TooLarge(f"the body is too large: at most {bounds.size} bytes are taken, unpacked")
            packed = packed[len(piece) - len(member.unconsumed_tail) - len(member.unused_data) :]
    return b"".join(parts)


def read(body: bytes, kind: str, bounds: Bounds) -> Events:
    """The events of a body of a content type (without parameters).

    Raises:
        Unsupported: not a content type that is taken. TooLarge: too many events.
        FieldError: not JSON, empty, nested too deeply; the message says which line or place.
    """
    if kind in NDJSON:
        return _lines(body, bounds)
    if kind not in _JSON:
        raise Unsupported(f"Content-Type: expected application/json, or {NDJSON[0]} for one event a line")
    text = body.strip()
    if not text:
        raise FieldError("body", "is empty: expected an event (a JSON object), an array of them, or NDJSON")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        said = f"is not valid JSON (line {error.lineno}, column {error.colno})"
        raise FieldError("body", f"{said}; one event a line is sent as {NDJSON[0]}") from None
    if isinstance(value, list):
        return _array(text, value, bounds)
    if not isinstance(value, dict):
        raise FieldError("body", "expected an event (a JSON object) or an array of them")
    if depth_over(text, bounds.depth):
        raise _too_deep("body", bounds)
    return Events(_one_line(text), 1)


def _array(text: bytes, values: list[object], bounds: Bounds) -> Events:
    if not values:
        raise FieldError("body", "holds no events: expected at least one")
    if len(values) > bounds.events:
        raise TooLarge(f"too many events: at most {bounds.events} are taken at once, found {len(values)}")
    flat = text.count(b"{") + text.count(b"[") == len(values) + 1
    if not flat and depth_over(text, bounds.depth + 1):
        at = next(n for n, v in enumerate(values) if depth_over(orjson.dumps(v), bounds.depth))
        raise _too_deep(f"body.{at}", bounds)
    wrong = [n for n, v in enumerate(values) if type(v) is not dict]
    lines = b"\n".join(_elements(text, values))
    return Events(lines, len(values), len(wrong), wrong[0] if wrong else None)


def _elements(text: bytes, values: list[object]) -> list[bytes]:
    """Each element as it was written."""
    written = [orjson.dumps(v) for v in values]
    if b"[%s]" % b",".join(written) == text:
        return written
    whole = text.decode()
    found: list[bytes] = []
    at = _after_white(whole, 1)
    while whole[at] != "]":
        _, end = _DECODER.raw_decode(whole, at)
        found.append(_one_line(whole[at:end].encode()))
        at = _after_white(whole, end)
        if whole[at] == ",":
            at = _after_white(whole, at + 1)
    return found


def _lines(body: bytes, bounds: Bounds) -> Events:
    lines = [line for line in body.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
    if not lines:
        raise FieldError("body", "holds no events: expected one JSON object a line")
    if len(lines) > bounds.events:
        raise TooLarge(f"too many events: at most {bounds.events} are taken at once, found {len(lines)}")
    wrong: list[int] = []
    for at, line in enumerate(lines):
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            wrong.append(at)
            continue
        if type(value) is not dict:
            wrong.append(at)
        elif line.count(b"{") + line.count(b"[") > bounds.depth and depth_over(line, bounds.depth):
            raise _too_deep(f"line {at + 1}", bounds)
    return Events(b"\n".join(lines), len(lines), len(wrong), wrong[0] if wrong else None)


def depth_over(text: bytes, most: int) -> bool:
    """Whether valid JSON is nested deeper: brackets outside of strings, of which each pass takes the innermost."""
    if text.count(b"{") + text.count(b"[") <= most:
        return False
    bare = _STRING.sub(b"", text).translate(None, _NOT_BRACKETS)
    for _ in range(most):
        bare = _EMPTY_PAIR.sub(b"", bare)
        if not bare:
            return False
    return True


def _too_deep(field: str, bounds: Bounds) -> FieldError:
    return FieldError(field, f"is nested too deeply: at most {bounds.depth} levels are taken")


def _one_line(text: bytes) -> bytes:
    """JSON on one line: outside of strings a line end is a blank, inside there is none."""
    return text.replace(b"\n", b" ").replace(b"\r", b" ")


def _after_white(text: str, at: int) -> int:
    found = _WHITE.match(text, at)
    return found.end() if found else at
