"""Departments' keys over REST: shown once, never told again, and only to whom the department is in the whole city. Ingest's own keyring decides."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
from pydantic import TypeAdapter

from schemas.audit import AuditEntry
from schemas.command import Command, MakeKey, RevokeKey
from schemas.outcome import Outcome
from schemas.rest import KeyMade, KeyShown
from services.ingest.keyring import Keyring
from services.kit.clock import SystemClock
from services.kit.topics import AUDIT, COMMANDS
from tests.integration.gateway.people import Browser, browser
from tests.integration.parts import Servers, Service, Tape

_COMMAND: TypeAdapter[Command] = TypeAdapter(Command)
_KEYS = TypeAdapter(list[KeyShown])
KEYS = "/v1/departments/d/keys"


@pytest.fixture
async def mine(gateway: Service) -> AsyncIterator[Browser]:
    """Somebody of department d."""
    async with browser(gateway, "department") as one:
        yield one


class Decided:
    """Asks, and has ingest's keyring decide what was asked."""

    def __init__(self, servers: Servers, pool: asyncpg.Pool, one: Browser) -> None:
        self._servers = servers
        self._pool = pool
        self._one = one
        self.bytes = b""
        """All that stood on a topic."""

    async def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        commands, audit = [await Tape.of(self._servers.kafka, topic) for topic in (COMMANDS, AUDIT)]
        asking = asyncio.create_task(self._one.ask(method, path, body))
        (record,) = await commands.until(lambda records: len(records) == 1, "the command")
        command = _COMMAND.validate_json(record.value)
        assert isinstance(command, MakeKey | RevokeKey)
        async with self._pool.acquire() as connection, connection.transaction():
            decision = await Keyring().decide(connection, command)
            detail = msgspec.json.encode(decision.detail).decode()
            insert = "insert into ingest.commands (id, decided_at, outcome, detail) values ($1, now(), $2, $3)"
            await connection.execute(insert, command.id, decision.outcome.value, detail)
        entries = await audit.until(lambda records: records, "the entry")
        assert AuditEntry.model_validate_json(entries[0].value).action in {"key.make", "key.revoke"}
        self.bytes += record.value + b"".join(entry.value for entry in entries)
        return await asking

    async def made(self, path: str, body: Any) -> KeyMade:
        answer = await self.ask("POST", path, body)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store"), answer.text
        return KeyMade.model_validate_json(answer.content)


async def listed(one: Browser) -> dict[str, KeyShown]:
    answer = await one.get(KEYS)
    assert answer.status_code == 200, answer.text
    return {key.id: key for key in _KEYS.validate_json(answer.content)}


async def test_a_key_is_shown_once_and_kept_by_its_sum_alone(servers: Servers, pool: asyncpg.Pool, mine: Browser):
    desk = Decided(servers, pool, mine)
    expires = SystemClock().now() + timedelta(days=90)
    made = await desk.made(KEYS, {"label": "采集器", "scope": {"types": ["observation"], "sensors": ["s1"]}, "expires": expires.isoformat()})
    assert made.decided.outcome is Outcome.APPLIED
    assert made.secret is not None
    assert made.secret.startswith("tgk_")
    assert len(made.secret) >= 4 + 43, "32 random bytes"
    digest = hashlib.sha256(made.secret.encode()).digest()
    assert await pool.fetchval("select id from ingest.keys where digest = $1", digest) == made.key
    shown = (await listed(mine))[made.key]
    assert (shown.label, shown.made_by, shown.scope.sensors, shown.expires_at, shown.used_at) == (
        "采集器",
        "department",
        frozenset({"s1"}),
        expires,
        None,
    )
    text = (await mine.get(KEYS)).text
    assert made.secret.encode() not in desk.bytes
    assert made.secret not in text
    assert digest.hex() not in text

    new = await desk.made(f"{KEYS}/{made.key}/replacement", {"overlap_s": 60})
    keys = await listed(mine)
    assert (keys[new.key].label, keys[new.key].scope, keys[new.key].expires_at) == ("采集器", shown.scope, None)
    old_ends = keys[made.key].expires_at
    assert old_ends is not None
    assert old_ends < SystemClock().now() + timedelta(seconds=61)

    assert (await desk.ask("DELETE", f"{KEYS}/{new.key}")).json()["outcome"] == "applied"
    assert (await listed(mine))[new.key].revoked_by == "department"
    assert (await mine.ask("POST", f"{KEYS}/{new.key}/replacement", {})).status_code == 409


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"label": "x", "scope": {"sensors": []}},
        {"label": "x", "scope": {"types": ["warning"]}},
        {"label": "x", "expires": "2020-01-01T00:00:00Z"},
        {"label": "x", "key": "mine"},
    ],
)
async def test_what_makes_no_sense_is_refused(mine: Browser, body: dict[str, Any]):
    assert (await mine.ask("POST", KEYS, body)).status_code == 422


async def test_a_key_that_is_not_there(mine: Browser):
    assert (await mine.ask("DELETE", f"{KEYS}/key-none")).status_code == 404
    assert (await mine.ask("POST", f"{KEYS}/key-none/replacement", {})).status_code == 404


@pytest.mark.parametrize("user", ["city", "district", "street", "field", "rule-author", "auditor", "district-admin", "nobody"])
async def test_whose_the_department_is_not(gateway: Service, user: str):
    async with browser(gateway, user) as one:
        assert (await one.get(KEYS)).status_code == 403
        assert (await one.ask("POST", KEYS, {"label": "x"})).status_code == 403


async def test_another_s_department_and_one_that_is_not_there(gateway: Service, mine: Browser):
    assert (await mine.get("/v1/departments/e/keys")).status_code == 403
    async with browser(gateway, "admin") as admin:
        assert (await admin.get("/v1/departments/e/keys")).status_code == 200
        assert (await admin.get("/v1/departments/nobody/keys")).status_code == 404
