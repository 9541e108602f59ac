"""Who is told of a warning's revision, and in which words.

For now by region alone: the desk of the warning's street is told of everything, that of its district from orange on, that of the city of
red. Whoever was told of a peak is told how it ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID, uuid5

from schemas.base import Name
from schemas.notification import Channel, Notification, Result
from schemas.regions import Level, RegionTree
from schemas.tiers import Tier
from schemas.warning import Change, Warning, WarningState  # noqa: A004 - the field's own word

NAMESPACE = UUID("6d9f6f0e-8a43-5b0e-9d57-2b8f4f0a7c11")
"""Of our notifications' identities."""

TOLD_FROM = {Level.STREET: Tier.BLUE, Level.DISTRICT: Tier.ORANGE, Level.CITY: Tier.RED}

_TIERS = {Tier.BLUE: ("蓝色", "Blue"), Tier.YELLOW: ("黄色", "Yellow"), Tier.ORANGE: ("橙色", "Orange"), Tier.RED: ("红色", "Red")}
_CHANGES = {
    Change.OPENED: ("预警", "warning"),
    Change.RAISED: ("预警升级", "warning, raised"),
    Change.LOWERED: ("预警降级", "warning, lowered"),
    Change.RECOVERED: ("预警解除", "warning cleared"),
    Change.RULE_CHANGED: ("预警因规则变更而关闭", "warning closed, its rule was changed"),
    Change.SENSOR_MOVED: ("预警因传感器迁移而关闭", "warning closed, its sensor was moved"),
}


def route(warning: Warning, regions: RegionTree, now: datetime) -> Iterator[Notification]:
    """Yield the notifications of one revision, one a recipient. A region that the tree does not know is told at the city."""
    path = regions.path(warning.street) if warning.street in regions else (regions.root.code,)
    for code in path:
        known = warning.street in regions
        if known and warning.peak.gravity < TOLD_FROM[regions[code].level].gravity:
            continue
        recipient = f"region/{code}"
        yield Notification(
            id=uuid5(NAMESPACE, f"{warning.id}\n{warning.rev}\n{Channel.IN_APP}\n{recipient}"),
            warning=warning.id,
            warning_rev=warning.rev,
            recipient=recipient,
            street=warning.street,
            department=warning.department,
            channel=Channel.IN_APP,
            result=Result.DELIVERED,
            change=warning.change,
            tier=warning.tier,
            text=_text(warning),
            origin=warning.origin,
            decided_at=now,
        )


def _text(warning: Warning) -> Name:
    tier, change, evidence = _TIERS[warning.tier], _CHANGES[warning.change], warning.evidence
    value = f"{evidence.value:g} {evidence.unit}" if warning.state is WarningState.OPEN else ""
    return Name(
        zh=f"{tier[0]}{change[0]}:{warning.sensor_name.zh} {warning.rule_name.zh} {value}".strip()[:256],
        en=f"{tier[1]} {change[1]}: {warning.sensor_name.en}, {warning.rule_name.en} {value}".strip()[:256],
    )
