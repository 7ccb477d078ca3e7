"""Erasure and the write-ahead log: a person leaves what waits there and what was damaged; the others' events stay."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from onefold_storage import spool_erasing
from onefold_storage.erasure import erase
from onefold_storage.installation import Installation
from onefold_storage.spool import Spool
from onefold_storage.spool_frames import Frame
from onefold_storage.spool_log import Writer, segments, set_aside

NOW = datetime(2018, 1, 1, tzinfo=UTC)
on_this_machine = pytest.mark.parametrize("stored", ["file"], indirect=True)
"""The write-ahead log is, wherever the lake lies."""


def spooled(installation: Installation, *names: str) -> Writer:
    """A log with one sealed segment, an event a name, each a group of its own; its process has ended."""
    writer = Writer(Spool(installation.settings.spool_folder).logs)
    for name in names:
        writer.append([Frame("crm", b'{"name":"%s","mail":"%s@example.com"}' % ((name.encode(),) * 2), 1)])
    writer.close()
    return writer


def holding(installation: Installation, text: bytes) -> list[str]:
    """Files of the spool that hold a text; they are not packed."""
    root = installation.settings.root
    files = sorted(p for p in (root / "spool").rglob("*") if p.is_file())
    return [str(p.relative_to(root)) for p in files if text in p.read_bytes()]


@pytest.mark.parametrize("erased", [True, False])
@on_this_machine
def test_what_waits_in_the_log_is_erased_and_looked_through_by_the_rescan(
    filled: Installation, monkeypatch: pytest.MonkeyPatch, erased: bool
) -> None:
    writer = spooled(filled, "annabel", "bob")
    if not erased:
        monkeypatch.setattr(spool_erasing, "_cleared", lambda frame, *_: frame)
    receipt = erase(filled, "g-ann", NOW)
    name = f"spool/logs/{writer.id}/0000000001.sealed"
    assert receipt.left == (() if erased else (name,))
    assert holding(filled, b"annabel") == ([] if erased else [name])
    assert holding(filled, b"bob@example.com") == [name]
    assert receipt.places["spool"] == erased


@on_this_machine
def test_damaged_segments_are_looked_through_and_what_is_theirs_of_others_stays(filled: Installation) -> None:
    """Damage that was set aside, and one that nobody has come upon yet."""
    for aside in (True, False):
        writer = spooled(filled, "annabel", "annabel", "cyril", "annabel", "cyril")
        (segment,) = segments(writer.folder)
        data = bytearray(segment.path.read_bytes())
        second = data.index(b'"source"', data.index(b'"source"') + 1) + 4
        data[second] ^= 1  # of the second event, how its request begins
        third = data.index(b'"cyril"') + 1
        data[third] ^= 1  # and the third one
        segment.path.write_bytes(data)
        if aside:
            set_aside(segment.path, segment.read().frames)
    receipt = erase(filled, "g-ann", NOW)
    assert receipt.complete and receipt.places["spool"] >= 6
    assert holding(filled, b"annabel") == []
    damaged = Spool(filled.settings.spool_folder).damaged()
    assert len(damaged) == 2
    for path in damaged:
        assert path.read_bytes().count(b"cyril@example.com") == 2


@on_this_machine
def test_a_segment_that_is_being_written_is_left_to_its_writer(
    filled: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person's events go on coming in; they land no more, but those beside them do."""
    writer = Writer(Spool(filled.settings.spool_folder).logs)
    real = spool_erasing._until_sealed

    def and_then(waiting: Spool) -> None:
        real(waiting)
        writer.append([Frame("crm", b'{"mail":"annabel@example.com"}', 1)])

    monkeypatch.setattr(spool_erasing, "_until_sealed", and_then)
    assert erase(filled, "g-ann", NOW).complete
    writer.append([Frame("crm", b'{"mail":"cyril@example.com"}', 1)])
    writer.close()
    bodies = [f.body for s in segments(writer.folder) for f in s.read().frames]
    assert b'{"mail":"cyril@example.com"}' in bodies
