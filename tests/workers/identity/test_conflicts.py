"""What keeps clusters apart whatever else is alike: keys of one source, birth dates, weak edges between large ones."""

from __future__ import annotations

from datetime import UTC, date, datetime
from types import ModuleType
from typing import Any

import polars as pl
import pytest

from onefold_workers.identity import Resolution, resolve
from onefold_workers.identity.conflicts import sole_holders
from onefold_workers.identity.watching import mistaken_schemes

IDS = pl.List(pl.Struct({"scheme": pl.String, "value": pl.String}))


def person(key: str, card: str | None = None, scheme: str = "card", **known: Any) -> dict[str, Any]:
    ids = [{"scheme": scheme, "value": card}] if card else []
    return {
        "record_key": key,
        "given_name": "Marianne",
        "family_name": "Quillfeather",
        "street": "Harbour Lane",
        "house_number": "12",
        "postcode": "AB1 2CD",
        "city": "Ham",
        "email": "marianne@quillfeather.example",
        **known,
        "external_ids": ids,
    }


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema_overrides={"external_ids": IDS, "birth_date": pl.Date})


@pytest.fixture(scope="module")
def others(people: ModuleType) -> pl.DataFrame:
    """Many others, from whom it is learned how telling a name is."""
    return people.customers(2_000, seed=4)[0]


def cluster(result: Resolution) -> dict[str, int]:
    return dict(result.clusters.iter_rows())


CARDS = (
    person("loyalty:1001", "1001"),
    person("loyalty:2002", "2002"),
    person("crm:a", "1001"),
    person("shop:b", "2002"),
    person("crm:c"),
)


def test_two_cards_that_are_keys_of_one_source_are_two_customers(others: pl.DataFrame) -> None:
    of = cluster(resolve(pl.concat([others, frame(*CARDS)], how="diagonal")))
    assert of["loyalty:1001"] != of["loyalty:2002"]
    assert of["loyalty:1001"] == of["crm:a"]
    assert of["loyalty:2002"] == of["shop:b"]


def test_a_person_may_say_otherwise_and_a_scheme_may_allow_several(others: pl.DataFrame) -> None:
    records = pl.concat([others, frame(*CARDS)], how="diagonal")
    said = {"left_key": "loyalty:1001", "right_key": "loyalty:2002", "verdict": "must_link"}
    evidence = pl.DataFrame([said | {"decided_by": "x", "decided_at": datetime(2018, 1, 1, tzinfo=UTC)}])
    of = cluster(resolve(records, evidence=evidence))
    assert of["loyalty:1001"] == of["loyalty:2002"]
    of = cluster(resolve(records, many=["card"]))
    assert of["loyalty:1001"] == of["loyalty:2002"]


def test_a_number_that_only_its_own_source_knows_tells_nobody_apart(others: pl.DataFrame) -> None:
    rows = frame(person("crm:7", "7", "crm_id"), person("crm:8", "8", "crm_id"), person("shop:b"))
    of = cluster(resolve(pl.concat([others, rows], how="diagonal")))
    assert of["crm:7"] == of["crm:8"] == of["shop:b"]
    assert (sole_holders(rows) == -1).all()
    assert sole_holders(frame(*CARDS)).tolist() == [[1, 1], [1, 2], [-1, -1], [-1, -1], [-1, -1]]
    assert (sole_holders(pl.DataFrame({"record_key": ["a"]})) == -1).all()


def test_two_birth_dates_split(others: pl.DataFrame) -> None:
    """A mother and a daughter of one name and address: each date stands in two records, one record has none."""
    days = {"crm:m": date(1951, 3, 4), "shop:m": date(1951, 3, 4), "crm:d": date(1984, 11, 23)}
    days["shop:d"] = date(1984, 11, 23)
    rows = [person(k, birth_date=d) for k, d in days.items()] + [person("news:x", birth_date=None)]
    of = cluster(resolve(pl.concat([others, frame(*rows)], how="diagonal")))
    assert of["crm:m"] == of["shop:m"] != of["crm:d"] == of["shop:d"]


def test_a_weak_edge_does_not_glue_two_large_clusters(others: pl.DataFrame) -> None:
    """One record that is a bit of both: it may go to one side, and takes the other side with it to neither."""
    left = [person(f"a:{i}", birth_date=date(1951, 3, 4)) for i in range(6)]
    other = {"given_name": "Bartholomew", "family_name": "Okonkwo", "street": "Mill Road", "postcode": "ZX9 8YW"}
    right = [
        person(f"b:{i}", birth_date=date(1978, 9, 30), **other, email="bart@okonkwo.example") for i in range(6)
    ]
    bridge = person("c:0", birth_date=None, **other)  # his name and address, her email
    of = cluster(resolve(pl.concat([others, frame(*left, *right, bridge)], how="diagonal")))
    assert len({of[r["record_key"]] for r in left}) == 1
    assert len({of[r["record_key"]] for r in right}) == 1
    assert of["a:0"] != of["b:0"]


def test_a_scheme_under_which_two_sources_number_different_people_is_told(people: ModuleType) -> None:
    everybody = people.customers(400, seed=8)[0].unique("record_key", maintain_order=True)
    half = everybody.height // 2
    shops = [
        everybody[at].with_columns(
            record_key=pl.format("{}:{}", pl.lit(shop), pl.int_range(half)),
            source=pl.lit(shop),
            external_ids=pl.concat_list(
                pl.struct(scheme=pl.lit("customer_id"), value=pl.int_range(half).cast(pl.String))
            ),
        )
        for shop, at in (("outlet", slice(0, half)), ("web", slice(half, 2 * half)))
    ]
    orders = (
        shops[1]
        .select("record_key", "external_ids")
        .with_columns(pl.col("record_key").str.replace("web", "orders"), source=pl.lit("orders"))
    )
    records = pl.concat([*shops, orders], how="diagonal")
    (said,) = mistaken_schemes(records, resolve(records).clusters)
    assert said.startswith("external IDs of scheme customer_id: ")
    assert f" of {half} numbers that outlet and web share are of different people" in said

    again = shops[0].with_columns(pl.col("record_key").str.replace("outlet", "web"), source=pl.lit("web"))
    sound = pl.concat([shops[0], again, orders], how="diagonal")
    assert mistaken_schemes(sound, resolve(sound).clusters) == []
