"""What is known beforehand of a sensor for a device that nobody registered: a draft, to be completed by a person."""

from __future__ import annotations

import json
import re
from typing import Any

from schemas.base import Code
from schemas.rest import Draft, UnknownShown

_NOT_CODE = re.compile(r"[^A-Za-z0-9._:-]+")
_CODES = re.compile(r"(?:^|[;&,])(?P<code>[A-Za-z0-9]{1,16})-(?:Rtd|Avg)=")
"""Of HJ 212: a pollutant's code before its value."""
_MOST = 64
CLOUDEVENTS = frozenset({"http", "inbound"})


def draft(one: UnknownShown) -> Draft:
    """Return a sensor as far as what was heard tells it, and which fields are missing still."""
    metrics = {code: {"name": {"zh": code, "en": code}} for code in _metrics(one)}
    sensor: dict[str, Any] = {"id": _id(one), "department": one.department, "adapter": one.protocol, "metrics": metrics}
    if one.protocol not in CLOUDEVENTS:
        sensor["link"] = {"protocol": one.protocol, **_link(one, metrics)}
    units = tuple(f"metrics.{code}.unit" for code in metrics) or ("metrics",)
    return Draft(sensor=sensor, missing=("name", "domain", "street", *units))


def _id(one: UnknownShown) -> Code:
    own = one.device if one.protocol in CLOUDEVENTS else f"{one.protocol}-{one.device}"
    return _NOT_CODE.sub("-", own).lstrip("._:-")[:96] or "sensor"


def _link(one: UnknownShown, metrics: dict[str, Any]) -> dict[str, Any]:
    match one.protocol:
        case "hj212":
            return {"mn": one.device, "codes": {code: {"metric": code} for code in metrics}}
        case "mqtt":
            mapping, _, device = one.device.partition("/")
            return {"mapping": mapping, "device": device}
        case _:
            return {"device": one.device}


def _metrics(one: UnknownShown) -> list[str]:
    """Return the names of what it measures, as far as what it said tells them."""
    if one.protocol == "hj212":
        return list(dict.fromkeys(_CODES.findall(one.said)))[:_MOST]
    try:
        event = json.loads(one.said)
    except (ValueError, RecursionError):
        return []
    match event:
        case {"data": {"values": dict() as values}} | {"values": dict() as values} if one.protocol in CLOUDEVENTS:
            return [name for name in values if isinstance(name, str) and name and not _NOT_CODE.search(name)][:_MOST]
    return []
