"""The serving file and its gates: what stands in it, what is refused, and the same bytes from the same input."""

from __future__ import annotations

import importlib.util
import sqlite3
import zlib
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold_storage.errors import BadInput, QualityGate
from onefold_storage.keyed_hash import KeyedHash
from onefold_workers.publication import GateLimits, GoldFrames, Survey, build, check, in_order, survey, together
from onefold_workers.publication.gates import measures
from onefold_workers.publication.permission_codes import CodeBook, encode

HASHED = KeyedHash(b"0" * 32)


@pytest.fixture(scope="module")
def made_up() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gold_frames", Path(__file__).parents[1] / "gold_frames.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def gold(made_up: ModuleType) -> GoldFrames:
    frames: GoldFrames = made_up.gold_frames(40)
    return frames


def _built(path: Path, gold: GoldFrames, **more: Any) -> sqlite3.Connection:
    build(path, gold, {"sources": []}, hashed=HASHED, **more)
    return sqlite3.connect(path)


def surveyed(gold: GoldFrames) -> Survey:
    return survey(gold.customers, gold.permissions, gold.segments, gold.scores, gold.offers)


def _body(file: sqlite3.Connection, golden_id: str) -> dict[str, Any]:
    row = file.execute("SELECT body FROM customers WHERE golden_id = ?", (golden_id,)).fetchone()
    found: dict[str, Any] = orjson.loads(row[0])
    return found


def test_the_same_frames_give_the_same_bytes_in_any_order(tmp_path: Path, gold: GoldFrames) -> None:
    def mixed(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.sample(fraction=1.0, shuffle=True, seed=3)

    other = GoldFrames(**{n: mixed(f.lazy().collect()) for n, f in vars(gold).items()})
    _built(tmp_path / "a", gold).close()
    _built(tmp_path / "b", other).close()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_no_identifier_index_holds_a_value_in_clear(tmp_path: Path, gold: GoldFrames) -> None:
    with closing(_built(tmp_path / "a", gold)) as file:
        hashed = bytes.fromhex(HASHED.of("email", "person3@example.org"))
        rows = file.execute("SELECT customer FROM identifiers WHERE hash = ?", (hashed,)).fetchall()
        assert len(rows) == 1
        assert (
            file.execute("SELECT golden_id FROM customers WHERE customer = ?", rows[0]).fetchone()[0] == "g0000003"
        )
        (record,) = file.execute(
            "SELECT count(*) FROM identifiers WHERE hash = ?",
            (bytes.fromhex(HASHED.of("record", "crm_contacts:3")),),
        ).fetchone()
        assert record == 1


def test_interactions_are_bounded_newest_first_with_exact_money(tmp_path: Path, made_up: ModuleType) -> None:
    gold = made_up.gold_frames(5, interactions=130)
    with closing(_built(tmp_path / "a", gold, interactions_kept=120)) as file:
        rows = file.execute("SELECT customer, block, packed FROM interactions ORDER BY 1, 2").fetchall()
        first = [orjson.loads(zlib.decompress(r[2])) for r in rows if r[0] == 1]
        assert [len(block) for block in first] == [50, 50, 20]
        times = [i["at"] for block in first for i in block]
        assert times == sorted(times, reverse=True)
        assert {i["amount"] for block in first for i in block} <= {"1.99", "3.24", "4.49", "5.74", "6.99"}
        assert _body(file, "g0000000")["interactions"] == {"total": 130, "kept": 120}


def test_an_interaction_with_an_unknown_item_keeps_its_key(tmp_path: Path, gold: GoldFrames) -> None:
    with closing(_built(tmp_path / "a", replace(gold, items=gold.items.clear()))) as file:
        block = orjson.loads(zlib.decompress(file.execute("SELECT packed FROM interactions").fetchone()[0]))
    assert block[0]["item"]["key"].startswith("products:") and block[0]["item"]["name"] is None


NASTY = 'A "quoted" \\ name\n\x01 with \u2028, emoji 🦊 and عربى </script>'


def test_text_of_any_kind_comes_back_as_it_was(tmp_path: Path, gold: GoldFrames) -> None:
    customers = gold.customers.with_columns(
        family_name=pl.lit(NASTY), attributes=pl.lit(orjson.dumps({"note": NASTY}).decode())
    )
    traits = gold.traits.with_columns(text=pl.when(pl.col("text").is_not_null()).then(pl.lit(NASTY)), trait="trait")
    traits = traits.with_columns(trait=pl.lit('odd "name"') + pl.col("trait"))
    with closing(_built(tmp_path / "a", replace(gold, customers=customers, traits=traits))) as file:
        body = _body(file, "g0000003")
    assert body["profile"]["family_name"] == NASTY
    assert body["attributes"]["note"] == NASTY
    assert body["traits"]['odd "name"favourite_department'] == NASTY


def test_only_customers_and_permissions_are_needed(tmp_path: Path, gold: GoldFrames) -> None:
    bare = GoldFrames(customers=gold.customers, permissions=gold.permissions, links=gold.links)
    with closing(_built(tmp_path / "a", bare)) as file:
        body = _body(file, "g0000003")
    assert (body["scores"], body["offers"], body["traits"], body["segments"], body["consents"]) == (
        [],
        [],
        {},
        [],
        [],
    )
    assert body["interactions"] == {"total": 0, "kept": 0}


def test_no_customers_at_all_still_makes_a_file(tmp_path: Path, gold: GoldFrames) -> None:
    empty = GoldFrames(**{n: f.lazy().collect().clear() for n, f in vars(gold).items()})
    with closing(_built(tmp_path / "a", empty)) as file:
        assert file.execute("SELECT count(*) FROM customers").fetchone() == (0,)


def test_a_frame_that_lacks_a_column_is_named(gold: GoldFrames) -> None:
    with pytest.raises(BadInput, match=r"gold frame `scores`.*model_version"):
        replace(gold, scores=gold.scores.drop("model_version"))


# parts


def test_surveys_of_parts_add_up_to_the_survey_of_all(gold: GoldFrames) -> None:
    def part(n: int) -> GoldFrames:
        mine = pl.col("golden_id").hash(seed=1) % 3 == n
        names = ("customers", "permissions", "segments", "scores", "offers")
        return replace(gold, **{name: getattr(gold, name).filter(mine) for name in names})

    assert together([surveyed(part(n)) for n in range(3)]) == surveyed(gold)


@settings(max_examples=80)
@given(st.lists(st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=4)), max_size=4))
def test_sources_that_ascend_are_put_into_one_order(sources: list[list[list[tuple[int, int]]]]) -> None:
    schema = {"a": pl.Int64, "b": pl.Int64}
    given_ = []
    for frames in sources:
        rows = sorted(row for frame in frames for row in frame)
        cuts = [sum(map(len, frames[:n])) for n in range(len(frames) + 1)]
        given_.append(iter([pl.DataFrame(rows[a:b], schema=schema, orient="row") for a, b in pairwise(cuts)]))
    found = [row for frame in in_order(given_, ("a", "b")) for row in frame.rows()]
    assert found == sorted(row for frames in sources for frame in frames for row in frame)


# permissions


def _why(gold: GoldFrames, permissions: pl.DataFrame) -> dict[tuple[str, str, str], str]:
    ids = gold.customers.select("golden_id", customer=pl.int_range(1, pl.len() + 1, dtype=pl.Int64))
    found = surveyed(replace(gold, permissions=permissions))
    book = CodeBook.of(found.uses, found.reasons)
    coded = encode(permissions, ids, book)
    bytes_ = dict(ids.join(coded.codes, on="customer").select("golden_id", "why").iter_rows())
    names = {0: "allowed"} | book.reasons
    return {(g, *use): names[why[n]] for g, why in bytes_.items() for n, use in enumerate(book.uses)}


def test_a_permission_that_is_not_stated_is_none(gold: GoldFrames) -> None:
    left = gold.permissions.filter(~((pl.col("golden_id") == "g0000003") & (pl.col("channel") == "post")))
    why = _why(gold, left)
    assert why["g0000003", "marketing", "post"] == "not_stated"
    assert why["g0000003", "service", "email"] == "allowed"
    assert why["g0000005", "marketing", "email"] == "denied"


def test_of_two_statements_the_stricter_stands(gold: GoldFrames) -> None:
    again = gold.permissions.filter(pl.col("allowed")).with_columns(
        allowed=pl.lit(False), reason=pl.lit("objection")
    )
    for both in (pl.concat([gold.permissions, again]), pl.concat([again, gold.permissions])):
        assert "allowed" not in _why(gold, both).values()


def test_a_permission_without_a_verdict_is_none(gold: GoldFrames) -> None:
    unsure = gold.permissions.with_columns(allowed=pl.lit(None, pl.Boolean))
    assert "allowed" not in _why(gold, unsure).values()


def test_three_hundred_uses_fit(gold: GoldFrames) -> None:
    many = gold.permissions.filter(pl.col("channel") == "post").drop("channel")
    many = many.join(pl.DataFrame({"channel": [f"c{i:03d}" for i in range(300)]}), how="cross")
    why = _why(gold, many.select(gold.permissions.columns))
    assert set(why.values()) == {"allowed"} and len(why) == 40 * 300


# gates


def _refused(gold: GoldFrames, words: str, **more: Any) -> None:
    with pytest.raises(QualityGate, match=words) as caught:
        check(surveyed(gold), {"identity": {"f1": 0.98}}, **more)
    assert "person" not in str(caught.value)


def test_good_frames_pass_every_gate(gold: GoldFrames, made_up: ModuleType) -> None:
    results = check(
        surveyed(gold), made_up.facts(), previous=measures(surveyed(gold)), limits=GateLimits(least_f1=0.97)
    )
    assert len(results) >= 12 and all(r.passed for r in results)


def test_what_the_gates_refuse(gold: GoldFrames) -> None:
    _refused(replace(gold, customers=gold.customers.clear()), "customers are there")
    _refused(replace(gold, customers=pl.concat([gold.customers, gold.customers[:1]])), "golden IDs are unique")
    _refused(replace(gold, customers=gold.customers[:30], scores=gold.scores.clear(), offers=gold.offers.clear()),
             "customers did not vanish: 30 customers after 40: 25.0% fewer", previous=measures(surveyed(gold)))  # fmt: skip
    _refused(replace(gold, scores=gold.scores.with_columns(model_version=pl.lit(" "))), "model version: 80 scores")
    _refused(replace(gold, scores=gold.scores.with_columns(score=pl.lit(float("nan")))), "score is a number")
    _refused(replace(gold, scores=gold.scores.with_columns(golden_id=pl.lit("nobody"))), "belong to nobody")
    _refused(replace(gold, scores=pl.concat([gold.scores, gold.scores[:1]])), "1 scores|2 scores are double")
    two = gold.scores.with_columns(
        model_version=pl.when(pl.col("rank") == 1).then(pl.lit("9")).otherwise("model_version")
    )
    _refused(replace(gold, scores=two), "models with several: churn, value")
    _refused(replace(gold, permissions=gold.permissions.clear()), "permissions are stated")
    _refused(replace(gold, permissions=gold.permissions[1:]), "permissions are complete: 1 ")
    groundless = gold.permissions.with_columns(lawful_basis=pl.lit(None, pl.String))
    _refused(replace(gold, permissions=groundless), "names its basis")
    opened = gold.permissions.with_columns(allowed=pl.lit(True))
    closed = replace(gold, permissions=gold.permissions.with_columns(allowed=pl.lit(False)))
    _refused(replace(gold, permissions=opened), "did not open", previous=measures(surveyed(closed)))
    _refused(gold, "pairwise F1 0.9800", limits=GateLimits(least_f1=0.99))


def test_growth_and_the_first_publication_pass(gold: GoldFrames) -> None:
    check(surveyed(gold), {})
    small = {"customers": 3, "allowed_share": 0.6}
    check(surveyed(gold), {}, previous=small)


def test_of_equal_ranks_each_customer_gets_one_of_its_own(tmp_path: Path, gold: GoldFrames) -> None:
    tied = gold.scores.with_columns(rank=pl.lit(1, pl.Int64), score=pl.lit(0.5))
    with closing(_built(tmp_path / "a", replace(gold, scores=tied))) as file:
        ranks = [r[0] for r in file.execute("SELECT rank FROM scores WHERE model = 0 ORDER BY rank")]
    assert ranks == list(range(1, 41))


def test_the_newest_value_of_a_trait_stands(tmp_path: Path, gold: GoldFrames) -> None:
    newer = gold.traits.with_columns(
        number=pl.lit(5.0), text=pl.lit(None, pl.String), as_of=pl.col("as_of") + timedelta(days=1)
    )
    with closing(_built(tmp_path / "a", replace(gold, traits=pl.concat([newer, gold.traits])))) as file:
        assert _body(file, "g0000003")["traits"]["spend_365d"] == 5.0
