"""What a packet of an HJ 212 monitor says: observations of the sensors behind it, and what of it is not taken, and why.

Real-time data (2011) are instants at DataTime, from Rtd. Minute, hour and day data (2051, 2061, 2031) are statistics over the period that begins
at DataTime, each its own observation: Avg is the mean, Min and Max are themselves, and Cou is a sum where the link has a word for it. SampleTime
is not used: an analyser's value is of the time that its packet says, else those that cook for an hour would never be in time to warn.

A flag's letter is the quality of all values of its code; no flag is good. A value that is no number, or whose flag nobody knows, is left out and
the others are taken. What a device's record neither knows (`codes`) nor ignores (`ignored`) is left out and told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from protocols.hj212 import (
    STATISTICS,
    BadField,
    FrameProblem,
    Framer,
    Kind,
    Mark,
    Packet,
    PacketError,
    Reading,
    Upload,
    ValueFault,
    decode_data,
    framed,
    kind_of,
    upload_of,
)
from protocols.hj212 import Refused as NoFrame
from schemas import wire
from schemas.link import Hj212
from schemas.observation import Quality, Statistic
from schemas.rejected import Problem
from services.ingest.domain.accept import Refused, TimeLimits, reading
from services.ingest.domain.registry import Known, Registry

PROTOCOL: Final = "hj212"
MEDIA_TYPE: Final = "application/vnd.tongguan.hj212"
"""Of what is kept: a piece of the stream, one frame or, of a split message, those of its parts, by number."""
LONGEST_DATA: Final = 9_999
"""Of a frame that is judged again."""
_SHOWN: Final = 64
"""Characters of a device's words that are shown; as long as a word may be (`schemas.link.Word`)."""

_QUALITIES: Final[Mapping[str, Quality]] = MappingProxyType(
    {
        Mark.NORMAL.value: Quality.GOOD,
        Mark.STOPPED.value: Quality.STOPPED,
        Mark.MAINTENANCE.value: Quality.MAINTENANCE,
        Mark.MANUAL.value: Quality.MANUAL,
        Mark.FAULT.value: Quality.FAULT,
        Mark.CALIBRATION.value: Quality.CALIBRATION,
        Mark.OVER_RANGE.value: Quality.OVER_RANGE,
        Mark.NO_CONNECTION.value: Quality.NO_SIGNAL,
        "P": Quality.FAULT,  # power failure of 2005 (recalled)
    }
)
_INSTANTS: Final = (("Rtd", Statistic.INSTANT),)
_PERIODS: Final = (("Avg", Statistic.MEAN), ("Min", Statistic.MIN), ("Max", Statistic.MAX), ("Cou", Statistic.SUM))
_NUMBERS: Final = ("Rtd", "Avg", "Min", "Max", "Cou")
_NAMING: Final = frozenset({"QN", "CN"})
"""Fields of 2005's CP that name a request."""
_QN_DIGITS: Final = 17

_MEND_FRAME: Final = "mend the device or its line: it sends again what is not answered"
_HINTS: Final[Mapping[FrameProblem, str]] = MappingProxyType(
    {
        FrameProblem.JUNK: "speak HJ 212 on this port: ## length data CRC",
        FrameProblem.BAD_LENGTH: "send four decimal digits of length after ##",
        FrameProblem.TOO_LONG: "split the message: a data part has at most 1024 bytes",
        FrameProblem.UNTERMINATED: "send as many bytes as the length says, then CRC and CR LF",
        FrameProblem.BAD_CRC: "check the device's CRC (HJ 212's, not Modbus') and its line",
    }
)


@dataclass(frozen=True, slots=True)
class Terms:
    """By what uploads are judged."""

    zone: tzinfo
    """Of devices' times: the city's."""
    limits: TimeLimits


@dataclass(frozen=True, slots=True)
class Left:
    """One thing of a packet that is left out."""

    code: str
    """Why: `unknown_code`, `bad_value` or `unknown_flag`."""
    word: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """What an upload says."""

    observations: Sequence[wire.Observation] = ()
    left: Sequence[Left] = ()
    problems: Sequence[Problem] = ()
    """Why readings, or all of it, are not taken; one of each kind."""

    @property
    def acknowledged(self) -> bool:
        """Whether its device is to be told, once Kafka has it, that it was received: not when nothing of it was of use."""
        return bool(self.observations) or not (self.left or self.problems)


# Who speaks


def device_of(packet: Packet) -> str:
    """Return whom a packet names, as refusals have it."""
    return f"{PROTOCOL}:{packet.mn[:_SHOWN]}"


def event_of(packet: Packet) -> str:
    """Return the packet's own name: its command with QN, or with DataTime where it has none."""
    qn = packet.qn if packet.qn.isdigit() and len(packet.qn) == _QN_DIGITS else packet.value("DataTime") or ""
    return f"{packet.cn[:_SHOWN]}/{qn[:_SHOWN]}"


def stranger(packet: Packet, sensors: Sequence[Known], password: str | None) -> Problem | None:
    """Say why a packet is not that of a device that may speak; None when it is. `password` is the device's, None where it has none."""
    if not sensors:
        message, hint = f"no sensor is linked to the device with MN {packet.mn[:_SHOWN]!r}", "adopt it: register a sensor with this link"
        return Problem(code="unknown_device", where="MN", message=message, hint=hint)
    if password is not None and packet.pw != password:
        hint = "set the device's PW, or its entry of device_passwords in the secrets"
        return Problem(code="wrong_password", where="PW", message="the password is not the device's", hint=hint)
    return None


def frame_problem(problem: FrameProblem) -> Problem:
    """Return what is told of bytes that are no frame."""
    return Problem(code=problem.value, where="", message=f"no whole frame of HJ 212: {problem.value}", hint=_HINTS[problem])


def packet_problem(error: PacketError) -> Problem:
    """Return what is told of a frame whose data part cannot be read."""
    return Problem(code="bad_packet", where=error.where, message=str(error), hint="mend the device, or ask its maker for HJ 212-2017")


def command_problem(packet: Packet) -> Problem:
    """Return what is told of a command that carries no readings."""
    if kind_of(packet) is Kind.SITE_INFO:
        return Problem(code="no_reading", where="CN", message="site information (3020) is no reading", hint="read it here; it is kept nowhere else")
    taken = "2011, 2051, 2061 and 2031 are taken"
    return Problem(code="unknown_command", where="CN", message=f"CN {packet.cn[:_SHOWN]!r} is not known", hint=taken)


def problems_of(left: Sequence[Left]) -> list[Problem]:
    """Return what is told of what is left out: one problem of each kind, with the list."""
    kinds: dict[str, list[Left]] = {}
    for one in left:
        kinds.setdefault(one.code, []).append(one)
    return [_problem(code, ones) for code, ones in kinds.items()]


def _problem(code: str, ones: Sequence[Left]) -> Problem:
    said = ", ".join(one.word if not one.text else f"{one.word}={one.text}" for one in ones)
    message, hint = {
        "unknown_code": ("no word of the device's record", "put them into the sensor's link: into `codes`, or into `ignored`"),
        "unknown_flag": ("a flag that is none of HJ 212-2017", "mend the device; its other values are taken"),
    }.get(code, ("no number", "mend the device; its other values are taken"))
    return Problem(code=code, where="CP", message=f"{message}: {said}", hint=hint)


# What it says


def hear(packet: Packet, sensors: Sequence[Known], terms: Terms, now: datetime, only: str | None = None) -> Heard:
    """Return what a data packet says of the sensors behind its device, with `only` of one department's; of a split message, its parts joined."""
    try:
        upload = upload_of(packet, terms.zone)
    except BadField as error:
        return Heard(problems=[packet_problem(error)])
    observations: list[wire.Observation] = []
    problems: dict[str, Problem] = {}
    flags = {each.code: _QUALITIES.get(each.flag or Mark.NORMAL.value) for each in upload.readings}
    for known in sensors:
        if only not in {None, known.department}:
            continue
        for judged in _observed(packet, upload, known, flags, terms, now):
            if isinstance(judged, Problem):
                problems.setdefault(judged.code, judged)
            else:
                observations.append(judged)
    return Heard(observations, list(_left(upload, sensors, flags)), list(problems.values()))


def _observed(
    packet: Packet, upload: Upload, known: Known, flags: Mapping[str, Quality | None], terms: Terms, now: datetime
) -> Iterator[wire.Observation | Problem]:
    link = known.sensor.link
    if not isinstance(link, Hj212):
        return
    end = upload.end(minute_interval=link.minutes)
    for name, statistic in _fields(upload):
        values: dict[str, float] = {}
        quality: dict[str, str] = {}
        for each in upload.readings:
            flag, number = flags[each.code], _number(each, name)
            meant = known.words.get(_word(each.code, name))
            if meant is None or number is None or flag is None:
                continue
            values[meant.metric] = meant.to(float(number))
            if flag is not Quality.GOOD:
                quality[meant.metric] = flag.value
        if values:
            yield reading(
                known,
                event_id=f"{event_of(packet)}/{known.sensor.id}/{statistic.value}",
                source=f"/devices/{PROTOCOL}/{packet.mn}",
                values=values,
                quality=quality,
                start=upload.at,
                end=end,
                statistic=statistic,
                origin=link.origin,
                now=now,
                limits=terms.limits,
            )


def _fields(upload: Upload) -> Sequence[tuple[str, Statistic]]:
    return _INSTANTS if upload.kind is Kind.REAL_TIME else _PERIODS


def _word(code: str, name: str) -> str:
    return f"{code}-Cou" if name == "Cou" else code


def _number(each: Reading, name: str) -> Decimal | None:
    number: Decimal | None = getattr(each, name.lower())
    return number


def _left(upload: Upload, sensors: Sequence[Known], flags: Mapping[str, Quality | None]) -> Iterator[Left]:
    """Yield what is neither taken nor ignored."""
    links = [known.sensor.link for known in sensors]
    ignored = frozenset(word for link in links if isinstance(link, Hj212) for word in link.ignored)
    words = frozenset(word for known in sensors for word in known.words)
    wanted = {_word(each.code, name) for each in upload.readings for name, _ in _fields(upload)} & words
    for each in upload.readings:
        if each.code not in ignored:
            yield from _left_of(each, upload, wanted, ignored, known_flag=flags[each.code] is not None)
    for one in upload.problems:
        if one.fault is not ValueFault.NO_TIME and _word(one.code, one.field) in wanted and one.code not in ignored:
            yield Left("bad_value", f"{one.code}-{one.field}"[:_SHOWN], one.text[:_SHOWN])
    for name, _ in upload.others:
        if name not in ignored and name not in _NAMING:
            yield Left("unknown_code", name[:_SHOWN])


def _left_of(each: Reading, upload: Upload, wanted: set[str], ignored: frozenset[str], *, known_flag: bool) -> Iterator[Left]:
    code = each.code
    if not wanted & {code, f"{code}-Cou"}:
        yield Left("unknown_code", code[:_SHOWN])
        return
    if not known_flag:
        yield Left("unknown_flag", f"{code}-Flag"[:_SHOWN], (each.flag or "")[:_SHOWN])
    taken = {name for name, _ in _fields(upload) if _word(code, name) in wanted}
    sent = [name for name in _NUMBERS if _number(each, name) is not None]
    for name in [*sent, *(name for name, _ in each.others)]:
        if name not in taken and f"{code}-{name}" not in ignored:
            yield Left("unknown_code", f"{code}-{name}"[:_SHOWN])
    if not taken & {*sent, *(one.field for one in upload.problems if one.code == code)}:
        yield Left("bad_value", code[:_SHOWN], "no value")


# Messages of several packets


@dataclass(frozen=True, slots=True)
class Joined:
    """What can be judged of a split message by now."""

    packet: Packet
    data: Sequence[bytes]
    """Of the frames of its parts."""
    answers: Sequence[Packet]
    """The parts that are to be answered when it is in Kafka."""

    @property
    def frames(self) -> bytes:
        """The frames, as they came but for the letters' case of their checksums."""
        return b"".join(map(framed, self.data))


@dataclass(slots=True)
class _Message:
    total: int
    touched: float
    parts: dict[int, Packet] = field(default_factory=dict)
    data: dict[int, bytes] = field(default_factory=dict)
    reached: int = 0
    """The parts from the first to this one were given out."""


_Name = tuple[str, str, str]


class Parts:
    """Joins the parts of messages as they come: with each that has all before it, those up to there are judged again as one packet.

    So each part can be answered when it is in Kafka, also to a device that sends no second before the first is answered, and what is published
    later has all that was published before: a correction that takes nothing back. A message is remembered `timeout_s` after its latest part,
    for repetitions; at most `most` of `most_bytes` each, what was quiet longest gives way. Time is seconds of a steady clock.
    """

    def __init__(self, *, timeout_s: float = 60.0, most: int = 1_000, most_bytes: int = 65_536) -> None:
        self._messages: dict[_Name, _Message] = {}
        self._timeout_s = timeout_s
        self._most = most
        self._most_bytes = most_bytes

    def add(self, packet: Packet, data: bytes, now: float) -> tuple[Joined | None, list[tuple[Packet, bytes]]]:
        """Return what can be judged with this part, None while one before it lacks, and the parts that are given up for it.

        `data` is the frame's.
        """
        part = packet.part
        if part is None or part.total == 1:
            return Joined(packet, (data,), (packet,)), []
        name, gone = _name(packet), []
        message = self._messages.pop(name, None)
        if message is not None and (message.total != part.total or message.parts.get(part.number, packet) != packet):
            gone, message = _waiting(message), None
        message = message or _Message(part.total, now)
        if sum(map(len, message.data.values())) + len(data) > self._most_bytes:
            return None, [*gone, *_waiting(message), (packet, data)]
        self._messages[name] = message
        message.parts[part.number], message.data[part.number], message.touched = packet, data, now
        while len(self._messages) > self._most:
            gone += _waiting(self._messages.pop(next(iter(self._messages))))
        return _joined(message, part.number), gone

    def expire(self, now: float) -> list[tuple[Packet, bytes]]:
        """Forget the messages whose time is over; returns the parts of them that were never given out."""
        over = [name for name, message in self._messages.items() if now - message.touched >= self._timeout_s]
        return [one for name in over for one in _waiting(self._messages.pop(name))]


def _name(packet: Packet) -> _Name:
    return packet.mn, packet.cn, packet.qn or packet.value("QN") or packet.value("DataTime") or ""


def _waiting(message: _Message) -> list[tuple[Packet, bytes]]:
    return [(message.parts[number], message.data[number]) for number in sorted(message.parts) if number > message.reached]


def _joined(message: _Message, number: int) -> Joined | None:
    reached = next(at for at in range(1, message.total + 2) if at not in message.parts) - 1
    before, message.reached = message.reached, reached
    if number > reached:
        return None
    ready = range(1, reached + 1)
    first, *later = (message.parts[at] for at in ready)
    known = set(first.items)
    items = first.items + tuple(item for part in later for item in part.items if item not in known)
    answers = [message.parts[at] for at in ready if at == number or at > before]
    return Joined(replace(first, part=None, items=items), [message.data[at] for at in ready], answers)


# What was kept, judged again


def incomplete_problem(packet: Packet) -> Problem:
    """Return what is told of a part of a message whose first parts never came."""
    part = packet.part
    message = f"part {part.number} of {part.total} came without those before it" if part else "a part came alone"
    return Problem(code="incomplete", where="PNO", message=message, hint=_MEND_FRAME)


def judge_again(
    body: bytes, department: str, registry: Registry, now: datetime, *, terms: Terms, password: Callable[[str], str | None]
) -> tuple[list[wire.Observation], list[Refused]]:
    """Judge what was kept, for one department: frames as they came, or mended. Passwords are asked for anew; the identity is not."""
    observations: list[wire.Observation] = []
    refused: list[Refused] = []
    parts = Parts()
    framer = Framer(max_data=LONGEST_DATA)
    whole: dict[object, Joined] = {}
    for item in framer.feed(body) + framer.close():
        if isinstance(item, NoFrame):
            if item.raw.strip(b"\r\n"):
                refused.append(Refused(frame_problem(item.problem), None, item.raw))
            continue
        try:
            packet = decode_data(item.data)
        except PacketError as error:
            refused.append(Refused(packet_problem(error), None, framed(item.data)))
            continue
        joined, _ = parts.add(packet, item.data, 0.0)
        if joined is not None:
            whole[_name(packet) if packet.part else len(whole)] = joined
    refused += [Refused(incomplete_problem(packet), event_of(packet), framed(data), device_of(packet)) for packet, data in parts.expire(float("inf"))]
    for joined in whole.values():
        heard, problems = _heard_again(joined.packet, department, registry, now, terms, password)
        observations += heard
        refused += [Refused(one, event_of(joined.packet), joined.frames, device_of(joined.packet)) for one in problems]
    return observations, refused


def _heard_again(
    packet: Packet, department: str, registry: Registry, now: datetime, terms: Terms, password: Callable[[str], str | None]
) -> tuple[Sequence[wire.Observation], Sequence[Problem]]:
    sensors = registry.heard_by(PROTOCOL, packet.mn)
    if problem := stranger(packet, sensors, password(packet.mn)):
        return (), [problem]
    if all(known.department != department for known in sensors):
        message, hint = f"the device with MN {packet.mn!r} is another department's", "let that department send it again"
        return (), [Problem(code="not_yours", where="MN", message=message, hint=hint)]
    if kind_of(packet) not in STATISTICS:
        return (), [command_problem(packet)]
    heard = hear(packet, sensors, terms, now, department)
    return heard.observations, [*heard.problems, *problems_of(heard.left)]
