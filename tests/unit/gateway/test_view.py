"""The live view: what becomes of records, who is told, and that frames are what `schemas.live` says."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import live
from schemas.action import Acknowledgement, Actor, WarningActions
from schemas.health import Heartbeat
from schemas.sensor import Life
from schemas.tiers import Tier
from schemas.warning import Warning  # noqa: A004 - the field's own word
from schemas.wire import from_micros
from services.gateway.domain import view as module
from services.gateway.domain.access import Part, Reach
from services.gateway.domain.view import View
from tests.unit.gateway.city import (
    CITY,
    DISTRICT,
    MICROS,
    NOW,
    OTHER_DISTRICT,
    OTHER_STREET,
    PARENTS,
    SIBLING,
    STREET,
    STREETS,
    TREE,
    name,
    observation,
    sensor,
    warning,
)

POSITION = "cG9z"


def take(view: View, *warnings: Warning) -> None:
    for one in warnings:
        view.take_warning(one, one.model_dump_json().encode())


def whole(region: str) -> Reach:
    """All of a region."""
    return Reach(region, (Part(region, None),))


def only(region: str, *departments: str) -> Reach:
    """What some departments have in a region."""
    return Reach(region, (Part(region, frozenset(departments)),))


def snapshot(view: View, of: str | Reach) -> live.Snapshot:
    return live.Snapshot.model_validate_json(view.snapshot(whole(of) if isinstance(of, str) else of, POSITION, NOW))


def delta(view: View, of: str | Reach, *, values: bool = True) -> live.Delta | None:
    frame = view.delta(whole(of) if isinstance(of, str) else of, POSITION, NOW, values=values)
    return None if frame is None else live.Delta.model_validate_json(frame)


def watching(*of: str | Reach) -> View:
    view = View(TREE)
    for one in of or PARENTS:
        view.watch(whole(one) if isinstance(one, str) else one)
    return view


def actions(number: int = 1, rev: int = 1, street: str = STREET, department: str = "d") -> WarningActions:
    noted = Acknowledgement(by=Actor(id="li", name=name("li")), at=NOW, seen_rev=1, tier=Tier.BLUE, note=f"note {rev}")
    return WarningActions(warning=UUID(int=number), rev=rev, street=street, department=department, acknowledged=noted, command=UUID(int=rev))


def act(view: View, *taken: WarningActions) -> None:
    for one in taken:
        view.take_actions(one, one.model_dump_json().encode())


def live_value(seconds: float = 0, value: float = 1.0, **fields: Any) -> live.LiveValue:
    end = from_micros(MICROS + round(seconds * 1e6))
    whole = {"sensor": "s1", "metric": "flow", "statistic": "instant", "period_s": 0, "quality": "good", "origin": "real"}
    whole |= {"value": value, "at": end, "received_at": end + timedelta(seconds=0.35)}
    return live.LiveValue.model_validate(whole | fields)


def live_sensor(id_: str = "s1", street: str = STREET) -> live.LiveSensor:
    one = sensor(id_, street)
    fields = {"place": one.place, "longitude": one.longitude, "latitude": one.latitude, "metrics": one.metrics}
    return live.LiveSensor(id=one.id, name=one.name, street=one.street, domain=one.domain, department=one.department, **fields)  # type: ignore[arg-type]


def live_region(code: str) -> live.LiveRegion:
    return live.LiveRegion(code=code, parent=PARENTS[code], level=TREE[code].level, name=TREE[code].name)


def test_a_snapshot_is_all_that_is_true_of_its_region():
    view = View(TREE)
    view.take_sensor(sensor())
    view.take_sensor(sensor("s2", OTHER_STREET))
    take(view, warning(1), warning(2, street=OTHER_STREET), warning(3), warning(3, 2, state="cleared"))
    act(view, actions(1), actions(2, street=OTHER_STREET), actions(3))
    view.take_observation(observation(flow=2.5, quality={"flow": "over_range"}))
    view.take_observation(observation(seconds=1, period=60, statistic="mean", flow=-3e-7))
    view.take_observation(observation("s2", street=OTHER_STREET))
    expected = live.Snapshot(
        server_time=NOW,
        position=POSITION,
        region=live_region(STREET),
        path=(live_region(STREET), live_region(DISTRICT), live_region(CITY)),
        children=(),
        below=(),
        actions=(actions(1),),
        sensors=(live_sensor(),),
        warnings=(warning(1),),
        values=(live_value(0, 2.5, quality="over_range"), live_value(1, -3e-7, statistic="mean", period_s=60)),
    )
    assert snapshot(view, STREET) == expected
    city = snapshot(view, CITY)
    assert [region.code for region in city.children] == [DISTRICT, OTHER_DISTRICT]
    assert {(region.code, region.parent) for region in city.below} == set(PARENTS.items()) - {(CITY, None)}
    assert city.actions == (actions(1), actions(2, street=OTHER_STREET))
    assert city.warnings == (warning(1), warning(2, street=OTHER_STREET))
    assert {one.id for one in city.sensors} == {one.sensor for one in city.values} == {"s1", "s2"}


def test_a_snapshot_of_nothing_is_one():
    empty = snapshot(View(TREE), CITY)
    assert (empty.sensors, empty.warnings, empty.values, empty.actions) == ((), (), (), ())


@pytest.mark.parametrize("street", STREETS)
def test_only_the_regions_on_the_path_are_told(street: str):
    view = watching()
    take(view, warning(street=street))
    view.take_sensor(sensor(street=street))
    view.take_observation(observation(street=street))
    act(view, actions(street=street))
    told = {
        "warnings": (warning(street=street),),
        "values": (live_value(),),
        "sensors": (live_sensor(street=street),),
        "actions": (actions(street=street),),
    }
    expected = live.Delta(server_time=NOW, position=POSITION, **told)  # type: ignore[arg-type]
    for region in PARENTS:
        assert delta(view, region) == (expected if region in TREE.path(street) else None)
        assert delta(view, region) is None


def test_what_stands_in_no_region_is_the_citys():
    view = watching()
    take(view, warning(street="123456"))
    assert delta(view, CITY) is not None
    assert all(delta(view, region) is None for region in PARENTS if region != CITY)
    assert len(snapshot(view, CITY).warnings) == 1
    assert all(not snapshot(view, region).warnings for region in PARENTS if region != CITY)


def test_a_sensor_that_says_nothing_new_is_told_to_nobody():
    view = watching()
    view.take_sensor(sensor())
    assert delta(view, STREET) is not None
    view.take_sensor(sensor(version=2))
    assert delta(view, STREET) is None
    view.take_sensor(sensor().model_copy(update={"name": name("new")}))
    assert delta(view, STREET) is not None


def test_of_a_sensor_that_moves_its_old_street_learns_no_value_of_the_new_one():
    view = watching()
    view.take_observation(observation(flow=1.0))
    view.take_observation(observation(seconds=1, street=OTHER_STREET, flow=2.0))
    assert delta(view, STREET) is None
    assert delta(view, DISTRICT) is None
    assert snapshot(view, STREET).values == ()
    for region in (OTHER_STREET, OTHER_DISTRICT, CITY):
        told = delta(view, region)
        assert told is not None
        assert [one.value for one in told.values] == [2.0]


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 5)), max_size=30))
def test_only_a_newer_revision_changes_anything(drawn: list[tuple[int, int]]):
    """Revision 3 clears, 4 opens again, 5 clears."""
    view = watching(STREET)
    newest: dict[int, int] = {}
    told = []
    for number, rev in drawn:
        one = warning(number, rev, state="cleared" if rev in {3, 5} else "open")
        take(view, one)
        if rev > newest.get(number, 0):
            newest[number] = rev
            told.append(one)
    changes = delta(view, STREET)
    assert (changes.warnings if changes else ()) == tuple(told)
    expected = {warning(number, rev) for number, rev in newest.items() if rev not in {3, 5}}
    assert set(snapshot(view, STREET).warnings) == expected
    assert {Warning.model_validate_json(body) for body in view.open_warnings(whole(DISTRICT))} == expected
    assert view.open_warnings(whole(OTHER_DISTRICT)) == []
    assert {view.warning(id_) for id_ in view.open} == expected


def test_the_memory_of_cleared_warnings_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "CLEARED_KEPT", 10)
    view = View(TREE)
    for number in range(1, 31):
        take(view, warning(number, 2, state="cleared"))
    assert len(view._cleared) == 10
    take(view, *(warning(number, 1) for number in range(21, 31)))
    assert snapshot(view, CITY).warnings == ()


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(-1e9, 1e9), st.sampled_from(["good", "fault"])), max_size=30))
def test_of_each_series_the_newest_value_is_told_once_a_turn(drawn: list[tuple[int, float, str]]):
    view = watching(STREET)
    newest: tuple[int, float, str] | None = None
    for seconds, value, flag in drawn:
        view.take_observation(observation(seconds=seconds, flow=value, quality={} if flag == "good" else {"flow": flag}))
        if newest is None or seconds >= newest[0]:
            newest = seconds, value, flag
    expected = () if newest is None else (live_value(newest[0], newest[1], quality=newest[2]),)
    told = delta(view, STREET)
    assert (told.values if told else ()) == expected
    assert snapshot(view, STREET).values == expected
    assert [live.LiveValue.model_validate_json(body) for body in view.values(whole(CITY))] == list(expected)


def test_an_older_value_is_not_told_but_a_corrected_one_is():
    view = watching(STREET)
    view.take_observation(observation(seconds=5, flow=1.0))
    delta(view, STREET)
    view.take_observation(observation(seconds=4, flow=9.0))
    assert delta(view, STREET) is None
    view.take_observation(observation(seconds=5, flow=2.0))
    told = delta(view, STREET)
    assert told is not None
    assert [one.value for one in told.values] == [2.0]


def test_warnings_and_sensors_do_not_wait_for_values():
    view = watching(STREET)
    take(view, warning())
    view.take_observation(observation())
    first = delta(view, STREET, values=False)
    assert first is not None
    assert (len(first.warnings), first.values) == (1, ())
    assert delta(view, STREET, values=False) is None
    second = delta(view, STREET)
    assert second is not None
    assert (second.warnings, len(second.values)) == ((), 1)


def test_nothing_is_collected_for_whom_nobody_watches():
    view = watching(STREET)
    view.unwatch(whole(STREET))
    take(view, warning())
    view.watch(whole(STREET))
    view.watch(whole(STREET))
    assert delta(view, STREET) is None
    view.unwatch(whole(SIBLING))


def test_who_comes_later_is_told_from_then_on():
    view = watching(CITY)
    take(view, warning(1))
    view.watch(whole(STREET))
    take(view, warning(2))
    told = delta(view, STREET)
    assert told is not None
    assert [one.id.int for one in told.warnings] == [2]
    view.unwatch(whole(STREET))
    take(view, warning(3))
    view.watch(whole(STREET))
    assert delta(view, STREET) is None


# Who sees what


REACHES = [
    whole(CITY),
    whole(DISTRICT),
    whole(STREET),
    only(CITY, "d"),
    only(DISTRICT, "e"),
    only(CITY, "d", "e"),
    Reach(CITY, (Part(DISTRICT, None), Part(CITY, frozenset({"e"})))),
]
places = st.tuples(st.sampled_from([*STREETS, "123456"]), st.sampled_from("def"))
events = st.lists(st.tuples(st.sampled_from(["sensor", "value", "warning", "actions"]), st.integers(1, 4), places), max_size=40)


def mark(number: int, street: str, department: str) -> str:
    """Return what can be found in whatever bytes tell of a thing."""
    return f"mark-{number}-{street}-{department}-end"


def happen(view: View, at: int, event: tuple[str, int, tuple[str, str]]) -> None:
    """Let something happen that bears its mark, in a revision of its own."""
    kind, number, (street, department) = event
    marked = name(mark(number, street, department))
    if kind == "sensor":
        view.take_sensor(sensor(f"s{number}", street).model_copy(update={"name": marked, "department": department}))
    elif kind == "value":
        view.take_observation(observation(f"s{number}", at, street=street, flow=at))
    elif kind == "warning":
        take(view, warning(number, at + 1, street=street, department=department, sensor_name=marked, state="open" if at % 3 else "cleared"))
    else:
        one = actions(number, at + 1, street, department)
        noted = Acknowledgement(by=Actor(id="li", name=marked), at=NOW, seen_rev=1, tier=Tier.BLUE)
        act(view, one.model_copy(update={"acknowledged": noted}))


@given(events)
def test_nothing_foreign_is_in_any_frame(drawn: list[tuple[str, int, tuple[str, str]]]):
    """Every mark and value in a frame is of a street and a department within its reach, wherever things have moved since."""
    view, registered = watching(*REACHES), dict[str, tuple[str, str]]()
    for at, event in enumerate(drawn):
        happen(view, at, event)
        if event[0] == "sensor":
            registered[f"s{event[1]}"] = event[2]
        for reach in REACHES:
            frames = [view.snapshot(reach, POSITION, NOW), view.delta(reach, POSITION, NOW, values=at % 2 == 0) or b"{}"]
            for frame in frames:
                told = {(street, department) for _, street, department in re.findall(r"mark-(\d)-(\d+)-(.)-end", frame.decode())}
                assert all(sees(reach, street, department) for street, department in told)
                values = json.loads(frame).get("values", ())
                assert all(
                    sees(reach, _newest_street(drawn[: at + 1], one["sensor"]), registered.get(one["sensor"], ("", None))[1]) for one in values
                )


def _newest_street(happened: list[tuple[str, int, tuple[str, str]]], sensor_: str) -> str:
    return [street for kind, number, (street, _) in happened if (kind, f"s{number}") == ("value", sensor_)][-1]


def sees(reach: Reach, street: str, department: str | None) -> bool:
    """Say by hand what a reach takes in."""
    path = {street, PARENTS.get(street), CITY}
    return any(part.region in path and (part.departments is None or department in part.departments) for part in reach.parts)


@given(events)
def test_who_takes_each_frame_knows_what_a_new_snapshot_says(drawn: list[tuple[str, int, tuple[str, str]]]):
    """Unless they were told that what they may see has changed: then they come back for one."""
    view = watching(*REACHES)
    shown = {reach: set[UUID]() for reach in REACHES}
    for at, event in enumerate(drawn):
        happen(view, at, event)
        for reach in REACHES:
            changes = delta(view, reach)
            for one in changes.warnings if changes else ():
                (shown[reach].add if one.state.value == "open" else shown[reach].discard)(one.id)
            if reach not in view.outdated:
                assert {one.id for one in snapshot(view, reach).warnings} == shown[reach]


def test_a_department_sees_its_own_in_each_frame():
    ours, theirs = only(CITY, "d"), only(CITY, "e")
    view = watching(ours, theirs)
    view.take_sensor(sensor("s1"))
    view.take_sensor(sensor("s2").model_copy(update={"department": "e"}))
    for one in ("s1", "s2", "unknown"):
        view.take_observation(observation(one))
    take(view, warning(1), warning(2, department="e"))
    act(view, actions(1), actions(2, department="e"))
    for reach, number in ((ours, 1), (theirs, 2)):
        for frame in (snapshot(view, reach), delta(view, reach)):
            assert frame is not None
            assert [one.id for one in frame.sensors] == [one.sensor for one in frame.values] == [f"s{number}"]
            assert [one.id.int for one in frame.warnings] == [one.warning.int for one in frame.actions] == [number]
    assert {one.sensor for one in snapshot(view, CITY).values} == {"s1", "s2", "unknown"}


@pytest.mark.parametrize("moved", [{"street": OTHER_STREET}, {"department": "e"}])
def test_who_was_shown_what_moves_away_is_to_come_back(moved: dict[str, str]):
    for move in (lambda view: view.take_sensor(sensor().model_copy(update=moved)), lambda view: take(view, warning(1, 2, **moved))):
        here, there, over = only(STREET, "d"), Reach(CITY, (Part(OTHER_STREET, None), Part(CITY, frozenset({"e"})))), whole(CITY)
        view = watching(here, there, over)
        view.take_sensor(sensor())
        take(view, warning(1))
        assert view.outdated == []
        move(view)
        assert view.outdated == [here]
        view.unwatch(here)
        assert view.outdated == []


# What people did


@given(st.lists(st.tuples(st.sampled_from(["open", "clear", "act"]), st.integers(1, 2), st.integers(1, 6)), max_size=30))
def test_of_each_open_warning_the_newest_actions_are_known(drawn: list[tuple[str, int, int]]):
    view = View(TREE)
    acted: dict[int, int] = {}
    revs: dict[int, tuple[int, bool]] = {}
    for kind, number, rev in drawn:
        if kind == "act":
            act(view, actions(number, rev))
            acted[number] = max(rev, acted.get(number, 0))
        else:
            take(view, warning(number, rev, state="open" if kind == "open" else "cleared"))
            if rev > revs.get(number, (0, False))[0]:
                revs[number] = rev, kind == "open"
    wanted = {(number, rev) for number, rev in acted.items() if revs.get(number, (0, False))[1]}
    assert {(one.warning.int, one.rev) for one in snapshot(view, CITY).actions} == wanted


def test_the_memory_of_actions_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "ACTIONS_KEPT", 10)
    view = View(TREE)
    take(view, warning(1))
    act(view, *(actions(number) for number in range(1, 31)))
    assert len(view._acted_otherwise) == 10
    assert snapshot(view, CITY).actions == (actions(1),)


def heartbeat(view: View, partitions: int = 2) -> live.Heartbeat:
    return live.Heartbeat.model_validate_json(view.heartbeat(POSITION, NOW, partitions))


def test_the_age_of_the_pipeline_is_that_of_its_slowest_partition_once_all_have_ticked():
    view = View(TREE)
    assert heartbeat(view) == live.Heartbeat(server_time=NOW, position=POSITION, pipeline_time=None, services=())
    view.take_tick(0, MICROS + 5)
    assert heartbeat(view).pipeline_time is None
    view.take_tick(1, MICROS + 3)
    assert heartbeat(view).pipeline_time == from_micros(MICROS + 3)
    view.take_tick(1, MICROS + 1)
    view.take_tick(0, MICROS + 9)
    assert heartbeat(view).pipeline_time == from_micros(MICROS + 3)


def beat(service: str, node: str, seconds: float, **fields: Any) -> Heartbeat:
    time = NOW + timedelta(seconds=seconds)
    return Heartbeat.model_validate(
        {"service": service, "node": node, "time": time, "ready": True, "reason": "", "lag": 3, "event_time": time} | fields
    )


def test_a_heartbeat_tells_of_each_node_however_silent_until_another_of_its_service_has_taken_over():
    view = View(TREE)
    beats = [beat("rules", "n1", 0), beat("rules", "n2", 4), beat("history", "n1", 0, ready=False, reason="database: away", event_time=None)]
    for one in beats:
        view.take_heartbeat(one)
    assert set(heartbeat(view).services) == set(beats)
    view.take_heartbeat(beat("rules", "n2", 5))
    assert {(one.service, one.node) for one in heartbeat(view).services} == {("rules", "n1"), ("rules", "n2"), ("history", "n1")}
    view.take_heartbeat(beat("rules", "n2", 5.001))
    view.take_heartbeat(beat("alerts", "n1", 9000))
    assert {(one.service, one.node) for one in heartbeat(view).services} == {("rules", "n2"), ("history", "n1"), ("alerts", "n1")}


def test_frames_name_their_type_and_the_protocol():
    view = watching(STREET)
    take(view, warning())
    assert json.loads(view.snapshot(whole(STREET), POSITION, NOW))["protocol"] == live.PROTOCOL
    street = whole(STREET)
    frames = [view.snapshot(street, POSITION, NOW), view.delta(street, POSITION, NOW, values=True) or b"", view.heartbeat(POSITION, NOW, 1)]
    assert [json.loads(frame)["type"] for frame in frames] == ["snapshot", "delta", "heartbeat"]


def test_ids_stay_apart():
    view = View(TREE)
    take(view, warning(1), warning(2))
    assert {one.id for one in snapshot(view, CITY).warnings} == {UUID(int=1), UUID(int=2)}


def test_a_region_s_own_warning_is_shown_where_the_region_is_and_above_never_below():
    """A district's or the city's warning has no sensor; a street below it is not told of it, in snapshot or delta."""
    of_district = warning(1, street=DISTRICT, sensor=None, sensor_name=name("district"), subject=f"{DISTRICT}/pm10")
    of_city = warning(2, street=CITY, sensor=None, sensor_name=name("city"), subject=f"{CITY}/pm10")
    view = watching()
    take(view, of_district, of_city)
    seen: dict[str, set[int]] = {CITY: {1, 2}, DISTRICT: {1}, OTHER_DISTRICT: set(), STREET: set(), SIBLING: set(), OTHER_STREET: set()}
    for region, wanted in seen.items():
        assert {one.id.int for one in snapshot(view, region).warnings} == wanted, region
        told = delta(view, region)
        assert {one.id.int for one in (told.warnings if told else ())} == wanted, region
    assert snapshot(view, only(DISTRICT, "d")).warnings == (of_district,)
    assert snapshot(view, only(DISTRICT, "other")).warnings == ()


def test_a_warning_told_as_over_that_is_reopened_is_open_again_with_what_people_did():
    view = watching(STREET)
    take(view, warning(1, tier="red"))
    act(view, actions(1))
    take(view, warning(1, 2, tier="red", state="cleared"), warning(1, 3, tier="red", change="reopened"), warning(1, 2, tier="red", state="cleared"))
    shown = snapshot(view, STREET)
    assert [(one.rev, one.change) for one in shown.warnings] == [(3, "reopened")]
    assert shown.actions == (actions(1),)
    take(view, warning(1, 4, state="cleared", change="retracted"))
    assert snapshot(view, STREET).warnings == ()


def test_the_unit_of_a_sensor_s_metric_is_known_from_the_registry_alone():
    view = View(TREE)
    view.take_sensor(sensor())
    assert (view.unit("s1", "flow"), view.unit("s1", "level"), view.unit("s2", "flow"), view.unit(None, "flow")) == ("L/s", None, None, None)


tiers = st.sampled_from(Tier)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(STREETS),
            st.sampled_from(["d", "e"]),
            tiers,
            st.sampled_from(["opened", "raised", "lowered", "reopened"]),
            st.integers(1, 3),
        ),
        max_size=8,
    ),
    st.data(),
)
def test_how_many_warnings_stand_and_how_many_of_them_wait_for_an_answer(known: list[tuple[str, str, Tier, str, int]], data: st.DataObject):
    view, waiting = View(TREE), 0
    for number, (street, department, tier, change, rev) in enumerate(known, 1):
        take(view, warning(number, rev, street=street, department=department, tier=tier, change=change))
        seen, seen_rev = data.draw(tiers), data.draw(st.integers(1, 3))
        by = {"by": Actor(id="li", name=name("li")), "at": NOW, "seen_rev": seen_rev, "tier": seen, "note": "note"}
        how = data.draw(st.sampled_from(["acknowledged", "cleared", None]))
        done = actions(number, street=street, department=department).model_dump() | {"acknowledged": None} | ({how: by} if how else {})
        acted = WarningActions.model_validate(done)
        view.take_actions(acted, acted.model_dump_json().encode())
        rose = rev if change in {"raised", "reopened"} else 1
        holds = how is not None and seen.gravity >= tier.gravity and (seen_rev >= rose or how == "cleared")
        waiting += not holds and street != OTHER_STREET and department == "d"
    there = sum(street != OTHER_STREET and department == "d" for street, department, *_ in known)
    assert view.standing(only(DISTRICT, "d")) == (there, waiting)
    assert view.standing(whole(CITY))[0] == len(known)


def acknowledged(rev: int, tier: Tier = Tier.RED) -> WarningActions:
    noted = Acknowledgement(by=Actor(id="li", name=name("li")), at=NOW, seen_rev=rev, tier=tier)
    return actions().model_copy(update={"acknowledged": noted})


changes = st.sampled_from(["raised", "lowered", "revised", "reopened", "cleared"])


@given(st.lists(st.tuples(changes, tiers), max_size=6), st.integers(1, 7), tiers)
def test_an_acknowledgement_that_a_rise_or_a_reopening_has_outdated_counts_no_more(steps: list[tuple[str, Tier]], seen_rev: int, seen: Tier):
    """Whatever revisions come after."""
    view, rose, state, tier = View(TREE), 1, "open", Tier.BLUE
    take(view, warning(tier=tier))
    act(view, acknowledged(seen_rev, seen))
    for rev, (change, next_tier) in enumerate(steps, 2):
        state, tier = "cleared" if change == "cleared" else "open", next_tier
        again = "reopened" if view.warning(UUID(int=1)) is None else change
        take(view, warning(1, rev, tier=tier, state=state, change="recovered" if state == "cleared" else again))
        rose = rev if again in {"raised", "reopened"} else rose
    waits = seen.gravity < tier.gravity or seen_rev < rose
    assert view.standing(whole(CITY)) == ((1, int(waits)) if state == "open" else (0, 0))


def test_when_a_warning_rose_may_be_told_by_who_has_heard_it():
    view = View(TREE)
    view.take_raised(UUID(int=1), 4)
    take(view, warning(1, 6, tier="red", change="revised"))
    act(view, acknowledged(3))
    assert view.standing(whole(CITY)) == (1, 0)
    view.take_raised(UUID(int=1), 4)
    take(view, warning(1, 7, tier="red", change="revised"))
    assert view.standing(whole(CITY)) == (1, 1)


def test_a_sensor_is_known_as_it_is_now():
    view = View(TREE)
    assert view.sensor("s1") is None
    view.take_sensor(sensor(street=STREET))
    view.take_sensor(sensor(street=SIBLING, version=2))
    found = view.sensor("s1")
    assert found is not None
    assert found.street == SIBLING


def test_a_retired_sensor_is_shown_no_more_until_it_is_back_in_use():
    view = watching(STREET)
    retired = sensor(version=2).model_copy(update={"life": Life.RETIRED})
    for _ in range(2):  # ingest sends it daily
        view.take_sensor(sensor())
        view.take_observation(observation())
        assert (len(snapshot(view, STREET).sensors), len(snapshot(view, STREET).values)) == (1, 1)
        view.delta(whole(STREET), POSITION, NOW, values=True)
        view.take_sensor(retired)
        assert view.outdated == [whole(STREET)], "they were shown it"
        assert (snapshot(view, STREET).sensors, snapshot(view, STREET).values, delta(view, STREET)) == ((), (), None)
        view.unwatch(whole(STREET))
        view.watch(whole(STREET))
        view.take_sensor(retired)
        assert view.outdated == []
