"""The connection to the city's MQTT broker, which all devices of the simulated city share: what they publish is what each would."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

from paho.mqtt.client import Client, ConnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from feeds.field.faults import Luck
from feeds.field.line import Clock, Counts
from feeds.field.mqtt import message
from schemas.mqtt import Mapping
from schemas.observation import Measurement
from schemas.sensor import Sensor

QUEUED = 2_000
"""Messages that wait for the broker; what comes on top is lost, and counted."""
KEPT = 360
"""Readings that a device without a network keeps."""
QOS = 1
KEEPALIVE_S = 30
FIRST_WAIT_S, LONGEST_WAIT_S = 1, 5
PORT, TLS_PORT = 1_883, 8_883


class Broker:
    """A client of the broker with a thread of paho's own. `publish` never waits; `close` ends the thread."""

    def __init__(self, url: str, *, client_id: str, counts: Counts) -> None:
        """`url` is like `mqtt://user:password@host:1883`, or `mqtts://…` for TLS."""
        address = urlsplit(url)
        self._counts = counts
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=client_id)
        self._client.max_queued_messages_set(QUEUED)
        self._client.reconnect_delay_set(FIRST_WAIT_S, LONGEST_WAIT_S)
        if address.username:
            self._client.username_pw_set(unquote(address.username), unquote(address.password or ""))
        if tls := address.scheme == "mqtts":
            self._client.tls_set()
        self._client.on_publish = self._published
        self._client.on_connect = self._connected
        self._client.connect_async(address.hostname or "", address.port or (TLS_PORT if tls else PORT), KEEPALIVE_S)

    def open(self) -> None:
        """Connect, and again whenever the connection is lost."""
        self._client.loop_start()

    def close(self) -> None:
        """Take leave; what the broker has not acknowledged is lost."""
        connected = self._client.is_connected()
        self._client.disconnect()
        # A thread that looks for the broker may take seconds to notice; it ends with the process.
        if connected:
            self._client.loop_stop()

    def publish(self, topic: str, payload: bytes) -> None:
        """Queue a message, to be acknowledged by the broker."""
        if self._client.publish(topic, payload, qos=QOS).rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            self._counts.lost += 1

    def _published(self, _client: Client, _userdata: object, _mid: int, _code: ReasonCode, _properties: Properties) -> None:
        self._counts.acknowledged += 1

    def _connected(self, _client: Client, _userdata: object, _flags: ConnectFlags, code: ReasonCode, _properties: Properties | None) -> None:
        self._counts.connections += not code.is_failure


@dataclass(slots=True)
class Publisher:
    """One device behind the broker: what is `ahead` is its clock."""

    broker: Broker
    sensor: Sensor
    mapping: Mapping
    luck: Luck
    zone: ZoneInfo
    clock: Clock
    counts: Counts
    ahead: timedelta = timedelta(0)
    _held: deque[Measurement] = field(default_factory=deque)
    _number: int = 0

    @property
    def unsent(self) -> int:
        """Readings that wait for the network; what waits for the broker is paho's."""
        return len(self._held)

    def offer(self, measurement: Measurement) -> None:
        """Publish a reading, or keep it until there is a network."""
        if len(self._held) >= KEPT:
            self._held.popleft()
            self.counts.lost += 1
        self._held.append(measurement)
        while self._held and not self.luck.away(self.clock()):
            self._publish(self._held.popleft())

    def _publish(self, measurement: Measurement) -> None:
        said = message(self.mapping, self.sensor, measurement, zone=self.zone, ahead=self.ahead)
        if said is None:
            return
        self._number += 1
        if self.luck.damaged(self._number):
            self.counts.damaged += 1
            self.broker.publish(said.topic, said.payload[: len(said.payload) // 2])
        self.broker.publish(said.topic, said.payload)
        if self.luck.duplicate(self._number):
            self.counts.duplicated += 1
            self.broker.publish(said.topic, said.payload)
