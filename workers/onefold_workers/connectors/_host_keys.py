"""Which SFTP server is trusted: the one whose key the contract names, else one in this account's known hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import paramiko


class UnknownHostKeyError(paramiko.SSHException):
    """The server is not who it was, or nobody knows who it is."""


class KnownKey(paramiko.MissingHostKeyPolicy):
    """Accepts one key, written as in known_hosts (`ssh-ed25519 AAAA…`); without one, the account's known hosts."""

    def __init__(self, expected: str | None) -> None:
        self._expected = expected.split()[:2] if expected else None

    def missing_host_key(self, _client: Any, hostname: str, key: Any) -> None:
        """Accept or refuse.

        Raises:
            UnknownHostKeyError: the key is another one, or unknown.
        """
        if self._expected is not None:
            known = self._expected == [key.get_name(), key.get_base64()]
        else:
            file = Path("~/.ssh/known_hosts").expanduser()
            known = file.is_file() and paramiko.HostKeys(str(file)).check(hostname, key)
        if not known:
            raise UnknownHostKeyError("the server's key is not the known one")
