"""Records that come later, in any order and number, end where they would have if all had come at once."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import polars as pl
import pytest

from onefold_storage.errors import BadInput
from onefold_workers.identity import IdentityModel, Resolution, resolve
from onefold_workers.identity.incremental import Added, resolve_more
from onefold_workers.identity.keeping import Kept

IDS = pl.List(pl.Struct({"scheme": pl.String, "value": pl.String}))
NOBODY = pl.Series("record_key", [], dtype=pl.String)


def people_with_cards(people: ModuleType, make: str, size: int, seed: int) -> pl.DataFrame:
    """Records with one or two loyalty cards in a third of them, some of which several share; and plain copies."""
    records, truth = getattr(people, make)(size, seed=seed)
    rng = np.random.default_rng(seed)
    cards = [
        [{"scheme": "card", "value": f"c{int(t) + int(k)}"} for k in range(1 + int(rng.random() < 0.3))]
        if rng.random() < 0.3
        else None
        for t in truth["truth"]
    ]
    records = records.with_columns(external_ids=pl.Series(cards, dtype=IDS))
    copies = records.sample(records.height // 15, seed=seed).with_columns(
        record_key=pl.format("a:{}", "record_key")
    )
    return pl.concat([records, copies]).sample(fraction=1.0, shuffle=True, seed=seed)


@pytest.fixture(scope="module", params=[("customers", 1_500), ("chronicle", 120), ("crumbs", 300)])
def case(request: pytest.FixtureRequest, people: ModuleType) -> tuple[pl.DataFrame, IdentityModel]:
    records = people_with_cards(people, *request.param, seed=31)
    return records, resolve(records.sample(fraction=0.7, seed=1)).model


def groups(keys: pl.Series, cluster: object) -> pl.DataFrame:
    frame = pl.DataFrame({"key": keys, "cluster": cluster}).sort("key")
    return frame.select("key", together=pl.col("key").min().over("cluster"))


def same(found: Added, whole: Resolution) -> bool:
    """Clusters and edges alike, to the last bit."""
    clusters = groups(found.kept.keys, found.kept.cluster).equals(
        groups(whole.clusters["record_key"], whole.clusters["cluster"])
    )
    return clusters and found.edges.sort("left_key", "right_key").equals(whole.edges)


def add(
    base: tuple[Kept, pl.DataFrame],
    known: pl.DataFrame,
    more: pl.DataFrame,
    gone: pl.Series,
    model: IdentityModel,
    evidence: pl.DataFrame | None = None,
) -> Added:
    table, facts = base[0].table()  # through the form in which it is stored
    kept = Kept.of(table.to_arrow(), facts)
    found = resolve_more(
        kept,
        base[1],
        more,
        gone,
        lambda keys: known.filter(pl.col("record_key").is_in(keys.implode())),
        model,
        evidence=evidence,
    )
    assert found is not None
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_batches_in_any_order_come_to_the_same(case: tuple[pl.DataFrame, IdentityModel], seed: int) -> None:
    records, model = case
    rng = np.random.default_rng(seed)
    order = records.sample(fraction=1.0, shuffle=True, seed=seed)
    cuts = np.sort(rng.integers(order.height // 2, order.height, 3))
    here = order.head(int(cuts[0]))
    first = resolve(here, model=model, keep=True)
    assert first.kept is not None
    base = (first.kept, first.edges)
    for start, end in [(cuts[0], cuts[1]), (cuts[1], cuts[2]), (cuts[2], order.height)]:
        more = order.slice(int(start), int(end - start))
        found = add(base, here, more, NOBODY, model)
        here = pl.concat([here, more])
        base = (found.kept, found.edges)
    assert same(found, resolve(order, model=model))


def test_changed_and_vanished_records_leave_no_trace(case: tuple[pl.DataFrame, IdentityModel]) -> None:
    records, model = case
    whole = resolve(records, model=model, keep=True)
    assert whole.kept is not None
    gone = records["record_key"].sample(60, seed=4)
    left = records.filter(~pl.col("record_key").is_in(gone.implode()))
    other = left.sample(60, seed=5)
    changed = other.with_columns(other["family_name"].shuffle(seed=1), other["birth_digits"].shuffle(seed=2))
    after = pl.concat([left.filter(~pl.col("record_key").is_in(other["record_key"].implode())), changed])
    found = add((whole.kept, whole.edges), records, changed, gone, model)
    assert same(found, resolve(after, model=model))
    # And back again: as if nothing had been.
    back = records.filter(pl.col("record_key").is_in(pl.concat([gone, other["record_key"]]).implode()))
    assert same(add((found.kept, found.edges), after, back, NOBODY, model), whole)


def test_only_what_is_touched_is_looked_at(people: ModuleType) -> None:
    records, _ = people.customers(20_000, seed=5)
    model = resolve(records).model
    base = resolve(records.head(19_900), model=model, keep=True)
    assert base.kept is not None
    found = add((base.kept, base.edges), records, records.tail(100), NOBODY, model)
    assert found.looked_at < 2_000
    assert found.touched < 1_000


def test_blocks_that_outgrow_their_cap_part_and_come_together_again(people: ModuleType) -> None:
    records, _ = people.customers(3_000, seed=6)
    model = resolve(records).model
    crowd = records.with_columns(
        pl.when(pl.int_range(pl.len()) % 30 == 0).then(pl.lit("0800123456")).otherwise("phone").alias("phone")
    )
    few = crowd.head(500)
    base = resolve(few, model=model, keep=True)
    assert base.kept is not None
    assert base.report["pairs_by_rule"]["phone"]["refined_blocks"] == 0
    found = add((base.kept, base.edges), few, crowd.tail(2_500), NOBODY, model)
    whole = resolve(crowd, model=model)
    assert whole.report["pairs_by_rule"]["phone"]["refined_blocks"] > 0
    assert same(found, whole)
    back = add((found.kept, found.edges), crowd, crowd.head(0), crowd["record_key"].tail(2_500), model)
    assert same(back, base)


def test_decisions_hold_in_what_is_touched(case: tuple[pl.DataFrame, IdentityModel]) -> None:
    records, model = case
    here, more = records.head(records.height - 50), records.tail(50)
    strangers = here["record_key"].sample(10, seed=8).to_list()
    linked = resolve(here, model=model).edges.sort("match_weight", descending=True).head(5)
    decided = [*zip(strangers[::2], strangers[1::2], ["must_link"] * 5, strict=True)]
    decided += [(a, b, "cannot_link") for a, b in linked.select("left_key", "right_key").rows()]
    evidence = pl.DataFrame(decided, schema=["left_key", "right_key", "verdict"], orient="row")
    base = resolve(here, model=model, evidence=evidence, keep=True)
    assert base.kept is not None
    found = add((base.kept, base.edges), here, more, NOBODY, model, evidence)
    assert same(found, resolve(records, model=model, evidence=evidence))


def test_what_the_base_does_not_know_is_resolved_anew(case: tuple[pl.DataFrame, IdentityModel]) -> None:
    records, model = case
    base = resolve(records.head(200), model=model, keep=True)
    more = records.slice(200, 5)
    evidence = pl.DataFrame(
        {
            "left_key": more["record_key"].head(1),
            "right_key": records["record_key"].head(1),
            "verdict": ["must_link"],
        }
    )
    assert base.kept is not None
    known = (base.kept, base.edges, more, NOBODY, lambda k: records.filter(pl.col("record_key").is_in(k.implode())))
    assert resolve_more(*known, model, evidence=evidence) is None
    strange = more.with_columns(organisation=pl.lit("Acme"))
    assert resolve_more(base.kept, base.edges, strange, NOBODY, known[4], model) is None
    with pytest.raises(BadInput, match="expected"):
        resolve_more(base.kept, base.edges, records.slice(200, 100), NOBODY, lambda k: records.head(0), model)


def test_nothing_kept_is_in_the_clear(case: tuple[pl.DataFrame, IdentityModel]) -> None:
    records, model = case
    kept = resolve(records, model=model, keep=True).kept
    assert kept is not None
    table, facts = kept.table()
    held = b"".join(table["marks"].to_list()) + repr(facts).encode()
    names = records["family_name"].drop_nulls().unique().to_list()
    assert not [n for n in names if len(n) > 4 and n.encode() in held]
    other = IdentityModel.from_json(model.to_json().replace(f'"salt":"{model.salt}"', '"salt":"another"'))
    elsewhere = resolve(records, model=other, keep=True).kept
    assert elsewhere is not None
    assert not np.intersect1d(elsewhere.profile, kept.profile).size


def test_among_many_records_rules_of_three_keys_hold_too(
    people: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onefold_workers.identity.blocking._MANY", 1_000)
    records, _ = people.customers(10_000, seed=9)
    model = resolve(records).model
    assert {"given+street+house_number", "both_names+city"} <= {r.name for r in model.rules}
    base = resolve(records.head(9_800), model=model, keep=True)
    assert base.kept is not None
    found = add((base.kept, base.edges), records, records.tail(200), NOBODY, model)
    assert same(found, resolve(records, model=model))
