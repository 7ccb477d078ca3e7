"""Photos: size, when and with what they were taken, and where as far as they say so. No pixel is decoded."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import IO, Any

from PIL import ExifTags, Image

from onefold_workers.media.facts import Facts, UnreadableError, tags_of, tidy

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF")
_MOMENT = re.compile(r"^(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)")
_OFFSET = re.compile(r"^[+-]\d\d:\d\d$")
_TAGS = ("Orientation", "Software", "Copyright", "ISOSpeedRatings", "FNumber", "ExposureTime", "FocalLength")


def read(file: IO[bytes]) -> Facts:
    """Facts of an image. Its process lets images be of any size (`child.py`): a bomb that is not unpacked is harmless.

    Raises:
        UnreadableError: it is none that is known.
    """
    try:
        image = Image.open(file, formats=FORMATS)
    except Exception as error:  # plug-ins raise whatever they run into
        raise UnreadableError(f"cannot be read as an image ({type(error).__name__})") from None
    facts = Facts(
        "photo", Image.MIME.get(image.format or "", "image/unknown"), width=image.width, height=image.height
    )
    facts.codec = image.format
    facts.title, facts.author = tidy(image.info.get("Title")), tidy(image.info.get("Author"))
    if (
        image.format == "PNG" and "exif" not in image.info
    ):  # Pillow would decode all of it to look behind the pixels
        return facts
    try:
        exif = image.getexif()
    except Exception as error:
        facts.problem = f"its EXIF cannot be read ({type(error).__name__})"
        return facts
    fill(facts, exif)
    return facts


def fill(facts: Facts, exif: Image.Exif) -> None:
    """What EXIF says, as far as it can be read."""
    known: dict[str, Any] = {}
    for values in (exif, _directory(exif, ExifTags.IFD.Exif)):
        for tag, value in dict(values).items():
            known.setdefault(ExifTags.TAGS.get(tag, ""), value)
    facts.title = tidy(known.get("ImageDescription")) or facts.title
    facts.author = tidy(known.get("Artist")) or facts.author
    facts.device = " ".join(t for n in ("Make", "Model") if (t := tidy(known.get(n), 100))) or None
    for name in ("DateTimeOriginal", "DateTimeDigitized", "DateTime"):
        if moment := _moment(known.get(name), known.get(name.replace("DateTime", "OffsetTime"))):
            facts.created_at = moment
            break
    place = _directory(exif, ExifTags.IFD.GPSInfo)
    facts.latitude = _degrees(place.get(2), place.get(1), "S", 90)
    facts.longitude = _degrees(place.get(4), place.get(3), "W", 180)
    numbers: dict[str, Any] = {}
    for name in _TAGS:
        value = known.get(name)
        with suppress(TypeError, ValueError, ZeroDivisionError):
            numbers[name] = value if isinstance(value, str | int | bytes) or value is None else float(value)
    facts.tags |= tags_of(numbers)


def _directory(exif: Image.Exif, which: int) -> dict[int, Any]:
    try:
        return dict(exif.get_ifd(which))
    except Exception:  # a directory that points nowhere
        return {}


def _moment(value: Any, offset: Any) -> str | None:
    match = _MOMENT.match(str(value))
    if not match or match[1] == "0000":
        return None
    zone = str(offset) if _OFFSET.match(str(offset)) else ""
    return "{}-{}-{}T{}:{}:{}".format(*match.groups()) + zone


def _degrees(parts: Any, side: Any, negative: str, most: int) -> float | None:
    try:
        degrees, minutes, seconds = (float(p) for p in parts)
        found = degrees + minutes / 60 + seconds / 3600
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    if not 0 <= found <= most:
        return None
    return round(-found if str(side).upper().startswith(negative) else found, 7)
