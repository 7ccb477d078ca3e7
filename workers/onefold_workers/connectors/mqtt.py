"""MQTT topics, as devices and gateways fill them: at least once from the broker, exactly once in the lake.

The broker keeps what comes under a session of ours (QoS 1) and learns that a message has arrived only when its
package is committed. Should we die in between, it sends those messages again, marked as sent before and under their
old packet numbers (MQTT 5, section 4.4). The bookmark, committed with the package, says which of them the lake
holds (packet number, hash of topic and payload), and these are repeated. So nothing is lost while storage is away,
and nothing lands twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
import pyarrow as pa
from pydantic import Field

from onefold_storage.contracts import Contract
from onefold_storage.deliveries import Batch, Delivery
from onefold_workers.connectors import _locations
from onefold_workers.connectors._connector import Connector, Options
from onefold_workers.connectors._pages import Pages

if TYPE_CHECKING:
    from onefold_workers.connectors._mqtt_session import Message, Session

TOPIC = "mqtt_topic"
"""The column that holds a message's topic, beside the keys of its JSON payload."""
_QUIET_S, _SAMPLE_S = 5.0, 60.0


class MqttOptions(Options):
    """What to listen to. `location` is `mqtt://host:1883` or, with TLS, `mqtts://host:8883`.

    `client_id`: names the session at the broker, which has to be the same each time; by default from the source's
    id. `password`: named, as `${NAME}`. A load package holds at most `messages` messages, and of a steady stream
    what came in `within_s` seconds; a reading ends when the topics were quiet for `wait_s`, or after `packages`
    packages. The broker forgets a session that did not come for `session_days`.
    `messages_per_second`: no faster than that; the others wait at the broker, which sends no more than `messages` ahead.
    """

    topics: tuple[str, ...] = Field(min_length=1)
    client_id: str | None = None
    username: str | None = None
    password: str | None = None
    wait_s: float = Field(default=1.0, gt=0)
    within_s: float = Field(default=5.0, gt=0)
    messages: int = Field(default=2_000, ge=1, le=65_000)
    packages: int = Field(default=100, ge=1)
    max_message_bytes: int = Field(default=1 << 20, ge=1)
    session_days: float = Field(default=30, gt=0)
    messages_per_second: float | None = Field(default=None, gt=0)


def deliveries(contract: Contract, _base: Path, options: MqttOptions, bookmark: Any) -> Iterator[Delivery]:
    """One delivery for every `messages` messages until the topics are quiet; none where nothing came.

    A payload that is a JSON object becomes a row with its topic; any other one is a bad row.
    `bookmark`: the session, how many packages it has brought, and the newest `messages` that the lake holds.

    Raises:
        BadInput: the broker refuses us. Unavailable: it does not answer.
    """
    from onefold_workers.connectors._mqtt_session import Session

    location = _locations.read(contract.rules.location, f"{contract.id}: onefold.location")
    client = options.client_id or f"onefold-{contract.id}"
    ours: dict[str, Any] = bookmark if bookmark and bookmark["client"] == client else {"held": [], "packages": 0}
    held: dict[int, str] = dict(ours["held"])
    origin = f"mqtt://{urlsplit(location.value).hostname}/{','.join(options.topics)}"
    expected = tuple(c.name for c in contract.columns)
    with Session(location, options, client, contract.id) as session:
        for number in range(ours["packages"] + 1, ours["packages"] + 1 + options.packages):
            messages = list(session.messages(options.messages, options.wait_s, options.within_s))
            if not messages:
                return
            fresh, window = _new(messages, held)
            acknowledged = partial(_acknowledged, session, messages, held, window, options.messages)
            if not fresh:
                acknowledged()
                continue
            pages = Pages(f"{client} {number}")
            for message in fresh:
                pages.write_line(_line(message))
            mark = {
                "client": client,
                "packages": number,
                "held": list(_last(held, window, options.messages).items()),
            }
            yield Delivery(
                pages.content, origin, _batches(pages, origin, expected, len(messages) - len(fresh)),
                bookmark=partial(_same, mark), landed=acknowledged,
            )  # fmt: skip


def _new(messages: list[Message], held: dict[int, str]) -> tuple[list[Message], dict[int, str]]:
    """The messages that are not in the lake, and digests by packet number of all."""
    fresh: list[Message] = []
    window: dict[int, str] = {}
    for message in messages:
        before = window.get(message.packet, held.get(message.packet))
        if not (message.again and before == message.digest):
            fresh.append(message)
        window[message.packet] = message.digest
    return fresh, window


def _acknowledged(
    session: Session, messages: list[Message], held: dict[int, str], window: dict[int, str], most: int
) -> None:
    for message in messages:
        session.acknowledge(message)
    kept = _last(held, window, most)
    held.clear()
    held.update(kept)


def _last(held: dict[int, str], window: dict[int, str], most: int) -> dict[int, str]:
    """The newest: the broker has at most as many messages unacknowledged as it was told we take at once."""
    older = {packet: digest for packet, digest in held.items() if packet not in window}
    return dict([*older.items(), *window.items()][-most:])


def first(contract: Contract, _base: Path, options: MqttOptions, rows: int) -> Iterator[Delivery]:
    """One delivery with the messages of the next seconds, under a session of their own.

    Raises:
        BadInput, Unavailable: as `deliveries`.
    """
    location = _locations.read(contract.rules.location, f"{contract.id}: onefold.location")
    pages = _first(location, options, rows, contract.id)
    origin = f"mqtt://{urlsplit(location.value).hostname}/{','.join(options.topics)}"
    yield Delivery(pages.content, origin, pages.batches(origin, tuple(c.name for c in contract.columns)))


def sample(text: str, _base: Path, rows: int, options: MqttOptions) -> tuple[pa.Table, dict[str, Any]]:
    """The messages of the next seconds, under a session of their own: the source's stays as it is.

    Raises:
        BadInput, Unavailable: as `deliveries`.
    """
    pages = _first(_locations.read(text), options, rows, "location")
    tables = [b.rows for b in pages.batches("mqtt", ())]
    return pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({}), {}


def _first(location: _locations.Location, options: MqttOptions, rows: int, where: str) -> Pages:
    from onefold_workers.connectors._mqtt_session import Session

    pages = Pages("")
    with Session(location, options, None, where) as session:
        for message in session.messages(rows, max(options.wait_s, _QUIET_S), _SAMPLE_S):
            pages.write_line(_line(message))
    return pages


def _same(mark: dict[str, Any]) -> dict[str, Any]:
    return mark


def _batches(pages: Pages, origin: str, expected: tuple[str, ...], again: int) -> Iterator[Batch]:
    empty = pa.table({name: pa.array([], pa.string()) for name in expected})
    if again:
        yield Batch(empty, pa.array([], pa.int64()), repeated=again)
    yield from pages.batches(origin, expected)


def _line(message: Message) -> bytes:
    """A message as a JSON line; a payload that is no object stays as it is, and will be a bad row."""
    try:
        value = orjson.loads(message.payload)
    except orjson.JSONDecodeError:
        return message.payload.replace(b"\n", b" ") if message.payload.strip() else b"null"
    return orjson.dumps({TOPIC: message.topic, **value} if isinstance(value, dict) else value)


CONNECTOR = Connector("mqtt", MqttOptions, ("mqtt", "mqtts"), deliveries, sample, live=True, first=first)
