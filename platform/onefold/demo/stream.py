"""The scanners' side of the stream: sends what has happened and has not landed, over MQTT or over HTTP.

A scanner sends an event again until it is taken. So what is sent is asked of the lake: `first` sends those of the days
before the demo's now that are missing there, `live` goes on with the rest, one after the other.
"""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onefold.demo.broker import USER
from onefold.demo.scanners import FIRST
from onefold_storage.errors import Unavailable

if TYPE_CHECKING:
    from onefold_storage.installation import Installation

SOURCE = "store_scanners"
EVERY_S = 0.5
"""A live event each half second: the last twelve hours of the year in fifteen minutes."""
_PATIENCE_S = 60.0
_BATCH = 600

Send = Callable[[list[dict[str, Any]]], None]
"""Sends events and returns when they are safe.

Raises:
    Unavailable: they were not taken.
"""


@dataclass(frozen=True)
class Stream:
    """All events there ever are, in their order."""

    events: list[dict[str, Any]]

    @classmethod
    def read(cls, file: Path) -> Stream:
        """Those in a file (NDJSON)."""
        with file.open(encoding="utf-8") as lines:
            return cls([json.loads(line) for line in lines])

    def missing(self, installation: Installation) -> list[dict[str, Any]]:
        """Those that have not landed."""
        held = landed(installation)
        return [e for e in self.events if e["event_id"] not in held]

    def first(self, installation: Installation) -> list[dict[str, Any]]:
        """Those that have happened before the demo's now and have not landed."""
        happened = {e["event_id"] for e in self.events[:FIRST]}
        return [e for e in self.missing(installation) if e["event_id"] in happened]


def landed(installation: Installation) -> set[str]:
    """Numbers of the events that have landed."""
    lake = installation.lake
    name = f"bronze/{SOURCE}"
    return set(lake.scan(name).select("event_id").collect()["event_id"]) if lake.exists(name) else set()


@contextmanager
def over_mqtt(address: tuple[str, int], password: str) -> Iterator[Send]:
    """Sends to a broker, and returns when it has acknowledged."""
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.username_pw_set(USER, password)
    client.max_queued_messages_set(0)
    try:
        client.connect(*address)
    except OSError as error:
        raise Unavailable(f"the demo's broker does not answer ({type(error).__name__})") from None
    client.loop_start()

    def send(events: list[dict[str, Any]]) -> None:
        sent = [
            client.publish(f"stores/{e['store']}/scanners/{e['scanner']}", json.dumps(e), qos=1) for e in events
        ]
        for one in sent:
            one.wait_for_publish(_PATIENCE_S)
            if not one.is_published():
                raise Unavailable("the demo's broker does not take the scanners' events")

    try:
        yield send
    finally:
        client.disconnect()
        client.loop_stop()


def over_http(base: str, key: str) -> Send:
    """Sends to the API at an address. The first event's number names a request, so that it may be sent again."""

    def send(events: list[dict[str, Any]]) -> None:
        for at in range(0, len(events), _BATCH):
            batch = events[at : at + _BATCH]
            request = urllib.request.Request(  # noqa: S310 - our own API
                f"{base}/v1/ingest/{SOURCE}",
                json.dumps(batch).encode(),
                {
                    "Authorization": f"Bearer {key}",
                    "Content-Type": "application/json",
                    "Idempotency-Key": f"{batch[0]['event_id']} {batch[-1]['event_id']} {len(batch)}",
                },
            )
            try:
                urllib.request.urlopen(request, timeout=_PATIENCE_S).close()  # noqa: S310
            except (urllib.error.URLError, OSError) as error:
                raise Unavailable(f"the API does not take the scanners' events ({error})") from None

    return send


class Live:
    """A thread that sends event after event until all are sent or it is ended; what is not taken is tried again."""

    def __init__(self, events: list[dict[str, Any]], send: Send, every_s: float = EVERY_S) -> None:
        self.sent = 0
        self._events, self._send, self._every = events, send, every_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="scanners")
        self._thread.start()

    def plan(self) -> str:
        """What there is to send, in words."""
        n = len(self._events)
        if not n:
            return "all events were sent before"
        return f"{n:,} events, one each {self._every:g} s for {n * self._every / 60:.0f} minutes"

    def told(self) -> str:
        """How far it is, in words."""
        done = " and that was all" if self.sent == len(self._events) else ""
        return f"the scanners have sent {self.sent:,} of {len(self._events):,} events{done}"

    def end(self) -> None:
        """Stop sending."""
        self._ended.set()
        self._thread.join(_PATIENCE_S)

    def _run(self) -> None:
        for event in self._events:
            while not self._ended.wait(self._every):
                try:
                    self._send([event])
                except Unavailable:
                    self._ended.wait(2.0)
                else:
                    self.sent += 1
                    break
            if self._ended.is_set():
                return
