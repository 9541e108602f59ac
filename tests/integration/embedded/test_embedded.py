"""The embedded servers themselves, started and killed without the supervisor."""

import asyncio
import dataclasses
import os
import shutil
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError

from services.cli import folder as data_folder
from services.kit import brokers, rights
from services.kit.embedded import jars, kafka, postgres
from services.kit.embedded.command import Account, Command, CommandFailedError, EmbeddedError, run_logged, spawn
from tests.lanes import free_plan

START_S = 60
NO_RIGHTS = "whoever reaches it may do everything there, departments have no rights of their own"
PASSWORD = "a-password-for-kafka"


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch) -> object:
    """A folder that the server's account can reach."""
    opened = data_folder.open_throwaway()
    yield opened.path
    opened.close()


@asynccontextmanager
async def running(command: Command, log: Path, ready: Callable[[], Awaitable[bool]]) -> AsyncIterator[Process]:
    with log.open("ab") as output:
        process = await spawn(command, output=output)
    try:
        async with asyncio.timeout(START_S):
            while not await ready():
                assert process.returncode is None, log.read_text()
                await asyncio.sleep(0.05)
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(command.stop)
            await asyncio.wait_for(process.wait(), 15)


def runner(data: Path) -> Callable[[Command], Awaitable[None]]:
    return lambda command: run_logged(command, data / f"{command.name}.log")


async def kill(process: Process) -> None:
    process.kill()
    await process.wait()


# PostgreSQL


@asynccontextmanager
async def database(plan: postgres.PostgresPlan, data: Path) -> AsyncIterator[Process]:
    command = await postgres.prepare(plan, runner(data))
    async with running(command, data / "postgres.log", lambda: postgres.ready(plan)) as process:
        await postgres.make_database(plan)
        yield process


async def rows(plan: postgres.PostgresPlan, *statements: str) -> list[object]:
    connection = await asyncpg.connect(postgres.dsn(plan), ssl=False)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return [row[0] for row in await connection.fetch(statements[-1])]
    finally:
        await connection.close()


async def test_a_row_survives_kill_9_and_another_port(data: Path):
    first = postgres.PostgresPlan(data / "postgres", free_plan().database)
    async with database(first, data) as process:
        assert await rows(first, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)", "SELECT n FROM kept") == [7]
        await kill(process)
    second = postgres.PostgresPlan(data / "postgres", free_plan().database)
    async with database(second, data):
        assert await rows(second, "SELECT n FROM kept") == [7]


async def test_the_database_is_as_it_should_be(data: Path):
    plan = postgres.PostgresPlan(data / "postgres", free_plan().database)
    async with database(plan, data):
        assert await rows(plan, "SELECT setting FROM pg_settings WHERE name = 'TimeZone'") == ["UTC"]
        assert await rows(plan, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == [False]
        assert await rows(plan, "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'tongguan'") == ["UTF8"]
        for wrong in (f"postgresql://tongguan:wrong@127.0.0.1:{plan.port}/tongguan", f"postgresql://tongguan@127.0.0.1:{plan.port}/tongguan"):
            with pytest.raises(asyncpg.PostgresError):
                await asyncpg.connect(wrong, ssl=False)
    assert (plan.folder / "passwords.json").stat().st_mode & 0o077 == 0
    assert not list(plan.folder.glob("*.password"))


async def test_a_pid_file_that_names_a_stranger_is_cleared(data: Path):
    plan = postgres.PostgresPlan(data / "postgres", free_plan().database)
    async with database(plan, data) as process:
        await kill(process)
    stale = plan.cluster / "postmaster.pid"
    lines = stale.read_text().splitlines()
    stale.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    async with database(plan, data):
        assert await rows(plan, "SELECT 1") == [1]


async def test_an_orphan_server_is_ended_first(data: Path):
    plan = postgres.PostgresPlan(data / "postgres", free_plan().database)
    command = await postgres.prepare(plan, runner(data))
    async with running(command, data / "postgres.log", lambda: postgres.ready(plan)) as orphan, database(plan, data):
        await asyncio.wait_for(orphan.wait(), 5)
        assert await rows(plan, "SELECT 1") == [1]


async def test_a_cut_off_initdb_is_repeated(data: Path):
    plan = postgres.PostgresPlan(data / "postgres", free_plan().database)
    (plan.folder / "cluster.new" / "base").mkdir(parents=True)
    async with database(plan, data):
        assert await rows(plan, "SELECT 1") == [1]
    assert not (plan.folder / "cluster.new").exists()


async def test_a_cluster_of_another_version_is_refused(data: Path):
    plan = postgres.PostgresPlan(data / "postgres", 1)
    await postgres.prepare(plan, runner(data))
    (plan.cluster / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedError, match="was made by PostgreSQL 16 and this is 18"):
        await postgres.prepare(plan, runner(data))


async def test_a_cluster_of_another_user_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch):
    (data / "postgres" / "cluster").mkdir(parents=True)
    if os.geteuid() == 0:
        os.chown(data / "postgres" / "cluster", 12345, 12345)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(EmbeddedError, match="belongs to user"):
        await postgres.prepare(postgres.PostgresPlan(data / "postgres", 1), runner(data))


async def test_a_folder_that_nobody_cannot_enter_is_refused_to_root(data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    closed = data / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedError, match=f"cannot enter {data}.*: name a folder that all may enter"):
        await postgres.prepare(postgres.PostgresPlan(closed / "postgres", 1), runner(data))


def test_binaries_are_copied_out_of_a_closed_place(data: Path, monkeypatch: pytest.MonkeyPatch):
    packaged = data / "closed" / "package" / "pginstall"
    libraries = data / "closed" / "package.libs"
    libraries.mkdir(parents=True)
    (libraries / "libpq.so").touch(mode=0o600)
    (packaged / "bin").mkdir(parents=True)
    (packaged / "bin" / "postgres").touch(mode=0o700)
    (packaged / "bin" / "link").symlink_to("postgres")
    (data / "closed").chmod(0o700)
    monkeypatch.setattr(postgres, "_packaged_binaries", lambda: packaged)
    monkeypatch.setattr(postgres, "_SHARED_BINARIES", data / "shared" / "pg")
    stranger = Account(uid=65534, gid=65534, name="nobody")
    assert postgres.binaries(None, data / "fallback") == packaged
    copied = postgres.binaries(stranger, data / "fallback")
    assert copied == data / "shared" / "pg" / "package" / "pginstall"
    assert (data / "shared" / "pg" / "package.libs" / "libpq.so").stat().st_mode & 0o004 == 0o004
    assert (copied / "bin" / "postgres").stat().st_mode & 0o005 == 0o005
    assert postgres.binaries(stranger, data / "fallback") == copied
    monkeypatch.setattr(postgres, "_SHARED_BINARIES", Path("/proc/none/pg"))
    assert postgres.binaries(stranger, data / "fallback") == data / "fallback" / "package" / "pginstall"


# Kafka


@asynccontextmanager
async def broker(plan: kafka.KafkaPlan, data: Path) -> AsyncIterator[Process]:
    if jars.missing(plan.cache):
        await run_logged(kafka.fetch_command(plan.cache), data / "kafka-jars.log")
    command = await kafka.prepare(plan, runner(data))
    async with running(command, data / "kafka.log", lambda: kafka.ready(plan)) as process:
        yield process


def kafka_plan(data: Path) -> kafka.KafkaPlan:
    ports = free_plan()
    return kafka.KafkaPlan(data / "kafka", ports.kafka, ports.controller, data_folder.cache(), PASSWORD)


def as_of_0_2(plan: kafka.KafkaPlan) -> kafka.KafkaPlan:
    """Return the plan of a broker that knows no users, with the names that its listeners had."""
    clients, controller = f"PLAINTEXT://{plan.host}:{plan.port}", f"CONTROLLER://{plan.host}:{plan.controller_port}"
    settings = {
        "listeners": f"{clients},{controller}",
        "advertised.listeners": clients,
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    }
    return dataclasses.replace(plan, password=None, settings=settings)


async def make_topic(plan: kafka.KafkaPlan, name: str) -> None:
    admin = AIOKafkaAdminClient(**brokers.clients(plan.address))
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1)])
    await admin.close()


async def read_all(plan: kafka.KafkaPlan, name: str, count: int, address: str | None = None) -> list[bytes | None]:
    partition = TopicPartition(name, 0)
    consumer = AIOKafkaConsumer(**brokers.clients(address or plan.address), auto_offset_reset="earliest")
    try:
        await consumer.start()
        consumer.assign([partition])
        async with asyncio.timeout(20):
            return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


async def test_a_record_survives_kill_9_other_ports_and_that_the_broker_now_asks_who_comes(data: Path):
    first = as_of_0_2(kafka_plan(data))
    async with broker(first, data) as process:
        await make_topic(first, "kept")
        producer = AIOKafkaProducer(**brokers.clients(first.address), acks="all", enable_idempotence=True)
        await producer.start()
        await producer.send_and_wait("kept", "统管".encode())
        await producer.stop()
        await kill(process)
    second = kafka_plan(data)
    async with broker(second, data):
        assert await read_all(second, "kept", 1) == ["统管".encode()]
        assert (second.folder / "server.properties").stat().st_mode & 0o077 == 0
        for address in (f"127.0.0.1:{second.port}", second.address.replace(PASSWORD, "another-password")):
            with pytest.raises(KafkaConnectionError):
                await read_all(second, "kept", 1, address)


async def test_a_stranger_on_their_ports_is_not_taken_for_the_servers(data: Path):
    ports = free_plan()
    mine = kafka.KafkaPlan(data / "kafka", ports.kafka, ports.controller, data_folder.cache(), PASSWORD)
    other = kafka.KafkaPlan(data / "other-kafka", ports.kafka, ports.controller, data_folder.cache(), PASSWORD)
    await kafka.prepare(other, runner(data))
    async with broker(mine, data):
        assert await kafka.ready(mine)
        assert not await kafka.ready(other)
    mine_too, other_too = (postgres.PostgresPlan(data / name, ports.database) for name in ("postgres", "other-postgres"))
    await postgres.prepare(other_too, runner(data))
    async with database(mine_too, data):
        assert not await postgres.ready(other_too)


def test_no_cluster_id_looks_like_an_option():
    made = {kafka.new_cluster_id() for _ in range(1000)}
    assert len(made) == 1000
    assert not any(each.startswith("-") for each in made)


async def test_topics_are_not_made_by_mistake_and_rights_not_given_where_nobody_asks_for_them(data: Path):
    plan = dataclasses.replace(kafka_plan(data), settings={"authorizer.class.name": ""})
    async with broker(plan, data):
        admin = AIOKafkaAdminClient(**brokers.clients(plan.address))
        await admin.start()
        (told,) = await admin.describe_topics(["unheard.of"])
        await admin.close()
        assert told["error_code"] == 3
        said: list[str] = []
        await asyncio.to_thread(rights.grant, plan.address, {"water": "w" * 24}, said.append)
        assert said == [f"Kafka at plain://tongguan@127.0.0.1:{plan.port} has no authorizer: {NO_RIGHTS}"]


async def test_a_cut_off_format_is_repeated(data: Path):
    plan = kafka_plan(data)
    (plan.folder / "log").mkdir(parents=True)
    (plan.folder / "log" / "meta.properties").write_text("version=1\n")
    async with broker(plan, data) as process:
        assert process.returncode is None


async def test_a_command_that_fails_says_where_its_words_are(data: Path):
    command = Command(name="bad", argv=("sh", "-c", "echo because; exit 3"), cwd=data, env={"PATH": os.defpath})
    with pytest.raises(CommandFailedError, match="bad ended with exit code 3") as raised:
        await run_logged(command, data / "bad.log")
    assert raised.value.tail == ["because"]


async def test_a_cancelled_command_is_killed(data: Path):
    command = Command(name="slow", argv=("sleep", "60"), cwd=data, env={"PATH": os.defpath})
    task = asyncio.create_task(run_logged(command, data / "slow.log"))
    await asyncio.sleep(0.2)
    (slow,) = (process for process in psutil.Process().children() if process.name() == "sleep")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not slow.is_running()


# The jars


def test_a_spoilt_or_missing_jar_is_noticed_and_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if jars.missing(data_folder.cache()):
        jars.fetch(data_folder.cache())
    shutil.copytree(jars.folder(data_folder.cache()), jars.folder(tmp_path))
    assert jars.missing(tmp_path) == []
    spoilt, gone = jars.locked()[0], min(jars.locked(), key=lambda jar: (jars.folder(tmp_path) / jar.filename).stat().st_size)
    (jars.folder(tmp_path) / spoilt.filename).write_bytes(b"half of it")
    (jars.folder(tmp_path) / gone.filename).unlink()
    left = jars.folder(tmp_path) / ".staging-killed"
    left.mkdir()
    assert {jar.artifact for jar in jars.missing(tmp_path)} == {spoilt.artifact, gone.artifact}
    jars.fetch(tmp_path)
    assert jars.missing(tmp_path) == []
    assert not left.exists()


def test_a_jar_with_another_sum_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    smallest = next(jar for jar in jars.locked() if jar.artifact == "jspecify")
    forged = jars.Jar("0" * 64, smallest.group, smallest.artifact, smallest.version)
    monkeypatch.setattr(jars, "locked", lambda: [forged])
    monkeypatch.setattr(jars, "_TRIES", 1)
    with pytest.raises(jars.JarError, match="its SHA-256 is not the one in"):
        jars.fetch(tmp_path)
    assert not list(jars.folder(tmp_path).glob("*.jar"))


def test_the_exit_of_a_signal_is_named():
    from services.kit.embedded.command import describe_exit

    assert describe_exit(-signal.SIGKILL) == "signal SIGKILL"
    assert describe_exit(2) == "exit code 2"
    assert describe_exit(-63) == "signal 63"
