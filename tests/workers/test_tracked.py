"""Tracking events from the log to bronze: each once, in whatever requests, replicas and crashes it comes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from onefold_storage.errors import Unavailable
from onefold_storage.installation import Installation
from onefold_storage.packages import Packages
from onefold_storage.person import Person
from onefold_storage.settings import StorageSettings
from onefold_storage.spool import Spool, frames_of
from onefold_storage.spool_erasing import spool as erase_from_spool
from onefold_storage.spool_frames import INVALID, SUPPRESSED, Frame
from onefold_storage.spool_log import SEALED, Writer
from onefold_storage.suppression import Suppressed
from onefold_workers.drafting.tracking_contract import draft_tracking
from onefold_workers.stages.draining import Drainer

BAD = INVALID + orjson.dumps({"rule": "tracking", "field": "userId", "message": "userId: none", "event": "{}"})


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """An installation with one source of tracking events; stretches are short, so that there are several."""
    monkeypatch.setattr("onefold_workers.stages.draining._LOOK_SECONDS", -1.0)
    monkeypatch.setattr("onefold_workers.stages.tracked._STRETCH", 700)
    made = Installation(StorageSettings(home=tmp_path / "home", now=datetime(2026, 1, 5, tzinfo=UTC)))
    folder = made.settings.workspace_folder / "contracts"
    folder.mkdir(parents=True)
    (folder.parent / "onefold.yaml").write_text("name: test\n")
    (folder / "web.yaml").write_text(draft_tracking("web"))
    yield made
    made.ledger.close()


def line(n: int) -> bytes:
    """The row of an event."""
    at = "2026-01-05T10:00:00.000Z"
    row = {"message_id": f"m{n}", "at": at, "type": "track", "user_id": f"user-number-{n}", "properties": {"n": n}}
    return orjson.dumps(row)


def frame(*lines: bytes) -> Frame:
    """A request with these lines."""
    return Frame("web", b"\n".join(lines), len(lines))


def spooled(installation: Installation, *segments: list[Frame]) -> Writer:
    """The log of a replica that has ended, a segment each."""
    writer = Writer(Spool(installation.settings.spool_folder).logs)
    for frames in segments:
        writer.append(frames)
        writer.seal()
    writer.close()
    return writer


def drained(installation: Installation) -> None:
    """Everything that waits lands."""
    drainer = Drainer(installation)
    while drainer.step():
        pass
    drainer.close()


def landed(installation: Installation) -> list[str]:
    """Message IDs in bronze."""
    return installation.lake.scan("bronze/web").collect()["message_id"].to_list()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_event_lands_once_however_it_is_sent(installation: Installation, seed: int) -> None:
    draw = random.Random(seed)
    sent: list[bytes] = []
    for _ in range(2):  # the second round comes when the first has landed
        for _replica in range(2):
            segments = []
            for _segment in range(2):
                frames = []
                for _request in range(draw.randint(1, 4)):
                    lines = draw.choices([line(n) for n in range(25)] + [SUPPRESSED, BAD], k=draw.randint(1, 12))
                    frames.append(frame(*lines))
                    sent += lines
                segments.append(frames)
            spooled(installation, *segments)
        drained(installation)
    expected = sorted({orjson.loads(raw)["message_id"] for raw in sent if raw.startswith(b"{")})
    assert sorted(landed(installation)) == expected
    total = installation.ledger.packages.totals()["web"]
    assert (total.sent, total.landed, total.failed) == (len(sent), len(expected), sent.count(BAD))
    assert total.suppressed == sent.count(SUPPRESSED)
    assert total.repeated == total.sent - total.landed - total.failed - total.suppressed
    rows = installation.lake.scan("bronze/web").select("_package_id", "_row_id").collect()
    assert rows.n_unique() == rows.height


def test_a_crash_between_commit_and_ledger_forgets_no_event(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    spooled(installation, [frame(line(1), line(2))])
    with monkeypatch.context() as patched:
        patched.setattr(Packages, "record", _dies)
        with pytest.raises(Unavailable):
            Drainer(installation).step()
    spooled(installation, [frame(line(2), line(3))])  # the SDK had no answer, and another replica takes it
    drained(installation)
    assert sorted(landed(installation)) == ["m1", "m2", "m3"]
    total = installation.ledger.packages.totals()["web"]
    assert (total.landed, total.repeated) == (3, 1)


def _dies(*_: object) -> None:
    raise Unavailable("the ledger is away")


def test_who_was_erased_leaves_the_log(installation: Installation) -> None:
    writer = spooled(installation, [frame(line(1), SUPPRESSED, line(2), line(3))])
    known = ("web_user", "user-number-2")
    installation.ledger.suppression.add(
        [Suppressed(installation.keyed_hash.of(*known), known[0])], "erasure"
    )  # fmt: skip
    person = Person("g", frozenset({"g"}), frozenset(), frozenset({known}), 0)
    assert erase_from_spool(installation, "spool", person) == 1
    (path,) = writer.folder.glob(f"*{SEALED}")
    assert b"user-number-2" not in path.read_bytes()
    assert [f.erased for f in frames_of(path)] == [(2,)]
    drained(installation)
    assert landed(installation) == ["m1", "m3"]
    assert installation.ledger.packages.totals()["web"].suppressed == 2
