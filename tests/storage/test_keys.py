"""API keys: what is kept, what opens, what no longer does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from onefold_storage.clock import FixedClock
from onefold_storage.errors import BadInput, NotFound, Unauthorised
from onefold_storage.keys import Keys
from onefold_storage.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        yield opened


def test_a_key_opens_with_its_scopes(ledger: Ledger) -> None:
    key, token = ledger.keys.create("crm", ["search", "read:customers"])
    found = ledger.keys.verify(token)
    assert (found.id, found.name) == (key.id, "crm")
    assert found.may("search") and not found.may("write:consents")
    admin, _ = ledger.keys.create("root", ["admin"])
    assert admin.may("write:consents")


def test_the_secret_is_nowhere_in_the_database(ledger: Ledger, tmp_path: Path) -> None:
    _, token = ledger.keys.create("crm", ["search"])
    secret = token.split("_", 2)[2].encode()
    for file in tmp_path.iterdir():
        assert secret not in file.read_bytes()
    assert all(token not in repr(k) for k in ledger.keys.list())


def test_tampered_tokens_are_refused(ledger: Ledger) -> None:
    _, token = ledger.keys.create("crm", ["search"])
    _, other = ledger.keys.create("web", ["search"])
    head, tail = token.rsplit("_", 1)[0][:15], other[16:]
    flipped = token[:-1] + ("A" if token[-1] != "A" else "B")
    for bad in [
        "",
        "of_",
        token[:-1],
        token + "x",
        flipped,
        f"{head}_{tail}",
        token.upper(),
        f" {token}",
        "a\x00b",
    ]:
        with pytest.raises(Unauthorised) as caught:
            ledger.keys.verify(bad)
        assert token not in str(caught.value)


def test_a_revoked_key_opens_nothing(ledger: Ledger) -> None:
    key, token = ledger.keys.create("crm", ["search"])
    ledger.keys.revoke(key.id)
    first = ledger.keys.list()[0].revoked_at
    ledger.keys.revoke(key.id)
    assert ledger.keys.list()[0].revoked_at == first is not None
    with pytest.raises(Unauthorised):
        ledger.keys.verify(token)
    with pytest.raises(NotFound):
        ledger.keys.revoke("000000000000")


def test_a_key_expires_by_the_machines_clock_even_where_the_platforms_stands_still(tmp_path: Path) -> None:
    past = FixedClock(datetime(2018, 1, 1, tzinfo=UTC))
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", past) as ledger:
        _, token = ledger.keys.create("short", ["search"], timedelta(seconds=0.4))
        ledger.keys.verify(token)
        time.sleep(0.5)
        with pytest.raises(Unauthorised):
            ledger.keys.verify(token)
        with pytest.raises(BadInput, match="lifetime"):
            ledger.keys.create("late", ["search"], timedelta(0))


def test_expiry_is_checked_to_the_moment(ledger: Ledger) -> None:
    key, token = ledger.keys.create("day", ["search"], timedelta(days=1))
    end = key.expires_at
    assert end is not None
    before = Keys(ledger._access, FixedClock(end - timedelta(microseconds=1)))
    assert before.verify(token) == before.get(key.id) == key
    with pytest.raises(Unauthorised):
        Keys(ledger._access, FixedClock(end)).verify(token)
    with pytest.raises(Unauthorised):
        Keys(ledger._access, FixedClock(end)).get(key.id)


@pytest.mark.parametrize(("name", "scopes"), [("", ["search"]), ("x", []), ("x", ["fly"]), ("y" * 201, ["search"])])
def test_what_makes_no_key(ledger: Ledger, name: str, scopes: list[str]) -> None:
    with pytest.raises(BadInput):
        ledger.keys.create(name, scopes)
    assert ledger.keys.list() == []
