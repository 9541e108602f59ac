"""Requests to a device, and the answers that both sides give.

A request takes this way: the device answers it (9011: taken or not), does it, sends data if any is asked for, and says how it went (9012).
Data that comes with the answer bit is answered by 9014, a notice by 9013. Unanswered, a sender tries again: three times, each after 10 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final

from protocols.hj212.edition import EDITION_2017, Edition
from protocols.hj212.errors import BadField
from protocols.hj212.packet import Flag, Item, Packet
from protocols.hj212.upload import Kind, kind_of

TIMEOUT_SECONDS: Final = 10.0
"""How long a sender waits for an answer, unless 1000 set another time."""
TRIES: Final = 3
"""How often it sends in all."""

_INTERACTION: Final = "91"
"""ST of answers."""


class QnRtn(IntEnum):
    """What 9011 says to a request."""

    READY = 1
    REFUSED = 2
    BAD_PASSWORD = 3
    BAD_MN = 4
    BAD_ST = 5
    BAD_FLAG = 6
    BAD_QN = 7
    BAD_CN = 8
    BAD_CRC = 9
    OTHER = 100


class ExeRtn(IntEnum):
    """What 9012 says of a request's end; taken from public implementations."""

    DONE = 1
    FAILED = 2
    CONDITION = 3
    """It needs what is not there."""
    TIMED_OUT = 4
    BUSY = 5
    SYSTEM_FAULT = 6
    NO_DATA = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """The device that a packet is for or from."""

    mn: str
    st: str
    pw: str = ""
    edition: Edition = EDITION_2017


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, read."""

    kind: Kind
    qn: str
    """Of what it answers; `""` where it does not say."""
    code: int | None
    """A value of `QnRtn` in a 9011 and of `ExeRtn` in a 9012, or a vendor's; `None` in others and where it is no number."""


def qn_of(at: datetime) -> str:
    """YYYYMMDDhhmmsszzz of a time, in its own zone. Two requests within a millisecond have to be told apart by their caller."""
    return f"{at:%Y%m%d%H%M%S}{at.microsecond // 1000:03d}"


def data_answer(packet: Packet) -> Packet:
    """9014: data was received. Each part of a split message is answered."""
    return _answer(packet, "9014")


def notice_answer(packet: Packet) -> Packet:
    """9013: a notice was received, or a heartbeat."""
    return _answer(packet, "9013")


def request_answer(request: Packet, returned: QnRtn = QnRtn.READY) -> Packet:
    """9011: a request is taken, or why it is not."""
    return _answer(request, "9011", (("QnRtn", str(returned.value)),))


def execute_answer(request: Packet, result: ExeRtn = ExeRtn.DONE) -> Packet:
    """9012: how a request ended."""
    return _answer(request, "9012", (("ExeRtn", str(result.value)),))


def answer_of(packet: Packet) -> Answer:
    """A 9011, 9012, 9013 or 9014, read; raises `BadField` for others."""
    kind = kind_of(packet)
    if kind not in _CODES:
        raise BadField(f"{packet.cn} is no answer", where="CN")
    code = packet.value(_CODES[kind]) or ""
    return Answer(kind, packet.qn or packet.value("QN") or "", int(code) if code.isascii() and code.isdigit() and len(code) <= _MAX_CODE else None)


_CODES: Final = {Kind.REQUEST_ANSWER: "QnRtn", Kind.RESULT: "ExeRtn", Kind.NOTICE_ANSWER: "", Kind.DATA_ANSWER: ""}
_MAX_CODE: Final = 4


def read_clock(station: Station, *, at: datetime) -> Packet:
    """1011."""
    return request(station, "1011", at=at)


def set_clock(station: Station, *, at: datetime) -> Packet:
    """1012: the device's clock is set to `at`, in its zone."""
    return request(station, "1012", (("SystemTime", f"{at:%Y%m%d%H%M%S}"),), at=at)


def read_real_time_interval(station: Station, *, at: datetime) -> Packet:
    """1061."""
    return request(station, "1061", at=at)


def set_real_time_interval(station: Station, *, seconds: int, at: datetime) -> Packet:
    """1062: real-time values every so many seconds."""
    return request(station, "1062", (("RtdInterval", str(seconds)),), at=at)


def read_minute_interval(station: Station, *, at: datetime) -> Packet:
    """1063; not known to 2005."""
    return request(station, "1063", at=at)


def set_minute_interval(station: Station, *, minutes: int, at: datetime) -> Packet:
    """1064: minute values are of so many minutes; not known to 2005."""
    return request(station, "1064", (("MinInterval", str(minutes)),), at=at)


def request(station: Station, cn: str, *items: Item, at: datetime) -> Packet:
    """Any request, with its QN from `at`; an answer is wanted."""
    flag = Flag(station.edition, answer=True)
    return Packet(qn=qn_of(at), st=station.st, cn=cn, pw=station.pw, mn=station.mn, flag=flag, items=items)


def _answer(packet: Packet, cn: str, *items: Item) -> Packet:
    edition = packet.edition
    qn = packet.qn or packet.value("QN") or ""
    if edition.quotes_request:
        items = (*_quoted(packet, cn, qn), *items)
        qn = ""
    return Packet(qn=qn, st=_INTERACTION, cn=cn, pw=packet.pw, mn=packet.mn, flag=Flag(edition), items=items)


def _quoted(packet: Packet, cn: str, qn: str) -> tuple[Item, ...]:
    """What 2005 says of the answered in CP; uploads without QN are named by their CN alone."""
    named = ((("QN", qn),),) if qn else ()
    return (*named, (("CN", packet.cn),)) if cn == "9014" else named
