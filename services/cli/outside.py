"""Servers that others run: whether they answer, let us do what we need, and are those that a data folder belongs to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code

from services.cli.errors import Problem
from services.kit import brokers, deployment, topics
from services.kit.clock import SystemClock
from services.kit.errors import Misconfigured

TIMEOUT_S = 10.0
OLDEST_POSTGRES = 16
"""Older ones were not tried."""
_REPLICAS = 3
"""Of each partition where there are brokers enough: one may be lost while another is down for maintenance."""
_ALREADY_EXISTS = 36
_NO_ADDRESS = "(not an address)"
_READER = "tongguan_reader"
"""The role of `services/kit/migrations/0001_topics.sql`."""


@dataclass(frozen=True, slots=True)
class Server:
    """An outside server that answered."""

    address: str
    """Without a password."""
    identity: str
    """Stays when its address changes."""
    skew_s: float = 0.0
    """By how much our clock is ahead of its; of a database only."""
    deployment: deployment.Deployment | None = None
    """To whom a database belongs; None for nobody yet."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the check of the outside servers has found; None for a server that is ours."""

    kafka: Server | None
    database: Server | None
    replication: int

    def memory(self) -> dict[str, dict[str, str]]:
        """Return what a data folder remembers of them."""
        return {
            name: {"address": server.address, "identity": server.identity}
            for name, server in (("kafka", self.kafka), ("database", self.database))
            if server is not None
        }


def shown(dsn: str) -> str:
    """Return the address of a database without its password, for people and logs."""
    try:
        parts = urlsplit(dsn)
        name = f"{parts.username}@" if parts.username else ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return _NO_ADDRESS
    if not parts.scheme or not parts.netloc:
        return _NO_ADDRESS  # it may be of the other form, `host=… password=…`
    return f"{parts.scheme}://{name}{parts.hostname or ''}{port}{parts.path}"


def _without_password(text: str, dsn: str) -> str:
    try:
        password = urlsplit(dsn).password
    except ValueError:
        return "the address cannot be read"
    for secret in (password, unquote(password)) if password else ():
        text = text.replace(secret, "***")
    return text


async def look(kafka: str | None, database: str | None, replication: int | None) -> tuple[Found, list[Problem]]:
    """Ask those servers that are given; returns what was found, and everything that is wrong."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it tells of each refused connection, and we of the whole
    problems: list[Problem] = []
    broker = await _kafka(kafka, replication, problems) if kafka else None
    store = await _database(database, problems) if database else None
    found = Found(broker and broker[0], store, broker[1] if broker else replication or 1)
    return found, problems


async def _kafka(address: str, replication: int | None, problems: list[Problem]) -> tuple[Server, int] | None:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await _ask_kafka(address, replication, problems)
    except Misconfigured as error:
        problems.append(Problem(str(error), "mend --kafka"))
    except (KafkaError, OSError, ValueError, TimeoutError) as error:
        mend = (
            "start it or mend the address: --kafka HOST:PORT[,HOST:PORT], with TLS or a user as docs/operations.md says; the listeners that its "
            "brokers advertise must be reachable from here, and take this user with this password"
        )
        problems.append(Problem(f"Kafka at {brokers.shown(address)} does not answer: {error or type(error).__name__}", mend))
    return None


async def _ask_kafka(address: str, replication: int | None, problems: list[Problem]) -> tuple[Server, int]:
    admin = AIOKafkaAdminClient(**brokers.clients(address), request_timeout_ms=5000)
    shown = brokers.shown(address)
    try:
        await admin.start()
        cluster = await admin.describe_cluster()
        there = len(cluster["brokers"])
        copies = replication or min(_REPLICAS, there)
        if copies > there:
            problems.append(Problem(f"Kafka at {shown} has {there} brokers, too few for --replication {copies}", f"--replication {there}"))
        else:
            problems += await _topic_rights(admin, shown, copies)
        return Server(shown, str(cluster["cluster_id"])), copies
    finally:
        await admin.close()


async def _topic_rights(admin: AIOKafkaAdminClient, shown: str, copies: int) -> Iterable[Problem]:
    """Ask whether our topics could be made there, making none."""
    answer = await admin.create_topics(list(topics.wanted((), copies).values()), timeout_ms=5000, validate_only=True)
    refused = {code: name for name, code, *_ in answer.topic_errors if code not in {0, _ALREADY_EXISTS}}
    mend = "let this client create and describe the topics city.* and inbound.*, read, write and configure them, or make them beforehand"
    return [Problem(f"Kafka at {shown} would not make topic {name}: {for_code(code).__name__}", mend) for code, name in refused.items()]


async def _database(dsn: str, problems: list[Problem]) -> Server | None:
    address = shown(dsn)
    if not address.startswith(("postgresql://", "postgres://")):
        problems.append(Problem(f"--database {address} is no address of a database", "write it as postgresql://USER@HOST:PORT/NAME"))
        return None
    try:
        connection = await asyncpg.connect(dsn, timeout=TIMEOUT_S, command_timeout=TIMEOUT_S, server_settings={"application_name": "tongguan"})
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError, TimeoutError) as error:
        mend = "start it, or mend --database; a password may stand in it, in PGPASSWORD or in the file that PGPASSFILE names"
        told = _without_password(str(error) or type(error).__name__, dsn)
        problems.append(Problem(f"the database {address} does not answer: {told}", mend))
        return None
    try:
        facts = await _facts(connection)
        skew_s = await _skew(connection)
        held = await connection.fetchrow(deployment.FIND) if facts["held"] else None
    finally:
        await connection.close()
    problems += _database_problems(address, facts)
    return Server(address, f"{facts['system']}/{facts['database']}", skew_s, deployment.Deployment(*held) if held else None)


async def _skew(connection: asyncpg.Connection) -> float:
    clock = SystemClock()
    before = clock.now()
    theirs: datetime = await connection.fetchval("select clock_timestamp()")
    return (before - theirs + (clock.now() - before) / 2).total_seconds()


async def _facts(connection: asyncpg.Connection) -> Mapping[str, Any]:
    row = await connection.fetchrow(
        """
        select
            current_setting('server_version_num')::int / 10000 as major,
            current_setting('server_encoding') as encoding,
            pg_is_in_recovery() as replica,
            current_user as me,
            current_database() as name,
            (select system_identifier::text from pg_control_system()) as system,
            (select oid::text from pg_database where datname = current_database()) as database,
            has_database_privilege(current_database(), 'create') as may_create,
            (select rolsuper or rolcreaterole from pg_roles where rolname = current_user) as may_make_roles,
            (
                select rolsuper or exists (
                    select from pg_auth_members as m join pg_roles as r on r.oid = m.roleid
                    where r.rolname = $1 and m.member = me.oid and m.admin_option
                ) from pg_roles as me where rolname = current_user
            ) as administers_reader,
            exists (select from pg_roles where rolname = $1) as reader_exists,
            to_regclass('kit.migrations') is not null as migrated,
            to_regclass('kit.deployment') is not null as held
        """,
        _READER,
    )
    return dict(row or {})


def _database_problems(address: str, facts: Mapping[str, Any]) -> Iterable[Problem]:
    if facts["major"] < OLDEST_POSTGRES:
        yield Problem(f"{address} is PostgreSQL {facts['major']}", f"use PostgreSQL {OLDEST_POSTGRES} or newer")
    if facts["replica"]:
        yield Problem(f"{address} is a read-only replica", "name the primary: --database")
    if facts["encoding"] != "UTF8":
        yield Problem(f"{address} keeps its text in {facts['encoding']}", f"make a database for us: create database {facts['name']} encoding 'UTF8'")
    if not facts["may_create"]:
        mend = f"as its owner: grant create on database {facts['name']} to {facts['me']}"
        yield Problem(f"{facts['me']} may not make schemas in {address}", mend)
    may_have_reader = facts["administers_reader"] if facts["reader_exists"] else facts["may_make_roles"]
    if not may_have_reader and not facts["migrated"]:
        make = "" if facts["reader_exists"] else f"create role {_READER} nologin; "
        yield Problem(
            f"{facts['me']} may not give itself the role {_READER}", f"as a superuser: {make}grant {_READER} to {facts['me']} with admin option"
        )
