"""Permissions fail closed: refusals win, purposes are named, and a refusal more never lets more through."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onefold_storage.errors import BadContract
from onefold_storage.schema import CONSENTS, CONTACT_RECORDS, PERMISSIONS, Table
from onefold_workers.data_uses import DataUses
from onefold_workers.permissions import permissions

START = datetime(2017, 1, 1, tzinfo=UTC)


def day(n: float) -> datetime:
    return START + timedelta(days=n)


def _frame(table: Table, rows: list[dict[str, Any]], **more: Any) -> pl.DataFrame:
    types = dict(cast("pl.DataFrame", pl.from_arrow(table.arrow.empty_table())).schema) | more
    return pl.DataFrame([{c: row.get(c) for c in types} for row in rows], schema=types, orient="row")


def records(*rows: dict[str, Any]) -> pl.DataFrame:
    """Contact records with golden IDs; `key` is `source:key`, what is not named is null."""
    base = {"effective_at": day(0), "deleted": False}
    filled = [base | {"record_key": r["key"], "source": r["key"].split(":")[0]} | r for r in rows]
    return _frame(CONTACT_RECORDS, filled, golden_id=pl.String)


def consents(*rows: dict[str, Any]) -> pl.DataFrame:
    """Consents; without a `record_key` each row is a wish of its own record."""
    base = {"source": "wish", "package_id": "p1", "effective_at": day(0), "deleted": False, "data_use": "marketing"}
    filled = [base | {"record_key": f"wish:{i}", "row_id": i} | r for i, r in enumerate(rows)]
    return _frame(CONSENTS, filled)


USES = DataUses.of(
    {
        "data_uses": {
            "marketing": {"email": "consent", "phone": "consent", "post": "legitimate_interest"},
            "service": {"email": "contract"},
            "analytics": {"any": "legitimate_interest"},
        }
    },
    "data_uses.yaml",
)
ANN = {"key": "crm:1", "golden_id": "ann", "email": "ann@example.com", "phone": "+15135550100"} | {
    "street": "Oak St",
    "city": "Fox Hollow",
    "external_ids": [{"scheme": "loyalty_card", "value": "7"}],
}


def wish(state: str, at: float = 0, channel: str = "email", **more: Any) -> dict[str, Any]:
    subject = {"subject_kind": "email", "subject": "ann@example.com"}
    return {**subject, "state": state, "effective_at": day(at), "channel": channel, **more}


def decided(*wishes: dict[str, Any], people: tuple[dict[str, Any], ...] = (ANN,)) -> dict[tuple[str, str], str]:
    found = permissions(consents(*wishes), records(*people), USES)
    return {(r["data_use"], r["channel"]): r["reason"] for r in found.to_dicts() if r["golden_id"] == "ann"}


def allowed(frame: pl.DataFrame) -> set[tuple[str, str, str]]:
    return set(frame.filter("allowed").select("golden_id", "data_use", "channel").rows())


def test_one_row_for_each_customer_use_and_channel() -> None:
    found = permissions(consents(), records(ANN, {"key": "x:1", "golden_id": "bob"}), USES)
    assert found.to_arrow().schema.names == PERMISSIONS.arrow.names
    assert found.height == 2 * 5
    assert found.select("golden_id", "data_use", "channel").is_unique().all()
    reasons = dict(found.filter(golden_id="bob").select(pl.format("{} {}", "data_use", "channel"), "reason").rows())
    assert reasons == {
        "analytics any": "legitimate_interest",
        "marketing email": "no_consent",
        "marketing phone": "no_consent",
        "marketing post": "no_contact_point",
        "service email": "no_contact_point",
    }
    assert found.filter(golden_id="ann", data_use="service")["allowed"].to_list() == [True]


def test_consent_needs_a_grant_and_the_latest_wish_stands() -> None:
    email = ("marketing", "email")
    assert decided()[email] == "no_consent"
    assert decided(wish("GRANTED"))[email] == "granted"
    assert decided(wish("GRANTED", 1), wish("REVOKED", 2))[email] == "revoked"
    assert decided(wish("DENIED", 1), wish("GRANTED", 2))[email] == "granted"
    assert decided(wish("GRANTED", 1), wish("DENIED", 1))[email] == "denied"
    assert decided(wish("GRANTED", 1), wish("PERHAPS", 2))[email] == "denied"
    one = {"record_key": "crm:1"}
    assert decided(wish("DENIED", 1, **one), wish("GRANTED", 1, package_id="p2", **one))[email] == "denied"
    assert decided(wish("GRANTED", 1, data_use="service"))[email] == "no_consent"


def test_other_bases_hold_until_somebody_objects() -> None:
    post = ("marketing", "post")
    assert decided()[post] == "legitimate_interest"
    assert decided(wish("DENIED", channel="post"))[post] == "objection"
    assert decided(wish("REVOKED", channel="post"))[post] == "objection"
    assert decided(wish("DENIED", 1, "post"), wish("GRANTED", 2, "post"))[post] == "legitimate_interest"


@pytest.mark.parametrize(
    "subject",
    [("record", "crm:1"), ("email", "ann@example.com"), ("phone", "+15135550100"), ("loyalty_card", "7")],
)
def test_wishes_reach_customers_by_every_identifier(subject: tuple[str, str]) -> None:
    said = wish("GRANTED") | {"subject_kind": subject[0], "subject": subject[1]}
    assert decided(said)[("marketing", "email")] == "granted"
    other = wish("GRANTED") | {"subject_kind": subject[0], "subject": subject[1] + "0"}
    assert decided(other)[("marketing", "email")] == "no_consent"


def test_the_strictest_of_all_contact_points_wins() -> None:
    second = {"key": "shop:1", "golden_id": "ann", "email": "old@example.com"}
    said = [wish("GRANTED", 9), wish("DENIED", 1, subject="old@example.com")]
    assert decided(*said, people=(ANN, second))[("marketing", "email")] == "denied"
    assert decided(*said)[("marketing", "email")] == "granted"


OLD = {"key": "news:1", "golden_id": "ann", "email": "old@example.com"}
NEW = {"key": "crm:1", "golden_id": "ann", "email": "new@example.com", "phone": "+15135550100"}


def points(
    *wishes: dict[str, Any], people: tuple[dict[str, Any], ...] = (OLD, NEW), **more: Any
) -> dict[tuple[str, str], list[str] | None]:
    found = permissions(consents(*wishes), records(*people), USES, **more)
    told = found.filter(golden_id="ann").select("data_use", "channel", "contact_points").rows()
    return {(use, channel): listed for use, channel, listed in told}


def test_a_grant_opens_the_contact_point_that_it_was_given_for_and_no_other() -> None:
    email, phone = ("marketing", "email"), ("marketing", "phone")
    own = points(wish("GRANTED", subject="old@example.com"))
    assert own[email] == ["old@example.com"]
    assert points(wish("GRANTED", subject="new@example.com"))[email] == ["new@example.com"]
    both = [wish("GRANTED", subject=OLD["email"]), wish("GRANTED", subject=NEW["email"])]
    assert points(*both)[email] == ["new@example.com", "old@example.com"]
    of_record = wish("GRANTED", channel="any", subject_kind="record", subject="crm:1")
    assert (points(of_record)[email], points(of_record)[phone]) == (["new@example.com"], ["+15135550100"])
    by_phone = wish("GRANTED", channel="any", subject_kind="phone", subject="+15135550100")
    assert points(by_phone)[email] == ["new@example.com"], "the record that holds the phone"
    assert own[phone] == [], "nothing was granted for it"
    shared = {**OLD, "email": None, "external_ids": [{"scheme": "email", "value": "new@example.com"}]}
    of_other = wish("GRANTED", subject_kind="record", subject="news:1")
    assert points(of_other, people=(shared, NEW))[email] == ["new@example.com"], "either record holds it"


def test_a_grant_of_a_record_is_that_of_its_sources_others_with_the_same_external_id() -> None:
    """A web shop tells of a user in several records; the CRM knows the number too, and has another address."""
    number = {"golden_id": "ann", "external_ids": [{"scheme": "web_user", "value": "7"}]}
    user, told = {"key": "web:7", **number}, {"key": "web:profile/x", "email": "told@example.com", **number}
    crm = {"key": "crm:1", "email": "new@example.com", **number}
    other = {"key": "web:8", "golden_id": "ann", "email": "other@example.com"}
    said = wish("GRANTED", subject_kind="record", subject="web:7")
    assert points(said, people=(user, told, crm, other))[("marketing", "email")] == ["told@example.com"]


def test_consent_of_a_record_without_the_contact_point_opens_none() -> None:
    bare = {"key": "news:1", "golden_id": "ann"}
    said = wish("GRANTED", subject_kind="record", subject="news:1")
    assert decided(said, people=(bare, NEW))[("marketing", "email")] == "no_consent"
    assert decided(said, people=(bare,))[("marketing", "email")] == "no_contact_point"
    assert points(said, people=(bare, NEW))[("marketing", "email")] == []


def test_other_bases_take_every_contact_point_of_a_source_that_names_the_use() -> None:
    service = ("service", "email")
    assert points()[service] == ["new@example.com", "old@example.com"]
    assert points(purposes={"crm": ("service",), "news": ("marketing",)})[service] == ["new@example.com"]
    assert points(purposes={"news": ("marketing",)})[service] == []
    assert points()[("marketing", "post")] is None
    assert points()[("analytics", "any")] is None


def test_who_refused_for_one_contact_point_is_reached_by_none() -> None:
    """The stricter wish wins on a merge; a split gives each its own wishes back."""
    said = [wish("GRANTED", subject="new@example.com"), wish("DENIED", subject="old@example.com")]
    assert points(*said)[("marketing", "email")] == []
    apart = points(*said, people=({**OLD, "golden_id": "bob"}, NEW))
    assert apart[("marketing", "email")] == ["new@example.com"]


def test_wishes_for_any_channel() -> None:
    email, phone = ("marketing", "email"), ("marketing", "phone")
    assert decided(wish("GRANTED", channel="any"))[phone] == "granted"
    assert decided(wish("DENIED", channel="any"))[("marketing", "post")] == "objection"
    both = decided(wish("DENIED", 1, "any"), wish("GRANTED", 2, "email"))
    assert (both[email], both[phone]) == ("granted", "denied")
    assert decided(wish("DENIED", 1, "any"), wish("GRANTED", 1, "email"))[email] == "denied"
    assert decided(wish("DENIED", 1, "email"), wish("GRANTED", 2, "any"))[email] == "denied"
    assert decided(wish("GRANTED", 1, "email"), wish("DENIED", 2, "any"))[email] == "denied"


def test_wishes_for_any_data_use_only_forbid() -> None:
    assert decided(wish("GRANTED", data_use="any"))[("marketing", "email")] == "no_consent"
    assert decided(wish("GRANTED", 2), wish("DENIED", 1, data_use="any"))[("marketing", "email")] == "denied"
    assert decided(wish("DENIED", channel="any", data_use="any"))[("analytics", "any")] == "objection"


def test_a_refusal_of_one_channel_counts_where_a_use_has_no_channels() -> None:
    assert decided(wish("DENIED", data_use="analytics"))[("analytics", "any")] == "objection"


def test_what_a_deleted_record_granted_is_gone_and_what_it_forbade_stays() -> None:
    email = ("marketing", "email")
    key = {"record_key": "news:1"}
    gone = wish("GRANTED", 2, deleted=True, **key)
    assert decided(wish("GRANTED", 1, **key), gone)[email] == "no_consent"
    assert decided(wish("GRANTED", 1, record_key="news:2"), gone)[email] == "granted"
    assert decided(wish("DENIED", 1, **key), wish("DENIED", 2, deleted=True, **key))[email] == "denied"
    assert decided(wish("DENIED", 2, deleted=True, **key))[email] == "no_consent"
    assert decided(wish("DENIED", 1, deleted=True, **key), wish("GRANTED", 2, **key))[email] == "granted"


def test_a_channel_needs_its_contact_point() -> None:
    bare = {"key": "crm:1", "golden_id": "ann", "street": "Oak St"}
    said = wish("GRANTED", subject_kind="record", subject="crm:1")
    found = decided(said, people=(bare,))
    assert found[("marketing", "email")] == "no_contact_point"
    assert found[("marketing", "post")] == "no_contact_point"
    further = bare | {"external_ids": [{"scheme": "email", "value": "b@example.com"}]}
    assert decided(said, people=(further,))[("marketing", "email")] == "granted"


def test_unknown_uses_and_channels_have_no_permission() -> None:
    found = decided(wish("GRANTED", data_use="profiling"), wish("GRANTED", channel="fax"))
    assert set(found) == {(u, c) for u, channels in USES.data_uses.items() for c in channels}


def test_wishes_that_stand_by_themselves_need_no_record_key() -> None:
    said = consents(wish("DENIED", channel="any")).drop("record_key", "deleted", "package_id", "row_id", "source")
    assert not allowed(permissions(said, records(ANN), USES)) & {("ann", "marketing", "post")}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ({"data_uses": {"marketing": {"email": "because"}}}, "data_uses.marketing.email"),
        ({"data_uses": {"any": {"email": "consent"}}}, "no name for a data use"),
        ({"data_uses": {"marketing": {}}}, "at least one channel"),
        ({"uses": {}}, "uses"),
    ],
)
def test_bad_data_uses_are_refused_by_name(text: dict[str, Any], found: str) -> None:
    with pytest.raises(BadContract, match=r"^data_uses\.yaml: ") as error:
        DataUses.of(text, "data_uses.yaml")
    assert found in str(error.value)


_SUBJECTS = [
    ("record", "crm:0"),
    ("record", "crm:1"),
    ("email", "a@example.com"),
    ("email", "b@example.com"),
    ("phone", "+15135550100"),
    ("loyalty_card", "7"),
]
_WISHES = st.fixed_dictionaries(
    {
        "subject": st.sampled_from(_SUBJECTS),
        "data_use": st.sampled_from(["marketing", "service", "analytics", "any"]),
        "channel": st.sampled_from(["email", "phone", "post", "any"]),
        "state": st.sampled_from(["GRANTED", "GRANTED", "GRANTED", "DENIED", "REVOKED"]),
        "effective_at": st.integers(0, 3).map(day),
        "record_key": st.sampled_from(["w:1", "w:2", "w:3"]),
        "package_id": st.sampled_from(["p1", "p2"]),
        "deleted": st.booleans(),
    }
)
_PEOPLE = st.lists(
    st.fixed_dictionaries(
        {
            "golden_id": st.sampled_from(["g", "h"]),
            "email": st.sampled_from([None, "a@example.com", "b@example.com"]),
            "phone": st.sampled_from([None, "+15135550100"]),
            "street": st.sampled_from([None, "Oak St"]),
            "city": st.sampled_from([None, "Fox Hollow"]),
            "external_ids": st.sampled_from([None, [{"scheme": "loyalty_card", "value": "7"}]]),
        }
    ),
    min_size=1,
    max_size=4,
)


def _said(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return consents(*({**r, "subject_kind": r["subject"][0], "subject": r["subject"][1]} for r in rows))


def _people(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return records(*({**r, "key": f"crm:{i}"} for i, r in enumerate(rows)))


@given(people=_PEOPLE, said=st.lists(_WISHES, max_size=6), more=_WISHES)
def test_adding_a_refusal_never_lets_more_through(
    people: list[dict[str, Any]], said: list[dict[str, Any]], more: dict[str, Any]
) -> None:
    before = allowed(permissions(_said(said), _people(people), USES))
    refusal = {**more, "state": "DENIED", "deleted": False}
    assert allowed(permissions(_said([*said, refusal]), _people(people), USES)) <= before


@given(people=_PEOPLE, said=st.lists(_WISHES, max_size=6))
def test_a_merge_never_allows_what_one_of_the_two_forbade(
    people: list[dict[str, Any]], said: list[dict[str, Any]]
) -> None:
    apart = permissions(_said(said), _people(people), USES)
    merged = permissions(_said(said), _people([{**p, "golden_id": "g"} for p in people]), USES)
    forbade = set(
        apart.filter(pl.col("reason").is_in(["denied", "revoked", "objection"]))
        .select("data_use", "channel")
        .rows()
    )
    assert not forbade & {(u, c) for _, u, c in allowed(merged)}


@given(people=_PEOPLE, said=st.lists(_WISHES, max_size=6), turn=st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(
    people: list[dict[str, Any]], said: list[dict[str, Any]], turn: Any
) -> None:
    wishes, persons = _said(said), _people(people)
    mixed, others = list(range(wishes.height)), list(range(persons.height))
    turn.shuffle(mixed)
    turn.shuffle(others)
    assert permissions(wishes, persons, USES).equals(permissions(wishes[mixed], persons[others], USES))


@given(people=_PEOPLE, said=st.lists(_WISHES, max_size=6))
def test_consent_is_never_assumed(people: list[dict[str, Any]], said: list[dict[str, Any]]) -> None:
    found = permissions(_said([s for s in said if s["state"] != "GRANTED"]), _people(people), USES)
    assert not found.filter(pl.col("allowed") & (pl.col("lawful_basis") == "consent")).height
    assert found["allowed"].null_count() == 0


@given(people=_PEOPLE, said=st.lists(_WISHES, max_size=6))
def test_what_is_not_allowed_says_why(people: list[dict[str, Any]], said: list[dict[str, Any]]) -> None:
    found = permissions(_said(said), _people(people), USES)
    why_not = ["denied", "revoked", "objection", "no_consent", "no_contact_point"]
    assert (found["allowed"] != found["reason"].is_in(why_not)).all()
    why = pl.when(pl.col("lawful_basis") == "consent").then(pl.lit("granted")).otherwise("lawful_basis")
    assert found.filter(pl.col("allowed") & (pl.col("reason") != why)).height == 0


@given(people=_PEOPLE, said=st.lists(_WISHES, max_size=6))
def test_contact_points_are_those_of_the_customer_and_none_without_permission(
    people: list[dict[str, Any]], said: list[dict[str, Any]]
) -> None:
    found = permissions(_said(said), _people(people), USES)
    aimed = found.filter(pl.col("channel").is_in(["email", "phone"]))
    assert (aimed["allowed"] == (aimed["contact_points"].list.len() > 0)).all()
    assert found.filter(~pl.col("channel").is_in(["email", "phone"]))["contact_points"].is_null().all()
    told = set(aimed.explode("contact_points").drop_nulls().select("golden_id", "contact_points").rows())
    assert told <= {(p["golden_id"], p[kind]) for p in people for kind in ("email", "phone")}
    granted = {r["subject"][1] for r in said if r["state"] == "GRANTED" and r["data_use"] == "marketing"}
    holds = [
        {p["email"], p["phone"], f"crm:{i}", *(["7"] if p["external_ids"] else [])} for i, p in enumerate(people)
    ]
    by_card = {"7"} if any(h & granted for h in holds if "7" in h) else set()
    for point in aimed.filter(lawful_basis="consent")["contact_points"].explode().drop_nulls().unique():
        assert any(point in h and h & (granted | by_card) for h in holds)


def test_a_contact_point_serves_only_the_uses_that_its_source_names() -> None:
    """No purpose stated for the source, nobody contacted on its strength; consent names its purpose itself."""
    shop = {"key": "shop:1", "golden_id": "ann", "email": "ann@example.com"}
    post, mail, analysis = ("marketing", "post"), ("marketing", "email"), ("analytics", "any")

    def by(
        purposes: dict[str, tuple[str, ...]], *wishes: dict[str, Any]
    ) -> dict[tuple[str, str], tuple[bool, str]]:
        found = permissions(consents(*wishes), records(ANN, shop), USES, purposes)
        return {(r["data_use"], r["channel"]): (r["allowed"], r["reason"]) for r in found.to_dicts()}

    drafted = by({"crm": ("analytics",), "shop": ("analytics",)})
    assert drafted[post] == (False, "no_purpose")
    assert drafted["service", "email"] == (False, "no_purpose")
    assert drafted[analysis] == (True, "legitimate_interest")
    assert by({})[analysis] == (False, "no_purpose")
    elsewhere = by({"crm": ("analytics",), "shop": ("marketing", "service")})
    assert elsewhere[post] == (False, "no_purpose"), "the shop may write, but the address is the CRM's"
    assert elsewhere["service", "email"] == (True, "contract")
    assert by({"crm": ("marketing",)})[post] == (True, "legitimate_interest")
    assert by({"crm": ("analytics",)}, wish("GRANTED"))[mail] == (True, "granted")
    assert by({"crm": ("marketing",)}, wish("DENIED", channel="post"))[post] == (False, "objection")
