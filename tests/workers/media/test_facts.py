"""What is read out of real files of every kind that is known."""

from __future__ import annotations

from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest

from onefold_workers.media.facts import Facts
from onefold_workers.media.reading import read


def _facts(data: bytes, extension: str = "") -> Facts:
    return read(BytesIO(data), extension, 20)


@pytest.mark.parametrize(
    ("form", "media_type"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("WEBP", "image/webp"),
        ("AVIF", "image/avif"),
    ],
)
def test_photos(make: SimpleNamespace, form: str, media_type: str) -> None:
    facts = _facts(make.photo(form))
    assert (facts.kind, facts.media_type, facts.width, facts.height) == ("photo", media_type, 64, 48)
    assert facts.created_at == "2018-03-04T10:11:12+01:00"
    assert facts.device == "Canon EOS 80D"
    assert (facts.title, facts.author) == ("The shop window", "Zoë Müller") or form in (
        "JPEG",
        "PNG",
        "WEBP",
        "AVIF",
    )
    assert facts.latitude == pytest.approx(51.752)
    assert facts.longitude == pytest.approx(-1.258)
    assert facts.problem is None


def test_a_heic_photo_says_what_its_exif_says(make: SimpleNamespace) -> None:
    facts = _facts(make.heic())
    assert (facts.kind, facts.media_type, facts.width, facts.height) == ("photo", "image/heic", 4032, 3024)
    assert (facts.created_at, facts.device) == ("2018-03-04T10:11:12+01:00", "Canon EOS 80D")
    assert facts.latitude == pytest.approx(51.752)


def test_a_scan(make: SimpleNamespace) -> None:
    facts = _facts(make.photo("TIFF"))
    assert (facts.media_type, facts.width, facts.title, facts.device) == (
        "image/tiff",
        64,
        "The shop window",
        "Canon EOS 80D",
    )


def test_a_photo_without_exif_has_a_size_alone(make: SimpleNamespace) -> None:
    facts = _facts(make.photo("GIF", plain=True))
    assert (facts.media_type, facts.width, facts.created_at, facts.latitude) == ("image/gif", 64, None, None)


SOUND: dict[str, tuple[str, dict[str, Any]]] = {
    "wav": ("audio/wav", {"duration_s": 1.5, "codec": "PCM"}),
    "mp3": ("audio/mpeg", {"duration_s": pytest.approx(2.0, abs=0.1), "title": "Call 17", "author": "Desk 4"}),
    "flac": ("audio/flac", {"duration_s": 3.0, "title": "Voicemail"}),
    "ogg": ("audio/ogg", {"duration_s": 2.0}),
}


@pytest.mark.parametrize("form", SOUND)
def test_sound(make: SimpleNamespace, form: str) -> None:
    media_type, expected = SOUND[form]
    facts = _facts(getattr(make, form)())
    assert (facts.kind, facts.media_type, facts.problem) == ("audio", media_type, None)
    assert {k: getattr(facts, k) for k in expected} == expected


def test_films(make: SimpleNamespace) -> None:
    film = _facts(make.mp4())
    assert (film.kind, film.media_type, film.codec) == ("video", "video/mp4", "avc1+mp4a")
    assert (film.duration_s, film.width, film.height) == (12.5, 1280, 720)
    assert film.created_at == "2018-03-04T09:11:12+00:00"
    assert _facts(make.mp4(brand=b"qt  ")).media_type == "video/quicktime"
    sound = _facts(make.mp4(brand=b"M4A ", sound_only=True))
    assert (sound.kind, sound.media_type, sound.duration_s, sound.width) == ("audio", "audio/mp4", 12.5, None)
    webm = _facts(make.webm())
    assert (webm.media_type, webm.codec, webm.duration_s) == ("video/webm", "VP9+OPUS", 4.2)
    assert (webm.width, webm.height, (webm.created_at or "")[:10]) == (640, 360, "2018-03-22")
    avi = _facts(make.avi())
    assert (avi.media_type, avi.codec, avi.duration_s) == ("video/x-msvideo", "MJPG", 4.0)
    assert (avi.width, avi.height) == (320, 240)


def test_a_pdf_and_its_text(make: SimpleNamespace) -> None:
    facts = _facts(make.pdf())
    assert (facts.kind, facts.pages, facts.title, facts.author) == ("pdf", 2, "Invoice", "Desk 4")
    assert facts.created_at == "2018-03-04T10:11:12+01:00"
    assert facts.text == "Invoice 4711 for Ann\n\nThank you"


def test_mails_and_text() -> None:
    mail = b"From: Ann <ann@example.org>\nDate: Sun, 04 Mar 2018 10:11:12 +0100\nSubject: Hello\n\nIs it there?\n"
    facts = _facts(mail, "eml")
    assert (facts.kind, facts.author, facts.title, facts.text) == (
        "mail",
        "ann@example.org",
        "Hello",
        "Is it there?",
    )
    assert facts.created_at == "2018-03-04T09:11:12+00:00"
    assert _facts(b"Agent: good morning\0", "txt").kind == "text"
    assert _facts(b"Agent: good morning", "vtt").text == "Agent: good morning"


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("form", ["photo", "heic", "wav", "mp3", "flac", "ogg", "mp4", "webm", "avi", "pdf"])
def test_files_that_are_cut_off_or_damaged_have_a_problem_or_fewer_facts(make: SimpleNamespace, form: str) -> None:
    data = getattr(make, form)()
    for size in (0, 1, 9, 12, 40, 100, 300, len(data) // 2, len(data) - 3):
        facts = _facts(data[:size], form)
        assert facts.kind
        assert facts.problem or size > 20
    for at in range(0, min(len(data), 1200), 7):
        spoilt = bytearray(data)
        spoilt[at : at + 4] = b"\xff\xff\xff\xff"
        assert _facts(bytes(spoilt), form).kind
