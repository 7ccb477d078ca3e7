"""MP4, MOV, M4A and HEIC: boxes within boxes (ISO/IEC 14496-12, 23008-12). Media data is jumped over, never read."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import IO

from PIL import Image

from onefold_workers.media import photos
from onefold_workers.media.facts import Facts, UnreadableError, since, tidy

_MOST_BOXES = 10_000
_MOST_BYTES = 1 << 20
_MOST_EXIF = 16 << 20
_HEIF = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_EPOCH = 1904


@dataclass(frozen=True)
class _Box:
    kind: bytes
    start: int
    end: int


def read(file: IO[bytes]) -> Facts:
    """Facts of a video, of audio without pictures, or of a HEIC photo.

    Raises:
        UnreadableError: the boxes do not fit into each other, or say nothing.
    """
    try:
        size = file.seek(0, 2)
        top = {b.kind: b for b in _boxes(file, 0, size)}
        brand = _bytes(file, top[b"ftyp"])[:4] if b"ftyp" in top else b"qt  "
        if b"moov" in top:
            return _movie(file, top[b"moov"], brand)
        if b"meta" in top and brand in _HEIF:
            return _photo(file, top[b"meta"])
    except (struct.error, IndexError, ValueError) as error:
        raise UnreadableError(f"its boxes are broken ({type(error).__name__})") from None
    raise UnreadableError("its boxes hold neither a film nor a photo; it may be cut off")


def _movie(file: IO[bytes], moov: _Box, brand: bytes) -> Facts:
    media_type = {b"qt  ": "video/quicktime", b"M4A ": "audio/mp4", b"M4B ": "audio/mp4"}.get(brand, "video/mp4")
    facts = Facts("video", media_type)
    codecs: dict[bytes, str] = {}
    for box in _boxes(file, moov.start, moov.end):
        if box.kind == b"mvhd":
            created, scale, length = _header(_bytes(file, box))
            facts.created_at = since(_EPOCH, created)
            facts.duration_s = round(length / scale, 3) if scale and length not in (2**32 - 1, 2**64 - 1) else None
        elif box.kind == b"trak":
            _track(file, box, facts, codecs)
    if b"vide" not in codecs and b"soun" in codecs:
        facts.kind, facts.media_type = "audio", "audio/mp4"
    facts.codec = "+".join(c for c in (codecs.get(b"vide"), codecs.get(b"soun")) if c) or None
    return facts


def _track(file: IO[bytes], trak: _Box, facts: Facts, codecs: dict[bytes, str]) -> None:
    handler, codec, sides = b"", None, (0, 0)
    for box in _boxes(file, trak.start, trak.end, inside=(b"mdia", b"minf", b"stbl")):
        if box.kind == b"tkhd":
            data = _bytes(file, box)
            sides = struct.unpack(">II", data[88:96] if data[0] == 1 else data[76:84])
        elif box.kind == b"hdlr":
            found = _bytes(file, box)[8:12]
            handler = found if found in (b"vide", b"soun") else handler
        elif box.kind == b"stsd":
            codec = tidy(_bytes(file, box)[12:16].decode("ascii", "replace"))
    if handler and codec:
        codecs.setdefault(handler, codec)
    if handler == b"vide" and facts.width is None and all(sides):
        facts.width, facts.height = sides[0] >> 16, sides[1] >> 16


def _header(data: bytes) -> tuple[int, int, int]:
    """Creation (seconds since 1904), time scale and duration of a movie."""
    if data[0] == 1:
        created, _, scale, length = struct.unpack(">QQIQ", data[4:32])
    else:
        created, _, scale, length = struct.unpack(">IIII", data[4:20])
    return created, scale, length


def _photo(file: IO[bytes], meta: _Box) -> Facts:
    facts = Facts("photo", "image/heic", codec="HEIF")
    exif_item, places = None, {}
    for box in _boxes(file, meta.start + 4, meta.end, inside=(b"iprp", b"ipco")):
        data = _bytes(file, box) if box.kind in (b"iinf", b"iloc", b"ispe") else b""
        if box.kind == b"ispe":
            sides = struct.unpack(">II", data[4:12])
            if sides[0] * sides[1] > (facts.width or 0) * (facts.height or 0):  # tiles and thumbnails are smaller
                facts.width, facts.height = sides
        elif box.kind == b"iinf":
            exif_item = _exif_item(data)
        elif box.kind == b"iloc":
            places = _places(data)
    if exif_item in places:
        start, length = places[exif_item]
        file.seek(start)
        data = file.read(min(length, _MOST_EXIF))
        at = 4 + int.from_bytes(data[:4])
        exif = Image.Exif()
        try:
            exif.load(data[at:] if data[at : at + 4] == b"Exif" else b"Exif\0\0" + data[at:])
        except Exception as error:  # Pillow raises whatever it runs into
            facts.problem = f"its EXIF cannot be read ({type(error).__name__})"
            return facts
        photos.fill(facts, exif)
    return facts


def _exif_item(iinf: bytes) -> int | None:
    skip = 6 if iinf[0] == 0 else 8
    body = BytesIO(iinf)
    for box in _boxes(body, skip, len(iinf)):
        data = iinf[box.start : box.end]
        if box.kind == b"infe" and data[0] >= 2:
            wide = 4 if data[0] > 2 else 2
            if data[4 + wide + 2 : 4 + wide + 6] == b"Exif":
                return int.from_bytes(data[4 : 4 + wide])
    return None


def _places(iloc: bytes) -> dict[int, tuple[int, int]]:
    """Start and length in the file of each item that lies there in one piece."""
    version = iloc[0]
    offset_size, length_size = iloc[4] >> 4, iloc[4] & 15
    base_size, index_size = iloc[5] >> 4, (iloc[5] & 15) if version else 0
    at = 6
    wide = 4 if version == 2 else 2

    def take(size: int) -> int:
        nonlocal at
        at += size
        if at > len(iloc):
            raise ValueError("iloc ends early")
        return int.from_bytes(iloc[at - size : at])

    found: dict[int, tuple[int, int]] = {}
    for _ in range(min(take(wide), _MOST_BOXES)):
        item = take(wide)
        method = take(2) & 15 if version else 0
        take(2)
        base, extents = take(base_size), take(2)
        for _ in range(min(extents, _MOST_BOXES)):
            take(index_size)
            place = base + take(offset_size), take(length_size)
            if method == 0 and extents == 1:
                found[item] = place
    return found


def _boxes(file: IO[bytes], at: int, end: int, inside: tuple[bytes, ...] = ()) -> Iterator[_Box]:
    """The boxes between two places, in order; of those named `inside`, what they hold instead."""
    stretches, seen = [(at, end)], 0
    while stretches:
        at, end = stretches.pop()
        while at + 8 <= end:
            seen += 1
            if seen > _MOST_BOXES:
                raise ValueError("too many boxes")
            file.seek(at)
            head = file.read(16)
            size, kind = struct.unpack(">I4s", head[:8])
            start = at + 8
            if size == 1:
                size, start = struct.unpack(">Q", head[8:16])[0], at + 16
            stop = end if size == 0 else at + size
            if stop < start or stop > end:
                return  # cut off: what came before stands
            if kind in inside:
                stretches.append((stop, end))
                at, end = start, stop
                continue
            yield _Box(kind, start, stop)
            at = stop


def _bytes(file: IO[bytes], box: _Box) -> bytes:
    file.seek(box.start)
    return file.read(min(box.end - box.start, _MOST_BYTES))
