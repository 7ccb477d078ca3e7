"""What does not land from the write-ahead log: what was damaged, and who was erased; nothing else is lost with it."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from onefold_storage.installation import Installation
from onefold_storage.person import Person
from onefold_storage.spool import Spool, frames_of
from onefold_storage.spool_erasing import spool as erase_from_spool
from onefold_storage.spool_frames import Frame
from onefold_storage.spool_log import SEALED, Writer, segments
from onefold_storage.suppression import Suppressed
from onefold_workers.stages.draining import Drainer

made = runpy.run_path(str(Path(__file__).with_name("drained_home.py")))
installation, drainer = made["installation"], made["drainer"]
spooled, clicks, landed, failed = (made[n] for n in ("spooled", "clicks", "landed", "failed"))


def test_damage_is_set_aside_and_the_rest_lands(
    installation: Installation, drainer: Callable[..., Drainer]
) -> None:
    writer = Writer(Spool(installation.settings.spool_folder).logs)
    for n in range(3):
        writer.append([clicks(n)])
    writer.close()
    (segment,) = segments(writer.folder)
    data = segment.path.read_bytes()
    segment.path.write_bytes(data.replace(b"person1", b"perso_1"))
    drainer().step()
    assert landed(installation) == [0, 2]
    assert [p.suffix for p in writer.folder.iterdir() if p.name != "lock"] == [".damaged"]


def test_damage_at_the_end_and_of_what_is_held_is_set_aside_too(
    installation: Installation, drainer: Callable[..., Drainer], caplog: pytest.LogCaptureFixture
) -> None:
    path = installation.settings.workspace_folder / "contracts" / "clicks.yaml"
    text = path.read_text()
    path.unlink()
    writer = Writer(Spool(installation.settings.spool_folder).logs)
    writer.append([clicks(1, source="views")])
    writer.append([clicks(2, source="views"), clicks(3)])
    writer.seal()
    writer.append([clicks(4)])
    writer.close()
    (first, _) = segments(writer.folder)
    first.path.write_bytes(first.path.read_bytes().replace(b"person2", b"perso_2"))
    drainer().step()
    spool = Spool(installation.settings.spool_folder)
    assert landed(installation, "views") == [1] and len(spool.damaged()) == 1
    (held,) = spool.held("clicks")
    held.segment.path.write_bytes(held.segment.path.read_bytes().replace(b"person4", b"perso_4"))
    path.write_text(text)
    drainer().step()
    assert len(spool.damaged()) == 2 and not spool.held_sources()
    assert caplog.text.count("bytes are damaged") == 2


def test_who_was_erased_does_not_land_and_leaves_the_log(
    installation: Installation, drainer: Callable[..., Drainer]
) -> None:
    writer = spooled(installation, [clicks(1), clicks(2, 3)])
    keyed, mail = installation.keyed_hash, "person2@example.org"
    installation.ledger.suppression.add([Suppressed(keyed.of("email", mail), "email")], "erasure")
    person = Person("g", frozenset({"g"}), frozenset(), frozenset({("email", mail)}), 0)
    assert erase_from_spool(installation, "spool", person) == 1
    (path,) = writer.folder.glob(f"*{SEALED}")
    assert b"person2" not in path.read_bytes()
    assert [f.erased for f in frames_of(path)] == [(), (0,)]
    assert erase_from_spool(installation, "spool", person) == 0
    drainer().step()
    assert landed(installation) == [1, 3]
    (package,) = installation.ledger.packages.list("clicks")
    assert (package.sent, package.landed, package.suppressed) == (3, 2, 1)
    spooled(installation, [clicks(2, 4)])  # sent again, the suppression list alone keeps the person out
    drainer().step()
    assert landed(installation) == [1, 3, 4]


def test_what_a_sender_writes_never_counts_as_erased(
    installation: Installation, drainer: Callable[..., Drainer]
) -> None:
    odd = b'#erased\n{"id":1}\n#suppressed\n#erased'
    key = {"key": "a" * 32, "digest": "d" * 32}
    spooled(installation, [Frame("clicks", odd, 4), clicks(5, **key)])
    spooled(installation, [Frame("clicks", odd, 4, key="a" * 32, digest="e" * 32)])
    drainer().step()
    assert sorted(landed(installation)) == [1, 5]
    rules = [rule for _, _, rule in failed(installation)]
    assert (rules.count("json"), rules.count("idempotency_key")) == (3, 4)
    totals = installation.ledger.packages.totals()["clicks"]
    assert (totals.sent, totals.landed, totals.failed, totals.suppressed) == (9, 2, 7, 0)


def test_of_a_key_that_came_before_no_erased_event_is_kept(
    installation: Installation, drainer: Callable[..., Drainer]
) -> None:
    key = {"key": "a" * 32}
    spooled(installation, [clicks(1, digest="d" * 32, **key)])
    spooled(installation, [Frame("clicks", b'{"id":2}\n\n{"id":3}', 3, digest="e" * 32, erased=(1,), **key)])
    drainer().step()
    assert [row for _, row, _ in failed(installation)] == [0, 2]
    assert installation.ledger.packages.totals()["clicks"].suppressed == 1
