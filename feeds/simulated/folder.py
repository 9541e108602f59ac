"""A city's folder as the simulator reads it, with errors that say file, place and mend."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from feeds.field.faults import Faults
from feeds.simulated.dust import Background, Site
from feeds.simulated.fire import Alarm, Building
from feeds.simulated.scenario import Scenario, Where, idle
from feeds.simulated.sewage import Manhole, Outfall, TrunkSewer
from feeds.simulated.water import Hydrant, MeteredArea, NetworkEnd
from feeds.simulated.weather import Weather
from schemas.base import Code, Finite, Frozen
from schemas.city import City
from schemas.fleet import Fleet, FleetError, expand
from schemas.mqtt import Mapping, Mappings
from schemas.regions import Region, RegionError, RegionTree
from schemas.sensor import Sensor

T = TypeVar("T")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Model = Annotated[
    MeteredArea | NetworkEnd | Hydrant | Manhole | TrunkSewer | Outfall | Background | Site | Building | Alarm, Field(discriminator="model")
]
_MODEL: TypeAdapter[Model] = TypeAdapter(Model)

_Every = Annotated[timedelta, Field(ge=timedelta(milliseconds=100), le=timedelta(hours=1))]
_Period = Annotated[timedelta, Field(ge=timedelta(minutes=1), le=timedelta(days=1))]


class Unusable(Exception):
    """The folder does not say what to simulate; the message says where and how to mend it."""


class Group(Frozen):
    """Sensors that follow one model."""

    of: Where
    follow: dict[str, Any]
    """The model's name as `model`, and its parameters."""
    but: dict[Code, dict[str, Any]] = Field(default_factory=dict)
    """Parameters of single sensors that differ."""
    every: _Every = timedelta(seconds=5)
    """Between a sensor's readings."""
    means: frozenset[_Period] = frozenset()
    """Periods of which the mean is published at their end, too; each divides a day."""
    faults: Finite = Field(default=0.02, ge=0, le=24)
    """How many faults a sensor has a day; each lasts ten minutes, and its values are flagged."""


class Plan(Frozen):
    """The file `simulation.yaml`."""

    weather: Weather = Weather()
    groups: tuple[Group, ...] = Field(min_length=1)
    """A sensor follows the first group that covers it; who is in none is not simulated."""
    field: Faults = Faults()
    """What goes wrong on purpose with the devices that speak protocols of the field."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """A sensor and what it follows."""

    sensor: Sensor
    model: Model
    group: Group


@dataclass(frozen=True, slots=True)
class Folder:
    """All that the simulator needs of a city."""

    city: City
    zone: ZoneInfo
    regions: RegionTree
    sensors: tuple[Simulated, ...]
    weather: Weather
    drills: tuple[Where, ...] = ()
    """Where any of the city's scenarios holds a drill."""
    faults: Faults = field(default_factory=Faults)
    mappings: tuple[Mapping, ...] = ()
    """What devices on the MQTT broker say."""


def load(folder: Path) -> Folder:
    """Return what `simulation.yaml` says of the city's sensors; raises `Unusable`."""
    file = folder / "simulation.yaml"
    plan = read(file, Plan.model_validate)
    city = read(folder / "city.yaml", City.model_validate)
    regions = _tree(folder / "regions.yaml")
    return Folder(
        city,
        _zone(folder, city),
        regions,
        tuple(_assign(file, plan, _sensors(folder, regions), regions)),
        plan.weather,
        drills=tuple(_drills(folder / "scenarios")),
        faults=plan.field,
        mappings=_mappings(folder / "mqtt.yaml"),
    )


def scenarios(folder: Path, names: Iterable[str], place: Folder) -> list[Scenario]:
    """Return scenarios by name; raises `Unusable`."""
    return [_scenario(folder / "scenarios", name, place) for name in names]


def read(file: Path, validate: Callable[[Any], T]) -> T:
    """Return a YAML file's content as a model; raises `Unusable`."""
    try:
        content = yaml.load(file.read_text("utf-8"), Loader=_LOADER)  # noqa: S506 - a safe one
    except OSError as error:
        raise Unusable(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Unusable(f"{file}: is not UTF-8 (byte {error.start}): save it as UTF-8") from error
    except yaml.YAMLError as error:
        raise Unusable(f"{file}: is not YAML: {error}") from error
    return _valid(str(file), partial(validate, content))


def _sensors(folder: Path, regions: RegionTree) -> list[Sensor]:
    sensors = read(folder / "sensors.yaml", TypeAdapter(list[Sensor]).validate_python)
    file = folder / "fleet.yaml"
    if not file.is_file():
        return sensors
    fleets = read(file, TypeAdapter(list[Fleet]).validate_python)
    try:
        records = [record for fleet in fleets for record in expand(fleet, regions)]
    except FleetError as error:
        raise Unusable(f"{file}: {error}") from error
    return sensors + _valid(str(file), partial(TypeAdapter(list[Sensor]).validate_python, records))


def _mappings(file: Path) -> tuple[Mapping, ...]:
    return read(file, Mappings.model_validate).mappings if file.is_file() else ()


def _scenario(folder: Path, name: str, place: Folder) -> Scenario:
    known = sorted(file.stem for file in folder.glob("*.yaml"))
    if name not in known:
        raise Unusable(f"{folder}: there is no scenario {name!r}; there are: {', '.join(known) or 'none'}")
    file = folder / f"{name}.yaml"
    scenario = read(file, Scenario.model_validate)
    if missed := idle(scenario, [one.sensor for one in place.sensors], place.regions):
        raise Unusable(f"{file}: effects.{missed[0]}.of: no simulated sensor is so; look for a misspelt sensor, region or tag")
    return scenario


def _drills(folder: Path) -> Iterable[Where]:
    """Yield where the scenarios hold drills; one that cannot be read is told of when it is to be played."""
    for file in sorted(folder.glob("*.yaml")):
        with suppress(Unusable):
            yield from (effect.of for effect in read(file, Scenario.model_validate).effects if effect.drill)


def _assign(file: Path, plan: Plan, sensors: list[Sensor], regions: RegionTree) -> Iterable[Simulated]:
    taken: set[str] = set()
    for at, group in enumerate(plan.groups):
        mine = [sensor for sensor in sensors if sensor.id not in taken and group.of.covers(sensor, regions)]
        taken |= {sensor.id for sensor in mine}
        if unknown := sorted(group.but.keys() - {sensor.id for sensor in mine}):
            raise Unusable(f"{file}: groups.{at}.but: {unknown} are not sensors of this group")
        for sensor in mine:
            where = f"{file}: groups.{at}: {sensor.id}"
            model = _valid(where, partial(_MODEL.validate_python, group.follow | group.but.get(sensor.id, {})))
            yield Simulated(sensor, model, group)


def _tree(file: Path) -> RegionTree:
    try:
        return RegionTree(read(file, TypeAdapter(list[Region]).validate_python))
    except RegionError as error:
        raise Unusable(f"{file}: {error}") from error


def _zone(folder: Path, city: City) -> ZoneInfo:
    try:
        return ZoneInfo(city.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Unusable(f"{folder / 'city.yaml'}: timezone: {city.timezone!r} is no zone of this machine, such as Asia/Shanghai") from error


def _valid(what: str, validate: Callable[[], T]) -> T:
    try:
        return validate()
    except ValidationError as error:
        faults = (f"{'.'.join(str(part) for part in fault['loc']) or 'the whole'}: {fault['msg']}" for fault in error.errors())
        raise Unusable(f"{what}: {'; '.join(faults)}") from error
