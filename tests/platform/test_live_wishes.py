"""A live wish and the same wish in the lake mean the same: a list does not change its mind with a publication."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold.serving import Objections, Ranking, Serving, Snapshot
from onefold.serving.objections import held
from onefold_storage.schema import CONTACT_RECORDS
from onefold_storage.wishes import Standing, Wish
from onefold_workers.permissions import DataUses, permissions

USES = DataUses(
    data_uses={
        "marketing": {"email": "legitimate_interest", "post": "legitimate_interest"},
        "newsletter": {"email": "consent"},
        "analytics": {"any": "legitimate_interest"},
    }
)
SUBJECT = ("email", "anna@example.org")
OTHER = ("email", "anna@old.example")
BEGAN = datetime(2018, 1, 1, tzinfo=UTC)
SAID = st.tuples(
    st.sampled_from(["marketing", "newsletter", "analytics", "any"]),
    st.sampled_from(["email", "post", "any"]),
    st.sampled_from(["GRANTED", "DENIED", "REVOKED"]),
)
EXPRESSED = st.lists(SAID, min_size=1, max_size=6)
WHOSE = st.sampled_from([SUBJECT, OTHER, ("record", "crm:1"), ("record", "news:1")])
SPOKEN = st.lists(st.tuples(WHOSE, SAID), max_size=5)


def _record(key: str, email: str) -> dict[str, str]:
    return {"record_key": key, "source": "crm", "email": email, "street": "Main Street", "city": "Akron"}


def _records(*said: dict[str, str]) -> pl.DataFrame:
    empty = pl.from_arrow(CONTACT_RECORDS.arrow.empty_table())
    assert isinstance(empty, pl.DataFrame)
    rows = pl.DataFrame(said)
    rows = rows.select(
        *rows.columns,
        *(pl.lit(None, dtype=t).alias(n) for n, t in empty.schema.items() if n not in (*rows.columns, "deleted")),
        deleted=pl.lit(False),
    )
    return rows.with_columns(golden_id=pl.lit("g1"))


def _consents(wishes: Sequence[Wish]) -> pl.DataFrame:
    """The same wishes as rows of the lake, in the order in which they were expressed."""
    return pl.DataFrame(
        {
            "subject_kind": [w.subject_kind for w in wishes],
            "subject": [w.subject_hash for w in wishes],
            "data_use": [w.data_use for w in wishes],
            "channel": [w.channel for w in wishes],
            "state": [w.state for w in wishes],
            "effective_at": [BEGAN + timedelta(minutes=n) for n in range(len(wishes))],
        },
        schema_overrides={"effective_at": pl.Datetime("us", "UTC")}
        | dict.fromkeys(("subject_kind", "subject", "data_use", "channel", "state"), pl.String),
    )


def _standing(wishes: Sequence[Wish]) -> Standing:
    by_subject: dict[tuple[str, str], tuple[Wish, ...]] = {}
    for wish in wishes:
        subject = (wish.subject_kind, wish.subject_hash)
        by_subject[subject] = (wish, *by_subject.get(subject, ()))
    return Standing(len(wishes), by_subject)


RECORD = _records(_record("crm:1", SUBJECT[1]))
MERGED = _records(_record("crm:1", SUBJECT[1]), _record("news:1", OTHER[1]))


@given(EXPRESSED)
@settings(max_examples=60, deadline=None)
def test_a_live_wish_forbids_what_it_will_forbid_as_a_consent(expressed: list[tuple[str, str, str]]) -> None:
    wishes = tuple(Wish(*SUBJECT, use, channel, state) for use, channel, state in expressed)
    decided = permissions(_consents(wishes), RECORD, USES)
    standing = _standing(wishes)
    assert decided.height == 4
    asked_for = decided.filter(pl.col("lawful_basis") != "consent")
    for use, channel, allowed in asked_for.select("data_use", "channel", "allowed").rows():
        live = standing.forbidding([SUBJECT], use, channel)
        assert (live is None) == allowed, (use, channel)


def serving(home: Any, tmp_path: Path) -> Serving:
    opened = Serving(home.publications, home.ledger.wishes, home.hashed, tmp_path / "cache")
    assert opened.refresh()
    return opened


def about(home: Any, number: int, kind: str, state: Any, use: str = "marketing", channel: str = "email") -> Wish:
    """What a customer of the made-up publication wants, by a subject that is hers."""
    value = f"person{number}@example.org" if kind == "email" else f"+1937{number + 5550000}"
    return Wish(kind, home.hashed.of(kind, value), use, channel, state, (f"g{number % 20:07d}",))


WISHES = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.sampled_from(["email", "phone"]),
        st.sampled_from(["GRANTED", "DENIED", "REVOKED"]),
        st.sampled_from(["marketing", "any"]),
        st.sampled_from(["email", "post", "any"]),
    ),
    min_size=1,
    max_size=4,
)


def test_one_wish_after_another_closes_what_the_whole_book_closes(published: Any, tmp_path: Path) -> None:
    """A replica that followed every wish and one that has just started give the same lists and the same counts."""
    follows = serving(published, tmp_path)
    uses = [follows.view().snapshot.uses["marketing", channel] for channel in ("email", "post")]
    asked = [Ranking("churn", use, minimum) for use in uses for minimum in (None, 0.5)]

    @given(WISHES)
    @settings(max_examples=40, deadline=None)
    def same(said: list[Any]) -> None:
        published.ledger.wishes.add([about(published, *one) for one in said], "crm")
        view = follows.view()
        fresh = Objections(view.snapshot, published.ledger.wishes.standing())
        for use in uses:
            assert view.objections.forbidden(use) == fresh.forbidden(use)
        for one in asked:
            assert view.lists.page(one, view.objections, 0, 500) == view.lists.page(one, fresh, 0, 500)

    same()


def test_a_wish_costs_itself_and_keeps_no_earlier_ones_alive(
    published: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, follows, looked = published.ledger.wishes, serving(published, tmp_path), []
    book.add([about(published, n, "email", "DENIED") for n in range(100)], "crm")
    asked = Ranking("churn", follows.view().snapshot.uses["marketing", "email"])
    allowed = follows.view().lists.page(asked, follows.view().objections, 0, 5).allowed
    holders_of = Snapshot.holders_of
    monkeypatch.setattr(Snapshot, "holders_of", lambda self, h: looked.append(h) or holders_of(self, h))
    for n in range(60):
        book.add([about(published, 101, "email", "DENIED" if n % 2 else "GRANTED")], "crm")
        view = follows.view()
        view.lists.page(asked, view.objections, 0, 5)
    assert len(looked) == 60
    assert view.lists.page(asked, view.objections, 0, 5).allowed == allowed - 1
    del view
    gc.collect()
    assert sum(isinstance(o, Objections) for o in gc.get_objects()) == 1


def test_a_book_that_was_put_back_is_read_anew(published: Any, tmp_path: Path) -> None:
    book, follows = published.ledger.wishes, serving(published, tmp_path)
    use = follows.view().snapshot.uses["marketing", "email"]
    book.add([about(published, n, "email", "DENIED") for n in (3, 4)], "crm")
    before = dict(follows.view().objections.forbidden(use))
    with published.ledger.access.write() as connection:
        connection.exec_driver_sql("DELETE FROM wishes")
    book.add([about(published, n, "email", "DENIED") for n in (6, 8, 9)], "crm")
    now = follows.view().objections.forbidden(use)
    assert len(before) == 2 and len(now) == 3 and not before.keys() & now.keys()


@given(landed=SPOKEN, expressed=SPOKEN)
@settings(max_examples=60, deadline=None)
def test_live_wishes_over_a_publication_open_no_contact_point_that_the_lake_closes(
    landed: list[tuple[tuple[str, str], tuple[str, str, str]]],
    expressed: list[tuple[tuple[str, str], tuple[str, str, str]]],
) -> None:
    """Two records that were merged: what the API answers until the next publication, and what the lake says then."""
    before = [Wish(*subject, use, channel, state) for subject, (use, channel, state) in landed]
    since = [Wish(*subject, use, channel, state) for subject, (use, channel, state) in expressed]
    published = permissions(_consents(before), MERGED, USES)
    then = permissions(_consents([*before, *since]), MERGED, USES)
    standing = _standing(since)
    for row, later in zip(published.to_dicts(), then.to_dicts(), strict=True):
        now = held(row, standing.forbidding(standing.by_subject, row["data_use"], row["channel"]))
        assert set(now["contact_points"] or ()) <= set(later["contact_points"] or ())
        assert now["allowed"] <= later["allowed"]
        if row["channel"] == "email":
            assert now["allowed"] == bool(now["contact_points"])
        else:
            assert now["contact_points"] is later["contact_points"] is None
