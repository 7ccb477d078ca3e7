"""An MQTT broker of the demo's own, where this machine has mosquitto: on the loopback address, with a password.

It keeps what it holds over a restart, and is found again by the next demo where one was killed.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onefold.demo.doorplate import HOST, named_secret, remember, remembered_port
from onefold_flows.background import Background
from onefold_flows.settings import child_environment
from onefold_storage.errors import Unavailable

USER = "scanners"
_NAME = "broker"
_ANSWER_S = 15.0


def programs() -> tuple[str, str] | None:
    """The broker and the program that hashes its passwords; None where this machine lacks one."""
    found = [
        shutil.which(n) or shutil.which(n, path="/usr/sbin:/usr/local/sbin")
        for n in ("mosquitto", "mosquitto_passwd")
    ]
    return (found[0], found[1]) if found[0] and found[1] else None


@contextmanager
def broker(home: Path, folder: Path) -> Iterator[tuple[str, int]]:
    """A running broker; gives its host and port. `folder` keeps its address, password and messages.

    Raises:
        Unavailable: this machine has no broker, or it does not start.
    """
    process = Background(_NAME, home)
    with process.lock():
        facts = process.find()
        if facts is None:
            port = remembered_port(folder)
            process.start(_command(folder, port), child_environment({}), port=port)
        else:
            port = int(facts["port"])
    try:
        _wait(process, port)
        remember(folder, port)
        yield HOST, port
    finally:
        process.stop()


def _command(folder: Path, port: int) -> list[str]:
    found = programs()
    if found is None:
        raise Unavailable(
            "mosquitto is not on this machine; install it, or start the demo in an empty ONEFOLD_HOME"
        )
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    hashes, settings = folder / "passwords", folder / "mosquitto.conf"
    hashes.touch(mode=0o600)
    hashes.write_text(f"{USER}:{named_secret(folder / 'password')}\n")
    subprocess.run([found[1], "-U", str(hashes)], check=True, capture_output=True)  # noqa: S603 - a program of the system
    lines = [
        f"listener {port} {HOST}",
        "allow_anonymous false",
        f"password_file {hashes}",
        "persistence true",
        f"persistence_location {folder}/",
        "max_queued_messages 0",
        "autosave_interval 5",
        *(["user root"] if os.getuid() == 0 else []),  # else it becomes a user who may not write here
    ]
    settings.write_text("\n".join(lines) + "\n")
    return [found[0], "-c", str(settings)]


def _wait(process: Background, port: int) -> None:
    ends = time.monotonic() + _ANSWER_S
    while True:
        try:
            socket.create_connection((HOST, port), 1).close()
        except OSError:
            if process.find() is None or time.monotonic() > ends:
                raise Unavailable(
                    f"the broker does not start: {process.last_words() or 'it said nothing'}"
                ) from None
            time.sleep(0.05)
        else:
            return
