"""One connection to an MQTT broker, on the event loop: paho-mqtt does the protocol, we say when a message is acknowledged.

paho's own threads are not used: reading, acknowledging and pausing have one order, that of the loop. Only the opening blocks (names, TCP, TLS)
and has a thread to itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from paho.mqtt.client import Client, MQTTMessage, error_string
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from services.ingest.errors import BrokerRefuses
from services.kit.errors import Unavailable

ANSWER_S = 10.0
"""For each answer of the broker."""
LARGEST = 1 << 20
"""Bytes: an MQTT 5 broker throws larger messages away itself. One of 3.1.1 cannot be told: limit it there (mosquitto: `max_packet_size`)."""
_TICK_S = 1.0
_PROTOCOLS = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}


class _Secured(ssl.SSLSocket):
    """A socket that is closed when its handshake fails: paho forgets it, and it would stay open until it is collected."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - as ssl
        """Shake hands."""
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


@dataclass(frozen=True, kw_only=True)
class Terms:
    """With which broker, as whom, and how."""

    host: str
    port: int
    tls: bool
    ca: str | None
    """File of the certificates that are trusted; None for the system's."""
    user: str | None
    password: str | None = field(repr=False)
    client: str
    """The session's name at the broker, which keeps what was not acknowledged by it."""
    version: Literal["5", "3.1.1"]
    window: int
    session_s: int
    keepalive_s: int

    @property
    def shown(self) -> str:
        """The address without its password."""
        user = f"{self.user}@" if self.user else ""
        return f"mqtt{'s' if self.tls else ''}://{user}{self.host}:{self.port}"


class Connection:
    """From its opening until it is lost; then another is made. To be used on one event loop."""

    def __init__(self, terms: Terms, arrived: Callable[[MQTTMessage], None]) -> None:
        """`arrived` is called with each message."""
        self._terms = terms
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        """Why it has ended."""
        self._accepted: asyncio.Future[Any] = self._loop.create_future()
        self._subscribed: asyncio.Future[Any] = self._loop.create_future()
        self._socket: socket.socket | None = None
        self._reading = False
        self._client = self._made(arrived)

    @property
    def is_open(self) -> bool:
        """Whether it can still be used."""
        return self._socket is not None and not self.lost.done()

    async def open(self, filters: Sequence[str]) -> None:
        """Return once the broker has taken us and our subscriptions; messages that it kept for us may arrive before.

        Raises `BrokerRefuses` when it does not, `Unavailable` when there is no broker. The connection is closed then, as it is by cancellation.
        """
        try:
            await _in_thread(self._connect)
            self._attach()
            reason = await self._answer(self._accepted)
            if reason.is_failure:
                raise BrokerRefuses(f"{self._terms.shown} refuses {self._terms.client}: {reason}")
            if filters:
                self._client.subscribe(*self._wanted(filters))
                codes = await self._answer(self._subscribed)
                if refused := [f"{one}: {code}" for one, code in zip(filters, codes, strict=False) if code.is_failure]:
                    raise BrokerRefuses(f"{self._terms.shown} refuses subscriptions: {'; '.join(refused)}")
        except (OSError, ValueError) as error:
            raise Unavailable(f"{self._terms.shown}: {error}") from error
        finally:
            if not self._subscribed.done():
                self.cut()

    def acknowledge(self, mid: int) -> None:
        """Tell the broker that it may forget a message; when the connection is lost nothing happens, and the broker sends it again."""
        if self.is_open:
            self._client.ack(mid, 1)

    def pause(self) -> None:
        """Read nothing more: TCP holds the broker back. The connection is lost when that takes longer than two keep-alives."""
        if self._reading and self._socket is not None:
            self._reading = False
            self._loop.remove_reader(self._socket)

    def resume(self) -> None:
        """Go on reading."""
        if not self._reading and self._socket is not None:
            self._reading = True
            self._loop.add_reader(self._socket, self._read)
            self._loop.call_soon(self._read)  # what TLS has decrypted already wakes nobody

    async def close(self, within_s: float) -> None:
        """Send what is to be sent, at last that we leave; the broker keeps the session."""
        if self.is_open:
            self._client.disconnect()
            await asyncio.wait([self.lost], timeout=within_s)
        self.cut()

    def cut(self) -> None:
        """End it at once."""
        _settle(self.lost, "closed")
        self._detach()

    def _made(self, arrived: Callable[[MQTTMessage], None]) -> Client:
        terms = self._terms
        client = Client(
            CallbackAPIVersion.VERSION2,
            terms.client,
            protocol=_PROTOCOLS[terms.version],
            clean_session=False if terms.version == "3.1.1" else None,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        if terms.user is not None:
            client.username_pw_set(terms.user, terms.password)
        if terms.tls:
            context = ssl.create_default_context(cafile=terms.ca)
            context.sslsocket_class = _Secured
            client.tls_set_context(context)
        client.on_message = lambda _client, _data, message: arrived(message)
        client.on_connect = lambda _client, _data, _flags, reason, _properties: _settle(self._accepted, reason)
        client.on_subscribe = lambda _client, _data, _mid, codes, _properties: _settle(self._subscribed, codes)
        client.on_disconnect = lambda _client, _data, flags, reason, _properties: _settle(
            self.lost, str(reason) if flags.is_disconnect_packet_from_server else "the connection broke"
        )
        return client

    def _connect(self) -> None:
        """Open the socket and send that we come; blocks."""
        terms = self._terms
        if terms.version == "3.1.1":
            self._client.connect(terms.host, terms.port, terms.keepalive_s)
        else:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = terms.session_s
            properties.ReceiveMaximum = terms.window
            properties.MaximumPacketSize = LARGEST
            self._client.connect(terms.host, terms.port, terms.keepalive_s, clean_start=False, properties=properties)
        if self.lost.done() and (opened := self._client.socket()) is not None:
            opened.close()  # nobody waits for it any more

    def _attach(self) -> None:
        self._socket = cast("socket.socket | None", self._client.socket())
        if self._socket is None:
            raise Unavailable(f"{self._terms.shown}: the connection was closed")
        writing = self._socket

        def written(*_: object) -> None:
            self._loop.remove_writer(writing)

        self._client.on_socket_register_write = lambda *_: self._loop.add_writer(writing, self._write)
        self._client.on_socket_unregister_write = written
        self._client.on_socket_close = lambda *_: self._detach()
        if self._client.want_write():
            self._loop.add_writer(writing, self._write)
        self.resume()
        self._tick()

    def _detach(self) -> None:
        if (ours := self._socket) is None:
            return
        self._socket, self._reading = None, False
        with contextlib.suppress(ValueError, OSError):
            self._loop.remove_reader(ours)
            self._loop.remove_writer(ours)
        ours.close()

    def _read(self) -> None:
        """Read one packet, and what TLS has decrypted beyond it."""
        while self._reading:
            self._do(self._client.loop_read)
            if not (isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()):
                return

    def _write(self) -> None:
        self._do(self._client.loop_write)

    def _tick(self) -> None:
        if self.is_open:
            self._do(self._client.loop_misc)
            self._loop.call_later(_TICK_S, self._tick)

    def _do(self, step: Callable[[], MQTTErrorCode]) -> None:
        """Let paho work; whatever it makes of what is no MQTT ends the connection."""
        try:
            code = step()
        except Exception as error:  # noqa: BLE001 - IndexError, struct.error and their like, by what the bytes are
            _settle(self.lost, f"what came is no MQTT: {error!r}")
            self._detach()
            return
        if code is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            _settle(self.lost, error_string(code))
            self._detach()

    def _wanted(self, filters: Sequence[str]) -> tuple[Any, ...]:
        # QoS 2 is not asked for: readings that come twice do no harm.
        if self._terms.version == "3.1.1":
            return ([(one, 1) for one in filters],)
        options = [SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND) for _ in filters]
        return (list(zip(filters, options, strict=True)),)

    async def _answer(self, answer: asyncio.Future[Any]) -> Any:
        await asyncio.wait([answer, self.lost], timeout=ANSWER_S, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        why = self.lost.result() if self.lost.done() else f"it has not answered within {ANSWER_S:g} s"
        raise Unavailable(f"{self._terms.shown}: {why}")


def _settle(future: asyncio.Future[Any], result: object) -> None:
    if not future.done():
        future.set_result(result)


async def _in_thread(work: Callable[[], None]) -> None:
    """Run blocking work in a thread for which neither cancellation nor the end of the process waits."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[BaseException | None] = loop.create_future()

    def run() -> None:
        problem: BaseException | None = None
        try:
            work()
        except Exception as error:  # noqa: BLE001 - carried to the one who waits
            problem = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, done, problem)

    threading.Thread(target=run, name="mqtt-connect", daemon=True).start()
    if (problem := await done) is not None:
        raise problem
