"""Kafka and PostgreSQL of one `up`: embedded ones that it starts, or outside ones that it only uses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

import psycopg

from services.cli import folder, layout
from services.cli.console import Step
from services.cli.errors import StepError
from services.cli.outside import Found, shown
from services.cli.ports import SERVERS, PortPlan
from services.cli.starting import SERVER_S, TELL_S, Starter, together
from services.cli.supervisor import ChildSpec, in_thread
from services.kit import brokers, migrations, topics
from services.kit.embedded import jars, kafka, mqtt, postgres
from services.kit.embedded.command import CommandFailedError, run_logged, tail

_DOWNLOAD_HINT = (
    "Mend the network (a proxy goes into HTTPS_PROXY, its certificates into SSL_CERT_FILE) or name a mirror of Maven Central in "
    "~/.config/jgo.conf (`[repositories]`, `central = https://…`), then run again: what was fetched is kept"
)


def embedded(kafka_address: str | None, database: str | None) -> list[str]:
    """Return which servers are embedded when these outside ones are named."""
    return [name for name, given in zip(SERVERS, (kafka_address, database), strict=True) if not given]


class Servers:
    """Both, wherever they are."""

    def __init__(
        self,
        data: Path,
        plan: PortPlan,
        found: Found,
        *,
        kafka_address: str | None,
        kafka_password: str,
        departments: Mapping[str, str] | None,
        database: str | None,
        mqtt_users: Mapping[str, str] | None,
    ) -> None:
        """`departments` are those that get a topic of their own, with their passwords; None leaves all departments as they are.

        With `mqtt_users`, by name with their passwords, an MQTT broker is started for them.
        """
        self.outside = found
        self._departments = departments
        self._replication = found.replication
        self._address = kafka_address
        self._database = database
        self._kafka = kafka.KafkaPlan(data / "kafka", plan.kafka, plan.controller, folder.cache(), kafka_password)
        self._postgres = postgres.PostgresPlan(data / "postgres", plan.database)
        self._mqtt = None if mqtt_users is None else mqtt.MqttPlan(data / "mqtt", plan.mqtt, mqtt_users)

    @property
    def embedded(self) -> Collection[str]:
        """Which of them are ours."""
        return embedded(self._address, self._database)

    @property
    def kafka(self) -> str:
        """The address of Kafka with what it says of a password."""
        return self._address or self._kafka.address

    @property
    def database(self) -> str | None:
        """The database's address with what it says of a password; None before an embedded one was made."""
        if self._database:
            return self._database
        return postgres.dsn(self._postgres) if self._postgres.folder.exists() else None

    def mqtt_for(self, user: str) -> str | None:
        """The address of the MQTT broker for one of its users, with the password; None where there is none."""
        return None if self._mqtt is None else self._mqtt.address(user)

    def told(self) -> list[str]:
        """Say where the outside ones are."""
        kafka_at = [f"Kafka at {brokers.shown(self._address)}"] if self._address else []
        return kafka_at + ([f"database {shown(self._database)}"] if self._database else [])

    async def start(self, starter: Starter) -> None:
        """Start those that are embedded, until they answer."""
        works = [self._start_kafka(starter)] if not self._address else []
        works += [self._start_postgres(starter)] if not self._database else []
        works += [self._start_mqtt(starter, self._mqtt)] if self._mqtt is not None else []
        await together(*works)

    async def prepare(self, starter: Starter, own: Callable[[str], None]) -> None:
        """Migrate the database and have it owned by `own`, then make the topics and let departments at theirs."""
        dsn = self.database or ""

        def migrate(tell: Callable[[str], None]) -> None:
            migrations.migrate(dsn, tell)
            own(dsn)

        async def make(step: Step) -> None:
            # Side by side: rights may be given to a topic that is not there yet.
            made = topics.apply(self.kafka, dsn, step.now, departments=self._departments or (), replication=self._replication)
            await together(made, in_thread(lambda: self._grant(starter.console.say)))

        await starter.on_server(layout.DATABASE, "migrations", lambda step: in_thread(lambda: migrate(step.now)))
        await starter.on_server(layout.KAFKA, "topics", make)

    def _grant(self, report: Callable[[str], None]) -> None:
        if self._departments is not None:
            from services.kit import rights  # noqa: PLC0415 - it takes a tenth of a second to load, here beside the loop

            rights.grant(self.kafka, self._departments, report)

    def present(self, users: Iterable[str]) -> set[str]:
        """Return which of these users the migrated database has."""
        with psycopg.connect(self.database or "", connect_timeout=10) as connection:
            return {id_ for (id_,) in connection.execute("select id from gateway.users where id = any(%s)", (list(users),))}

    async def _start_postgres(self, starter: Starter) -> None:
        plan = self._postgres
        with starter.console.step("PostgreSQL"):
            command = await postgres.prepare(plan, starter.run)
            spec = ChildSpec(command, ready=lambda: postgres.ready(plan), before_restart=lambda: postgres.stop_orphans(plan.cluster))
            await starter.until_ready(starter.keep(spec), SERVER_S)
            await postgres.make_database(plan)

    @staticmethod
    async def _start_mqtt(starter: Starter, plan: mqtt.MqttPlan) -> None:
        with starter.console.step("MQTT"):
            spec = ChildSpec(mqtt.prepare(plan), ready=lambda: mqtt.ready(plan))
            await starter.until_ready(starter.keep(spec), SERVER_S)

    async def _start_kafka(self, starter: Starter) -> None:
        plan = self._kafka
        if await in_thread(lambda: jars.missing(plan.cache)):
            await self._fetch_jars(starter)
        with starter.console.step("Kafka"):
            command = await kafka.prepare(plan, starter.run)
            await starter.until_ready(starter.keep(ChildSpec(command, ready=lambda: kafka.ready(plan))), SERVER_S)

    async def _fetch_jars(self, starter: Starter) -> None:
        command = kafka.fetch_command(self._kafka.cache)
        log = starter.folder.log(command.name)
        with starter.console.step("downloading Kafka (43 MB, once)") as step:
            fetch = asyncio.ensure_future(run_logged(command, log))
            try:
                while not (await asyncio.wait({fetch}, timeout=TELL_S))[0]:
                    step.now(" ".join(tail(log, 1)))
                fetch.result()
            except CommandFailedError as error:
                raise StepError(f"Kafka could not be downloaded. {_DOWNLOAD_HINT}", log, error.tail) from error
            finally:
                fetch.cancel()
