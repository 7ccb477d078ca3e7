"""IMAP with a real Dovecot: first load, nothing new, something new, a folder numbered anew, a mail that is none."""

from __future__ import annotations

import imaplib
import multiprocessing
import os
import runpy
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from onefold_storage import contracts
from onefold_storage.errors import BadContract, BadInput, OnefoldError, Unavailable
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_workers import connectors
from onefold_workers.connectors import _imap_folder
from onefold_workers.connectors._mail import COLUMNS
from onefold_workers.stages.landing import Landed, land_source

pytestmark = pytest.mark.needs_dovecot
PROGRAM = str(Path(__file__).with_name("land_once_program.py"))
_context = multiprocessing.get_context("forkserver")
_server = runpy.run_path(str(Path(__file__).with_name("mail_server.py")))
PASSWORD = _server["PASSWORD"]


@pytest.fixture
def mail(free_port: Callable[[], int]) -> Iterator[Any]:
    with _server["serving"](free_port()) as mailbox:
        yield mailbox


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_TEST_PASSWORD", PASSWORD)


def _contract(url: str, delivery: str = "changes", **options: Any) -> contracts.Contract:
    return contracts.parse(orjson.dumps(_document(url, delivery, **options)).decode(), "mails.yaml")


def _document(
    url: str, delivery: str = "changes", columns: tuple[str, ...] = COLUMNS, **options: Any
) -> dict[str, Any]:
    properties = [{"name": n, "logicalType": "string", "primaryKey": n == "sha256"} for n in columns]
    given = {"username": "ann", "password": "${MAIL_TEST_PASSWORD}", **options}
    rules = {"connector": "imap", "location": url, "options": given, "delivery": delivery}
    return {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "mails", "version": "1.0.0", "status": "active",
        "schema": [{"name": "mails", "properties": properties}],
        "customProperties": [
            {"property": "onefold", "value": {**rules, "lawful_basis": "contract", "data_use": ["service"]}}
        ],
    }  # fmt: skip


def _land(there: Path, url: str, delivery: str = "changes", **options: Any) -> Landed:
    return land_source(_settings(there), _contract(url, delivery, **options), there)


def _settings(there: Path) -> StorageSettings:
    return StorageSettings(home=there / "home", now=datetime(2018, 2, 1, tzinfo=UTC))


def _counts(landed: Landed) -> list[tuple[int, int, int]]:
    assert landed.errors == ()
    return [(p.landed, p.failed, p.repeated) for p in landed.packages]


def test_new_mails_land_once(mail: Any, tmp_path: Path) -> None:
    assert _land(tmp_path, mail.url) == Landed("mails")
    mail.put(*(f"s{n}" for n in range(7)))
    assert _counts(_land(tmp_path, mail.url, mails=3)) == [(3, 0, 0), (3, 0, 0), (1, 0, 0)]
    assert _land(tmp_path, mail.url) == Landed("mails")
    mail.put("s7", raw=b"Subject: large\r\n\r\n" + b"x" * 5000)
    mail.put("s8")
    assert _counts(_land(tmp_path, mail.url, max_mail_bytes=2000)) == [(2, 1, 0)]
    lake = Installation(StorageSettings(home=tmp_path / "home")).lake
    assert sorted(lake.scan("bronze/mails").collect()["subject"]) == [f"s{n}" for n in range(9)]
    assert mail.seen() == 0


def test_a_folder_numbered_anew_lands_nothing_twice(mail: Any, tmp_path: Path) -> None:
    mail.put("a", "b")
    assert _counts(_land(tmp_path, mail.url)) == [(2, 0, 0)]
    with imaplib.IMAP4("127.0.0.1", mail.port) as server:
        server.login("ann", PASSWORD)
        server.create("OTHER")
        server.select("INBOX")
        server.copy("1:2", "OTHER")
    assert _counts(_land(tmp_path, mail.url, folder="OTHER")) == [(0, 0, 2)]
    (said,) = _land(tmp_path, mail.url, delivery="append").errors
    assert "numbered its mails anew" in said


def test_a_mailbox_that_is_told_whole_tells_what_was_deleted(mail: Any, tmp_path: Path) -> None:
    """Delivery `snapshot`: first load, nothing new, something new, deleted mails, all of them, and some that come back."""
    assert _counts(_land(tmp_path, mail.url, "snapshot", mails=2)) == [(0, 0, 0)]
    mail.put(*(f"s{n}" for n in range(7)))
    assert _counts(_land(tmp_path, mail.url, "snapshot", mails=2)) == [(7, 0, 0)]
    assert _standing(tmp_path, mail.url) == [0] * 7
    mail.put("s7", "s8")
    assert _counts(_land(tmp_path, mail.url, "snapshot")) == [(2, 0, 7)]
    mail.expunge("2,5:6")
    assert _counts(_land(tmp_path, mail.url, "snapshot")) == [(0, 0, 6)]
    assert _deleted(tmp_path) == ["s1", "s4", "s5"]
    assert _standing(tmp_path, mail.url) == [0] * 6
    mail.expunge("1:*")
    (held,) = _land(tmp_path, mail.url, "snapshot").errors
    assert "has no rows, and 6 stand: nothing was deleted" in held
    meant = _document(mail.url, "snapshot")
    meant["customProperties"][0]["value"]["may_be_empty"] = True
    contract = contracts.parse(orjson.dumps(meant).decode(), "mails.yaml")
    assert _counts(land_source(_settings(tmp_path), contract, tmp_path)) == [(0, 0, 0)]
    assert len(_deleted(tmp_path)) == 9
    mail.put("s1")
    assert [p[0] for p in _counts(_land(tmp_path, mail.url, "snapshot"))] == [1]
    assert len(_bronze(tmp_path).filter(~pl.col("_deleted"))) == 10


def _standing(folder: Path, url: str) -> list[int]:
    """What a second reading of the same mailbox brings: for each mail nothing."""
    (package,) = _land(folder, url, "snapshot").packages
    assert (package.landed, package.failed) == (0, 0)
    return [0] * package.sent


def _bronze(folder: Path) -> pl.DataFrame:
    return Installation(StorageSettings(home=folder / "home")).lake.scan("bronze/mails").collect()


def _deleted(folder: Path) -> list[str]:
    return sorted(_bronze(folder).filter(pl.col("_deleted"))["subject"])


def test_without_a_snapshot_deleted_mails_stand(mail: Any, tmp_path: Path) -> None:
    mail.put("a", "b")
    assert _counts(_land(tmp_path, mail.url)) == [(2, 0, 0)]
    mail.expunge("1")
    assert _land(tmp_path, mail.url) == Landed("mails")
    mail.put("c")
    assert _counts(_land(tmp_path, mail.url)) == [(1, 0, 0)]
    assert sorted(_bronze(tmp_path)["subject"]) == ["a", "b", "c"]


def test_a_contract_that_follows_and_one_that_asks_for_what_mails_do_not_have(mail: Any, tmp_path: Path) -> None:
    """Mails have the columns that they have: what a contract does not name is kept aside, until it names it."""
    mail.put("a")
    few = ("sha256", "subject")
    assert _counts(_land(tmp_path, mail.url, columns=few)) == [(1, 0, 0)]
    mail.put("b")
    assert _counts(_land(tmp_path, mail.url, columns=(*few, "from_address"))) == [(1, 0, 0)]
    rows = _bronze(tmp_path).sort("subject")
    assert rows["from_address"].to_list() == [None, "b@example.org"]
    assert orjson.loads(rows["_extra"][0])["from_address"] == "b@example.org"
    mail.put("c")
    with pytest.raises(BadContract, match=r"mails have no column weather; they have message_id, sent_at"):
        next(connectors.deliveries(_contract(mail.url, columns=(*few, "weather")), tmp_path))
    (said,) = _land(tmp_path, mail.url, columns=(*few, "weather")).errors
    assert "no column weather" in said
    assert _counts(_land(tmp_path, mail.url, columns=few)) == [(1, 0, 0)], "and nothing was lost meanwhile"


def test_mails_that_go_while_they_are_read_are_passed_over(mail: Any, tmp_path: Path) -> None:
    mail.put(*(f"s{n}" for n in range(6)))
    found = connectors.deliveries(_contract(mail.url, mails=3), tmp_path)
    subjects = []
    for number, delivery in enumerate(found):
        if number == 1:
            mail.expunge("4,6")
        batches = list(delivery.batches)
        subjects += [s for b in batches for s in b.rows["subject"].to_pylist()]
        assert not any(b.bad for b in batches)
        assert delivery.landed
        delivery.landed()
    assert [s for s in subjects if s not in ("s3", "s5")] == ["s0", "s1", "s2", "s4"]


@pytest.mark.parametrize("delivery", ["changes", "snapshot"])
def test_a_mail_that_the_server_cannot_read_is_never_taken_for_one_that_has_gone(
    mail: Any, tmp_path: Path, delivery: str
) -> None:
    mail.put("s0")
    mail.fill(1, 6)
    assert _counts(_land(tmp_path, mail.url, delivery)) == [(6, 0, 0)]
    mail.fill(6, 9)
    closed = next((mail.folder / "cur").glob("1500000007*"))
    closed.chmod(0)
    held = _land(tmp_path, mail.url, delivery)
    assert ["the connection broke" in e for e in held.errors] == [True]
    landed = _bronze(tmp_path)
    assert not landed["_deleted"].any()
    closed.chmod(0o600)
    assert _counts(_land(tmp_path, mail.url, delivery))[0][0] == 3
    landed = _bronze(tmp_path)
    assert (landed.height, landed["subject"].n_unique(), landed["_deleted"].any()) == (9, 9, False)


@pytest.mark.parametrize(("listed", "sized", "at_once"), [(3, 4, 1), (5, 2, 1000), (1, 100, 300)])
def test_in_whatever_pieces_a_folder_is_asked_for(
    mail: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: int, sized: int, at_once: int
) -> None:
    for name, value in (("_LISTED", listed), ("_SIZED", sized), ("_AT_ONCE", at_once)):
        monkeypatch.setattr(_imap_folder, name, value)
    mail.put(*(f"s{n}" for n in range(9)), raw=b"Subject: large\r\n\r\n" + b"x" * 5000)
    mail.expunge("3,6")
    assert _counts(_land(tmp_path, mail.url)) == [(8, 0, 0)]
    assert sorted(_bronze(tmp_path)["subject"]) == ["large", "s0", "s1", "s3", "s4", "s6", "s7", "s8"]
    mail.put("s9")
    assert _counts(_land(tmp_path, mail.url)) == [(1, 0, 0)]


@pytest.mark.parametrize(
    ("url", "options", "kind", "said"),
    [
        (None, {"password": "written-out"}, BadInput, "is a secret"),
        (None, {"folder": 'no "such'}, BadInput, "no folder"),
        ("imap://mail.example.org", {}, BadInput, "sends the password in the open"),
        ("imap://127.0.0.1:9", {}, Unavailable, "does not answer"),
    ],
)
def test_what_is_wrong_is_told(
    mail: Any, tmp_path: Path, url: str | None, options: Any, kind: type[OnefoldError], said: str
) -> None:
    with pytest.raises(kind, match=said) as caught:
        list(connectors.deliveries(_contract(url or mail.url, **options), tmp_path))
    assert "written-out" not in str(caught.value)


def test_a_wrong_password_is_told(mail: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_TEST_PASSWORD", "wrong-one")
    with pytest.raises(BadInput, match="refuses us") as caught:
        list(connectors.deliveries(_contract(mail.url), tmp_path))
    assert "wrong-one" not in str(caught.value)


def test_a_sample(mail: Any, tmp_path: Path) -> None:
    mail.put("a")
    options = {"username": "ann", "password": "${MAIL_TEST_PASSWORD}"}
    table, name, _ = connectors.sample(mail.url, tmp_path, options=options)
    assert (name, table.column("subject").to_pylist()) == ("imap", ["a"])


@pytest.mark.slow
@pytest.mark.parametrize("delivery", ["changes", "snapshot"])
def test_thousands_of_mails_and_a_lander_killed_among_them(mail: Any, tmp_path: Path, delivery: str) -> None:
    mail.put("s0")  # the server makes its folders
    mail.fill(1, 3000)
    for wait in (0.3, 0.8):
        _killed(tmp_path, mail.url, delivery, wait)
    landed = [p.landed for p in _land(tmp_path, mail.url, delivery).packages]
    assert sum(landed) <= 3000
    mail.fill(3000, 3010)
    known = 3000 if delivery == "snapshot" else 0
    assert _counts(_land(tmp_path, mail.url, delivery)) == [(10, 0, known)]
    assert sum(p.landed for p in _land(tmp_path, mail.url, delivery).packages) == 0
    lake = Installation(StorageSettings(home=tmp_path / "home")).lake
    subjects = lake.scan("bronze/mails").collect()["subject"]
    assert (subjects.len(), subjects.n_unique()) == (3010, 3010)
    assert mail.seen() == 0


def _killed(folder: Path, url: str, delivery: str, wait: float) -> None:
    """Land in a process of its own, and kill it so many seconds after it began."""
    ready = folder / "ready"
    ready.unlink(missing_ok=True)
    text = orjson.dumps(_document(url, delivery)).decode()
    given = {
        "settings": {"home": folder / "home"}, "contract": text, "folder": str(folder), "ready": str(ready),
        "environment": {"MAIL_TEST_PASSWORD": PASSWORD, "ONEFOLD_HOME": os.environ["ONEFOLD_HOME"]},
    }  # fmt: skip
    process = _context.Process(target=runpy.run_path, args=(PROGRAM,), kwargs={"init_globals": {"given": given}})
    process.start()
    ends = time.monotonic() + 60
    while not ready.exists() and time.monotonic() < ends:
        time.sleep(0.01)
    time.sleep(wait)
    process.kill()
    process.join()


def test_attachments_land_as_documents(mail: Any, tmp_path: Path, make: Any) -> None:
    message = EmailMessage()
    message["Subject"], message["From"], message["Message-ID"] = "An invoice", "b@example.org", "<1@x>"
    message.set_content("Hello")
    message.add_attachment(make.pdf(), maintype="application", subtype="pdf", filename="invoice.pdf")
    mail.put("nothing attached", raw=message.as_bytes())
    assert _counts(_land(tmp_path, mail.url, attachments=True)) == [(1, 0, 0)]
    mail.put("nothing again")
    assert _counts(_land(tmp_path, mail.url, attachments=True)) == [(0, 0, 0)]
    assert _land(tmp_path, mail.url, attachments=True) == Landed("mails")
    lake = Installation(StorageSettings(home=tmp_path / "home")).lake
    (row,) = lake.scan("bronze/mails").collect().to_dicts()
    assert (row["from_address"], row["text"]) == ("b@example.org", "Invoice 4711 for Ann\n\nThank you")
    assert lake.objects.get(orjson.loads(row["_extra"])["object"]) == make.pdf()
