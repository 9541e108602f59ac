"""A case or event as somebody reported it, in one of the eight governance matters."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import ConfigDict, Field

from schemas.base import Code, Finite, Frozen, Moment, Origin, Text, Time


class Matter(StrEnum):
    """The eight matters of urban governance."""

    APPEARANCE = "appearance"
    """市容市貌"""
    GREENING = "greening"
    """园林绿化"""
    UTILITIES = "utilities"
    """市政基础设施运行"""
    CONSTRUCTION = "construction"
    """在建工程项目管理"""
    HOUSING_SAFETY = "housing_safety"
    """房屋安全"""
    ESTATES = "estates"
    """小区管理"""
    PUBLIC_ORDER = "public_order"
    """公共空间秩序"""
    EMERGENCIES = "emergencies"
    """突发事件处置"""


class Channel(StrEnum):
    """How a report came to the department that publishes it."""

    HOTLINE = "hotline"
    """The 12345 hotline."""
    APP = "app"
    INSPECTION = "inspection"
    """Somebody of the city's saw it: 网格员, 城管, 巡查."""
    DEPARTMENT = "department"


class Reported(Frozen):
    """The `data` of a CloudEvent of type `cn.tongguan.report.v1`, as a department publishes it.

    There is no field for who reported it, and unknown fields are refused: names and numbers of citizens stay with the hotline, which finds its
    own record by the event's source and id.
    """

    model_config = ConfigDict(strict=True)

    region: Code
    matter: Matter
    kind: Code
    """A kind of the city's catalogue."""
    title: Text
    description: Annotated[str, Field(max_length=4096, pattern=r"^[^\x00]*$")] = ""
    occurred: Moment | None = None
    """Left out where the CloudEvent has a `time`."""
    longitude: Finite | None = Field(default=None, ge=-180, le=180)
    latitude: Finite | None = Field(default=None, ge=-90, le=90)
    origin: Origin = Origin.REAL
    channel: Channel = Channel.DEPARTMENT
    address: Text | None = None
    """Where it is, in words."""


class Report(Frozen):
    """An accepted report; its identity is (source, id) within its department, and the first of an identity stands."""

    id: Text
    source: Text
    department: Code
    region: Code
    matter: Matter
    kind: Code
    title: Text
    description: str
    occurred: Time
    longitude: float | None
    latitude: float | None
    origin: Origin
    received: Time
    channel: Channel = Channel.DEPARTMENT
    address: Text | None = None


def identity(report: Report) -> UUID:
    """Return the id of a report: a UUIDv5 of department, source and id, none of which holds a line break.

    A source is whatever a department says: that it names another's does not make the report another's.
    """
    return uuid5(NAMESPACE_URL, f"tongguan:report\n{report.department}\n{report.source}\n{report.id}")
