"""WebM and Matroska: elements of EBML (RFC 8794, RFC 9559). Clusters, which hold the pictures, are jumped over."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO

from onefold_workers.media.facts import Facts, UnreadableError, since, tidy

_MOST = 10_000
_MOST_BYTES = 1 << 16
_SEGMENT, _INFO, _TRACKS, _ENTRY = 0x18538067, 0x1549A966, 0x1654AE6B, 0xAE
_FOLDERS = (_SEGMENT, _INFO, _TRACKS, _ENTRY, 0xE0)
_SCALE, _DURATION, _DATE, _TITLE = 0x2AD7B1, 0x4489, 0x4461, 0x7BA9
_CODEC, _WIDTH, _HEIGHT, _DOCTYPE = 0x86, 0xB0, 0xBA, 0x4282
_NANO = 1_000_000_000


def read(file: IO[bytes]) -> Facts:
    """Facts of a film or of audio.

    Raises:
        UnreadableError: it is none.
    """
    scale, length, doctype = 1_000_000, None, "matroska"
    facts = Facts("video", "video/x-matroska")
    codecs: list[str] = []
    try:
        for element, data in _elements(file):
            if element == _SCALE:
                scale = int.from_bytes(data)
            elif element == _DURATION and len(data) in (4, 8):
                (length,) = struct.unpack(">f" if len(data) == 4 else ">d", data)
            elif element == _DATE:
                facts.created_at = since(2001, int.from_bytes(data, signed=True) // _NANO)
            elif element == _TITLE:
                facts.title = tidy(data)
            elif element == _CODEC:
                codecs.append(tidy(data, 40) or "")
            elif element == _DOCTYPE:
                doctype = data.decode("ascii", "replace").strip("\0")
            elif element == _WIDTH:
                facts.width = facts.width or int.from_bytes(data)
            elif element == _HEIGHT:
                facts.height = facts.height or int.from_bytes(data)
    except (struct.error, ValueError, IndexError) as error:
        raise UnreadableError(f"its elements are broken ({type(error).__name__})") from None
    if length is not None and 0 <= length * scale < 1e18:
        facts.duration_s = round(length * scale / _NANO, 3)
    pictures = any(c.startswith("V_") for c in codecs)
    facts.kind = "audio" if codecs and not pictures else "video"
    facts.media_type = f"{facts.kind}/{'webm' if doctype == 'webm' else 'x-matroska'}"
    facts.codec = "+".join(c.split("/")[0][2:] for c in codecs[:4]) or None
    if facts.duration_s is None and not codecs:
        raise UnreadableError("its elements hold neither a duration nor a track; it may be cut off")
    return facts


def _elements(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Small elements in order, those within folders among them; what is large is jumped over."""
    end = file.seek(0, 2)
    at = 0
    for _ in range(_MOST):
        file.seek(at)
        head = file.read(12)
        if len(head) < 2 or at >= end:
            return
        element, wide = _number(head, keep_mark=True)
        size, more = _number(head[wide:], keep_mark=False)
        start = at + wide + more
        if element in _FOLDERS or element == 0x1A45DFA3:
            at = start
            continue
        unknown = size == (1 << 7 * more) - 1
        if unknown or start + size > end:
            return  # a live stream's cluster, or cut off
        if size <= _MOST_BYTES:
            file.seek(start)
            yield element, file.read(size)
        at = start + size


def _number(data: bytes, *, keep_mark: bool) -> tuple[int, int]:
    """A number of variable length, and its bytes."""
    wide = 9 - data[0].bit_length()
    if wide > 8 or len(data) < wide:
        raise ValueError("no number of variable length")
    value = int.from_bytes(data[:wide])
    return (value if keep_mark else value & ((1 << 7 * wide) - 1)), wide
