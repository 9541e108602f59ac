"""What a change of the registry comes to: which sensors are new or change, field by field, or what stands against it. All or none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from schemas.boundaries import Places
from schemas.command import Within
from schemas.link import Gb26875, Hj212, Mqtt
from schemas.regions import RegionTree
from schemas.registration import CHANGES_TOLD, FAULTS_TOLD, FIELDS_TOLD, Fault, FaultCode, FieldChange, Registration, SensorChange
from schemas.sensor import Sensor
from schemas.sheet import MOST_FAULTS, Part, Row, Sheet, fault, place, whole
from services.ingest.domain.registry import Convert, device_of, words_of

NEAR_M = 500.0
"""A position that is no further from its street's or district's boundary than this is believed: published outlines are generalised by as much."""
SAME_DEGREES = 1.5e-6
"""Positions nearer than this, some decimetres, are one: an exported one comes back rounded."""

Claim = tuple[str, ...]
"""What a link says is its own: protocol, device and its part, word."""


@dataclass(frozen=True)
class Ground:
    """What changes are judged by."""

    regions: RegionTree
    departments: frozenset[str]
    places: Places
    check: Callable[[str], None]
    """Raises ValueError that says why a unit is none."""
    convert: Convert


@dataclass(frozen=True)
class Asked:
    """One sensor as it shall be."""

    sensor: Sensor
    """Its version is the one after `before`'s."""
    before: Sensor | None
    row: Row | None


@dataclass
class Plan:
    """What a command comes to."""

    changes: list[Asked] = field(default_factory=list)
    unchanged: int = 0
    faults: list[Fault] = field(default_factory=list)
    there: Sensor | None = None

    def told(self) -> Registration:
        """Return what is answered."""
        return Registration(
            new=sum(one.before is None for one in self.changes),
            changed=sum(one.before is not None for one in self.changes),
            unchanged=self.unchanged,
            changes=tuple(_few(map(_told, self.changes[:CHANGES_TOLD]))),
            faults=tuple(self.faults[:FAULTS_TOLD]),
            more_faults=max(len(self.faults) - FAULTS_TOLD, 0),
            there=self.there,
        )


def change(sensor: Sensor, before: Sensor | None, linked: Iterable[Sensor], ground: Ground, within: Sequence[Within]) -> Plan:
    """Return what the change of one sensor comes to, whose version is the one after that which was seen."""
    if before is not None and not _is_within(before, within, ground.regions):
        return Plan(faults=[_fault_of(sensor, FaultCode.NOT_YOURS, "the sensor is registered, and not yours to change")])
    version = 0 if before is None else before.version
    if before is not None and sensor == before.model_copy(update={"version": sensor.version}) and sensor.version in {version, version + 1}:
        return Plan(unchanged=1)
    if sensor.version != version + 1:
        there = "there is no such sensor" if before is None else f"the sensor has version {version} now"
        return Plan(faults=[_fault_of(sensor, FaultCode.CHANGED, f"{there}: you have seen another")], there=before)
    plan = Plan(changes=[Asked(sensor, before, None)])
    _judge(plan, linked, ground, within)
    return plan


def bring(
    sheet: Sheet,
    known: Mapping[str, Sensor],
    linked: Iterable[Sensor],
    ground: Ground,
    within: Sequence[Within],
    converted: Callable[[float, float], tuple[float, float]],
) -> Plan:
    """Return what a file comes to; `converted` brings its positions to CGCS2000."""
    plan = Plan(faults=list(sheet.faults))
    seen: dict[str, int] = {}
    for row in sheet.rows:
        if len(plan.faults) >= MOST_FAULTS:
            break
        before = known.get(row.id)
        if row.id in seen:
            plan.faults.append(fault(FaultCode.TWICE, f"the sensor stands in row {seen[row.id]} already", row, place(("id",), row.form)))
        elif (problem := _foreign(row, before, ground, within)) is not None:
            plan.faults.append(problem)
        else:
            _add(plan, row, before, ground, None if row.position is None else converted(*row.position))
        seen.setdefault(row.id, row.at)
    _judge(plan, linked, ground, within)
    return plan


def _add(plan: Plan, row: Row, before: Sensor | None, ground: Ground, position: tuple[float, float] | None) -> None:
    """Add what a row asks for to a plan."""
    if position is not None and before is not None and _is_there(before, position):
        position = before.longitude or 0.0, before.latitude or 0.0
    found = _located(row, before, position, ground)
    sensor = found if isinstance(found, Fault) else whole(found, before, position)
    if isinstance(sensor, Fault):
        plan.faults.append(sensor)
    elif not isinstance(sensor, Sensor):
        plan.faults += sensor
    elif before is not None and sensor == before:
        plan.unchanged += 1
    else:
        version = 1 if before is None else before.version + 1
        plan.changes.append(Asked(sensor.model_copy(update={"version": version}), before, row))


def _foreign(row: Row, before: Sensor | None, ground: Ground, within: Sequence[Within]) -> Fault | None:
    """Return why a row may not speak of a sensor that is registered."""
    if before is not None and not _is_within(before, within, ground.regions):
        return fault(FaultCode.NOT_YOURS, "the sensor is registered, and not yours to change", row, place(("id",), row.form))
    version = None if before is None else before.version
    if row.seen is None or row.seen == version or (version is None and row.seen == 1):
        return None
    now = "is not registered any more" if version is None else f"has version {version} now"
    return fault(FaultCode.CHANGED, f"the sensor {now}, the file was made from version {row.seen}", row, place(("version",), row.form))


def _is_there(before: Sensor, position: tuple[float, float]) -> bool:
    if before.longitude is None or before.latitude is None:
        return False
    return abs(before.longitude - position[0]) < SAME_DEGREES and abs(before.latitude - position[1]) < SAME_DEGREES


def _located(row: Row, before: Sensor | None, position: tuple[float, float] | None, ground: Ground) -> Row | Fault:
    """Return a row with its street, found from the position where none is given."""
    given = row.said.get("street")
    kept = before is not None and "street" not in row.said
    if given is not None or kept or position is None:
        return row
    code = ground.places.of(*position)
    where = place(("street",), row.form)
    if code is None:
        return fault(FaultCode.REGION, "the position lies in no region whose boundary is known: give the street", row, where)
    region = ground.regions[code]
    if ground.regions.children(code):
        name = f"{region.name.zh} ({code})"
        return fault(FaultCode.REGION, f"the position lies in {name}, whose streets' boundaries are not known: give the street", row, where)
    return replace(row, said=Part({**row.said, "street": code}))


# -- judging


def _judge(plan: Plan, linked: Iterable[Sensor], ground: Ground, within: Sequence[Within]) -> None:
    """Add to a plan what stands against its changes."""
    for one in plan.changes:
        if len(plan.faults) >= MOST_FAULTS:  # a file of positions that all lie elsewhere: each is held against every edge
            break
        plan.faults += _against(one, ground, within)
    plan.faults += _collisions(plan.changes, linked, ground, within)
    plan.faults.sort(key=lambda one: one.row or 0)


def _against(one: Asked, ground: Ground, within: Sequence[Within]) -> Iterator[Fault]:
    sensor = one.sensor
    if sensor.street not in ground.regions or ground.regions.children(sensor.street):
        yield _fault(one, FaultCode.REGION, f"there is no street {sensor.street}", "street")
        return
    if sensor.department not in ground.departments:
        yield _fault(one, FaultCode.DEPARTMENT, f"there is no department {sensor.department}", "department")
    elif not _is_within(sensor, within, ground.regions):
        yield _fault(one, FaultCode.NOT_YOURS, f"sensors of {sensor.department} in {sensor.street} are not yours to change", "street")
    if (sensor.longitude is None) != (sensor.latitude is None):
        yield _fault(one, FaultCode.UNFIT, "a position is a longitude and a latitude, both or none", "longitude")
    elif sensor.longitude is not None and sensor.latitude is not None and not _stood(one):
        outside = ground.places.outside(sensor.street, sensor.longitude, sensor.latitude, NEAR_M)
        if outside is not None:
            name = f"{ground.regions[outside].name.zh} ({outside})"
            yield _fault(one, FaultCode.REGION, f"the position does not lie in {name}{_elsewhere(sensor, ground)}", "longitude")
    yield from _units(one, ground)


def _stood(one: Asked) -> bool:
    """Say whether a sensor stands where it stood."""
    old, new = one.before, one.sensor
    return old is not None and (old.street, old.longitude, old.latitude) == (new.street, new.longitude, new.latitude)


def _elsewhere(sensor: Sensor, ground: Ground) -> str:
    found = ground.places.of(sensor.longitude or 0.0, sensor.latitude or 0.0)
    return ", nor in any region that is known" if found is None else f", but in {ground.regions[found].name.zh} ({found})"


def _units(one: Asked, ground: Ground) -> Iterator[Fault]:
    known = {} if one.before is None else {code: metric.unit for code, metric in one.before.metrics.items()}
    for code, metric in one.sensor.metrics.items():
        try:
            if known.get(code) != metric.unit:
                ground.check(metric.unit)
        except ValueError as problem:
            yield _fault(one, FaultCode.UNIT, str(problem), "metrics", code, "unit")
    for word, meaning in words_of(one.sensor.link).items():
        unit = one.sensor.metrics[meaning.metric].unit
        try:
            ground.convert(meaning.unit or unit, unit).scaled(meaning.scale)
        except ValueError as problem:
            yield _fault(one, FaultCode.UNIT, f"{word}: {problem}", "link")


def claims(sensor: Sensor) -> set[Claim]:
    """Return what a sensor's link says is its own: the words of its device, or of a part of it; a device of MQTT as a whole."""
    link = sensor.link
    if link is None:
        return set()
    head: Claim = (link.protocol, device_of(link))
    match link:
        case Gb26875():
            head = (*head, "" if link.system is None else str(link.system), link.component or "")
        case Mqtt():
            return {head}
    return {(*head, word) for word in words_of(link)}


def _device(sensor: Sensor | None) -> set[Claim]:
    link = None if sensor is None else sensor.link
    return set() if link is None else {(link.protocol, device_of(link))}


def _collisions(changes: Sequence[Asked], linked: Iterable[Sensor], ground: Ground, within: Sequence[Within]) -> Iterator[Fault]:
    """Yield a fault for each changed sensor whose device says the same for another one already, or is new to it and stands behind others'."""
    changed = {one.sensor.id for one in changes}
    owners: dict[Claim, list[Sensor]] = defaultdict(list)
    others_devices: set[Claim] = set()
    for sensor in linked:
        if sensor.id not in changed:
            if not _is_within(sensor, within, ground.regions):
                others_devices.update(_device(sensor))
            for claim in claims(sensor):
                owners[claim].append(sensor)
    for one in changes:
        for claim in sorted(claims(one.sensor)):
            if others := owners[claim]:
                whose = f"sensor {others[0].id}" if _is_within(others[0], within, ground.regions) else "another sensor"
                yield _fault(one, FaultCode.TAKEN, f"{' '.join(filter(None, claim))} is {whose}'s already: take it from there first", "link")
                break
        else:
            if others_devices & (_device(one.sensor) - _device(one.before)):
                yield _fault(one, FaultCode.NOT_YOURS, "the device stands behind sensors that are not yours: ask who may change them", "link")
        for claim in claims(one.sensor):
            owners[claim].append(one.sensor)


def _is_within(sensor: Sensor, within: Iterable[Within], regions: RegionTree) -> bool:
    """Say whether a sensor lies in the actor's part of the city; one in a region that is none is the city's."""
    street = sensor.street if sensor.street in regions else regions.root.code
    return any(regions.covers(one.region, street) and (one.departments is None or sensor.department in one.departments) for one in within)


def _fault(one: Asked, code: FaultCode, message: str, *path: str) -> Fault:
    if one.row is None:
        return _fault_of(one.sensor, code, message, *path)
    return fault(code, message, one.row, place(path, one.row.form))


def _fault_of(sensor: Sensor, code: FaultCode, message: str, *path: str) -> Fault:
    return fault(code, message, None, ".".join(path), sensor.id)


# -- telling


def _few(changes: Iterable[SensorChange]) -> Iterator[SensorChange]:
    """Yield changes while they have no more than `FIELDS_TOLD` fields."""
    fields = 0
    for one in changes:
        fields += len(one.fields)
        if fields > FIELDS_TOLD:
            return
        yield one


def _told(one: Asked) -> SensorChange:
    row = None if one.row is None else one.row.at
    old = {} if one.before is None else dict(_flat(_bare(one.before)))
    new = dict(_flat(_bare(one.sensor)))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    fields = tuple(FieldChange(field=name, old=old.get(name), new=new.get(name)) for name in names)
    return SensorChange(sensor=one.sensor.id, version=one.sensor.version, row=row, fields=fields)


def _bare(sensor: Sensor) -> dict[str, Any]:
    bare = sensor.model_dump(mode="json", exclude={"id", "version"}, exclude_none=True)
    if isinstance(sensor.link, Hj212):  # a set has no order, and what only stands in another is no change
        bare["link"]["ignored"] = sorted(sensor.link.ignored)
    return bare | {"tags": sorted(sensor.tags)}


def _flat(document: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what a document holds, by path."""
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        elif value not in ([], ()):
            yield f"{before}{name}", value
