"""Text as UTF-8 bytes in stretches of whole lines, whatever its encoding and however long its lines."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass

HEAD = 64 << 10
"""Bytes kept of a line that is too long."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_INVALID = "onefold_invalid"


def _mark_invalid(error: UnicodeError) -> tuple[str, int]:
    """What cannot be decoded becomes U+DCFF, which encodes to the byte 0xFF: never valid UTF-8, so it is found."""
    assert isinstance(error, UnicodeDecodeError)
    return "\udcff", error.end


codecs.register_error(_INVALID, _mark_invalid)


def utf8(chunks: Iterator[bytes], encoding: str | None) -> Iterator[bytes]:
    """The text as UTF-8 without byte order mark; bytes that are no text stay as bytes that are no UTF-8.

    `encoding`: a Python codec's name; None means UTF-8 unless a byte order mark says otherwise.
    """
    first = next(chunks, b"")
    while len(first) < 4 and (more := next(chunks, b"")):
        first += more
    marked = next((e for mark, e in _MARKS if first.startswith(mark)), None)
    encoding = encoding or marked or "utf-8"
    if encoding == "utf-8":
        yield first.removeprefix(codecs.BOM_UTF8)
        yield from chunks
        return
    decoder = codecs.getincrementaldecoder(encoding)(errors=_INVALID)
    yield decoder.decode(first).removeprefix("\ufeff").encode("utf-8", "surrogateescape")
    for chunk in chunks:
        yield decoder.decode(chunk).encode("utf-8", "surrogateescape")
    yield decoder.decode(b"", final=True).encode("utf-8", "surrogateescape")


def below(chunks: Iterator[bytes], lines: int) -> Iterator[bytes]:
    """UTF-8 text without its first lines."""
    for chunk in chunks:
        if not lines:
            yield chunk
            continue
        at = 0
        while lines and (end := chunk.find(b"\n", at)) >= 0:
            at, lines = end + 1, lines - 1
        if not lines:
            yield chunk[at:]


@dataclass(frozen=True)
class Stretch:
    """Whole lines (the file's last may lack its end); where `too_long`, the head of a line of that many bytes."""

    data: bytes
    too_long: int = 0


def stretches(chunks: Iterator[bytes], limit: int, *, carriage: bool) -> Iterator[Stretch]:
    """Lines put together from chunks. Memory: a chunk and `limit` bytes, however long a line is.

    `limit`: longest line in bytes, checked where a line spans chunks. `carriage`: a lone carriage return
    ends a line too, where a chunk has no line feed.
    """
    pending: list[bytes] = []
    size = skipped = 0
    for given in chunks:
        chunk = given
        cut = _last_end(chunk, carriage)
        if skipped or pending:
            first = _first_end(chunk, carriage) if cut else len(chunk)
            if skipped or size + first > limit:
                if not skipped:
                    pending = [b"".join((*pending, chunk[:first]))[:HEAD]]
                skipped += first + (0 if skipped else size)
                if cut:
                    yield Stretch(pending[0], skipped)
                    chunk, cut = chunk[first:], cut - first
                    pending, size, skipped = [], 0, 0
                else:
                    continue
        if cut:
            yield Stretch(b"".join((*pending, chunk[:cut])))
            pending, size = [], 0
        if rest := chunk[cut:]:
            pending.append(rest)
            size += len(rest)
    if skipped:
        yield Stretch(pending[0], skipped)
    elif pending:
        yield Stretch(b"".join(pending))


def _last_end(chunk: bytes, carriage: bool) -> int:
    """Where the last whole line of the chunk ends, 0 if it has none."""
    end = chunk.rfind(b"\n") + 1
    if end or not carriage:
        return end
    return chunk.rfind(b"\r", 0, len(chunk) - 1) + 1


def _first_end(chunk: bytes, carriage: bool) -> int:
    end = chunk.find(b"\n") + 1
    if end or not carriage:
        return end
    return chunk.find(b"\r") + 1


def is_text(data: bytes) -> bool:
    """Whether the bytes are UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
