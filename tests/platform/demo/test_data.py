"""The demo's files: the same for the same seed, marked as generated, reachable by nobody, hard enough to link."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import phonenumbers
import polars as pl
import pytest

from onefold.demo.data import DemoFiles, generate
from onefold.demo.people import population
from onefold.demo.places import phone_numbers

GENERATED = (
    "crm.db",
    "shop_accounts.csv",
    "newsletter.ndjson",
    "support_cases.json",
    "loyalty_app.ndjson",
    "scanner_events.ndjson",
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> DemoFiles:
    return generate(tmp_path_factory.mktemp("demo"))


def _silos(files: DemoFiles) -> dict[str, pl.DataFrame]:
    with sqlite3.connect(files.files["crm.db"]) as database:
        crm = {n: pl.read_database(f"select * from {n}", database) for n in ("contacts", "accounts", "deals")}
    return {
        **crm,
        "shop": pl.read_csv(files.files["shop_accounts.csv"], separator=";", infer_schema=False),
        "newsletter": pl.read_ndjson(files.files["newsletter.ndjson"]),
        "cases": pl.DataFrame(json.loads(files.files["support_cases.json"].read_text()), infer_schema_length=None),
        "members": pl.read_ndjson(files.files["loyalty_app.ndjson"]),
        "scans": pl.read_ndjson(files.files["scanner_events.ndjson"]),
    }


def test_same_seed_same_bytes_and_another_seed_others(files: DemoFiles, tmp_path: Path) -> None:
    again, other = generate(tmp_path / "again"), generate(tmp_path / "other", seed=1)
    for name in GENERATED:
        assert files.files[name].read_bytes() == again.files[name].read_bytes(), name
        assert files.files[name].read_bytes() != other.files[name].read_bytes(), name
    assert pl.read_parquet(files.truth).equals(pl.read_parquet(again.truth))


def test_what_stands_is_not_written_again_but_what_is_gone_is(tmp_path: Path) -> None:
    assert generate(tmp_path).written
    kept = (tmp_path / "shop_accounts.csv").stat().st_mtime_ns
    assert not generate(tmp_path).written
    assert (tmp_path / "shop_accounts.csv").stat().st_mtime_ns == kept
    (tmp_path / "newsletter.ndjson").unlink()
    assert generate(tmp_path).written
    assert generate(tmp_path, seed=3).written


def test_volumes(files: DemoFiles) -> None:
    rows = {name: table.height for name, table in _silos(files).items()}
    expected = {"contacts": 2300, "accounts": 120, "deals": 400, "shop": 1500, "newsletter": 1400, "cases": 850}
    expected |= {"members": 880, "scans": 4200}
    assert rows == {n: pytest.approx(v, rel=0.1) for n, v in expected.items()}
    assert pl.scan_parquet(files.files["pos_transactions"]).select(pl.len()).collect().item() == 1_469_307
    assert pl.scan_parquet(files.files["campaigns"]).collect().null_count().row(0) == (0, 0, 0, 0, 0)


def test_truth_covers_every_contact_record_once_and_stands_in_no_silo(files: DemoFiles) -> None:
    truth, silos = pl.read_parquet(files.truth), _silos(files)
    assert truth["record_key"].is_unique().all()
    keys = {
        "crm_contacts": silos["contacts"]["contact_id"],
        "shop_accounts": silos["shop"]["no_client"],
        "newsletter": silos["newsletter"]["signup_id"],
        "support_cases": silos["cases"]["case_id"],
        "loyalty_app": silos["members"]["member_id"],
        "store_scanners": silos["scans"]["card"].drop_nulls().unique(),
        "demographics": pl.read_parquet(files.files["demographics"])["household_id"],
        "pos_transactions": pl.read_parquet(files.files["pos_transactions"])["household_id"].unique(),
    }
    assert set(truth["record_key"]) == {f"{source}:{k}" for source, column in keys.items() for k in column}
    people = set(truth["person"])
    for table in silos.values():
        for column in table.iter_columns():
            assert not people & set(column.cast(pl.String).drop_nulls())


def test_contact_points_are_reserved_and_valid(files: DemoFiles) -> None:
    silos = _silos(files)
    phones = pl.concat(
        [
            silos["contacts"]["mobile_phone"],
            silos["contacts"]["home_phone"],
            silos["shop"]["telephone"],
            silos["newsletter"]["mobile"],
            silos["cases"]["contact_phone"],
            silos["members"]["mobile"],
        ]
    ).drop_nulls()
    for written in phones:
        number = phonenumbers.parse(written, "US")
        assert phonenumbers.is_valid_number(number)
        assert 5550100 <= number.national_number % 10**7 <= 5550199
    # Only a slip of the keyboard leaves the reserved domains; the CRM and the shop make a few.
    told = (silos["newsletter"]["email"], silos["cases"]["contact_email"], silos["members"]["email"])
    emails = pl.concat(told).drop_nulls()
    assert emails.str.contains(r"@(\w+\.)?example\.(com|net|org)$").all()
    shop = silos["shop"]["courriel"].str.to_lowercase()
    assert shop.str.contains(r"@(\w+\.)?example\.(com|net|org)$").mean() > 0.98


def test_every_generated_row_says_so(files: DemoFiles) -> None:
    silos = _silos(files)
    assert (silos.pop("shop")["donnees_generees"] == "oui").all()
    for name, table in silos.items():
        assert table["generated"].cast(pl.Boolean).all(), name
    assert "GENERATED" in (files.folder / "README.txt").read_text()
    with sqlite3.connect(files.files["crm.db"]) as database:
        assert "GENERATED" in database.execute("select note from about_this_data").fetchone()[0]


def test_the_newsletter_knows_no_card(files: DemoFiles) -> None:
    newsletter = _silos(files)["newsletter"]
    assert not [c for c in newsletter.columns if "card" in c or "household" in c]


def test_silos_overlap_disagree_and_age(files: DemoFiles) -> None:
    truth, silos = pl.read_parquet(files.truth), _silos(files)
    who = truth.with_columns(pl.col("record_key").str.split_exact(":", 1).struct.unnest()).rename(
        {"field_0": "source", "field_1": "key"}
    )
    at = {k[0]: set(v["person"]) for k, v in who.group_by("source")}
    cards = at["pos_transactions"]
    for source in ("crm_contacts", "shop_accounts", "newsletter", "support_cases", "loyalty_app"):
        assert at[source] - cards, f"{source}: everybody has a card"
        assert cards - at[source], f"{source}: no card holder is missing"
        assert len(at[source] & cards) > 300, source
    assert who.filter(pl.col("source") == "crm_contacts")["person"].is_duplicated().sum() > 100
    crm = silos["contacts"].with_columns(pl.col("contact_id").cast(pl.String).alias("key"))
    both = (
        who.filter(pl.col("source") == "crm_contacts")
        .join(crm, on="key")
        .join(
            who.filter(pl.col("source") == "shop_accounts").join(
                silos["shop"], left_on="key", right_on="no_client"
            ),
            on="person",
        )
        .with_columns(pl.col("nom_complet").str.to_lowercase().str.split(", ").alias("nom"))
    )
    same_given = (both["first_name"].str.to_lowercase() == both["nom"].list.get(1)).mean()
    same_zip = (both["zip"] == both["code_postal"]).mean()
    assert isinstance(same_given, float)
    assert isinstance(same_zip, float)
    assert 0.7 < same_given < 0.95
    assert 0.85 < same_zip < 0.98


def test_families_are_hard_negatives() -> None:
    households = pl.DataFrame(
        {"household_id": range(1, 2001)}, schema_overrides={"household_id": pl.Int64}
    ).with_columns(age=pl.lit(None, pl.String), household_comp=pl.lit(None, pl.String))
    people = population(households, np.random.default_rng(5))
    together = people.group_by("family", "house_number", "street", "postcode").len().filter(pl.col("len") > 1)
    assert together.height > 500
    twins = people.group_by("family", "house_number", "street", "birth_date").len().filter(pl.col("len") > 1)
    assert 1 <= twins.height <= 15
    namesakes = people.group_by("given", "family", "house_number", "street").len().filter(pl.col("len") > 1)
    assert 1 <= namesakes.height <= 40
    adult = people["birth_date"].dt.year() <= 1999
    assert adult.all()
    assert people["person"].is_unique().all()
    assert (people.filter(pl.col("role") == "holder")["household"].is_unique()).all()


def test_reserved_numbers_run_out_loudly() -> None:
    numbers = phone_numbers(np.random.default_rng(0), 9000)
    assert len(set(numbers)) == 9000
    with pytest.raises(ValueError, match="reserved range"):
        phone_numbers(np.random.default_rng(0), 20_000)
