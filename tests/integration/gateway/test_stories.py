"""A warning's story and what people do of it, with alerts and history at work: every screen sees it, and REST answers with the outcome."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.action import WarningActions
from schemas.control import RuleActivation
from schemas.rest import RegionMap, WarningStory
from schemas.rule import Applies, Rule
from schemas.tiers import Tier
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.gateway.stories import AFTER, BEFORE, LONGEST, around, rule_of
from services.kit.clock import SystemClock
from services.kit.producer import Outgoing, Producer
from services.kit.topics import RULES
from tests.integration.gateway.session import session
from tests.integration.parts import Servers, Service, eventually
from tests.integration.rooms import TOKENS, partition_for, publish_records, publish_warnings, write_city, write_secrets
from tests.lanes import free_plan
from tests.unit.gateway.city import CITY, DISTRICT, NOW, OTHER_STREET, SIBLING, STREET, name, observation, warning

ROOMS = ("history", "alerts", "gateway")
RULE: dict[str, Any] = {
    "id": "r1",
    "version": 1,
    "name": name("r1").model_dump(),
    "applies": {"metric": "flow"},
    "direction": "above",
    "unit": "L/s",
    "tiers": {"blue": {"up": {"limit": 10}, "down": {"limit": 9}}},
}


class Rooms:
    """The services, each to be killed and started again on its ports."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._ports = {room: free_plan() for room in ROOMS}
        self.services = {room: self._start(room) for room in ROOMS}

    def __getitem__(self, room: str) -> Service:
        return self.services[room]

    def start_again(self, room: str) -> None:
        self.services[room] = self._start(room)

    def _start(self, room: str) -> Service:
        return Service(room, self._folder, self._environment, self._ports[room])


@pytest.fixture(scope="module")
def rooms(servers: Servers, database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    folder: Path = tmp_path_factory.mktemp("stories")
    environment = {
        "TONGGUAN_KAFKA": servers.kafka,
        "TONGGUAN_DATABASE": database,
        "TONGGUAN_CITY": str(write_city(folder / "city")),
        "TONGGUAN_SECRETS": str(write_secrets(folder / "secrets.json")),
    }
    started = Rooms(folder, environment)
    try:
        for service in started.services.values():
            asyncio.run(service.ready())
        yield started
        for service in started.services.values():
            assert service.stop() == 0
            assert service.events("crashed") == []
    finally:
        for service in started.services.values():
            service.kill()


@pytest.fixture
async def client(rooms: Rooms) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=rooms["gateway"].url, timeout=20) as opened:
        yield opened


def bearer(region: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[region]}"}


async def opened(producer: Producer, client: httpx.AsyncClient, one: Warning) -> None:
    """Publish a warning and wait until the gateway knows it."""
    await publish_warnings(producer, [one])

    async def known() -> bool:
        return str(one.id) in (await client.get(f"/v1/regions/{CITY}/warnings", headers=bearer(CITY))).text

    await eventually(known, "the warning")


async def acknowledge(client: httpx.AsyncClient, one: Warning, region: str = CITY, **note: str) -> httpx.Response:
    return await client.post(f"/v1/warnings/{one.id}/acknowledgement", json={"rev": one.rev, **note}, headers=bearer(region))


async def test_a_story_tells_the_revisions_the_values_around_and_the_rule(client: httpx.AsyncClient, producer: Producer):
    one = warning(1)
    await producer.publish(RULES, [Outgoing(_rule(1), key=b"r1")])
    values = [observation(seconds=at, flow=at + 1.0) for at in range(-5, 0)]
    await publish_records(producer, partition_for(STREET), [*values, observation(seconds=-3_600, flow=99.0), observation("other", flow=7.0)])
    await opened(producer, client, one)
    await publish_warnings(producer, [warning(1, 2, tier=Tier.RED, change="raised")])

    async def told() -> bool:
        found = await client.get(f"/v1/warnings/{one.id}/story", headers=bearer(STREET))
        if found.status_code != 200:
            return False
        story = WarningStory.model_validate_json(found.content)
        return (len(story.revisions), len(story.points), story.rule is not None) == (2, 5, True)

    await eventually(told, "the whole story")
    found = await client.get(f"/v1/warnings/{one.id}/story", headers=bearer(STREET))
    assert found.headers["cache-control"] == "no-store"
    story = WarningStory.model_validate_json(found.content)
    assert [revision.tier for revision in story.revisions] == [Tier.BLUE, Tier.RED]
    assert [point.value for point in story.points] == [-4.0, -3.0, -2.0, -1.0, 0.0]
    assert (story.metric, story.statistic, story.unit) == ("flow", "instant", "L/s")


def _rule(version: int) -> bytes:
    activation = RuleActivation(rule=Rule.model_validate(RULE | {"version": version}), meaning=1)
    return activation.model_dump_json(by_alias=True).encode()


async def test_a_story_is_told_to_nobody_whose_it_is_not(client: httpx.AsyncClient, producer: Producer):
    one = warning(2, street=OTHER_STREET)
    await opened(producer, client, one)
    for region in (DISTRICT, STREET):
        assert (await client.get(f"/v1/warnings/{one.id}/story", headers=bearer(region))).status_code == 404
        assert (await acknowledge(client, one, region)).status_code == 404
    assert (await client.get(f"/v1/warnings/{UUID(int=404)}/story", headers=bearer(CITY))).status_code == 404


async def test_an_acknowledgement_is_answered_with_its_outcome_and_seen_on_every_screen(client: httpx.AsyncClient, producer: Producer, rooms: Rooms):
    one = warning(3, street=SIBLING, tier=Tier.RED)
    await opened(producer, client, one)
    async with session(rooms["gateway"], CITY) as city, session(rooms["gateway"], DISTRICT) as district, session(rooms["gateway"], STREET) as street:
        answer = await acknowledge(client, one, DISTRICT, note="已派人查看")
        assert answer.status_code == 200
        outcome = WarningActions.model_validate_json(answer.content)
        assert outcome.acknowledged is not None
        assert (outcome.acknowledged.by.id, outcome.acknowledged.note, outcome.acknowledged.tier) == (f"token/{DISTRICT}", "已派人查看", Tier.RED)
        for screen in (city, district):
            await screen.until(lambda known: known.actions.get(one.id) == outcome, "the acknowledgement")
        later = warning(4, street=STREET)
        await opened(producer, client, later)
        await street.until(lambda known: later.id in known.open, "the street's own warning")
        assert one.id not in street.actions
    async with session(rooms["gateway"], CITY) as fresh:
        assert outcome in fresh.snapshot.actions
    again = WarningActions.model_validate_json((await acknowledge(client, one)).content)
    assert again.acknowledged is not None
    assert again.acknowledged.renewed_at is not None
    assert again.acknowledged.model_copy(update={"renewed_at": None}) == outcome.acknowledged


async def test_an_acknowledgement_while_alerts_is_away_is_promised_and_kept(client: httpx.AsyncClient, producer: Producer, rooms: Rooms):
    one = warning(5, tier=Tier.RED)
    await opened(producer, client, one)
    rooms["alerts"].kill()
    try:
        assert (await acknowledge(client, one)).status_code == 202
    finally:
        rooms.start_again("alerts")
    async with session(rooms["gateway"], CITY) as screen:
        await screen.until(lambda known: one.id in known.actions, "the acknowledgement")
        assert screen.actions[one.id].rev == 1


async def test_what_was_acknowledged_is_known_after_a_restart(client: httpx.AsyncClient, producer: Producer, rooms: Rooms):
    one = warning(6)
    await opened(producer, client, one)
    assert (await acknowledge(client, one)).status_code == 200
    rooms["gateway"].kill()
    rooms.start_again("gateway")
    await rooms["gateway"].ready()

    async with session(rooms["gateway"], CITY) as screen:
        assert one.id in {actions.warning for actions in screen.snapshot.actions}


async def test_what_is_acknowledged_is_what_was_seen_and_not_what_it_has_become(client: httpx.AsyncClient, producer: Producer, rooms: Rooms):
    seen = warning(10, tier=Tier.ORANGE)
    raised = warning(10, 2, tier=Tier.RED, change="raised")
    await opened(producer, client, seen)
    async with session(rooms["gateway"], CITY) as screen:
        await publish_warnings(producer, [raised])
        await screen.until(lambda known: known.open[seen.id].rev == 2, "the rise")
    told = WarningActions.model_validate_json((await acknowledge(client, seen)).content)
    assert told.acknowledged is not None
    assert (told.acknowledged.tier, told.acknowledged.seen_rev) == (Tier.ORANGE, 1)
    again = WarningActions.model_validate_json((await acknowledge(client, raised, DISTRICT)).content)
    assert again.acknowledged is not None
    assert (again.acknowledged.tier, again.acknowledged.seen_rev, again.acknowledged.by.id) == (Tier.RED, 2, f"token/{DISTRICT}")
    assert (await acknowledge(client, warning(10, 3))).status_code == 422


async def test_what_a_desk_and_the_field_ask_for_is_decided_and_shown(client: httpx.AsyncClient, producer: Producer, pool: asyncpg.Pool):
    """All the way: through the gateway to alerts, and back from what alerts keeps."""

    async def asks(path: str, body: object, method: str = "POST") -> str:
        answer = await client.request(method, f"/v1/{path}", json=body, headers=bearer(DISTRICT))
        assert (answer.status_code, answer.json().get("outcome")) == (200, "applied"), (path, answer.text)
        return str(answer.json()["command"])

    one = warning(11, tier=Tier.ORANGE, subject="s11/flow")
    await opened(producer, client, one)
    until = (SystemClock().now() + timedelta(hours=1)).isoformat()
    silence = await asks(f"regions/{DISTRICT}/silences", {"match": {"tiers": ["blue"]}, "until": until, "reason": "检修"})
    await asks(f"silences/{silence}", None, "DELETE")
    (shown,) = (await client.get(f"/v1/regions/{DISTRICT}/silences", headers=bearer(DISTRICT))).json()
    assert (shown["id"], shown["ended_by"]["id"]) == (silence, f"token/{DISTRICT}")
    handover = await asks(f"regions/{DISTRICT}/handovers", {"note": "注意水位"})
    await asks(f"handovers/{handover}/taking", None)
    (desk,) = (await client.get(f"/v1/regions/{DISTRICT}/handovers", headers=bearer(DISTRICT))).json()
    assert (desk["note"], desk["taken_by"]["id"]) == ("注意水位", f"token/{DISTRICT}")

    alert = await eventually(lambda: pool.fetchval("select alert from alerts.members where warning = $1 and told > 0", one.id), "the alert")
    answer = {"command": str(UUID(int=4_711)), "message": 1, "deed": "on_my_way"}
    assert await asks(f"alerts/{alert}/answers", answer) == answer["command"]
    await asks(f"warnings/{one.id}/comments", {"rev": 1, "note": "在处理"})
    cleared = await client.post(f"/v1/warnings/{one.id}/clearance", json={"rev": 1, "reason": "已处置"}, headers=bearer(DISTRICT))
    done = WarningActions.model_validate_json(cleared.content)
    assert [entry.deed for entry in done.trail] == ["on_my_way", "comment", "clear"]
    assert done.cleared is not None
    told = (await client.get(f"/v1/warnings/{one.id}/notifications", headers=bearer(STREET))).json()
    assert {each["warning"] for each in told} == {str(one.id)}


async def test_acknowledgements_and_mutes_are_in_the_audit(client: httpx.AsyncClient, producer: Producer, pool: asyncpg.Pool):
    one = warning(7)
    await opened(producer, client, one)
    await acknowledge(client, one, note="看过了")
    muted = {"name": "李伟", "minutes": 10, "warnings": [str(one.id)]}
    assert (await client.post(f"/v1/regions/{DISTRICT}/mutes", json=muted, headers=bearer(DISTRICT))).status_code == 204
    assert (await client.post(f"/v1/regions/{CITY}/mutes", json=muted, headers=bearer(DISTRICT))).status_code == 403
    bodies = [row["body"] for row in await pool.fetch("select body::text from gateway.audit order by seq")]
    assert sum('"warning.acknowledge"' in body and str(one.id) in body and "看过了" in body for body in bodies) == 1
    assert sum('"screen.mute"' in body and "李伟" in body for body in bodies) == 1


async def test_a_map_draws_the_region_and_its_children_even_without_boundaries(client: httpx.AsyncClient):
    drawn = RegionMap.model_validate_json((await client.get(f"/v1/regions/{DISTRICT}/map", headers=bearer(DISTRICT))).content)
    codes = {(feature["properties"]["code"], feature["properties"]["role"], feature["properties"]["schematic"]) for feature in drawn.features}
    assert codes == {(DISTRICT, "self", True), (STREET, "child", True), (SIBLING, "child", True)}
    assert drawn.source is None
    assert (await client.get(f"/v1/regions/{CITY}/map", headers=bearer(DISTRICT))).status_code == 403


def test_the_values_around_reach_back_far_enough_for_their_period_and_on_to_now_while_it_is_open():
    one = warning(8)
    assert around(one, NOW + timedelta(hours=2)) == [(NOW - BEFORE, NOW + timedelta(hours=2))]
    hourly = one.model_copy(update={"evidence": one.evidence.model_copy(update={"period_s": 3600})})
    assert around(hourly, NOW)[0][0] == NOW - timedelta(hours=60)
    daily = one.model_copy(update={"evidence": one.evidence.model_copy(update={"window_s": 86_400.0})})
    assert around(daily, NOW)[0][0] <= NOW - timedelta(days=1)
    assert around(warning(8, 2, state="cleared"), NOW + timedelta(hours=2))[0][1] == NOW + AFTER


@given(
    st.timedeltas(timedelta(days=-30), timedelta(days=400)), st.timedeltas(timedelta(0), timedelta(days=400)), st.sampled_from([0, 60, 3600, 86_400])
)
def test_of_a_long_warning_its_beginning_its_decision_and_its_end_are_shown(decided: timedelta, lasted: timedelta, period_s: int):
    one = warning(9)
    evidence = one.evidence.model_copy(update={"period_s": period_s, "observed_at": NOW + min(decided, lasted)})
    parts = around(one.model_copy(update={"evidence": evidence}), NOW + lasted)
    assert all(since <= until for since, until in parts)
    assert all(one[1] < other[0] for one, other in pairwise(parts))
    limit = max(LONGEST, 4 * max(BEFORE, timedelta(seconds=60 * period_s)))
    assert sum((until - since for since, until in parts), timedelta(0)) <= limit
    for moment in (min(NOW, evidence.observed_at), evidence.observed_at, NOW + lasted):
        assert any(since <= moment <= until for since, until in parts)


def test_a_rule_that_was_changed_since_is_not_drawn_and_one_that_was_not_tells_of_no_other_place():
    rule = Rule.model_validate(RULE | {"applies": {"metric": "flow", "sensors": ["s1", "elsewhere"], "regions": [CITY], "tags": ["t"]}})
    told = rule_of(warning(9), RuleActivation(rule=rule, meaning=1))
    assert told is not None
    assert (told.tiers, told.applies) == (rule.tiers, Applies(metric="flow"))
    later = Rule.model_validate(RULE | {"version": 2})
    assert rule_of(warning(9), RuleActivation(rule=later, meaning=2)) is None
    assert rule_of(warning(9), RuleActivation(rule=later, meaning=1)) is not None
    assert rule_of(warning(9), None) is None
