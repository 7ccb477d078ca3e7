"""Where a system that the demo starts is found, and its secret: files that contracts name as `${file:…}`."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

HOST = "127.0.0.1"
_FILE = "address"


def remembered_port(folder: Path) -> int:
    """The port of the last time where it is free, else another free one."""
    try:
        port = int((folder / _FILE).read_text().rpartition(":")[2])
    except (FileNotFoundError, ValueError):
        port = 0
    for wanted in (port, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, wanted))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return 0


def remember(folder: Path, port: int) -> str:
    """Write down where it is; gives host and port."""
    folder.mkdir(parents=True, exist_ok=True)
    address = f"{HOST}:{port}"
    (folder / _FILE).write_text(address)
    return address


def named_secret(file: Path) -> str:
    """The secret that a file of ours holds; made at the first time, for its owner alone to read."""
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(24))
    return file.read_text().strip()
