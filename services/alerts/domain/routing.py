"""Who is told of a warning's revision, and in which words.

For now by region alone: the desk of the warning's own region, mostly a street, is told of everything, that of its district from orange on, that of
the city of red. Whoever was told of a tier is told how it ends. That late data changed a warning's past, and nothing of its present, is told nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID, uuid5

from schemas.base import Name
from schemas.notification import Channel, Notification, Result
from schemas.regions import Level, RegionTree
from schemas.tiers import Tier
from schemas.warning import Change, Evidence, Warning, WarningState  # noqa: A004 - the field's own word

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
    Change.REOPENED: ("预警重新开启（迟到或更正的数据表明尚未结束）", "warning reopened, late or corrected data say that it is not over"),
    Change.RETRACTED: ("预警撤销（迟到或更正的数据表明不应发出）", "warning withdrawn, late or corrected data say that it should not have been"),
    Change.MERGED: ("预警并入更早的一条（迟到或更正的数据表明为同一过程）", "warning merged into an earlier one by late or corrected data"),
}


def told_of(warning: Warning) -> int:
    """Return the gravity of which a revision is to be told, 0 when of none."""
    return 0 if warning.change is Change.REVISED else warning.tier.gravity


def route(warning: Warning, gravest: int, regions: RegionTree, now: datetime) -> Iterator[Notification]:
    """Yield the notifications of one revision, one a recipient. A region that the tree does not know is told at the city.

    `gravest` is the greatest gravity of which anybody was told so far, this revision's counted: late data may lower a warning's peak.
    """
    if warning.change is Change.REVISED:
        return
    known = warning.street in regions
    for code in regions.path(warning.street) if known else (regions.root.code,):
        if known and code != warning.street and gravest < TOLD_FROM[regions[code].level].gravity:
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
    tier, change = _TIERS[warning.tier], _CHANGES[warning.change]
    value = _value(warning.evidence) if warning.state is WarningState.OPEN else ("", "")
    return Name(
        zh=f"{tier[0]}{change[0]}:{warning.sensor_name.zh} {warning.rule_name.zh} {value[0]}".strip()[:256],
        en=f"{tier[1]} {change[1]}: {warning.sensor_name.en}, {warning.rule_name.en} {value[1]}".strip()[:256],
    )


def _value(evidence: Evidence) -> tuple[str, str]:
    """Return what was measured, in both languages."""
    count = f"{evidence.value:g}"
    match evidence.measure:
        case "absence":
            return f"静默 {_span(evidence.value, _SPANS_ZH)}", f"silent for {_span(evidence.value, _SPANS_EN)}"
        case "agreement":
            return f"{count} 个传感器", f"{count} sensors"
        case "exceedances":
            return f"当日 {count} 次", f"{count} times that day"
    plain = count if evidence.unit == "1" else f"{count} {evidence.unit}"
    return plain, plain


_SPANS_ZH, _SPANS_EN = ("秒", "分钟", "小时", "天"), ("s", "min", "h", "d")


def _span(seconds: float, words: tuple[str, ...]) -> str:
    """Return a length of time in its two greatest units, as far as the second is not 0."""
    sizes = (1, 60, 3_600, 86_400)
    whole = int(seconds)
    at = max((at for at, size in enumerate(sizes) if whole >= size), default=0)
    great, rest = divmod(whole, sizes[at])
    less = rest // sizes[at - 1] if at else 0
    return f"{great} {words[at]}" + (f" {less} {words[at - 1]}" if less else "")
