"""Somebody who never heard of the demo: other files, drafted contracts, the whole walk, and answers over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.needs_prefect, pytest.mark.needs_dask, pytest.mark.timeout(900)]

MEMBERS, CUSTOMERS = 300, 600

CORRECTIONS = {
    # What a draft cannot know. The members were told that they would be written to, and on what basis.
    "members": {
        "data_use: [analytics]": "data_use: [analytics, marketing]",
        "lawful_basis: consent": "lawful_basis: contract",
    },
    # What the shop was paid is in dollars; and what it sells comes in one kind only.
    "orders": {"# currency: EUR  # of amounts without one": "currency: USD"},
}


@pytest.fixture(scope="module")
def files(stranger: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The stranger's files."""
    return stranger.build(tmp_path_factory.mktemp("stranger"), members=MEMBERS, customers=CUSTOMERS)


def draft(home: Any, *paths: Path) -> None:
    """Draft a contract for each file, correct it as a person would, and check it."""
    for path in paths:
        contract = home.contract(path.stem)
        done = home.run("source", "draft", str(path), "--out", str(contract))
        assert done.returncode == 0, done.stderr
        text = contract.read_text()
        for drafted, meant in CORRECTIONS.get(path.stem, {}).items():
            assert drafted in text, f"{path.stem}: {drafted!r} is no longer drafted; the correction can go"
            text = text.replace(drafted, meant)
        contract.write_text(text)
        assert home.told("source", "check", str(contract))["valid"]


@pytest.fixture(scope="module")
def walked(new_home: Callable[..., Any], files: Any) -> tuple[Any, dict[str, Any]]:
    """A home in which all four files went the whole walk once, by today's clock."""
    home = new_home(own_cluster=True)
    draft(home, files.orders, files.members, files.registry, files.calls)
    return home, home.told("refresh")


def test_every_row_lands_and_is_told_of(walked: Any) -> None:
    _, facts = walked
    packages = {p["source"]: p for p in facts["land"]["packages"]}
    assert packages.keys() == {"orders", "members", "registry", "calls"}
    for p in packages.values():
        assert p["sent"] == p["landed"] > 0
    assert packages["members"]["sent"] == MEMBERS


def test_who_is_who_is_found_out(walked: Any, files: Any) -> None:
    """Pairwise against FEBRL's own truth, which no file names; the customers' numbers link the orders as well."""
    from onefold_workers.identity import pairwise_quality

    home, _ = walked
    links = home.table("identity/links").filter(pl.col("valid_to").is_null())
    source = pl.col("file").str.split(".").list.first()
    truth = files.truth.select(pl.format("{}:{}", source, "key").alias("record_key"), truth="person")
    found = links.select("record_key", cluster="golden_id").join(truth, on="record_key", how="semi")
    assert found.height == truth.height
    quality = pairwise_quality(found, truth)
    print(f"pairwise precision {quality.precision:.4f}, recall {quality.recall:.4f}, f1 {quality.f1:.4f}")
    assert quality.f1 > 0.97, quality
    ids = dict(links.select("record_key", "golden_id").iter_rows())
    assert all(ids[f"orders:{n}"] == ids[f"members:{n}"] for n in range(1, MEMBERS + 1))


def test_data_of_long_ago_is_not_empty_today(walked: Any) -> None:
    """No clock is fixed: plans end where the data ends, and what cannot be learned says why."""
    home, facts = walked
    state = home.told("status")
    models = {m["name"]: m for m in state["models"]}
    assert {"churn", "customer_value"} <= models.keys()
    assert models.keys() == {m["name"] for m in facts["train"]["models"]}
    why = {w.split(":")[0]: w for w in state["left_out"]}
    assert why.keys() == {"campaign_response", "next_best_offer"}
    assert all("needs" in w and "found" in w for w in why.values())
    scores = home.table("gold/scores")
    assert scores["golden_id"].n_unique() == CUSTOMERS
    assert set(scores["as_of"].dt.date().cast(pl.String)) == {"1998-07-01"}


def test_again_on_the_same_day_changes_nothing(walked: Any) -> None:
    home, facts = walked
    before = {t["name"]: (t["rows"], t["version"]) for t in home.told("status")["tables"]}
    again = home.told("refresh")
    assert again["train"]["trained"] == []
    assert not again["score"]["changed"] and not again["publish"]["changed"]
    assert again["publish"]["version"] == facts["publish"]["version"]
    assert {t["name"]: (t["rows"], t["version"]) for t in home.told("status")["tables"]} == before


def test_the_api_answers_about_them(
    walked: Any, files: Any, serving: Callable[..., AbstractContextManager[Any]]
) -> None:
    home, facts = walked
    member = pl.read_csv(files.members, separator=";", infer_schema=False).drop_nulls().row(0, named=True)
    name = f"{member['First name']} {member['Last name']}"
    with serving(home) as api:
        hits = api.found("/v1/customers/search", {"name": name})["customers"]
        profiles = [api.found(f"/v1/customers/{h['golden_id']}") for h in hits]
        number = {"scheme": "member_no", "value": member["Member No"]}
        (profile,) = (p for p in profiles if number in p["external_ids"])
        by_number = api.found("/v1/customers/search", {"external_id": number})["customers"]
        assert [c["golden_id"] for c in by_number] == [profile["golden_id"]]
        check_profile(profile, member)
        check_lists(api, facts)
        listed = {s["source"]: s for s in api.found("/v1/sources")["sources"]}
        assert listed.keys() == {"orders", "members", "registry", "calls"}
        assert all(s["fresh"] and s["failed_events"] == 0 for s in listed.values())
        assert listed["orders"]["sent"] == listed["orders"]["landed"] == listed["orders"]["rows"]
    assert "Traceback" not in (home.path / "serve.log").read_text()


def check_profile(profile: dict[str, Any], member: dict[str, str]) -> None:
    """Everything known is there: who, what they bought, scores with reasons, and no offers where none were learned."""
    assert profile["profile"]["family_name"].lower() == member["Last name"].lower()
    assert {"orders", "members"} <= set(profile["sources"])
    scores = {s["model"]: s for s in profile["scores"]}
    assert scores.keys() == {"churn", "customer_value"}
    for score in scores.values():
        assert score["reasons"]
        assert score["model_version"]
        assert all(r["text"] for r in score["reasons"])
    assert 0 <= scores["churn"]["score"] <= 1
    assert profile["offers"] == []
    assert profile["traits"]["recency_days"] > 365
    allowed = {(m["data_use"], m["channel"]): m["allowed"] for m in profile["may_contact"]}
    assert allowed["marketing", "post"]
    assert not allowed["marketing", "email"]


def check_lists(api: Any, facts: dict[str, Any]) -> None:
    """Ranked lists hold those who may be written to, count the others, and need their purpose."""
    churn = api.found("/v1/scores/churn?channel=post&data_use=marketing&limit=1000")
    assert churn["allowed"] + sum(churn["suppressed"].values()) == CUSTOMERS
    assert 0 < churn["allowed"] <= MEMBERS
    assert churn["suppressed"]
    values = [c["score"] for c in churn["customers"]]
    assert len(values) == churn["allowed"]
    assert values == sorted(values, reverse=True)
    nobody = api.found("/v1/scores/churn?channel=email&data_use=marketing")
    assert nobody["customers"] == []
    assert nobody["suppressed"] == {"no_consent": CUSTOMERS}
    assert api.ask("/v1/scores/churn")[0] == 422
    assert api.ask("/v1/scores/next_best_offer?channel=post&data_use=marketing")[0] == 404


def test_who_is_erased_is_gone_while_the_api_serves_and_does_not_land_again(
    walked: Any, files: Any, serving: Callable[..., AbstractContextManager[Any]]
) -> None:
    home, _ = walked
    number = pl.read_csv(files.members, separator=";", infer_schema=False).drop_nulls()["Member No"][-1]
    sought = {"external_id": {"scheme": "member_no", "value": number}}
    with serving(home) as api:
        (found,) = api.found("/v1/customers/search", sought)["customers"]
        assert "give --yes" in home.refused("erase", found["golden_id"])
        assert "g-nobody" in home.refused("erase", "g-nobody", "--yes")
        told = home.told("erase", found["golden_id"], "--yes", "--by", "privacy")
        (receipt,) = told["receipts"]
        assert receipt["complete"]
        assert receipt["places"]["silver/contact_records"] >= 1
        until = time.monotonic() + 20
        while api.ask("/health")[1]["publication"] != told["publication"]:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert api.ask(f"/v1/customers/{found['golden_id']}")[0] == 404
        assert api.found("/v1/customers/search", sought)["customers"] == []
    assert [r["by"] for r in home.told("receipts")["receipts"]] == ["privacy"]
    sent = files.members.read_bytes()
    files.members.write_bytes(sent + b"\n")
    try:
        (package,) = home.told("land", "members")["packages"]
    finally:
        files.members.write_bytes(sent)
    assert (package["suppressed"], package["landed"]) == (1, 0)


def test_only_orders_and_a_fixed_clock(
    new_home: Callable[..., Any], files: Any, serving: Callable[..., AbstractContextManager[Any]]
) -> None:
    """No person file at all: customers are numbers, and everything else works as of the clock's time."""
    home = new_home(now="1998-04-01T00:00:00Z")
    draft(home, files.orders)
    facts = home.told("refresh")
    assert facts["integrate"]["customers"] == CUSTOMERS
    assert {m["name"] for m in facts["train"]["models"]} == {"churn", "customer_value"}
    assert set(home.table("gold/scores")["as_of"].dt.date().cast(pl.String)) == {"1998-04-01"}
    with serving(home) as api:
        number = {"external_id": {"scheme": "member_no", "value": "7"}}
        (hit,) = api.found("/v1/customers/search", number)["customers"]
        assert len(api.found(f"/v1/customers/{hit['golden_id']}")["scores"]) == 2
        churn = api.found("/v1/scores/churn?channel=any&data_use=analytics&limit=5")
        assert churn["allowed"] == CUSTOMERS
        assert len(churn["customers"]) == 5


def test_only_persons_who_never_bought_and_nothing_corrected(
    new_home: Callable[..., Any], files: Any, serving: Callable[..., AbstractContextManager[Any]]
) -> None:
    """No model can be learned, and on the strength of a draft nobody is contacted, as its first lines promise."""
    home = new_home()
    assert home.run("source", "draft", str(files.members), "--out", str(home.contract("members"))).returncode == 0
    facts = home.told("refresh")
    assert facts["train"]["models"] == []
    assert len(facts["train"]["left_out"]) == 4
    assert "not trained" in home.run("status").stdout
    with serving(home) as api:
        row = pl.read_csv(files.members, separator=";", infer_schema=False).drop_nulls().row(0, named=True)
        hits = api.found("/v1/customers/search", {"name": f"{row['First name']} {row['Last name']}"})["customers"]
        profile = api.found(f"/v1/customers/{hits[0]['golden_id']}")
        assert profile["scores"] == profile["offers"] == []
        allowed = {(m["data_use"], m["channel"]): m["reason"] for m in profile["may_contact"] if m["allowed"]}
        assert allowed == {("analytics", "any"): "legitimate_interest"}
        status, answer = api.ask("/v1/scores/churn?channel=post&data_use=marketing")
        assert status == 404
        assert "there are none" in answer["error"]["message"]
