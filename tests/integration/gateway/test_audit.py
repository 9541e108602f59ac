"""The audit: who reads what of it, that it only grows, and that nobody can flood it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta

import asyncpg
import pytest
from websockets.exceptions import InvalidStatus

from schemas.audit import AuditEntry, Outcome
from services.kit.topics import AUDIT
from tests.integration.gateway.people import browser
from tests.integration.gateway.session import closed_with, connected
from tests.integration.parts import Servers, Service, Tape, eventually
from tests.integration.rooms import TOKENS
from tests.unit.gateway.city import CITY, DISTRICT, OTHER_DISTRICT, STREET, TREE


async def entries(pool: asyncpg.Pool, **wanted: str) -> list[AuditEntry]:
    rows = await pool.fetch("select body from gateway.audit where body @> $1 order by seq", json.dumps(wanted))
    return [AuditEntry.model_validate_json(row["body"]) for row in rows]


@pytest.fixture
async def happened(gateway: Service) -> None:
    """Something in each district, and something of no region."""
    for user in ("district", "other-district", "city", "admin"):
        async with browser(gateway, user):
            pass
    async with browser(gateway, address="10.7.7.7") as one:
        await one.sign_in("nobody-at-all", "wrong")


@pytest.mark.parametrize(("auditor", "within", "citys"), [("auditor", CITY, True), ("district-auditor", DISTRICT, False)])
async def test_an_auditor_reads_what_happened_in_their_regions(gateway: Service, happened: None, auditor: str, within: str, citys: bool):  # noqa: FBT001
    async with browser(gateway, auditor) as one:
        found = [AuditEntry.model_validate(each) for each in (await one.get("/v1/audit?limit=500")).json()]
        assert {each.region for each in found if each.region} == {
            region for region in {CITY, DISTRICT, OTHER_DISTRICT} if TREE.covers(within, region)
        } | {each.region for each in found if each.region and TREE.covers(within, each.region)}
        assert (None in {each.region for each in found}) is citys
        assert [each.at for each in found] == sorted((each.at for each in found), reverse=True)


async def test_it_is_read_page_by_page(gateway: Service, happened: None):
    async with browser(gateway, "district-auditor") as one:
        whole = (await one.get("/v1/audit?limit=500")).json()
        pages, before = [], ""
        while page := (await one.get(f"/v1/audit?limit=3{before}")).json():
            assert len(page) <= 3
            pages += page
            before = f"&before={page[-1]['id']}"
        assert pages == whole
        assert (await one.get("/v1/audit?before=00000000-0000-0000-0000-000000000000")).json() == []
        for query in ("limit=0", "limit=501", "before=x"):
            assert (await one.get(f"/v1/audit?{query}")).status_code == 422


@pytest.mark.parametrize("who", ["city", "district", "department", "rule-author", "admin", "nobody"])
async def test_others_do_not_read_it(gateway: Service, pool: asyncpg.Pool, who: str):
    async with browser(gateway, who) as one:
        assert (await one.get("/v1/audit")).status_code == 403
    assert [each.outcome for each in await entries(pool, actor=who, action="audit.refuse")] == [Outcome.REFUSED]


@pytest.mark.parametrize("statement", ["update gateway.audit set region = null", "delete from gateway.audit", "truncate gateway.audit"])
async def test_it_only_grows(gateway: Service, happened: None, pool: asyncpg.Pool, statement: str):
    count = await pool.fetchval("select count(*) from gateway.audit")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only ever added to"):
        await pool.execute(statement)
    assert await pool.fetchval("select count(*) from gateway.audit") == count > 0


async def test_after_400_days_it_is_forgotten(start: Callable[..., Service], environment: dict[str, str], pool: asyncpg.Pool, gateway: Service):
    insert = "insert into gateway.audit (id, at, region, body) values (gen_random_uuid(), now() - $1::interval, 'kept?', '{}')"
    for days in (399, 401):
        await pool.execute(insert, timedelta(days=days))
    second = start("gateway", **environment)  # it tidies at its start
    await second.ready()
    assert await pool.fetchval("select count(*) from gateway.audit where region = 'kept?'") == 1


async def test_what_cannot_be_tidied_up_ends_nothing(
    start: Callable[..., Service], environment: dict[str, str], pool: asyncpg.Pool, gateway: Service
):
    insert = "insert into gateway.audit (id, at, region, body) values (gen_random_uuid(), now() - interval '500 days', 'old', '{}')"
    await pool.execute(insert)
    await pool.execute(
        "create function gateway.keep_all() returns trigger language plpgsql as"
        " $$ begin raise exception 'no' using errcode = 'insufficient_privilege'; end $$;"
        " create trigger keep_all_for_now before delete on gateway.audit for each row execute function gateway.keep_all()"
    )
    try:
        second = start("gateway", **environment)
        await second.ready()

        async def told() -> object:
            return second.events("not_tidied")

        await eventually(told, "it to be told")
        async with browser(second, "street"):
            pass
    finally:
        await pool.execute("drop function gateway.keep_all cascade; delete from gateway.audit where region = 'old'")


async def test_each_entry_is_published(gateway: Service, pool: asyncpg.Pool, servers: Servers):
    tape = await Tape.of(servers.kafka, AUDIT)
    async with browser(gateway, "field"):
        pass
    found = await tape.until(lambda found: [one for one in found if one.key == b"field"], "the entry")
    (record,) = [one for one in found if one.key == b"field"]
    assert AuditEntry.model_validate_json(record.value) == (await entries(pool, actor="field", action="session.open"))[-1]
    headers = dict(record.headers)
    assert (record.key, headers["ce_type"], headers["ce_subject"]) == (b"field", b"cn.tongguan.audit.v1", b"user/field")


async def test_refusals_are_told_with_who_and_where(gateway: Service, pool: asyncpg.Pool):
    async with browser(gateway, "district", address="10.7.0.1") as one:
        assert (await one.get(f"/v1/regions/{OTHER_DISTRICT}/values")).status_code == 403
        assert (await one.get("/v1/regions/nowhere/map")).status_code == 403
        assert (await one.client.delete("/v1/session")).status_code == 403
        async with connected(gateway, additional_headers=one.cookie | {"X-Forwarded-For": "10.7.0.1"}) as socket:
            await socket.send(json.dumps({"type": "hello", "region": CITY}))
            assert await closed_with(socket) == 4403
    found = [each for each in await entries(pool, address="10.7.0.1") if each.outcome is Outcome.REFUSED]
    assert [(each.actor, each.action, each.subject, each.region, each.reason) for each in found] == [
        ("district", "region.refuse", f"region/{OTHER_DISTRICT}", OTHER_DISTRICT, "not_your_region"),
        ("district", "region.refuse", "/v1/regions/nowhere/map", None, "not_your_region"),
        ("district", "request.refuse", "/v1/session", None, "forged"),
        ("district", "region.refuse", f"region/{CITY}", CITY, "not_your_region"),
    ]


async def test_a_page_of_another_origin_is_told(gateway: Service, pool: asyncpg.Pool):
    async with browser(gateway, "street", address="10.7.0.9") as one:
        assert (await one.ask("DELETE", "/v1/session", Origin="https://evil.example")).status_code == 403
        with pytest.raises(InvalidStatus):
            async with connected(gateway, origin="https://evil.example", additional_headers={"X-Forwarded-For": "10.7.0.9"}):
                pass
    found = [(each.subject, each.reason, each.detail) for each in await entries(pool, address="10.7.0.9", outcome="refused")]
    told = {"origin": "https://evil.example"}
    assert found == [("/v1/session", "other_origin", told), ("/v1/live", "other_origin", told)]


async def test_a_token_is_told_by_its_region_and_an_unknown_one_too(gateway: Service, pool: asyncpg.Pool):
    async with browser(gateway, address="10.7.0.2") as one:
        await one.client.get(f"/v1/regions/{CITY}", headers={"Authorization": f"Bearer {TOKENS[STREET]}"})
        await one.client.get(f"/v1/regions/{CITY}", headers={"Authorization": "Bearer tgr_guess"})
        await one.client.get(f"/v1/regions/{CITY}")  # no more than a visitor
    found = [(each.actor, each.action) for each in await entries(pool, address="10.7.0.2")]
    assert found == [(f"token/{STREET}", "region.refuse"), ("(unknown)", "token.refuse")]


async def test_who_asks_again_and_again_is_counted(gateway: Service, environment: dict[str, str], pool: asyncpg.Pool, start: Callable[..., Service]):
    second = start("gateway", **environment)
    await second.ready()
    async with browser(second, "street", address="10.7.0.3") as one:
        await asyncio.gather(*(one.get(f"/v1/regions/{CITY}") for _ in range(40)))
        for at in range(60):
            await one.get(f"/v1/regions/nowhere-{at}")
    count = len(await entries(pool, actor="street", outcome="refused"))
    assert len(await entries(pool, address="10.7.0.3", outcome="refused")) == 30
    assert second.stop() == 0  # what was counted is written at the end
    found = await entries(pool, actor="street", outcome="refused")
    assert [(each.action, each.subject, each.address, each.detail) for each in found[count:]] == [
        ("region.refuse", f"region/{CITY}", "10.7.0.3", {"repeated": "39"}),
        ("various.refuse", "(various)", "(various)", {"repeated": "31"}),
    ]


async def test_what_a_user_is_refused_is_told_however_many_strangers_are_refused_at_their_address(gateway: Service, pool: asyncpg.Pool):
    async with browser(gateway, "street", address="10.7.0.4") as one:
        for at in range(31):
            await one.client.get(f"/v1/regions/stranger-{at}", headers={"Authorization": "Bearer tgr_guess"})
        await one.get(f"/v1/regions/{CITY}")
    found = [each.actor for each in await entries(pool, address="10.7.0.4", outcome="refused")]
    assert found == ["(unknown)"] * 30 + ["street"]


async def test_what_is_done_has_a_pace(start: Callable[..., Service], environment: dict[str, str], pool: asyncpg.Pool, gateway: Service):
    """Nobody can fill the audit, which keeps all for so long."""
    second = start("gateway", **environment, TONGGUAN_GATEWAY__CHANGES_PER_MINUTE="3")
    await second.ready()
    body = {"name": "hand", "minutes": 5, "warnings": []}
    headers = {"Authorization": f"Bearer {TOKENS[STREET]}"}
    async with browser(second, address="10.7.0.5") as one:
        answers = [await one.client.post(f"/v1/regions/{STREET}/mutes", json=body, headers=headers) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [204, 204, 204, 429, 429]
        assert (answers[3].json()["title"], 0 < int(answers[3].headers["retry-after"]) <= 60) == ("too_many", True)
        other = {"Authorization": f"Bearer {TOKENS[CITY]}"}
        assert (await one.client.post(f"/v1/regions/{STREET}/mutes", json=body, headers=other)).status_code == 204
    found = [(each.actor, each.outcome, each.reason) for each in await entries(pool, address="10.7.0.5")]
    assert found == [
        *[(f"token/{STREET}", Outcome.DONE, None)] * 3,
        (f"token/{STREET}", Outcome.REFUSED, "too_many"),
        (f"token/{CITY}", Outcome.DONE, None),
    ]


async def test_who_knows_their_password_cannot_fill_it_either(start: Callable[..., Service], environment: dict[str, str], gateway: Service):
    second = start("gateway", **environment, TONGGUAN_GATEWAY__CHANGES_PER_MINUTE="3")
    await second.ready()
    async with browser(second, address="10.7.0.6") as one:
        assert [(await one.sign_in("street")).status_code for _ in range(4)] == [200, 200, 200, 429]
        assert (await one.sign_in("admin")).status_code == 200
        changes = [await one.ask("PATCH", "/v1/users/field", {}) for _ in range(3)]
        assert [change.status_code for change in changes] == [200, 200, 429]
