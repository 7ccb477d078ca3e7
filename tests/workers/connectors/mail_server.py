"""A real Dovecot with one mailbox, for the tests of mail folders; loaded by path."""

from __future__ import annotations

import imaplib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

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
    folder: Path

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

    def expunge(self, mails: str) -> None:
        """Delete mails for good; a set of their places in the folder, such as `1,3:5`."""
        with imaplib.IMAP4("127.0.0.1", self.port) as server:
            server.login("ann", PASSWORD)
            server.select("INBOX")
            server.store(mails, "+FLAGS", "\\Deleted")
            server.expunge()

    def fill(self, first: int, last: int) -> None:
        """Lay mails into the folder as the server itself would: quicker than sending thousands."""
        there = self.folder / "cur"
        for n in range(first, last):
            mail = EmailMessage()
            mail["Subject"], mail["From"], mail["Message-ID"] = f"s{n}", "b@example.org", f"<{n}@x>"
            mail.set_content("Hello " * 50)
            file = there / f"{1_500_000_000 + n}.M{n}P1.onefold:2,"
            file.write_bytes(mail.as_bytes())
            if os.getuid() == 0:
                shutil.copystat(there, file)
                os.chown(file, there.stat().st_uid, there.stat().st_gid)

    def seen(self) -> int:
        """How many mails are marked as seen."""
        with imaplib.IMAP4("127.0.0.1", self.port) as server:
            server.login("ann", PASSWORD)
            server.select("INBOX", readonly=True)
            return len((server.search(None, "SEEN")[1][0] or b"").split())


@contextmanager
def serving(port: int) -> Iterator[Mailbox]:
    """The server, answering on the loopback address."""
    folder = Path(tempfile.mkdtemp(prefix="onefold-mail-"))
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
        yield Mailbox(f"imap://127.0.0.1:{port}", port, folder / "mail" / "ann")
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)
