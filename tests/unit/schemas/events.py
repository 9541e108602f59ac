"""Hypothesis strategies of what travels on the topics."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import strategies as st

from schemas.base import Domain, Name, Origin
from schemas.control import RuleActivation, SensorRecord, Tick
from schemas.limit import Case, Dates, Limits, Weekday
from schemas.measure import Aggregate, Agreement, Background, Exceedances, Level, Rate, Regional, Value, Window
from schemas.observation import Observation, Quality, Statistic
from schemas.rule import Also, Applies, Direction, Flapping, Rule, Step, Way
from schemas.sensor import Metric, Sensor
from schemas.tiers import TIERS

ZONES = st.sampled_from([UTC, timezone(timedelta(hours=8)), timezone(-timedelta(hours=9, minutes=30))])
_LETTERS = "abzABZ059"
CODES = st.builds("".join, st.tuples(st.sampled_from(_LETTERS), st.text(_LETTERS + "._:-", max_size=95)))
ADAPTERS = st.builds("{}@{}".format, st.text("az09", min_size=1, max_size=16), CODES)
TEXTS = st.text(st.characters(exclude_characters="".join(map(chr, range(32))) + "\x7f", exclude_categories=["Cs"]), min_size=1, max_size=256)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=ZONES)  # noqa: DTZ001 - naive bounds are what it takes
NAMES = st.builds(Name, zh=TEXTS, en=TEXTS)
METRICS = st.builds(Metric, unit=TEXTS, name=NAMES, low=st.none() | FINITE, high=st.none() | FINITE)
SENSORS = st.builds(
    Sensor,
    id=CODES,
    version=st.integers(1, 1000),
    name=NAMES,
    domain=st.sampled_from(Domain),
    department=CODES,
    street=CODES,
    metrics=st.dictionaries(CODES, METRICS, min_size=1, max_size=3),
    tags=st.frozensets(CODES, max_size=3),
    attributes=st.dictionaries(CODES, CODES, max_size=2),
    adapter=st.text("az09", min_size=1, max_size=16),
    place=st.none() | NAMES,
    longitude=st.none() | st.floats(-180, 180),
    latitude=st.none() | st.floats(-90, 90),
)
TICKS = st.builds(Tick, time=TIMES, node=CODES, adapters=st.dictionaries(ADAPTERS, TIMES, max_size=3))
SENSOR_RECORDS = st.builds(SensorRecord, sensor=SENSORS, path=st.lists(CODES, max_size=3).map(tuple), names=st.lists(NAMES, max_size=3).map(tuple))
SPANS = st.timedeltas(timedelta(microseconds=1), timedelta(days=7))
GRIDS = st.sampled_from([10, 300, 3600, 86_400]).map(lambda seconds: timedelta(seconds=seconds))
HOURS = st.sampled_from(["00:00-24:00", "06:00-22:00", "22:00-06:00", "02:00-04:30"])
CASES = st.builds(
    Case,
    limit=FINITE,
    attributes=st.none() | st.dictionaries(CODES, st.frozensets(CODES, max_size=2), min_size=1, max_size=2),
    hours=HOURS,
    weekdays=st.none() | st.frozensets(st.sampled_from(Weekday), min_size=1),
    dates=st.none() | st.dates().map(lambda day: (Dates(first=day, last=day),)),
)
LIMITS = st.builds(Limits, default=FINITE, cases=st.lists(CASES, max_size=2).map(tuple))
COMBINABLE = (
    st.just(Value())
    | st.builds(Rate, kind=st.just("rate"), over=SPANS, per=SPANS)
    | st.builds(Window, kind=st.just("window"), aggregate=st.sampled_from(Aggregate), length=SPANS, at_least=st.integers(1, 10))
)
MEASURES = (
    COMBINABLE
    | st.builds(Exceedances, kind=st.just("exceedances"), over=LIMITS)
    | st.builds(Agreement, kind=st.just("agreement"), past=LIMITS, within=SPANS, place=st.sampled_from(["street", "attribute:building"]))
    | st.builds(Regional, kind=st.just("regional"), level=st.sampled_from(Level), aggregate=st.sampled_from(Aggregate), length=GRIDS)
    | st.builds(
        Background,
        kind=st.just("background"),
        level=st.sampled_from(Level),
        length=GRIDS,
        cap=st.none() | FINITE,
        stations=st.frozensets(CODES, max_size=2),
    )
)
ALSO = st.builds(Also, metric=CODES, measure=COMBINABLE, fresh=st.none() | SPANS)


@st.composite
def observations(draw: st.DrawFn) -> Observation:
    start, end = sorted([draw(TIMES), draw(TIMES)])
    values = draw(st.dictionaries(CODES, FINITE, min_size=1, max_size=4))
    flagged = draw(st.lists(st.sampled_from(sorted(values)), unique=True))
    return Observation(
        id=draw(TEXTS),
        source=draw(TEXTS),
        department=draw(CODES),
        sensor=draw(CODES),
        street=draw(CODES),
        domain=draw(st.sampled_from(Domain)),
        start=start,
        end=end,
        statistic=draw(st.sampled_from(Statistic)),
        values=values,
        quality={metric: draw(st.sampled_from(Quality)) for metric in flagged},
        origin=draw(st.sampled_from(Origin)),
        received=draw(TIMES),
        traceparent=draw(st.none() | TEXTS),
    )


@st.composite
def ways(draw: st.DrawFn, limit: float) -> Way:
    if draw(st.booleans()):
        dwell = draw(st.timedeltas(timedelta(microseconds=1), timedelta(days=7)))
        return Way.model_validate({"limit": limit, "for": dwell})
    return Way(limit=Limits(default=limit, cases=tuple(draw(st.lists(CASES, max_size=1)))), readings=draw(st.integers(1, 10_000)))


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    """A rule that the model takes: limits in order, each way down on the good side; its measure of any kind."""
    direction = draw(st.sampled_from(Direction))
    sign = 1 if direction is Direction.ABOVE else -1
    tiers = [tier for tier in TIERS if draw(st.booleans())] or [draw(st.sampled_from(TIERS))]
    ups = sorted(draw(st.lists(st.integers(-1000, 1000), min_size=len(tiers), max_size=len(tiers))), key=lambda limit: sign * limit)
    steps = {
        tier: Step(up=draw(ways(float(up))), down=draw(ways(float(up - sign * draw(st.integers(0, 100))))))
        for tier, up in zip(tiers, ups, strict=True)
    }
    measure = draw(MEASURES)
    also = draw(st.dictionaries(CODES, ALSO, max_size=2)) if isinstance(measure, Value | Rate | Window) else {}
    statistic = draw(st.sampled_from(Statistic))
    periods = st.timedeltas(timedelta(0), timedelta(days=31))
    return Rule(
        id=draw(CODES),
        version=draw(st.integers(1, 1000)),
        enabled=draw(st.booleans()),
        name=draw(NAMES),
        applies=Applies(
            metric=draw(CODES),
            domain=draw(st.none() | st.sampled_from(Domain)),
            sensors=draw(st.none() | st.frozensets(CODES, max_size=3)),
            regions=draw(st.none() | st.frozensets(CODES, max_size=3)),
            department=draw(st.none() | CODES),
            tags=draw(st.frozensets(CODES, max_size=3)),
            statistic=statistic,
            period=draw(periods if also and statistic is not Statistic.INSTANT else st.none() | periods),
        ),
        measure=measure,
        also=also,
        fresh=draw(st.none() | SPANS),
        flapping=draw(st.none() | st.builds(Flapping, begins=st.integers(2, 100), within=SPANS, hold=SPANS)),
        direction=direction,
        unit=draw(TEXTS),
        standard=draw(st.none() | TEXTS),
        tiers=steps,
    )


@st.composite
def activations(draw: st.DrawFn) -> RuleActivation:
    rule = draw(rules())
    return RuleActivation(rule=rule, meaning=draw(st.integers(1, rule.version)))
