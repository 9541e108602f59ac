"""`./tongguan doctor`: whether `up` would start here, and what would trouble it; it starts and changes nothing."""

from __future__ import annotations

import asyncio
import platform
import shutil
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from services.cli import folder, nodejs, outside, pages, ports, preflight
from services.cli.errors import PreflightError, Problem
from services.cli.findings import Finding, Grade
from services.cli.servers import embedded
from services.kit import city as city_folder
from services.kit import deployment
from services.kit.embedded import jars
from services.kit.errors import Misconfigured

_MEMORY_BYTES = 2 << 30
"""Broker, database and services take 1.2 GB together; the rest is for the system's cache."""
_ROOMY_BYTES = 25 << 30
"""What the embedded broker may keep, and the database beside it."""
_SKEW_S = 2.0
"""Beyond it ingest does not tick, so that rules stand still rather than judge by a wrong clock."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """For what `up` the doctor is asked."""

    root: Path
    data: Path | None
    city: Path
    port_base: int
    bind: str
    kafka: str | None
    database: str | None
    replication: int | None


def examine(ask: Ask) -> list[Finding]:
    """Return what was found, in the order of the start."""
    ours = embedded(ask.kafka, ask.database)
    running = ask.data is not None and folder.running_pid(ask.data) is not None
    code = _code(ask.city)
    return [
        *_machine(ours),
        *_disk(ask.data, ours),
        *_folder(ask, code, running=running),
        *_ports(ask, ours, running=running),
        *_jars(ours),
        *_pages(ask.root),
        *_city(ask.city),
        *_outside(ask, code),
    ]


def _machine(ours: list[str]) -> Iterator[Finding]:
    problems = list(preflight.machine(ours))
    yield from (Finding.of("machine", problem) for problem in problems)
    if not problems:
        yield Finding("machine", Grade.OK, f"{platform.system()} {platform.machine()}, Python {platform.python_version()} ({sys.executable})")
    memory = psutil.virtual_memory().available
    told = f"{memory / 1e9:.1f} GB available, {psutil.cpu_count()} cores"
    if memory < _MEMORY_BYTES:
        yield Finding("memory", Grade.WARN, told, f"close something: {_MEMORY_BYTES / 1e9:.0f} GB are comfortable")
    else:
        yield Finding("memory", Grade.OK, told)


def _disk(data: Path | None, ours: list[str]) -> Iterator[Finding]:
    place = data or folder.home()
    there = next(parent for parent in (place.absolute(), *place.absolute().parents) if parent.exists())
    free = shutil.disk_usage(there).free
    told = f"{free / 1e9:.1f} GB free for {place}"
    if ours and free < preflight.DISK_BYTES:
        yield Finding("disk", Grade.BAD, told, f"make room or name another disk: --data DIR; {preflight.DISK_BYTES / 1e9:.0f} GB are needed")
    elif ours and free < _ROOMY_BYTES:
        yield Finding("disk", Grade.WARN, told, f"enough for a trial; in time the embedded servers may take {_ROOMY_BYTES / 1e9:.0f} GB")
    else:
        yield Finding("disk", Grade.OK, told)


def _code(city: Path) -> str | None:
    """Return the code of the city, None of one that cannot be read, of which `_city` tells."""
    try:
        return city_folder.load(city).city.code
    except Misconfigured:
        return None


def _folder(ask: Ask, code: str | None, *, running: bool) -> Iterator[Finding]:
    if ask.data is None:
        yield Finding("folder", Grade.OK, f"a fresh one in {folder.home()}, removed at the end; --data DIR keeps one")
        return
    try:
        marker = folder.inspect(ask.data)
    except PreflightError as error:
        yield from (Finding.of("folder", problem) for problem in error.problems)
        return
    if marker is None:
        yield Finding("folder", Grade.OK, f"{ask.data} is to be made")
        return
    if code is not None:
        yield from (Finding.of("folder", problem) for problem in folder.other_city(ask.data, code))
    told = f"{ask.data}, last used by version {marker.version}"
    if running:
        yield Finding("folder", Grade.WARN, f"{told}, is in use by pid {folder.running_pid(ask.data)}", "./tongguan status tells how it is")
    elif marker.format < folder.FORMAT:
        yield Finding(
            "folder", Grade.WARN, f"{told}, is upgraded at the next start; older versions then refuse it", "copy it first if you may go back"
        )
    else:
        yield Finding("folder", Grade.OK, told)


def _ports(ask: Ask, ours: list[str], *, running: bool) -> Iterator[Finding]:
    if ask.port_base == 0:
        yield Finding("ports", Grade.OK, "any that are free")
        return
    plan = ports.PortPlan(ask.port_base)
    problems = list(preflight.ports(plan, ask.bind, ours))
    grade = Grade.WARN if running else Grade.BAD
    yield from (Finding.of("ports", problem, grade) for problem in problems)
    if not problems:
        yield Finding("ports", Grade.OK, f"{plan.gateway} (pages), {plan.ingest} (ingest) and those of the services are free")


def _jars(ours: list[str]) -> Iterator[Finding]:
    if "kafka" not in ours:
        return
    if missing := len(jars.missing(folder.cache())):
        yield Finding(
            "kafka", Grade.WARN, f"{missing} of its files are not in {folder.cache()}", "the first start fetches them from Maven Central (43 MB)"
        )
    else:
        yield Finding("kafka", Grade.OK, f"its files are in {folder.cache()}")


def _pages(root: Path) -> Iterator[Finding]:
    found = pages.Pages(root)
    if shut := pages.closed(found):
        yield from (Finding.of("pages", problem) for problem in shut)
    elif not found.has_sources():
        yield Finding("pages", Grade.OK, "part of this installation")
    elif found.are_built():
        yield Finding("pages", Grade.OK, f"built in {found.built}")
    elif node := nodejs.find(folder.cache()):
        yield Finding("pages", Grade.WARN, f"not built from the sources as they are; {node.node} will do it", "./tongguan pages, or the next start")
    else:
        yield Finding(
            "pages",
            Grade.WARN,
            "not built, and no Node.js 20.19 or newer is here",
            "the next start fetches one (60 MB) and builds; --no-pages does not",
        )


def _city(path: Path) -> Iterator[Finding]:
    try:
        place = city_folder.load(path)
        sensors, bad_sensors = city_folder.sensors(path, place)
    except Misconfigured as error:
        yield Finding("city", Grade.BAD, str(error), "mend the file, or name another city's folder: --city DIR")
        return
    rules, bad_rules = city_folder.rules(path)
    for fault in (*bad_sensors, *bad_rules):
        yield Finding("city", Grade.WARN, str(fault), "mend it: it is left out, the others are used")
    yield Finding(
        "city",
        Grade.OK,
        f"{place.city.name.zh} ({place.city.code}): {sum(1 for _ in place.regions)} regions, {len(sensors)} sensors, {len(rules)} rules",
    )


def _outside(ask: Ask, code: str | None) -> Iterator[Finding]:
    if not ask.kafka and not ask.database:
        return
    found, problems = asyncio.run(outside.look(ask.kafka, ask.database, ask.replication))
    yield from (Finding.of("servers", problem) for problem in problems)
    yield from (Finding.of("servers", problem) for problem in _mix_ups(ask.data, code, found))
    for server in (found.kafka, found.database):
        if server is not None:
            yield Finding("servers", Grade.OK, f"{server.address} answers")
    if found.database is not None:
        yield _clock(found.database)


def _mix_ups(data: Path | None, code: str | None, found: outside.Found) -> list[Problem]:
    try:
        marker = folder.inspect(data) if data else None
    except PreflightError:  # of which `_folder` tells
        return []
    problems = folder.mix_ups(data, found.memory()) if data else []
    # A folder that is to be made owns no database yet; without one we can only ask about the city.
    owner = deployment.Folder((marker and marker.id) or uuid.uuid4(), data) if data else None
    try:
        if code is not None:
            deployment.check(found.database.deployment if found.database else None, code, owner)
    except deployment.Foreign as error:
        problems.append(Problem(error.what, error.mend))
    return problems


def _clock(database: outside.Server) -> Finding:
    told = f"{abs(database.skew_s):.2f} s {'ahead of' if database.skew_s > 0 else 'behind'} the database's"
    if abs(database.skew_s) > _SKEW_S:
        return Finding("clock", Grade.BAD, told, "set both machines' clocks by NTP (chrony): beyond 2 s this one may not tick")
    return Finding("clock", Grade.OK, told)
