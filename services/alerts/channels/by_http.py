"""HTTP gateways that are described in data: SMS and voice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import httpx

from schemas.alerting import Channel, HttpRequest, Success
from services.alerts.channels.answers import Answer, by_status
from services.alerts.channels.sender import Again, Never, Receipt, Scrub, Sending, Taken, Trouble, moved
from services.alerts.channels.templates import Template
from services.kit.errors import Misconfigured

_MOST_BODY = 65_536
_MOST_CONNECTIONS = 16
_BAD, _SERVER = 400, 500
_SAMPLE = {"address": "13800000000", "title": "t", "text": "t", "key": "k", "name": "n", "language": "zh"}

# They tell of each request with its URL, in which a token may stand.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)


class HttpSender:
    """A channel of `kind: http`."""

    def __init__(self, channel: Channel, secret: Mapping[str, str]) -> None:
        """Raise `Misconfigured` for templates that cannot be rendered, or for a `key` that they do not send."""
        request = channel.request
        assert request is not None  # noqa: S101 - the schema says so
        self.idempotent = request.key
        self._channel = channel
        self._secret = secret
        self._scrub = Scrub(secret)
        self._request = _Request(request, f"alerting.yaml: channel {channel.id}: request")
        self._answered = request.answered
        self._request.build({**_SAMPLE, "secret": secret}, channel.endpoint)
        self._timeout_s = channel.timeout.total_seconds()
        # No connection is kept: one that the gateway had closed meanwhile would look like a message of unknown fate.
        limits = httpx.Limits(max_connections=_MOST_CONNECTIONS, max_keepalive_connections=0)
        self._client = httpx.AsyncClient(limits=limits, follow_redirects=False, timeout=self._timeout_s)

    async def send(self, sending: Sending) -> Receipt:
        """Send a message; see `Sender`."""
        values = {name: getattr(sending, name) for name in _SAMPLE} | {"secret": self._secret}
        try:
            request = self._client.build_request(**self._request.build(values, self._channel.endpoint))
        except Exception:  # noqa: BLE001 - what of an address does not go into a request
            return Never(self._scrub.reason(Trouble.UNUSABLE))
        reached = asyncio.Event()
        request.extensions["trace"] = _trace(reached)
        try:
            async with asyncio.timeout(self._timeout_s):
                return self._receipt(await self._exchange(request), sending.address)
        except httpx.PoolTimeout:
            return Again(self._scrub.reason(Trouble.BUSY))
        except (TimeoutError, httpx.TimeoutException):
            return Again(self._scrub.reason(Trouble.TIMED_OUT), maybe=reached.is_set())
        except (httpx.HTTPError, OSError):
            return Again(self._scrub.reason(Trouble.BROKEN_OFF if reached.is_set() else Trouble.UNREACHABLE), maybe=reached.is_set())

    async def _exchange(self, request: httpx.Request) -> Answer:
        answer = await self._client.send(request, stream=True)
        try:
            body = b""
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) >= _MOST_BODY:
                    break
            return Answer(answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, body[:_MOST_BODY])
        finally:
            await answer.aclose()

    def _receipt(self, answer: Answer, address: str) -> Receipt:
        if answer.status in self._answered.statuses and says_yes(self._answered, answer):
            return Taken()
        receipt = by_status(answer, self._scrub, address)
        if not isinstance(receipt, Taken) and answer.status not in self._answered.statuses:
            return receipt
        said = f"HTTP {answer.status} {_said(self._answered, answer)}"
        final = _BAD <= answer.status < _SERVER
        return (Never if final else Again)(self._scrub.reason(Trouble.REFUSED, said, address))


def _trace(reached: asyncio.Event) -> Any:
    """Return what httpx tells of a request's way: once a request goes out a gateway may have taken it."""

    async def tell(event: str, _: Mapping[str, Any]) -> None:
        if event.endswith("send_request_headers.started"):
            reached.set()

    return tell


class _Request:
    """The templates of a request."""

    def __init__(self, described: HttpRequest, where: str) -> None:
        self._method = described.method
        self._url = Template(described.url, f"{where}: url", url=True)
        self._headers = _templates(described.headers, f"{where}: headers")
        self._json = None if described.json_body is None else _templates(described.json_body, f"{where}: json_body")
        self._form = None if described.form is None else _templates(described.form, f"{where}: form")
        templates = [self._url, *self._headers.values(), *(self._json or {}).values(), *(self._form or {}).values()]
        if described.key and not any("key" in template.names for template in templates):
            raise Misconfigured(f"{where}: key: is true, but no template sends `key`")
        if self._json is not None and self._form is not None:
            raise Misconfigured(f"{where}: give one of `json_body` and `form`")

    def build(self, values: Mapping[str, Any], endpoint: str | None) -> dict[str, Any]:
        """Return the arguments of a request of httpx; raises `Misconfigured`."""
        built: dict[str, Any] = {"method": self._method, "url": moved(self._url.render(values), endpoint), "headers": _render(self._headers, values)}
        if self._json is not None:
            built["json"] = _render(self._json, values)
        if self._form is not None:
            built["data"] = _render(self._form, values)
        return built


def _templates(sources: Mapping[str, str], where: str) -> dict[str, Template]:
    return {name: Template(source, f"{where}.{name}") for name, source in sources.items()}


def _render(templates: Mapping[str, Template], values: Mapping[str, Any]) -> dict[str, str]:
    return {name: template.render(values) for name, template in templates.items()}


def says_yes(success: Success, answer: Answer) -> bool:
    """Say whether an answer's JSON says that the message was taken. Of a list a number in the path is a place."""
    if not success.path:
        return True
    found, value = _at(success.path, answer.json())
    return found and (not success.equals or _text(value) in success.equals)


def _said(success: Success, answer: Answer) -> str:
    """Return what stands where the yes should be, whole: it is cut once it is scrubbed."""
    found, value = _at(success.path, answer.json())
    return f"{'.'.join(success.path)}={_text(value)}" if success.path and found else ""


def _at(path: tuple[str, ...], value: Any) -> tuple[bool, Any]:
    for key in path:
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return False, None
    return True, value


def _text(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
    return str(value)
