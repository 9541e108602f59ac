"""Local servers that speak as the channels' services do: robots of DingTalk, WeCom and Feishu, an SMS gateway, a webhook, ntfy and a mail server.

    with Takers() as takers:
        ...  # takers.url, takers.smtp_port: of any process
        takers.faults["sms"] = Fault.THROTTLE
        assert [one.text for one in takers.taken_by("dingtalk")] == [...]

They answer in a thread of their own, so that a test may block. Each takes what real ones take and refuses what they refuse: what is no such request
gets 400 and counts as `strange`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import email
import email.policy
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit


class Fault(Enum):
    """What a taker may do instead of taking."""

    FAIL = auto()
    """A fault of its own: HTTP 500, SMTP 451."""
    THROTTLE = auto()
    """As that service says it: DingTalk, WeCom and Feishu with 200 and a code."""
    LIE = auto()
    """200, and a refusal in the body; SMTP 550; of those that have no such thing a page of a portal."""
    REFUSE = auto()
    """HTTP 403, SMTP 554."""
    HANG = auto()
    DROP = auto()
    """It takes the message and ends the connection without a word."""
    EMPTY = auto()
    """200 and nothing."""
    REDIRECT = auto()
    """HTTP 307, to a place that would take it."""


@dataclass(frozen=True)
class Taken:
    """A message that a taker took."""

    channel: str
    address: str
    """Token, key, number, topic or mail address."""
    key: str
    """By which it knows a message that comes again; empty where none came."""
    text: str
    title: str
    at: float
    """Monotonic seconds."""


@dataclass
class Request:
    """An HTTP request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class _Reply:
    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


class Strange(Exception):
    """No request that the service would take."""


CHANNELS = ("dingtalk", "wecom", "feishu", "sms", "webhook", "ntfy", "mail", "heartbeat")
"""The last is a monitor that counts how often it is called (`tries`)."""

_THROTTLED = {
    "dingtalk": _Reply(200, {"errcode": 130101, "errmsg": "send too fast, exceed 20 times per minute"}),
    "wecom": _Reply(200, {"errcode": 45009, "errmsg": "api freq out of limit"}),
    "feishu": _Reply(200, {"code": 11232, "msg": "frequency limited"}),
    "sms": _Reply(429, {"code": "busy"}, {"Retry-After": "7"}),
    "webhook": _Reply(429, {}, {"Retry-After": "7"}),
    "ntfy": _Reply(429, {"code": 42901, "http": 429, "error": "limit reached"}),
}
_PORTAL = _Reply(200, "<html>Sign in to the network</html>")
_LIES = {
    "dingtalk": _Reply(200, {"errcode": 310000, "errmsg": "keywords not in content"}),
    "wecom": _Reply(200, {"errcode": 93000, "errmsg": "invalid webhook url"}),
    "feishu": _Reply(200, {"code": 19024, "msg": "Key Words Not Found"}),
    "sms": _Reply(200, {"code": "no_balance"}),
    "webhook": _PORTAL,
    "ntfy": _PORTAL,
}
_CANNED: dict[Fault | None, _Reply] = {
    Fault.FAIL: _Reply(500, {}),
    Fault.REFUSE: _Reply(403, {}),
    Fault.EMPTY: _Reply(200, ""),
    Fault.REDIRECT: _Reply(307, {}, {"Location": "/hook/elsewhere"}),
}
_HEAD_S = 10.0


class Takers:
    """All of them on one HTTP port, and mail on another; a context manager."""

    def __init__(self, *, http_port: int = 0, smtp_port: int = 0, dingtalk_secret: str | None = None) -> None:
        self.taken: list[Taken] = []
        self.faults: dict[str, Fault] = {}
        """By channel, until it is taken out again."""
        self.strange: list[str] = []
        self.tries: dict[str, int] = dict.fromkeys(CHANNELS, 0)
        """How often each was asked, whatever came of it."""
        self.smtp_port = smtp_port
        self.port = http_port
        self._dingtalk_secret = dingtalk_secret
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._failed: BaseException | None = None
        self._ending = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="takers")
        self._sms_keys: set[str] = set()

    @property
    def url(self) -> str:
        """Where HTTP is."""
        return f"http://127.0.0.1:{self.port}"

    def taken_by(self, channel: str, address: str | None = None) -> list[Taken]:
        """Return what one channel took, in order."""
        return [one for one in list(self.taken) if one.channel == channel and address in {None, one.address}]

    def clear(self) -> None:
        """Forget all that was taken, tried and told."""
        self.taken.clear()
        self.faults.clear()
        self.strange.clear()
        self._sms_keys.clear()
        self.tries = dict.fromkeys(CHANNELS, 0)

    def __enter__(self) -> Self:
        self._thread.start()
        self._up.wait()
        if self._failed is not None:
            raise self._failed
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:  # noqa: BLE001 - told to the one who waits
            self._failed = error
        finally:
            self._up.set()
            self._loop.close()

    async def _serve(self) -> None:
        http = await asyncio.start_server(self._connection(self._http), "127.0.0.1", self.port)
        mail = await asyncio.start_server(self._connection(self._smtp), "127.0.0.1", self.smtp_port)
        self.port, self.smtp_port = (server.sockets[0].getsockname()[1] for server in (http, mail))
        self._up.set()
        await self._ending.wait()
        for server in (http, mail):
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _connection(self, talk: Callable[..., Any]) -> Callable[..., Any]:
        async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError, TimeoutError):
                async with asyncio.timeout(None):
                    await talk(reader, writer)
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

        return served

    def _take(self, channel: str, address: str, text: str, title: str = "", key: str = "") -> None:
        self.taken.append(Taken(channel, address, key, text, title, time.monotonic()))

    # HTTP

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_HEAD_S):
            request = await _read(reader)
        reply = await self._answer(request)
        if reply is None:
            writer.transport.abort()
            return
        body = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
        kind = "text/html" if isinstance(reply.body, str) else "application/json"
        headers = {"Content-Type": kind, "Content-Length": str(len(body.encode())), "Connection": "close", **reply.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {reply.status} Answer\r\n{head}\r\n{body}".encode())
        await writer.drain()

    async def _answer(self, request: Request) -> _Reply | None:
        """Return the reply, None to break off."""
        channel, take = self._whose(request)
        if channel is None:
            self.strange.append(f"{request.method} {request.path}")
            return _Reply(404, {})
        self.tries[channel] += 1
        fault = self.faults.get(channel)
        if fault is Fault.HANG:
            await asyncio.sleep(3_600)
        if canned := _canned(channel, fault):
            return canned
        try:
            reply = take(request)
        except (Strange, KeyError, ValueError, TypeError) as error:
            self.strange.append(f"{request.method} {request.path}: {error!r}")
            return _Reply(400, {})
        return None if fault is Fault.DROP else reply

    def _whose(self, request: Request) -> tuple[str | None, Callable[[Request], _Reply]]:
        if request.path == "/" and request.method == "POST":
            return "ntfy", self._ntfy
        ways = {
            "/robot/send": ("dingtalk", self._dingtalk),
            "/cgi-bin/webhook/send": ("wecom", self._wecom),
            "/open-apis/bot/v2/hook/": ("feishu", self._feishu),
            "/sms": ("sms", self._sms),
            "/hook/": ("webhook", self._webhook),
            "/heartbeat": ("heartbeat", lambda _: _Reply(200, {})),
        }
        return next((way for path, way in ways.items() if request.path.startswith(path)), (None, self._ntfy))

    def _dingtalk(self, request: Request) -> _Reply:
        if self._dingtalk_secret is not None:
            stamp = request.query["timestamp"]
            secret = self._dingtalk_secret
            digest = hmac.new(secret.encode(), f"{stamp}\n{secret}".encode(), hashlib.sha256).digest()
            if base64.b64encode(digest).decode() != request.query["sign"]:
                return _Reply(200, {"errcode": 310000, "errmsg": "sign not match"})
        if request.json["msgtype"] != "text":
            raise Strange("no text")
        self._take("dingtalk", request.query["access_token"], request.json["text"]["content"])
        return _Reply(200, {"errcode": 0, "errmsg": "ok"})

    def _wecom(self, request: Request) -> _Reply:
        if request.json["msgtype"] != "text":
            raise Strange("no text")
        text = request.json["text"]["content"]
        if len(text.encode()) > 2048:
            return _Reply(200, {"errcode": 45002, "errmsg": "content size out of limit"})
        self._take("wecom", request.query["key"], text)
        return _Reply(200, {"errcode": 0, "errmsg": "ok"})

    def _feishu(self, request: Request) -> _Reply:
        if request.json["msg_type"] != "text":
            raise Strange("no text")
        if len(request.body) > 20_000:
            return _Reply(400, {"code": 9499, "msg": "Bad Request", "data": {}})
        self._take("feishu", request.path.strip("/").rpartition("/")[2], request.json["content"]["text"])
        return _Reply(200, {"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"})

    def _sms(self, request: Request) -> _Reply:
        """Take `to`, `text` and `key`, as JSON or as a form; a key that was there is answered alike and sent once."""
        form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        given = {name: values[0] for name, values in parse_qs(request.body.decode()).items()} if form else request.json
        key = given.get("key", "")
        if not key or key not in self._sms_keys:
            self._sms_keys.add(key)
            self._take("sms", given["to"], given["text"], key=key)
        return _Reply(200, {"code": "OK", "result": [{"to": "…"}]})

    def _webhook(self, request: Request) -> _Reply:
        address, key = request.path.removeprefix("/hook/").strip("/"), request.headers.get("idempotency-key", "")
        self._take("webhook", address, request.json["message"], request.json["title"], key)
        return _Reply(200, {})

    def _ntfy(self, request: Request) -> _Reply:
        told = request.json
        self._take("ntfy", told["topic"], told["message"], told.get("title", ""))
        return _Reply(200, {"id": "x1", "event": "message", "topic": told["topic"]})

    # Mail

    async def _smtp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tries["mail"] += 1
        fault = self.faults.get("mail")
        if fault is Fault.HANG:
            await asyncio.sleep(3_600)
        writer.write(b"421 too many connections\r\n" if fault is Fault.THROTTLE else b"220 takers ESMTP\r\n")
        recipients: list[str] = []
        while line := (await reader.readline()).decode().strip():
            verb = line.split(" ")[0].upper()
            match verb:
                case "EHLO" | "HELO":
                    writer.write(b"250-takers\r\n250 8BITMIME\r\n")
                case "MAIL":
                    writer.write(b"554 no\r\n" if fault is Fault.REFUSE else b"250 ok\r\n")
                case "RCPT":
                    recipients.append(line.partition("<")[2].partition(">")[0])
                    said = f"550 <{recipients[-1]}>: no such user\r\n" if fault is Fault.LIE else "250 ok\r\n"
                    writer.write(said.encode())
                case "DATA":
                    writer.write(b"354 go on\r\n")
                    self._mail(await reader.readuntil(b"\r\n.\r\n"), recipients, fault)
                    if fault is Fault.DROP:
                        writer.transport.abort()
                        return
                    writer.write(b"451 local error\r\n" if fault is Fault.FAIL else b"250 taken\r\n")
                case "QUIT":
                    writer.write(b"221 bye\r\n")
                    await writer.drain()
                    return
                case _:
                    writer.write(b"250 ok\r\n")
            await writer.drain()

    def _mail(self, data: bytes, recipients: list[str], fault: Fault | None) -> None:
        if fault in {None, Fault.DROP}:
            sent = (b"\r\n" + data).removesuffix(b"\r\n.\r\n").replace(b"\r\n..", b"\r\n.").removeprefix(b"\r\n")  # RFC 5321, 4.5.2
            message = email.message_from_bytes(sent, policy=email.policy.default)
            body = message.get_body(("plain",))
            text = body.get_content() if body is not None else ""
            for recipient in recipients:
                self._take("mail", recipient, text.strip(), str(message["subject"]))


def _canned(channel: str, fault: Fault | None) -> _Reply | None:
    if fault is Fault.THROTTLE:
        return _THROTTLED[channel]
    return _LIES[channel] if fault is Fault.LIE else _CANNED.get(fault)


async def _read(reader: asyncio.StreamReader) -> Request:
    method, target, _ = (await reader.readline()).decode().split(" ", 2)
    headers: dict[str, str] = {}
    while line := (await reader.readline()).decode().strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    url = urlsplit(target)
    return Request(method, unquote(url.path), {name: values[0] for name, values in parse_qs(url.query).items()}, headers, body)
