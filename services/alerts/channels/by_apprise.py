"""Channels that Apprise knows: robots of DingTalk, WeCom and Feishu, e-mail, ntfy, webhooks.

Apprise says whether it sent, by the HTTP status alone, and not why not. So it is watched: in the modules of its plugins the name `requests` stands
for a `requests` of ours, which does the same and keeps what was answered, and e-mail's controller of SMTP is a subclass that keeps what the server
said. Who sends outside of a `_Watch` notices nothing of it. `tests/integration/alerts/test_channels.py` holds all of this to Apprise as it is.

Of what Apprise does by itself nothing is used that this room does better: no waiting between two messages, no retries, no splitting, no redirects.
"""

from __future__ import annotations

import io
import json
import logging
import smtplib
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self
from urllib.parse import unquote

import apprise
import requests
from apprise.common import NotifyFormat, PersistentStoreMode
from apprise.exception import AppriseException
from apprise.plugins import NotifyBase
from apprise.plugins.dingtalk import NotifyDingTalk
from apprise.plugins.email import base as email_base
from apprise.plugins.email.smtp import SMTP_EXCEPTIONS, AppriseSMTPController

from schemas.alerting import Channel
from services.alerts.channels.answers import ROBOTS, Answer, accepted_by_ntfy, by_status
from services.alerts.channels.sender import Again, Never, Receipt, Scrub, Sending, Taken, Trouble, moved
from services.alerts.channels.templates import Template
from services.alerts.channels.threads import Busy, Threads
from services.kit.errors import Misconfigured

MOST_THREADS = 4
"""Of each channel, so that one whose service hangs keeps no other waiting."""
_MOST_BODY = 65_536
_CHUNK = 8_192
_SAMPLES = ("sample@example.org", "13800000000", "sample")
"""Addresses by which a URL is tried when it is read and nobody has an address yet."""
_CHARACTERS_OF_TITLE = 200
_ENVELOPE = 200
"""Bytes of what stands around a text in a request."""

# It writes addresses and tokens into its log, and so does urllib3 where it tells of each request.
logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
logging.getLogger("urllib3").setLevel(logging.ERROR)

_ASSET = apprise.AppriseAsset(
    app_id="Tongguan",
    app_desc="Tongguan",
    app_url="",
    storage_mode=PersistentStoreMode.MEMORY,
    http_redirects=False,
    pgp_autogen=False,
    pem_autogen=False,
)


class TooLate(requests.ConnectTimeout):
    """The time was up before anything was sent."""


@dataclass
class _Watch:
    """What goes on in the thread that sends a message."""

    key: str
    endpoint: str | None
    deadline: float
    """Of the monotonic clock."""
    answer: Answer | None = None
    """The last one."""
    error: Exception | None = None
    sent: bool = False
    """Whether a connection stood when `error` came."""
    refused: Mapping[str, tuple[int, bytes]] = field(default_factory=dict)
    """Recipients whom SMTP refused."""

    def in_time(self) -> float:
        """Return the seconds that are left; raises `TooLate` when none are: nobody waits any more, and a next try may be under way."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TooLate
        return left

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        """Do what `requests.request` does, with the time that is left and no more of the body than we read."""
        headers = {**(options.pop("headers", None) or {}), "Idempotency-Key": self.key}
        try:
            options |= {"headers": headers, "timeout": self.in_time(), "allow_redirects": False, "stream": True}
            with requests.Session() as session, session.request(method, moved(url, self.endpoint), **options) as answered:
                return self._keep(answered)
        except requests.RequestException as error:
            self._fail(error)
            raise
        except Exception as error:  # urllib3's own, while the body is read
            self._fail(error)
            raise requests.ConnectionError("broken off") from error

    def _keep(self, answered: requests.Response) -> requests.Response:
        body = b""
        while len(body) < _MOST_BODY and (chunk := answered.raw.read1(_CHUNK, decode_content=True)):
            body += chunk
            if time.monotonic() > self.deadline:
                raise requests.ReadTimeout("the body takes too long")
        self.answer = Answer(answered.status_code, {name.lower(): value for name, value in answered.headers.items()}, body[:_MOST_BODY])
        kept = requests.Response()
        kept.status_code, kept.reason, kept.url = answered.status_code, answered.reason, answered.url
        kept.headers, kept.encoding, kept.raw = answered.headers, answered.encoding, io.BytesIO(self.answer.body)
        return kept

    def _fail(self, error: Exception) -> None:
        self.error = error
        self.sent = not _unconnected(error)


def _unconnected(error: Exception) -> bool:
    """Say whether an error came before there was a connection to send by."""
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.SSLError | requests.exceptions.ProxyError):
        return True
    cause = getattr(error.args[0], "reason", None) if error.args else None
    return any(kind.__name__ == "NewConnectionError" for kind in type(cause).__mro__)  # urllib3's; that of an unknown name is one, too


class _Watched(threading.local):
    watch: _Watch | None = None


_here = _Watched()


class _Requests:
    """`requests` to a plugin of Apprise: all of it as it is, but for the functions that send."""

    def __getattr__(self, name: str) -> Any:
        return getattr(requests, name)

    @staticmethod
    def request(method: str, url: str, **options: Any) -> requests.Response:
        """Send, watched where somebody watches."""
        watch = _here.watch
        return requests.request(method, url, **options) if watch is None else watch.request(method, url, **options)  # noqa: S113 - theirs has one

    def get(self, url: str, params: Any = None, **options: Any) -> requests.Response:
        """Send a GET."""
        return self.request("get", url, params=params, **options)

    def post(self, url: str, data: Any = None, json: Any = None, **options: Any) -> requests.Response:
        """Send a POST."""
        return self.request("post", url, data=data, json=json, **options)

    def put(self, url: str, data: Any = None, **options: Any) -> requests.Response:
        """Send a PUT."""
        return self.request("put", url, data=data, **options)


class _Smtp(AppriseSMTPController):
    """Apprise's connection to a mail server, which keeps why something went wrong."""

    def __enter__(self) -> Self:
        """Connect, secure, sign in."""
        try:
            super().__enter__()
        except SMTP_EXCEPTIONS as error:
            if _here.watch is not None:
                _here.watch.error = error
            raise
        return self

    def sendmail(self, from_addr: str, to_addrs: list[str], message: str) -> bool:
        """Send one mail and say whether all recipients are served."""
        watch = _here.watch
        if watch is None:
            return super().sendmail(from_addr, to_addrs, message)
        connection: smtplib.SMTP = self._socket  # type: ignore[assignment] # it has been entered
        try:
            watch.in_time()
            watch.refused = connection.sendmail(from_addr, to_addrs, message)
        except SMTP_EXCEPTIONS as error:
            watch.error, watch.sent = error, not isinstance(error, TooLate)
            return False
        return not watch.refused


def _observe(plugin: NotifyBase) -> None:
    """Have the modules of a plugin send through us; once is enough, and again does no harm."""
    for kind in type(plugin).__mro__:
        module = sys.modules[kind.__module__]
        if getattr(module, "requests", None) is requests:
            vars(module)["requests"] = _REQUESTS  # the name that the plugin calls
    vars(email_base)["AppriseSMTPController"] = _Smtp  # likewise


_REQUESTS = _Requests()


class BadAddress(Exception):
    """Of an address, and of the channel's secrets, no URL comes that Apprise can use."""


class AppriseSender:
    """A channel of `kind: apprise`."""

    idempotent = False

    def __init__(self, channel: Channel, secret: Mapping[str, str], addresses: tuple[str, ...] = ()) -> None:
        """`addresses` are those that people have on it, by which it is tried. Raises `Misconfigured` when none gives a URL that can be used."""
        where = f"alerting.yaml: channel {channel.id}: url"
        self._channel = channel
        self._secret = secret
        self._scrub = Scrub(secret)
        self._url = Template(channel.url or "", where, url=True)
        self._timeout_s = channel.timeout.total_seconds()
        self._threads: Threads[Receipt] = Threads(MOST_THREADS)
        plugin = self._first([""] if channel.group else [*addresses, *_SAMPLES])
        if plugin is None:
            raise Misconfigured(f"{where}: Apprise cannot use it: look at the way of writing that its documents give for this service")
        if channel.endpoint is not None and isinstance(plugin, email_base.NotifyEmail):
            raise Misconfigured(f"alerting.yaml: channel {channel.id}: endpoint: is of HTTP services; of e-mail give the server in `url`")

    def _first(self, addresses: list[str]) -> NotifyBase | None:
        for address in addresses:
            try:
                return self._plugin(address)
            except BadAddress:
                continue
        return None

    def _plugin(self, address: str) -> NotifyBase:
        url = self._url.render({"address": address, "secret": self._secret})
        plugin = apprise.Apprise.instantiate(url, asset=_ASSET)
        if plugin is None:
            raise BadAddress
        _observe(plugin)
        plugin.request_rate_per_sec = 0
        plugin.socket_connect_timeout = plugin.socket_read_timeout = self._timeout_s
        if isinstance(plugin, NotifyDingTalk) and plugin.secret:
            vars(plugin)["get_signature"] = partial(_signature, plugin.get_signature)
        return plugin

    async def send(self, sending: Sending) -> Receipt:
        """Send a message; see `Sender`."""
        watch = _Watch(sending.key, self._channel.endpoint, time.monotonic() + self._timeout_s)
        try:
            return await self._threads.run(partial(self._send, sending, watch), self._timeout_s)
        except Busy:
            return Again(self._scrub.reason(Trouble.BUSY))
        except TimeoutError:
            return Again(self._scrub.reason(Trouble.TIMED_OUT), maybe=True)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything, and its words may hold the address
            return Again(self._scrub.reason(Trouble.FAILING, type(error).__name__), maybe=True)

    def _send(self, sending: Sending, watch: _Watch) -> Receipt:
        """Send in a thread that blocks."""
        try:
            plugin = self._plugin(sending.address)
        except (BadAddress, Misconfigured):
            return Never(self._scrub.reason(Trouble.UNUSABLE))
        title, text = _fitted(plugin, sending)
        _here.watch = watch
        try:
            went = plugin.notify(body=text, title=title, body_format=NotifyFormat.TEXT, overflow="upstream")
        except AppriseException:
            return Never(self._scrub.reason(Trouble.UNUSABLE))
        finally:
            _here.watch = None
        return self._receipt(plugin, watch, sending.address, went=bool(went))

    def _receipt(self, plugin: NotifyBase, watch: _Watch, address: str, *, went: bool) -> Receipt:
        reason = partial(self._scrub.reason, address=address)
        if watch.error is not None:
            return _broken(watch.error, reason, sent=watch.sent)
        if watch.refused:
            return _smtp(*next(iter(watch.refused.values())), reason)
        if watch.answer is None:
            return Taken() if went else Never(reason(Trouble.UNUSABLE))
        receipt = _meaning(plugin)(watch.answer, self._scrub, address)
        if isinstance(receipt, Taken) and not went:
            return Again(reason(Trouble.UNCLEAR, f"HTTP {watch.answer.status}"))
        return receipt


def _meaning(plugin: NotifyBase) -> Callable[[Answer, Scrub, str], Receipt]:
    scheme = str(plugin.schema)
    if scheme in ROBOTS:
        return ROBOTS[scheme].receipt
    return accepted_by_ntfy if scheme in {"ntfy", "ntfys"} else by_status


def _signature(signed: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    """Return time and signature for DingTalk: Apprise quotes it and has `requests` quote it again, and DingTalk finds that it does not match."""
    stamp, signature = signed()
    return stamp, unquote(signature)


_Reason = Callable[..., str]
_AGAIN, _FINAL = 400, 500
"""SMTP's replies: 4xx may be tried again, 5xx not."""


def _broken(error: Exception, reason: _Reason, *, sent: bool) -> Receipt:
    """Return what an error of HTTP or SMTP means. Its words may hold the URL, so they are not told."""
    match error:
        case smtplib.SMTPRecipientsRefused():
            return _smtp(*next(iter(error.recipients.values())), reason)
        case smtplib.SMTPResponseException():
            return _smtp(error.smtp_code, error.smtp_error, reason)
        case requests.Timeout() | TimeoutError():
            return Again(reason(Trouble.TIMED_OUT), maybe=sent)
    return Again(reason(Trouble.BROKEN_OFF if sent else Trouble.UNREACHABLE), maybe=sent)


def _smtp(code: int, said: bytes | str, reason: _Reason) -> Receipt:
    words = f"SMTP {code} {said.decode(errors='replace') if isinstance(said, bytes) else said}"
    if code >= _FINAL:
        return Never(reason(Trouble.REFUSED, words))
    return Again(reason(Trouble.FAILING, words))


# How much of a text a channel takes


def _fitted(plugin: NotifyBase, sending: Sending) -> tuple[str, str]:
    """Return title and text as the channel takes them; where the title would stand in the text there is none."""
    scheme = str(plugin.schema)
    most = min(plugin.title_maxlen, _CHARACTERS_OF_TITLE) if scheme != "dingtalk" else 0
    title = " ".join(sending.title.split())[: max(most, 0)]
    if scheme == "wecombot":  # counts the text's bytes
        return title, cut(sending.text, plugin.body_maxlen, _bytes)
    # The others count those of the request, in which JSON writes a Chinese character with six.
    return title, cut(sending.text, plugin.body_maxlen - _ENVELOPE - _json_bytes(title), _json_bytes)


def _bytes(text: str) -> int:
    return len(text.encode())


def _json_bytes(text: str) -> int:
    return len(json.dumps(text)) - 2


def cut(text: str, most: int, size: Callable[[str], int]) -> str:
    """Return a text, or as much of its beginning as fits with an ellipsis."""
    if size(text) <= most:
        return text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if size(text[:middle] + "…") <= most:
            fits = middle
        else:
            too_long = middle
    return text[:fits].rstrip() + "…"
