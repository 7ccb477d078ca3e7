"""How right the clusters are, without labels, on public files and on generated ones of quite different kinds."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

from onefold_workers.identity import pairwise_quality, resolve

made = runpy.run_path(str(Path(__file__).with_name("families.py")))


@pytest.mark.parametrize("files", [("1",), ("2",), ("3",), ("4a", "4b")])
def test_febrl(febrl: Callable[..., tuple[pl.DataFrame, pl.DataFrame]], files: tuple[str, ...]) -> None:
    records, truth = febrl(*files)
    assert pairwise_quality(resolve(records).clusters, truth).f1 >= 0.998


@pytest.mark.parametrize(
    ("make", "size", "least"), [("customers", 20_000, 0.97), ("chronicle", 800, 0.95), ("crumbs", 600, 0.96)]
)
@pytest.mark.parametrize("seed", [3, 4])
def test_generated_files_of_other_kinds(people: ModuleType, make: str, size: int, least: float, seed: int) -> None:
    records, truth = getattr(people, make)(size, seed=seed)
    assert pairwise_quality(resolve(records).clusters, truth).f1 >= least


@pytest.mark.parametrize(("twins", "juniors", "least"), [(0.02, 0.02, 0.95), (0.3, 0.3, 0.8)])
def test_a_family_is_not_a_person(people: ModuleType, twins: float, juniors: float, least: float) -> None:
    """Most pairs of records are relatives under one roof; with many twins and juniors they still are not one."""
    records, truth = made["households"](people, 700, seed=12, twins=twins, juniors=juniors)
    assert pairwise_quality(resolve(records).clusters, truth).f1 >= least


def test_an_email_alone_tells_a_person_but_a_placeholder_does_not() -> None:
    mailboxes = [f"{name}{n}@{at}.org" for n in range(700) for name, at in [("ann", "one"), ("bo", "two")]]
    written = [
        *mailboxes,
        *(m.upper() for m in mailboxes[:600]),
        *(m.replace("@", "+news@") for m in mailboxes[600:900]),
    ]
    emails = [*written, *["unknown@example.org"] * 60]
    truth = [*range(1400), *range(600), *range(600, 900), *range(10_000, 10_060)]
    keys = [f"p:{n}" for n in range(len(emails))]
    found = resolve(pl.DataFrame({"record_key": keys, "email": emails})).clusters
    known = pl.DataFrame({"record_key": keys, "truth": truth})
    quality = pairwise_quality(found, known)
    assert quality.recall == 1.0
    assert quality.precision == 1.0


@pytest.mark.parametrize(
    "without",
    [
        ["given_name", "family_name"],
        ["birth_digits", "email", "phone"],
        ["house_number", "street", "city", "postcode"],
        ["email", "phone", "house_number", "street", "city", "postcode"],
    ],
)
def test_files_that_lack_most_columns_are_precise_still(people: ModuleType, without: list[str]) -> None:
    records, truth = people.customers(10_000, seed=9)
    quality = pairwise_quality(resolve(records.drop(without)).clusters, truth)
    assert quality.precision >= 0.9
    assert quality.recall >= 0.25


def test_whole_names_alone_do_as_well_as_parsed_ones(people: ModuleType) -> None:
    records, truth = people.chronicle(500, seed=6)
    whole = records.drop("given_name", "family_name")
    assert pairwise_quality(resolve(whole).clusters, truth).f1 >= 0.94


def test_a_name_and_attributes_find_each_other(people: ModuleType) -> None:
    """Nothing but whole names, a place and a trade: misspelt names meet by name and place."""
    records, truth = people.chronicle(500, seed=6)
    few = records.select("record_key", "full_name", "attribute:birth_place", "attribute:occupation")
    found = resolve(few)
    assert {"given+attribute:birth_place", "family+attribute:birth_place"} <= {r.name for r in found.model.rules}
    assert pairwise_quality(found.clusters, truth).f1 >= 0.8


def test_labels_teach_about_pairs_that_nobody_labelled(people: ModuleType) -> None:
    """Pairs that people decided are one person improve what is found among all other records."""
    gained = []
    for seed in (1, 2, 3):
        records, truth = people.crumbs(300, seed=seed)
        pairs = truth.join(truth, on="truth").filter(pl.col("record_key") < pl.col("record_key_right"))
        some = pairs.sample(150, seed=seed)
        labels = some.select(
            left_key="record_key", right_key="record_key_right", verdict=pl.lit("must_link", dtype=pl.String)
        )
        named = pl.concat([labels["left_key"], labels["right_key"]])
        others = truth.filter(~pl.col("record_key").is_in(named.implode()))
        taught = resolve(records, evidence=labels).model
        found = [pairwise_quality(resolve(records, **how).clusters, others).f1 for how in ({}, {"model": taught})]
        gained.append(found[1] - found[0])
    assert sum(gained) > 0.005
