"""What a packet means: its kind, and the values of those that carry data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from protocols.hj212.errors import BadField
from protocols.hj212.packet import Packet, Pair


class Kind(StrEnum):
    """What a packet is for."""

    REAL_TIME = "real_time"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    BOOT = "boot"
    SITE_INFO = "site_info"
    CLOCK_REQUEST = "clock_request"
    """The device asks for its clock to be set."""
    HEARTBEAT = "heartbeat"
    LOGIN = "login"
    REQUEST_ANSWER = "request_answer"
    RESULT = "result"
    NOTICE_ANSWER = "notice_answer"
    DATA_ANSWER = "data_answer"
    UNKNOWN = "unknown"


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "2011": Kind.REAL_TIME,
        "2051": Kind.MINUTE,
        "2061": Kind.HOUR,
        "2031": Kind.DAY,
        "2081": Kind.BOOT,
        "3020": Kind.SITE_INFO,
        "1013": Kind.CLOCK_REQUEST,
        "9011": Kind.REQUEST_ANSWER,
        "9012": Kind.RESULT,
        "9013": Kind.NOTICE_ANSWER,
        "9014": Kind.DATA_ANSWER,
        "9015": Kind.HEARTBEAT,
        "9021": Kind.LOGIN,
    }
)
"""By CN, the same in all editions. 9015 and 9021 are vendors' in 2005 and 2017; a platform with other ones hands `kind_of` its own."""

STATISTICS: Final = frozenset({Kind.REAL_TIME, Kind.MINUTE, Kind.HOUR, Kind.DAY})
"""The kinds that `upload_of` reads."""

_LENGTHS: Final = {Kind.REAL_TIME: timedelta(0), Kind.HOUR: timedelta(hours=1), Kind.DAY: timedelta(days=1)}


class Mark(StrEnum):
    """The letters of a value's Flag, HJ 212-2017."""

    NORMAL = "N"
    STOPPED = "F"
    """The source of the emission stands still."""
    MAINTENANCE = "M"
    MANUAL = "S"
    """Entered by hand."""
    FAULT = "D"
    CALIBRATION = "C"
    OVER_RANGE = "T"
    NO_CONNECTION = "B"


class ValueFault(StrEnum):
    """Why one value is not taken; the rest of its packet is."""

    NO_NUMBER = "no_number"
    """No finite decimal number: empty, `NaN`, hexadecimal, with an exponent, longer than 32 characters, …"""
    NO_TIME = "no_time"
    """Not YYYYMMDDhhmmss."""
    TWICE = "twice"
    """A field that its code has already; the first counts."""


@dataclass(frozen=True, slots=True)
class ValueProblem:
    """One value that is not taken."""

    code: str
    field: str
    text: str
    fault: ValueFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The fields of one pollutant code. `None` is what was not sent, or not readable. Units belong to the device's record, not here."""

    code: str
    rtd: Decimal | None = None
    min: Decimal | None = None
    avg: Decimal | None = None
    max: Decimal | None = None
    cou: Decimal | None = None
    """The total emitted or flown."""
    flag: str | None = None
    """As sent: editions and vendors know more letters than `Mark`."""
    sample_time: datetime | None = None
    others: tuple[Pair, ...] = ()
    """Further fields, as `ZsAvg`, by their name without the code."""

    @property
    def mark(self) -> Mark | None:
        """The flag, if it is a letter of 2017."""
        return Mark(self.flag) if self.flag in _MARKS else None


_MARKS: Final = frozenset(Mark)
_NUMBERS: Final = {"Rtd": "rtd", "Min": "min", "Avg": "avg", "Max": "max", "Cou": "cou"}
_decimal = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?").fullmatch
_MAX_NUMBER: Final = 32
_time = re.compile(r"[0-9]{14}").fullmatch
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9998
"""Within these years every time has one in UTC, whatever the zone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """The values of one time."""

    kind: Kind
    """One of `STATISTICS`."""
    at: datetime
    """DataTime, aware: the instant of real-time values, the start of the period of others."""
    readings: tuple[Reading, ...]
    """By code, in the order of their first field."""
    others: tuple[Pair, ...] = ()
    """Fields of CP that belong to no code, besides DataTime."""
    problems: tuple[ValueProblem, ...] = ()

    def end(self, *, minute_interval: timedelta = timedelta(minutes=10)) -> datetime:
        """Where the period ends. That of minute values is what the device is set to (1064), which no upload says; usual is 10 minutes."""
        return self.at + _LENGTHS.get(self.kind, minute_interval)


def kind_of(packet: Packet, *, kinds: Mapping[str, Kind] = KINDS) -> Kind:
    """What the packet is for, by its CN."""
    return kinds.get(packet.cn, Kind.UNKNOWN)


def upload_of(packet: Packet, zone: tzinfo, *, kinds: Mapping[str, Kind] = KINDS) -> Upload:
    """The values of a data packet whose times are those of `zone`.

    Raises `BadField` where its kind carries no values, or DataTime is missing, no time, or given twice with two values.
    """
    kind = kind_of(packet, kinds=kinds)
    if kind not in STATISTICS:
        raise BadField(f"{packet.cn} carries no values", where="CN")
    pairs = [pair for item in packet.items for pair in item]
    readings, problems = _readings([pair for pair in pairs if all(_split(pair[0]))], zone)
    return Upload(
        kind=kind,
        at=_data_time(pairs, zone),
        readings=readings,
        others=tuple(pair for pair in pairs if pair[0] != "DataTime" and not all(_split(pair[0]))),
        problems=problems,
    )


def time_of(text: str, zone: tzinfo) -> datetime | None:
    """The aware time of YYYYMMDDhhmmss in `zone`, in 1970 to 9998; `None` where it is none."""
    if not _time(text):
        return None
    year, month, day = int(text[:4]), int(text[4:6]), int(text[6:8])
    try:
        time = datetime(year, month, day, int(text[8:10]), int(text[10:12]), int(text[12:14]), tzinfo=zone)
    except ValueError:
        return None
    return time if _FIRST_YEAR <= year <= _LAST_YEAR else None


def _data_time(pairs: list[Pair], zone: tzinfo) -> datetime:
    written = {value for key, value in pairs if key == "DataTime"}
    if len(written) != 1:
        raise BadField("is given twice" if written else "is missing", where="DataTime")
    time = time_of(written.pop(), zone)
    if time is None:
        raise BadField("is not YYYYMMDDhhmmss", where="DataTime")
    return time


def _split(key: str) -> Pair:
    code, _, name = key.rpartition("-")
    return code, name


def _readings(pairs: list[Pair], zone: tzinfo) -> tuple[tuple[Reading, ...], tuple[ValueProblem, ...]]:
    """Fields by code. Devices split a code's fields over items, so items do not matter."""
    codes: dict[str, dict[str, str]] = {}
    problems: list[ValueProblem] = []
    for key, value in pairs:
        code, name = _split(key)
        fields = codes.setdefault(code, {})
        if name in fields:
            problems.append(ValueProblem(code, name, value, ValueFault.TWICE))
        else:
            fields[name] = value
    readings = tuple(_reading(code, fields, zone) for code, fields in codes.items())
    return readings, (*problems, *(problem for reading in readings for problem in _unread(reading, codes[reading.code])))


def _reading(code: str, fields: Mapping[str, str], zone: tzinfo) -> Reading:
    others = tuple((name, value) for name, value in fields.items() if name not in _NUMBERS and name not in {"Flag", "SampleTime"})
    numbers = {attribute: _number(fields[name]) for name, attribute in _NUMBERS.items() if name in fields}
    return Reading(code=code, flag=fields.get("Flag") or None, sample_time=time_of(fields.get("SampleTime", ""), zone), others=others, **numbers)


def _number(text: str) -> Decimal | None:
    return Decimal(text) if len(text) <= _MAX_NUMBER and _decimal(text) else None


def _unread(reading: Reading, fields: Mapping[str, str]) -> Iterator[ValueProblem]:
    """The fields that were sent and are not in the reading. An empty SampleTime is none: devices send it for values without sampling."""
    for name, attribute in _NUMBERS.items():
        if name in fields and getattr(reading, attribute) is None:
            yield ValueProblem(reading.code, name, fields[name], ValueFault.NO_NUMBER)
    if fields.get("SampleTime") and reading.sample_time is None:
        yield ValueProblem(reading.code, "SampleTime", fields["SampleTime"], ValueFault.NO_TIME)
