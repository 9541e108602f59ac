"""What we promise, because elsewhere people complain of it: one test for each promise that the engine keeps."""

from __future__ import annotations

from typing import Any

from schemas import wire
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.gateway.domain.access import Part, Reach
from services.gateway.domain.view import View
from services.rules.domain.step import Partition
from tests.unit.gateway.city import CITY, DISTRICT, OTHER_DISTRICT, STREET, TREE
from tests.unit.rules.histories import HERE, MIDNIGHT, THERE, activation, name, reading, rule, sensor, tick, way
from tests.unit.rules.test_regional import City, close, region, stand, within
from tests.unit.rules.test_step import SIMPLE, feed, flows, seconds, started, story

SILENT: dict[str, Any] = {"measure": {"kind": "absence"}, "unit": "s"}
HOUR = 3600


def restarted(partition: Partition) -> Partition:
    """Return what a snapshot of a partition becomes."""
    partition.begin_snapshot()
    pages: dict[int, bytes] = {}
    while taken := partition.take_pages(1 << 20):
        pages |= dict(taken)
    return Partition.restore(pages)


def listen(partition: Partition, first: int, last: int, *, away: bool = False) -> list[Warning]:
    """Tick each second; the adapter listens unless it is away."""
    return [one for second in range(first, last + 1) for one in feed(partition, tick(second, {} if away else {"http@n1": second}))]


def test_promise_1_our_own_silence_is_not_the_devices():
    """After a restart, of ours or of the adapter's, nobody is missed before the adapter has listened for the whole time again."""
    partition = started(rule({"blue": (way(60), way(0))}, **SILENT), sensors=[sensor(f"s{number}") for number in range(50)])
    listen(partition, 1, 10)
    feed(partition, *(reading(10, flow=1, sensor=f"s{number}") for number in range(50)))
    assert listen(partition, 11, 50) == []
    assert listen(partition, 51, HOUR, away=True) == [], "the adapter is away, ticks go on"
    partition = restarted(partition)
    assert feed(partition, tick(2 * HOUR, {"http@n1": 2 * HOUR})) == [], "all was away"
    assert listen(partition, 2 * HOUR + 1, 2 * HOUR + 59) == []
    feed(partition, *(reading(2 * HOUR + 59, flow=1, sensor=f"s{number}") for number in range(1, 50)))
    assert [one.sensor for one in listen(partition, 2 * HOUR + 60, 2 * HOUR + 61)] == ["s0"]


def test_promise_2_messages_milliseconds_apart_make_one_warning():
    """However close readings come, twice or out of order, there is one episode with one id."""
    partition = started(rule(SIMPLE))
    burst = flows(*((10 + milli / 1000, 90) for milli in range(20)))
    told = feed(partition, *burst, *burst, *reversed(burst))
    assert story(told) == [(1, "opened", "yellow", 10)]
    shuffled = started(rule(SIMPLE))
    again = feed(shuffled, *burst[10:], *burst[:10])
    assert len({one.id for one in again}) == 1
    assert sum(one.change == "opened" for one in again) == 1
    assert seconds(again[-1].began_at) == 10


def test_promise_3_time_is_that_of_the_event_and_revisions_come_in_order():
    """What a device brings late is dated when it happened, and of each warning revisions are numbered without a gap."""
    partition = started(rule({"yellow": (way(80, dwell=60), way(70))}))
    feed(partition, tick(0))
    batch = flows(*((second, 90 if second < 600 else 10) for second in range(0, 1000, 10)))
    assert feed(partition, tick(1500)) == []
    told = feed(partition, *batch, tick(1501))
    assert story(told) == [(1, "opened", "yellow", 60), (2, "recovered", "yellow", 600)]
    late = feed(partition, reading(605, flow=90), reading(55, flow=10))
    assert [one.rev for one in told + late if one.id == told[0].id] == list(range(1, 1 + sum(one.id == told[0].id for one in told + late)))
    assert all(seconds(one.began_at) < 1000 for one in late)


def test_promise_4_a_stale_value_raises_nothing_and_missing_data_end_nothing():
    """A value that stood before a gap does not fill it; a warning whose sensor falls silent stays open."""
    partition = started(rule({"yellow": (way(80, dwell=1800), way(70, dwell=1800))}))
    assert feed(partition, reading(0, flow=90), *(tick(second) for second in range(0, 3 * HOUR, 60))) == [], "nobody says that it lasted"
    opened = feed(partition, *flows(*((3 * HOUR + second, 90) for second in range(0, 1860, 60))), tick(3 * HOUR + 1900))
    assert [one.change for one in opened] == ["opened"]
    assert feed(partition, *(tick(second) for second in range(4 * HOUR, 30 * HOUR, 600))) == [], "silence is not health"
    assert feed(partition, reading(30 * HOUR, flow=10), *(tick(30 * HOUR + second) for second in range(600, HOUR, 60))) == [], (
        "one good value, then a gap"
    )
    (over,) = feed(partition, *flows(*((31 * HOUR + second, 10) for second in range(0, 1860, 300))), tick(31 * HOUR + 1805))
    assert over.change == "recovered"


def test_promise_5_a_duration_fires_without_another_message():
    """A dwell is decided by the clock of the log alone, after a restart too, for sensors and for windows of districts."""
    ways = rule({"yellow": (way(80, dwell=60), way(70, dwell=60))})
    for between in (lambda one: one, restarted):
        partition = started(ways)
        feed(partition, reading(0, flow=90))
        partition = between(partition)
        assert feed(partition, tick(64.9)) == []
        assert story(feed(partition, tick(65))) == [(1, "opened", "yellow", 60)]
        feed(partition, reading(100, flow=10))
        partition = between(partition)
        assert story(feed(partition, tick(165))) == [(2, "recovered", "yellow", 160)]
    for restart in (False, True):
        city = City(region(way(80, dwell=1200), 70))
        city.give(*stand(("s1", HERE)), within(0, flow=90), close(0), within(1, flow=90), close(1))
        if restart:
            city.restart()
        assert [one.change for one in city.give(close(2))] == ["opened"]


def test_promise_6_tiers_rise_and_fall_each_in_its_own_time_with_or_and_end_when_not_repeated():
    """Each tier has its way up and its way down; conditions know `any`; what is not repeated for some minutes ends by itself."""
    tiers = {"blue": (way(60, dwell=10), way(55, dwell=30)), "red": (way(90, readings=2), way(80))}
    partition = started(rule(tiers))
    told = feed(partition, *flows((0, 65), (5, 91), (6, 91)), tick(15), *flows((16, 40)), tick(51))
    assert story(told) == [(1, "opened", "red", 6), (2, "lowered", "blue", 16), (3, "recovered", "blue", 46)]
    either = {"any": [{"above": 80}, {"measure": "level", "above": 5}]}
    partition = started(rule({"red": (way(either), way({"not": either}))}, also={"level": {"metric": "level"}}))
    told = feed(partition, reading(1, flow=10, level=6), reading(2, flow=90, level=1), reading(3, flow=10, level=1))
    assert story(told) == [(1, "opened", "red", 1), (2, "recovered", "red", 3)]
    measure = {"kind": "window", "aggregate": "count", "length": 300, "every": 60, "at_least": 0}
    partition = started(rule({"red": (way(1), way(0))}, measure=measure))
    told = feed(partition, tick(MIDNIGHT), reading(MIDNIGHT + 1, flow=1), *(tick(MIDNIGHT + second) for second in range(1, 900)))
    assert story(told) == [(1, "opened", "red", MIDNIGHT + 60), (2, "recovered", "red", MIDNIGHT + 360)]


def test_promise_8_a_parent_region_sees_is_told_and_counts_rightly():
    """Whoever watches the city or a district is shown each warning below once, of sensors and of the regions themselves, and is told its end."""
    city = City(region(level="city", id_="whole"), region(id_="part"), rule(SIMPLE, "each"))
    view = View(TREE)
    reaches = {code: Reach(code, (Part(code, None),)) for code in (CITY, DISTRICT, OTHER_DISTRICT, STREET)}

    def show(told: list[Warning]) -> dict[str, int]:
        for one in told:
            view.take_warning(one, one.model_dump_json().encode())
        return {code: len(view.open_warnings(reach)) for code, reach in reaches.items()}

    assert (HERE, city.sources[0].now) == (STREET, tick(MIDNIGHT).time)
    told = city.give(*stand(("s1", HERE), ("s2", HERE), ("s3", THERE)), within(0, flow=90), within(0, sensor="s2", flow=85))
    told += city.give(within(0, sensor="s3", street=THERE, flow=95), close(0))
    assert sorted((one.rule, one.street) for one in told) == sorted(
        [
            ("each", HERE),
            ("each", HERE),
            ("each", THERE),
            ("part", DISTRICT),
            ("part", OTHER_DISTRICT),
            ("whole", CITY),
        ]
    )
    assert show(told) == {CITY: 6, DISTRICT: 3, OTHER_DISTRICT: 2, STREET: 2}
    assert show(told) == {CITY: 6, DISTRICT: 3, OTHER_DISTRICT: 2, STREET: 2}, "told twice, counted once"
    over = city.give(within(1, flow=0), within(1, sensor="s2", flow=0), within(1, sensor="s3", street=THERE, flow=95), close(1))
    assert show(over) == {CITY: 2, DISTRICT: 0, OTHER_DISTRICT: 2, STREET: 0}


def test_promise_10_a_silence_ends_when_the_device_is_heard_and_each_kind_of_device_has_its_own_time():
    """Also when it was heard before the restart, or says only that it is under maintenance."""
    limit = {"default": 10, "cases": [{"limit": 30, "attributes": {"class": ["slow"]}}]}
    partition = started(rule({"blue": (way(limit), way(0))}, **SILENT), sensors=[sensor(), sensor("s2", attributes={"class": "slow"})])
    told = listen(partition, 1, 40)
    assert [(one.sensor, seconds(one.began_at)) for one in told] == [("s1", 11), ("s2", 31)]
    partition = restarted(partition)
    ended = feed(partition, reading(40, flow=1), reading(3, flow=1, sensor="s2", quality={"flow": "maintenance"}))
    assert [(one.id, one.rev, one.change) for one in ended] == [(one.id, 2, "recovered") for one in told]
    assert listen(partition, 41, 49) == []
    assert [one.sensor for one in listen(partition, 50, 51)] == ["s1"]


def test_promise_12_flapping_does_not_flood_and_one_rule_stops_no_other():
    """A guarded rule tells a few revisions of a hundred flips; a broken or ended rule leaves the rest at work, and after a restart all go on."""
    guard = {"begins": 3, "within": 600, "hold": 300}
    partition = started(rule(SIMPLE, flapping=guard), rule(SIMPLE, "r2"))
    told = feed(partition, *(reading(second, flow=90 if second % 10 == 0 else 0) for second in range(0, 1000, 5)))
    assert sum(one.rule == "r2" for one in told) == 200
    guarded = [one for one in told if one.rule == "r1"]
    assert [one.change for one in guarded] == ["opened", "recovered", "opened", "recovered", "opened"]
    feed(partition, activation(rule(SIMPLE, "r3")), wire.Activation("r0", 1, b"{}"), activation(rule(SIMPLE, "r2", version=2, enabled=False)))
    partition = restarted(partition)
    told = feed(partition, reading(1001, flow=90), reading(1002, flow=0), tick(1400))
    assert [(one.rule, one.change) for one in told] == [("r3", "opened"), ("r3", "recovered"), ("r1", "recovered")]


def test_promise_14_old_and_disabled_rules_never_fire_and_rules_go_on_after_a_restart():
    """What a rule had under way when it was changed or ended is forgotten, also over a restart; an older version changes nothing."""

    def fires(partition: Partition) -> list[Any]:
        return [(one.rule_version, one.change) for one in feed(partition, tick(70), reading(71, flow=90), tick(140))]

    old = rule({"yellow": (way(80, dwell=60), way(70))})
    disabled, other = old.model_copy(update={"version": 2, "enabled": False}), rule({"yellow": (way(95), way(70))}, version=2)
    for restart in (lambda one: one, restarted):
        for change in (disabled, other):
            partition = started(old)
            feed(partition, reading(0, flow=90))
            partition = restart(partition)
            feed(partition, activation(change), activation(old))
            assert fires(restart(partition)) == []
        partition = started(old)
        feed(partition, reading(0, flow=90), activation(old.model_copy(update={"version": 2, "name": name("new")}), meaning=1))
        assert fires(restart(partition)) == [(2, "opened")]
