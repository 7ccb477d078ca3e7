"""A wish that comes without a time: how old it may be, and what its yes may lift."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest

from onefold_storage.contract_rules import MapRules
from onefold_storage.schema import CONSENTS, CONTACT_RECORDS, Table
from onefold_workers.data_uses import DataUses
from onefold_workers.permissions import permissions
from onefold_workers.stages.profiling import undated_of

USES = DataUses.of({"data_uses": {"marketing": {"email": "consent"}}}, "data_uses.yaml")
ANN = {"record_key": "crm:1", "source": "crm", "golden_id": "ann", "email": "ann@example.com"}
Said = tuple[str, str, int]
"""(source, state, day); a state that ends in `-` is one that the source deletes."""


def _frame(table: Table, rows: list[dict[str, Any]], **more: Any) -> pl.DataFrame:
    types = dict(cast("pl.DataFrame", pl.from_arrow(table.arrow.empty_table())).schema) | more
    return pl.DataFrame([{c: row.get(c) for c in types} for row in rows], schema=types, orient="row")


def _by_email(*said: Said) -> str:
    """Why Ann may be written to or not, where the wishes of the source `list` have no time of their own."""
    wishes = [
        {"record_key": f"{source}:1", "source": source, "package_id": f"p{day}", "row_id": 0, "state": state.rstrip("-"),
         "effective_at": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day), "deleted": state.endswith("-"),
         "subject_kind": "email", "subject": "ann@example.com", "data_use": "marketing", "channel": "email"}
        for source, state, day in said
    ]  # fmt: skip
    bob = {
        "record_key": "list:2",
        "subject": "bob@example.com",
    }  # his wishes lie between hers, and are none of hers
    wishes += [{**w, **bob, "state": "DENIED" if w["state"] == "GRANTED" else "GRANTED"} for w in wishes]
    people = _frame(
        CONTACT_RECORDS, [ANN, {**ANN, "golden_id": "bob", "email": "bob@example.com"}], golden_id=pl.String
    )
    found = permissions(_frame(CONSENTS, wishes), people, USES, undated=["list"])
    return str(found.filter(golden_id="ann")["reason"].item())


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ([("list", "GRANTED", 1)], "granted"),
        ([("app", "DENIED", 5), ("list", "GRANTED", 9)], "denied"),  # it may be older than the refusal
        ([("app", "DENIED", 5), ("list", "GRANTED", 1), ("list", "GRANTED", 9)], "denied"),  # the row came again
        ([("app", "DENIED", 5), ("list", "DENIED", 1), ("list", "GRANTED", 9)], "granted"),  # seen to change
        ([("app", "DENIED", 5), ("list", "DENIED", 1), ("list", "GRANTED", 7), ("list", "GRANTED", 9)], "granted"),
        ([("app", "DENIED", 5), ("list", "DENIED", 1), ("list", "GRANTED", 3), ("list", "GRANTED", 9)], "denied"),
        ([("app", "DENIED", 5), ("list", "GRANTED", 1), ("list", "GRANTED-", 7), ("list", "GRANTED", 9)], "denied"),
        (
            [("list", "GRANTED", 1), ("list", "GRANTED-", 7), ("list", "GRANTED", 9)],
            "granted",
        ),  # back, and it stands
        ([("list", "GRANTED", 1), ("list", "GRANTED-", 7)], "no_consent"),
        ([("app", "GRANTED", 5), ("list", "DENIED", 9)], "denied"),  # a no counts from its landing
        ([("app", "DENIED", 5), ("crm", "GRANTED", 9)], "granted"),  # it has a time
    ],
)
def test_a_yes_without_a_time_lifts_no_refusal_unless_it_was_seen_to_change(
    said: list[Said], reason: str, turned: bool
) -> None:
    assert _by_email(*(reversed(said) if turned else said)) == reason


def test_a_source_is_undated_where_one_of_its_wishes_names_no_time() -> None:
    def contract(*maps: dict[str, Any]) -> Any:
        return SimpleNamespace(id="shop", maps=[MapRules.model_validate(m) for m in maps])

    untimed = {"table": "consents", "fields": {"state": "yes"}}
    timed = [
        untimed | {"effective_at": "at"},
        {"table": "consents", "fields": {"state": "yes", "effective_at": "at"}},
    ]
    assert undated_of([contract(*timed), contract({"table": "contact_records"})]) == ()
    assert undated_of([contract(*timed, untimed)]) == ("shop",)
