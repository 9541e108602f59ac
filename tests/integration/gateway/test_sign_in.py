"""Signing in and out: sessions and their end, wrong passwords, forged requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from argon2 import PasswordHasher

from schemas.audit import AuditEntry
from schemas.rest import Session, SignIn
from services.gateway.passwords import AT_A_TIME
from services.kit.topics import AUDIT
from tests.integration.gateway.people import Browser, browser, password, set_cookies
from tests.integration.gateway.session import closed_with, connected, session
from tests.integration.parts import Servers, Service, Tape, eventually
from tests.integration.rooms import TOKENS
from tests.unit.gateway.city import CITY, DISTRICT, STREET

COOKIELESS = {"type": "hello", "protocol": 1}


def hello(region: str) -> str:
    return json.dumps(COOKIELESS | {"region": region})


async def audited(pool: asyncpg.Pool, action: str, actor: str) -> list[AuditEntry]:
    rows = await pool.fetch("select body from gateway.audit order by seq")
    entries = [AuditEntry.model_validate_json(row["body"]) for row in rows]
    return [one for one in entries if (one.action, one.actor) == (action, actor)]


# In and out


async def test_anybody_learns_how_to_sign_in(client: httpx.AsyncClient):
    told = SignIn.model_validate((await client.get("/v1/sign-in")).json())
    assert (told.city.zh, told.oidc) == ("试验市", None)


async def test_a_password_opens_a_session_and_signing_out_ends_it(gateway: Service, pool: asyncpg.Pool):
    async with browser(gateway) as one:
        assert (await one.get("/v1/session")).status_code == 401
        answer = await one.sign_in("district")
        assert answer.headers["cache-control"] == "no-store"
        opened = Session.model_validate((await one.get("/v1/session")).json())
        assert (opened.user, [region.code for region in opened.regions]) == ("district", [DISTRICT])
        assert opened.may.model_dump() == {
            "watch": True,
            "acknowledge": True,
            "direct": True,
            "rules": False,
            "audit": False,
            "users": False,
            "events": False,
            "registry": False,
        }
        assert [each.id for each in opened.departments] == ["d", "e"]
        assert (await one.get(f"/v1/regions/{DISTRICT}")).status_code == 200
        cookie = one.cookie
        assert (await one.ask("DELETE", "/v1/session")).status_code == 204
        assert not one.client.cookies
        assert (await one.client.get("/v1/session", headers=cookie)).status_code == 401
    assert len(await audited(pool, "session.open", "district")) == 1
    assert [one.region for one in await audited(pool, "session.close", "district")] == [DISTRICT]


@pytest.mark.parametrize(
    ("forwarded", "start"),
    [("http", "tongguan="), ("https", "__Host-tongguan="), ("https, https", "__Host-tongguan="), ("https, http", "tongguan=")],
)
async def test_no_script_and_no_other_site_gets_the_cookie(gateway: Service, forwarded: str, start: str):
    async with browser(gateway) as one:
        one.client.headers["X-Forwarded-Proto"] = forwarded
        answer = await one.sign_in("street")
        (cookie,) = set_cookies(answer)
        assert cookie.startswith(start)
        assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
        https = forwarded.endswith("https")
        assert ("Secure" in cookie.split("; ")) is https
        assert "domain" not in cookie.lower()
        assert ("strict-transport-security" in answer.headers) is https
        assert (await one.client.get("/v1/session", headers={"Cookie": cookie})).status_code == 200
        async with connected(gateway, additional_headers={"Cookie": cookie, "X-Forwarded-Proto": forwarded}) as socket:
            await socket.send(hello(STREET))
            assert json.loads(await socket.recv())["type"] == "snapshot"


async def test_a_cookie_that_came_by_http_opens_nothing_over_https(gateway: Service):
    """Whoever can answer for us by http could set one."""
    async with browser(gateway, "street") as one:
        assert (await one.client.get("/v1/session", headers={"X-Forwarded-Proto": "https"})).status_code == 401
        https = {**one.cookie, "X-Forwarded-Proto": "https"}
        async with connected(gateway, additional_headers=https) as socket:
            await socket.send(hello(STREET))
            assert await closed_with(socket) == 4401


async def test_signing_in_again_ends_the_session_before(gateway: Service):
    async with browser(gateway, "street") as one:
        before = one.cookie
        await one.sign_in("district")
        assert one.cookie != before
        async with browser(gateway) as thief:
            assert (await thief.client.get("/v1/session", headers=before)).status_code == 401


@pytest.mark.parametrize("column", ["seen_at = now() - interval '12 hours 1 minute'", "ends_at = now()"])
async def test_a_session_ends_when_it_is_not_used_and_after_its_longest_time(gateway: Service, pool: asyncpg.Pool, column: str):
    async with browser(gateway, "field") as one:
        await pool.execute(f"update gateway.sessions set {column} where user_id = 'field'")
        assert (await one.get("/v1/session")).status_code == 401


async def test_use_keeps_a_session(gateway: Service, pool: asyncpg.Pool):
    async with browser(gateway, "city") as one:
        aged = "update gateway.sessions set seen_at = now() - interval '11 hours' where user_id = 'city'"
        young = "select bool_and(seen_at > now() - interval '1 minute') from gateway.sessions where user_id = 'city'"
        await pool.execute(aged)
        assert (await one.get("/v1/session")).status_code == 200
        assert await pool.fetchval(young)
        async with connected(gateway, additional_headers=one.cookie) as socket:
            await socket.send(hello(CITY))
            await socket.recv()
            await pool.execute(aged)
            await eventually(lambda: pool.fetchval(young), "an open socket to count as use")


async def test_nothing_that_opens_a_session_is_kept_or_told(gateway: Service, pool: asyncpg.Pool, servers: Servers):
    tape = await Tape.of(servers.kafka, AUDIT, from_the_start=True)
    async with browser(gateway, "admin") as one:
        await one.ask("PATCH", "/v1/users/district-admin", {"password": "another-long-one"})
        await one.sign_in("a-Password-in-the-wrong-field", "x")
        held = [
            "a-Password-in-the-wrong-field",
            *dict(one.client.cookies).values(),
            one.session.csrf if one.session else "",
            password("admin"),
            "another-long-one",
        ]
    records = await tape.until(lambda found: [one for one in found if b"user.change" in one.value], "the change on the topic")
    tables = ("users", "grants", "sessions", "failures", "audit", "outbox")
    kept = [str(await pool.fetch(f"select * from gateway.{table}")) for table in tables]
    kept += [gateway.log, *(str((one.key, one.value, one.headers)) for one in records)]
    assert not [(secret, text[:200]) for secret in held for text in kept if secret in text]


# Wrong passwords


async def test_why_one_was_not_let_in_is_not_told(gateway: Service, pool: asyncpg.Pool):
    async with browser(gateway, address="10.9.0.1") as one:
        await pool.execute("update gateway.users set disabled = true where id = 'nobody'")
        answers = [await one.sign_in(*each) for each in (("district", "wrong"), ("no-such-user", "wrong"), ("nobody",), ("坏人", "x"))]
        await pool.execute("update gateway.users set disabled = false where id = 'nobody'")
        assert {answer.status_code for answer in answers} == {401}
        assert len({answer.content for answer in answers}) == 1
        assert answers[0].json()["title"] == "wrong_credentials"
        assert not one.client.cookies
    assert [one.reason for one in await audited(pool, "session.refuse", "nobody")] == ["disabled"]
    assert [one.region for one in await audited(pool, "session.refuse", "(unknown)") if one.address == "10.9.0.1"] == [None]


async def test_a_user_is_locked_after_five_wrong_passwords_where_they_came_from(gateway: Service, pool: asyncpg.Pool):
    async with browser(gateway, address="10.9.1.1") as one:
        assert [(await one.sign_in("rule-author", "wrong")).status_code for _ in range(5)] == [401] * 5
        locked = await one.sign_in("rule-author")
        assert (locked.status_code, locked.json()["title"]) == (429, "locked")
        assert 800 < int(locked.headers["retry-after"]) <= 900
        assert (await one.sign_in("street")).status_code == 200
        await pool.execute("update gateway.failures set locked_until = now()")
        assert (await one.sign_in("rule-author", "wrong")).status_code == 401
        assert (await one.sign_in("rule-author")).status_code == 200
    locks = [(entry.subject, entry.detail) for entry in await audited(pool, "session.lock", "(system)") if entry.address == "10.9.1.1"]
    assert locks == [("user/rule-author", {"of": "user"})]


async def test_nobody_is_kept_out_by_a_stranger_elsewhere_and_signing_in_forgives_it(gateway: Service):
    async with browser(gateway, address="10.9.1.2") as stranger, browser(gateway, address="10.9.1.3") as desk:
        for _ in range(5):
            await stranger.sign_in("admin", "wrong")
        assert (await stranger.sign_in("admin")).status_code == 429
        assert (await desk.sign_in("admin")).status_code == 200
        assert (await stranger.sign_in("admin", "wrong")).status_code == 401


async def test_many_wrong_passwords_lock_a_user_from_everywhere(
    gateway: Service, start: Callable[..., Service], environment: dict[str, str], pool: asyncpg.Pool
):
    second = start("gateway", **environment, TONGGUAN_GATEWAY__LOCKOUT_USER_EVERYWHERE="6")
    await second.ready()
    for at in range(6):
        async with browser(second, address=f"10.9.5.{at}") as one:
            assert (await one.sign_in("field", "wrong")).status_code == 401
    async with browser(second, address="10.9.5.9") as one, browser(second, "admin") as admin:
        assert (await one.sign_in("field")).status_code == 429
        assert {each["id"] for each in (await admin.get("/v1/users")).json() if each["locked_until"]} == {"field"}
        assert (await admin.ask("PATCH", "/v1/users/field", {"password": password("field")})).status_code == 200
        assert (await one.sign_in("field")).status_code == 200
    locks = [entry.detail for entry in await audited(pool, "session.lock", "(system)") if entry.subject == "user/field"]
    assert locks == [{"of": "user_everywhere"}]


@pytest.mark.parametrize("addresses", [["10.9.2.1"] * 20, [f"2001:db8:0:2::{at:x}" for at in range(1, 21)]], ids=["an address", "a network of IPv6"])
async def test_an_address_is_locked_whoever_it_tries_to_be(gateway: Service, addresses: list[str]):
    for at, address in enumerate(addresses):
        async with browser(gateway, address=address) as one:
            assert (await one.sign_in(f"guess-{at}", "wrong")).status_code == 401
    async with browser(gateway, address=addresses[0].replace("::1", "::ffff")) as one:
        assert (await one.sign_in("street")).status_code == 429
    for elsewhere in ("10.9.2.2", "2001:db8:0:3::1"):
        async with browser(gateway, "street", address=elsewhere):
            pass


async def test_ids_of_nobody_are_locked_as_others_are_and_not_kept(gateway: Service, pool: asyncpg.Pool):
    async with browser(gateway, address="10.9.6.1") as one:
        assert [(await one.sign_in("hunter2", "x")).status_code for _ in range(6)] == [401] * 5 + [429]
    rows = await pool.fetch("select body from gateway.audit where body->>'address' = '10.9.6.1' order by seq")
    entries = [AuditEntry.model_validate_json(row["body"]) for row in rows]
    assert [(each.actor, each.action, each.subject, each.reason) for each in entries] == [
        ("(unknown)", "session.refuse", "user/(unknown)", "wrong_credentials"),
        ("(system)", "session.lock", "user/(unknown)", None),
        ("(unknown)", "session.refuse", "user/(unknown)", "locked"),
    ]
    assert "hunter2" not in str(await pool.fetch("select * from gateway.failures"))


async def test_who_is_disabled_while_they_sign_in_is_refused_and_told(gateway: Service, pool: asyncpg.Pool):
    blocked = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%gateway.users%for update%'"
    async with browser(gateway, address="10.9.7.1") as one:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("update gateway.users set disabled = true where id = 'district'")
            signing_in = asyncio.create_task(one.sign_in("district"))
            await eventually(lambda: pool.fetchval(blocked), "the sign-in to wait for the user")
        assert (await signing_in).status_code == 401
        await pool.execute("update gateway.users set disabled = false where id = 'district'")
    found = [each.reason for each in await audited(pool, "session.refuse", "district") if each.address == "10.9.7.1"]
    assert found == ["changed_meanwhile"]
    assert await pool.fetchval("select count(*) from gateway.failures where subject = 'address/10.9.7.1'") == 1


async def test_wrong_passwords_long_ago_count_no_more(gateway: Service, pool: asyncpg.Pool):
    async with browser(gateway, address="10.9.3.1") as one:
        for _ in range(4):
            await one.sign_in("auditor", "wrong")
        await pool.execute("update gateway.failures set since = now() - interval '16 minutes'")
        assert (await one.sign_in("auditor", "wrong")).status_code == 401
        assert (await one.sign_in("auditor")).status_code == 200


async def test_many_tries_at_once_are_few_tries(gateway: Service):
    async with browser(gateway, address="10.9.4.1") as one:
        answers = await asyncio.gather(*(one.sign_in("district-auditor", f"wrong-{at}") for at in range(30)))
        looked_at = [answer.status_code for answer in answers].count(401)
        assert 5 <= looked_at <= 5 + AT_A_TIME
        assert (await one.sign_in("district-auditor")).status_code == 429


async def test_a_password_is_hashed_anew_when_that_costs_otherwise_now(gateway: Service, pool: asyncpg.Pool):
    old = PasswordHasher(time_cost=2, memory_cost=8192).hash(password("other-district"))
    await pool.execute("update gateway.users set password = $1 where id = 'other-district'", old)
    for _ in range(2):
        async with browser(gateway, "other-district"):
            kept = await pool.fetchval("select password from gateway.users where id = 'other-district'")
            assert kept != old
            assert "m=8192,t=1," in kept


# Forged requests


@pytest.fixture
async def signed_in(gateway: Service) -> Any:
    async with browser(gateway, "admin") as one:
        yield one


async def test_a_change_needs_the_token_of_its_session(gateway: Service, signed_in: Browser):
    async with browser(gateway, "city") as other:
        assert other.session is not None
        for token in (None, "", "x", other.session.csrf):
            headers = {} if token is None else {"X-CSRF-Token": token}
            answer = await signed_in.client.delete("/v1/session", headers=headers)
            assert (answer.status_code, answer.json()["title"]) == (403, "forged")
    assert (await signed_in.get("/v1/session")).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1"])
async def test_pages_of_another_origin_change_nothing(gateway: Service, signed_in: Browser, origin: str):
    answer = await signed_in.ask("DELETE", "/v1/session", Origin=origin)
    assert (answer.status_code, answer.json()["title"]) == (403, "forged")
    answer = await signed_in.client.post("/v1/session", json={"user": "city", "password": password("city")}, headers={"Origin": origin})
    assert answer.status_code == 403
    assert (await signed_in.get("/v1/session")).json()["user"] == "admin"
    assert (await signed_in.ask("DELETE", "/v1/session", Origin=gateway.url)).status_code == 204


async def test_a_form_of_another_page_signs_nobody_in(gateway: Service):
    async with browser(gateway) as one:
        body = json.dumps({"user": "city", "password": password("city")})
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            assert (await one.client.post("/v1/session", content=body, headers={"Content-Type": kind})).status_code == 422


async def test_a_machine_needs_no_csrf_token(client: httpx.AsyncClient):
    body = {"name": "hand", "minutes": 5, "warnings": []}
    answer = await client.post(f"/v1/regions/{STREET}/mutes", json=body, headers={"Authorization": f"Bearer {TOKENS[STREET]}"})
    assert answer.status_code == 204


async def test_a_body_without_end_is_refused(client: httpx.AsyncClient):
    async def endless() -> Any:
        for _ in range(100):
            yield b"x" * 4096

    for content in (b"x" * 70_000, endless()):
        answer = await client.post("/v1/session", content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


# The end of a session is the end of its sockets


Ending = Callable[[Browser, Browser, asyncpg.Pool], Awaitable[Any]]
ENDINGS: dict[str, Ending] = {
    "signing out": lambda one, _, __: one.ask("DELETE", "/v1/session"),
    "a new password": lambda _, admin, __: admin.ask("PATCH", "/v1/users/street", {"password": password("street")}),
    "being disabled": lambda _, admin, __: admin.ask("PATCH", "/v1/users/street", {"disabled": True}),
    "other grants": lambda _, admin, __: admin.ask("PATCH", "/v1/users/street", {"grants": [{"role": "street", "region": STREET}]}),
    "its longest time": lambda _, __, pool: pool.execute("update gateway.sessions set ends_at = now() where user_id = 'street'"),
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_session_that_ends_takes_its_sockets_along(gateway: Service, pool: asyncpg.Pool, ending: str):
    async with browser(gateway, "street") as one, browser(gateway, "admin") as admin, session(gateway, STREET) as machine:
        async with (
            connected(gateway, additional_headers=one.cookie) as first,
            connected(gateway, additional_headers=one.cookie) as second,
            connected(gateway, additional_headers=admin.cookie) as foreign,
        ):
            for socket in (first, second):
                await socket.send(hello(STREET))
                assert json.loads(await socket.recv())["region"]["code"] == STREET
            await foreign.send(hello(STREET))
            assert await closed_with(foreign) == 4403
            await ENDINGS[ending](one, admin, pool)
            assert [await closed_with(first), await closed_with(second)] == [4401, 4401]
        await machine.until(lambda each: each.heartbeat, "a heartbeat, for a machine is not concerned")
        await admin.ask("PATCH", "/v1/users/street", {"disabled": False})


async def test_who_shows_neither_token_nor_cookie_is_not_let_in(gateway: Service):
    for headers in ({}, {"Cookie": "tongguan=x"}, {"Cookie": "tongguan="}, {"Cookie": ";;=;"}):
        async with connected(gateway, additional_headers=headers) as socket:
            await socket.send(hello(STREET))
            assert await closed_with(socket) == 4401


# The users to begin with


async def test_the_users_to_begin_with_are_made_once_and_never_changed(
    gateway: Service, environment: dict[str, str], pool: asyncpg.Pool, start: Callable[..., Service], tmp_path: Path
):
    changed = tmp_path / "secrets.json"
    told = json.loads(Path(environment["TONGGUAN_SECRETS"]).read_text())
    told["users"] = [one | {"password": "something-quite-else"} for one in told["users"]]
    told["users"].append({"id": "new", "name": told["users"][0]["name"], "password": password("new"), "grants": []})
    changed.write_text(json.dumps(told))
    second = start("gateway", **environment | {"TONGGUAN_SECRETS": str(changed)})
    await second.ready()
    for user in ("city", "new"):
        async with browser(second, user):
            pass
    assert len([one for one in await audited(pool, "user.create", "(system)") if one.subject == "user/city"]) == 1


async def test_who_knows_their_password_changes_it_and_their_other_sessions_end(gateway: Service, pool: asyncpg.Pool):
    old, new = password("changing"), "another-long-one"
    made = {"id": "changing", "name": {"zh": "改", "en": "C"}, "password": old, "grants": [{"role": "street", "region": STREET}]}
    async with browser(gateway, "admin") as admin, browser(gateway) as here, browser(gateway) as elsewhere:
        assert (await admin.ask("POST", "/v1/users", made)).is_success
        for each in (here, elsewhere):
            assert (await each.sign_in("changing", old)).status_code == 200
        wrong = await here.ask("PUT", "/v1/session/password", {"present": "not this one", "new": new})
        assert (wrong.status_code, wrong.json()["title"]) == (401, "wrong_credentials")
        assert (await here.ask("PUT", "/v1/session/password", {"present": old, "new": "short"})).status_code == 422
        assert (await here.client.put("/v1/session/password", json={"present": old, "new": new})).status_code == 403
        assert (await here.ask("PUT", "/v1/session/password", {"present": old, "new": new})).status_code == 204
        assert (await here.get("/v1/session")).status_code == 200
        assert (await elsewhere.get("/v1/session")).status_code == 401
        assert (await elsewhere.sign_in("changing", old)).status_code == 401
        assert (await elsewhere.sign_in("changing", new)).status_code == 200
    assert len(await audited(pool, "user.change", "changing")) == 1
    entries = [row["body"] for row in await pool.fetch("select body::text from gateway.audit")]
    assert not any(secret in body for body in entries for secret in (old, new))
