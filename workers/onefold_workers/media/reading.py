"""Which reader reads a file: told by its first bytes, never by its name alone."""

from __future__ import annotations

import mimetypes
from contextlib import suppress
from typing import IO

from onefold_workers.media.facts import MAX_TEXT, Facts, UnreadableError, tidy

_IMAGES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*", b"BM")
_AUDIO = (b"ID3", b"OggS", b"fLaC", b"FORM", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11")
_TEXT = ("txt", "text", "md", "vtt", "srt", "csv", "json", "html", "htm", "xml")
_SHARE = 0.6
"""Of the time that a file has, what the text of its pages may take."""


def read(file: IO[bytes], extension: str, seconds: float) -> Facts:
    """The facts of a file; one that is broken or unknown has a `problem` instead.

    `extension`: without the dot, in lower case; it says what text is, and what is unknown.
    """
    file.seek(0)
    head = file.read(4096)
    try:
        return _chosen(file, head, extension, seconds)
    except UnreadableError as error:
        kind, media_type = guess(head, extension)
        return Facts(kind, media_type, problem=str(error))


def _chosen(file: IO[bytes], head: bytes, extension: str, seconds: float) -> Facts:
    from onefold_workers.media import audio, avi, boxes, matroska, pdf, photos

    if not head:
        raise UnreadableError("is empty")
    if head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"avis"):
        return photos.read(file)
    if head[4:8] in (b"ftyp", b"moov", b"wide"):
        return _tagged(boxes.read(file), file)
    if head.startswith(_IMAGES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return photos.read(file)
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return avi.read(file)
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return matroska.read(file)
    if b"%PDF-" in head[:1024]:
        return pdf.read(file, seconds * _SHARE)
    if head[:4] == b"RIFF" or head.startswith(_AUDIO) or (head[0] == 0xFF and head[1:2] >= b"\xe0"):
        return audio.read(file)
    if extension == "eml":
        return _mail(file)
    if extension in _TEXT and b"\0" not in head:
        file.seek(0)
        text = file.read(MAX_TEXT * 4).decode("utf-8", "replace")
        return Facts("text", guess(head, extension)[1], text=tidy(text, MAX_TEXT))
    raise UnreadableError("its format is none that facts are read of")


def _tagged(facts: Facts, file: IO[bytes]) -> Facts:
    """Audio in an MP4 has tags beside what its boxes say."""
    if facts.kind == "audio":
        from onefold_workers.media import audio

        with suppress(UnreadableError):
            tags = audio.read(file)
            facts.title, facts.author, facts.tags = tags.title, tags.author, tags.tags
    return facts


def _mail(file: IO[bytes]) -> Facts:
    from onefold_workers.connectors import _mail

    file.seek(0)
    try:
        row = _mail.row(file.read(32 << 20))
    except ValueError:
        raise UnreadableError("is no mail: it has no header") from None
    facts = Facts("mail", "message/rfc822", title=row["subject"], author=row["from_address"], text=row["text"])
    facts.created_at = row["sent_at"]
    facts.tags = {n: v for n in ("message_id", "from_name", "to_addresses", "in_reply_to") if (v := row[n])}
    return facts


def guess(head: bytes, extension: str) -> tuple[str, str]:
    """Kind and IANA media type of what cannot be read: by its first bytes where they tell, else by its name."""
    if b"%PDF-" in head[:1024]:
        return "pdf", "application/pdf"
    media_type = mimetypes.types_map.get(f".{extension}", "application/octet-stream")
    kind = {"image": "photo", "audio": "audio", "video": "video", "text": "text"}.get(media_type.split("/")[0])
    return kind or ("pdf" if extension == "pdf" else "other"), media_type
