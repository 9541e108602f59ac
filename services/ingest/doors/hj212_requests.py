"""What the centre asks of an HJ 212 device: sent up to three times, each waited for 10 s.

The device says that it takes it (9011), and how it ended (9012).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum

from protocols.hj212 import TIMEOUT_SECONDS, TRIES, ExeRtn, Kind, Packet, QnRtn, Station, Unencodable, answer_of, encode, kind_of, qn_of
from protocols.hj212 import set_clock as _set_clock
from protocols.hj212 import set_minute_interval as _set_minute_interval
from protocols.hj212 import set_real_time_interval as _set_real_time_interval

MOST_HEARD = 8
"""Answers to one request that wait to be read."""


class Ended(StrEnum):
    """How a request ended."""

    DONE = "done"
    REFUSED = "refused"
    """By 9011; its code says why."""
    FAILED = "failed"
    """By 9012; its code says why."""
    SILENT = "silent"
    """No answer to the last try, or none about its end."""
    GONE = "gone"
    """The device is not connected here."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a request ended."""

    ended: Ended
    code: int | None = None
    """QnRtn or ExeRtn."""


class Requests:
    """The requests under way. To be used on one event loop."""

    def __init__(self, send: Callable[[str, bytes], bool], zone: tzinfo, timeout_s: float = TIMEOUT_SECONDS) -> None:
        """`send` writes to a device by its MN, and says whether it is connected; times are said to devices in `zone`."""
        self._send = send
        self._zone = zone
        self._timeout_s = timeout_s
        self._heard: dict[tuple[str, str], asyncio.Queue[Packet]] = {}

    async def set_clock(self, station: Station, now: datetime) -> Result:
        """1012."""
        return await self.ask(_set_clock(station, at=now.astimezone(self._zone)))

    async def set_real_time_interval(self, station: Station, seconds: int, now: datetime) -> Result:
        """1062."""
        return await self.ask(_set_real_time_interval(station, seconds=seconds, at=now.astimezone(self._zone)))

    async def set_minute_interval(self, station: Station, minutes: int, now: datetime) -> Result:
        """1064; not known to 2005."""
        return await self.ask(_set_minute_interval(station, minutes=minutes, at=now.astimezone(self._zone)))

    def heard(self, packet: Packet) -> bool:
        """Take a device's answer; returns whether it answers a request of ours."""
        heard = self._heard.get((packet.mn, answer_of(packet).qn))
        if heard is None or heard.full():
            return False
        heard.put_nowait(packet)
        return True

    async def ask(self, request: Packet) -> Result:
        """Send a request and return how it ended; when it is cancelled, or the device answers late, nobody listens any more."""
        request = self._named(request)
        try:
            frame = encode(request)
        except Unencodable:
            return Result(Ended.FAILED)
        key = (request.mn, request.qn)
        heard = self._heard[key] = asyncio.Queue[Packet](MOST_HEARD)
        try:
            for _ in range(TRIES):
                if not self._send(request.mn, frame):
                    return Result(Ended.GONE)
                try:
                    return await self._outcome(heard)
                except TimeoutError:
                    continue
            return Result(Ended.SILENT)
        finally:
            del self._heard[key]

    def _named(self, request: Packet) -> Packet:
        """Two requests of one millisecond are told apart by the next that is free."""
        at = datetime.strptime(request.qn[:14], "%Y%m%d%H%M%S")  # noqa: DTZ007 - only its digits are used
        moment = at + timedelta(milliseconds=int(request.qn[14:]))
        while (request.mn, request.qn) in self._heard:
            moment += timedelta(milliseconds=1)
            request = replace(request, qn=qn_of(moment))
        return request

    async def _outcome(self, heard: asyncio.Queue[Packet]) -> Result:
        """Raises TimeoutError while the device has not even said that it takes the request: then it is sent again."""
        async with asyncio.timeout(self._timeout_s):
            first = await heard.get()
        if kind_of(first) is Kind.REQUEST_ANSWER:
            code = answer_of(first).code
            if code != QnRtn.READY:
                return Result(Ended.REFUSED, code)
            try:
                async with asyncio.timeout(self._timeout_s):
                    first = await heard.get()
            except TimeoutError:
                return Result(Ended.SILENT)
        code = answer_of(first).code
        return Result(Ended.DONE if code == ExeRtn.DONE else Ended.FAILED, code)
