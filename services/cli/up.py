"""`./tongguan up`: the whole platform on one machine, from a bare folder to the banner and back to nothing.

Order of the start:
 1. preflight: what is wrong with the machine, the folder, the city and the ports, all at once
 2. PostgreSQL and Kafka side by side: files, cluster or log folder, process, an answer; beside them the pages, where their sources have changed
 3. migrations, then topics
 4. the services, all at once, until each says /readyz
 5. the feeds, then the banner
The end goes by `layout.STAGES`. A signal at any time begins it; a second one cuts it short.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from services.cli import banner, boundaries, credentials, folder, layout, outside, pages, ports, preflight
from services.cli.console import Console, open_console
from services.cli.errors import CliError, PreflightError, Problem, StepError
from services.cli.servers import Servers, embedded
from services.cli.starting import Starter, together
from services.cli.streams import Streams, choose
from services.cli.supervisor import Supervisor, in_thread
from services.kit import city as city_folder
from services.kit import deployment
from services.kit.embedded import mqtt
from services.kit.embedded.command import CommandFailedError, EmbeddedError
from services.kit.errors import Misconfigured

if TYPE_CHECKING:
    from schemas.city import City
    from services.kit.city import CityFolder

_FAILED, _INTERRUPTED = 1, 130
_ROOT = Path(__file__).parents[2]
_BOUNDARIES = "boundaries.geojson"
_SECRETS = "secrets.json"
_MQTT = "mqtt.yaml"
_PORT_TRIES = 10
_UNFED = Streams(replay=False, simulate=False)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line said."""

    data: Path | None
    city: Path
    port_base: int
    feed: bool
    bind: str
    servers_only: bool
    run_file: Path | None
    """Takes a copy of `run.json`, for those who cannot know the throwaway folder."""
    began: float
    """`time.monotonic()` at the start of the process."""
    scenarios: tuple[str, ...] = ()
    """What was asked for; empty for the city's own."""
    pages: bool = True
    """Whether the pages are built where they are not."""
    as_json: bool = False
    kafka: str | None = None
    """Address of an outside Kafka (`services.kit.brokers`); None for the embedded one."""
    database: str | None = None
    """Address of an outside database; None for the embedded one."""
    replication: int | None = None
    adopt: bool = False
    """Whether a database that belongs to another data folder is taken over."""

    @classmethod
    def given(cls, *, city: Path, run_file: Path | None, no_feed: bool, no_pages: bool, **rest: Any) -> Options:
        """Return them from the flags of the command line."""
        return cls(city=city.absolute(), run_file=run_file and run_file.absolute(), feed=not no_feed, pages=not no_pages, **rest)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What the preflight found right."""

    options: Options
    folder: folder.DataFolder
    city: CityFolder
    sample: banner.Sample | None
    streams: Streams
    ports: ports.PortPlan
    servers: Servers
    ports_lock: IO[str] | None
    """Keeps other runs off the ports while it is open; None where no lock could be made."""


def up(options: Options) -> int:
    """Run until asked to stop; returns the exit code. Raises `PreflightError` when nothing could be started."""
    # aiokafka tells of each refused connection; whether a server answers is what we ask it for.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    ground = check(options)
    console = open_console()
    failed = True
    try:
        code = asyncio.run(_Up(ground, console).run())
        failed = code == _FAILED
        return code
    finally:
        console.close()
        ground.folder.close(leave=failed)  # its logs say why
        _close(ground.ports_lock)


def check(options: Options) -> Ground:
    """Return the ground to start on, or raise `PreflightError` with everything that is wrong."""
    ours = embedded(options.kafka, options.database)
    problems = list(preflight.machine(ours))
    opened = None
    plan, lock = _take_ports(options, ours, problems)
    city = _read_city(options, problems)
    problems += pages.closed(pages.Pages(_ROOT)) if options.pages and not options.servers_only else []
    found, wrong = asyncio.run(outside.look(options.kafka, options.database, options.replication))
    problems += wrong
    if options.data is None and (options.kafka or options.database):
        what = "outside servers keep users and events, and a folder that is made for one run would not keep their passwords and keys"
        problems.append(Problem(what, "name a folder that stays: --data DIR"))
    try:
        opened = folder.open_throwaway() if options.data is None else folder.open_kept(options.data)
        problems += preflight.data(opened.path, ours)
        problems += [] if wrong else folder.mix_ups(opened.path, found.memory())
        if city is not None and not options.servers_only:
            problems += folder.other_city(opened.path, city.code) + _foreign(found.database, opened, city.code, adopt=options.adopt)
    except PreflightError as error:
        problems += error.problems
    if problems or opened is None or plan is None or city is None:
        _close(opened, lock)
        raise PreflightError(problems)
    opened.claim(found.memory(), None if options.servers_only else city.code)
    servers = _servers(options, opened.path, plan, found, city.folder.city)
    return Ground(
        options=options,
        folder=opened,
        city=city.folder,
        sample=city.sample,
        streams=city.streams,
        ports=plan,
        servers=servers,
        ports_lock=lock,
    )


def _servers(options: Options, data: Path, plan: ports.PortPlan, found: outside.Found, city: City) -> Servers:
    departments = () if options.servers_only else (each.id for each in city.departments)
    passwords = credentials.for_kafka(data / _SECRETS, departments)
    return Servers(
        data,
        plan,
        found,
        kafka_address=options.kafka,
        kafka_password=passwords.platform,
        departments=None if options.servers_only else passwords.departments,
        database=options.database,
        mqtt_users=None if options.servers_only or not _hears_mqtt(options.city) else credentials.for_mqtt(data / _SECRETS),
    )


def _hears_mqtt(city: Path) -> bool:
    """Tell whether a city has devices that speak MQTT, and this machine a broker for them."""
    return (city / _MQTT).is_file() and mqtt.found() is not None


def _close(*opened: folder.DataFolder | IO[str] | None) -> None:
    for each in opened:
        if each is not None:
            each.close()


def _take_ports(options: Options, ours: list[str], problems: list[Problem]) -> tuple[ports.PortPlan | None, IO[str] | None]:
    """Return the ports and the lock that keeps other runs of this user off them."""
    for _ in range(_PORT_TRIES):
        try:
            plan = ports.free_plan() if options.port_base == 0 else ports.PortPlan(options.port_base)
        except OSError as error:
            problems.append(Problem(str(error), "stop some of the servers on this machine"))
            return None, None
        taken = list(preflight.ports(plan, options.bind, ours))
        try:
            lock = ports.hold(plan, folder.cache() / "ports")
        except BlockingIOError:
            if options.port_base == 0:
                continue
            mend = "stop it, or move all ports: --port-base 18800 (0: any that are free)"
            problems += taken or [Problem(f"another ./tongguan up is taking the ports from {plan.base} just now", mend)]
            return plan, None
        except OSError:  # a cache that only others may write to; the servers notice strangers on their ports, too
            lock = None
        problems += taken
        return plan, lock
    problems.append(Problem("other ./tongguan up are taking the free ports just now", "start again"))
    return None, None


def _foreign(database: outside.Server | None, opened: folder.DataFolder, city: str, *, adopt: bool) -> list[Problem]:
    """Return what is wrong with using an outside database for this folder and city."""
    try:
        deployment.check(database.deployment if database else None, city, deployment.Folder(opened.id, opened.path), adopt=adopt)
    except deployment.Foreign as error:
        return [Problem(error.what, error.mend)]
    return []


@dataclass(frozen=True, slots=True)
class _City:
    folder: CityFolder
    sample: banner.Sample | None
    streams: Streams

    @property
    def code(self) -> str:
        return self.folder.city.code


def _read_city(options: Options, problems: list[Problem]) -> _City | None:
    path = options.city
    try:
        city = city_folder.load(path)
        sensors, _ = city_folder.sensors(path, city)  # of the others ingest tells
        sample = banner.sample_of(sensors, city_folder.rules(path)[0], city.regions)
        return _City(city, sample, choose(path, city.city, sensors, options.scenarios) if options.feed else _UNFED)
    except Misconfigured as error:
        problems.append(Problem(str(error), "mend the file, or name another city's folder: --city DIR"))
    except PreflightError as error:
        problems += error.problems
    return None


class _Up:
    """One run. Everything happens on one event loop."""

    def __init__(self, ground: Ground, console: Console) -> None:
        self._ground = ground
        self._options = ground.options
        self._folder = ground.folder
        self._console = console
        self._stop = asyncio.Event()
        self._ready_s: float | None = None
        self._servers = ground.servers
        self._boundaries: Path | None = None
        self._supervisor: Supervisor
        self._starter: Starter

    async def run(self) -> int:
        """Start, wait, stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._signalled, number)
        async with asyncio.TaskGroup() as tasks:
            self._supervisor = Supervisor(tasks, self._console.say, self._write_run)
            self._starter = Starter(self._supervisor, self._folder, self._console)
            try:
                code = await self._start_and_wait()
            finally:
                await self._end()
        self._supervisor.close()
        for path in self._run_files:
            path.unlink(missing_ok=True)
        fate = "" if self._folder.kept else f"; {self._folder.path} is removed" + (" at the next start" if code == _FAILED else "")
        self._console.say(f"stopped, no process is left{fate}")
        return code

    def _signalled(self, number: signal.Signals) -> None:
        if self._stop.is_set():
            self._console.say(f"{number.name} again: ending everything at once")
            self._supervisor.kill_all()
        self._stop.set()

    async def _start_and_wait(self) -> int:
        """Return the exit code once asked to stop, or when the start failed."""
        start, stop = asyncio.ensure_future(self._start()), asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({start, stop}, return_when=asyncio.FIRST_COMPLETED)
        try:
            if not start.done():
                return _INTERRUPTED
            start.result()
            await stop
        except (CliError, EmbeddedError, Misconfigured) as error:
            self._console.say(f"the start failed: {_told(error)}")
            return _FAILED
        finally:
            start.cancel()
            stop.cancel()
            await asyncio.wait({start, stop})
        return 0

    async def _end(self) -> None:
        step = self._console.step("stopping; Ctrl-C again ends it at once") if self._supervisor.children else contextlib.nullcontext()
        with step:
            killed = await self._supervisor.drain(layout.STAGES, layout.DRAIN_S)
        if killed:
            self._console.say(f"late and killed: {', '.join(killed)}")

    async def _start(self) -> None:
        self._console.say(f"Tongguan {folder.program_version()}, data in {self._folder.path}" + ("" if self._folder.kept else ", removed at the end"))
        self._write_run()
        await together(self._servers.start(self._starter), self._build_pages(), self._draw_boundaries())
        await self._servers.prepare(self._starter, self._own)
        told = self._servers_text() if self._options.servers_only else await self._start_rooms()
        self._ready_s = round(time.monotonic() - self._options.began, 2)
        self._write_run()
        with contextlib.suppress(OSError):  # whoever read us may have gone
            click.echo(told(self._ready_s))

    def _own(self, dsn: str) -> None:
        """Have the database belong to this city and folder; servers alone belong to whoever will use them."""
        if not self._options.servers_only:
            owner = deployment.Folder(self._folder.id, self._folder.path)
            deployment.take(dsn, self._city.code, owner, adopt=self._options.adopt)

    async def _build_pages(self) -> None:
        found = pages.Pages(_ROOT)
        if not self._options.pages or self._options.servers_only or await in_thread(found.are_built):
            return
        with self._console.step("pages") as step:
            await pages.ensure(found, folder.cache(), self._folder.log("pages"), step.now)

    async def _draw_boundaries(self) -> None:
        """Make the outlines of a city that brings none, where the package that has them is installed."""
        if not self._options.servers_only and not (self._options.city / _BOUNDARIES).is_file():
            made = self._folder.path / _BOUNDARIES
            if await in_thread(lambda: boundaries.make(self._ground.city.regions, made)):
                self._boundaries = made

    async def _start_rooms(self) -> Callable[[float], str]:
        """Start the services and the feeds; returns the banner, which lacks only the seconds."""
        city = self._city
        present = await in_thread(lambda: self._servers.present(user.id for user in city.demo_users))
        absent = [user for user in city.demo_users if user.id not in present]  # a password of ours for another would not be theirs
        made = credentials.load_or_make(self._secrets, (each.id for each in city.departments), city.demo_regions, absent)
        around = self._surroundings()
        with self._console.step("services"):
            children = [self._starter.keep(layout.service(room, around)) for room in layout.ROOMS]
            await together(*(self._starter.until_room(child) for child in children))
        streams = self._ground.streams
        for spec in layout.feeds(around, streams, made):
            await self._starter.until_started(self._starter.keep(spec))
        fed = streams.told() if self._options.feed else "none (--no-feed)"
        tell = banner.as_json if self._options.as_json else banner.text
        return lambda seconds: tell(self._facts(made, fed, seconds))

    @property
    def _city(self) -> City:
        return self._ground.city.city

    @property
    def _secrets(self) -> Path:
        return self._folder.path / _SECRETS

    @property
    def _gateway(self) -> str:
        return f"http://127.0.0.1:{self._ground.ports.gateway}"

    @property
    def _ingest(self) -> str:
        return f"http://127.0.0.1:{self._ground.ports.ingest}"

    def _surroundings(self) -> layout.Surroundings:
        return layout.Surroundings(
            ports=self._ground.ports,
            bind=self._options.bind,
            city=self._options.city,
            data=self._folder.path,
            secrets=self._secrets,
            kafka=self._servers.kafka,
            database=self._servers.database or "",
            mqtt=self._servers.mqtt_for(credentials.MQTT_INGEST),
            devices=self._servers.mqtt_for(credentials.MQTT_DEVICES),
            strangers={str(protocol): department for protocol, department in self._city.strangers.items()},
            boundaries=self._boundaries,
        )

    def _write_run(self) -> None:
        """Tell tests and tools where everything is, in `run.json`."""
        written = {
            "version": folder.program_version(),
            "data": str(self._folder.path),
            "urls": {"gateway": self._gateway, "ingest": self._ingest},
            # With their passwords, and so not among the `urls`, which `status` shows to whoever asks.
            "kafka": self._servers.kafka,
            "database": self._servers.database,
            "mqtt": self._servers.mqtt_for(credentials.MQTT_DEVICES),
            "secrets": str(self._secrets),
            "ports": self._ground.ports.named(self._servers.embedded),
            "pid": os.getpid(),
            "pids": {name: child.pid for name, child in self._supervisor.children.items() if child.pid is not None},
            "restarts": {name: child.restarts for name, child in self._supervisor.children.items()},
            "restarted_at": {name: child.restarted_at.isoformat() for name, child in self._supervisor.children.items() if child.restarted_at},
            "ready": self._ready_s is not None,
            "ready_s": self._ready_s,
        }
        for path in self._run_files:
            folder.write_private(path, written)

    @property
    def _run_files(self) -> list[Path]:
        named = self._options.run_file
        return [self._folder.path / "run.json", *([named] if named else [])]

    def _facts(self, made: credentials.Credentials, fed: str, ready_s: float) -> banner.Facts:
        return banner.Facts(
            version=folder.program_version(),
            ready_s=ready_s,
            gateway=self._gateway,
            ingest=self._ingest,
            logins=[banner.Login(each.id, each.name.zh, made.passwords.get(each.id)) for each in self._city.demo_users],
            keys=made.department_keys,
            sample=self._ground.sample,
            data=self._folder.path,
            kept=self._folder.kept,
            servers=self._servers.told(),
            embedded="kafka" in self._servers.embedded,
            feed=fed,
        )

    def _servers_text(self) -> Callable[[float], str]:
        where = self._folder.path / "run.json"
        if self._options.as_json:
            return lambda seconds: json.dumps({"ready_s": seconds, "run": str(where)})
        end = "Ctrl-C stops them." if self._servers.embedded else "Ctrl-C ends this command and leaves them."
        return lambda seconds: f"\nKafka and PostgreSQL are ready ({seconds:.1f} s), migrated and with all topics; addresses: {where}\n{end}\n"


def _told(error: CliError | EmbeddedError | Misconfigured) -> str:
    if isinstance(error, CommandFailedError):
        error = StepError(str(error), error.log, error.tail)
    return error.message if isinstance(error, CliError) else str(error)
