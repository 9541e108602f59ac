"""Made-up histories of one partition: records as ingest would write them, and hypothesis' strategies for random ones."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from schemas import wire
from schemas.base import Name
from schemas.control import RuleActivation, SensorRecord
from schemas.rule import Rule
from schemas.sensor import Sensor
from schemas.tiers import TIERS
from tests.unit.rules.oracle import SECOND

START = 1_760_000_000 * SECOND
HERE, THERE = "990100001", "990200001"
PATHS = {HERE: (HERE, "990100", "990000"), THERE: (THERE, "990200", "990000")}


def name(text: str) -> Name:
    return Name(zh=text, en=text)


def at(seconds: float) -> int:
    """Return microseconds of a time in seconds after the start."""
    return START + round(seconds * SECOND)


def tick(seconds: float) -> wire.Tick:
    return wire.Tick(time=at(seconds), node="n1", adapters={})


def sensor(id_: str = "s1", version: int = 1, street: str = HERE, **fields: Any) -> wire.Sensor:
    metrics = {metric: {"unit": "1", "name": name(metric)} for metric in ("flow", "level")}
    model = Sensor.model_validate(
        {"id": id_, "version": version, "name": name(id_), "domain": "water", "department": "d", "street": street, "metrics": metrics, **fields}
    )
    return wire.of_sensor(SensorRecord(sensor=model, path=PATHS[street]))


def way(limit: float, readings: int = 1, dwell: float | None = None) -> dict[str, Any]:
    """Return the fields of a `Way`; `dwell` is in seconds."""
    return {"limit": limit, "readings": readings} if dwell is None else {"limit": limit, "for": timedelta(seconds=dwell)}


def rule(tiers: dict[str, tuple[dict[str, Any], dict[str, Any]]], id_: str = "r1", version: int = 1, **fields: Any) -> Rule:
    """Return a rule; `tiers` holds (way up, way down) by tier."""
    steps = {tier: {"up": up, "down": down} for tier, (up, down) in tiers.items()}
    applies = {"metric": "flow"}
    whole = {"id": id_, "version": version, "name": name(f"{id_} {version}"), "applies": applies, "direction": "above", "unit": "1", "tiers": steps}
    return Rule.model_validate(whole | fields)


def activation(of: Rule, meaning: int | None = None) -> wire.Activation:
    return wire.of_activation(RuleActivation(rule=of, meaning=meaning or of.version))


def reading(
    seconds: float, *, sensor: str = "s1", street: str = HERE, period: float = 0, quality: dict[str, str] | None = None, **values: float
) -> wire.Observation:
    """Return an observation that ends at `seconds`; with a `period` it is a mean over that time."""
    end = at(seconds)
    return wire.Observation(
        id=f"{sensor}@{seconds:g}:{sorted(values.items())}",
        source="/departments/d",
        department="d",
        sensor=sensor,
        street=street,
        domain="water",
        start=end - round(period * SECOND),
        end=end,
        statistic="mean" if period else "instant",
        values=values,
        quality=quality or {},
        origin="real",
        received=end + 100_000,
    )


VALUES = (0.0, 50.0, 55.0, 60.0, 65.0, 70.0, 75.0, 80.0, 85.0, 90.0, 100.0)
LIMITS = (55.0, 60.0, 70.0, 80.0, 90.0)
SENSORS = ("s1", "s2", "s3")
RULES = ("r1", "r2", "r3")
HOUR, MINUTE = 3600.0, 60.0

_ways: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.integers(1, 3).map(lambda readings: {"readings": readings}),
    st.sampled_from([1, 3, 5, 10, 20, 60, 240]).map(lambda dwell: {"for": timedelta(seconds=dwell)}),
)


@st.composite
def rules(draw: st.DrawFn, id_: str, version: int) -> Rule:
    """Draw a rule with one to four tiers, each with any way up and down."""
    above = draw(st.booleans())
    tiers = [tier for tier in TIERS if draw(st.booleans())] or [draw(st.sampled_from(TIERS))]
    ups = sorted(draw(st.lists(st.sampled_from(LIMITS), min_size=len(tiers), max_size=len(tiers))), reverse=not above)
    steps: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for tier, up in zip(tiers, ups, strict=True):
        down = draw(st.sampled_from([limit for limit in LIMITS if (limit <= up if above else limit >= up)]))
        steps[tier] = ({"limit": up, **draw(_ways)}, {"limit": down, **draw(_ways)})
    applies = {
        "metric": draw(st.sampled_from(["flow", "flow", "level"])),
        "statistic": draw(st.sampled_from(["instant", "instant", "mean"])),
        "sensors": draw(st.sampled_from([None, None, ["s1", "s2"]])),
        "tags": draw(st.sampled_from([[], [], ["tagged"]])),
        "regions": draw(st.sampled_from([None, None, ["990100"]])),
    }
    return rule(steps, id_, version, applies=applies, direction="above" if above else "below")


TICKS = (1, 1, 1, 2, 3, 5, 7, 15, 40, 130, 950, 0, -3)
"""How far time advances; what is not ahead comes late."""
FLAGS = (None, None, None, None, None, None, "flow", "level")
ORIGINS = ("real", "real", "replayed", "exercise")
KINDS = ("reading",) * 20 + ("tick",) * 8 + ("repeat", "repeat", "sensor", "move", "edit", "enable", "rule", "spoil")


class History:
    """Builds a partition's log from drawn commands; keeps versions as the registry and the published rules would."""

    def __init__(self) -> None:
        self.log: list[wire.Record] = []
        self.clock = 0.0
        self.flows = dict.fromkeys((*SENSORS, "unknown"), 0.0)
        """By sensor: its present value."""
        self._sensors = dict.fromkeys(SENSORS, 0)
        self._streets = dict.fromkeys(SENSORS, HERE)
        self._tags: dict[str, list[str]] = {id_: [] for id_ in SENSORS}
        self._rules: dict[str, RuleActivation] = {}

    def sensor(self, id_: str, *, move: bool = False, tagged: bool = False) -> None:
        """A new version of a sensor."""
        self._sensors[id_] += 1
        if move:
            self._streets[id_] = THERE if self._streets[id_] == HERE else HERE
        self._tags[id_] = ["tagged"] if tagged else []
        text = name(f"{id_} {self._sensors[id_]}")
        self.log.append(sensor(id_, self._sensors[id_], self._streets[id_], tags=self._tags[id_], name=text))

    def rule(self, new: Rule) -> None:
        """A new version of a rule, with its meaning as the store would have it."""
        before = self._rules.get(new.id)
        version = before.rule.version + 1 if before else 1
        new = new.model_copy(update={"version": version})
        meaning = before.meaning if before and new.means_the_same(before.rule) else version
        self._rules[new.id] = RuleActivation(rule=new, meaning=meaning)
        self.log.append(wire.of_activation(self._rules[new.id]))

    def edit(self, id_: str, text: str) -> None:
        """Another text of a rule: its meaning stays."""
        if id_ in self._rules:
            self.rule(self._rules[id_].rule.model_copy(update={"name": name(text)}))

    def enable(self, id_: str, *, enabled: bool) -> None:
        """End a rule, or begin it again."""
        if id_ in self._rules:
            self.rule(self._rules[id_].rule.model_copy(update={"enabled": enabled}))

    def reading(self, sensor_id: str, ahead: int, values: dict[str, float], flag: str | None, period: float, origin: str) -> None:
        """A reading of a sensor, from its present street; `ahead` of the newest time, or late."""
        self.clock += 1
        quality = {flag: "fault"} if flag in values else {}
        street = self._streets.get(sensor_id, HERE)
        one = reading(self.clock + ahead, sensor=sensor_id, street=street, period=period, quality=quality, **values)
        self.log.append(changed(one, id=f"o{len(self.log)}", origin=origin))

    def tick(self, advance: float) -> None:
        """Time goes on, or a tick comes late."""
        self.clock += max(0, advance)
        self.log.append(tick(self.clock + min(0, advance)))

    def repeat(self, back: int) -> None:
        """A record comes again."""
        if self.log:
            self.log.append(self.log[-1 - back % len(self.log)])

    def spoil(self, back: int) -> None:
        """A control record of a version to come that cannot be decoded."""
        controls = [record for record in self.log if isinstance(record, wire.Sensor | wire.Activation)]
        if controls:
            broken = controls[-1 - back % len(controls)]
            self.log.append(changed(broken, version=broken.version + 1_000, body=b"{}"))


def changed(record: Any, **fields: Any) -> Any:
    return type(record)(**{name: getattr(record, name) for name in record.__struct_fields__} | fields)


@st.composite
def histories(draw: st.DrawFn, sizes: tuple[int, ...] = (8, 40, 120)) -> list[wire.Record]:
    """Draw a partition's log: readings most of all, ticks, and now and then a change. Seven bytes make a record."""
    history = History()
    for id_ in SENSORS:
        history.sensor(id_, tagged=draw(st.booleans()))
    drawn = [draw(rules(id_, 1)) for id_ in RULES for _ in range(2)]
    for new in drawn[:: draw(st.integers(1, len(drawn)))]:
        history.rule(new)
    size = 7 * draw(st.sampled_from(sizes))
    script = draw(st.binary(min_size=size, max_size=size))
    for at_ in range(0, size, 7):
        _command(history, script[at_ : at_ + 7], drawn)
    return history.log


def _command(history: History, script: bytes, drawn: list[Rule]) -> None:
    kind, which, how, *_ = script
    id_, rule_id = SENSORS[which % len(SENSORS)], RULES[which % len(RULES)]
    commands = {
        "reading": lambda: history.reading(*_reading(history, "unknown" if which % 32 == 9 else id_, script[2:])),
        "tick": lambda: history.tick(TICKS[how % len(TICKS)]),
        "repeat": lambda: history.repeat(how % 20),
        "sensor": lambda: history.sensor(id_, tagged=bool(how % 2)),
        "move": lambda: history.sensor(id_, move=True, tagged=bool(how % 2)),
        "edit": lambda: history.edit(rule_id, f"text {len(history.log)}"),
        "enable": lambda: history.enable(rule_id, enabled=bool(how % 4)),
        "rule": lambda: history.rule(drawn[how % len(drawn)]),
        "spoil": lambda: history.spoil(how % 20),
    }
    commands[KINDS[kind % len(KINDS)]]()


def _reading(history: History, id_: str, script: bytes) -> tuple[str, int, dict[str, float], str | None, float, str]:
    flow, level, ahead, period, flag = script
    if flow % 2:  # else the sensor's value stays, so that runs come about
        history.flows[id_] = VALUES[flow // 2 % len(VALUES)]
    values = {"flow": history.flows[id_]} | ({} if level % 4 else {"level": VALUES[level // 4 % len(VALUES)]})
    periods = (0, 0, 0, 0, 0, MINUTE, MINUTE, HOUR)
    after = -5_000 if ahead % 32 == 31 else ahead % 13 - 6
    return id_, after, values, FLAGS[flag % len(FLAGS)], periods[period % 8], ORIGINS[period // 8 % len(ORIGINS)]
