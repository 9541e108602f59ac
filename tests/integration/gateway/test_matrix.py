"""Each role, in each region, for each department, by each path: what is theirs is sent, and what is not is in no byte.

What should be is written out below by hand, and knows nothing of how the gateway decides. Each thing bears a mark, `kind-street-department-end`,
so that it is found wherever it stands.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from uuid import UUID, uuid5
from xml.etree import ElementTree as ET

import asyncpg
import asyncpg.pool
import httpx
import pytest
import websockets
from prometheus_client import CollectorRegistry
from websockets.asyncio.client import ClientConnection

from schemas.action import Acknowledgement, Actor, WarningActions
from schemas.tiers import Tier
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.history.store import Logged
from services.history.store import Store as History
from services.kit import database as kit_database
from services.kit.clock import SystemClock
from services.kit.producer import Outgoing, Producer
from services.kit.topics import ACTIONS, SENSORS, WARNINGS
from tests.integration.gateway.session import connected
from tests.integration.gateway.told import keep_alert, keep_warning, notify
from tests.integration.parts import WAIT_S, Servers, Service
from tests.integration.rooms import all_partitions, partition_for, publish_records, publish_warnings
from tests.unit.gateway.cap_rules import problems as cap_problems
from tests.unit.gateway.cap_rules import text, texts
from tests.unit.gateway.city import CITY, DISTRICT, NOW, OTHER_DISTRICT, OTHER_STREET, SIBLING, STREET, name, observation, sensor, warning

FOREIGN = "880000"
"""Another city's code."""
NOWHERE = "999999999"
"""A street that no region has: the city's."""

# What should be

ROLES = {
    "city": {"watch", "acknowledge", "direct"},
    "district": {"watch", "acknowledge", "direct"},
    "street": {"watch", "acknowledge", "direct"},
    "field": {"watch", "acknowledge"},
    "department": {"watch", "events", "registry"},
    "rule_author": {"watch"},
    "auditor": {"audit"},
    "admin": {"users", "events", "registry"},
}
NEEDS_DEPARTMENTS, KNOWS_NO_DEPARTMENTS = "department", "auditor"
INSIDE = {
    CITY: {CITY, DISTRICT, OTHER_DISTRICT, STREET, SIBLING, OTHER_STREET, NOWHERE},
    DISTRICT: {DISTRICT, STREET, SIBLING},
    OTHER_DISTRICT: {OTHER_DISTRICT, OTHER_STREET},
    STREET: {STREET},
    SIBLING: {SIBLING},
    OTHER_STREET: {OTHER_STREET},
    FOREIGN: set[str](),
}
GRANTED = [CITY, DISTRICT, OTHER_DISTRICT, STREET, OTHER_STREET, FOREIGN]
ASKED = [CITY, DISTRICT, OTHER_DISTRICT, STREET, SIBLING, OTHER_STREET, FOREIGN]
STREETS = [STREET, SIBLING, OTHER_STREET, NOWHERE]
WHOSE: list[frozenset[str] | None] = [None, frozenset("d"), frozenset("e")]
UNREGISTERED = "z"
"""Of no department that anybody is granted: what a sensor says that the registry does not know."""


@dataclass(frozen=True)
class Person:
    """Somebody with one grant."""

    role: str
    region: str
    departments: frozenset[str] | None

    @property
    def id(self) -> str:
        return f"{self.role}.{self.region}.{'.'.join(sorted(self.departments or ['all']))}"

    @property
    def cookie(self) -> dict[str, str]:
        return {"Cookie": f"tongguan={self.id}"}

    def may(self, what: str) -> bool:
        if self.role == NEEDS_DEPARTMENTS and self.departments is None:
            return False
        if self.role == KNOWS_NO_DEPARTMENTS and self.departments is not None:
            return False
        return what in ROLES[self.role] and self.region != FOREIGN

    def may_in(self, what: str, region: str) -> bool:
        return self.may(what) and region in INSIDE[self.region]

    def may_for(self, what: str, region: str, department: str) -> bool:
        return self.may_in(what, region) and (self.departments is None or department in self.departments)

    def sees(self, region: str = CITY) -> set[tuple[str, str]]:
        """Return whose things they see of a region, by street and department."""
        return {each for each in product(STREETS, "dez") if each[0] in INSIDE[region] and self.may_for("watch", *each)}


PEOPLE = [Person(role, region, of) for role, region, of in product(ROLES, GRANTED, WHOSE)]
THINGS = [*product(STREETS, "de")]
IN_HISTORY = [each for each in THINGS if each[0] != NOWHERE]
"""What is asked for by REST of history and alerts, who know streets of the city only."""


TOGETHER = UUID(int=99)
"""The alert of all warnings together."""
ADDRESS, MASKED = "13800001111", "138****1111"
SOME = [person for person in PEOPLE if person.region in {CITY, DISTRICT, OTHER_STREET} and person.departments != frozenset("e")]
"""Enough for what goes by the same decisions as what all are asked about."""


def mark(kind: str, street: str, department: str) -> str:
    return f"{kind}-{street}-{department}-end"


def marks(text: str) -> set[tuple[str, str, str]]:
    return {(kind, street, department) for kind, street, department in re.findall(r"([a-z]+)-(\d{9})-(.)-end", text)}


def whose(text: str) -> set[tuple[str, str]]:
    return {(street, department) for _, street, department in marks(text)}


# What there is


def id_of(street: str, department: str) -> UUID:
    return uuid5(UUID(int=0), street + department)


def warning_of(street: str, department: str, rev: int = 1, kind: str = "warning") -> Warning:
    marked = name(mark(kind, street, department))
    return warning(1, rev, street=street, department=department, sensor=mark("sensor", street, department), sensor_name=marked).model_copy(
        update={"id": id_of(street, department)}
    )


def actions_of(street: str, department: str, rev: int = 1) -> WarningActions:
    noted = Acknowledgement(by=Actor(id="li", name=name(mark("acted", street, department))), at=NOW, seen_rev=1, tier=Tier.BLUE)
    return WarningActions(warning=id_of(street, department), rev=rev, street=street, department=department, acknowledged=noted, command=UUID(int=rev))


async def publish(producer: Producer, rev: int) -> None:
    """Have something of each kind happen everywhere."""
    for street, department in THINGS:
        one = sensor(mark("sensor", street, department), street).model_copy(update={"department": department, "name": name(f"revision {rev}")})
        await producer.publish(SENSORS, [Outgoing(one.model_dump_json().encode(), key=one.id.encode())])
    for street, department in product(STREETS, "dez"):
        await publish_records(producer, partition_for(street), [observation(mark("sensor", street, department), rev, street=street, flow=rev)])
    await publish_warnings(producer, [warning_of(*each, rev) for each in THINGS])
    for each in THINGS:
        done = actions_of(*each, rev)
        await producer.publish(ACTIONS, [Outgoing(done.model_dump_json().encode(), key=str(done.warning).encode())])


async def before(servers: Servers, dsn: str) -> None:
    """Fill what REST reads of other rooms, and the gateway's own tables."""
    pool = await kit_database.open_pool(dsn)
    history = History(pool)
    claims = await history.take(all_partitions(WARNINGS))
    logged = [Logged(observation(mark("sensor", *each), street=each[0], flow=1.0), 0, at) for at, each in enumerate(IN_HISTORY)]
    await history.commit(claims, {}, logged, [warning_of(*each) for each in IN_HISTORY])
    async with pool.acquire() as connection, connection.transaction():
        await _add_told(connection)
        await _add_desks(connection)
    for region in [*INSIDE[CITY] - {NOWHERE}, None]:
        body = {"id": str(uuid5(UUID(int=2), str(region))), "at": NOW.isoformat(), "actor": "x", "action": "x", "subject": f"audit/{region}/end"}
        body |= {"region": region, "outcome": "done", "detail": {}, "address": "x"}
        await pool.execute(
            "insert into gateway.audit (id, at, region, body) values ($1, $2, $3, $4)", UUID(str(body["id"])), NOW, region, json.dumps(body)
        )
    async with pool.acquire() as connection, connection.transaction():
        await _add_people(connection)
    pool.terminate()


async def _add_told(pool: asyncpg.pool.PoolConnectionProxy) -> None:
    """Have each warning told to all desks, in an alert of its own; and everybody of all together, in one alert."""
    told = {each: warning_of(*each) for each in IN_HISTORY}
    for each, one in told.items():
        await keep_warning(pool, one, mark("text", *each))
        await keep_alert(pool, one.id, one.street, [one], NOW)
        by = {"id": "li", "name": name(mark("answered", *each)).model_dump()}
        answer = {"command": str(one.id), "deed": "arrived", "by": by, "at": NOW.isoformat(), "position": None, "photos": []}
        await pool.execute("insert into alerts.answers values ($1, $1, null, $2, $3)", one.id, NOW, json.dumps(answer))
        for desk in INSIDE[CITY]:
            await notify(pool, one.id, f"region/{desk}", one, mark("told", *each), at=NOW)
    await keep_alert(pool, TOGETHER, CITY, list(told.values()), NOW)
    for person in PEOPLE:
        await notify(pool, TOGETHER, f"person/{person.id}", told[IN_HISTORY[0]], mark("told", *IN_HISTORY[0]), at=NOW)


async def _add_desks(pool: asyncpg.pool.PoolConnectionProxy) -> None:
    """Have a silence, and a team with somebody on duty, of each street and department; and each desk handed over."""
    by, later = {"id": "li", "name": name("li").model_dump()}, NOW + timedelta(days=3_650)
    for street, department in IN_HISTORY:
        id_, team, person = id_of(street, department), mark("team", street, department), mark("person", street, department)
        silence = {"id": str(id_), "region": street, "match": {"departments": [department]}, "reason": mark("silence", street, department), "by": by}
        silence |= {"since": NOW.isoformat(), "until": later.isoformat()}
        await pool.execute("insert into alerts.silences values ($1, $2, $3, $4, $5)", id_, street, NOW, later, json.dumps(silence))
        body = {"id": team, "name": name(team).model_dump(), "region": street, "role": "desk", "departments": [department], "always": [person]}
        await pool.execute("insert into alerts.teams values ($1, $2, $3)", team, street, json.dumps(body))
        await pool.execute("insert into alerts.people values ($1, $2, $3)", person, name(person).model_dump_json(), json.dumps({"sms": ADDRESS}))
        await pool.execute("insert into alerts.roster values ($1, $2, $3, $4, null, null)", team, person, NOW - timedelta(days=1), later)
    for region in INSIDE[CITY] - {NOWHERE}:
        body = {"id": str(uuid5(TOGETHER, region)), "region": region, "day": "2026-11-22", "at": NOW.isoformat(), "by": by}
        body |= {"note": f"handover/{region}/end", "open": 0, "unanswered": 0}
        await pool.execute("insert into alerts.handovers values ($1, $2, $3, $4)", UUID(str(body["id"])), region, NOW, json.dumps(body))


async def _add_people(pool: asyncpg.pool.PoolConnectionProxy) -> None:
    """Put everybody, signed in, where sign-in would put them; and users with marks, of whom administrators are told."""
    now = SystemClock().now()
    for person in PEOPLE:
        await _add_user(pool, person.id, person.role, person.region, person.departments)
        session = (hashlib.sha256(person.id.encode()).digest(), person.id, now, now + timedelta(days=1))
        await pool.execute("insert into gateway.sessions values ($1, $2, $3, $3, $4, 'x')", *session)
    for street, department in IN_HISTORY:
        await _add_user(pool, mark("user", street, department), "street", street, frozenset(department))


async def _add_user(pool: asyncpg.pool.PoolConnectionProxy, id_: str, role: str, region: str, departments: frozenset[str] | None) -> None:
    made = "insert into gateway.users (id, name, password, made_at) values ($1, $2, 'x', $3)"
    await pool.execute(made, id_, name(id_).model_dump_json(), NOW)
    listed = None if departments is None else sorted(departments)
    await pool.execute("insert into gateway.grants values ($1, 0, $2, $3, $4)", id_, role, region, listed)


@pytest.fixture(name="gateway", scope="module")
def full_gateway(servers: Servers, database: str, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    asyncio.run(before(servers, database))
    told = environment | {"TONGGUAN_GATEWAY__HEARTBEAT_S": "0.2", "TONGGUAN_GATEWAY__VALUES_S": "0.05"}
    service = Service("gateway", tmp_path_factory.mktemp("gateway"), told)
    try:
        asyncio.run(service.ready())
        asyncio.run(_first(servers, service))
        yield service
        assert service.stop() == 0
        assert service.events("crashed") == []
    finally:
        service.kill()


async def _first(servers: Servers, service: Service) -> None:
    """Have everything happen for a first time, and wait until the gateway knows it."""
    async with Producer(servers.kafka, CollectorRegistry()) as producer:
        await publish(producer, 1)
    chief = Person("city", CITY, None)
    async with asyncio.timeout(WAIT_S):
        while len(marks(await first_frame(service, chief, CITY))) < 3 * len(THINGS) + len(STREETS):
            await asyncio.sleep(0.1)


@pytest.fixture
async def client(gateway: Service) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=40)
    async with httpx.AsyncClient(base_url=gateway.url, timeout=60, limits=limits, headers={"X-Forwarded-For": "10.5.0.1"}) as opened:
        yield opened


async def first_frame(gateway: Service, person: Person, region: str) -> str:
    """Return the snapshot, or the code with which the socket was closed."""
    async with connected(gateway, additional_headers=person.cookie) as socket:
        await socket.send(json.dumps({"type": "hello", "region": region}))
        try:
            return str(await socket.recv())
        except websockets.ConnectionClosed:
            return str(socket.close_code)


def of_role(role: str) -> list[Person]:
    return [person for person in PEOPLE if person.role == role]


# REST


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("path", ["", "/warnings", "/values", "/notifications", "/map"])
async def test_what_a_region_answers(client: httpx.AsyncClient, role: str, path: str):
    async def look(person: Person, region: str) -> None:
        answer = await client.get(f"/v1/regions/{region}{path}", headers=person.cookie)
        may = person.may_in("watch", region)
        assert answer.status_code == (200 if may else 403), (person, region)
        sent = whose(answer.text)
        if not may or path in {"", "/map"}:
            assert not sent, (person, region)
        elif path == "/notifications":
            assert sent == {each for each in person.sees(CITY) if each in IN_HISTORY}, (person, region)
        else:
            assert sent == {each for each in person.sees(region) if path == "/values" or each[1] != UNREGISTERED}, (person, region)

    await asyncio.gather(*(look(*each) for each in product(of_role(role), ASKED)))


@pytest.mark.parametrize("role", ROLES)
async def test_what_is_told_of_a_warning(client: httpx.AsyncClient, role: str):
    async def look(person: Person, thing: tuple[str, str], path: str) -> None:
        answer = await client.get(f"/v1/warnings/{id_of(*thing)}{path}", headers=person.cookie)
        theirs = thing in person.sees()
        assert answer.status_code == (200 if theirs else 404 if person.may("watch") else 403), (person, thing)
        assert whose(answer.text) == ({thing} if theirs else set()), (person, thing)
        if theirs and path.startswith("/cap"):
            assert answer.headers["content-type"] == "application/cap+xml"
            assert cap_problems(answer.content) == []

    await asyncio.gather(*(look(*each) for each in product(of_role(role), IN_HISTORY, ["", "/story", "/cap", "/cap?rev=1"])))


async def test_a_warning_is_called_the_same_in_its_story_and_in_its_messages(client: httpx.AsyncClient):
    chief, thing = Person("city", CITY, None), IN_HISTORY[0]
    path = f"/v1/warnings/{id_of(*thing)}"
    told = (await client.get(f"{path}/story", headers=chief.cookie)).json()
    message = ET.fromstring((await client.get(f"{path}/cap?rev=1", headers=chief.cookie)).content)
    assert text(message, "incidents") == told["identifier"]
    assert text(message, "identifier") == f"{told['identifier']}.1"
    assert told["explanation"]["en"] in texts(message, "info/description")
    assert (await client.get(f"{path}/cap?rev=99", headers=chief.cookie)).status_code == 404
    assert (await client.get(f"{path}/cap?rev=0", headers=chief.cookie)).status_code == 422


@pytest.mark.parametrize("role", ROLES)
async def test_who_may_acknowledge_and_mute(client: httpx.AsyncClient, role: str):
    """Nobody answers the commands here, so that what is allowed is 202."""
    csrf = {person: await csrf_of(client, person) for person in of_role(role)}

    async def acknowledge(person: Person, thing: tuple[str, str]) -> None:
        answer = await client.post(f"/v1/warnings/{id_of(*thing)}/acknowledgement", json={"rev": 1}, headers=person.cookie | csrf[person])
        wanted = 202 if person.may_for("acknowledge", *thing) else 404 if person.may("watch") and thing not in person.sees() else 403
        assert (answer.status_code, whose(answer.text)) == (wanted, set()), (person, thing)

    async def mute(person: Person, region: str) -> None:
        body = {"name": "hand", "minutes": 1, "warnings": []}
        answer = await client.post(f"/v1/regions/{region}/mutes", json=body, headers=person.cookie | csrf[person])
        assert answer.status_code == (204 if person.may_in("watch", region) else 403), (person, region)

    works = [acknowledge(*each) for each in product(of_role(role), IN_HISTORY)]
    works += [mute(*each) for each in product(of_role(role), ASKED)]
    await asyncio.gather(*works)


async def csrf_of(client: httpx.AsyncClient, person: Person) -> dict[str, str]:
    answer = await client.get("/v1/session", headers=person.cookie)
    assert answer.json()["user"] == person.id
    assert {region["code"] for region in answer.json()["regions"]} == ({person.region} if person.may("watch") else set())
    assert {what for what, may in answer.json()["may"].items() if may} - {"rules"} == {what for what in ROLES[person.role] if person.may(what)}
    return {"X-CSRF-Token": answer.json()["csrf"]}


@pytest.mark.parametrize("role", ROLES)
async def test_who_reads_what_of_the_audit(client: httpx.AsyncClient, role: str):
    async def look(person: Person) -> None:
        found, before_ = set[str](), ""
        while True:
            answer = await client.get(f"/v1/audit?limit=500{before_}", headers=person.cookie)
            assert answer.status_code == (200 if person.may("audit") else 403), person
            found |= set(re.findall(r"audit/(\w+)/end", answer.text))
            if answer.status_code == 403 or not answer.json():
                break
            assert {one["region"] for one in answer.json()} <= ({*INSIDE[person.region], None} if person.region == CITY else INSIDE[person.region])
            before_ = f"&before={answer.json()[-1]['id']}"
        wanted = INSIDE[person.region] - {NOWHERE} | ({"None"} if person.region == CITY else set())
        assert found == (wanted if person.may("audit") else set()), person

    await asyncio.gather(*(look(person) for person in of_role(role)))


@pytest.mark.parametrize("role", ROLES)
async def test_who_administers_whom(client: httpx.AsyncClient, role: str):
    async def look(person: Person) -> None:
        csrf = await csrf_of(client, person)
        answer = await client.get("/v1/users", headers=person.cookie)
        assert answer.status_code == (200 if person.may("users") else 403), person
        theirs = {each for each in IN_HISTORY if person.may_for("users", *each)}
        assert whose(answer.text) == theirs, person
        for each in IN_HISTORY:
            path, body = f"/v1/users/{mark('user', *each)}", {"name": name("new").model_dump()}
            answer = await client.patch(path, json=body, headers=person.cookie | csrf)
            assert answer.status_code == (200 if each in theirs else 404 if person.may("users") else 403), (person, each)
            grant = {"role": "field", "region": each[0], "departments": [each[1]]}
            new = body | {"id": f"{person.id}.{each[0]}{each[1]}", "password": "long enough for all", "grants": [grant]}
            answer = await client.post("/v1/users", json=new, headers=person.cookie | csrf)
            assert answer.status_code == (201 if each in theirs else 403), (person, each)

    await asyncio.gather(*(look(person) for person in of_role(role)))


# What people do


DAY = f"since={(NOW - timedelta(hours=1)).strftime('%Y-%m-%dT%H:%M:%SZ')}&until={(NOW + timedelta(hours=1)).strftime('%Y-%m-%dT%H:%M:%SZ')}"
DESKS = ["/silences", "/duty", f"/brief?{DAY}", "/handovers"]
OVER = {"since": NOW.isoformat(), "until": (NOW - timedelta(days=1)).isoformat(), "reason": "x"}
"""A time that is none: who may ask for it is told so (422), and nothing is written."""


def some(role: str) -> list[Person]:
    return [person for person in SOME if person.role == role]


def status(person: Person, what: str, thing: tuple[str, str], able: int) -> int:
    """What is answered about a thing: `able` to who may do it, 404 to who does not see it, 403 to who does or watches nothing at all."""
    return able if person.may_for(what, *thing) else 404 if person.may("watch") and thing not in person.sees() else 403


@pytest.mark.parametrize("role", ROLES)
async def test_what_a_desk_is_shown(client: httpx.AsyncClient, role: str):
    async def look(person: Person, region: str, path: str) -> None:
        answer = await client.get(f"/v1/regions/{region}{path}", headers=person.cookie)
        directs = person.may_in("direct", region) and person.departments is None
        may = directs if path == "/handovers" else person.may_in("watch", region)
        assert answer.status_code == (200 if may else 403), (person, region, path)
        wanted = person.sees(region) & set(IN_HISTORY) if may and path != "/handovers" else set[tuple[str, str]]()
        assert whose(answer.text) == wanted, (person, region, path)
        noted = set(re.findall(r"handover/(\d+)/end", answer.text))
        assert noted == ({region} if directs and path.startswith(("/brief", "/handovers")) else set()), (person, region, path)
        assert ADDRESS not in answer.text
        led = {each for each in wanted if path == "/duty" and person.may_for("direct", *each)}
        assert answer.text.count(MASKED) == len(led), (person, region, path)

    await asyncio.gather(*(look(*each) for each in product(some(role), [CITY, DISTRICT, STREET, OTHER_STREET], DESKS)))


@pytest.mark.parametrize("role", ROLES)
async def test_what_is_personal_of_a_warning_and_who_was_told(client: httpx.AsyncClient, role: str):
    async def look(person: Person, thing: tuple[str, str]) -> None:
        answer = await client.get(f"/v1/warnings/{id_of(*thing)}/answers", headers=person.cookie)
        wanted = status(person, "direct", thing, 200)
        assert (answer.status_code, whose(answer.text)) == (wanted, {thing} if wanted == 200 else set()), (person, thing)
        answer = await client.get(f"/v1/people/{mark('person', *thing)}/contacts", headers=person.cookie)
        assert (answer.status_code, ADDRESS in answer.text) == (wanted, wanted == 200), (person, thing)
        answer = await client.get(f"/v1/warnings/{id_of(*thing)}/notifications", headers=person.cookie)
        assert answer.status_code == status(person, "watch", thing, 200), (person, thing)
        assert ({thing} if answer.status_code == 200 else set()) <= whose(answer.text) <= person.sees(), (person, thing)
        assert ("person/" in answer.text) is person.may_for("acknowledge", *thing), (person, thing)

    async def phone(person: Person) -> None:
        answer = await client.get("/v1/field", headers=person.cookie)
        mine = person.sees() & set(IN_HISTORY)
        assert answer.status_code == (200 if person.may("watch") else 403), person
        assert whose(answer.text) == mine, person
        if answer.status_code == 200:
            assert [alert["count"] for alert in answer.json()["alerts"]] == ([len(mine)] if mine else []), person

    await asyncio.gather(*(look(*each) for each in product(some(role), IN_HISTORY)), *(phone(person) for person in some(role)))


@pytest.mark.parametrize("role", ROLES)
async def test_who_may_do_what(client: httpx.AsyncClient, role: str):
    """Each asks for something that makes no sense, which who may do it is told."""
    csrf = {person: await csrf_of(client, person) for person in some(role)}

    async def refused(person: Person, path: str, body: object, wanted: int, method: str = "POST") -> None:
        answer = await client.request(method, f"/v1{path}", json=body, headers=person.cookie | csrf[person])
        assert (answer.status_code, whose(answer.text)) == (wanted, set()), (person, path, answer.text)

    async def of_warning(person: Person, thing: tuple[str, str]) -> None:
        path, directs, answers = f"/warnings/{id_of(*thing)}", status(person, "direct", thing, 422), status(person, "acknowledge", thing, 422)
        await refused(person, f"{path}/assignment", {"rev": 99, "to": "li"}, directs)
        await refused(person, f"{path}/clearance", {"rev": 99, "reason": "x"}, directs)
        await refused(person, f"{path}/comments", {"rev": 99, "note": "x"}, answers)
        await refused(person, f"/alerts/{id_of(*thing)}/answers", WORDLESS, answers)
        await refused(person, f"/teams/{mark('team', *thing)}/overrides", OVER | {"person": "li"}, directs)
        if directs != 422:
            await refused(person, f"/silences/{id_of(*thing)}", None, directs, "DELETE")

    async def of_region(person: Person, region: str) -> None:
        directs = person.may_in("direct", region)
        for departments, able in ((None, directs and person.departments is None), (["d"], directs)):
            await refused(person, f"/regions/{region}/silences", OVER | {"match": {"departments": departments}}, 422 if able else 403)
        if not directs or person.departments is not None:
            await refused(person, f"/regions/{region}/handovers", {"note": ""}, 403)
            unseen = person.may("watch") and not person.may_in("watch", region)
            await refused(person, f"/handovers/{uuid5(TOGETHER, region)}/taking", None, 404 if unseen else 403)

    async def of_all(person: Person) -> None:
        for_all = all(person.may_for("acknowledge", *thing) for thing in IN_HISTORY)
        unseen = person.may("watch") and not person.sees() & set(IN_HISTORY)
        await refused(person, f"/alerts/{TOGETHER}/answers", WORDLESS, 422 if for_all else 404 if unseen else 403)
        await refused(person, "/photos", "no photo", 422 if person.may("acknowledge") else 403)

    works = [of_warning(*each) for each in product(some(role), IN_HISTORY)] + [of_all(person) for person in some(role)]
    await asyncio.gather(*works, *(of_region(*each) for each in product(some(role), [CITY, DISTRICT, STREET, OTHER_STREET])))


WORDLESS = {"command": str(UUID(int=1)), "message": 1, "deed": "comment"}


# Live


@pytest.mark.parametrize("role", ROLES)
async def test_what_a_snapshot_holds(gateway: Service, role: str):
    async def look(person: Person, region: str) -> None:
        frame = await first_frame(gateway, person, region)
        if not person.may_in("watch", region):
            assert frame == "4403", (person, region)
            return
        told = json.loads(frame)
        seen = person.sees(region)
        known = {each for each in seen if each[1] != UNREGISTERED}
        assert whose(frame) == seen, (person, region)
        for part, wanted in {"sensors": known, "values": seen, "warnings": known, "actions": known}.items():
            assert whose(json.dumps(told[part])) == wanted, (person, region, part)
        assert {one["code"] for one in told["below"]} == INSIDE[region] - {region, NOWHERE}

    for people in [of_role(role)[at : at + 6] for at in range(0, 18, 6)]:
        await asyncio.gather(*(look(*each) for each in product(people, ASKED)))


@pytest.mark.parametrize("role", [role for role in ROLES if "watch" in ROLES[role]])
async def test_what_the_frames_after_it_hold(gateway: Service, producer: Producer, role: str):
    """All watch at once; when everybody has got what is theirs, and two heartbeats more, nobody has got anything else."""
    watching: dict[tuple[Person, str], ClientConnection] = {}
    rev = 2 + list(ROLES).index(role)
    async with AsyncExitStack() as stack:
        for person, region in product(of_role(role), ASKED):
            if person.may_in("watch", region):
                socket = await stack.enter_async_context(connected(gateway, additional_headers=person.cookie))
                await socket.send(json.dumps({"type": "hello", "region": region}))
                assert json.loads(await socket.recv())["type"] == "snapshot"
                watching[person, region] = socket
        assert watching
        await publish(producer, rev)
        await asyncio.gather(*(_watch(socket, person.sees(region)) for (person, region), socket in watching.items()))


async def _watch(socket: ClientConnection, seen: set[tuple[str, str]]) -> None:
    known = {each for each in seen if each[1] != UNREGISTERED}
    missing = {("sensors", *each) for each in known} | {("values", *each) for each in seen}
    missing |= {(kind, *each) for kind, each in product(("warnings", "actions"), known)}
    beats = 0
    async with asyncio.timeout(WAIT_S):
        while missing or beats < 2:
            text = str(await socket.recv())
            assert whose(text) <= seen
            told = json.loads(text)
            beats = beats + 1 if told["type"] == "heartbeat" and not missing else 0
            missing -= {(kind, *each) for kind in ("sensors", "values", "warnings", "actions") for each in whose(json.dumps(told.get(kind, ())))}
