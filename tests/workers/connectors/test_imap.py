"""IMAP with a real Dovecot: first load, nothing new, something new, a folder numbered anew, a mail that is none."""

from __future__ import annotations

import imaplib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import orjson
import pytest

from onefold_storage import contracts
from onefold_storage.errors import BadInput, OnefoldError, Unavailable
from onefold_storage.installation import Installation
from onefold_storage.settings import StorageSettings
from onefold_workers import connectors
from onefold_workers.connectors._mail import COLUMNS
from onefold_workers.stages.landing import Landed, land_source

pytestmark = pytest.mark.needs_dovecot
PASSWORD = "s3cret-of-the-mailbox"
CONF = """
protocols = imap
listen = 127.0.0.1
base_dir = {folder}/run
log_path = {folder}/log
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{folder}/mail/%u
default_login_user = {user}
default_internal_user = {user}
default_internal_group = {group}
first_valid_uid = 1
first_valid_gid = 1
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
"""


@dataclass
class Mailbox:
    """A server of its own with one mailbox."""

    url: str
    port: int

    def put(self, *subjects: str, raw: bytes | None = None) -> None:
        """Put mails into the folder."""
        with imaplib.IMAP4("127.0.0.1", self.port) as server:
            server.login("ann", PASSWORD)
            for subject in subjects:
                mail = EmailMessage()
                mail["Subject"], mail["From"], mail["Message-ID"] = subject, "b@example.org", f"<{subject}@x>"
                mail.set_content("Hello")
                server.append("INBOX", "", "", mail.as_bytes())
            if raw is not None:
                server.append("INBOX", "", "", raw)

    def seen(self) -> int:
        """How many mails are marked as seen."""
        with imaplib.IMAP4("127.0.0.1", self.port) as server:
            server.login("ann", PASSWORD)
            server.select("INBOX", readonly=True)
            return len((server.search(None, "SEEN")[1][0] or b"").split())


@pytest.fixture
def mail(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Mailbox]:
    folder, port = Path(tempfile.mkdtemp(prefix="onefold-mail-")), free_port()
    (folder / "mail" / "ann").mkdir(parents=True)
    user = "nobody" if os.getuid() == 0 else str(os.getuid())
    group = "nogroup" if os.getuid() == 0 else str(os.getgid())
    conf = folder / "dovecot.conf"
    conf.write_text(CONF.format(folder=folder, user=user, group=group, password=PASSWORD, port=port))
    if os.getuid() == 0:
        for path in (folder, folder / "mail", folder / "mail" / "ann"):
            shutil.chown(path, user, group)
    program = shutil.which("dovecot", path=os.environ["PATH"] + ":/usr/sbin")
    process = subprocess.Popen([str(program), "-F", "-c", str(conf)], stderr=subprocess.PIPE)
    try:
        for _ in range(200):
            try:
                imaplib.IMAP4("127.0.0.1", port).logout()
                break
            except (OSError, imaplib.IMAP4.error):
                assert process.poll() is None, process.stderr and process.stderr.read()
                time.sleep(0.05)
        yield Mailbox(f"imap://127.0.0.1:{port}", port)
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_TEST_PASSWORD", PASSWORD)


def _contract(url: str, delivery: str = "changes", **options: Any) -> contracts.Contract:
    properties = [{"name": n, "logicalType": "string", "primaryKey": n == "sha256"} for n in COLUMNS]
    given = {"username": "ann", "password": "${MAIL_TEST_PASSWORD}", **options}
    rules = {"connector": "imap", "location": url, "options": given, "delivery": delivery}
    document = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "mails", "version": "1.0.0", "status": "active",
        "schema": [{"name": "mails", "properties": properties}],
        "customProperties": [
            {"property": "onefold", "value": {**rules, "lawful_basis": "contract", "data_use": ["service"]}}
        ],
    }  # fmt: skip
    return contracts.parse(orjson.dumps(document).decode(), "mails.yaml")


def _land(there: Path, url: str, **options: Any) -> Landed:
    settings = StorageSettings(home=there / "home", now=datetime(2018, 2, 1, tzinfo=UTC))
    return land_source(settings, _contract(url, **options), there)


def _counts(landed: Landed) -> list[tuple[int, int, int]]:
    assert landed.errors == ()
    return [(p.landed, p.failed, p.repeated) for p in landed.packages]


def test_new_mails_land_once(mail: Mailbox, tmp_path: Path) -> None:
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


def test_a_folder_numbered_anew_lands_nothing_twice(mail: Mailbox, tmp_path: Path) -> None:
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
    mail: Mailbox, tmp_path: Path, url: str | None, options: Any, kind: type[OnefoldError], said: str
) -> None:
    with pytest.raises(kind, match=said) as caught:
        list(connectors.deliveries(_contract(url or mail.url, **options), tmp_path))
    assert "written-out" not in str(caught.value)


def test_a_wrong_password_is_told(mail: Mailbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_TEST_PASSWORD", "wrong-one")
    with pytest.raises(BadInput, match="refuses us") as caught:
        list(connectors.deliveries(_contract(mail.url), tmp_path))
    assert "wrong-one" not in str(caught.value)


def test_a_sample(mail: Mailbox, tmp_path: Path) -> None:
    mail.put("a")
    options = {"username": "ann", "password": "${MAIL_TEST_PASSWORD}"}
    table, name, _ = connectors.sample(mail.url, tmp_path, options=options)
    assert (name, table.column("subject").to_pylist()) == ("imap", ["a"])


def test_attachments_land_as_documents(mail: Mailbox, tmp_path: Path, make: Any) -> None:
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
