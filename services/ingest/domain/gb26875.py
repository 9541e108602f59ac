"""What a frame of GB/T 26875.3 says of our sensors, and what its device is answered.

"Ok" is never said of what is not kept. A frame is confirmed when we have understood it and Kafka has all that it says: what was taken as
observations, what was not on `city.rejected`. It is denied when as a whole it is nothing to us. What is no frame gets no answer. See `Verdict`.

Times are the object's own, in the city's zone, else the frame's, else that of receipt. A state or an operation whose time cannot be true (further
ahead or back than `TimeLimits`) is taken with the next of these, for a fire must not be lost by a wrong clock; a measured value is refused. A clock
counts seconds only: so that a state, a value and an operation of one second do not correct each other, those of values and operations end as many
microseconds later as their type's number says.

What is refused is kept as the frame that came (its time as zeros, where it was none), once for each object that is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from enum import IntFlag, StrEnum
from typing import NamedTuple

from protocols.gb26875 import (
    COMPONENTS,
    SYSTEMS,
    Analogue,
    BadLength,
    Command,
    ComponentState,
    DeviceAction,
    DeviceOperation,
    DeviceState,
    Frame,
    FrameError,
    Incomplete,
    MissingEnd,
    NotThisProtocol,
    Object,
    SystemAction,
    SystemOperation,
    SystemState,
    Unit,
    UnitType,
    WrongChecksum,
    names_of,
    unit_of,
)
from schemas import wire
from schemas.base import Origin
from schemas.link import Gb26875
from schemas.observation import Quality, Statistic
from schemas.rejected import Problem
from services.ingest.domain.accept import Refused, TimeLimits, reading
from services.ingest.domain.registry import Known, Registry

PROTOCOL = "gb26875"

State = SystemState | ComponentState | DeviceState
Operation = SystemOperation | DeviceOperation
_JUDGED = (*State.__args__, *Operation.__args__, Analogue)
_DESCRIPTIONS = frozenset(
    {
        UnitType.SYSTEM_SOFTWARE,
        UnitType.SYSTEM_SETUP,
        UnitType.COMPONENT_SETUP,
        UnitType.SYSTEM_TIME,
        UnitType.DEVICE_SOFTWARE,
        UnitType.DEVICE_SETUP,
        UnitType.DEVICE_TIME,
    }
)
_UPLOADS = _DESCRIPTIONS | {
    UnitType.SYSTEM_STATES,
    UnitType.COMPONENT_STATES,
    UnitType.ANALOGUES,
    UnitType.SYSTEM_OPERATIONS,
    UnitType.DEVICE_STATE,
    UnitType.DEVICE_OPERATIONS,
}
_STATES = frozenset({UnitType.SYSTEM_STATES, UnitType.COMPONENT_STATES, UnitType.DEVICE_STATE})
_CODES: dict[type[FrameError], str] = {
    NotThisProtocol: "not_this_protocol",
    BadLength: "bad_length",
    MissingEnd: "missing_end",
    WrongChecksum: "wrong_checksum",
    Incomplete: "incomplete",
}
_CLEARS = DeviceAction.RESET | DeviceAction.ALARM_CLEARED
"""After these nobody's manual alarm stands; both kinds of operation have the same bits."""


class Verdict(StrEnum):
    """What became of a frame, and so what its device is told (`ANSWERS`)."""

    TAKEN = "taken"
    """All objects of it that concern us are observations."""
    PARTLY = "partly"
    """Some are; the others are kept as refused."""
    HEARTBEAT = "heartbeat"
    """It says nothing, of a device that is registered."""
    DESCRIPTION = "description"
    """Version, setup or clock of a system or the device (types 5 to 8, 25, 26, 28): understood, kept with that reason, no observation."""
    REPLY = "reply"
    """To what we sent."""
    UNKNOWN_DEVICE = "unknown_device"
    UNKNOWN_COMMAND = "unknown_command"
    UNKNOWN_TYPE = "unknown_type"
    REFUSED = "refused"
    """None of its objects could be taken."""
    WRONG_CHECKSUM = "wrong_checksum"
    BROKEN = "broken"
    """It is no frame."""


ANSWERS: dict[Verdict, Command | None] = {
    Verdict.TAKEN: Command.CONFIRM,
    Verdict.PARTLY: Command.CONFIRM,
    Verdict.HEARTBEAT: Command.CONFIRM,
    Verdict.DESCRIPTION: Command.CONFIRM,
    Verdict.REPLY: None,
    Verdict.UNKNOWN_DEVICE: Command.DENY,
    Verdict.UNKNOWN_COMMAND: Command.DENY,
    Verdict.UNKNOWN_TYPE: Command.DENY,
    Verdict.REFUSED: Command.DENY,
    Verdict.WRONG_CHECKSUM: Command.DENY,
    Verdict.BROKEN: None,
}


class Panel(NamedTuple):
    """What sets bit 0, or never does: a maker's panel behind a device, for one type of states."""

    device: str
    type: int
    system: int | None


@dataclass(frozen=True, slots=True)
class Told:
    """What becomes of one frame; nothing of it is done yet."""

    verdict: Verdict
    observations: Sequence[wire.Observation] = ()
    refused: Sequence[Refused] = ()
    department: str | None = None
    """Of the device's first sensor; None where the device is nobody's."""
    on_duty: int | None = None
    """The operator who answered a patrol check."""
    panels: frozenset[Panel] = frozenset()
    """Those that were seen to set bit 0 when they had something to report."""


class _Refusal(Exception):
    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.problem = Problem(code=code, where="", message=message, hint=hint)


@dataclass(slots=True)
class _Draft:
    """What a frame says of one sensor at one time."""

    known: Known
    end: datetime
    origin: Origin
    values: dict[str, float] = field(default_factory=dict)
    quality: dict[str, str] = field(default_factory=dict)


def device_name(source: int) -> str:
    """Return how the registry names a device: the six bytes of its address as they are sent, in hexadecimal."""
    return source.to_bytes(6, "little").hex()


def of_error(error: FrameError) -> Told:
    """Return what becomes of bytes that are no frame, or one with a wrong checksum."""
    code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), "no_frame")
    verdict = Verdict.WRONG_CHECKSUM if isinstance(error, WrongChecksum) else Verdict.BROKEN
    problem = Problem(code=code, where="", message=f"no frame of GB/T 26875.3: {error}", hint="send whole frames, 40 40 to 23 23")
    return Told(verdict, refused=(Refused(problem, None, error.data),))


@dataclass(frozen=True, slots=True)
class Hearing:
    """How frames are read in one city. Pure: the same frame, registry and time give the same."""

    zone: tzinfo
    limits: TimeLimits
    panels: set[Panel] = field(default_factory=set, compare=False)
    """Those that the door heard set bit 0: what is judged again is a drill as it was first."""

    def hear(
        self,
        frame: Frame,
        registry: Registry,
        now: datetime,
        panels: AbstractSet[Panel] = frozenset(),
        only: str | None = None,
        came: datetime | None = None,
    ) -> Told:
        """Return what becomes of a frame; `panels` are those known to set bit 0.

        With `only`, other departments' sensors are refused as theirs. `came` is when a frame came that is heard again: its times are weighed by that.
        """
        if frame.command in {Command.CONFIRM, Command.DENY}:
            return Told(Verdict.REPLY)
        sensors = registry.heard_by(PROTOCOL, device_name(frame.source))
        department = sensors[0].department if sensors else None
        unit = unit_of(frame.unit)
        if (whole := _whole(frame, unit, known=bool(sensors))) is not None:
            verdict, message, hint = whole
            return Told(verdict, refused=(_of_frame(frame, verdict, message, hint),), department=department)
        if not frame.unit:
            return Told(Verdict.HEARTBEAT, department=department)
        return _Reading(self, frame, unit, sensors, now, panels=panels, only=only, came=came or now).told()

    def time(self, own: datetime | None, sent: datetime | None, came: datetime, *, doubted: bool) -> datetime:
        """Return the first of these times that is there, or, where times are `doubted`, that can be true."""
        for naive in (own, sent):
            if naive is None:
                continue
            time = self.aware(naive)
            if not doubted or came - self.limits.past <= time <= came + self.limits.future:
                return time
        return came

    def aware(self, naive: datetime) -> datetime:
        """Return the UTC time of a device's clock."""
        return naive.replace(tzinfo=self.zone).astimezone(UTC)


def _whole(frame: Frame, unit: Unit, *, known: bool) -> tuple[Verdict, str, str] | None:
    """Return why a frame is nothing to us as a whole, with how to mend it."""
    device = device_name(frame.source)
    if frame.command != Command.SEND:
        return Verdict.UNKNOWN_COMMAND, f"command {int(frame.command)} is not for a centre", "send states with command 2"
    if not known:
        return Verdict.UNKNOWN_DEVICE, f"nobody registered the device {device}", f"register a sensor with the link {{'device': '{device}'}}"
    if unit.type in _DESCRIPTIONS:
        return Verdict.DESCRIPTION, f"type {unit.type} describes the device and reports nothing", "nothing is to be done"
    if unit.type not in _UPLOADS and frame.unit:
        return Verdict.UNKNOWN_TYPE, f"type {unit.type} is no report of the standard", "send types 1 to 4, 21 or 24"
    return None


def _of_frame(frame: Frame, verdict: Verdict, message: str, hint: str) -> Refused:
    code = "not_used" if verdict is Verdict.DESCRIPTION else verdict.value
    return Refused(Problem(code=code, where="", message=message, hint=hint), None, frame.encode(), named(device_name(frame.source)))


class _Reading:
    """Reads the objects of one frame of a device that is registered."""

    def __init__(
        self,
        hearing: Hearing,
        frame: Frame,
        unit: Unit,
        sensors: Sequence[Known],
        now: datetime,
        *,
        panels: AbstractSet[Panel],
        only: str | None,
        came: datetime,
    ) -> None:
        self._hearing = hearing
        self._frame = frame
        self._unit = unit
        self._device = device_name(frame.source)
        self._department = sensors[0].department
        self._now = now
        self._came = came
        self._panels = panels
        self._only = only
        self._places: dict[tuple[int | None, str | None], list[Known]] = {}
        for known in sensors:
            link = known.sensor.link
            if isinstance(link, Gb26875):
                self._places.setdefault((link.system, link.component), []).append(known)
        self._drafts: dict[tuple[str, datetime], _Draft] = {}
        self._refused: list[Refused] = []

    def told(self) -> Told:
        """Return what becomes of the frame."""
        for each in self._unit.objects:
            if isinstance(each, _JUDGED):
                self._take(each)
        if (problem := self._unit.problem) is not None:
            self._refuse(Problem(code="bad_unit", where="unit", message=str(problem), hint="send as many objects as the count says"))
        observations = [one for draft in self._drafts.values() if (one := self._observation(draft)) is not None]
        verdict = Verdict.TAKEN if not self._refused else Verdict.PARTLY if observations else Verdict.REFUSED
        return Told(verdict, observations, self._refused, self._department, _on_duty(self._unit.objects), frozenset(self._marking()))

    def _take(self, each: State | Operation | Analogue) -> None:
        place = _place_of(each)
        knowns = self._places.get(place) or (self._places.get((None, None), []) if isinstance(each, SystemOperation) else [])
        end = self._hearing.time(each.time, self._frame.time, self._came, doubted=not isinstance(each, Analogue))
        if self._unit.type not in _STATES:
            end += timedelta(microseconds=self._unit.type)
        try:
            self._check_known(each, place, knowns)
            told = [self._draft(known, each, end) for known in knowns if self._only in {None, known.department}]
            if not any(told):
                self._check_unwanted(each)
        except _Refusal as refusal:
            self._refuse(refusal.problem, named(self._device, *place))

    def _check_known(self, each: State | Operation | Analogue, place: tuple[int | None, str | None], knowns: Sequence[Known]) -> None:
        if not knowns and (isinstance(each, ComponentState) or not _is_quiet(each)):
            system, component = place
            link = {"device": self._device} | ({} if system is None else {"system": system}) | ({} if component is None else {"component": component})
            raise _Refusal("unknown_device", f"nobody registered what says: {said(each)}", f"register it with the link {link}")
        if knowns and self._only is not None and all(known.department != self._only for known in knowns):
            raise _Refusal("not_yours", f"what says it belongs to another department: {said(each)}", "let that department send it again")

    def _draft(self, known: Known, each: State | Operation | Analogue, end: datetime) -> bool:
        """Add what an object says of a sensor; returns whether it says anything that its link names."""
        values = dict(_values(known, each))
        if not values:
            return False
        link = known.sensor.link
        usual = link.origin if isinstance(link, Gb26875) else Origin.REAL
        origin = Origin.EXERCISE if isinstance(each, State) and self._is_drill(known, each) else usual
        draft = self._drafts.setdefault((known.sensor.id, end), _Draft(known, end, origin))
        draft.origin = origin if draft.origin is Origin.EXERCISE else usual
        draft.values |= values
        if isinstance(each, Analogue) and each.quantity is not None and not each.valid:
            draft.quality |= dict.fromkeys(values, Quality.OVER_RANGE.value)
        return _fire_is_told(known, each)

    def _check_unwanted(self, each: State | Operation | Analogue) -> None:
        if not _is_quiet(each):
            raise _Refusal("unknown_metric", f"the link names no word of: {said(each)}", "add the word to the link's states or analogues")

    def _is_drill(self, known: Known, state: State) -> bool:
        """Say whether a fire is a drill; when in doubt it is real."""
        link = known.sensor.link
        if not isinstance(link, Gb26875) or link.drills is False:
            return False
        if link.drills:
            return state.state.test  # also without a fire: what a drill began ends with it
        return state.state.drill and Panel(self._device, self._unit.type, _place_of(state)[0]) in self._panels

    def _marking(self) -> Iterator[Panel]:
        """Yield the panels that set bit 0 beside a fire or a fault.

        A plain normal state does not count: some makers take the bit for "nothing is wrong" and clear it with every alarm, a real fire's too.
        """
        for each in self._unit.objects:
            if isinstance(each, State) and not each.state.test and (each.state.fire or "FAULT" in _set_bits(each.state)):
                yield Panel(self._device, self._unit.type, _place_of(each)[0])

    def _observation(self, draft: _Draft) -> wire.Observation | None:
        sensor = draft.known.sensor.id
        event_id = f"{sensor}:{self._unit.type}:{wire.to_micros(draft.end)}"
        made = reading(
            draft.known,
            event_id=event_id,
            source=f"/devices/{PROTOCOL}/{self._device}",
            values=draft.values,
            quality=draft.quality,
            start=draft.end,
            end=draft.end,
            statistic=Statistic.INSTANT,
            origin=draft.origin,
            now=self._now,
            limits=self._hearing.limits,
        )
        if isinstance(made, Problem):
            self._refuse(made, sensor, event_id)
            return None
        return made

    def _refuse(self, problem: Problem, sensor: str | None = None, event_id: str | None = None) -> None:
        self._refused.append(Refused(problem, event_id, self._frame.encode(), sensor or named(self._device)))


def named(device: str, system: int | None = None, component: str | None = None) -> str:
    """Return how what was refused names a part of a device."""
    return f"{PROTOCOL}:" + "/".join(str(part) for part in (device, system, component) if part is not None)


def said(each: Object) -> str:
    """Return what an object says, for people, in the standard's own words."""
    match each:
        case ComponentState() | Analogue():
            kind = COMPONENTS.get(each.component)
            who = f"component {_component(each)} of system {each.system_address} ({kind.zh if kind else each.component})"
        case SystemState() | SystemOperation():
            kind = SYSTEMS.get(each.system)
            who = f"system {each.system_address} ({kind.zh if kind else each.system})"
        case _:
            who = "the device itself"
    if isinstance(each, Analogue):
        quantity = each.quantity
        return f"{who}: {quantity.zh} {each.value:g} {quantity.unit}" if quantity else f"{who}: analogue {each.kind}, count {each.count}"
    if isinstance(each, Operation):
        return f"{who}: operator {each.operator}, {_words(each.action)}"
    assert isinstance(each, State)  # noqa: S101 - others are not judged
    text = f" “{each.text}”" if isinstance(each, ComponentState) and each.text else ""
    return f"{who}{text}: {_words(each.state)}"


def _words(bits: IntFlag) -> str:
    return "、".join(name.zh for name in names_of(bits)) or f"{int(bits):#06x}"


def _place_of(each: State | Operation | Analogue) -> tuple[int | None, str | None]:
    match each:
        case ComponentState() | Analogue():
            return each.system_address, _component(each)
        case SystemState() | SystemOperation():
            return each.system_address, None
        case _:
            return None, None


def _component(each: ComponentState | Analogue) -> str:
    return each.address.whole.to_bytes(4, "little").hex()


def _set_bits(bits: IntFlag) -> set[str]:
    return {bit.name for bit in type(bits) if bit in bits and bit.name}


def _values(known: Known, each: State | Operation | Analogue) -> Iterator[tuple[str, float]]:
    """Yield the metrics that an object gives a sensor: of a state every bit that has a word, of an operation what was done."""
    words = known.words
    if isinstance(each, Analogue):
        if (word := words.get(f"analogue:{each.kind}")) is not None:
            yield word.metric, word.to(float(each.count) if each.value is None else each.value)
        return
    bits = {bit: bit in each.state for bit in type(each.state)} if isinstance(each, State) else _done(each.action)
    for bit, is_set in bits.items():
        if (word := words.get(f"state:{(bit.name or '').lower()}")) is not None:
            yield word.metric, word.to(float(is_set))
    if isinstance(each, Operation) and (word := words.get("state:operator")) is not None:
        yield word.metric, word.to(float(each.operator))


def _done(action: SystemAction | DeviceAction) -> dict[IntFlag, bool]:
    """Return 1 for what was done; who resets or clears ends the manual alarm that may stand. Of all else an operation says nothing."""
    done: dict[IntFlag, bool] = dict.fromkeys(action, True)
    manual = type(action).MANUAL_ALARM
    return {manual: False} | done if int(action) & _CLEARS else done


def _fire_is_told(known: Known, each: State | Operation | Analogue) -> bool:
    """Say that no fire, and no alarm that somebody gave, is left out: a link that names other bits and not this one would drop it in silence."""
    if isinstance(each, State):
        return not each.state.fire or "state:fire" in known.words
    is_alarm = isinstance(each, Operation) and type(each.action).MANUAL_ALARM in each.action
    return not is_alarm or "state:manual_alarm" in known.words


def _is_quiet(each: State | Operation | Analogue) -> bool:
    """Say whether it does not matter that nobody wants an object: all is as it should be, or somebody answered a patrol check."""
    if isinstance(each, State):
        return int(each.state) in {0, 1}
    return isinstance(each, DeviceOperation) and each.action == DeviceAction.PATROL_ANSWERED


def _on_duty(objects: Iterable[Object]) -> int | None:
    """Return who answered a patrol check, None where nobody did."""
    answers = (each.operator for each in objects if isinstance(each, DeviceOperation) and DeviceAction.PATROL_ANSWERED in each.action)
    return next(answers, None)
