"""Drafting of messy person files: headers in many words, old and dirty dates, several whole names; then linked."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType

import polars as pl
import pyarrow as pa
import pytest

from onefold.link import LinkResult, link
from onefold_storage import contracts
from onefold_workers.connectors import sample
from onefold_workers.drafting import draft, understand

# What a column holds in the generated chronicle, and how people call it; `attribute` is no kind, yet evidence.
HEADERS = {
    "full_name": ["full_name", "NAME_FULL", "cust_name", "Name (komplett)", "nom_complet", "FULLNAME_1", "whole name"],
    "both": ["first_and_surname", "firstname_lastname", "Vorname_Nachname", "nom et prénom", "FirstLast", "lname_fname"],
    "given_name": ["first_name", "forename1", "Vorname", "prénom", "fname", "given_name_clean", "FIRST", "frstname"],
    "family_name": ["surname", "last_name_raw", "Nachname", "nom", "lname", "billing_last_name", "LAST", "famname"],
    "birth_digits": ["dob", "DOB_RAW", "birth_date_1", "Geb.-Datum", "date de naissance", "born", "orig_dob", "brthdt"],
    "attribute:birth_place": ["birth_place", "PLACE_OF_BIRTH", "Geburtsort", "lieu de naissance", "birthCity", "birth_town"],
    "postcode": ["postcode_fake", "zip_clean", "PLZ_orig", "code postal (brut)", "POSTAL_CODE", "ship_zip", "postcd"],
    "gender": ["gender", "sex_raw", "Geschlecht", "sexe", "GENDER_1", "person_gender"],
    "attribute:occupation": ["occupation", "JOB_TITLE", "Beruf", "métier", "profession_clean", "job"],
    "record_key": ["unique_id", "rec_id", "lfd_nr", "ID", "row_id", "RecordNo"],
}  # fmt: skip
HISTORICAL = [words[0] for words in HEADERS.values()]


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    """The seeded generators of tests/bench."""
    path = Path(__file__).parents[2] / "bench" / "people.py"
    spec = importlib.util.spec_from_file_location("bench_people_messy", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_people_messy"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def chronicle(bench: ModuleType) -> pl.DataFrame:
    """Historical persons with a column of both names, by the keys of HEADERS, and the truth as `cluster`."""
    frame, truth = bench.chronicle(500)
    both = pl.concat_str("given_name", "family_name", separator=" ").alias("both")
    return frame.with_columns(both, truth["truth"].cast(pl.String).alias("cluster"))


def arrow(frame: pl.DataFrame) -> pa.Table:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def drafted_and_linked(frame: pl.DataFrame, folder: Path) -> tuple[contracts.Contract, LinkResult]:
    """Drafts from the file without its truth, then links the file with it; nobody corrects the contract."""
    plain, whole, contract = folder / "plain.csv", folder / "people.csv", folder / "contract.yaml"
    frame.drop("cluster").write_csv(plain)
    frame.write_csv(whole)
    rows, connector, options = sample(str(plain), folder)
    contract.write_text(draft(rows, "people", str(plain), connector, options), encoding="utf-8")
    return contracts.read(contract), link([whole], contract, folder / "out.parquet", truth="cluster")


def named(frame: pl.DataFrame, headers: list[str]) -> pl.DataFrame:
    return frame.rename(dict(zip(HEADERS, headers, strict=True)))


def right(contract: contracts.Contract, headers: list[str]) -> list[str]:
    """Headers whose column did not get the kind it should have."""
    wrong = []
    for meant, header in zip(HEADERS, headers, strict=True):
        rules = contract.by_name[header].rules
        if meant.startswith("attribute:"):
            fine = rules.attribute and not rules.kind
        elif meant == "record_key":
            fine = contract.primary_key == (header,) and not rules.kind and not rules.attribute
        else:
            fine = rules.kind == {"both": "full_name", "birth_digits": "birth_date"}.get(meant, meant)
        if not fine:
            wrong.append(header)
    return wrong


def test_a_file_of_historical_persons_links_by_its_draft(chronicle: pl.DataFrame, tmp_path: Path) -> None:
    contract, result = drafted_and_linked(named(chronicle, HISTORICAL), tmp_path)
    assert right(contract, HISTORICAL) == []
    assert contract.by_name["dob"].logical_type == "string"
    assert result.f1 is not None
    assert result.f1 >= 0.95, result


@pytest.mark.parametrize("seed", range(3))
def test_other_headers_link_as_well(chronicle: pl.DataFrame, tmp_path: Path, seed: int) -> None:
    choice = random.Random(seed)
    headers = [choice.choice(words) for words in HEADERS.values()]
    contract, result = drafted_and_linked(named(chronicle, headers), tmp_path)
    assert right(contract, headers) == []
    assert result.f1 is not None
    assert result.f1 >= 0.95, (headers, result)


def test_every_header_of_the_list_is_understood(chronicle: pl.DataFrame, tmp_path: Path) -> None:
    few = chronicle.drop("cluster").head(1_000)
    for at in range(max(map(len, HEADERS.values()))):
        headers = [words[at % len(words)] for words in HEADERS.values()]
        text = draft(arrow(named(few, headers)), "people", "people.csv")
        assert right(contracts.parse(text, "draft"), headers) == [], headers


@pytest.mark.parametrize("name", ["crumbs", "customers"])
def test_noisy_customers_link_by_their_draft(bench: ModuleType, tmp_path: Path, name: str) -> None:
    frame, truth = bench.crumbs(600) if name == "crumbs" else bench.customers(4_000)
    headers = {
        "record_key": "unique_id",
        "given_name": "first_name",
        "family_name": "surname",
        "birth_digits": "dob",
    }
    frame = frame.rename(headers).with_columns(truth["truth"].alias("cluster"))
    contract, result = drafted_and_linked(frame, tmp_path)
    assert contract.by_name["dob"].rules.kind == "birth_date"
    assert result.f1 is not None
    assert result.f1 >= 0.95, result


@pytest.mark.parametrize("header", ["cluster", "entity_id", "truth", "label", "group", "match_id", "Cluster ID"])
def test_who_is_who_by_somebodys_hand_is_never_evidence(chronicle: pl.DataFrame, header: str) -> None:
    frame = named(chronicle.head(1_000), HISTORICAL).rename({"cluster": header})
    rules = contracts.parse(draft(arrow(frame), "people", "x.csv"), "draft").by_name[header].rules
    assert (rules.kind, rules.attribute) == (None, False)


def test_text_to_read_and_further_numbers_of_rows_are_no_attributes(chronicle: pl.DataFrame) -> None:
    rows = chronicle.head(500).with_columns(
        pl.lit("met at the fair").alias("notes"),
        pl.format("A-{}", pl.int_range(pl.len())).alias("import_ref"),
        pl.lit("north").alias("quarter"),
    )
    contract = contracts.parse(draft(arrow(named(rows, HISTORICAL)), "people", "x.csv"), "draft")
    attributes = {c.name for c in contract.columns if c.rules.attribute}
    assert attributes & {"notes", "import_ref", "quarter"} == {"quarter"}


def test_another_persons_name_is_not_the_customers(chronicle: pl.DataFrame) -> None:
    rows = chronicle.head(500).with_columns(pl.col("both").reverse().alias("mother_full_name"))
    _, guesses, _ = understand(arrow(named(rows.drop("cluster"), HISTORICAL)), "people")
    assert "mother_full_name" not in guesses
    assert guesses["full_name"].kind == "full_name"


def test_a_whole_name_is_known_by_what_it_repeats(chronicle: pl.DataFrame) -> None:
    frame = named(chronicle.drop("cluster").head(500), HISTORICAL).rename({"first_and_surname": "vol_nev_xy"})
    _, guesses, _ = understand(arrow(frame), "people")
    assert guesses["vol_nev_xy"].kind == "full_name"


def test_orders_with_an_email_belong_to_whoever_has_it() -> None:
    choice = random.Random(7)
    people = [f"{name}{i}@mail.example" for i, name in enumerate(["ann", "bob", "cleo", "dan"] * 10)]
    rows = {
        "order_id": [f"O{i}" for i in range(300)],
        "ordered_at": [f"2023-{choice.randint(1, 12):02}-{choice.randint(1, 28):02} 10:00:00" for _ in range(300)],
        "customer_email": [choice.choice(people) for _ in range(300)],
        "sku": [f"S{choice.randint(1, 30)}" for _ in range(300)],
        "total": [f"{choice.uniform(2, 90):.2f}" for _ in range(300)],
    }
    contract = contracts.parse(draft(pa.table(rows), "orders", "orders.csv"), "draft")
    tables = {m.table: m for m in contract.maps}
    assert contract.primary_key == ("order_id",)
    assert tables["contact_records"].key == ("customer_email",)
    happened = tables["interactions"]
    assert happened.contact is not None
    assert happened.contact.key == ("customer_email",)
    assert happened.effective_at == "ordered_at"
    assert happened.fields["amount"].column == "total"
