"""What services answer, and what that means. The robots of DingTalk, WeCom and Feishu say 200 and refuse in the body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from services.alerts.channels.sender import Again, Never, Receipt, Scrub, Taken, Trouble

_OK, _MULTIPLE, _BAD, _SERVER = 200, 300, 400, 500
_TRY_LATER = frozenset({408, 423, 425, 429})
_GATEWAY = frozenset({502, 504})
"""A proxy did not get an answer: the service behind it may have taken the message."""
_TOO_MANY = 429
_LONGEST_WAIT_S = 3_600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body's JSON, None when it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def retry_after_s(self) -> float | None:
        """Return for how long the service asks us to wait: of a date as counted from the answer's own."""
        said = self.headers.get("retry-after", "").strip()
        if said.isdecimal():
            return min(float(said), _LONGEST_WAIT_S)
        try:
            wait = (parsedate_to_datetime(said) - parsedate_to_datetime(self.headers["date"])).total_seconds()
        except (KeyError, ValueError, TypeError):
            return None
        return min(max(wait, 0.0), _LONGEST_WAIT_S)


def by_status(answer: Answer, scrub: Scrub, address: str) -> Receipt:
    """Return what an answer means of which the status says all."""
    if _OK <= answer.status < _MULTIPLE:
        return Taken()
    said = f"HTTP {answer.status}"
    if answer.status in _TRY_LATER or answer.status >= _SERVER:
        trouble = Trouble.THROTTLED if answer.status == _TOO_MANY else Trouble.FAILING
        return Again(scrub.reason(trouble, said, address), answer.retry_after_s(), maybe=answer.status in _GATEWAY)
    return Never(scrub.reason(Trouble.REFUSED, said, address))


@dataclass(frozen=True)
class Robot:
    """A service that says in its JSON whether it took a message, whatever the status says."""

    code: str
    message: str
    throttled: frozenset[int]
    failing: frozenset[int]
    final: frozenset[int]
    """After these no repetition helps: the robot, its key, its signature or its rules for texts. Of a code that is none of all it is tried again."""
    pause_s: float
    """How long to leave it alone when it throttles: it does not say."""
    crowded: str = ""
    """Words in the message that mean throttling, whatever the code."""

    def receipt(self, answer: Answer, scrub: Scrub, address: str) -> Receipt:
        """Return what an answer means."""
        told = answer.json()
        code = _code(told, self.code)
        if code is None:
            plain = by_status(answer, scrub, address)
            return Again(scrub.reason(Trouble.UNCLEAR, f"HTTP {answer.status}", address)) if isinstance(plain, Taken) else plain
        if code == 0:
            return by_status(answer, scrub, address)
        message = str(told.get(self.message, ""))  # whole: what is cut before it is scrubbed may keep half a secret
        said = f"{self.code} {code} {message}"
        if code in self.throttled or answer.status == _TOO_MANY or (self.crowded and self.crowded in message.lower()):
            return Again(scrub.reason(Trouble.THROTTLED, said, address), answer.retry_after_s() or self.pause_s)
        if code in self.final:
            return Never(scrub.reason(Trouble.REFUSED, said, address))
        trouble = Trouble.FAILING if code in self.failing or answer.status >= _SERVER else Trouble.REFUSED
        return Again(scrub.reason(trouble, said, address), answer.retry_after_s())


def _code(told: Any, name: str) -> int | None:
    code = told.get(name) if isinstance(told, dict) else None
    return code if isinstance(code, int) and not isinstance(code, bool) else None


ROBOTS: Mapping[str, Robot] = {
    "dingtalk": Robot(
        code="errcode",
        message="errmsg",
        throttled=frozenset({130101, 410100, 90018, 90030}),
        failing=frozenset({-1}),
        final=frozenset(
            {300001, 300005, 310000, 400013, 400101, 400102, 400105, 400106, 40035, 43004, 430101, 430102, 430103, 430104, 460101},
        ),
        pause_s=60.0,
    ),
    "wecombot": Robot(
        code="errcode",
        message="errmsg",
        throttled=frozenset({45009, 45033}),
        failing=frozenset({-1}),
        final=frozenset({93000, 93004, 93008, 40008, 40058, 44004, 45002}),
        pause_s=60.0,
    ),
    "feishu": Robot(
        code="code",
        message="msg",
        throttled=frozenset({11232, 230020}),
        failing=frozenset({2200}),
        final=frozenset({9499, 19001, 19002, 19021, 19022, 19024, 19036}),
        pause_s=10.0,
        crowded="too many",
    ),
}
"""By the scheme of Apprise's URL. Codes as the services document them; Feishu has 9499 both for a bad request and for too many."""


def accepted_by_ntfy(answer: Answer, scrub: Scrub, address: str) -> Receipt:
    """Return what ntfy's answer means: it gives back the message with its id; a page of some portal on the way does not."""
    told = answer.json()
    plain = by_status(answer, scrub, address)
    if isinstance(plain, Taken) and not (isinstance(told, dict) and told.get("id")):
        return Again(scrub.reason(Trouble.UNCLEAR, f"HTTP {answer.status}", address))
    return plain
