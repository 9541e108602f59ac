"""`python -m services.kit.prepare`: make the servers ready for the rooms, and end.

It waits for PostgreSQL and for enough brokers, brings the database up to date, notes whose city it holds, makes the topics that are
missing and lets each department at its own. A deployment runs it before the rooms of a new version start (`up` does the same by itself).
Run again it changes nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import psycopg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from pydantic import BaseModel, Field

from schemas.city import City
from services.kit import brokers, city, deployment, logs, migrations, rights, room, topics
from services.kit.errors import Misconfigured, Unavailable
from services.kit.settings import CommonSettings

_log = logs.get(__name__)

_AGAIN_S = 0.5


class PrepareSettings(BaseModel):
    """The table `[prepare]`, or `TONGGUAN_PREPARE__…`."""

    replication: int = Field(default=1, ge=1, le=9)
    """Copies of each topic that is made, and so how many brokers are waited for; topics that are there keep theirs."""
    wait_s: float = Field(default=120.0, gt=0)
    """How long the servers may take to answer."""


class Settings(CommonSettings):
    """All that the step reads."""

    prepare: PrepareSettings = PrepareSettings()


async def prepare(settings: Settings, stop: asyncio.Event) -> None:
    """Do it all, or leave off at `stop`.

    Raises `Unavailable` when the servers do not answer in time, `Misconfigured` for a city that cannot be read or is not that of the database,
    and as migrations and topics do.
    """
    await room.until_stopped(_prepare(settings), stop)


async def _prepare(settings: Settings) -> None:
    own = settings.prepare
    place = city.load(settings.city).city
    departments = _departments(place, settings.secrets)
    await _answered(partial(_database, settings.database), "PostgreSQL", own.wait_s)
    await _answered(partial(_brokers, settings.kafka, own.replication), "Kafka", own.wait_s)
    await asyncio.to_thread(migrations.migrate, settings.database, lambda file: _log.info("migrated", file=file))
    await asyncio.to_thread(deployment.take, settings.database, place.code)
    await topics.apply(
        settings.kafka, settings.database, lambda made: _log.info("made", what=made), departments=departments, replication=own.replication
    )
    await asyncio.to_thread(rights.grant, settings.kafka, departments, lambda told: _log.warning("departments", told=told))
    _log.info("prepared", replication=own.replication)


def _departments(place: City, secrets: Path | None) -> dict[str, str | None]:
    """Return the city's departments, each with its password for Kafka where the file of secrets tells one; raises `Misconfigured`."""
    ids = [each.id for each in place.departments]
    if secrets is None:
        return dict.fromkeys(ids)
    try:
        passwords = json.loads(secrets.read_text(encoding="utf-8")).get("department_kafka_passwords", {})
        return {id_: passwords.get(id_) and str(passwords[id_]) for id_ in ids}
    except (OSError, ValueError, AttributeError) as error:
        raise Misconfigured(f"{secrets}: cannot read department_kafka_passwords: {error!r}") from error


async def _answered(problem: Callable[[], Awaitable[str]], server: str, within_s: float) -> None:
    """Return once a server has no problem; raises `Unavailable` with the last one when that takes too long."""
    loop = asyncio.get_running_loop()
    deadline, seldom = loop.time() + within_s, logs.Seldom()
    while found := await problem():
        if loop.time() > deadline:
            raise Unavailable(f"{server} was not ready within {within_s:g} s: {found}")
        if seldom.due(loop.time()):
            _log.warning("waiting", server=server, problem=found)
        await asyncio.sleep(_AGAIN_S)


async def _database(dsn: str) -> str:
    try:
        connection = await psycopg.AsyncConnection.connect(dsn, connect_timeout=5)
    except psycopg.OperationalError as error:
        return str(error)
    await connection.close()
    return ""


async def _brokers(address: str, wanted: int) -> str:
    admin = AIOKafkaAdminClient(**brokers.clients(address), request_timeout_ms=5_000)
    try:
        await admin.start()
        there = len((await admin.describe_cluster())["brokers"])
    except (KafkaError, OSError) as error:
        return repr(error)
    finally:
        await admin.close()
    return "" if there >= wanted else f"{there} of {wanted} brokers are there, so many copies of each topic are asked for"


if __name__ == "__main__":
    room.run("prepare", Settings, prepare)
