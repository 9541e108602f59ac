"""What the devices on the city's MQTT broker say, as data: `cities/<code>/mqtt.yaml`. A new type of device needs a mapping and no code.

All paths are JMESPath over one document: `topic` has the named levels of the topic, `payload` the JSON of the message, and `item` one of the
mapping's `readings` (the payload, where it has none).
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Self

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, Field, StringConstraints, model_validator

from schemas.base import Code, Finite, Frozen, Text
from schemas.observation import Quality, Statistic


def _compiles(path: str) -> str:
    try:
        jmespath.compile(path)
    except JMESPathError as error:
        raise ValueError(f"is no JMESPath: {' '.join(str(error).split())}") from error
    return path


Path = Annotated[str, StringConstraints(min_length=1, max_length=512), AfterValidator(_compiles)]
"""A JMESPath, such as `payload.data.level`, `topic.device`, `join('-', [topic.site, payload.channel])` or `to_number(payload.level)`."""

_NAMED = re.compile(r"\{[a-z][a-z0-9_]*\}")


def _is_a_filter(topic: str) -> str:
    levels = topic.split("/")
    named = [level for level in levels if _NAMED.fullmatch(level)]
    if levels[0] == "$share":
        raise ValueError("name the topic alone: nodes share subscriptions by the setting TONGGUAN_INGEST__MQTT__SHARE")
    if "#" in levels[:-1] or any(set(level) & set("+#{}") for level in levels if level not in {"+", "#"} and level not in named):
        raise ValueError("a level is text, `{name}`, `+`, or `#` at the end")
    if len(named) != len(set(named)):
        raise ValueError("two levels have one name")
    return topic


Topic = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$"), AfterValidator(_is_a_filter)]
"""An MQTT topic filter whose `+` may have names, such as `city/manhole/{device}/up`."""


class Moment(Frozen):
    """Where a time stands, and how it is written."""

    path: Path
    format: Annotated[str, StringConstraints(max_length=64, pattern=r"^(rfc3339|s|ms|.*%.*)$")] = "rfc3339"
    """`rfc3339`; `s` or `ms` since 1970 as a number; else as Python's `strptime` has it, in the city's time where it has no `%z`."""


class Flags(Frozen):
    """Where a quality flag stands, and what its values mean. Where nothing stands, the value is good."""

    path: Path
    values: Annotated[dict[Text, Quality], Field(min_length=1, max_length=64)]
    """By the flag as text: a number 1 is `"1"`, truth is `"true"`. A reading with any other flag is refused."""


class Value(Frozen):
    """Where a metric's value stands: a number; true is 1 and false is 0."""

    path: Path
    unit: Text | None = None
    """UCUM, in which the device says it; None where it is the metric's own."""
    scale: Finite = 1.0
    """By which the number is multiplied first."""
    quality: Flags | None = None
    """None for the flags of the whole reading."""


class Mapping(Frozen):
    """What one type of device says on its topics."""

    id: Code
    department: Code
    """Whose devices these are: sensors of others are not heard by it."""
    topic: Topic
    when: Path | None = None
    """Must be true of a message; what no mapping's condition takes is let pass. Of mappings that take a message, the first counts."""
    readings: Path | None = None
    """A list in the payload, each `item` of which is a reading."""
    device: Path | None = None
    """The device's name, by which sensors are linked to it (`link: {protocol: mqtt, mapping: …, device: …}`)."""
    sensor: Path | None = None
    """Instead of `device`, the id of our sensor."""
    time: Moment | None = None
    """None for devices without a clock: the time of receipt. A message that is delivered twice is two readings then."""
    metrics: Annotated[dict[Code, Value], Field(min_length=1, max_length=64)]
    """What is not in a message, or not among the sensor's metrics, is left out."""
    quality: Flags | None = None
    statistic: Statistic = Statistic.INSTANT
    period: Annotated[timedelta, Field(gt=timedelta(0), le=timedelta(days=7))] | None = None
    """How much time before `time` a statistic is of."""
    start: Moment | None = None
    """Instead of `period`, where the statistic's time begins."""
    origin: Path | None = None
    """Where it stands that a reading is `simulated`, `replayed` or of an `exercise`; where nothing stands, it is real."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.device is None) == (self.sensor is None):
            raise ValueError("give `device` or `sensor`, one of the two")
        if self.statistic is Statistic.INSTANT and (self.period or self.start):
            raise ValueError("an instant has no `period` and no `start`: say which `statistic` it is")
        if self.statistic is not Statistic.INSTANT and (self.time is None or (self.period is None) == (self.start is None)):
            raise ValueError("a statistic needs `time`, which is its end, and `period` or `start`, one of the two")
        return self


class Mappings(Frozen):
    """All of a city."""

    mappings: Annotated[tuple[Mapping, ...], Field(max_length=256)] = ()

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        ids = [mapping.id for mapping in self.mappings]
        if twice := sorted({one for one in ids if ids.count(one) > 1}):
            raise ValueError(f"mappings: {twice} are given twice")
        return self
