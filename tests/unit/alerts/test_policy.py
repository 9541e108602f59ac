"""A city's alerting.yaml: what is wrong in it is told with its place, and the demo cities' hold."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import yaml

from schemas.alerting import Alerting
from schemas.base import Domain, Name, Origin
from schemas.tiers import TIERS, Tier
from services.alerts import contacts, policy
from services.alerts.channels import senders
from services.alerts.domain.duty import on_duty
from services.alerts.domain.known import Known, whereabouts
from services.alerts.domain.recipients import Directory, Place, Recipients
from services.alerts.domain.routing import goals, ways
from services.alerts.wording import Words
from services.kit import city as kit
from services.kit.documents import Invalid

ROOT = Path(__file__).parents[3]
CITIES = ROOT / "cities"
LANZHOU, DONGGUAN = kit.load(CITIES / "620100"), kit.load(CITIES / "441900")
NAME = "{zh: 名, en: name}"
SHORT = f"""
routes: {{id: all, group_by: [subject], wait: 0, interval: PT1M, escalation: one}}
escalations: [{{id: one, plans: {{red: {{steps: [{{after: 0, tell: [{{screen: city}}]}}]}}}}}}]
people: [{{id: li, name: {NAME}}}]
"""


def problems(tmp_path: Path, text: str) -> list[str]:
    """Return what is wrong in a file, without its name."""
    file = tmp_path / policy.FILE
    file.write_text(text, "utf-8")
    with pytest.raises(Invalid) as told:
        policy.load(tmp_path, LANZHOU)
    assert str(file) in str(told.value)
    return [str(one) for one in told.value.problems]


def window(text: str) -> str:
    return f"windows: [{{id: w, match: {{}}, reason: {NAME}, {text}}}]"


def team(text: str) -> str:
    return f"{{id: t, name: {NAME}, region: '620100', role: desk{text}}}"


OF_A_REGION = "{regions: ['620199']}"
STORM = "more_than: 1, within: 60, calm: 60, interval: 60, escalation: one"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (f"storms: [{{id: s, match: {OF_A_REGION}, {STORM}}}]", "storms.0.match.regions: there is no region 620199 in regions.yaml"),
        (f"inhibitions: [{{id: i, source: {{}}, target: {OF_A_REGION}, equal: [street]}}]", "inhibitions.0.target.regions: there is no region"),
        ("inhibitions: [{id: i, source: {departments: [watr]}, target: {}, equal: [street]}]", "watr in city.yaml (did you mean `water`?)"),
        (window(f"since: '22:00', until: '23:00', match: {OF_A_REGION}").replace("match: {}, ", ""), "windows.0.match.regions: there is no region"),
        (f"teams: [{team('').replace('620100', '620199')}]", "teams.0.region: there is no region 620199 in regions.yaml"),
        (f"teams: [{team(', departments: [gas]')}]", "teams.0.departments: there is no department gas"),
        (f"teams: [{team('')}, {team('')}]", "teams.1.id: `t` is given twice"),
        (window("since: 20:00, until: '23:00'"), 'windows.0.since: is a number to YAML (write it in quotes: "20:00")'),
        (window("since: '20:00Z', until: '23:00'"), "windows.0.since: 20:00:00+00:00 has a zone"),
        (window("since: '20:00', until: '23:00', first: 2026-02-01, last: 2026-01-01"), "windows.0.last: 2026-01-01 is before"),
        ('calendar: {"off": [2026-01-02], worked: [2026-01-02]}', "calendar.worked: 2026-01-02 is given as off, too"),
        ("calendar: {off: [2026-01-02]}", "a key must be text (put it in quotes"),
        ("tests: [wang]", "tests: wang is neither a person nor a group channel"),
        (f"channels: [{{id: in_app, name: {NAME}, kind: apprise, url: 'ntfy://x'}}]", "channels.0.id: `in_app` is the platform's own"),
    ],
)
def test_what_does_not_fit_the_city_or_the_clock_is_told_with_its_place(tmp_path: Path, more: str, expected: str):
    (told,) = problems(tmp_path, SHORT + more)
    assert expected in told
    assert re.match(r"5:\d+: ", told)


def test_a_region_of_a_route_far_down_is_told_where_it_stands(tmp_path: Path):
    below = "routes: [{id: b}, {id: c, routes: [{id: d, match: {regions: ['1']}}]}]"
    routes = f"routes: {{id: a, group_by: [subject], wait: 0, interval: 60, escalation: one, {below}}}"
    (told,) = problems(tmp_path, SHORT.replace(SHORT.splitlines()[1], routes))
    assert "routes.routes.1.routes.0.match.regions: there is no region 1" in told


def test_a_role_that_no_team_has_is_told_for_nobody_would_be(tmp_path: Path):
    (told,) = problems(tmp_path, SHORT.replace("{screen: city}", "{role: lead, level: city}"))
    assert "escalations.0.plans.red.steps.0.tell.0.role: no team has the role lead" in told


def rotation(text: str) -> str:
    shift = f"{{name: {NAME}, since: '08:00', until: '08:00'}}"
    return f"teams: [{team(f', rotations: [{{shifts: [{shift}], crews: [[li]], {text}}}]')}]"


def test_a_rotation_by_weeks_begins_on_a_monday(tmp_path: Path):
    (told,) = problems(tmp_path, SHORT + rotation("turn: week, begins: 2026-01-01"))
    assert "rotations.0.begins: 2026-01-01 is no Monday" in told


def test_an_off_that_is_a_truth_value_to_yaml_is_told_as_such(tmp_path: Path):
    (told,) = problems(tmp_path, SHORT + rotation("turn: day, begins: 2026-01-01, days: off"))
    assert "it is `false` (put it in quotes" in told


def test_all_that_is_wrong_is_told_at_once_in_the_order_of_the_file(tmp_path: Path):
    told = problems(tmp_path, SHORT + 'tests: [wang]\ncalendar: {worked: [2026-01-02], "off": [2026-01-02]}\n')
    assert [one.split(":")[0] for one in told] == ["5", "6"]


# Who is told by the policy that is built in


def known(street: str, tier: Tier, place: kit.CityFolder, **fields: Any) -> Known:
    path, district = whereabouts(street, place.regions)
    name = Name(zh="名", en="name")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    whole = {
        "id": UUID(int=1), "rev": 1, "street": street, "path": path, "district": district, "department": "water", "domain": Domain.WATER,
        "rule": "r", "subject": "s/flow", "sensor": "s", "origin": Origin.REAL, "tags": frozenset(), "open": True, "gravity": tier.gravity,
        "raised_rev": 1, "reached": (1, 0, 0, 0), "began_at": at, "changed_at": at, "place": name, "text": name,
    }  # fmt: skip
    return Known(**{**whole, **fields})


def recipients(alerting: Alerting, one: Known, place: kit.CityFolder, at: datetime, steps: int = 99) -> list[str]:
    """Return who is told of a warning by the steps of its escalation."""
    zone = ZoneInfo(place.city.timezone)
    directory = Directory(alerting.teams, place.regions, lambda team: [span.person for span in on_duty(team, alerting.calendar, (), at, zone)])
    (goal,) = goals(one, alerting.routes)
    plan = next(escalation for escalation in alerting.escalations if escalation.id == goal.way.escalation).plan(one.tier)
    to = Recipients()
    for step in plan.steps[:steps]:
        for target in step.tell:
            directory.add(target, step.channels, Place(one.path, one.department), to)
    assert not to.nobody
    return list(to.channels)


NOON = datetime(2026, 11, 25, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("street", "tier", "told"),
    [
        ("620102001", Tier.BLUE, ["region/620102001"]),
        ("620102001", Tier.YELLOW, ["region/620102001"]),
        ("620102001", Tier.ORANGE, ["region/620102001", "region/620102"]),
        ("620102001", Tier.RED, ["region/620102001", "region/620102", "region/620100"]),
        ("620102", Tier.BLUE, ["region/620102"]),
        ("620102", Tier.RED, ["region/620102", "region/620100"]),
        ("620100", Tier.BLUE, ["region/620100"]),
        ("not-there", Tier.BLUE, ["region/620100"]),
    ],
)
def test_a_city_without_a_file_tells_the_street_of_all_the_district_from_orange_and_the_city_of_red(
    tmp_path: Path, street: str, tier: Tier, told: list[str]
):
    alerting = policy.load(tmp_path, LANZHOU)
    assert recipients(alerting, known(street, tier, LANZHOU), LANZHOU, NOON) == told
    (way,) = ways(alerting.routes, alerting.storms).values()
    assert (way.wait, way.is_urgent(Tier.BLUE.gravity)) == (timedelta(0), True)


# The demo cities


@pytest.fixture(scope="module", params=[LANZHOU, DONGGUAN], ids=["620100", "441900"])
def demo(request: pytest.FixtureRequest) -> tuple[kit.CityFolder, Alerting]:
    return request.param, policy.load(CITIES / request.param.city.code, request.param)


Demo = tuple[kit.CityFolder, Alerting]


def test_the_people_of_a_demo_are_users_whom_up_makes_and_nothing_leaves_the_app(demo: Demo):
    place, alerting = demo
    assert {one.id: one.name for one in alerting.people}.items() <= {one.id: one.name for one in place.city.demo_users}.items()
    assert not alerting.channels


@pytest.mark.parametrize("day", [date(2026, 11, 25), date(2026, 10, 1), date(2026, 10, 10), date(2027, 1, 3)])
@pytest.mark.parametrize("hour", [0, 9, 22])
def test_in_every_region_at_any_hour_somebody_is_told_of_every_tier(demo: Demo, day: date, hour: int):
    place, alerting = demo
    at = datetime(day.year, day.month, day.day, hour, tzinfo=ZoneInfo(place.city.timezone))
    for region in place.regions:
        for tier in TIERS:
            for domain in Domain:
                told = recipients(alerting, known(region.code, tier, place, domain=domain), place, at)
                assert any(one.startswith("person/") for one in told) == (tier.gravity >= Tier.ORANGE.gravity)


def test_red_is_told_at_once_by_itself_and_milder_ones_of_a_street_are_gathered(demo: Demo):
    place, alerting = demo
    street = place.city.demo_regions[-1]
    for domain in Domain:
        (red,) = goals(known(street, Tier.RED, place, domain=domain), alerting.routes)
        assert (red.way.wait, red.way.is_urgent(Tier.RED.gravity), red.way.group_by) == (timedelta(0), True, ("subject",))
        (mild,) = goals(known(street, Tier.YELLOW, place, domain=domain), alerting.routes)
        assert mild.way.wait > timedelta(0)
        assert mild.way.group_by == ("street", "domain")


def test_a_fire_goes_up_from_the_street_to_who_sees_that_others_act():
    alerting = policy.load(CITIES / "620100", LANZHOU)
    fire = known("620102001", Tier.RED, LANZHOU, domain=Domain.FIRE)
    people = [[one for one in recipients(alerting, fire, LANZHOU, NOON, steps) if one.startswith("person/")] for steps in (1, 2, 3)]
    street, district, city = ["person/street-620102001", "person/field-620102001"], "person/district-620102", "person/city"
    assert people == [street, [*street, district], [*street, district, city]]


def test_every_rule_that_a_demo_names_is_there(demo: Demo):
    place, alerting = demo
    rules = {rule.id for rule in kit.rules(CITIES / place.city.code)[0]}
    matches = [match for _, match in policy._matches(alerting)]
    assert {rule for match in matches for rule in match.rules or ()} <= rules


# The guide's examples


def examples() -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "alerting.md").read_text("utf-8"), re.DOTALL)


def with_part(whole: dict[str, Any], part: str) -> dict[str, Any]:
    """Return a policy with a part of another: what has an id that is there already takes its place."""
    merged = dict(whole)
    for name, content in yaml.safe_load(part).items():
        listed = isinstance(content, list) and all(isinstance(one, dict) and "id" in one for one in content)
        before = [one for one in merged.get(name, []) if one["id"] not in {new["id"] for new in content}] if listed else []
        merged[name] = [*before, *content] if listed else content
    return merged


def used(tmp_path: Path, whole: dict[str, Any], known: contacts.Contacts) -> Alerting:
    """Return a policy whose channels and words were tried."""
    (tmp_path / policy.FILE).write_text(yaml.safe_dump(whole, allow_unicode=True), "utf-8")
    alerting = policy.load(tmp_path, LANZHOU)
    assert {"dingtalk", "sms"} <= senders(alerting, known).keys()
    assert Words(alerting, ZoneInfo("Asia/Shanghai"))
    return alerting


def test_the_guide_s_examples_and_the_one_that_is_commented_out_can_be_used(tmp_path: Path):
    demo = (CITIES / "620100" / policy.FILE).read_text("utf-8")
    commented = re.search(r"^# channels:\n(?:#.*\n)+", demo, re.MULTILINE)
    assert commented is not None
    (addresses,) = (one for one in examples() if one.startswith("# contacts.yaml"))
    known = contacts.Contacts.model_validate(yaml.safe_load(addresses))
    used(tmp_path, with_part(yaml.safe_load(demo), re.sub(r"^# ?", "", commented[0], flags=re.MULTILINE)), known)
    whole = reduce(with_part, (one for one in examples() if one != addresses), yaml.safe_load(demo))
    assert Alerting.model_fields.keys() == whole.keys()
    assert not known.strangers(used(tmp_path, whole, known))
