"""Live wishes: which one stands, and that the ledger does not know whose it is."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from onefold_storage.clock import FixedClock
from onefold_storage.errors import BadInput
from onefold_storage.keyed_hash import KeyedHash
from onefold_storage.ledger import Ledger
from onefold_storage.wish_consents import consents_of
from onefold_storage.wishes import State, Wish

NOW = datetime(2018, 1, 1, tzinfo=UTC)
HASHED = KeyedHash(b"0123456789abcdef")
ANNA = ("email", HASHED.of("email", "anna@example.org"))
PHONE = ("phone", HASHED.of("phone", "+4930123456"))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}", FixedClock(NOW)) as opened:
        yield opened


def _wish(state: State, use: str = "marketing", channel: str = "email", subject: tuple[str, str] = ANNA) -> Wish:
    return Wish(*subject, use, channel, state, ("g1",))


def _forbidden(ledger: Ledger, use: str, channel: str, *subjects: tuple[str, str]) -> bool:
    return ledger.wishes.standing().forbidding(subjects or (ANNA,), use, channel) is not None


def test_an_objection_holds_for_its_use_and_channel_only(ledger: Ledger) -> None:
    ledger.wishes.add([_wish("REVOKED")], "crm")
    assert _forbidden(ledger, "marketing", "email")
    assert not _forbidden(ledger, "marketing", "sms")
    assert not _forbidden(ledger, "service", "email")
    assert not _forbidden(ledger, "marketing", "email", PHONE)


def test_the_last_wish_stands_even_at_the_same_moment(ledger: Ledger) -> None:
    ledger.wishes.add([_wish("DENIED")], "crm")
    ledger.wishes.add([_wish("GRANTED")], "crm")
    assert not _forbidden(ledger, "marketing", "email")
    ledger.wishes.add([_wish("REVOKED")], "crm")
    assert _forbidden(ledger, "marketing", "email")


def test_any_channel_covers_everything_and_a_later_grant_by_name_lifts_a_part(ledger: Ledger) -> None:
    ledger.wishes.add([_wish("DENIED", "marketing", "any")], "crm")
    assert _forbidden(ledger, "marketing", "post")
    ledger.wishes.add([_wish("GRANTED", "marketing", "email")], "crm")
    assert not _forbidden(ledger, "marketing", "email")
    assert _forbidden(ledger, "marketing", "sms")


@pytest.mark.parametrize(("use", "channel"), [("any", "any"), ("marketing", "any"), ("any", "email")])
def test_a_grant_that_does_not_name_the_use_and_channel_lifts_no_refusal_by_name(
    ledger: Ledger, use: str, channel: str
) -> None:
    ledger.wishes.add([_wish("DENIED")], "crm")
    ledger.wishes.add([_wish("GRANTED", use, channel)], "crm")
    assert _forbidden(ledger, "marketing", "email")


def test_a_refusal_of_every_use_is_lifted_by_its_own_words_alone(ledger: Ledger) -> None:
    ledger.wishes.add([_wish("DENIED", "any", "any")], "crm")
    ledger.wishes.add([_wish("GRANTED", "marketing", "email")], "crm")
    assert _forbidden(ledger, "marketing", "email") and _forbidden(ledger, "service", "post")
    ledger.wishes.add([_wish("GRANTED", "any", "any")], "crm")
    assert not _forbidden(ledger, "marketing", "email")


def test_the_strictest_subject_of_a_person_wins(ledger: Ledger) -> None:
    ledger.wishes.add([_wish("GRANTED"), _wish("DENIED", subject=PHONE)], "crm")
    assert _forbidden(ledger, "marketing", "email", ANNA, PHONE)
    assert ledger.wishes.standing().golden_ids(PHONE) == ledger.wishes.standing().golden_ids(ANNA) == {"g1"}


def test_the_revision_moves_with_every_wish(ledger: Ledger) -> None:
    assert ledger.wishes.revision() == ledger.wishes.standing().revision == 0
    ledger.wishes.add([_wish("DENIED")], "crm")
    assert ledger.wishes.revision() == ledger.wishes.standing().revision == 1


SAID = st.lists(
    st.builds(
        lambda subject, use, channel, state, about: Wish(*subject, use, channel, state, about),
        st.sampled_from([ANNA, PHONE]),
        st.sampled_from(["marketing", "any"]),
        st.sampled_from(["email", "any"]),
        st.sampled_from(["GRANTED", "DENIED", "REVOKED"]),
        st.sampled_from([("g1",), ("g2", "g1"), ()]),
    ),
    max_size=4,
)


@given(st.lists(SAID, max_size=4))
@settings(max_examples=25, deadline=None)
def test_what_came_since_laid_over_what_was_known_is_the_whole_book(parts: list[list[Wish]]) -> None:
    with TemporaryDirectory() as folder, Ledger.open(f"sqlite:///{folder}/l.db", FixedClock(NOW)) as ledger:
        known = ledger.wishes.standing()
        for part in parts:
            ledger.wishes.add(part, "crm")
            later, whole = ledger.wishes.after(known), ledger.wishes.standing()
            assert later is not None
            assert list(later.by_subject.items()) == list(whole.by_subject.items())
            assert (later.revision, later.recorded, later.last) == (whole.revision, whole.recorded, whole.last)
            known = later


def test_a_book_that_was_rewritten_is_read_anew(ledger: Ledger) -> None:
    ledger.wishes.add([_wish("DENIED"), _wish("DENIED", subject=PHONE)], "crm")
    known = ledger.wishes.standing()
    with ledger.access.write() as connection:  # as a ledger that is rebuilt: another wish under the same number
        connection.execute(text("UPDATE wishes SET state = 'GRANTED' WHERE id = 2"))
    assert ledger.wishes.after(known) is None
    known = ledger.wishes.standing()
    with ledger.access.write() as connection:
        connection.execute(text("DELETE FROM wishes WHERE id = 1"))
    ledger.wishes.add([_wish("GRANTED")], "crm")
    assert ledger.wishes.after(known) is None
    known = ledger.wishes.standing()
    with ledger.access.write() as connection:
        connection.execute(text("DELETE FROM wishes"))
    assert ledger.wishes.after(known) is None


@pytest.mark.needs_postgres
def test_of_two_open_transactions_neither_wish_is_missed(postgres: str) -> None:
    """The second writer waits for the first: its wish is not seen before one that has the smaller number."""
    admin = create_engine(postgres, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS two_writers"))
        connection.execute(text("CREATE DATABASE two_writers"))
    admin.dispose()
    url = postgres.rsplit("/", 1)[0] + "/two_writers"
    with Ledger.open(url, FixedClock(NOW)) as one, Ledger.open(url, FixedClock(NOW)) as two:
        known = two.wishes.standing()
        with one.transaction() as books:
            books.wishes.add([_wish("DENIED")], "first")
            second = threading.Thread(target=two.wishes.add, args=([_wish("DENIED", subject=PHONE)], "second"))
            second.start()
            second.join(1)
            assert second.is_alive()  # it would have been done, and been read, before the first one is there
            assert two.wishes.revision() == known.revision
        second.join(30)
        assert not second.is_alive()
        later = two.wishes.after(known)
        assert later is not None and set(later.by_subject) == {ANNA, PHONE}
        assert [w.actor for w in two.wishes.listed()] == ["first", "second"]
        # Whoever writes past the ledger may be seen late: whoever reads on notices the next time.
        engine = create_engine(url)
        with engine.connect() as late:
            late.execute(text("SELECT nextval(pg_get_serial_sequence('wishes', 'id'))"))
            two.wishes.add([_wish("GRANTED", subject=PHONE)], "third")
            known = two.wishes.after(later)
            assert known is not None
            columns = "subject_kind, subject_hash, data_use, channel, golden_ids, evidence, actor"
            copied = f"SELECT 3, at, 'REVOKED', {columns} FROM wishes WHERE id = 1"
            late.execute(text(f"INSERT INTO wishes (id, at, state, {columns}) {copied}"))
            late.commit()
        engine.dispose()
        two.wishes.add([_wish("DENIED", subject=PHONE)], "fourth")
        assert two.wishes.after(known) is None


def test_wishes_become_consents_of_the_records_that_carry_the_subject(ledger: Ledger, tmp_path: Path) -> None:
    records = pl.DataFrame(
        {
            "record_key": ["crm:1", "shop:2"],
            "email": ["anna@example.org", None],
            "phone": [None, "+4930123456"],
            "external_ids": [[], [{"scheme": "loyalty_card", "value": "77"}]],
        }
    )
    nothing = consents_of(ledger.wishes, records, HASHED)
    assert nothing.height == 0 and "subject" in nothing.columns
    card = ("loyalty_card", HASHED.of("loyalty_card", "77"))
    stranger = ("email", HASHED.of("email", "other@example.org"))
    ledger.wishes.add([_wish("DENIED"), _wish("GRANTED", subject=card), _wish("DENIED", subject=stranger)], "crm")
    ledger.wishes.add([_wish("GRANTED")], "crm")
    found = consents_of(ledger.wishes, records, HASHED).sort("subject")
    assert found["subject"].to_list() == ["77", "anna@example.org"]
    assert found["state"].to_list() == ["GRANTED", "GRANTED"]
    for file in tmp_path.iterdir():
        assert b"anna@example.org" not in file.read_bytes()


def test_the_secret_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "home" / "secret"
    made = KeyedHash.at(path)
    assert KeyedHash.at(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert made.of("email", "a") != made.of("phone", "a") != HASHED.of("phone", "a")
    assert repr(made) == "KeyedHash()"
    path.write_text("not a secret")
    with pytest.raises(BadInput, match="64 hexadecimal"):
        KeyedHash.at(path)
