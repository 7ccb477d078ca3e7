"""Following a movement between pools; the movements themselves are those of a real cluster, in `test_pool_growth.py`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from onefold_storage import expansion
from onefold_storage.errors import Conflict, Unavailable
from onefold_storage.expansion import Step, follow


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
    with pytest.raises(Conflict, match="left 0 objects where they were"):
        follow(lambda: next(steps("failed")), lambda _: None)


def test_storage_that_is_away_is_waited_for() -> None:
    said = steps("done")
    away = iter(range(20))

    def read() -> list[Step]:
        if next(away, None) is not None:
            raise Unavailable("away")
        return next(said)

    assert follow(read, lambda _: None)[0].state == "done"
