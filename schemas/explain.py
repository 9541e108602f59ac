"""A warning in one or two sentences: what was measured, which limit it met, for how long, by which rule, and what would clear it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

from pydantic import Field

from schemas.base import Frozen, Name
from schemas.observation import Statistic
from schemas.rule import Direction
from schemas.tiers import Tier
from schemas.warning import Change, Evidence, Part, Warning  # noqa: A004 - the field's own word

BEIJING = ZoneInfo("Asia/Shanghai")
_NAMED = 5
"""So many sensors of a place are named, the others counted."""


class Explanation(Frozen):
    """The same in the two languages of the interface."""

    zh: str = Field(min_length=1)
    en: str = Field(min_length=1)


def explain(warning: Warning, zone: tzinfo = BEIJING) -> Explanation:
    """Return why a warning is as it is; times are told in `zone`."""
    return Explanation(zh=_in(_ZH, warning, zone), en=_in(_EN, warning, zone))


@dataclass(frozen=True)
class _Tongue:
    """The words of one language. Quantities come with their unit; `{}` of a pattern is filled by position."""

    pick: Callable[[Name], str]
    tiers: dict[Tier, str]
    changes: dict[Change, str]
    """What happened: {tier}, {into}."""
    statistics: dict[Statistic, str]
    """{metric}, {period}."""
    kinds: dict[str, str]
    """What was measured: {metric}, {window}."""
    measured: str
    """{when}, {name}, {what}, {value}."""
    silent: str
    heard: str
    agreeing: str
    condition: str
    at_least: str
    at_most: str
    met: str
    """{value}, {side}: the comparison with the limit."""
    in_a_row: str
    lasting: str
    background: str
    rule: str
    standard: str
    clears: str
    clears_by_condition: str
    clears_when_heard: str
    known: str
    unknown: str
    joined: str
    more: str
    units: tuple[str, str, str, str]
    stop: str


_EN = _Tongue(
    pick=lambda name: name.en,
    tiers={Tier.BLUE: "blue", Tier.YELLOW: "yellow", Tier.ORANGE: "orange", Tier.RED: "red"},
    changes={
        Change.OPENED: "A warning of the {tier} tier began",
        Change.RAISED: "The warning was raised to {tier}",
        Change.LOWERED: "The warning was lowered to {tier}",
        Change.RECOVERED: "The warning is over",
        Change.RULE_CHANGED: "The warning was closed because its rule was changed or no longer applies; before that",
        Change.SENSOR_MOVED: "The warning was closed because the sensor now belongs to another street or department; before that",
        Change.REVISED: "Late or corrected data changed the course of this warning ({tier})",
        Change.REOPENED: "Late or corrected data, or a return, show that the warning ({tier}) goes on",
        Change.RETRACTED: "The warning is retracted, for late or corrected data show that it should not have been; it had said",
        Change.MERGED: "The warning is merged into {into}, for late or corrected data show that the two are one; it had said",
    },
    statistics={
        Statistic.INSTANT: "{metric}",
        Statistic.MEAN: "the {period} mean of {metric}",
        Statistic.MIN: "the {period} minimum of {metric}",
        Statistic.MAX: "the {period} maximum of {metric}",
        Statistic.SUM: "the {period} sum of {metric}",
    },
    kinds={
        "rate": "the rate of change of {metric}{window}",
        "window": "the figure of {metric}{window}",
        "exceedances": "the number of exceedances of {metric} today",
        "regional": "the region's figure of {metric}{window}",
        "background": "{metric} above the background{window}",
    },
    measured="at {when} {what} at {name} was {value}",
    silent="at {when} {name} had been silent on {metric} for {value}",
    heard="at {when} {name} was heard again on {metric}",
    agreeing="at {when} {value} sensors at {name} were past the limit of {metric} together",
    condition="at {when} the condition at {name} was decided",
    at_least="at or above the limit of {limit}",
    at_most="at or below the limit of {limit}",
    met=", {side}{dwell}",
    in_a_row=", {count} in a row",
    lasting=", for {span}",
    background=" after {value} of background were subtracted",
    rule="By rule “{name}” ({id}, version {version})",
    standard="; {standard}",
    clears="This tier is left at {limit} or {side}{dwell}",
    clears_by_condition="This tier is left when the rule's condition for it holds{dwell}",
    clears_when_heard="This tier is left when the sensor is heard again{dwell}",
    known="{metric} {value} ({side})",
    unknown="{metric} unknown",
    joined=", ",
    more=" and {count} more",
    units=("d", "h", "min", "s"),
    stop=". ",
)
_ZH = _Tongue(
    pick=lambda name: name.zh,
    tiers={Tier.BLUE: "蓝色", Tier.YELLOW: "黄色", Tier.ORANGE: "橙色", Tier.RED: "红色"},
    changes={
        Change.OPENED: "{tier}预警开始",
        Change.RAISED: "预警升为{tier}",
        Change.LOWERED: "预警降为{tier}",
        Change.RECOVERED: "预警解除",
        Change.RULE_CHANGED: "规则已变更或不再适用，预警关闭；此前",
        Change.SENSOR_MOVED: "传感器改属其他街道或部门，预警关闭；此前",
        Change.REVISED: "迟到或更正的数据修订了这次{tier}预警的经过",
        Change.REOPENED: "迟到或更正的数据（或再次发生）表明{tier}预警仍在继续",
        Change.RETRACTED: "迟到或更正的数据表明本不应预警，预警撤销；原预警称",
        Change.MERGED: "迟到或更正的数据表明与预警 {into} 为同一次，已并入；原预警称",
    },
    statistics={
        Statistic.INSTANT: "{metric}",
        Statistic.MEAN: "{metric} 的 {period}均值",
        Statistic.MIN: "{metric} 的 {period}最小值",
        Statistic.MAX: "{metric} 的 {period}最大值",
        Statistic.SUM: "{metric} 的 {period}累计值",
    },
    kinds={
        "rate": "{metric} 的变化率{window}",
        "window": "{metric} 的窗口统计值{window}",
        "exceedances": "{metric} 当日超限次数",
        "regional": "{metric} 的区域统计值{window}",
        "background": "{metric} 扣除背景后的值{window}",
    },
    measured="{when} {name}的{what}为 {value}",
    silent="{when} {name}的 {metric} 已中断 {value}",
    heard="{when} {name}的 {metric} 恢复上报",
    agreeing="{when} {name}有 {value} 个传感器的 {metric} 同时越限",
    condition="{when} {name}的组合条件已判定",
    at_least="不低于限值 {limit}",
    at_most="不高于限值 {limit}",
    met="，{side}{dwell}",
    in_a_row="，连续 {count} 次",
    lasting="，持续 {span}",
    background="（已扣除背景 {value}）",
    rule="依据规则“{name}”（{id} 第 {version} 版）",
    standard="；{standard}",
    clears="{side} {limit}{dwell}时，本级解除",
    clears_by_condition="满足规则的解除条件{dwell}时，本级解除",
    clears_when_heard="恢复上报{dwell}时，本级解除",
    known="{metric} 为 {value}（{side}）",
    unknown="{metric} 未知",
    joined="、",
    more="等另外 {count} 个",
    units=("天", "小时", "分钟", "秒"),
    stop="。",
)


def _in(tongue: _Tongue, warning: Warning, zone: tzinfo) -> str:
    change = tongue.changes[warning.change].format(tier=tongue.tiers[warning.tier], into=warning.merged_into or "-")
    rule = tongue.rule.format(name=tongue.pick(warning.rule_name), id=warning.rule, version=warning.rule_version)
    if warning.evidence.standard is not None:
        rule += tongue.standard.format(standard=tongue.pick(warning.evidence.standard))
    sentences = [f"{change}{': ' if tongue is _EN else '：'}{_measured(tongue, warning, zone)}", rule]
    if clears := _clears(tongue, warning.evidence):
        sentences.append(clears)
    return tongue.stop.join(sentences) + tongue.stop.strip()


def _measured(tongue: _Tongue, warning: Warning, zone: tzinfo) -> str:
    evidence = warning.evidence
    words = {"when": _when(evidence.observed_at, zone), "name": tongue.pick(warning.sensor_name), "metric": evidence.metric}
    if evidence.limit is None or evidence.parts:
        parts = tongue.joined.join(_part(tongue, part) for part in evidence.parts) or _quantity(evidence.value, evidence.unit)
        return f"{tongue.condition.format(**words)}: {parts}" if tongue is _EN else f"{tongue.condition.format(**words)}：{parts}"
    if evidence.measure == "absence":
        return _silence(tongue, evidence, words)
    up = _upwards(warning)
    met = tongue.met.format(side=_side(tongue, evidence, up=up), dwell=_dwell(tongue, evidence.readings, evidence.dwell_s))
    if evidence.measure == "agreement":
        return tongue.agreeing.format(value=_number(evidence.value), **words) + _sensors(tongue, evidence) + met
    value = _quantity(evidence.value, evidence.unit)
    if evidence.background is not None:
        value += tongue.background.format(value=_quantity(evidence.background, evidence.unit))
    return tongue.measured.format(what=_what(tongue, evidence), value=value, **words) + met


def _silence(tongue: _Tongue, evidence: Evidence, words: dict[str, str]) -> str:
    if evidence.value <= 0:
        return tongue.heard.format(**words)
    limit = tongue.at_least.format(limit=_span(tongue, evidence.limit or 0))
    return tongue.silent.format(value=_span(tongue, evidence.value), **words) + tongue.met.format(side=limit, dwell="")


def _what(tongue: _Tongue, evidence: Evidence) -> str:
    metric = tongue.statistics[evidence.statistic].format(metric=evidence.metric, period=_span(tongue, evidence.period_s))
    window = f" ({_span(tongue, evidence.window_s)})" if evidence.window_s else ""
    return tongue.kinds.get(evidence.measure, "{metric}").format(metric=metric, window=window if tongue is _EN else window.strip())


def _upwards(warning: Warning) -> bool:
    """Say whether the way up was decided, and not the way down."""
    evidence = warning.evidence
    if evidence.value == evidence.limit:
        return warning.change not in {Change.LOWERED, Change.RECOVERED}
    above = evidence.limit is not None and evidence.value > evidence.limit
    return above is (evidence.direction is Direction.ABOVE)


def _side(tongue: _Tongue, evidence: Evidence, *, up: bool) -> str:
    above = (evidence.direction is Direction.ABOVE) is up
    return (tongue.at_least if above else tongue.at_most).format(limit=_quantity(evidence.limit or 0, evidence.unit))


def _part(tongue: _Tongue, part: Part) -> str:
    if part.value is None:
        return tongue.unknown.format(metric=part.metric)
    holds = bool(part.holds)
    above = (part.direction is Direction.ABOVE) is holds
    side = (tongue.at_least if above else tongue.at_most).format(limit=_number(part.limit))
    return tongue.known.format(metric=part.metric, value=_number(part.value), side=side)


def _sensors(tongue: _Tongue, evidence: Evidence) -> str:
    if not evidence.sensors:
        return ""
    listed = tongue.joined.join(evidence.sensors[:_NAMED])
    left = len(evidence.sensors) - _NAMED
    more = tongue.more.format(count=left) if left > 0 else ""
    return f" ({listed}{more})" if tongue is _EN else f"（{listed}{more}）"


def _clears(tongue: _Tongue, evidence: Evidence) -> str | None:
    clears = evidence.clears
    if clears is None:
        return None
    dwell = _dwell(tongue, clears.readings, clears.dwell_s)
    if clears.limit is None:
        return tongue.clears_by_condition.format(dwell=dwell)
    if evidence.measure == "absence":
        return tongue.clears_when_heard.format(dwell=dwell)
    above = clears.direction is Direction.ABOVE
    side = ("above" if above else "below") if tongue is _EN else ("不低于" if above else "不高于")
    return tongue.clears.format(limit=_quantity(clears.limit, evidence.unit), side=side, dwell=dwell)


def _dwell(tongue: _Tongue, readings: int | None, dwell_s: float | None) -> str:
    if dwell_s:
        return tongue.lasting.format(span=_span(tongue, dwell_s))
    return tongue.in_a_row.format(count=readings) if readings and readings > 1 else ""


# Figures


def _when(at: datetime, zone: tzinfo) -> str:
    try:
        return f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}"
    except OverflowError:  # at the very ends of what a calendar holds
        return f"{at:%Y-%m-%d %H:%M:%S%z}"


def _span(tongue: _Tongue, seconds: float) -> str:
    """Return a length of time in its two largest units."""
    left, parts = round(seconds, 3), []
    for unit, length in zip(tongue.units, (86_400, 3_600, 60), strict=False):
        if left >= length:
            parts.append(f"{int(left // length)} {unit}")
            left = round(left % length, 3)
    if left or not parts:
        parts.append(f"{left:g} {tongue.units[3]}")
    return " ".join(parts[:2])


_UNITS = {"Cel": "℃", "ug/m3": "µg/m³", "mg/m3": "mg/m³", "m3": "m³", "m3/h": "m³/h", "%{LEL}": "%LEL", "1": ""}


def _quantity(value: float, unit: str) -> str:
    """Return a figure with its unit as people write it."""
    return f"{_number(value)} {_UNITS.get(unit, unit)}".strip()


def _number(value: float) -> str:
    return f"{value:.6g}"
