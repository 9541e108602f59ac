"""What every channel is to those who send: a message goes in, a receipt comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit


@dataclass(frozen=True, slots=True)
class Sending:
    """A message to one address."""

    key: str
    """The same whenever it is sent again."""
    address: str = field(repr=False)
    """Of a group channel it is empty: the channel is the address."""
    name: str
    """Of whom it is for."""
    language: str
    title: str
    """For channels that have one (mail, ntfy, webhook, templates of HTTP gateways); the others leave it out."""
    text: str
    """Says all by itself."""


class Trouble(StrEnum):
    """Why a channel did not take a message: what a receipt's reason begins with. After it may stand `: ` and what the channel said."""

    UNREACHABLE = "unreachable"
    """No connection: it has not been sent."""
    TIMED_OUT = "timed out"
    BROKEN_OFF = "broken off"
    """The connection ended before an answer came."""
    THROTTLED = "throttled"
    FAILING = "failing"
    """The service says that it has a problem of its own."""
    UNCLEAR = "unclear answer"
    """Of which it is not known that it means yes."""
    REFUSED = "refused"
    BUSY = "busy"
    """All threads of the channel wait for it: it has not been sent."""
    UNUSABLE = "unusable address"


@dataclass(frozen=True, slots=True)
class Taken:
    """The channel has it: what comes after is not ours to see."""


@dataclass(frozen=True, slots=True)
class Again:
    """Not taken; it may be later."""

    reason: str
    """One line for people, of at most 200 characters, without address or secret."""
    after_s: float | None = None
    """Not before that; None: the channel did not say."""
    maybe: bool = False
    """Whether it may have been taken all the same: it was sent, and no answer came. A next try may be a repetition."""


@dataclass(frozen=True, slots=True)
class Never:
    """Not taken, and it never will be: a bad address, an unknown token, a text that is not allowed."""

    reason: str
    """As that of `Again`."""


Receipt = Taken | Again | Never


class Sender(Protocol):
    """A channel."""

    @property
    def idempotent(self) -> bool:
        """Whether the channel knows a message that comes again by its key, and delivers it once."""
        ...

    async def send(self, sending: Sending) -> Receipt:
        """Send a message; answers within the channel's time-out.

        Raises nothing but cancellation, after which the message may or may not have been taken. Concurrent calls are fine.
        """
        ...


LONGEST_REASON = 200
_SHORTEST_SECRET = 3
"""What is shorter would hide half of every sentence, and hides nothing itself."""


class Scrub:
    """Takes secrets and addresses out of what a channel says."""

    def __init__(self, secret: Mapping[str, str]) -> None:
        self._secret = tuple(secret.values())

    def reason(self, trouble: Trouble, said: str = "", address: str = "") -> str:
        """Return a reason: one line, without control characters, secrets or the address."""
        for hidden in sorted({*self._secret, address}, key=len, reverse=True):
            if len(hidden) >= _SHORTEST_SECRET:
                said = said.replace(hidden, "***")
        line = " ".join("".join(one if one.isprintable() else " " for one in said).split())
        whole = f"{trouble}: {line}" if line else str(trouble)
        return whole if len(whole) <= LONGEST_REASON else whole[: LONGEST_REASON - 1] + "…"


def moved(url: str, endpoint: str | None) -> str:
    """Return a URL at another endpoint (`https://host[:port][/before]`), at its own without one."""
    if endpoint is None:
        return url
    there, here = urlsplit(endpoint), urlsplit(url)
    return urlunsplit(here._replace(scheme=there.scheme, netloc=there.netloc, path=there.path.rstrip("/") + here.path))
