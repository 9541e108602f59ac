"""What people do about warnings and alerts, from desks, phones and links: a command with its audit, answered with the outcome.

Alerts is not at work here: `Decider` writes what alerts would, so that each outcome can be had.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4, uuid5

import asyncpg
import httpx
import pytest
from pydantic import TypeAdapter

from schemas.action import Decision, WarningActions
from schemas.command import AnswerAlert, Assign, Clear, Command, Comment, HandOver, Override, Silence, TakeOver
from schemas.rest import Answered, Brief, Contacts, DutyTeam, FieldView, HandOverShown, Link, SilenceShown
from schemas.tiers import Tier
from services.gateway.links import command_of
from services.kit import links
from services.kit.clock import SystemClock
from services.kit.producer import Outgoing, Producer
from services.kit.topics import ACTIONS, COMMANDS
from tests.integration.gateway.people import Browser, browser
from tests.integration.gateway.told import join, keep_alert, keep_warning, notify
from tests.integration.parts import Servers, Service, Tape, eventually
from tests.integration.rooms import publish_warnings
from tests.unit.gateway.city import CITY, OTHER_DISTRICT, OTHER_STREET, STREET, name, warning

KEY = "k" * 32
"""Of the secrets that `write_secrets` writes."""
JPEG = b"\xff\xd8\xff\xe0" + b"photo" * 100
_COMMAND: TypeAdapter[Command] = TypeAdapter(Command)


def now() -> datetime:
    return SystemClock().now()


class Decider:
    """Reads commands, and decides them as it is told."""

    def __init__(self, tape: Tape, pool: asyncpg.Pool, producer: Producer) -> None:
        self._tape = tape
        self._pool = pool
        self._producer = producer

    async def commands(self) -> list[tuple[str, Command]]:
        """Return the keys and commands up to now."""
        return [((record.key or b"").decode(), _COMMAND.validate_json(record.value or b"")) for record in await self._tape.records()]

    async def newest(self, known: int) -> tuple[str, Command]:
        async def there() -> list[tuple[str, Command]]:
            return (await self.commands())[known:]

        return (await eventually(there, "a command"))[-1]

    async def decides(self, command: UUID, outcome: Decision) -> None:
        await self._pool.execute("insert into alerts.commands (id, outcome) values ($1, $2)", command, outcome.value)

    async def tells(self, actions: WarningActions) -> None:
        await self._producer.publish(ACTIONS, [Outgoing(actions.model_dump_json().encode(), key=str(actions.warning).encode())])


@pytest.fixture
async def decider(servers: Servers, gateway: Service, pool: asyncpg.Pool, producer: Producer) -> Decider:
    return Decider(await Tape.of(servers.kafka, COMMANDS), pool, producer)


async def asked(decider: Decider, work: Any, outcome: Decision = Decision.APPLIED) -> tuple[str, Command]:
    """Let somebody ask for something that alerts then decides; returns the key and the command."""
    known = len(await decider.commands())
    task = asyncio.ensure_future(work)
    key, command = await decider.newest(known)
    await decider.decides(command.id, outcome)
    answer: httpx.Response = await task
    assert answer.status_code in {200, 202}, answer.text
    if answer.status_code == 200:  # else it took this machine longer than a person waits
        assert Answered.model_validate_json(answer.content) == Answered(command=command.id, outcome=outcome)
    return key, command


@contextlib.asynccontextmanager
async def people(gateway: Service, *who: str) -> AsyncIterator[list[Browser]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(browser(gateway, one)) for one in who]


async def audited(pool: asyncpg.Pool, action: str, subject: str) -> list[dict[str, Any]]:
    rows = await pool.fetch("select body from gateway.audit where body ->> 'action' = $1 and body ->> 'subject' = $2 order by seq", action, subject)
    return [json.loads(row["body"]) for row in rows]


async def raised(gateway: Service, pool: asyncpg.Pool, producer: Producer, number: int, street: str = STREET) -> UUID:
    """Have a warning: in the gateway's view, and as alerts keeps it, told in an alert of the same number."""
    one = warning(number, street=street, tier=Tier.ORANGE).model_copy(update={"began_at": now(), "changed_at": now()})
    await publish_warnings(producer, [one])
    await keep_warning(pool, one, f"text {number}")
    await keep_alert(pool, one.id, street, [one], now())
    async with httpx.AsyncClient(base_url=gateway.url, headers={"Authorization": "Bearer tgr_city"}) as client:

        async def known() -> bool:
            return str(one.id) in (await client.get(f"/v1/regions/{CITY}/warnings")).text

        await eventually(known, "the warning")
    return one.id


async def notified(pool: asyncpg.Pool, alert: UUID, whom: str, *, channel: str = "in_app", at: datetime | None = None) -> UUID:
    """Have somebody told of an alert; returns the notification's id."""
    await pool.execute("insert into alerts.people values ($1, $2, '{}') on conflict do nothing", whom, name(whom).model_dump_json())
    about = warning(street=STREET, tier=Tier.ORANGE).model_copy(update={"id": alert})
    return await notify(pool, alert, f"person/{whom}", about, "told", channel=channel, at=at or now())


# At a desk


async def test_a_warning_is_given_to_one_who_may_watch_it_commented_and_cleared(
    gateway: Service, pool: asyncpg.Pool, producer: Producer, decider: Decider
):
    one = await raised(gateway, pool, producer, 101)
    async with people(gateway, "street", "field") as (street, field):
        for path, body in (("assignment", {"rev": 1, "to": "field"}), ("clearance", {"rev": 1, "reason": "演习"})):
            assert (await field.ask("POST", f"/v1/warnings/{one}/{path}", body)).status_code == 403
        for nobody in ("other-district", "auditor", "there-is-none"):
            answer = await street.ask("POST", f"/v1/warnings/{one}/assignment", {"rev": 1, "to": nobody})
            assert (answer.status_code, "may watch" in answer.text) == (422, True), nobody

        known = len(await decider.commands())
        task = asyncio.ensure_future(street.ask("POST", f"/v1/warnings/{one}/assignment", {"rev": 1, "to": "field", "note": "去看看"}))
        key, command = await decider.newest(known)
        assert (key, type(command)) == (f"warning/{one}", Assign)
        assert isinstance(command, Assign)
        assert (command.to.id, command.to.name.zh, command.note, command.tier) == ("field", "field", "去看看", Tier.ORANGE)
        fields = {"warning": one, "rev": 1, "street": STREET, "department": "d", "command": command.id, "outcome": Decision.STALE}
        outcome = WarningActions.model_validate(fields)
        await decider.tells(outcome)
        answer = await task
        assert answer.status_code in {200, 202}
        if answer.status_code == 200:
            assert WarningActions.model_validate_json(answer.content) == outcome
        (entry,) = await audited(pool, "warning.assign", f"warning/{one}")
        assert (entry["actor"], entry["detail"]["to"], entry["region"]) == ("street", "field", STREET)

        said, cleared = await asyncio.gather(
            field.ask("POST", f"/v1/warnings/{one}/comments", {"rev": 1, "note": "在路上"}),
            street.ask("POST", f"/v1/warnings/{one}/clearance", {"rev": 1, "reason": "已处置"}),
        )
        assert (said.status_code, cleared.status_code) == (202, 202)
        kinds = {type(command): command for key, command in await decider.commands() if key == f"warning/{one}"}
        assert {kinds[Comment].actor.id, kinds[Clear].actor.id} == {"field", "street"}


async def test_a_silence_is_made_within_what_is_ones_own_and_for_a_week_at_most(gateway: Service, pool: asyncpg.Pool, decider: Decider):
    async with people(gateway, "street", "field", "other-district") as (street, field, other):
        path, week = f"/v1/regions/{STREET}/silences", {"match": {"tiers": ["blue"]}, "reason": "检修"}
        for until, status in ((now() + timedelta(days=8), 422), (now() - timedelta(hours=1), 422)):
            assert (await street.ask("POST", path, week | {"until": until.isoformat()})).status_code == status
        nothing = {"match": {"regions": [OTHER_STREET]}, "reason": "检修", "until": (now() + timedelta(hours=1)).isoformat()}
        assert (await street.ask("POST", path, nothing)).status_code == 422
        asking = week | {"until": (now() + timedelta(hours=1)).isoformat()}
        assert (await field.ask("POST", path, asking)).status_code == 403
        key, command = await asked(decider, street.ask("POST", path, asking))
        assert isinstance(command, Silence)
        assert (key, command.region, command.reason) == (f"silence/{command.id}", STREET, "检修")

        shown = SilenceShown.model_validate(
            {**command.model_dump(include={"id", "region", "match", "since", "until", "reason"}), "by": command.actor}
        )
        row = (shown.id, shown.region, shown.since, shown.until, shown.model_dump_json())
        await pool.execute("insert into alerts.silences values ($1, $2, $3, $4, $5)", *row)
        assert [one["id"] for one in (await field.get(path)).json()] == [str(shown.id)]
        assert (await other.ask("DELETE", f"/v1/silences/{shown.id}")).status_code == 404
        assert (await field.ask("DELETE", f"/v1/silences/{shown.id}")).status_code == 403
        ended, _ = await asked(decider, street.ask("DELETE", f"/v1/silences/{shown.id}"), Decision.ALREADY)
        assert ended == key
        assert [entry["actor"] for action in ("silence.make", "silence.end") for entry in await audited(pool, action, key)] == ["street", "street"]


async def _roster(pool: asyncpg.Pool) -> None:
    team = {"id": "crew", "name": name("crew").model_dump(), "region": STREET, "role": "field", "always": ["boss", "zhang"]}
    await pool.execute("insert into alerts.teams values ('crew', $1, $2) on conflict do nothing", STREET, json.dumps(team))
    for who, contacts in (("boss", {}), ("zhang", {"sms": "13812345678", "mail": "zhang@water.example"})):
        row = (who, name(who).model_dump_json(), json.dumps(contacts))
        await pool.execute("insert into alerts.people values ($1, $2, $3) on conflict (id) do update set contacts = excluded.contacts", *row)
    since = now() - timedelta(hours=1)
    await pool.execute(
        "insert into alerts.roster values ('crew', 'zhang', $1, $2, $3, null) on conflict do nothing",
        since,
        since + timedelta(hours=8),
        name("day").model_dump_json(),
    )


async def _on_duty(who: Browser | httpx.AsyncClient) -> list[tuple[str, dict[str, str]]]:
    (team,) = [DutyTeam.model_validate(one) for one in (await who.get(f"/v1/regions/{STREET}/duty")).json()]
    return [(one.person, one.contacts) for one in team.now]


async def test_who_is_on_duty_is_shown_masked_and_whole_to_who_directs_and_that_is_audited(gateway: Service, pool: asyncpg.Pool, decider: Decider):
    await _roster(pool)
    async with people(gateway, "street", "field", "other-district", "department") as (street, field, other, department):
        assert await _on_duty(street) == [("zhang", {"sms": "138****5678", "mail": "z***@water.example"})]
        assert await _on_duty(field) == await _on_duty(department) == [("zhang", {})]
        assert (await field.get("/v1/people/zhang/contacts")).status_code == 403
        assert (await other.get("/v1/people/zhang/contacts")).status_code == 404
        assert await audited(pool, "person.contacts.look", "person/zhang") == []
        answer = await street.get("/v1/people/zhang/contacts")
        assert Contacts.model_validate_json(answer.content).contacts["sms"] == "13812345678"
        (entry,) = await audited(pool, "person.contacts.look", "person/zhang")
        assert (entry["actor"], "138" in json.dumps(entry["detail"])) == ("street", False)
    async with httpx.AsyncClient(base_url=gateway.url, headers={"Authorization": "Bearer tgr_city"}) as machine:
        assert (await machine.get("/v1/people/zhang/contacts")).status_code == 403
        assert await _on_duty(machine) == [("zhang", {})]


async def test_nobody_of_a_team_of_others_is_put_on_duty_nor_is_their_number_told_for_it(gateway: Service, pool: asyncpg.Pool, decider: Decider):
    await _roster(pool)
    team = {"id": "top", "name": name("top").model_dump(), "region": OTHER_DISTRICT, "role": "supervisor", "always": ["mayor"]}
    await pool.execute("insert into alerts.teams values ('top', $1, $2)", OTHER_DISTRICT, json.dumps(team))
    await pool.execute("insert into alerts.people values ('mayor', $1, $2)", name("mayor").model_dump_json(), json.dumps({"sms": "13999999999"}))
    swap = {"since": now().isoformat(), "until": (now() + timedelta(hours=1)).isoformat(), "reason": "x"}
    async with people(gateway, "street", "city") as (street, city):

        async def refused(who: str, **more: str) -> str:
            answer = await street.ask("POST", "/v1/teams/crew/overrides", {"person": who} | more | swap)
            assert (answer.status_code, answer.json()["title"]) == (422, "unfit")
            return str(answer.json()["detail"]).replace(more.get("instead_of", who), "-")

        assert await refused("mayor") == await refused("there-is-none")
        assert await refused("boss", instead_of="mayor") == await refused("boss", instead_of="there-is-none")
        await pool.execute("insert into alerts.roster values ('crew', 'mayor', $1, $2, null, null)", now(), now() + timedelta(hours=1))
        assert (await street.get("/v1/people/mayor/contacts")).status_code == 404, "who is put on duty in a team is not therefore of it"
        assert (await city.get("/v1/people/mayor/contacts")).status_code == 200
        body = {"person": "boss", "instead_of": "mayor"} | swap
        _, command = await asked(decider, street.ask("POST", "/v1/teams/crew/overrides", body))
        assert isinstance(command, Override)
        assert command.instead_of == "mayor", "of whoever is on duty there somebody else may take the place"
        await pool.execute("delete from alerts.roster where person = 'mayor'")
        _, command = await asked(decider, city.ask("POST", "/v1/teams/crew/overrides", {"person": "mayor"} | swap))
        assert isinstance(command, Override)
        assert command.person == "mayor"


async def test_somebody_is_put_on_duty_instead_of_somebody_else(gateway: Service, pool: asyncpg.Pool, decider: Decider):
    await _roster(pool)
    swap = {"person": "boss", "instead_of": "zhang", "since": now().isoformat(), "until": (now() + timedelta(hours=8)).isoformat(), "reason": "病假"}
    async with people(gateway, "street", "field", "other-district") as (street, field, other):
        assert (await other.ask("POST", "/v1/teams/crew/overrides", swap)).status_code == 404
        assert (await field.ask("POST", "/v1/teams/crew/overrides", swap)).status_code == 403
        assert (await street.ask("POST", "/v1/teams/crew/overrides", swap | {"person": "there-is-none"})).status_code == 422
        assert (await street.ask("POST", "/v1/teams/crew/overrides", swap | {"until": swap["since"]})).status_code == 422
        key, command = await asked(decider, street.ask("POST", "/v1/teams/crew/overrides", swap))
        assert isinstance(command, Override)
        assert (key, command.person, command.instead_of) == ("team/crew", "boss", "zhang")


async def test_a_desk_is_handed_over_with_what_stands_and_taken(gateway: Service, pool: asyncpg.Pool, producer: Producer, decider: Decider):
    await raised(gateway, pool, producer, 102, OTHER_STREET)
    async with people(gateway, "other-district", "street", "department") as (desk, street, department):
        path = f"/v1/regions/{OTHER_STREET}/handovers"
        for who in (street, department):
            assert (await who.ask("POST", path, {"note": ""})).status_code == 403
            assert (await who.get(path)).status_code == 403
        key, command = await asked(decider, desk.ask("POST", path, {"note": "水位仍高\n注意"}))
        assert isinstance(command, HandOver)
        assert (key, command.open, command.unanswered, command.note) == (f"region/{OTHER_STREET}", 1, 1, "水位仍高\n注意")
        fields = {**command.model_dump(include={"id", "region", "day", "at", "note", "open", "unanswered"}), "by": command.actor}
        shown = HandOverShown.model_validate(fields)
        await pool.execute("insert into alerts.handovers values ($1, $2, $3, $4)", shown.id, shown.region, shown.at, shown.model_dump_json())
        assert [HandOverShown.model_validate(one) for one in (await desk.get(path)).json()] == [shown]
        assert (await street.ask("POST", f"/v1/handovers/{shown.id}/taking")).status_code == 404
        taken, took = await asked(decider, desk.ask("POST", f"/v1/handovers/{shown.id}/taking"))
        assert isinstance(took, TakeOver)
        assert (taken, took.handover) == (key, shown.id)

        until = (now() + timedelta(minutes=1)).isoformat().replace("+", "%2B")
        brief = Brief.model_validate_json((await desk.get(f"/v1/regions/{OTHER_STREET}/brief?until={until}")).content)
        assert ([one.id for one in brief.warnings], brief.unanswered, brief.handovers) == ([UUID(int=102)], 1, (shown,))
        (other,) = Brief.model_validate_json((await department.get(f"/v1/regions/{OTHER_STREET}/brief?until={until}")).content).warnings
        assert other.id == UUID(int=102)
        assert Brief.model_validate_json((await department.get(f"/v1/regions/{OTHER_STREET}/brief?until={until}")).content).handovers == ()
        last = Brief.model_validate_json((await desk.get(f"/v1/regions/{OTHER_STREET}/brief")).content)
        assert (last.until - last.since, last.region.code) == (timedelta(days=1), OTHER_STREET)
        assert (await desk.get(f"/v1/regions/{OTHER_STREET}/brief?since=2020-01-01T00:00:00Z")).status_code == 422
        for field, at in (("until", "0001-01-01T00:00:00Z"), ("since", "0001-01-01T00:00:00%2B14:00"), ("until", "9999-12-31T23:59:59-12:00")):
            answer = await desk.get(f"/v1/regions/{OTHER_STREET}/brief?{field}={at}")
            assert (answer.status_code, answer.json()["detail"].partition(":")[0]) == (422, field), at


# From the field


async def send_photo(one: Browser, body: bytes = JPEG, kind: str = "image/jpeg") -> httpx.Response:
    assert one.session is not None
    return await one.client.post("/v1/photos", content=body, headers={"Content-Type": kind, "X-CSRF-Token": one.session.csrf})


async def test_a_phone_shows_what_its_owner_was_told_and_given_and_nothing_of_others(gateway: Service, pool: asyncpg.Pool, producer: Producer):
    one, other = await raised(gateway, pool, producer, 103), await raised(gateway, pool, producer, 104, OTHER_STREET)
    given = await raised(gateway, pool, producer, 105)
    for alert in (one, other):
        await notified(pool, alert, "field")
    await join(pool, one, other)
    actor = {"id": "field", "name": name("field").model_dump()}
    done = WarningActions.model_validate(
        {"warning": given, "rev": 1, "street": STREET, "department": "d", "command": uuid4(), "assigned": {"to": actor, "by": actor, "at": now()}}
    )
    await pool.execute("insert into alerts.actions values ($1, 1, $2, 'd', $3)", given, STREET, done.model_dump_json())
    async with people(gateway, "field", "street", "auditor") as (field, street, auditor):
        view = FieldView.model_validate_json((await field.get("/v1/field")).content)
        shown = {alert.id: ([each.id for each in alert.warnings], alert.count, alert.assigned, alert.text.en) for alert in view.alerts}
        assert shown[one] == ([one], 1, False, "text 103"), "the message told of another's warning too, so it is not shown"
        assert shown[given] == ([given], 1, True, "text 105")
        assert other not in shown
        assert FieldView.model_validate_json((await street.get("/v1/field")).content).alerts == ()
        assert (await auditor.get("/v1/field")).status_code == 403


async def test_an_answer_that_is_sent_again_is_one_and_its_position_and_photo_are_seen_by_who_directs_and_audited(
    gateway: Service, pool: asyncpg.Pool, producer: Producer, decider: Decider
):
    one = await raised(gateway, pool, producer, 106)
    digest = hashlib.sha256(JPEG).hexdigest()
    async with people(gateway, "field", "street", "other-district", "department") as (field, street, other, department):
        answer = {
            "command": str(uuid4()),
            "message": 1,
            "deed": "arrived",
            "position": {"longitude": 103.8, "latitude": 36.06, "accuracy_m": 8},
            "photos": [digest],
            "at": (now() - timedelta(minutes=3)).isoformat(),
        }
        path = f"/v1/alerts/{one}/answers"
        assert (await field.ask("POST", path, answer)).status_code == 422, "its photo is not there yet"
        assert [(await send_photo(field)).status_code for _ in range(2)] == [201, 201]
        assert (await send_photo(field)).json() == {"digest": digest}
        assert (await other.ask("POST", path, answer)).status_code == 404
        assert (await department.ask("POST", path, answer)).status_code == 403
        assert (await field.ask("POST", path, answer | {"deed": "comment"})).status_code == 422
        assert (await field.ask("POST", path, answer | {"command": str(uuid5(one, "link"))})).status_code == 422

        first = await field.ask("POST", path, answer)
        assert (first.status_code, first.json()) == (202, {"command": answer["command"], "outcome": None})
        assert (await street.ask("POST", path, answer)).status_code == 409, "the id is another's"
        again = asyncio.ensure_future(field.ask("POST", path, answer))
        await decider.decides(UUID(str(answer["command"])), Decision.APPLIED)
        assert (await again).json()["outcome"] == "applied"
        assert (await field.ask("POST", path, answer)).json()["outcome"] == "applied"
        mine = [command for key, command in await decider.commands() if key == f"alert/{one}"]
        assert len(mine) == len(await audited(pool, "alert.answer", f"alert/{one}")) == 1
        assert isinstance(mine[0], AnswerAlert)
        assert mine[0].at == datetime.fromisoformat(str(answer["at"]))
        (entry,) = await audited(pool, "alert.answer", f"alert/{one}")
        assert (entry["region"], entry["detail"]["located"], "103.8" in json.dumps(entry)) == (STREET, "true", False)
        (sent,) = await audited(pool, "photo.send", f"photo/{digest}")
        assert sent["actor"] == "field"

        kept = {"command": answer["command"], "deed": "arrived", "by": {"id": "field", "name": name("field").model_dump()}, "at": answer["at"]}
        body = json.dumps({**kept, "position": answer["position"], "photos": [digest]})
        await pool.execute("insert into alerts.answers values ($1, null, $2, $3, $4)", UUID(str(answer["command"])), one, now(), body)
        for who, status in ((field, 403), (department, 403), (other, 404)):
            for look in ("answers", f"photos/{digest}"):
                assert (await who.get(f"/v1/warnings/{one}/{look}")).status_code == status
        assert [each["photos"] for each in (await street.get(f"/v1/warnings/{one}/answers")).json()] == [[digest]]
        photo = await street.get(f"/v1/warnings/{one}/photos/{digest}")
        assert (photo.content, photo.headers["content-type"], photo.headers["content-disposition"]) == (JPEG, "image/jpeg", "inline")
        assert (photo.headers["x-content-type-options"], "sandbox" in photo.headers["content-security-policy"]) == ("nosniff", True)
        assert photo.headers["cache-control"] == "no-store"
        assert (await street.get(f"/v1/warnings/{one}/photos/{'0' * 64}")).status_code == 404
        looks = [await audited(pool, action, f"warning/{one}") for action in ("warning.answers.look", "photo.look")]
        assert [[entry["actor"] for entry in each] for each in looks] == [["street"], ["street"]]


async def test_what_a_phone_kept_is_sent_by_who_gave_it_and_was_given_so_long_ago_as_its_clock_says_however_wrong(
    gateway: Service, pool: asyncpg.Pool, producer: Producer, decider: Decider
):
    one, wrong = await raised(gateway, pool, producer, 113), datetime(2031, 5, 1, tzinfo=UTC)
    told = now() - timedelta(minutes=10)
    await notified(pool, one, "field", at=told)
    path, answer = f"/v1/alerts/{one}/answers", {"message": 1, "deed": "on_my_way", "given_by": "field", "sent_at": wrong.isoformat()}
    async with people(gateway, "field", "other-district") as (field, other):
        for other_id in ("street", "there-is-none"):
            refused = await field.ask("POST", path, answer | {"command": str(uuid4()), "given_by": other_id})
            assert (refused.status_code, refused.json()["title"]) == (409, "another_user")
        refused = await other.ask("POST", path, answer | {"command": str(uuid4())})
        assert (refused.status_code, refused.json()["title"]) == (409, "another_user"), "whatever else they may not"
        assert (await field.ask("POST", path, answer | {"command": str(uuid4()), "message": 1 << 40})).status_code == 422

        for ago in (timedelta(minutes=3), timedelta(days=2)):
            before = now()
            _, command = await asked(decider, field.ask("POST", path, answer | {"command": str(uuid4()), "at": (wrong - ago).isoformat()}))
            assert isinstance(command, AnswerAlert)
            assert max(told, before - ago) <= command.at <= max(told, now() - ago), "not before it was told"
    assert [entry["detail"]["message"] for entry in await audited(pool, "alert.answer", f"alert/{one}")] == ["1", "1"]


async def test_a_photo_is_an_image_of_bounded_size_by_somebody_in_the_field(gateway: Service):
    async with people(gateway, "field", "auditor") as (field, auditor):
        assert (await send_photo(field, b"<svg/>", "image/svg+xml")).status_code == 422
        assert (await send_photo(field, JPEG, "image/png")).status_code == 422
        assert (await send_photo(field, JPEG + bytes(4 << 20))).status_code == 413
        assert (await send_photo(field, JPEG + bytes(3 << 20))).status_code == 201
        assert (await send_photo(auditor)).status_code == 403
        statuses = [(await send_photo(field)).status_code for _ in range(20)]
        assert statuses[-1] == 429
    async with browser(gateway) as nobody:
        assert (await nobody.client.post("/v1/photos", content=JPEG, headers={"Content-Type": "image/jpeg"})).status_code == 401


async def test_an_alert_is_answered_by_who_may_answer_for_all_of_it(gateway: Service, pool: asyncpg.Pool, producer: Producer):
    one, other = await raised(gateway, pool, producer, 107), await raised(gateway, pool, producer, 108, OTHER_STREET)
    await join(pool, one, other)
    async with people(gateway, "field", "city") as (field, city):
        answer = {"command": str(uuid4()), "message": 1, "deed": "acknowledge"}
        refused = await field.ask("POST", f"/v1/alerts/{one}/answers", answer)
        assert (refused.status_code, OTHER_STREET in refused.text) == (403, False)
        assert (await city.ask("POST", f"/v1/alerts/{one}/answers", answer)).status_code == 202


# By a link


async def test_a_link_answers_once_and_looking_at_it_changes_nothing(gateway: Service, pool: asyncpg.Pool, producer: Producer, decider: Decider):
    one = await raised(gateway, pool, producer, 109)
    notification = await notified(pool, one, "li.wei", channel="sms")
    token = links.make(KEY, notification)
    async with browser(gateway) as phone:
        for _ in range(2):
            link = Link.model_validate_json((await phone.get(f"/v1/links/{token}")).content)
            assert (link.state, link.person.en, link.alert.text.en, [each.id for each in link.alert.warnings]) == ("open", "li.wei", "told", [one])
        assert await audited(pool, "alert.answer", f"alert/{one}") == []
        foreign = await phone.ask("POST", f"/v1/links/{token}", {"deed": "acknowledge"}, Origin="https://evil.example")
        assert foreign.status_code == 403
        key, command = await asked(decider, phone.ask("POST", f"/v1/links/{token}", {"deed": "on_my_way", "note": "马上到"}), Decision.ALREADY)
        assert isinstance(command, AnswerAlert)
        assert (key, command.id, command.actor.id, command.deed) == (f"alert/{one}", command_of(notification), "li.wei", "on_my_way")
        used = Link.model_validate_json((await phone.get(f"/v1/links/{token}")).content)
        assert (used.state, used.used_as) == ("used", Decision.ALREADY)
        again = await phone.ask("POST", f"/v1/links/{token}", {"deed": "acknowledge"})
        assert (again.status_code, again.json()["outcome"]) == (200, "already")
    (entry,) = await audited(pool, "alert.answer", f"alert/{one}")
    assert (entry["actor"], entry["detail"]["by"], entry["region"]) == ("li.wei", "link", STREET)
    assert token not in json.dumps([row["body"] for row in await pool.fetch("select body from gateway.audit")])
    assert token not in gateway.log


async def test_a_link_shows_what_was_told_by_it_and_nothing_that_came_or_was_said_since(gateway: Service, pool: asyncpg.Pool, producer: Producer):
    one, joined = await raised(gateway, pool, producer, 114), [await raised(gateway, pool, producer, at, OTHER_STREET) for at in (115, 116)]
    for other, message in zip(joined, (0, 2), strict=True):
        await join(pool, one, other, message)
    actor = {"id": "field", "name": name("field").model_dump()}
    entry = {"command": uuid4(), "deed": "comment", "outcome": "applied", "by": actor, "at": now(), "note": "the key is under the mat"}
    done = WarningActions.model_validate({"warning": one, "rev": 1, "street": STREET, "department": "d", "command": uuid4(), "trail": [entry]})
    await pool.execute("insert into alerts.actions values ($1, 1, $2, 'd', $3)", one, STREET, done.model_dump_json())
    tokens = {who: links.make(KEY, await notified(pool, one, who, channel="sms")) for who in ("li.wei", "field")}
    async with browser(gateway) as phone:
        for who, token in tokens.items():
            answer = await phone.get(f"/v1/links/{token}")
            link = Link.model_validate_json(answer.content)
            assert ([each.id for each in link.alert.warnings], link.alert.count, link.state) == ([one], 1, "open"), who
            assert "mat" not in answer.text


async def test_a_link_of_somebody_who_may_not_answer_is_none(gateway: Service, pool: asyncpg.Pool, producer: Producer, decider: Decider):
    one, other = await raised(gateway, pool, producer, 117), await raised(gateway, pool, producer, 118, OTHER_STREET)
    both = await raised(gateway, pool, producer, 119)
    await join(pool, both, other)
    known = len(await decider.commands())
    tokens = [
        links.make(KEY, await notified(pool, alert, who, channel="sms")) for alert, who in ((one, "nobody"), (one, "department"), (both, "field"))
    ]
    async with browser(gateway, address="10.9.9.8") as phone:
        for token in tokens:
            assert (await phone.get(f"/v1/links/{token}")).status_code == 404
            assert (await phone.ask("POST", f"/v1/links/{token}", {"deed": "acknowledge"})).status_code == 404
        whole = Link.model_validate_json(
            (await phone.get(f"/v1/links/{links.make(KEY, await notified(pool, both, 'li.wei', channel='sms'))}")).content
        )
        assert {each.id for each in whole.alert.warnings} == {both, other}
    assert len(await decider.commands()) == known
    refused = {entry["actor"] for entry in await audited(pool, "link.refuse", "link") if entry["reason"] == "not_theirs"}
    assert refused == {"nobody", "department", "field"}


async def test_a_link_that_is_old_or_whose_alert_is_over_answers_nothing(gateway: Service, pool: asyncpg.Pool, producer: Producer):
    one = await raised(gateway, pool, producer, 110)
    old = links.make(KEY, await notified(pool, one, "li.wei", channel="mail", at=now() - timedelta(hours=25)))
    closed = links.make(KEY, await notified(pool, one, "li.wei", channel="sms"))
    await pool.execute("update alerts.alerts set closed_at = $2 where id = $1", one, now())
    async with browser(gateway) as phone:
        for token, state, shown in ((old, "expired", 0), (closed, "over", 1)):
            link = Link.model_validate_json((await phone.get(f"/v1/links/{token}")).content)
            assert (link.state, len(link.alert.warnings)) == (state, shown)
            assert (await phone.ask("POST", f"/v1/links/{token}", {"deed": "acknowledge"})).status_code == 409
    assert {entry["reason"] for entry in await audited(pool, "link.refuse", f"alert/{one}")} == {"expired", "over"}


async def test_what_is_no_link_is_refused_and_slowed_down_and_so_is_one_of_a_disabled_user(gateway: Service, pool: asyncpg.Pool, producer: Producer):
    one = await raised(gateway, pool, producer, 111)
    gone = links.make(KEY, await notified(pool, one, "rule-author"))
    chat = links.make(KEY, uuid4())
    await pool.execute("update gateway.users set disabled = true where id = 'rule-author'")
    async with browser(gateway, address="10.9.9.9") as phone:
        assert [(await phone.get(f"/v1/links/{token}")).status_code for token in (gone, chat, "x", links.make("other key", uuid4()))] == [404] * 4
        statuses = [(await phone.ask("POST", f"/v1/links/{at:038}", {"deed": "acknowledge"})).status_code for at in range(20)]
        assert statuses[-1] == 429
    refused = {(entry["actor"], entry["reason"]) for entry in await audited(pool, "link.refuse", "link") if entry["reason"] != "not_theirs"}
    assert refused == {("rule-author", "disabled"), ("(unknown)", "unknown_link"), ("(unknown)", "no_such_message")}


async def test_who_was_told_of_a_warning_is_shown_with_names_to_who_may_answer_for_it(gateway: Service, pool: asyncpg.Pool, producer: Producer):
    one = await raised(gateway, pool, producer, 112)
    await notified(pool, one, "li.wei", channel="sms")
    async with people(gateway, "field", "department", "other-district") as (field, department, other):
        assert [told["recipient"] for told in (await field.get(f"/v1/warnings/{one}/notifications")).json()] == ["person/li.wei"]
        assert (await department.get(f"/v1/warnings/{one}/notifications")).json() == []
        assert (await other.get(f"/v1/warnings/{one}/notifications")).status_code == 404
    async with httpx.AsyncClient(base_url=gateway.url, headers={"Authorization": "Bearer tgr_city"}) as machine:
        assert (await machine.get(f"/v1/warnings/{one}/notifications")).json() == []


async def test_what_a_message_says_of_others_and_who_could_not_be_told_is_shown_to_nobody_else(
    gateway: Service, pool: asyncpg.Pool, producer: Producer
):
    one, other = await raised(gateway, pool, producer, 120), await raised(gateway, pool, producer, 121, OTHER_STREET)
    about, desk = warning(120, street=STREET, tier=Tier.ORANGE), f"region/{STREET}"
    await notify(pool, one, desk, about, "1 here", at=now())
    await notify(pool, one, desk, about, "Li Wei, SMS: no answer", at=now(), why="undelivered")

    async def texts(who: Browser | httpx.AsyncClient) -> list[set[str]]:
        """What is read of it beside the warning, and among what the desk was told."""
        beside, told = [(await who.get(f"/v1/{path}/notifications")).json() for path in (f"warnings/{one}", f"regions/{STREET}")]
        return [{each["text"]["en"] for each in found if each["alert"] == str(one)} for found in (beside, told)]

    async with (
        people(gateway, "street", "department") as (street, department),
        httpx.AsyncClient(base_url=gateway.url, headers={"Authorization": "Bearer tgr_street"}) as machine,
    ):
        assert await texts(street) == [{"1 here", "Li Wei, SMS: no answer"}] * 2
        for who in (department, machine):
            assert await texts(who) == [{"1 here", "Somebody could not be told"}] * 2
        await join(pool, one, other)
        assert await texts(street) == [{"r1"}] * 2, "it may tell of the other street, too"
        assert await texts(machine) == [{"r1", "Somebody could not be told"}] * 2
