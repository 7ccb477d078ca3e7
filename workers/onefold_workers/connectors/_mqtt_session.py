"""A session at an MQTT broker that outlives us: messages are handed on, and acknowledged only when they are safe."""

from __future__ import annotations

import hashlib
import queue
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from onefold_storage.errors import BadInput, Unavailable
from onefold_storage.pace import Pace
from onefold_workers.connectors._locations import Location, secret

if TYPE_CHECKING:
    from onefold_workers.connectors.mqtt import MqttOptions

_ANSWER_S = 20.0
_REFUSED = (0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C)  # MQTT 5: protocol, client id, user or password, not authorised, …


@dataclass(frozen=True)
class Message:
    """A message as it came. `again`: the broker has sent it before. `digest`: of topic and payload."""

    topic: str
    payload: bytes
    packet: int
    again: bool
    digest: str


class Session:
    """Connected while it is entered. `client_id`: None is a session that ends with it.

    Raises:
        BadInput: the broker refuses us, or a topic. Unavailable: it does not answer.
    """

    def __init__(self, location: Location, options: MqttOptions, client_id: str | None, where: str) -> None:
        self._url = urlsplit(location.value)
        self._shown = f"{self._url.hostname}:{self._port}"
        self._options, self._where = options, where
        self._came: queue.Queue[Message] = queue.Queue()
        self._answers: queue.Queue[tuple[str, int]] = queue.Queue()
        self._keep = client_id is not None
        self._pace = Pace(options.messages_per_second)
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id or "", protocol=mqtt.MQTTv5, manual_ack=True
        )
        password = (
            secret(options.password, f"{where}: onefold.options.password").value if options.password else None
        )
        if options.username is not None:
            self._client.username_pw_set(options.username, password)
        if self._url.scheme == "mqtts":
            self._client.tls_set()
        self._client.on_connect = self._connected
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._arrived
        self._client.on_disconnect = self._gone

    @property
    def _port(self) -> int:
        return self._url.port or (8883 if self._url.scheme == "mqtts" else 1883)

    def __enter__(self) -> Self:
        given = Properties(PacketTypes.CONNECT)
        given.ReceiveMaximum = min(self._options.messages, 65_535)
        given.MaximumPacketSize = self._options.max_message_bytes + 65_536
        given.SessionExpiryInterval = int(self._options.session_days * 86_400) if self._keep else 0
        try:
            self._client.connect(
                str(self._url.hostname), self._port, keepalive=30, clean_start=not self._keep, properties=given
            )
        except OSError as error:
            raise Unavailable(f"{self._shown}: the broker does not answer ({type(error).__name__})") from None
        self._client.loop_start()
        try:
            self._answer("connect")
            self._client.subscribe([(t, SubscribeOptions(qos=1)) for t in self._options.topics])
            self._answer("subscribe")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def messages(self, most: int, wait_s: float, within_s: float) -> Iterator[Message]:
        """What comes, until `most` messages came, none for `wait_s` seconds, or `within_s` seconds have passed.

        Raises:
            Unavailable: the connection broke; what was handed on is sent again to the next session.
        """
        ends = time.monotonic() + within_s
        for number in range(most):
            if number and time.monotonic() > ends:
                return
            try:
                message = self._came.get(timeout=wait_s)
            except queue.Empty:
                if not self._client.is_connected():
                    raise Unavailable(f"{self._shown}: the broker is gone") from None
                return
            self._pace.wait()
            yield message

    def acknowledge(self, message: Message) -> None:
        """Tell the broker that it need not keep the message."""
        self._client.ack(message.packet, 1)

    def _answer(self, what: str) -> None:
        try:
            kind, code = self._answers.get(timeout=_ANSWER_S)
        except queue.Empty:
            raise Unavailable(f"{self._shown}: the broker does not answer ({what})") from None
        if code >= 0x80 and (code in _REFUSED or kind == "subscribe"):
            problem = "refuses us; check `username` and `password`" if kind != "subscribe" else "refuses a topic"
            raise BadInput(f"{self._where}: the broker {self._shown} {problem}")
        if code >= 0x80 or kind != what:
            raise Unavailable(f"{self._shown}: the broker ended the connection")

    def _connected(self, _client: Any, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        self._answers.put(("connect", int(code.value)))

    def _subscribed(self, _client: Any, _data: Any, _packet: int, codes: Any, _properties: Any) -> None:
        self._answers.put(("subscribe", max(int(c.value) for c in codes)))

    def _gone(self, _client: Any, _data: Any, _flags: Any, _code: Any, _properties: Any) -> None:
        self._answers.put(("gone", 0))

    def _arrived(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        digest = hashlib.sha256(message.topic.encode() + b"\0" + message.payload).hexdigest()[:16]
        self._came.put(Message(message.topic, bytes(message.payload), message.mid, bool(message.dup), digest))
