"""The registry as it is changed: people's commands are decided here, and every node follows what was decided on `city.sensors`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from aiokafka import ConsumerRecord
from pydantic import ValidationError

from schemas import sheet
from schemas.boundaries import Places
from schemas.command import ChangeSensor, ImportSensors
from schemas.link import Gb26875, Hj212, Link, Mqtt
from schemas.outcome import Outcome
from schemas.registration import FaultCode, Registration
from schemas.sensor import Sensor
from services.ingest import positions, units
from services.ingest.domain.registration import Ground, Plan, bring, change
from services.ingest.domain.registry import Registry, words_of
from services.ingest.store import Record, Store
from services.ingest.worker import Decision
from services.kit import boundaries, logs
from services.kit.city import CityFolder
from services.kit.database import Connection

_log = logs.get(__name__)

T = TypeVar("T")

READER = "tongguan_reader"
ALIVE_S = 1.0
"""How often the server hears of a transaction whose command is being computed: it ends those that are silent for `partitions.STOPPED_S`."""
LONGEST_S = 15.0
"""What takes longer to compute, all in all, is refused: a transaction that takes `partitions.LONGEST_S` would be tried again for ever."""


def ground(place: CityFolder, folder: Path, named: Path | None) -> Ground:
    """Return what changes are judged by in a city; raises `Misconfigured` for boundaries that are none."""
    places = boundaries.load(folder, named, lambda collection: Places(place.regions, collection))
    departments = frozenset(department.id for department in place.city.departments)
    return Ground(place.regions, departments, places, units.check, units.conversion)


class Registering:
    """Decides `ChangeSensor` and `ImportSensors`: see `services.ingest.worker.Decider`.

    One change of the registry is decided at a time, in the whole city; a preview waits for none. A file is read and judged in a thread.
    """

    kinds = frozenset({"change_sensor", "import_sensors"})

    def __init__(self, store: Store, ground: Ground) -> None:
        self._store = store
        self._ground = ground

    async def decide(self, connection: Connection, command: ChangeSensor | ImportSensors) -> Decision:
        """Decide one."""
        if not command.dry_run:
            await self._store.lock(connection)
        try:
            return await self._decision(connection, command)
        except _Beaten as error:
            told = Registration(faults=(sheet.fault(FaultCode.UNREADABLE, str(error), None),))
            return Decision(Outcome.PREVIEWED if command.dry_run else Outcome.REFUSED, told.model_dump(mode="json"))

    async def _decision(self, connection: Connection, command: ChangeSensor | ImportSensors) -> Decision:
        beside = _Beside(connection)
        judged = self._changed(connection, command, beside) if isinstance(command, ChangeSensor) else self._imported(connection, command, beside)
        plan = await judged
        told = await beside(lambda: plan.told().model_dump(mode="json"))
        if command.dry_run or plan.faults or not plan.changes:
            outcome = Outcome.PREVIEWED if command.dry_run else Outcome.REFUSED if plan.faults else Outcome.ALREADY
            return Decision(outcome, told)
        record = await beside(lambda: self._recorded(plan))
        await self._store.keep(connection, record)
        return Decision(Outcome.APPLIED, told, record.postings)

    def _recorded(self, plan: Plan) -> Record:
        return self._store.record([(one.sensor, None if one.before is None else one.before.street) for one in plan.changes])

    async def _changed(self, connection: Connection, command: ChangeSensor, beside: _Beside) -> Plan:
        sensor = command.sensor
        before = await _sensors(connection, "where id = $1", sensor.id)
        linked = await _sensors(connection, "where body -> 'link' @> $1::jsonb", json.dumps(_device(sensor.link))) if sensor.link else []
        return await beside(lambda: change(sensor, next(iter(before), None), linked, self._ground, command.within))

    async def _imported(self, connection: Connection, command: ImportSensors, beside: _Beside) -> Plan:
        body = await _upload(connection, command.file)
        if body is None:
            gone = sheet.fault(FaultCode.UNREADABLE, "the file is kept no longer: send it again", None)
            return Plan(faults=[gone])
        table = await beside(lambda: sheet.read(body, command.form))
        known = await _bodies(connection, "where id = any($1)", [row.id for row in table.rows])
        linked = await _bodies(connection, "where jsonb_typeof(body -> 'link') = 'object'")
        return await beside(lambda: self._brought(table, known, linked, command))

    def _brought(self, table: sheet.Sheet, known: Sequence[str], linked: Sequence[str], command: ImportSensors) -> Plan:
        sensors = {sensor.id: sensor for sensor in map(Sensor.model_validate_json, known)}
        others = [Sensor.model_validate_json(body) for body in linked]
        return bring(table, sensors, others, self._ground, command.within, positions.converter(command.system))


def follow(registry: Registry) -> Callable[[ConsumerRecord], Awaitable[None]]:
    """Return what takes the records of `city.sensors` into a node's registry."""

    async def take(record: ConsumerRecord) -> None:
        if record.value is None:
            return
        try:
            sensor = Sensor.model_validate_json(record.value)
        except ValidationError as error:
            _log.error("undecodable_record", topic=record.topic, partition=record.partition, offset=record.offset, error=str(error))
            return
        known = registry.get(sensor.id)
        if known is not None and known.sensor.version >= sensor.version:
            return
        if sensor.link is not None:
            await asyncio.to_thread(_convert, sensor)  # the first conversion takes seconds: readings do not wait for it
        registry.take(sensor)
        if (why := registry.problems.get(sensor.id)) is not None:
            _log.error("link_set_aside", sensor=sensor.id, problem=why)

    return take


def _convert(sensor: Sensor) -> None:
    """Look a sensor's conversions up, which are then known."""
    for meaning in words_of(sensor.link).values():
        unit = sensor.metrics[meaning.metric].unit
        try:
            units.conversion(meaning.unit or unit, unit)
        except ValueError as problem:
            _log.debug("unit_not_converted", sensor=sensor.id, problem=str(problem))


def _device(link: Link) -> dict[str, str]:
    """Return what links of one device have in common."""
    match link:
        case Hj212():
            return {"protocol": link.protocol, "mn": link.mn}
        case Gb26875():
            return {"protocol": link.protocol, "device": link.device}
        case Mqtt():
            return {"protocol": link.protocol, "mapping": link.mapping, "device": link.device}


async def _sensors(connection: Connection, where: str, *given: object) -> list[Sensor]:
    return [Sensor.model_validate_json(body) for body in await _bodies(connection, where, *given)]


async def _bodies(connection: Connection, where: str, *given: object) -> list[str]:
    return [row["body"] for row in await connection.fetch(f"select body from ingest.sensors {where}", *given)]  # noqa: S608 - texts of ours


async def _upload(connection: Connection, digest: str) -> bytes | None:
    """Return a file that was sent to the gateway, by the role that may read it; None when it is kept no longer."""
    await connection.execute(f"set local role {READER}")
    body: bytes | None = await connection.fetchval("select api_gateway.upload($1)", digest)
    await connection.execute("reset role")
    return body


class _Beaten(Exception):
    """What was given could not be computed."""


class _Beside:
    """Computes in threads beside a transaction, of which the server hears meanwhile. When that is gone, a thread's result is nobody's."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._left = round(LONGEST_S / ALIVE_S)

    async def __call__(self, work: Callable[[], T]) -> T:
        """Return what was computed. Raises `_Beaten`: whatever is given, the commands behind it do not wait for ever."""
        task = asyncio.create_task(asyncio.to_thread(work))
        try:
            while not (await asyncio.wait({task}, timeout=ALIVE_S))[0]:
                await self._connection.execute("select 1")
                self._left -= 1
                if self._left < 0:
                    raise _Beaten("it takes too long: give it in several files")
        except BaseException:
            task.cancel()
            raise
        if (error := task.exception()) is not None:
            _log.error("not_computed", error=repr(error))
            raise _Beaten("it cannot be judged; the log of ingest says why") from error
        return task.result()
