"""A city's folder read into models, with errors that say file, place and mend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from schemas.access import Grant, Role
from schemas.city import City
from schemas.fleet import Fleet, FleetError, expand
from schemas.regions import Region, RegionError, RegionTree
from schemas.rule import Rule
from schemas.sensor import Sensor
from services.kit import documents
from services.kit.errors import Misconfigured, places

T = TypeVar("T")


@dataclass(frozen=True)
class CityFolder:
    """What stands in `cities/<code>/`."""

    city: City
    regions: RegionTree


def load(folder: Path) -> CityFolder:
    """Return the city and its regions; raises `Misconfigured`."""
    city = _model(folder / "city.yaml", City)
    file = folder / "regions.yaml"
    try:
        regions = RegionTree(_read(file, TypeAdapter(list[Region]).validate_python))
    except RegionError as error:
        raise Misconfigured(f"{file}: {error}") from error
    if city.code != regions.root.code:
        raise Misconfigured(f"{file}: the region without a parent is {regions.root.code}, but city.yaml has the code {city.code}")
    if unknown := [code for code in city.demo_regions if code not in regions]:
        raise Misconfigured(f"{folder / 'city.yaml'}: demo_regions {unknown} are not in regions.yaml")
    place = CityFolder(city, regions)
    if wrong := _wrong_users(place):
        raise Misconfigured(f"{folder / 'city.yaml'}: demo_users: {'; '.join(wrong)}")
    return place


def grant_problem(grant: Grant, place: CityFolder) -> str | None:
    """Say why a city cannot give a grant, None when it can."""
    if grant.region not in place.regions:
        return f"role {grant.role} in region {grant.region}, which regions.yaml does not have"
    if grant.role.level not in {None, (level := place.regions[grant.region].level)}:
        return f"role {grant.role} in region {grant.region}, which is of level {level}"
    if unknown := sorted((grant.departments or frozenset()) - {department.id for department in place.city.departments}):
        return f"role {grant.role} for departments {unknown}, which city.yaml does not have"
    if grant.role is Role.DEPARTMENT and not grant.departments:
        return f"role {grant.role}, which needs departments"
    if grant.role is Role.AUDITOR and grant.departments is not None:
        return f"role {grant.role} for some departments: entries of the audit do not say whose they are, so leave departments out"
    return None


def sensors(folder: Path, place: CityFolder) -> tuple[list[Sensor], list[Misconfigured]]:
    """Return the sensors of `sensors.yaml` and `fleet.yaml` that can be used, and what is wrong with the others: one bad sensor harms only itself.

    Raises `Misconfigured` when a file is no list at all, or a fleet cannot be expanded.
    """
    departments = {department.id for department in place.city.departments}
    good: dict[str, Sensor] = {}
    bad: list[Misconfigured] = []
    for file, at, item in _records(folder, place):
        try:
            sensor = _valid(f"{file}: item {at}", partial(Sensor.model_validate, item))
            if sensor.id in good:
                raise Misconfigured(f"{file}: sensor {sensor.id} is given twice; the first is taken")
            if sensor.street not in place.regions:
                raise Misconfigured(f"{file}: sensor {sensor.id} is in region {sensor.street}, which regions.yaml does not have")
            if sensor.department not in departments:
                raise Misconfigured(f"{file}: sensor {sensor.id} is of department {sensor.department}, which city.yaml does not have")
            good[sensor.id] = sensor
        except Misconfigured as error:
            bad.append(error)
    return list(good.values()), bad


def _records(folder: Path, place: CityFolder) -> Iterator[tuple[Path, int, Any]]:
    """Yield the records of sensors: the file of each, and its number there, which for a fleet's counts all that the fleets stand for."""
    file = folder / "sensors.yaml"
    for at, item in enumerate(_read(file, TypeAdapter(list[Any]).validate_python)):
        yield file, at, item
    file = folder / "fleet.yaml"
    if not file.is_file():
        return
    fleets = _read(file, TypeAdapter(list[Fleet]).validate_python)
    try:
        for at, item in enumerate(item for fleet in fleets for item in expand(fleet, place.regions)):
            yield file, at, item
    except FleetError as error:
        raise Misconfigured(f"{file}: {error}") from error


def rules(folder: Path) -> tuple[list[Rule], list[Misconfigured]]:
    """Return the rules of `rules/*.yaml` that can be used, and what is wrong with the others: one bad rule harms only itself."""
    good: dict[str, Rule] = {}
    bad: list[Misconfigured] = []
    for file in sorted((folder / "rules").glob("*.yaml")):
        try:
            rule = documents.read(file, Rule).model
            if rule.id in good:
                raise Misconfigured(f"{file}: rule {rule.id} stands in another file already")
            good[rule.id] = rule
        except Misconfigured as error:
            bad.append(error)
    return list(good.values()), bad


def _wrong_users(place: CityFolder) -> list[str]:
    counts = Counter(user.id for user in place.city.demo_users)
    twice = [f"user {id_} is given twice" for id_, times in counts.items() if times > 1]
    problems = ((user.id, grant_problem(grant, place)) for user in place.city.demo_users for grant in user.grants)
    return [*twice, *(f"user {id_} has the {problem}" for id_, problem in problems if problem)]


M = TypeVar("M", bound=BaseModel)


def _model(file: Path, model: type[M]) -> M:
    return _read(file, model.model_validate)


def _read(file: Path, validate: Callable[[Any], T]) -> T:
    try:
        content = yaml.load(file.read_text("utf-8"), Loader=documents.LOADER)  # noqa: S506 - a safe one
    except OSError as error:
        raise Misconfigured(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Misconfigured(f"{file}: is not UTF-8 (byte {error.start}): save it as UTF-8") from error
    except yaml.YAMLError as error:
        raise Misconfigured(f"{file}: is not YAML: {error}") from error
    return _valid(str(file), partial(validate, content))


def _valid(what: str, validate: Callable[[], T]) -> T:
    try:
        return validate()
    except ValidationError as error:
        raise Misconfigured(f"{what}: {places(error)}") from error
