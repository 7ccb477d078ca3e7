"""Audio: duration, codec and tags, by tinytag. Samples are never decoded, cover pictures never kept."""

from __future__ import annotations

from typing import IO, BinaryIO, cast

from tinytag import TinyTag

from onefold_workers.media.facts import Facts, UnreadableError, tags_of, tidy

_TYPES = {
    "Wave": ("audio/wav", "PCM"), "ID3": ("audio/mpeg", "MP3"), "Ogg": ("audio/ogg", "OGG"),
    "Flac": ("audio/flac", "FLAC"), "Mp4": ("audio/mp4", None), "Wma": ("audio/x-ms-wma", "WMA"),
    "Aiff": ("audio/aiff", "PCM"),
}  # fmt: skip


def read(file: IO[bytes]) -> Facts:
    """Facts of a recording.

    Raises:
        UnreadableError: it is none that is known.
    """
    try:
        file.seek(0)
        tag = TinyTag.get(file_obj=cast("BinaryIO", file), image=False)
    except Exception as error:  # parsers raise whatever they run into
        raise UnreadableError(f"cannot be read as audio ({type(error).__name__})") from None
    name = type(tag).__name__.strip("_")
    media_type, codec = _TYPES.get(name, ("audio/unknown", None))
    facts = Facts("audio", media_type, codec=codec, title=tidy(tag.title), author=tidy(tag.artist))
    if tag.duration is not None and 0 <= tag.duration < 1e9:
        facts.duration_s = round(tag.duration, 3)
    if facts.duration_s is None:
        facts.problem = "its duration cannot be read; it may be cut off"
    facts.created_at = _day(tag.year)
    numbers = {"channels": tag.channels, "sample_rate": tag.samplerate, "bit_rate": tag.bitrate, "album": tag.album}
    facts.tags = tags_of(numbers | {"genre": tag.genre, "comment": tag.comment})
    return facts


def _day(text: str | None) -> str | None:
    """A recording's day, where the tag names one and not only a year."""
    day = (text or "")[:10]
    return day if len(day) == 10 and day[4] == day[7] == "-" and day.replace("-", "").isdigit() else None
