"""Mailboxes: thousands of mails, odd headers and charsets, broken MIME; every mail is accounted for."""

from __future__ import annotations

import json
import mailbox
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onefold_storage.documents import key_of
from onefold_storage.errors import BadInput
from onefold_workers import connectors
from onefold_workers.connectors import _mail


def _mail_of(n: int, text: str = "Hello") -> EmailMessage:
    mail = EmailMessage()
    mail["Message-ID"] = f"<{n}@example.org>"
    mail["Date"] = "Mon, 01 Jan 2018 10:00:00 +0100"
    mail["From"] = "Zoë Müller <zoe@example.org>"
    mail["To"] = "a@example.org, B <b@example.org>"
    mail["Subject"] = f"Grüße {n}"
    mail.set_content(f"{text}\nFrom here on\n")
    return mail


def test_a_mailbox_of_some_thousand(tmp_path: Path, read_all: Callable[..., Any]) -> None:
    box = mailbox.mbox(str(tmp_path / "in.mbox"))
    for n in range(2000):
        mail = _mail_of(n)
        if n == 7:
            mail.add_attachment(
                b"%PDF-1.4 ...", maintype="application", subtype="pdf", filename="Rechnung Nr. ü.pdf"
            )
        box.add(mail)
    box.flush()
    (found,) = read_all("in.mbox")
    rows = found.values
    assert [r["message_id"] for r in rows] == [f"<{n}@example.org>" for n in range(2000)]
    assert rows[3]["from_name"] == "Zoë Müller"
    assert rows[3]["from_address"] == "zoe@example.org"
    assert rows[3]["sent_at"] == "2018-01-01T09:00:00+00:00"
    assert rows[3]["subject"] == "Grüße 3"
    assert json.loads(rows[3]["to_addresses"]) == ["a@example.org", "b@example.org"]
    assert rows[3]["text"] == "Hello\nFrom here on"
    (attached,) = json.loads(rows[7]["attachments"])
    assert (attached["name"], attached["media_type"], attached["bytes"]) == (
        "Rechnung Nr. ü.pdf",
        "application/pdf",
        12,
    )


def test_attachments_are_documents(tmp_path: Path, contract: Callable[..., Any], make: Any) -> None:
    box = mailbox.mbox(str(tmp_path / "in.mbox"))
    sent = {"Rechnung ü.pdf": make.pdf(), "shop.jpg": make.photo(), "empty.txt": b""}
    for n in range(3):
        mail = _mail_of(n)
        if n == 1:
            mail.add_attachment(
                sent["Rechnung ü.pdf"], maintype="application", subtype="pdf", filename="Rechnung ü.pdf"
            )
            mail.add_attachment(sent["shop.jpg"], maintype="image", subtype="jpeg", filename="shop.jpg")
            mail.add_attachment(b"", maintype="text", subtype="plain", filename="empty.txt")
            mail.add_attachment(_mail_of(9))
        box.add(mail)
    box.flush()
    with (tmp_path / "in.mbox").open("ab") as file:
        file.write(b"\nFrom x\nno header\n\n")
    (delivery,) = connectors.deliveries(contract("in.mbox", attachments=True), tmp_path)
    batches = list(delivery.batches)
    rows = [r for b in batches for r in b.rows.to_pylist()]
    assert [r["name"] for r in rows] == ["Rechnung ü.pdf", "shop.jpg", None]
    assert {(r["message_id"], r["from_address"]) for r in rows} == {("<1@example.org>", "zoe@example.org")}
    assert (rows[0]["kind"], rows[0]["pages"], rows[0]["text"]) == ("pdf", "2", "Invoice 4711 for Ann\n\nThank you")
    assert (rows[1]["media_type"], rows[1]["device"]) == ("image/jpeg", "Canon EOS 80D")
    assert (rows[2]["kind"], rows[2]["title"], rows[2]["author"]) == ("mail", "Grüße 9", "zoe@example.org")
    documents = [d for b in batches for d in b.documents]
    assert [(d.row_id, key_of(d.sha256)) for d in documents] == [(n, r["object"]) for n, r in enumerate(rows)]
    for document, name in zip(documents, ("Rechnung ü.pdf", "shop.jpg"), strict=False):
        with document.read() as opened:
            data = opened.read()
        assert (data, len(data)) == (sent[name], document.size)
    assert [(b.row_id, b.rule) for batch in batches for b in batch.bad] == [(3, "mail")]


ODD = [
    b"From x\nSubject: =?utf-99?q?x?=\nDate: nonsense\nFrom: <<@@>>\n\nbody\n",
    b"From x\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain; charset=klingon\n\nx\n",
    b"From x\nContent-Transfer-Encoding: base64\nSubject: a\n\n!!!!\xff\xfe\n",
    b"From x\nSubject: \xff\xfe\nContent-Type: text/plain; charset=utf-16\n\n\xff\n",
]


def test_broken_mails_give_what_can_be_read(read_bytes: Callable[..., Any]) -> None:
    data = b"\n".join(ODD) + b"\nFrom y\n\nno header at all\n\n" + b"From z\n" + _mail_of(1).as_bytes()
    found = read_bytes(data, "odd.mbox")
    assert len(found.rows) + len(found.bad) == 6
    assert found.rules == {4: "mail"}
    assert found.values[0]["sent_at"] is None
    assert found.values[-1]["message_id"] == "<1@example.org>"


def test_a_mail_that_is_too_large_costs_only_itself(read_bytes: Callable[..., Any]) -> None:
    large = b"From x\nSubject: large\n\n" + b"y" * 200_000 + b"\n\n"
    found = read_bytes(large + b"From z\n" + _mail_of(2).as_bytes(), "in.mbox", max_bytes=100_000)
    assert found.rules == {0: "too_long"}
    assert [r["subject"] for r in found.values] == ["Grüße 2"]


@pytest.mark.parametrize(("data", "said"), [(b"", "is empty"), (b"id,name\n1,A\n", "is no mailbox")])
def test_what_is_no_mailbox(read_bytes: Callable[..., Any], data: bytes, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        read_bytes(data, "in.mbox")


@settings(max_examples=60)
@given(st.binary(max_size=400))
def test_no_bytes_bring_it_down(data: bytes) -> None:
    try:
        row = _mail.row(b"Subject: x\n" + data)
    except ValueError:
        return
    assert set(row) == set(_mail.COLUMNS)
    for value in row.values():
        assert value is None or value.encode()
