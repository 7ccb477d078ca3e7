"""Following a movement between pools; the movements themselves are those of a real cluster, in `test_pool_growth.py`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from onefold_storage import expansion
from onefold_storage.errors import BadInput, Conflict, Unavailable
from onefold_storage.expansion import Step, drain, drains, follow, rebalances, stop_drain, stop_rebalance
from onefold_storage.minio_admin import AdminApi


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expansion, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(expansion, "SEEN_SECONDS", 0.1)


def steps(*states: str) -> Iterator[list[Step]]:
    return iter([[Step("drain", 1, state, n, n)] for n, state in enumerate(states)])


def test_it_is_told_until_it_is_over() -> None:
    seen: list[str] = []
    said = steps("unknown", "running", "done")
    assert follow(lambda: next(said), lambda s: seen.append(s.state))[0].objects == 2
    assert seen == ["unknown", "running", "done"]


def test_one_of_which_no_node_knows_is_not_waited_for_without_end() -> None:
    with pytest.raises(Unavailable, match="no node knows of the drain of pool 1"):
        follow(lambda: next(steps("unknown")), lambda _: None)


def test_one_that_is_long_is_followed_and_can_be_left() -> None:
    with pytest.raises(Unavailable, match="goes on"):
        follow(lambda: next(steps("running")), lambda _: None, seconds=0.3)


def test_one_that_failed_is_an_error() -> None:
    with pytest.raises(Conflict, match="left objects that were put meanwhile where they were"):
        follow(lambda: next(steps("failed")), lambda _: None)


def test_storage_that_is_away_is_waited_for() -> None:
    said = steps("done")
    away = iter(range(20))

    def read() -> list[Step]:
        if next(away, None) is not None:
            raise Unavailable("away")
        return next(said)

    assert follow(read, lambda _: None)[0].state == "done"


FAILED = {"startTime": "0001-01-01T00:00:00Z", "complete": False, "failed": True, "canceled": False}
RUNNING = FAILED | {"startTime": "2026-02-12T20:18:48Z", "failed": False}
DONE = RUNNING | {"complete": True}


BROKEN = b"<Error><Code>InternalError</Code><Message>We encountered an internal error, please try again.</Message></Error>"
"""What MinIO says of its last rebalance once a pool of that time has been taken away: it panics."""


class Stumbles(BaseHTTPRequestHandler):
    """Answers as that MinIO did."""

    def do_GET(self) -> None:
        self.send_response(500)
        self.end_headers()
        self.wfile.write(BROKEN)


def test_a_rebalance_of_a_pool_that_is_no_more_is_none() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Stumbles) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        api = AdminApi(f"http://127.0.0.1:{server.server_port}", "root", "root-password")
        assert rebalances(api) == []
        with pytest.raises(Unavailable, match="pools/list"):
            drains(api)
        server.shutdown()


class Said:
    """What MinIO's administration says of two pools while the first is drained, once for each of these ends."""

    def __init__(self, *ends: dict[str, Any]) -> None:
        self.ends, self.begun, self.asked = ends, 0, 0

    def information(self) -> dict[str, Any]:
        drive = {"state": "ok", "totalspace": 1000, "availspace": 900, "usedspace": 100}
        servers = [{"endpoint": f"n{n}", "state": "online", "drives": [drive | {"pool_index": n}]} for n in (0, 1)]
        return {"servers": servers, "backend": {"totalDrivesPerSet": [1, 1]}}

    def pools(self) -> list[dict[str, Any]]:
        self.asked += 1
        said = {} if not self.begun else RUNNING if self.asked < 3 else self.ends[self.begun - 1]
        return [{"id": 0, "decommissionInfo": said}, {"id": 1}]

    def rebalance_status(self) -> None:
        return None

    def drain(self, _pool: int) -> None:
        self.begun, self.asked = self.begun + 1, 0


def test_a_drain_into_which_something_was_put_is_begun_again() -> None:
    said: Any = Said(FAILED, FAILED, DONE)
    assert drain(said, 1, lambda _: None)[0].state == "done"
    assert said.begun == 3


def test_a_drain_that_fails_again_and_again_is_an_error() -> None:
    said: Any = Said(FAILED, FAILED, FAILED)
    with pytest.raises(Conflict, match="left objects that were put meanwhile"):
        drain(said, 1, lambda _: None)
    (step,) = drains(said)
    assert (step.state, step.over) == ("failed", True), "MinIO forgets when it was begun"


class Stoppable(Said):
    """Says of the first pool what it is told to say, and notes what is stopped."""

    def __init__(self, drained: dict[str, Any], rebalanced: str | None = None) -> None:
        super().__init__()
        self.drained, self.rebalanced = drained, rebalanced
        self.stopped: list[int | str] = []

    def pools(self) -> list[dict[str, Any]]:
        return [{"id": 0, "decommissionInfo": self.drained}, {"id": 1}]

    def rebalance_status(self) -> Any:
        return {"pools": [{"id": 0, "status": self.rebalanced}]} if self.rebalanced else None

    def cancel_drain(self, pool: int) -> None:
        self.stopped.append(pool)

    def stop_rebalance(self) -> None:
        self.stopped.append("rebalance")


@pytest.mark.parametrize(
    ("drained", "says"),
    [
        ({}, "pool 1 is not being drained; nothing"),
        (DONE, r"drained, its drain is over \(done\)"),
        (FAILED, r"drained, its drain is over \(failed\)"),
        (FAILED | {"failed": False, "canceled": True}, r"drained, its drain is over \(stopped\)"),
    ],
)
def test_what_is_not_being_drained_is_not_stopped(drained: dict[str, Any], says: str) -> None:
    said: Any = Stoppable(drained)
    with pytest.raises(Conflict, match=says):
        stop_drain(said, 1)
    with pytest.raises(BadInput, match="there is no pool 3: there are 2"):
        stop_drain(said, 3)
    assert not said.stopped


def test_a_drain_that_runs_is_stopped() -> None:
    said: Any = Stoppable(RUNNING)
    stop_drain(said, 1)
    assert said.stopped == [0]


@pytest.mark.parametrize("state", [None, "Completed", "Stopped", "Failed"])
def test_a_rebalance_is_stopped_where_it_runs(state: str | None) -> None:
    said: Any = Stoppable({}, state)
    with pytest.raises(Conflict, match="no rebalance is running"):
        stop_rebalance(said)
    assert not said.stopped
    said.rebalanced = "Started"
    stop_rebalance(said)
    assert said.stopped == ["rebalance"]
