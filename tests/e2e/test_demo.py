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
    assert len(packages) == 11
    for package in packages.values():
        parts = sum(package[k] for k in ("landed", "failed", "repeated", "suppressed"))
        assert package["sent"] == parts > 0
    assert packages["pos_transactions"]["landed"] == 1_469_307


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
    ("model", "expected", "tolerance"),
    [("churn", 0.876, 0.03), ("customer_value", 170.6, 12.0), ("next_best_offer", 0.58, 0.06)],
)
def test_figures_stay_what_they_were(demo: Demo, model: str, expected: float, tolerance: float) -> None:
    found = next(m for m in demo.status["models"] if m["name"] == model)
    assert found["value"] == pytest.approx(expected, abs=tolerance)


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
