"""Control records: what rules need to know besides readings, in the same partitions as these, so that `step` depends on the log alone."""

from __future__ import annotations

from pydantic import Field

from schemas.base import AdapterName, Code, Frozen, Name, Time
from schemas.rule import Rule
from schemas.sensor import Sensor


class Tick(Frozen):
    """Time advances. One a second in every partition, written by the ingest node that holds the lease, by the database's clock."""

    time: Time
    node: Code
    adapters: dict[AdapterName, Time]
    """By adapter: all that it took up to this time is in Kafka before this tick."""


class SensorRecord(Frozen):
    """A sensor as it is from here on, in its street's partition; an older or equal version changes nothing."""

    sensor: Sensor
    path: tuple[Code, ...]
    """The sensor's regions, from its street up to the city."""
    names: tuple[Name, ...] = ()
    """Their names, in the same order; what is told of a place is told by its name."""


class RuleActivation(Frozen):
    """A rule as it applies from here on, in every partition; an older or equal version changes nothing. Also the value of `city.rules`."""

    rule: Rule
    meaning: int = Field(ge=1)
    """The version since which the rule means what it means now: a change of texts only keeps it."""
