"""A warning as a message of the Common Alerting Protocol 1.2 (OASIS, ITU-T X.1303bis), one for each revision.

`Alert` opens an episode, `Update` follows it, `Cancel` ends it; each refers to the messages before it. What one reader may see of a warning is
decided before: here all revisions given are told. `sent` is the time of the revision's event, never before that of the message before it, so that
whoever makes the messages makes the same ones. All of an episode have its identifier (GB/T 35965.1) in `incidents`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from itertools import accumulate
from xml.etree import ElementTree as ET

from schemas.base import Domain, Name, Origin
from schemas.city import City
from schemas.explain import explain
from schemas.identifier import identifier
from schemas.regions import RegionTree
from schemas.tiers import Tier
from schemas.warning import Change, Warning, WarningState  # noqa: A004 - the field's own word

NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"
MEDIA_TYPE = "application/cap+xml"
_REFERENCES = 100
"""Earlier messages that one refers to, the newest; the first stays among them."""
_HEADLINE = 160
"""Characters; longer ones are cut by those who show them."""
_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_STATUS = {Origin.REAL: "Actual", Origin.EXERCISE: "Exercise"}
_CATEGORY = {Domain.WATER: "Infra", Domain.SEWAGE: "Env", Domain.DUST: "Env", Domain.FIRE: "Fire"}
_URGENCY = {Tier.BLUE: "Future", Tier.YELLOW: "Expected", Tier.ORANGE: "Immediate", Tier.RED: "Immediate"}
_SEVERITY = {Tier.BLUE: "Minor", Tier.YELLOW: "Moderate", Tier.ORANGE: "Severe", Tier.RED: "Extreme"}
_RESPONSE = {Tier.BLUE: "Monitor", Tier.YELLOW: "Monitor", Tier.ORANGE: "Assess", Tier.RED: "Assess"}
_TIERS = {
    Tier.BLUE: Name(zh="蓝色预警", en="Blue warning"),
    Tier.YELLOW: Name(zh="黄色预警", en="Yellow warning"),
    Tier.ORANGE: Name(zh="橙色预警", en="Orange warning"),
    Tier.RED: Name(zh="红色预警", en="Red warning"),
}
_OVER = {
    Change.RETRACTED: Name(zh="撤销", en="Retracted"),
    Change.MERGED: Name(zh="并入", en="Merged"),
}
_ENDED = Name(zh="解除", en="Over")
_UNREAL = {
    Origin.EXERCISE: "演练 Exercise: nobody need act",
    Origin.SIMULATED: "模拟数据 Made from simulated data: nobody need act",
    Origin.REPLAYED: "回放数据 Made from replayed data: nobody need act",
}


@dataclass(frozen=True)
class Issuer:
    """Whose warnings they are."""

    city: City
    regions: RegionTree
    zone: tzinfo

    @property
    def sender(self) -> str:
        """The city's platform; it has neither spaces, commas, `<` nor `&`, as no code has."""
        return f"urn:tongguan:{self.city.code}"


@dataclass(frozen=True)
class _Message:
    """One revision with what it is called by."""

    warning: Warning
    identifier: str
    sent: str


def message(revisions: Sequence[Warning], issuer: Issuer) -> bytes:
    """Return the message of the newest of some revisions, which stand from the oldest on; the first is the earliest known."""
    episode = identifier(revisions[0], issuer.city, issuer.zone)
    times = accumulate((one.changed_at for one in revisions), max)
    messages = [_Message(one, f"{episode}.{one.rev}", _time(sent, issuer.zone)) for one, sent in zip(revisions, times, strict=True)]
    *before, newest = messages
    root = ET.Element("alert", xmlns=NAMESPACE)
    _add(root, "identifier", newest.identifier)
    _add(root, "sender", issuer.sender)
    _add(root, "sent", newest.sent)
    _add(root, "status", _STATUS.get(newest.warning.origin, "Test"))
    _add(root, "msgType", _kind(newest.warning))
    _add(root, "source", newest.warning.rule)
    _add(root, "scope", "Restricted")
    _add(root, "restriction", "公务使用 For official use only")
    if note := _UNREAL.get(newest.warning.origin):
        _add(root, "note", note)
    if before:
        kept = [before[0], *before[1:][-(_REFERENCES - 1) :]]
        _add(root, "references", " ".join(f"{issuer.sender},{one.identifier},{one.sent}" for one in kept))
    _add(root, "incidents", episode)
    for language in ("zh-CN", "en-US"):
        _info(root, newest, issuer, language)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode").encode() + b"\n"


def _kind(warning: Warning) -> str:
    if warning.state is WarningState.CLEARED:
        return "Cancel"
    return "Alert" if warning.rev == 1 else "Update"


def _info(root: ET.Element, told: _Message, issuer: Issuer, language: str) -> None:
    warning, zh = told.warning, language == "zh-CN"
    explained = explain(warning, issuer.zone)
    info = _add(root, "info")
    _add(info, "language", language)
    _add(info, "category", _CATEGORY[warning.domain])
    _add(info, "event", _of(warning.rule_name, zh=zh))
    _add(info, "responseType", _response(warning))
    _add(info, "urgency", "Past" if warning.state is WarningState.CLEARED else _URGENCY[warning.tier])
    _add(info, "severity", _SEVERITY[warning.tier])
    _add(info, "certainty", "Unlikely" if warning.change is Change.RETRACTED else "Observed")
    _coded(info, "eventCode", "urn:tongguan:rule", warning.rule)
    _add(info, "effective", told.sent)
    _add(info, "onset", _time(warning.began_at, issuer.zone))
    if department := next((one for one in issuer.city.departments if one.id == warning.department), None):
        _add(info, "senderName", _of(department.name, zh=zh))
    _add(info, "headline", _headline(warning, zh=zh))
    _add(info, "description", explained.zh if zh else explained.en)
    for name, value in _parameters(warning, issuer.zone).items():
        _coded(info, "parameter", f"urn:tongguan:{name}", value)
    _area(info, warning, issuer.regions, zh=zh)


def _response(warning: Warning) -> str:
    if warning.state is WarningState.OPEN:
        return _RESPONSE[warning.tier]
    return "AllClear" if warning.change is Change.RECOVERED else "None"


def _headline(warning: Warning, *, zh: bool) -> str:
    what = _of(_TIERS[warning.tier], zh=zh)
    if warning.state is WarningState.CLEARED:
        over = _of(_OVER.get(warning.change, _ENDED), zh=zh)
        what = f"{what}{over}" if zh else f"{over}: {what.lower()}"
    where, rule = _of(warning.sensor_name, zh=zh), _of(warning.rule_name, zh=zh)
    line = f"【{what}】{where}：{rule}" if zh else f"{what}: {rule}, {where}"
    return line if len(line) <= _HEADLINE else f"{line[: _HEADLINE - 1]}…"


def _parameters(warning: Warning, zone: tzinfo) -> dict[str, str]:
    evidence = warning.evidence
    told: dict[str, object] = {
        "warning": warning.id,
        "revision": warning.rev,
        "change": warning.change.value,
        "tier": warning.tier.value,
        "peak": warning.peak.value,
        "origin": warning.origin.value,
        "rule": warning.rule,
        "rule-version": warning.rule_version,
        "standard": evidence.standard.zh if evidence.standard else None,
        "subject": warning.subject,
        "metric": evidence.metric,
        "measure": evidence.measure,
        "value": f"{evidence.value:.12g}",
        "limit": None if evidence.limit is None else f"{evidence.limit:.12g}",
        "unit": evidence.unit,
        "observed-at": _time(evidence.observed_at, zone),
        "merged-into": warning.merged_into,
    }
    return {name: str(value) for name, value in told.items() if value is not None}


def _area(info: ET.Element, warning: Warning, regions: RegionTree, *, zh: bool) -> None:
    area = _add(info, "area")
    path = [regions[code] for code in regions.path(warning.street)] if warning.street in regions else []
    names = [_of(region.name, zh=zh) for region in path]
    _add(area, "areaDesc", ("".join(reversed(names)) if zh else ", ".join(names)) or warning.street)
    _coded(area, "geocode", "GB/T 2260" if re.fullmatch("[0-9]{6}", warning.street) else "GB/T 10114", warning.street)


# XML


def _add(parent: ET.Element, name: str, text: str | None = None) -> ET.Element:
    element = ET.SubElement(parent, name)
    if text is not None:
        element.text = _NO_XML.sub("�", text)
    return element


def _coded(parent: ET.Element, name: str, value_name: str, value: str) -> None:
    element = _add(parent, name)
    _add(element, "valueName", value_name)
    _add(element, "value", value)


def _of(name: Name, *, zh: bool) -> str:
    return name.zh if zh else name.en


def _time(at: datetime, zone: tzinfo) -> str:
    """Return a time as CAP has it: to the second, with an offset in hours and minutes, and of UTC `-00:00`, never `Z`."""
    minutes = round((at.astimezone(zone).utcoffset() or timedelta(0)) / timedelta(minutes=1))
    text = at.astimezone(timezone(timedelta(minutes=minutes))).replace(microsecond=0).isoformat()
    return text.removesuffix("+00:00") + "-00:00" if text.endswith("+00:00") else text
