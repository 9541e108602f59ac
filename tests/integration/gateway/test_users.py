"""Administrators and users: who may make and change whom, and that nobody raises themselves."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from schemas.audit import AuditEntry
from schemas.rest import User
from tests.integration.gateway.people import ROLES, browser, password, user
from tests.integration.parts import Service
from tests.integration.rooms import TOKENS
from tests.unit.gateway.city import CITY, DISTRICT, OTHER_DISTRICT, OTHER_STREET, SIBLING, STREET

IN_DISTRICT = {"district", "street", "field", "district-auditor", "district-admin"}


async def refusals(pool: asyncpg.Pool, subject: str) -> dict[str | None, str]:
    """Return the reasons for which the administrator was refused something, with what was said."""
    rows = await pool.fetch("select body from gateway.audit where body->>'actor' = 'admin' and body->>'outcome' = 'refused'")
    entries = [AuditEntry.model_validate_json(row["body"]) for row in rows]
    return {entry.reason: entry.detail.get("why", "") for entry in entries if entry.subject == subject}


def grant(role: str, region: str, *departments: str) -> dict[str, Any]:
    return {"role": role, "region": region} | ({"departments": list(departments)} if departments else {})


@pytest.mark.parametrize(("admin", "seen"), [("admin", set(ROLES)), ("district-admin", IN_DISTRICT)])
async def test_one_sees_the_users_whom_one_administers(gateway: Service, admin: str, seen: set[str]):
    async with browser(gateway, admin) as one:
        users = [User.model_validate(each) for each in (await one.get("/v1/users")).json()]
        assert {each.id for each in users} & set(ROLES) == seen
        assert all(word not in str(users) for word in ("argon2", "password"))


@pytest.mark.parametrize("who", sorted(ROLES.keys() - {"admin", "district-admin"}))
async def test_others_administer_nobody(gateway: Service, who: str):
    async with browser(gateway, who) as one:
        made = user("made-by-" + who, [grant("street", STREET)])
        answers = [
            await one.get("/v1/users"),
            await one.ask("POST", "/v1/users", made),
            await one.ask("PATCH", f"/v1/users/{who}", {"grants": [grant("admin", CITY)]}),
        ]
        assert [answer.status_code for answer in answers] == [403, 403, 403]
        assert one.session is not None
        assert not one.session.may.users


async def test_a_machine_administers_nobody(gateway: Service):
    async with browser(gateway) as one:
        answer = await one.client.get("/v1/users", headers={"Authorization": f"Bearer {TOKENS[CITY]}"})
        assert answer.status_code == 403


async def test_a_user_is_made_and_can_do_what_was_granted(gateway: Service, pool: asyncpg.Pool):
    async with browser(gateway, "district-admin") as admin:
        new = user("wang", [grant("street", SIBLING), grant("department", DISTRICT, "d")])
        answer = await admin.ask("POST", "/v1/users", new)
        assert answer.status_code == 201
        made = User.model_validate(answer.json())
        assert (made.id, made.disabled, made.provider, made.locked_until) == ("wang", False, None, None)
        assert (await admin.ask("POST", "/v1/users", new)).status_code == 409
    async with browser(gateway, "wang") as one:
        assert one.session is not None
        assert [region.code for region in one.session.regions] == [DISTRICT]
        assert (await one.get(f"/v1/regions/{OTHER_DISTRICT}")).status_code == 403
    body = await pool.fetchval("select body from gateway.audit where body->>'action' = 'user.create' and body->>'actor' = 'district-admin'")
    entry = AuditEntry.model_validate_json(body)
    assert (entry.subject, entry.region) == ("user/wang", DISTRICT)
    assert entry.detail == {"grants": f"street:{SIBLING}; department:{DISTRICT}:d"}


@pytest.mark.parametrize(
    "grants",
    [
        [grant("city", CITY)],
        [grant("auditor", CITY)],
        [grant("admin", OTHER_DISTRICT)],
        [grant("street", STREET), grant("street", OTHER_STREET)],
        [grant("street", "nowhere")],
        [],
    ],
)
async def test_nobody_grants_what_lies_beyond_their_own(gateway: Service, grants: list[dict[str, Any]]):
    async with browser(gateway, "district-admin") as admin:
        assert (await admin.ask("POST", "/v1/users", user("beyond", grants))).status_code == 403
        assert (await admin.ask("PATCH", "/v1/users/field", {"grants": grants})).status_code == 403
    async with browser(gateway, "field") as one:
        assert one.session is not None
        assert [each.model_dump(mode="json")["role"] for each in one.session.grants] == ["field"]


async def test_a_departments_administrator_keeps_to_the_department(gateway: Service):
    async with browser(gateway, "admin") as admin:
        made = user("admin-d", [grant("admin", CITY, "d")])
        assert (await admin.ask("POST", "/v1/users", made)).status_code == 201
    async with browser(gateway, "admin-d") as one:
        assert (await one.ask("POST", "/v1/users", user("d-1", [grant("department", CITY, "d")]))).status_code == 201
        for departments in (("e",), ("d", "e"), ()):
            refused = await one.ask("POST", "/v1/users", user("d-2", [grant("city", CITY, *departments)]))
            assert refused.status_code == 403
        assert {each["id"] for each in (await one.get("/v1/users")).json()} == {"department", "admin-d", "d-1"}


@pytest.mark.parametrize("who", ["other-district", "admin", "auditor", "nobody", "not-there", "oidc:x"])
async def test_who_is_not_ones_own_to_administer_is_as_if_not_there(gateway: Service, who: str):
    async with browser(gateway, "district-admin") as admin:
        answers = [await admin.ask("PATCH", f"/v1/users/{who}", change) for change in ({"disabled": True}, {"password": "x" * 20}, {"grants": []})]
        assert {answer.status_code for answer in answers[:2]} == {404}
        assert answers[2].status_code in {403, 404}
        assert len({answer.text for answer in answers[:2]}) == 1


@pytest.mark.parametrize("change", [{"disabled": True}, {"grants": [grant("city", CITY)]}, {"grants": [grant("admin", CITY), grant("city", CITY)]}])
async def test_nobody_raises_themselves_or_locks_themselves_out(gateway: Service, pool: asyncpg.Pool, change: dict[str, Any]):
    async with browser(gateway, "admin") as admin:
        answer = await admin.ask("PATCH", "/v1/users/admin", change)
        assert (answer.status_code, answer.json()["title"]) == (409, "conflict")
        assert "ask another administrator" in (await refusals(pool, "/v1/users/admin"))["conflict"]
        assert (await admin.get("/v1/users")).status_code == 200


async def test_to_make_what_only_the_provider_makes_is_refused_and_told(gateway: Service, pool: asyncpg.Pool):
    async with browser(gateway, "admin") as admin:
        answer = await admin.ask("POST", "/v1/users", user("oidc:me", [grant("city", CITY)]))
        assert (answer.status_code, answer.json()["title"]) == (422, "unfit")
    assert "oidc:" in (await refusals(pool, "/v1/users"))["unfit"]


@pytest.mark.parametrize("who", ["%00", "a%00b", "%20", "-", "(system)", "%ed%a0%80", "x" * 97])
async def test_what_no_user_can_be_called_is_nobody(gateway: Service, who: str):
    async with browser(gateway, "admin") as admin:
        answer = await admin.ask("PATCH", f"/v1/users/{who}", {"disabled": True})
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    async with browser(gateway) as one:
        assert (await one.ask("PATCH", f"/v1/users/{who}", {"disabled": True})).status_code == 401


async def test_a_new_password_of_ones_own_ends_the_other_sessions(gateway: Service):
    async with browser(gateway, "admin") as here, browser(gateway, "admin") as there:
        assert (await here.ask("PATCH", "/v1/users/admin", {"password": password("admin")})).status_code == 200
        assert (await here.get("/v1/session")).status_code == 200
        assert (await there.get("/v1/session")).status_code == 401


async def test_a_new_password_unlocks(gateway: Service):
    async with browser(gateway, address="10.8.0.1") as one, browser(gateway, "admin") as admin:
        for _ in range(5):
            await one.sign_in("rule-author", "wrong")
        assert (await one.sign_in("rule-author")).status_code == 429
        found = {each["id"]: each["locked_until"] for each in (await admin.get("/v1/users")).json()}
        assert found["rule-author"] is not None
        assert found["city"] is None
        assert (await admin.ask("PATCH", "/v1/users/rule-author", {"password": password("rule-author")})).status_code == 200
        assert (await one.sign_in("rule-author")).status_code == 200


async def test_what_is_left_out_of_a_change_stays(gateway: Service):
    async with browser(gateway, "admin") as admin:
        before = (await admin.ask("PATCH", "/v1/users/other-district", {})).json()
        name = {"zh": "新名", "en": "New name"}
        after = (await admin.ask("PATCH", "/v1/users/other-district", {"name": name})).json()
        assert after == before | {"name": name}
    async with browser(gateway, "other-district") as one:
        assert one.session is not None
        assert one.session.name.zh == "新名"


@pytest.mark.parametrize(
    "body",
    [
        user("x", [grant("city", DISTRICT)]),
        user("x", [grant("department", CITY)]),
        user("x", [grant("department", CITY, "no-such-department")]),
        user("x", [grant("auditor", CITY, "d")]),
        user("x", [{"role": "emperor", "region": CITY}]),
        user("oidc:x", [grant("city", CITY)]),
        user("x y", []),
        user("x", []) | {"password": "short"},
        user("x", []) | {"more": 1},
        user("x", [grant("city", CITY)] * 65),
    ],
)
async def test_what_makes_no_sense_is_refused(gateway: Service, body: dict[str, Any]):
    async with browser(gateway, "admin") as admin:
        assert (await admin.ask("POST", "/v1/users", body)).status_code == 422
        assert "x" not in {each["id"] for each in (await admin.get("/v1/users")).json()}
