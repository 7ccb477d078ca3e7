"""Real media files, made on the spot: photos by Pillow, sound by `wave`, films and PDFs byte by byte; run by path."""

from __future__ import annotations

import math
import struct
import wave
import zlib
from array import array
from io import BytesIO

from PIL import Image

TAKEN = "2018:03:04 10:11:12"
SINCE_1904 = 2_082_844_800


def exif(**more: object) -> Image.Exif:
    """What a camera in Oxford wrote on 4 March 2018."""
    made = Image.Exif()
    made[0x010F], made[0x0110], made[0x0112] = "Canon", "EOS 80D", 1
    made[0x010E], made[0x013B] = "The shop window", "Zoë Müller"
    inside = made.get_ifd(0x8769)
    inside[0x9003], inside[0x9011] = TAKEN, "+01:00"
    place = made.get_ifd(0x8825)
    place[1], place[2] = "N", (51.0, 45.0, 7.2)
    place[3], place[4] = "W", (1.0, 15.0, 28.8)
    return made


def photo(form: str = "JPEG", size: tuple[int, int] = (64, 48), seed: int = 0, *, plain: bool = False) -> bytes:
    """A photo of one colour; `plain` without EXIF."""
    out = BytesIO()
    image = Image.new("RGB", size, (seed % 256, seed // 256 % 256, 99))
    image.save(out, form, **({} if plain else {"exif": exif()}))
    return out.getvalue()


def bomb(width: int = 60_000, height: int = 50_000) -> bytes:
    """A PNG of a few kilobytes that says it unpacks to three gigabytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(4 << 20))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def wav(seconds: float = 1.5, rate: int = 8000, tone: int = 440) -> bytes:
    """A tone as a call centre would record it: one channel, eight thousand samples of two bytes a second."""
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        samples = (int(9000 * math.sin(i * tone / rate * 6.283)) for i in range(int(rate * seconds)))
        file.writeframes(array("h", samples).tobytes())
    return out.getvalue()


def mp3(seconds: float = 2.0, title: str = "Call 17", artist: str = "Desk 4") -> bytes:
    """Frames of MPEG-1 layer III at 128 kbit/s and 44.1 kHz, with an ID3v2.3 tag."""

    def tag(name: str, text: str) -> bytes:
        body = b"\x01" + text.encode("utf-16")
        return name.encode() + struct.pack(">IH", len(body), 0) + body

    tags = tag("TIT2", title) + tag("TPE1", artist)
    length = bytes((len(tags) >> s) & 127 for s in (21, 14, 7, 0))
    frame = b"\xff\xfb\x90\x64" + bytes(413)
    return b"ID3\x03\x00\x00" + length + tags + frame * round(seconds * 44100 / 1152)


def flac(seconds: int = 3, title: str = "Voicemail") -> bytes:
    """The header of a FLAC file: stream information and comments."""
    rate = 16000
    info = struct.pack(">HH", 4096, 4096) + bytes(6)
    info += (rate << 44 | 0 << 41 | 15 << 36 | rate * seconds).to_bytes(8) + bytes(16)
    comment = f"TITLE={title}".encode()
    notes = struct.pack("<I", 0) + struct.pack("<II", 1, len(comment)) + comment
    return b"fLaC" + b"\x00" + len(info).to_bytes(3) + info + b"\x84" + len(notes).to_bytes(3) + notes + bytes(64)


def ogg(seconds: int = 2) -> bytes:
    """A Vorbis stream of two pages: its header, and a last one that says how many samples there were."""
    head = b"\x01vorbis" + struct.pack("<IBIiiiBB", 0, 1, 16000, 0, 64000, 0, 0xB8, 1)

    def page(kind: int, number: int, samples: int, body: bytes) -> bytes:
        return struct.pack("<4sBBqIIIB", b"OggS", 0, kind, samples, 7, number, 0, 1) + bytes([len(body)]) + body

    return page(2, 0, 0, head) + page(4, 1, 16000 * seconds, bytes(32))


def box(kind: bytes, *parts: bytes) -> bytes:
    """An ISO box."""
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def _track(handler: bytes, codec: bytes, width: int = 0, height: int = 0) -> bytes:
    head = struct.pack(">IIIIII", 7, 0, 0, 1, 0, 0) + bytes(52) + struct.pack(">II", width << 16, height << 16)
    entries = struct.pack(">II", 0, 1) + box(codec, bytes(78))
    media = (
        box(b"hdlr", struct.pack(">II4s", 0, 0, handler) + bytes(13)),
        box(b"minf", box(b"stbl", box(b"stsd", entries))),
    )
    return box(b"trak", box(b"tkhd", head), box(b"mdia", *media))


def mp4(
    seconds: float = 12.5, width: int = 1280, height: int = 720, brand: bytes = b"isom", *, sound_only: bool = False
) -> bytes:
    """A film whose boxes say everything, its media data in front of them as cameras write it."""
    created = SINCE_1904 + 1_520_154_672  # 2018-03-04T09:11:12Z
    head = struct.pack(">IIIII", 0, created, created, 1000, int(seconds * 1000)) + bytes(80)
    tracks = [_track(b"soun", b"mp4a")]
    if not sound_only:
        tracks.insert(0, _track(b"vide", b"avc1", width, height))
    data = box(b"mdat", bytes(50_000))
    return box(b"ftyp", brand, bytes(4), brand) + data + box(b"moov", box(b"mvhd", head), *tracks)


def heic(width: int = 4032, height: int = 3024) -> bytes:
    """A HEIC without pictures: its size, and EXIF as an item at the file's end."""
    meta = exif().tobytes()
    item = struct.pack(">I", 6) + (meta if meta.startswith(b"Exif") else b"Exif\0\0" + meta)
    info = struct.pack(">IH", 0, 1) + box(b"infe", struct.pack(">IHH4s", 2 << 24, 3, 0, b"Exif"), b"\0")
    sizes = box(b"iprp", box(b"ipco", box(b"ispe", struct.pack(">III", 0, width, height))))

    def whole(at: int) -> bytes:
        place = struct.pack(">IBBHHHHII", 0, 0x44, 0, 1, 3, 0, 1, at, len(item))
        return box(b"ftyp", b"heic", bytes(4)) + box(
            b"meta", bytes(4), box(b"iinf", info), box(b"iloc", place), sizes
        )

    return whole(len(whole(0))) + item


def _element(number: int, body: bytes) -> bytes:
    name = number.to_bytes((number.bit_length() + 7) // 8)
    return name + (0x01 << 56 | len(body)).to_bytes(8) + body


def webm(seconds: float = 4.2, width: int = 640, height: int = 360) -> bytes:
    """A WebM with one track of pictures and one of sound, and a cluster."""
    info = _element(0x2AD7B1, (1_000_000).to_bytes(3)) + _element(0x4489, struct.pack(">d", seconds * 1000))
    info += _element(0x4461, (543_402_672 * 10**9).to_bytes(8))  # since 2001: 2018-03-22
    size = _element(0xE0, _element(0xB0, width.to_bytes(2)) + _element(0xBA, height.to_bytes(2)))
    tracks = _element(0xAE, _element(0x86, b"V_VP9") + size) + _element(0xAE, _element(0x86, b"A_OPUS"))
    segment = _element(0x1549A966, info) + _element(0x1654AE6B, tracks) + _element(0x1F43B675, bytes(90_000))
    return _element(0x1A45DFA3, _element(0x4282, b"webm")) + _element(0x18538067, segment)


def avi(frames: int = 100, width: int = 320, height: int = 240) -> bytes:
    """The head of an AVI at 25 frames a second."""
    main = struct.pack("<10I16x", 40_000, 0, 0, 0, frames, 0, 1, 0, width, height)
    stream = b"strh" + struct.pack("<I4s4s", 56, b"vids", b"MJPG") + bytes(48)
    body = b"AVI LIST" + struct.pack("<I", 4096) + b"hdrl" + b"avih" + struct.pack("<I", len(main)) + main + stream
    return b"RIFF" + struct.pack("<I", len(body)) + body + bytes(5000)


def pdf(
    texts: tuple[str, ...] = ("Invoice 4711 for Ann", "Thank you"), title: str = "Invoice", *, bomb: int = 0
) -> bytes:
    """A PDF of a page a text; `bomb`: bytes of nothing that its first page unpacks to besides."""
    objects: list[bytes] = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"",
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    kids = []
    for text in texts:
        plain = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET".encode() + b" " * bomb
        stream = zlib.compress(plain, 1)
        bomb = 0
        objects.append(b"<</Length %d/Filter/FlateDecode>>stream\n%s\nendstream" % (len(stream), stream))
        kids.append(len(objects) + 1)
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents %d 0 R/Resources<</Font<</F1 3 0 R>>>>>>"
            % len(objects)
        )
    objects[1] = b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(kids), b" ".join(b"%d 0 R" % k for k in kids))
    info = f"<</Title({title})/Author(Desk 4)/CreationDate(D:20180304101112+01'00')>>"
    objects.append(info.encode())
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % p for p in places)
    out += b"trailer<</Size %d/Root 1 0 R/Info %d 0 R>>\nstartxref\n%d\n%%%%EOF" % (
        len(objects) + 1,
        len(objects),
        start,
    )
    return bytes(out)
