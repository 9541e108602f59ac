"""`./tongguan up`: the whole platform on one machine, from a bare folder to the banner and back to nothing.

Order of the start:
 1. preflight: what is wrong with the machine, the folder, the city and the ports, all at once
 2. PostgreSQL and Kafka side by side: files, cluster or log folder, process, an answer
 3. migrations, then topics
 4. the services, all at once, until each says /readyz
 5. the feed, then the banner
The end goes by `layout.STAGES`. A signal at any time begins it; a second one cuts it short.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from services.cli import banner, credentials, folder, layout, ports, preflight, probe
from services.cli.console import Console, Step, open_console
from services.cli.errors import CliError, PreflightError, Problem, StepError
from services.cli.supervisor import Child, ChildSpec, Supervisor, in_thread
from services.kit import city as city_folder
from services.kit import migrations, topics
from services.kit.embedded import jars, kafka, postgres
from services.kit.embedded.command import Command, CommandFailedError, EmbeddedError, run_logged, tail
from services.kit.errors import Misconfigured

if TYPE_CHECKING:
    from schemas.city import City
    from services.kit.city import CityFolder

SERVER_S = 120.0
"""After a crash with much data a server first recovers; without one it takes 1-3 s."""
SERVICES_S = 90.0
STEP_S = 120.0
_POLL_S = 0.05
_HOPELESS = 6
"""A child that died so often before it was ever ready will not be: 16 s by the back-off."""
_EXIT_MISCONFIGURED = 78
"""A service's word that starting it again will not help (`services.kit.room`)."""
_TELL_S = 0.5
_FAILED, _INTERRUPTED = 1, 130
_DOWNLOAD_HINT = (
    "Mend the network (a proxy goes into HTTPS_PROXY, its certificates into SSL_CERT_FILE) or name a mirror of Maven Central in "
    "~/.config/jgo.conf (`[repositories]`, `central = https://…`), then run again: what was fetched is kept"
)
_FED = "the flow of a real pipe is replayed as the water department's (回放)"


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


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What the preflight found right."""

    options: Options
    folder: folder.DataFolder
    city: CityFolder
    sample: banner.Sample | None
    ports: ports.PortPlan


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


def check(options: Options) -> Ground:
    """Return the ground to start on, or raise `PreflightError` with everything that is wrong."""
    problems = list(preflight.machine())
    opened = plan = None
    try:
        plan = ports.free_plan() if options.port_base == 0 else ports.PortPlan(options.port_base)
        problems += preflight.ports(plan, options.bind)
    except OSError as error:
        problems.append(Problem(str(error), "stop some of the servers on this machine"))
    city, sample = _read_city(options.city, problems)
    try:
        opened = folder.open_throwaway() if options.data is None else folder.open_kept(options.data)
        problems += preflight.data(opened.path)
    except PreflightError as error:
        problems += error.problems
    if problems or opened is None or plan is None or city is None:
        if opened is not None:
            opened.close()
        raise PreflightError(problems)
    return Ground(options=options, folder=opened, city=city, sample=sample, ports=plan)


def _read_city(path: Path, problems: list[Problem]) -> tuple[CityFolder | None, banner.Sample | None]:
    try:
        city = city_folder.load(path)
        sensors, _ = city_folder.sensors(path, city)  # of the others ingest tells
    except Misconfigured as error:
        problems.append(Problem(str(error), "mend the file, or name another city's folder: --city DIR"))
        return None, None
    return city, banner.sample_of(sensors, city_folder.rules(path)[0], city.regions)


class _Up:
    """One run. Everything happens on one event loop."""

    def __init__(self, ground: Ground, console: Console) -> None:
        self._ground = ground
        self._options = ground.options
        self._folder = ground.folder
        self._console = console
        self._stop = asyncio.Event()
        self._ready_s: float | None = None
        data, plan = ground.folder.path, ground.ports
        self._kafka = kafka.KafkaPlan(data / "kafka", plan.kafka, plan.controller, folder.cache())
        self._postgres = postgres.PostgresPlan(data / "postgres", plan.database)
        self._supervisor: Supervisor

    async def run(self) -> int:
        """Start, wait, stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._signalled, number)
        async with asyncio.TaskGroup() as tasks:
            self._supervisor = Supervisor(tasks, self._console.say, self._write_run)
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
        await _together(self._start_postgres(), self._start_kafka())
        dsn = postgres.dsn(self._postgres)
        await self._on_server(layout.DATABASE, "migrations", lambda step: in_thread(lambda: migrations.migrate(dsn, step.now)))
        await self._on_server(layout.KAFKA, "topics", lambda step: topics.apply(self._kafka.bootstrap, dsn, step.now))
        told = self._servers_text() if self._options.servers_only else await self._start_rooms()
        self._ready_s = round(time.monotonic() - self._options.began, 2)
        self._write_run()
        with contextlib.suppress(OSError):  # whoever read us may have gone
            click.echo(told(self._ready_s))

    async def _start_postgres(self) -> None:
        with self._console.step("PostgreSQL"):
            command = await postgres.prepare(self._postgres, self._run_command)
            spec = ChildSpec(
                command, ready=lambda: postgres.ready(self._postgres), before_restart=lambda: postgres.stop_orphans(self._postgres.cluster)
            )
            await self._until_ready(self._keep(spec), SERVER_S)
            await postgres.make_database(self._postgres)

    async def _start_kafka(self) -> None:
        if await in_thread(lambda: jars.missing(self._kafka.cache)):
            await self._fetch_jars()
        with self._console.step("Kafka"):
            command = await kafka.prepare(self._kafka, self._run_command)
            await self._until_ready(self._keep(ChildSpec(command, ready=lambda: kafka.ready(self._kafka))), SERVER_S)

    async def _fetch_jars(self) -> None:
        command = kafka.fetch_command(self._kafka.cache)
        log = self._folder.log(command.name)
        with self._console.step("downloading Kafka (43 MB, once)") as step:
            fetch = asyncio.ensure_future(run_logged(command, log))
            try:
                while not (await asyncio.wait({fetch}, timeout=_TELL_S))[0]:
                    step.now(" ".join(tail(log, 1)))
                fetch.result()
            except CommandFailedError as error:
                raise StepError(f"Kafka could not be downloaded. {_DOWNLOAD_HINT}", log, error.tail) from error
            finally:
                fetch.cancel()

    async def _start_rooms(self) -> Callable[[float], str]:
        """Start the services and the feed; returns the banner, which lacks only the seconds."""
        made = credentials.load_or_make(self._secrets, (each.id for each in self._city.departments), self._city.demo_regions)
        around = self._surroundings()
        with self._console.step("services"):
            children = [self._keep(layout.service(room, around)) for room in layout.ROOMS]
            await _together(*(self._until_room(child) for child in children))
        fed = "none (--no-feed)"
        if self._options.feed:
            spec = layout.feed(around, made)
            fed = "none: this city has no department `water`, as which the pipe is replayed" if spec is None else _FED
            if spec is not None:
                await _until_started(self._keep(spec))
        return lambda seconds: banner.text(self._facts(made, fed, seconds))

    def _keep(self, spec: ChildSpec) -> Child:
        return self._supervisor.start(spec, self._folder.log(spec.name))

    async def _run_command(self, command: Command) -> None:
        await run_logged(command, self._folder.log(command.name))

    async def _on_server(self, server: str, name: str, work: Callable[[Step], Awaitable[None]]) -> None:
        """Do a step that needs a server, again if the server was restarted meanwhile. Raises `StepError`."""
        child = self._supervisor.children[server]
        with self._console.step(name) as step:
            while True:
                restarts = child.restarts
                try:
                    async with asyncio.timeout(STEP_S):
                        return await work(step)
                except TimeoutError as error:
                    raise StepError(f"{name} took more than {STEP_S:.0f} s", child.log, tail(child.log)) from error
                except Misconfigured:
                    raise
                except Exception as error:
                    await asyncio.sleep(_TELL_S)  # its end may be noticed only now
                    if child.restarts == restarts and child.pid is not None:
                        raise StepError(f"{name} failed: {type(error).__name__}: {error}", child.log, tail(child.log)) from error

    async def _until_room(self, child: Child) -> None:
        try:
            await self._until_ready(child, SERVICES_S)
        except StepError as error:
            said = await probe.body(child.spec.admin_port or 0, "/readyz")
            raise StepError(f"{error.message}\n  it says: {said}") if said else error from None

    async def _until_ready(self, child: Child, limit_s: float) -> None:
        """Wait until a child is ready. Raises `StepError` when it takes too long, or dies so that waiting is of no use."""
        began, name = time.monotonic(), child.spec.name
        while child.spec.ready is not None and not await child.spec.ready():
            if child.last_exit == _EXIT_MISCONFIGURED or child.restarts >= _HOPELESS:
                raise StepError(f"{name} cannot start", child.log, tail(child.log))
            if time.monotonic() - began > limit_s:
                raise StepError(f"{name} was not ready after {limit_s:.0f} s", child.log, tail(child.log))
            await asyncio.sleep(_POLL_S)

    @property
    def _city(self) -> City:
        return self._ground.city.city

    @property
    def _secrets(self) -> Path:
        return self._folder.path / "secrets.json"

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
            kafka=self._kafka.bootstrap,
            database=postgres.dsn(self._postgres),
        )

    def _write_run(self) -> None:
        """Tell tests and tools where everything is, in `run.json`."""
        written = {
            "version": folder.program_version(),
            "data": str(self._folder.path),
            "urls": {"gateway": self._gateway, "ingest": self._ingest},
            "kafka": self._kafka.bootstrap,
            "database": postgres.dsn(self._postgres) if self._postgres.folder.exists() else None,
            "secrets": str(self._secrets),
            "ports": self._ground.ports.named(),
            "pid": os.getpid(),
            "pids": {name: child.pid for name, child in self._supervisor.children.items() if child.pid is not None},
            "restarts": {name: child.restarts for name, child in self._supervisor.children.items()},
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
        regions = self._ground.city.regions
        return banner.Facts(
            version=folder.program_version(),
            ready_s=ready_s,
            gateway=self._gateway,
            ingest=self._ingest,
            places=[banner.Place(code, regions[code].name.zh) for code in self._city.demo_regions],
            departments=[banner.Place(each.id, each.name.zh) for each in self._city.departments],
            credentials=made,
            sample=self._ground.sample,
            data=self._folder.path,
            kept=self._folder.kept,
            feed=fed,
        )

    def _servers_text(self) -> Callable[[float], str]:
        where = self._folder.path / "run.json"
        return lambda seconds: (
            f"\nKafka and PostgreSQL are ready ({seconds:.1f} s), migrated and with all topics; addresses: {where}\nCtrl-C stops them.\n"
        )


async def _until_started(child: Child) -> None:
    """Wait until a child without readiness of its own runs, so that `run.json` names it once it says ready."""
    while child.pid is None and not child.restarts and not child.given_up:
        await asyncio.sleep(_POLL_S)


def _told(error: CliError | EmbeddedError | Misconfigured) -> str:
    if isinstance(error, CommandFailedError):
        error = StepError(str(error), error.log, error.tail)
    return error.message if isinstance(error, CliError) else str(error)


async def _together(*works: Coroutine[Any, Any, None]) -> None:
    """Do several things at once; the first failure cancels the others and is raised alone."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for work in works:
                tasks.create_task(work)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
