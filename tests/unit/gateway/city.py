"""A small city and its events, as the gateway hears them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from schemas import wire
from schemas.base import Name
from schemas.observation import Statistic
from schemas.regions import Level, Region, RegionTree
from schemas.rule import Direction
from schemas.sensor import Sensor
from schemas.warning import Evidence, Warning  # noqa: A004 - the field's own word

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
MICROS = wire.to_micros(NOW)


def name(text: str) -> Name:
    return Name(zh=text, en=text)


CITY, DISTRICT, OTHER_DISTRICT, STREET, SIBLING, OTHER_STREET = "990000", "990100", "990200", "990100001", "990100002", "990200001"
PARENTS = {CITY: None, DISTRICT: CITY, OTHER_DISTRICT: CITY, STREET: DISTRICT, SIBLING: DISTRICT, OTHER_STREET: OTHER_DISTRICT}
LEVELS = {CITY: Level.CITY, DISTRICT: Level.DISTRICT, OTHER_DISTRICT: Level.DISTRICT}
STREETS = (STREET, SIBLING, OTHER_STREET)
TREE = RegionTree(Region(code=code, parent=parent, level=LEVELS.get(code, Level.STREET), name=name(code)) for code, parent in PARENTS.items())


def sensor(id_: str = "s1", street: str = STREET, version: int = 1) -> Sensor:
    metrics = {"flow": {"unit": "L/s", "name": name("flow"), "low": 0, "high": 100}}
    fields = {"id": id_, "version": version, "name": name(id_), "domain": "water", "department": "d", "street": street, "metrics": metrics}
    return Sensor.model_validate(fields)


def warning(number: int = 1, rev: int = 1, *, street: str = STREET, state: str = "open", **fields: Any) -> Warning:
    evidence = Evidence(
        metric="flow",
        value=12.5,
        unit="L/s",
        limit=10,
        direction=Direction.ABOVE,
        statistic=Statistic.INSTANT,
        period_s=0,
        observation=f"o{rev}",
        observed_at=NOW,
        received_at=NOW,
    )
    whole = {
        "id": UUID(int=number),
        "rev": rev,
        "rule": "r1",
        "rule_version": 1,
        "meaning": 1,
        "rule_name": name("r1"),
        "subject": "s1/flow",
        "sensor": "s1",
        "sensor_name": name("s1"),
        "street": street,
        "domain": "water",
        "department": "d",
        "state": state,
        "tier": "blue",
        "peak": fields.get("tier", "blue"),
        "change": "opened" if state == "open" else "recovered",
        "began_at": NOW,
        "changed_at": NOW,
        "cleared_at": None if state == "open" else NOW,
        "origin": "real",
        "evidence": evidence,
    }
    return Warning.model_validate(whole | fields)


def observation(
    id_: str = "s1",
    seconds: float = 0,
    *,
    street: str = STREET,
    quality: dict[str, str] | None = None,
    period: float = 0,
    statistic: str = "instant",
    **values: float,
) -> wire.Observation:
    end = MICROS + round(seconds * 1e6)
    return wire.Observation(
        id=f"{id_}-{seconds}",
        source="/departments/d",
        department="d",
        sensor=id_,
        street=street,
        domain="water",
        start=end - round(period * 1e6),
        end=end,
        statistic=statistic,
        values=values or {"flow": 1.0},
        quality=quality or {},
        origin="real",
        received=end + 350_000,
    )
