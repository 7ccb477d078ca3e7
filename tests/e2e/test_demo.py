"""The main job as a user sees it: `onefold demo --no-serve` in a home of its own, then again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.needs_prefect, pytest.mark.needs_dask, pytest.mark.timeout(900)]

ONEFOLD = str(Path(sys.executable).parent / "onefold")


@dataclass(frozen=True)
class Demo:
    """A home in which the demo has run once."""

    home: Path
    output: str
    status: dict[str, Any]
    seconds: float

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `onefold …` in this home."""
        environment = os.environ | {"ONEFOLD_HOME": str(self.home)}
        return subprocess.run([ONEFOLD, *arguments], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo, run once for this module."""
    home = tmp_path_factory.mktemp("demo")
    began = time.monotonic()
    first = Demo(home, "", {}, 0)
    done = first.run("demo", "--no-serve")
    assert done.returncode == 0, done.stderr[-3000:]
    state = json.loads(first.run("status", "--json").stdout)
    return Demo(home, done.stdout + done.stderr, state, time.monotonic() - began)


def test_every_silo_lands_and_every_row_is_accounted_for(demo: Demo) -> None:
    packages = {p["source"]: p for p in demo.status["packages"]}
    assert len(packages) == 13
    for package in demo.status["packages"]:
        parts = sum(package[k] for k in ("landed", "failed", "repeated", "suppressed"))
        assert package["sent"] == parts > 0
    assert packages["pos_transactions"]["landed"] == 1_469_307


def test_the_stream_and_the_rest_source_land_once(demo: Demo) -> None:
    """Their secrets stand in no contract; ports of this run stand in none either."""
    events = pl.read_delta(str(demo.home / "lake/bronze/store_scanners"))
    assert events.height == events["event_id"].n_unique() == 2_400
    assert events["generated"].all()
    members = pl.read_ndjson(demo.home / "demo" / "loyalty_app.ndjson")
    landed = pl.read_delta(str(demo.home / "lake/bronze/loyalty_app"))
    assert sorted(landed["member_id"]) == sorted(members["member_id"])
    secrets = [
        p.read_text().strip() for p in (demo.home / "demo").glob("*/*") if p.name in ("client_secret", "password")
    ]
    declared = "".join(p.read_text() for p in (demo.home / "workspace" / "contracts").iterdir())
    assert secrets
    assert not [s for s in secrets if s in declared or s in demo.output]


def test_the_silo_report_has_something_to_tell(demo: Demo) -> None:
    told = json.loads(demo.run("sources", "--json").stdout)
    assert (told["unmanaged"], told["landing_problem"], told["invalid"]) == ([], None, [])
    by_name = {s["source"]: s for s in told["sources"]}
    app, scanners, till = (by_name[n] for n in ("loyalty_app", "store_scanners", "pos_transactions"))
    assert all(s["fresh"] and s["failed_share"] == 0 for s in by_name.values())
    assert till["customers"] == pytest.approx(2_469, abs=10)
    assert app["shared"]["pos_transactions"] == till["shared"]["loyalty_app"] == pytest.approx(730, abs=30)
    assert app["only_here"] == pytest.approx(87, abs=30)
    assert scanners["shared"]["pos_transactions"] == scanners["customers"] == pytest.approx(222, abs=10)
    assert scanners["orphans"] == pytest.approx(157, abs=20)  # guests
    assert by_name["support_cases"]["added"]["cases"] == 834
    shown = demo.run("sources").stdout
    assert max(map(len, shown.splitlines())) <= 100
    assert "What connecting each source added" in shown


def test_identity_reaches_the_promised_quality(demo: Demo) -> None:
    identity = demo.status["identity"]
    assert identity["f1"] >= 0.97
    assert 2_469 <= identity["customers"] < identity["records"]
    assert f"{identity['f1']:.4f}" in demo.output


def test_every_model_beats_its_honest_baseline(demo: Demo) -> None:
    models = {m["name"]: m for m in demo.status["models"]}
    assert {"churn", "customer_value", "campaign_response", "next_best_offer"} <= models.keys()
    for model in models.values():
        assert model["beats_baseline"], model
        low, high = model["interval"]
        assert low <= high


@pytest.mark.parametrize(
    ("model", "value", "tolerance", "baseline"),
    [
        ("churn", 0.876, 0.008, 0.811),
        ("customer_value", 168.5, 2.5, 176.4),
        ("campaign_response", 0.855, 0.015, 0.776),
        ("next_best_offer", 0.628, 0.010, 0.518),
    ],
)
def test_figures_stay_what_they_were(
    demo: Demo, model: str, value: float, tolerance: float, baseline: float
) -> None:
    """A change of either is a change of what the data means, or of a model."""
    found = next(m for m in demo.status["models"] if m["name"] == model)
    assert found["value"] == pytest.approx(value, abs=tolerance)
    assert found["baseline"] == pytest.approx(baseline, rel=0.005)
    assert found["calibration"] is None or found["calibration"] < 0.04
    if found["metric"] != "mae":
        assert found["value"] > max(found["rivals"].values(), default=0), "own habit is a strong rule"


@pytest.mark.parametrize("model", ["churn", "customer_value", "campaign_response"])
def test_a_rank_is_among_all_customers(demo: Demo, model: str) -> None:
    scores = pl.scan_delta(str(demo.home / "lake/gold/scores")).filter(model=model).sort("rank").collect()
    assert scores["rank"].to_list() == list(range(1, scores.height + 1))
    assert scores["score"].is_sorted(descending=True)


def test_output_is_short_and_says_what_is_generated(demo: Demo) -> None:
    assert "generated" in demo.output
    assert len(demo.output.splitlines()) < 80
    assert "Traceback" not in demo.output
    assert "distributed" not in demo.output


def test_no_place_in_the_home_is_undeclared(demo: Demo) -> None:
    from onefold_storage.installation import Installation
    from onefold_storage.places import undeclared
    from onefold_storage.settings import StorageSettings

    assert undeclared(Installation(StorageSettings(home=demo.home))) == []


def test_again_changes_nothing_and_is_quicker(demo: Demo) -> None:
    began = time.monotonic()
    again = demo.run("demo", "--no-serve")
    seconds = time.monotonic() - began
    assert again.returncode == 0, again.stderr[-3000:]
    state = json.loads(demo.run("status", "--json").stdout)
    before = {t["name"]: (t["rows"], t["version"]) for t in demo.status["tables"]}
    assert {t["name"]: (t["rows"], t["version"]) for t in state["tables"]} == before
    assert state["identity"] == demo.status["identity"]
    assert state["models"] == demo.status["models"]
    assert state["publication"] == demo.status["publication"]
    assert seconds < demo.seconds / 2


def test_a_changed_contact_moves_only_what_it_touches(demo: Demo) -> None:
    """A new email in the CRM lands as one row, the golden ID stays, and the profile shows it."""
    import sqlite3

    links = pl.scan_delta(str(demo.home / "lake/identity/links"))
    before = dict(
        links.filter(pl.col("valid_to").is_null()).select("record_key", "golden_id").collect().iter_rows()
    )
    with sqlite3.connect(demo.home / "demo" / "crm.db") as crm:
        (contact,) = crm.execute("SELECT contact_id FROM contacts ORDER BY contact_id LIMIT 1").fetchone()
        crm.execute("UPDATE contacts SET email = 'changed.address@example.org' WHERE contact_id = ?", (contact,))
    done = demo.run("refresh", "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    landed = {p["source"]: p for p in json.loads(done.stdout)["land"]["packages"]}
    assert landed["crm_contacts"]["landed"] == 1
    assert landed["crm_contacts"]["repeated"] == landed["crm_contacts"]["sent"] - 1
    links = pl.scan_delta(str(demo.home / "lake/identity/links"))
    after = dict(links.filter(pl.col("valid_to").is_null()).select("record_key", "golden_id").collect().iter_rows())
    moved = [k for k in before if after.get(k) != before[k]]
    assert len(moved) <= 5
    golden = pl.scan_delta(str(demo.home / "lake/gold/customers"))
    emails = golden.filter(pl.col("golden_id") == after[f"crm_contacts:{contact}"]).select("emails").collect()
    assert "changed.address@example.org" in emails["emails"][0].to_list()
