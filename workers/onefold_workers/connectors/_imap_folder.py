"""A mail folder that is open to be read: which mails it holds, and their bytes, many at once."""

from __future__ import annotations

import imaplib
import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from onefold_storage.errors import BadInput, Unavailable
from onefold_workers.connectors._locations import Location, secret
from onefold_workers.connectors._paced import Paces

if TYPE_CHECKING:
    from onefold_workers.connectors.imap import ImapOptions

_TIMEOUT_S = 60
_LISTED = 50_000
"""Mails that one search looks at: its answer is one line, which has a bound."""
_SIZED = 500
_AT_ONCE = 4 << 20
"""Bytes of mails that one request asks for; a larger one comes by itself."""
_START = re.compile(rb"\d+ \(")
_UID = re.compile(rb"\bUID (\d+)")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d+)")


class Folder:
    """An open folder. `validity`: changes when its mails are numbered anew."""

    def __init__(self, server: imaplib.IMAP4, options: ImapOptions, shown: str, mails: int) -> None:
        self._server, self._options, self._shown, self._mails = server, options, shown, mails
        self._pace = Paces(options)
        self.validity = int(server.response("UIDVALIDITY")[1][0] or 0)

    @classmethod
    @contextmanager
    def open(cls, location: Location, options: ImapOptions, where: str) -> Iterator[Self]:
        """Sign in and look into the folder; nothing is marked as seen.

        Raises:
            BadInput: the server refuses us, or has no such folder. Unavailable: it does not answer.
        """
        server, shown = _connected(location, options, where)
        password = secret(options.password, f"{where}: onefold.options.password").value
        try:
            with _heard(shown):
                try:
                    server.login(options.username, password)
                except imaplib.IMAP4.error:
                    raise BadInput(f"{shown}: refuses us; check `username` and `password`") from None
                quoted = '"' + options.folder.replace("\\", "\\\\").replace('"', '\\"') + '"'
                answer, mails = server.select(quoted, readonly=True)
                if answer != "OK":
                    raise BadInput(f"{shown}: no folder {options.folder!r}")
                yield cls(server, options, shown, int(mails[0] or 0))
        finally:
            try:
                server.logout()
            except (OSError, imaplib.IMAP4.error):
                server.shutdown()

    def numbers(self, after: int = 0) -> list[int]:
        """The numbers of the mails there, of those beyond `after`."""
        found: list[int] = []
        for at in range(1, self._mails + 1, _LISTED):
            window = f"{at}:{min(at + _LISTED - 1, self._mails)}"
            self._pace.requests.wait()
            said, answer = self._server.uid("SEARCH", f"{window} UID {after + 1}:*")
            if said != "OK":
                raise Unavailable(f"{self._shown}: does not tell which mails it has")
            found += map(int, (answer[0] or b"").split())
        return sorted(n for n in found if n > after)  # `*` is the last one, whatever its number

    def mails(self, numbers: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """Number and bytes of each mail that is still there, the first `max_mail_bytes` and one byte of each.

        A mail that is there and cannot be had is empty.

        Raises:
            BadInput, Unavailable: as `open`.
        """
        most = self._options.max_mail_bytes + 1
        with _heard(self._shown):
            for at in range(0, len(numbers), _SIZED):
                some = numbers[at : at + _SIZED]
                for group in _groups(self._sizes(some, most), self._pace.bytes.piece(_AT_ONCE)):
                    yield from self._bodies(group, most)

    def _sizes(self, numbers: Sequence[int], most: int) -> dict[int, int]:
        """Bytes of each mail that is still there, at most `most`.

        Raises:
            Unavailable: the server says nothing of a mail that is there; it would be taken for one that has gone.
        """
        told = {n: _SIZE.search(text) for n, (text, _) in self._fetch(numbers, "RFC822.SIZE").items()}
        sizes = {n: min(most, int(size[1])) for n in numbers if (size := told.get(n))}
        if gone := [n for n in numbers if n not in sizes]:
            self._server.noop()
            self._pace.requests.wait()
            answer, found = self._server.uid("SEARCH", f"UID {_ranges(gone)}")
            if answer != "OK" or (found[0] or b"").split():
                raise Unavailable(f"{self._shown}: does not tell the sizes of mails that it has")
        return sizes

    def _bodies(self, group: list[int], most: int) -> Iterator[tuple[int, bytes]]:
        found = self._fetch(group, f"BODY.PEEK[]<0.{most}>")
        bodies = {n: body for n, (_, body) in found.items() if body is not None}
        self._pace.bytes.wait(sum(map(len, bodies.values())))
        for number in group:
            if number in bodies:
                yield number, bodies[number]
            elif len(group) > 1:  # one of them may have stopped the others
                yield from self._bodies([number], most)
            elif self._sizes([number], most):
                yield number, b""

    def _fetch(self, numbers: Sequence[int], what: str) -> dict[int, tuple[bytes, bytes | None]]:
        """What the server says of each mail, and the bytes it sends with that."""
        self._pace.requests.wait()
        _, answer = self._server.uid("FETCH", _ranges(numbers), f"(UID {what})")
        return _told(answer)


@contextmanager
def _heard(shown: str) -> Iterator[None]:
    """What the library says of the connection and of answers, as errors that name the server."""
    try:
        yield
    except (OSError, imaplib.IMAP4.abort) as error:
        raise Unavailable(f"{shown}: the connection broke ({type(error).__name__})") from None
    except imaplib.IMAP4.error as error:
        raise BadInput(f"{shown}: answered what cannot be read ({type(error).__name__})") from None


def _connected(location: Location, options: ImapOptions, where: str) -> tuple[imaplib.IMAP4, str]:
    url = urlsplit(location.value)
    shown = f"{url.hostname}{f':{url.port}' if url.port else ''}"
    if url.scheme == "imap" and url.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise BadInput(f"{where}: imap:// sends the password in the open; use imaps://")
    try:
        if url.scheme == "imap":
            return imaplib.IMAP4(str(url.hostname), url.port or 143, timeout=_TIMEOUT_S), shown
        trusted = ssl.create_default_context(cafile=options.ca_file)
        return imaplib.IMAP4_SSL(str(url.hostname), url.port or 993, timeout=_TIMEOUT_S, ssl_context=trusted), shown
    except ssl.SSLError as error:
        raise BadInput(
            f"{shown}: the server's certificate is not trusted ({error.reason}); see `ca_file`"
        ) from None
    except (OSError, imaplib.IMAP4.error) as error:
        raise Unavailable(f"{shown}: the mail server does not answer ({type(error).__name__})") from None


def _groups(sizes: dict[int, int], most: int) -> Iterator[list[int]]:
    """The numbers in order, in groups of at most so many bytes or of one mail."""
    group: list[int] = []
    held = 0
    for number, size in sizes.items():
        if group and held + size > most:
            yield group
            group, held = [], 0
        group.append(number)
        held += size
    if group:
        yield group


def _ranges(numbers: Sequence[int]) -> str:
    """The numbers, ascending, as IMAP writes a set of them."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(str(a) if a == b else f"{a}:{b}" for a, b in found)


def _told(answer: Sequence[Any]) -> dict[int, tuple[bytes, bytes | None]]:
    """By number the text in an answer about a mail, and the literal in it; what is told twice is joined."""
    parts: list[tuple[bytes, bytes | None]] = []
    for item in answer:
        text, body = item if isinstance(item, tuple) else (item or b"", None)
        if _START.match(text) or not parts:
            parts.append((text, body))
        else:
            parts[-1] = (parts[-1][0] + b" " + text, parts[-1][1] if body is None else body)
    found: dict[int, tuple[bytes, bytes | None]] = {}
    for text, body in parts:
        if number := _UID.search(text):
            before, known = found.get(int(number[1]), (b"", None))
            found[int(number[1])] = (before + text, known if body is None else body)
    return found
