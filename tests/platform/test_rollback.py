"""`onefold rollback`: the publication before is served again, and opens nothing that is closed today."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import orjson
import polars as pl
import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from onefold.api.shapes import Customer, RankedAnswer
from onefold.cli import app as cli
from onefold_storage.errors import Conflict, NotFound
from onefold_storage.installation import Installation
from onefold_storage.schema import CUSTOMERS, HISTORY, LINKS, PERMISSIONS
from onefold_workers.publication import GoldFrames
from onefold_workers.publication.closing import close

Ask = Callable[..., Any]


@pytest.fixture
def rollback(published: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`rollback("VERSION")` on the command line, with `--json`; raises what the command raises."""
    monkeypatch.setenv("ONEFOLD_HOME", str(published.storage.home))
    monkeypatch.setenv("ONEFOLD_NOW", "2018-01-02T00:00:00Z")

    def called(*words: str) -> Any:
        done = CliRunner().invoke(cli, ["rollback", *words, "--json"])
        if done.exception:
            raise done.exception
        return orjson.loads(done.stdout)

    return called


def _lake_holds(published: Any, gold: GoldFrames) -> None:
    """Today's gold, as the flow `integrate` left it."""
    lake = Installation(published.storage).lake
    tables = (
        (CUSTOMERS, gold.customers),
        (PERMISSIONS, gold.permissions),
        (LINKS, gold.links),
        (HISTORY, gold.history),
    )
    for table, rows in tables:
        lake.replace(table.name, lake.frame_to_arrow(table.name, rows))


def _serves(client: TestClient, version: str) -> None:
    until = time.monotonic() + 20
    while client.get("/health").json()["publication"] != version:
        assert time.monotonic() < until
        time.sleep(0.05)


def _listed(ask: Ask, channel: str = "email") -> Any:
    found = ask("GET", "/v1/scores/churn", params={"data_use": "marketing", "channel": channel, "limit": 1000})
    RankedAnswer.model_validate(found.json())
    return found.json()


def _ids(listed: Any) -> set[str]:
    return {c["golden_id"] for c in listed["customers"]}


def _may(ask: Ask, golden_id: str, channel: str = "email") -> Any:
    body = ask("GET", f"/v1/customers/{golden_id}").json()
    Customer.model_validate(body)
    return next(m for m in body["may_contact"] if (m["data_use"], m["channel"]) == ("marketing", channel))


def _said(gold: GoldFrames, who: pl.Expr, **values: Any) -> pl.DataFrame:
    """Permissions with other values for marketing by email of some."""
    which = who & (pl.col("data_use") == "marketing") & (pl.col("channel") == "email")
    told = [pl.when(which).then(v).otherwise(n).alias(n) for n, v in values.items()]
    return gold.permissions.with_columns(told)


DENIED = {"allowed": pl.lit(False), "reason": pl.lit("revoked"), "contact_points": pl.lit([], pl.List(pl.String))}


def test_who_objected_since_is_not_in_a_publication_that_is_served_again(
    ask: Ask, published: Any, made_up: ModuleType, client: TestClient, rollback: Callable[..., Any]
) -> None:
    gold, first = made_up.gold_frames(), published.publications.current().version
    before = _ids(_listed(ask))
    assert {"g0000003", "g0000004"} <= before
    today = replace(gold, permissions=_said(gold, pl.col("golden_id") == "g0000003", **DENIED))
    _lake_holds(published, today)
    second = published.publish(made_up.gold_frames(150), made_up.facts()).version
    _serves(client, second)
    done = rollback()
    assert (done["rollback_of"], done["instead_of"], done["closed"]) == (first, second, 1)
    _serves(client, done["version"])
    after = _listed(ask)
    assert before - _ids(after) == {"g0000003"}
    assert after["suppressed"]["revoked"] == 1
    row = _may(ask, "g0000003")
    assert (row["allowed"], row["reason"], row["contact_points"]) == (False, "revoked", [])
    assert _may(ask, "g0000004")["contact_points"] == ["person4@example.org"]
    assert _may(ask, "g0000005")["reason"] == "denied", "what it closed itself stays closed"
    assert "g0000003" in _ids(_listed(ask, "post"))


def test_nothing_is_opened_by_what_is_granted_today(
    ask: Ask, published: Any, made_up: ModuleType, client: TestClient, rollback: Callable[..., Any]
) -> None:
    gold = made_up.gold_frames()
    granted = {"allowed": pl.lit(True), "reason": pl.lit("granted"), "contact_points": pl.lit(["x@example.org"])}
    five, three = pl.col("golden_id") == "g0000005", pl.col("golden_id") == "g0000003"
    _lake_holds(published, replace(gold, permissions=_said(gold, five | three, **granted)))
    published.publish(made_up.gold_frames(150), made_up.facts())
    _serves(client, rollback()["version"])
    assert _may(ask, "g0000005")["reason"] == "denied"
    moved = _may(ask, "g0000003")
    assert (moved["allowed"], moved["contact_points"]) == (False, []), "consent is for another address today"
    assert not {"g0000003", "g0000005"} & _ids(_listed(ask))


def test_merges_splits_and_people_who_are_gone_are_followed(
    ask: Ask, published: Any, made_up: ModuleType, client: TestClient, rollback: Callable[..., Any]
) -> None:
    """Three was merged into eight, which refused; four was split, and one half refused; nine is no more."""
    gold = made_up.gold_frames()
    who, owner = pl.col("golden_id"), pl.col("record_key")
    moved = (
        pl.when(who == "g0000003").then(pl.lit("g0000008"))
        .when(owner == "crm_contacts:4").then(pl.lit("g-half"))
        .otherwise(who)
    )  # fmt: skip
    links = gold.links.filter(who != "g0000009").with_columns(golden_id=moved)
    half = gold.customers.filter(who == "g0000004").with_columns(golden_id=pl.lit("g-half"))
    halfs = gold.permissions.filter(who == "g0000004").with_columns(golden_id=pl.lit("g-half"))
    left = ~who.is_in(["g0000003", "g0000009"])
    every = replace(gold, permissions=pl.concat([gold.permissions.filter(left), halfs]))
    today = replace(
        gold,
        customers=pl.concat([gold.customers.filter(left), half]),
        links=links,
        permissions=_said(every, who.is_in(["g0000008", "g-half"]), **DENIED),
    )
    _lake_holds(published, today)
    before = _ids(_listed(ask))
    published.publish(made_up.gold_frames(150), made_up.facts())
    _serves(client, rollback()["version"])
    after = _listed(ask)
    assert before - _ids(after) == {"g0000003", "g0000004", "g0000008", "g0000009"}
    assert after["suppressed"]["not_stated"] == 1
    assert _may(ask, "g0000009")["reason"] == "not_stated"


def test_going_back_step_by_step_and_to_a_version(
    published: Any, made_up: ModuleType, rollback: Callable[..., Any]
) -> None:
    _lake_holds(published, made_up.gold_frames())
    first = published.publications.current().version
    with pytest.raises(Conflict, match="no earlier publication"):
        rollback()
    second, third = (published.publish(made_up.gold_frames(n), made_up.facts()).version for n in (190, 180))
    assert rollback()["rollback_of"] == second
    assert rollback()["rollback_of"] == first
    with pytest.raises(Conflict, match="no earlier publication"):
        rollback()
    forward = rollback(third)
    assert (forward["rollback_of"], forward["closed"]) == (third, 0)
    with pytest.raises(Conflict, match="is served already"):
        rollback(forward["version"])
    with pytest.raises(NotFound, match=r"no publication 000099; there are: 0.*000001-"):
        rollback("000099")
    text = CliRunner().invoke(cli, ["rollback", second]).stdout
    assert f"serves {second} again" in text
    fates = {e.version: e.status for e in published.ledger.publications.list()}
    assert fates[forward["version"]] == "withdrawn"


def test_nothing_to_go_back_from(home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEFOLD_HOME", str(home.storage.home))
    done = CliRunner().invoke(cli, ["rollback"])
    assert isinstance(done.exception, Conflict)
    assert "nothing is published" in str(done.exception)


def test_a_file_of_another_layout_is_not_served_again(
    published: Any, made_up: ModuleType, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = published.publications.current()
    file = published.publications.copy(current, tmp_path)["serving.sqlite"]
    monkeypatch.setattr("onefold_workers.publication.closing.SERVING_FORMAT", 99)
    with pytest.raises(Conflict, match="layout 2"):
        close(file, made_up.gold_frames(), published.hashed)
