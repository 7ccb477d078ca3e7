"""What people object to is in the lake too, right after the answer, and storage that is slow holds no answer up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from onefold.api.law_copying import LawCopying
from onefold_storage.errors import Conflict
from onefold_storage.law import read_statutes
from onefold_storage.objects import Objects

WISH = {
    "subject": {"kind": "email", "value": "x@example.org"},
    "data_use": "any",
    "channel": "any",
    "state": "DENIED",
}


def test_an_objection_is_in_the_lake_and_an_api_without_it_does_not_start(
    published: Any, ask: Callable[..., Any]
) -> None:
    assert ask("POST", "/v1/consents", json=WISH).status_code == 201
    objects = Objects(published.storage.lake)
    (row,) = read_statutes(objects).wishes
    assert row["subject_hash"] == published.hashed.of("email", "x@example.org")
    with published.ledger.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM wishes")
    from fastapi.testclient import TestClient

    with pytest.raises(Conflict, match="the ledger lacks 1 wishes"), TestClient(published.app()):
        pass


def test_one_copy_at_a_time_takes_everything_that_came_meanwhile() -> None:
    began, go_on = threading.Event(), threading.Event()
    wishes: list[int] = []
    copied: list[int] = []

    def copy() -> None:
        seen = len(wishes)
        began.set()
        assert go_on.wait(10)
        copied.append(seen)
        if len(copied) == 1:
            raise OSError("storage is away")

    copying = LawCopying(copy)
    wishes.append(1)
    slow = threading.Thread(target=copying)
    slow.start()
    assert began.wait(10)
    for n in range(5):
        wishes.append(n)
        copying()  # returns at once
    go_on.set()
    slow.join(10)
    assert copied == [1, 6]
    copying()
    assert copied == [1, 6, 6]
