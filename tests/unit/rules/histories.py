"""Made-up histories of one partition: records as ingest would write them, and random ones, by a seed or drawn by hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

from hypothesis import strategies as st

from schemas import wire
from schemas.base import Name
from schemas.control import RuleActivation, SensorRecord
from schemas.rule import Rule
from schemas.sensor import Sensor
from schemas.tiers import TIERS
from services.rules.domain.plan import relevant

SECOND = 1_000_000
START = 1_760_000_000 * SECOND
HERE, THERE = "990100001", "990200001"
PATHS = {HERE: (HERE, "990100", "990000"), THERE: (THERE, "990200", "990000")}


def name(text: str) -> Name:
    return Name(zh=text, en=text)


def at(seconds: float) -> int:
    """Return microseconds of a time in seconds after the start."""
    return START + round(seconds * SECOND)


def tick(seconds: float, adapters: dict[str, float] | None = None) -> wire.Tick:
    """Return a tick; `adapters` holds the times reported in seconds after the start."""
    return wire.Tick(time=at(seconds), node="n1", adapters={adapter: at(time) for adapter, time in (adapters or {}).items()})


def sensor(id_: str = "s1", version: int = 1, street: str = HERE, *, named: bool = False, **fields: Any) -> wire.Sensor:
    """Return a sensor's record; `named`: with its regions' names."""
    metrics = {metric: {"unit": "1", "name": name(metric)} for metric in ("flow", "level")}
    model = Sensor.model_validate(
        {"id": id_, "version": version, "name": name(id_), "domain": "water", "department": "d", "street": street, "metrics": metrics, **fields}
    )
    names = tuple(name(f"region {code}") for code in PATHS[street]) if named else ()
    return wire.of_sensor(SensorRecord(sensor=model, path=PATHS[street], names=names))


def way(limit: Any, readings: int = 1, dwell: float | None = None) -> dict[str, Any]:
    """Return the fields of a `Way`; `dwell` is in seconds; a limit in words (a dictionary with `all`, `any`, `not` or `measure`) is a `when`."""
    what = {"when": limit} if isinstance(limit, dict) and "default" not in limit else {"limit": limit}
    return what | ({"readings": readings} if dwell is None else {"for": timedelta(seconds=dwell)})


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


def changed(record: Any, **fields: Any) -> Any:
    return type(record)(**{name: getattr(record, name) for name in record.__struct_fields__} | fields)


# Random rules: shapes that make many episodes of values between 0 and 100.

VALUES = (0.0, 50.0, 55.0, 60.0, 65.0, 70.0, 75.0, 80.0, 85.0, 90.0, 100.0)
LIMITS = (55.0, 60.0, 70.0, 80.0, 90.0)
SENSORS = ("s1", "s2", "s3")
RULES = ("r1", "r2", "r3")
MINUTE_S, HOUR_S = 60.0, 3600.0
MIDNIGHT = 25_600.0
"""Seconds from the start to the first midnight in Shanghai; random histories pass it."""

Fields = dict[str, Any]


def _dwell(rng: Random) -> Fields:
    pick = rng.randrange(5)
    if pick < 2:
        return {}
    return {"readings": rng.randint(2, 3)} if pick == 2 else {"for": timedelta(seconds=rng.choice([1, 3, 5, 10, 20, 60, 240]))}


def _limit(rng: Random, number: float, milder: float) -> Any:
    """A number, or one with cases that are milder."""
    pick = rng.randrange(10)
    if pick == 0:
        return {"default": number, "cases": [{"limit": milder, "attributes": {"phase": ["digging"]}}]}
    if pick == 1:
        return {"default": number, "cases": [{"limit": milder, "hours": "22:00-00:00"}, {"limit": number, "weekdays": ["thu"]}]}
    return number


def _tiers(rng: Random, numbers: tuple[float, ...], *, above: bool) -> dict[str, tuple[Fields, Fields]]:
    """One to four tiers, each with any way up and down."""
    tiers = rng.sample(TIERS, rng.choice([1, 1, 2, 3, 4]))
    ups = sorted((rng.choice(numbers) for _ in tiers), reverse=not above)
    steps: dict[str, tuple[Fields, Fields]] = {}
    for tier, up in zip(sorted(tiers, key=TIERS.index), ups, strict=True):
        down = rng.choice([limit for limit in numbers if (limit <= up if above else limit >= up)])
        steps[tier] = ({"limit": _limit(rng, up, numbers[0] if above else numbers[-1]), **_dwell(rng)}, {"limit": down, **_dwell(rng)})
    return steps


def _value(rng: Random) -> Fields:
    above = rng.random() < 0.7
    return {"tiers": _tiers(rng, LIMITS, above=above), "direction": "above" if above else "below"}


def _rate(rng: Random) -> Fields:
    measure = {"kind": "rate", "over": rng.choice([10, 30, 120]), "per": 60}
    return {"measure": measure, "tiers": _tiers(rng, (-17.3, 3.1, 17.3, 61.7), above=True)}


def _window(rng: Random) -> Fields:
    kind = rng.choice(["mean", "min", "max", "sum", "count"])
    numbers = {"sum": (0.0, 110.0, 210.0, 400.0), "count": (0.0, 1.0, 2.0, 4.0)}.get(kind, LIMITS)
    measure = {"kind": "window", "aggregate": kind, "length": rng.choice([10, 60, 300]), "at_least": rng.choice([1, 1, 2])}
    above = kind != "count" or rng.random() < 0.5
    return {"measure": measure, "tiers": _tiers(rng, numbers, above=above), "direction": "above" if above else "below"}


def _grid(rng: Random) -> Fields:
    fields = _window(rng)
    every = rng.choice([30, 60, 60])
    counts = fields["measure"]["aggregate"] == "count"
    more = {"every": every, "length": every * rng.choice([1, 2, 5]), "at_least": 0 if counts and rng.random() < 0.7 else 1}
    return {**fields, "measure": fields["measure"] | more, "tiers": _of_the_hour(fields["tiers"])}


def _of_the_hour(tiers: dict[str, tuple[Fields, Fields]]) -> dict[str, tuple[Fields, Fields]]:
    """Without cases by attribute: of times that have come without a reading nobody says which attributes count."""
    return {tier: tuple(_plain(way) for way in ways) for tier, ways in tiers.items()}  # type: ignore[misc]


def _plain(way: Fields) -> Fields:
    cases = way["limit"]["cases"] if isinstance(way["limit"], dict) else []
    return way | {"limit": way["limit"]["default"]} if any("attributes" in case for case in cases) else way


def _phased(rng: Random) -> Fields:
    """Limits on both ways that follow an attribute of the sensor."""
    fields = rng.choice([_value, _value, _window, _rate, _conditions, _grid])(rng)

    def phased(limit: float) -> Fields:
        return {"default": limit, "cases": [{"limit": limit + rng.choice([-30.0, -10.0, 10.0]), "attributes": {"phase": ["digging"]}}]}

    def those(condition: Fields) -> None:
        for side in ("above", "below"):
            if side in condition:
                condition[side] = phased(condition[side])
        for one in (*condition.get("all", ()), *condition.get("any", ()), *([condition["not"]] if "not" in condition else ())):
            those(one)

    for up, down in fields["tiers"].values():
        for way in (up, down):
            if "when" in way:
                those(way["when"])
            elif not isinstance(way["limit"], dict) and rng.random() < 0.7:
                way["limit"] = phased(way["limit"])
    return fields


def _exceedances(rng: Random) -> Fields:
    over: Any = rng.choice(LIMITS)
    if rng.random() < 0.3:
        over = {"default": over, "cases": [{"limit": 50.0, "hours": "23:00-01:00"}]}
    return {"measure": {"kind": "exceedances", "over": over}, "tiers": _of_the_hour(_tiers(rng, (1.0, 2.0, 4.0, 8.0), above=True))}


def _agreement(rng: Random) -> Fields:
    measure = {
        "kind": "agreement",
        "past": rng.choice(LIMITS),
        "within": rng.choice([5, 30, 300]),
        "place": rng.choice(["street", "attribute:phase"]),
    }
    above = rng.random() < 0.8
    steps: dict[str, tuple[Fields, Fields]] = {"yellow": ({"limit": 2, **_dwell(rng)}, {"limit": rng.choice([0, 1]), **_dwell(rng)})}
    if rng.random() < 0.5:
        steps["red"] = ({"limit": 3, **_dwell(rng)}, {"limit": 2, **_dwell(rng)})
    if not above:
        steps = {"blue": ({"limit": 0, **_dwell(rng)}, {"limit": rng.choice([1, 2]), **_dwell(rng)})}
    return {"measure": measure, "tiers": steps, "direction": "above" if above else "below"}


def _condition(rng: Random, depth: int = 0) -> Fields:
    pick = rng.randrange(7 if depth < 2 else 4)
    if pick >= 4:
        kind = ("all", "any", "not")[pick - 4]
        return {"not": _condition(rng, depth + 1)} if kind == "not" else {kind: [_condition(rng, depth + 1) for _ in range(rng.randint(1, 3))]}
    measure = rng.choice(["main", "other", "rising"])
    number = rng.choice((3.1, 17.3) if measure == "rising" else LIMITS)
    return {"measure": measure, rng.choice(["above", "above", "below"]): number}


def _conditions(rng: Random) -> Fields:
    others = [
        {"kind": "value"},
        {"kind": "window", "aggregate": "mean", "length": 30},
        {"kind": "window", "aggregate": "max", "length": 60, "at_least": 2},
    ]
    also = {
        "other": {
            "metric": "level",
            "statistic": rng.choice(["instant"] * 4 + ["mean"]),
            "measure": rng.choice(others),
            **rng.choice([{}, {"fresh": 20}]),
        },
        "rising": {"metric": rng.choice(["flow", "level"]), "measure": {"kind": "rate", "over": 20, "per": 60}},
    }
    tiers = _of_the_hour(_tiers(rng, LIMITS, above=True))
    for up, down in tiers.values():
        for way in (up, down):
            if rng.random() < 0.7:
                del way["limit"]
                way["when"] = _condition(rng)
    return {"also": also, "tiers": tiers, "applies": {"metric": "flow"}, "measure": rng.choice(others)}


def _absence(rng: Random) -> Fields:
    steps: dict[str, tuple[Fields, Fields]] = {}
    for tier, number in zip(("blue", "orange", "red"), rng.choice([(10, 20, 60), (5, 5, 120)]), strict=True):
        if tier == "blue" or rng.random() < 0.5:
            steps[tier] = ({"limit": number}, {"limit": rng.choice([0, 3]), "readings": rng.choice([1, 1, 2])})
    return {"measure": {"kind": "absence"}, "tiers": steps, "unit": "s"}


SHAPES: dict[str, Callable[[Random], Fields]] = {
    "value": _value,
    "rate": _rate,
    "window": _window,
    "grid": _grid,
    "exceedances": _exceedances,
    "agreement": _agreement,
    "condition": _conditions,
    "absence": _absence,
    "phased": _phased,
}


def random_rule(rng: Random, id_: str, shapes: tuple[str, ...] = tuple(SHAPES)) -> Rule:
    """Return a rule of one of the shapes; `version` is 1."""
    shape = rng.choice(shapes)
    fields = SHAPES[shape](rng)
    applies = {
        "metric": rng.choice(["flow", "flow", "level"]),
        "statistic": "instant" if rng.random() < 0.8 else "mean",
        "period": None,
        "sensors": rng.choice([None, None, None, ["s1", "s2"]]),
        "tags": rng.choice([[], [], ["tagged"]]),
        "regions": rng.choice([None, None, ["990100"]]),
    }
    fields["applies"] = applies | fields.get("applies", {})
    if applies["statistic"] == "mean" and (rng.random() < 0.5 or "also" in fields):
        fields["applies"]["period"] = timedelta(seconds=60)
    if rng.random() < 0.5:
        fields["fresh"] = rng.choice([10, 30, 120])
    if shape != "absence" and rng.random() < 0.3:
        fields["flapping"] = {"begins": rng.choice([2, 3]), "within": rng.choice([60, 600]), "hold": rng.choice([10, 60])}
    if rng.random() < 0.3:
        fields["standard"] = "GB 1"
    fields["timezone"] = rng.choice(["Asia/Shanghai", "Asia/Shanghai", "Asia/Kathmandu"])
    return rule(fields.pop("tiers"), id_, **fields)


# Random histories.

FLAGS = ("fault", "no_signal", "maintenance")
ORIGINS = ("real",) * 8 + ("replayed", "exercise")
TICKS = (1,) * 12 + (2, 3, 5, 7, 15, 0, -3)
JUMPS = (40, 130, 950, 3700)
"""How far time advances; what is not ahead comes late."""
KINDS = (
    ("reading",) * 150
    + ("tick",) * 60
    + ("correct",) * 45
    + ("late",) * 15
    + ("repeat",) * 6
    + ("jump",) * 2
    + ("pause",) * 2
    + ("sensor", "sensor", "move", "edit", "edit", "enable", "rule", "spoil", "stray")
)
RESTLESS = (*KINDS, *("sensor",) * 25)
"""Of rules whose limits follow an attribute."""


class History:
    """Builds a partition's log from commands; keeps versions as the registry and the published rules would."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.log: list[wire.Record] = []
        self.clock = MIDNIGHT - rng.choice([30, 400, 1500])
        self._values = {(id_, metric): 0.0 for id_ in SENSORS for metric in ("flow", "level")}
        self._sensors = dict.fromkeys(SENSORS, 0)
        self._fields: dict[str, Fields] = {id_: {"street": HERE} for id_ in SENSORS}
        self._rules: dict[str, RuleActivation] = {}
        self._told: list[wire.Observation] = []
        self._reported = {"http@n1": self.clock, "http@n2": self.clock}
        self._chatty = rng.choice([SENSORS, (*SENSORS[:1] * 6, *SENSORS)])

    def run(self, size: int, shapes: tuple[str, ...]) -> None:
        """Make at least `size` records: first sensors and rules, then all sorts."""
        for id_ in SENSORS:
            self._fields[id_] |= {"tags": ["tagged"] if self.rng.random() < 0.6 else [], "attributes": self._attributes()}
            self._sensor(id_)
        drawn = [random_rule(self.rng, id_, shapes) for id_ in RULES for _ in range(2)]
        for new in drawn[:: self.rng.randint(1, 2)]:
            self._rule(new)
        kinds = RESTLESS if any("phase" in relevant(one) for one in drawn) else KINDS
        while len(self.log) < size:
            self._command(self.rng.choice(kinds), drawn)

    def _command(self, kind: str, drawn: list[Rule]) -> None:
        rng = self.rng
        commands: dict[str, Callable[[], None]] = {
            "reading": lambda: self._reading(rng.choice([0, 0, 0, 0, 0, 0, -1, -2, -5, -20, 1, 3])),
            "late": lambda: self._reading(rng.choice([-30, -120, -300, -1000, -3550, -3598, -3599, -3602, -3604, -3605, -3606, -3610, -5000])),
            "correct": self._correct,
            "tick": lambda: self._tick(rng.choice(TICKS)),
            "jump": lambda: self._tick(rng.choice(JUMPS)),
            "pause": self._pause,
            "repeat": lambda: self.log.append(self.log[-1 - rng.randrange(min(20, len(self.log)))]),
            "sensor": lambda: self._change(rng.choice(SENSORS), move=False),
            "move": lambda: self._change(rng.choice(SENSORS), move=True),
            "edit": lambda: self._change_rule(kind, rng.choice(drawn)),
            "enable": lambda: self._change_rule(kind, rng.choice(drawn)),
            "rule": lambda: self._change_rule(kind, rng.choice(drawn)),
            "spoil": self._spoil,
            "stray": lambda: self.log.append(reading(self.clock, sensor=rng.choice(["unknown", "s1"]), street=THERE, flow=100.0)),
        }
        commands[kind]()

    def _pause(self) -> None:
        """Nothing comes for a while, not even ticks."""
        self.clock += self.rng.choice(JUMPS)

    def _attributes(self) -> dict[str, str]:
        return self.rng.choice([{}, {"phase": "digging"}, {"phase": "digging"}, {"phase": "roof"}])

    def _sensor(self, id_: str) -> None:
        self._sensors[id_] += 1
        text = name(f"{id_} {self._sensors[id_]}")
        self.log.append(sensor(id_, self._sensors[id_], named=True, name=text, **self._fields[id_]))

    def _change(self, id_: str, *, move: bool) -> None:
        """A new version of a sensor: another place, department, tag, attribute or only its name."""
        fields, rng = self._fields[id_], self.rng
        pick = rng.randrange(4)
        if move and pick:
            fields["street"] = THERE if fields["street"] == HERE else HERE
        elif move:
            fields["department"] = "e" if fields.get("department") != "e" else "d"
        elif pick == 0:
            fields["tags"] = [] if fields["tags"] else ["tagged"]
        elif pick == 1:
            fields["attributes"] = self._attributes()
        self._sensor(id_)

    def _rule(self, new: Rule) -> None:
        """A new version of a rule, with its meaning as the store would have it."""
        before = self._rules.get(new.id)
        version = before.rule.version + 1 if before else 1
        new = new.model_copy(update={"version": version})
        meaning = before.meaning if before and new.means_the_same(before.rule) else version
        self._rules[new.id] = RuleActivation(rule=new, meaning=meaning)
        self.log.append(wire.of_activation(self._rules[new.id]))

    def _change_rule(self, kind: str, drawn: Rule) -> None:
        """Another rule of that id, another text, or an end or a beginning of the present one."""
        if kind == "rule" or drawn.id not in self._rules:
            return self._rule(drawn)
        present = self._rules[drawn.id].rule
        text = name(f"text {len(self.log)}")
        return self._rule(present.model_copy(update={"name": text} if kind == "edit" else {"enabled": not present.enabled}))

    def _reading(self, ahead: float) -> None:
        """A reading of a sensor, from its present street; `ahead` of the newest time, or late."""
        rng = self.rng
        if rng.random() < 0.5:
            self.clock += rng.choice([1, 1, 2])
        id_ = rng.choice(self._chatty)
        metrics = ["flow", "level"] if (pick := rng.random()) < 0.3 else ["flow"] if pick < 0.7 else ["level"]
        for metric in metrics:
            if rng.random() < 0.4:  # else the sensor's value stays, so that runs come about
                self._values[id_, metric] = rng.choice(VALUES)
        values = {metric: self._values[id_, metric] if ahead > -30 else rng.choice(VALUES) for metric in metrics}
        quality = {metrics[0]: rng.choice(FLAGS)} if rng.random() < 0.07 else {}
        period = rng.choice([60, 60, HOUR_S]) if rng.random() < 0.15 else 0
        one = reading(self.clock + ahead, sensor=id_, street=self._fields[id_]["street"], period=period, quality=quality, **values)
        self._log(changed(one, origin=rng.choice(ORIGINS)))

    def _correct(self) -> None:
        """The identity of one of the last readings with another value, or with a flag."""
        if not self._told:
            return self._reading(0)
        one = self._told[-1 - self.rng.randrange(min(30, len(self._told)))]
        values = {metric: self.rng.choice((*VALUES, 0.0, 100.0, 100.0, 100.0)) for metric in one.values}
        quality = {metric: "fault" for metric in values if self.rng.random() < 0.1}
        return self._log(changed(one, values=values, quality=quality, street=self._fields[one.sensor]["street"]))

    def _log(self, one: wire.Observation) -> None:
        one = changed(one, id=f"o{len(self.log)}", received=at(self.clock) + 250_000)
        self._told.append(one)
        self.log.append(one)

    def _tick(self, advance: float) -> None:
        """Time goes on, or a tick comes late; mostly all adapters listen."""
        self.clock += max(0, advance)
        named = [adapter for adapter in self._reported if self.rng.random() < 0.8]
        for adapter in named:
            if self.rng.random() < 0.85:
                self._reported[adapter] = self.clock
        self.log.append(tick(self.clock + min(0, advance), {adapter: self._reported[adapter] for adapter in named}))

    def _spoil(self) -> None:
        """A control record of a version to come that cannot be decoded."""
        controls = [record for record in self.log if isinstance(record, wire.Sensor | wire.Activation)]
        broken = self.rng.choice(controls)
        self.log.append(changed(broken, version=broken.version + 1_000, body=b"{}"))


def make_history(rng: Random, size: int, shapes: tuple[str, ...] = tuple(SHAPES)) -> list[wire.Record]:
    """Return a partition's log with some rules of these shapes."""
    history = History(rng)
    history.run(size, shapes)
    return history.log


def random_history(seed: int, size: int, shapes: tuple[str, ...] = tuple(SHAPES)) -> list[wire.Record]:
    """Return the log of a seed: always the same one."""
    return make_history(Random(seed), size, shapes)


def histories(sizes: tuple[int, ...] = (20, 60)) -> st.SearchStrategy[list[wire.Record]]:
    """Draw a partition's log."""
    return st.builds(make_history, st.randoms(use_true_random=False), st.sampled_from(sizes))
