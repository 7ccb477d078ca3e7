"""What people object to is in the lake too, right after the answer, and storage that is slow holds no answer up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from fastapi.testclient import TestClient

from onefold.api.law_copying import LawCopying
from onefold_storage.installation import Installation
from onefold_storage.law import read_statutes
from onefold_storage.objects import Objects

WISH = {
    "subject": {"kind": "email", "value": "x@example.org"},
    "data_use": "any",
    "channel": "any",
    "state": "DENIED",
}


def test_nothing_is_served_from_a_ledger_that_forgot_an_objection_until_it_is_rebuilt(
    published: Any, ask: Callable[..., Any]
) -> None:
    assert ask("POST", "/v1/consents", json=WISH).status_code == 201
    (row,) = read_statutes(Objects(published.storage.lake)).wishes
    assert row["subject_hash"] == published.hashed.of("email", "x@example.org")
    with published.ledger.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM wishes")
    headers = {"X-API-Key": published.token("read:scores", "write:consents")}
    asked = "/v1/scores/churn?channel=email&data_use=marketing"
    with TestClient(published.app(), raise_server_exceptions=False) as client:
        assert client.get(asked, headers=headers).status_code == 503
        again = WISH | {"subject": {"kind": "email", "value": "y@example.org"}}
        assert client.post("/v1/consents", json=again, headers=headers).status_code == 201, "an objection is taken"
        assert client.get(asked, headers=headers).status_code == 503
        Installation(published.storage).law_of(published.ledger).rebuild()
        end = time.monotonic() + 20
        while (status := client.get(asked, headers=headers).status_code) != 200 and time.monotonic() < end:
            time.sleep(0.05)
        assert status == 200
    assert len(published.ledger.wishes.listed()) == 2


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
