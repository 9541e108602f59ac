"""Departments' keys from command to request: made, limited, replaced, revoked, expired, also under way; and quotas of departments."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
import yaml

from schemas.action import Actor
from schemas.base import Name
from schemas.command import KeyScope, MakeKey, RevokeKey
from services.ingest.domain.cloudevents import STRUCTURED
from services.kit.producer import Outgoing, Producer
from services.kit.topics import COMMANDS, OBSERVATIONS
from tests.integration.ingest.conftest import KEYS, Department, has, now, observation
from tests.integration.parts import Servers, Service, Tape, eventually

SOMEBODY = Actor(id="water", name=Name(zh="供水", en="Water"))


class Desk:
    """Gives commands as the gateway does."""

    def __init__(self, producer: Producer, pool: asyncpg.Pool) -> None:
        self._producer = producer
        self._pool = pool

    async def make(self, key: str, secret: str, **fields: Any) -> dict[str, Any]:
        digest = hashlib.sha256(secret.encode()).hexdigest()
        given = {"id": uuid4(), "actor": SOMEBODY, "at": now(), "department": "water", "key": key, "digest": digest, "label": "test", **fields}
        return await self._ask(MakeKey.model_validate(given))

    async def revoke(self, key: str, department: str = "water") -> dict[str, Any]:
        return await self._ask(RevokeKey(id=uuid4(), actor=SOMEBODY, at=now(), department=department, key=key))

    async def _ask(self, command: MakeKey | RevokeKey) -> dict[str, Any]:
        await self._producer.publish(COMMANDS, [Outgoing(command.model_dump_json().encode(), key=b"key/water")] * 2)
        return await eventually(lambda: self._outcome(command.id), "the outcome")

    async def _outcome(self, command: UUID) -> dict[str, Any] | None:
        row = await self._pool.fetchrow("select outcome, detail from api_ingest.decided($1)", [command])
        return None if row is None else {"outcome": row["outcome"], **json.loads(row["detail"])}

    async def listed(self, key: str) -> asyncpg.Record:
        return next(row for row in await self._pool.fetch("select * from api_ingest.keys($1)", ["water"]) if row["id"] == key)


@pytest.fixture
async def desk(producer: Producer, pool: asyncpg.Pool) -> Desk:
    return Desk(producer, pool)


@pytest.fixture
def with_key(ingest: Service, water: Department, client: httpx.AsyncClient) -> Callable[[str], Department]:
    """A department with another key; `water` sees to it that ingest is ready."""
    return lambda secret: Department(ingest, secret, client)


async def status(department: Department, wanted: int) -> httpx.Response:
    """Return the answer once it has a status: keys are read every second."""

    async def told() -> httpx.Response | None:
        answer = await department.one(observation())
        return answer if answer.status_code == wanted else None

    return await eventually(told, f"status {wanted}")


async def test_a_key_is_made_used_replaced_and_revoked(desk: Desk, with_key: Callable[[str], Department]):
    assert (await desk.make("key-a", "tgk_a")) == {"outcome": "applied", "key": "key-a", "replaced_until": None}
    await status(with_key("tgk_a"), 202)
    assert (await desk.make("key-a", "tgk_other"))["problems"][0]["code"] == "taken"
    assert (await desk.make("key-b", "tgk_a"))["problems"][0]["code"] == "taken"
    assert (await desk.make("key-b", "tgk_b", replaces="key-none"))["problems"][0]["code"] == "unknown_key"

    replaced = await desk.make("key-b", "tgk_b", replaces="key-a", overlap_s=2)
    assert replaced["outcome"] == "applied"
    await status(with_key("tgk_b"), 202)
    ended = await status(with_key("tgk_a"), 401)
    assert ended.headers["content-type"] == "application/problem+json"

    assert (await desk.revoke("key-b", "drainage"))["problems"][0]["code"] == "unknown_key"
    assert (await desk.revoke("key-b"))["outcome"] == "applied"
    await status(with_key("tgk_b"), 401)
    assert (await desk.revoke("key-b"))["outcome"] == "already"
    row = await desk.listed("key-b")
    assert (row["revoked_by"], row["expires_at"], row["made_by"]) == ("water", None, "water")
    await status(with_key(KEYS["water"]), 202)


async def test_a_key_is_good_for_its_scope_alone(desk: Desk, with_key: Callable[[str], Department]):
    await desk.make("key-s", "tgk_s", scope=KeyScope(types=frozenset({"observation"}), sensors=frozenset({"lz-water-dma-01"})))
    narrow = with_key("tgk_s")
    await status(narrow, 202)
    answer = await narrow.one(observation(sensor="lz-water-dma-02"))
    assert (answer.status_code, answer.json()["refused"][0]["code"]) == (422, "out_of_scope")
    answer = await narrow.one({**observation(), "type": "cn.tongguan.report.v1"})
    assert answer.json()["refused"][0]["code"] == "out_of_scope"


@pytest.mark.parametrize("how", ["revoked", "expired"])
async def test_a_key_that_ends_under_way(desk: Desk, with_key: Callable[[str], Department], servers: Servers, how: str):
    taken = await Tape.of(servers.kafka, OBSERVATIONS)
    key, secret, event = f"key-{how}", f"tgk_{how}", observation()
    await desk.make(key, secret)
    department, body = with_key(secret), json.dumps(event).encode()
    await status(department, 202)

    async def parts() -> AsyncIterator[bytes]:
        yield body[:10]
        await (desk.revoke(key) if how == "revoked" else desk.make("key-next", "tgk_next", replaces=key, overlap_s=0))
        await asyncio.sleep(1.2)
        yield body[10:]

    answer = await department.send(parts(), STRUCTURED)
    assert answer.status_code == 401
    assert key in answer.json()["detail"]
    assert not has(event["id"])(await taken.records())


async def test_it_is_told_when_a_key_was_used_last(desk: Desk, with_key: Callable[[str], Department]):
    await desk.make("key-u", "tgk_u")
    assert (await desk.listed("key-u"))["used_at"] is None
    await status(with_key("tgk_u"), 202)

    async def used() -> bool:
        return (await desk.listed("key-u"))["used_at"] is not None

    await eventually(used, "the last use")


# Quotas


@pytest.fixture
def limited(city: Path) -> Path:
    """Lanzhou, where water may send 10 events/s, and 20 at once."""
    told = yaml.safe_load((city / "city.yaml").read_text())
    told["departments"][0]["quota"] = {"per_s": 10, "burst": 20}
    (city / "city.yaml").write_text(yaml.safe_dump(told, allow_unicode=True))
    return city


async def test_a_department_over_its_quota_waits_and_the_others_do_not(
    start: Callable[..., Service], environment: dict[str, str], limited: Path, client: httpx.AsyncClient
):
    service = start("ingest", **{**environment, "TONGGUAN_CITY": str(limited)})
    await service.ready()
    water, drainage = (Department(service, KEYS[one], client) for one in ("water", "drainage"))
    assert (await water.batch(*(observation() for _ in range(35)))).status_code == 202
    refused = await water.one(observation())
    assert (refused.status_code, refused.headers["retry-after"], refused.headers["content-type"]) == (429, "2", "application/problem+json")
    assert "quota of water at this node is 10 events/s, and 20 at once" in refused.json()["detail"]
    assert (await drainage.one(observation(sensor="lz-sewage-outfall-01", values={"cod": 20}))).status_code == 202
    await asyncio.sleep(int(refused.headers["retry-after"]))
    assert (await water.one(observation())).status_code == 202
    assert await asyncio.to_thread(service.metric, 'tongguan_ingest_requests_total{status="429"}') == 1
