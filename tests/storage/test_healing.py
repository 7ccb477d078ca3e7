"""Healing is asked again while nodes find each other; that it heals is seen on a cluster, in `test_torn_commits.py`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from onefold_storage import healing
from onefold_storage.errors import Conflict, Unavailable
from onefold_storage.healing import Healed, heal


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("POLL_SECONDS", 0.001), ("AGAIN_SECONDS", 0.001), ("LEFT_SECONDS", 0.1)):
        monkeypatch.setattr(healing, name, seconds)


def item(before: str, after: str) -> dict[str, Any]:
    states = {
        when: {"drives": [{"state": "ok"}, {"state": said}]}
        for when, said in (("before", before), ("after", after))
    }
    return {"type": "object", **states}


LEFT = {
    "Summary": "finished",
    "Items": [item("missing", "missing"), item("missing", "missing"), {"type": "bucket"}],
}
HALF = {"Summary": "finished", "Items": [item("missing", "ok"), item("missing", "missing")]}
WHOLE = {"Summary": "finished", "Items": [item("ok", "ok"), item("missing", "ok")]}
WAITS = {"Summary": "not started"}


class Said:
    """What MinIO's administration says of a sequence that is asked for; the last again and again."""

    endpoint = "http://minio"

    def __init__(self, *answers: dict[str, Any], offline: int = 0) -> None:
        self.answers: Iterator[dict[str, Any]] = iter(answers)
        self.last, self.begun, self.offline = answers[-1], 0, offline

    def information(self) -> dict[str, Any]:
        drives = [{"state": "ok"}] + [{"state": "offline"}] * self.offline
        return {"servers": [{"endpoint": "n1", "state": "online", "drives": drives}]}

    def heal(self, _bucket: str, token: str | None = None) -> dict[str, Any]:
        if token is None:
            self.begun += 1
            return {"clientToken": "token"}
        return next(self.answers, self.last)


def test_what_is_left_is_looked_at_again() -> None:
    said: Any = Said(LEFT, HALF, {"Summary": "running", "Items": [item("ok", "ok")]}, WHOLE)
    far: list[Healed] = []
    assert heal(said, "lake", far.append) == Healed(3, 2, 0)
    assert said.begun == 3
    assert far == [Healed(2, 2, 2), Healed(2, 2, 1), Healed(1, 0, 0), Healed(3, 1, 0)]


def test_what_stays_is_an_error() -> None:
    said: Any = Said(LEFT)
    with pytest.raises(Unavailable, match="lacked a part of 2, and still do of 2; ask again"):
        heal(said, "lake")
    assert said.begun > 2


def test_one_that_has_not_started_is_waited_for() -> None:
    said: Any = Said(WAITS, WAITS, WHOLE)
    assert heal(said, "lake") == Healed(2, 1, 0)
    assert said.begun == 1
    with pytest.raises(Unavailable, match="has not started; ask again"):
        heal(Said(WAITS), "lake")  # type: ignore[arg-type]


def test_one_that_somebody_stopped_is_not_begun_again() -> None:
    said: Any = Said({"Summary": "stopped", "Detail": "by another"})
    with pytest.raises(Unavailable, match="broken off: by another; ask again"):
        heal(said, "lake")
    assert said.begun == 1


def test_a_drive_that_is_away_is_said_at_once() -> None:
    said: Any = Said(WHOLE, offline=1)
    with pytest.raises(Conflict, match="1 of 2 drives are away"):
        heal(said, "lake")
    assert not said.begun
