"""A live wish and the same wish in the lake mean the same: a list does not change its mind with a publication."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold_storage.schema import CONTACT_RECORDS
from onefold_storage.wishes import Standing, Wish
from onefold_workers.permissions import DataUses, permissions

USES = DataUses(
    data_uses={
        "marketing": {"email": "legitimate_interest", "post": "legitimate_interest"},
        "analytics": {"any": "legitimate_interest"},
    }
)
SUBJECT = ("email", "anna@example.org")
BEGAN = datetime(2018, 1, 1, tzinfo=UTC)
EXPRESSED = st.lists(
    st.tuples(
        st.sampled_from(["marketing", "analytics", "any"]),
        st.sampled_from(["email", "post", "any"]),
        st.sampled_from(["GRANTED", "DENIED", "REVOKED"]),
    ),
    min_size=1,
    max_size=6,
)


def _record() -> pl.DataFrame:
    empty = pl.from_arrow(CONTACT_RECORDS.arrow.empty_table())
    assert isinstance(empty, pl.DataFrame)
    said = {"record_key": "crm:1", "source": "crm", "email": SUBJECT[1], "street": "Main Street", "city": "Akron"}
    one = pl.DataFrame([said]).select(
        *said,
        *(pl.lit(None, dtype=t).alias(n) for n, t in empty.schema.items() if n not in (*said, "deleted")),
        deleted=pl.lit(False),
    )
    return one.with_columns(golden_id=pl.lit("g1"))


RECORD = _record()


@given(EXPRESSED)
@settings(max_examples=150, deadline=None)
def test_a_live_wish_forbids_what_it_will_forbid_as_a_consent(expressed: list[tuple[str, str, str]]) -> None:
    wishes = tuple(Wish(*SUBJECT, use, channel, state) for use, channel, state in expressed)
    standing = Standing(len(wishes), {SUBJECT: tuple(reversed(wishes))})
    consents = pl.DataFrame(
        {
            "subject_kind": [w.subject_kind for w in wishes],
            "subject": [w.subject_hash for w in wishes],
            "data_use": [w.data_use for w in wishes],
            "channel": [w.channel for w in wishes],
            "state": [w.state for w in wishes],
            "effective_at": [BEGAN + timedelta(minutes=n) for n in range(len(wishes))],
        },
        schema_overrides={"effective_at": pl.Datetime("us", "UTC")},
    )
    decided = permissions(consents, RECORD, USES)
    assert decided.height == 3
    for use, channel, allowed in decided.select("data_use", "channel", "allowed").rows():
        live = standing.forbidding([SUBJECT], use, channel)
        assert (live is None) == allowed, (use, channel)
