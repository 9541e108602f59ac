"""What people read: the messages of alerts in words, in Chinese or English, by the platform's own phrases or the city's templates.

A text says all by itself, for many channels have no title. That an origin is not real stands in front of title and text whatever a template says,
and that a message may have come before stands behind: no template can leave it out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from schemas.alerting import Alerting
from schemas.base import Name, Origin
from schemas.notification import Why
from schemas.tiers import Tier
from services.alerts.channels.sender import Trouble
from services.alerts.channels.templates import Template
from services.alerts.domain.message import Line, Message
from services.alerts.domain.watching import Cause
from services.alerts.domain.what import span
from services.kit import logs
from services.kit.errors import Misconfigured

_log = logs.get(__name__)

SHORT = 300
"""Characters of a text of ours that tells one thing, link and all: what an SMS gateway takes for one message."""
_LEAST = 40
"""So much of what it is about stands in a text however long its link is."""
_ITEM = 160
"""Characters of one of several things that are told together."""
_MOST_ITEMS = 10
_NAMED = 5
_LONGEST = 8_000
_NOTED = 256
"""Characters of a line in a notification."""


@dataclass(frozen=True, slots=True)
class Text:
    """A message in words."""

    title: str
    """One line, never empty."""
    text: str
    """May have several lines."""


# Phrases


@dataclass(frozen=True)
class _Phrases:
    """The platform's words in one language; in braces what they are made of."""

    tiers: Mapping[Tier, str]
    origins: Mapping[Origin, str]
    heads: Mapping[tuple[Why, bool], str]
    """By why, and whether it is a storm."""
    single: str
    several: str
    ended: str
    ended_several: str
    ended_storm: str
    undelivered: str
    to_whom: str
    place: str
    region: str
    join: str
    join_lines: str
    unanswered: str
    run_out: str
    answer: str
    look: str
    again: str
    day: Callable[[datetime], str]
    spans: tuple[str, ...]
    moment: str
    digest_title: str
    digest: str
    more: str
    troubles: Mapping[Trouble, str]
    colon: str


_ZH = _Phrases(
    tiers={Tier.BLUE: "蓝色", Tier.YELLOW: "黄色", Tier.ORANGE: "橙色", Tier.RED: "红色"},
    origins={Origin.REAL: "", Origin.EXERCISE: "【演练】", Origin.SIMULATED: "【模拟】", Origin.REPLAYED: "【回放】"},
    heads={
        (Why.OPENED, False): "【{tier}预警】",
        (Why.CHANGED, False): "【{tier}预警·更新】",
        (Why.ESCALATED, False): "【{tier}预警·升级】",
        (Why.REPEATED, False): "【{tier}预警·再次提醒】",
        (Why.ENDED, False): "【{tier}预警·解除】",
        (Why.UNDELIVERED, False): "【告知失败】",
        (Why.OPENED, True): "【{tier}·多点告警】",
        (Why.CHANGED, True): "【{tier}·多点告警更新】",
        (Why.ESCALATED, True): "【{tier}·多点告警升级】",
        (Why.REPEATED, True): "【{tier}·多点告警再次提醒】",
        (Why.ENDED, True): "【{tier}·多点告警结束】",
        (Why.UNDELIVERED, True): "【告知失败】",
    },
    single="{what}，{since} 起。",
    several="{region}共 {count} 条（{where}），{since} 起{lines}。",
    ended="{what}，已解除，历时 {lasted}。",
    ended_several="{region}共 {count} 条均已解除（{where}），历时 {lasted}。",
    ended_storm="{region}共 {count} 条（{where}），告警潮已平息，历时 {lasted}。",
    undelivered="未能告知{whom}，请另行通知。事由：{tier}预警，{what}。",
    to_whom="{person}（{channel}：{reason}）",
    place="{what}（{place}）",
    region="{region} {count} 条",
    join="、",
    join_lines="；",
    unanswered="已 {waited}无人响应。",
    run_out="{who}的响应已到期。",
    answer="响应：{link}",
    look="查看：{link}",
    again="（可能重复）",
    day=lambda at: f"{at.month}月{at.day}日 {at:%H:%M}",
    spans=("秒", "分钟", "小时", "天"),
    moment="不到 1 分钟",
    digest_title="【{tier}预警】{count} 条通知",
    digest="共 {count} 条通知：",
    more="另有 {count} 条，请在系统中查看。",
    troubles={
        Trouble.UNREACHABLE: "无法连接",
        Trouble.TIMED_OUT: "超时",
        Trouble.BROKEN_OFF: "连接中断",
        Trouble.THROTTLED: "发送过于频繁",
        Trouble.FAILING: "对方服务故障",
        Trouble.UNCLEAR: "应答不明",
        Trouble.REFUSED: "被拒绝",
        Trouble.BUSY: "通道繁忙",
        Trouble.UNUSABLE: "地址不可用",
    },
    colon="：",
)

_EN = _Phrases(
    tiers={Tier.BLUE: "Blue", Tier.YELLOW: "Yellow", Tier.ORANGE: "Orange", Tier.RED: "Red"},
    origins={Origin.REAL: "", Origin.EXERCISE: "[EXERCISE] ", Origin.SIMULATED: "[SIMULATED] ", Origin.REPLAYED: "[REPLAYED] "},
    heads={
        (Why.OPENED, False): "[{tier} warning] ",
        (Why.CHANGED, False): "[{tier} warning, update] ",
        (Why.ESCALATED, False): "[{tier} warning, escalated] ",
        (Why.REPEATED, False): "[{tier} warning, reminder] ",
        (Why.ENDED, False): "[{tier} warning over] ",
        (Why.UNDELIVERED, False): "[Not delivered] ",
        (Why.OPENED, True): "[{tier}, many places] ",
        (Why.CHANGED, True): "[{tier}, many places, update] ",
        (Why.ESCALATED, True): "[{tier}, many places, escalated] ",
        (Why.REPEATED, True): "[{tier}, many places, reminder] ",
        (Why.ENDED, True): "[{tier}, many places, over] ",
        (Why.UNDELIVERED, True): "[Not delivered] ",
    },
    single="{what}, since {since}. ",
    several="{region}: {count} warnings ({where}), since {since}{lines}. ",
    ended="{what}: over, it lasted {lasted}. ",
    ended_several="{region}: all {count} warnings ({where}) are over, it lasted {lasted}. ",
    ended_storm="{region}: {count} warnings ({where}); it is calm again, it lasted {lasted}. ",
    undelivered="Not told: {whom}. Tell them otherwise. It was about: {tier} warning, {what}. ",
    to_whom="{person} ({channel}: {reason})",
    place="{what} ({place})",
    region="{region} {count}",
    join=", ",
    join_lines="; ",
    unanswered="Nobody has answered for {waited}. ",
    run_out="The answer of {who} has run out. ",
    answer="Answer: {link}",
    look="See: {link}",
    again="(may be a repetition) ",
    day=lambda at: f"{at:%Y-%m-%d %H:%M}",
    spans=("s", "min", "h", "d"),
    moment="less than a minute",
    digest_title="[{tier} warning] {count} notices",
    digest="{count} notices:",
    more="{count} more: see the platform.",
    troubles={trouble: str(trouble) for trouble in Trouble},
    colon=": ",
)

_LANGUAGES = {"zh": _ZH, "en": _EN}


def _in(language: str, name: Name) -> str:
    return name.en if language == "en" else name.zh


def trouble_in(language: str, reason: str) -> str:
    """Return the reason of a receipt in a language; what the channel itself said stays as it is."""
    phrases = _LANGUAGES[language]
    trouble, _, said = reason.partition(": ")
    if trouble not in set(Trouble):
        return reason
    told = phrases.troubles[Trouble(trouble)]
    return f"{told}{phrases.colon}{said}" if said else told


# Words


class Words:
    """Puts messages into words. Pure but for what it logs: the same message gives the same words."""

    def __init__(self, alerting: Alerting, zone: ZoneInfo) -> None:
        """Raise `Misconfigured`, which names it, for a template that does not render for each `Why`, in and out of a storm."""
        self._zone = zone
        self._channels = {channel.id: channel.name for channel in alerting.channels}
        self._titles: dict[tuple[str | None, str], Template] = {}
        self._texts: dict[tuple[str | None, str], Template] = {}
        self._seldom = logs.Seldom()
        for at, wording in enumerate(alerting.wordings):
            for templates, name in ((self._titles, "title"), (self._texts, "text")):
                source: str | None = getattr(wording, name)
                if source is not None:
                    where = f"alerting.yaml: wordings.{at}.{name} ({wording.channel or 'all channels'}, {wording.language})"
                    templates[wording.channel, wording.language] = self._tried(Template(source, where), wording.language, where)

    def _tried(self, template: Template, language: str, where: str) -> Template:
        for message, link in product(_samples(), (None, "https://example.org/f/1")):
            if not template.render(self._values(message, language, link)).strip():
                raise Misconfigured(f"{where}: gives no text for `{message.why}`" + (" of a storm" if message.storm else ""))
        return template

    def message(self, message: Message, channel: str, language: str, link: str | None = None, *, again: bool = False) -> Text:
        """Return a message for a channel.

        `link` leads to where somebody may answer; `again` says that it may have come before.
        """
        phrases = _LANGUAGES[language]
        mark = phrases.origins[message.origin]
        title = self._by_city(self._titles, message, channel, language, link) or self._title(message, language)
        text = self._by_city(self._texts, message, channel, language, link)
        if text is None:
            behind = (phrases.again if again else "") + self._call(message, language, link)
            return Text(mark + _line(title), self._text(message, language, behind, SHORT))
        return Text(mark + _line(title), _block(f"{mark}{text}{phrases.again.strip() if again else ''}"))

    def digest(self, messages: Sequence[Message], channel: str, language: str, link: str | None = None, *, again: bool = False) -> Text:
        """Return several messages as one, the gravest first, at most ten of them in full. Of one it is that one's `message`."""
        if len(messages) == 1:
            return self.message(messages[0], channel, language, link, again=again)
        phrases = _LANGUAGES[language]
        ordered = sorted(messages, key=lambda one: -one.tier.gravity)
        marks = {phrases.origins[one.origin] for one in messages}
        mark = marks.pop() if len(marks) == 1 else ""
        title = mark + phrases.digest_title.format(tier=phrases.tiers[ordered[0].tier], count=len(messages))
        items = [f"{at}. {self._item(one, channel, language)}" for at, one in enumerate(ordered[:_MOST_ITEMS], start=1)]
        more = [phrases.more.format(count=len(messages) - _MOST_ITEMS)] if len(messages) > _MOST_ITEMS else []
        last = [phrases.look.format(link=link)] if link else []
        head = phrases.digest.format(count=len(messages)) + (phrases.again.strip() if again else "")
        return Text(title, _block("\n".join([head, *items, *more, *last])))

    def _item(self, message: Message, channel: str, language: str) -> str:
        text = self._by_city(self._texts, message, channel, language, None)
        mark = _LANGUAGES[language].origins[message.origin]
        return self._text(message, language, "", _ITEM) if text is None else " ".join(f"{mark}{text}".split())

    def text(self, message: Message) -> Name:
        """Return a message in one line, by the platform's own words: for the app and for the record."""
        return Name(zh=self._text(message, "zh", "", _NOTED), en=self._text(message, "en", "", _NOTED))

    # By the city's templates

    def _by_city(
        self, templates: Mapping[tuple[str | None, str], Template], message: Message, channel: str, language: str, link: str | None
    ) -> str | None:
        template = templates.get((channel, language)) or templates.get((None, language))
        if template is None:
            return None
        try:
            made = template.render(self._values(message, language, link)).strip()
        except Misconfigured as error:
            if self._seldom.due(time.monotonic()):
                _log.warning("wording_failed", error=str(error), alert=str(message.alert), why=message.why)
            return None
        return made or None

    def _values(self, message: Message, language: str, link: str | None) -> dict[str, Any]:
        """Return what a template may use, in its language; `message` is all of it."""
        phrases = _LANGUAGES[language]
        return {
            "message": message,
            "tier": phrases.tiers[message.tier],
            "why": message.why.value,
            "storm": message.storm,
            "region": _in(language, message.region),
            "count": message.count,
            "where": self._where(message, language),
            "what": self._what(message, language),
            "lines": [self._told(line, language) for line in message.lines],
            "since": self._clock(message.opened_at, message.decided_at, language),
            "waited": _span(message.decided_at - message.opened_at, phrases),
            "answered_by": _in(language, message.answered_by) if message.answered_by else "",
            "failed": self._failed(message, language),
            "link": link or "",
            "default": self._text(message, language, "", SHORT),
        }

    # By our own words

    def _title(self, message: Message, language: str) -> str:
        return self._head(message, language) + (
            _in(language, message.region) if message.count > 1 or not message.lines else _in(language, message.lines[0].text)
        )

    def _head(self, message: Message, language: str) -> str:
        phrases = _LANGUAGES[language]
        return phrases.heads[message.why, message.storm].format(tier=phrases.tiers[message.tier])

    def _text(self, message: Message, language: str, behind: str, most: int) -> str:
        """Return mark, head, what it is about, for how long nobody has answered, and `behind`; what it is about is cut where that is too long."""
        front = _LANGUAGES[language].origins[message.origin] + self._head(message, language)
        behind = self._waited(message, language) + behind
        body = _cut(self._body(message, language), max(_LEAST, most - len(front) - len(behind)))
        return _line(f"{front}{body}{behind}")

    def _body(self, message: Message, language: str) -> str:
        phrases = _LANGUAGES[language]
        single = message.count <= 1 and not message.storm and bool(message.lines)
        values = {
            "tier": phrases.tiers[message.tier],
            "what": self._what(message, language),
            "region": _in(language, message.region),
            "count": message.count,
            "where": self._where(message, language),
            "since": self._clock(message.opened_at, message.decided_at, language),
            "lasted": _span(message.decided_at - message.opened_at, phrases),
            "whom": self._failed(message, language),
            "lines": "" if message.storm else self._lines(message, language),
        }
        match message.why:
            case Why.UNDELIVERED:
                form = phrases.undelivered
            case Why.ENDED:
                form = phrases.ended_storm if message.storm else phrases.ended if single else phrases.ended_several
            case _:
                form = phrases.single if single else phrases.several
        return form.format_map(values)

    def _what(self, message: Message, language: str) -> str:
        """Return the gravest warning with its place; of a storm, or where no warning is told by itself, where how many are."""
        phrases = _LANGUAGES[language]
        if message.storm or not message.lines:
            return phrases.region.format(region=_in(language, message.region), count=message.count)
        return self._told(message.lines[0], language)

    def _told(self, line: Line, language: str) -> str:
        text = _in(language, line.text)
        return text if line.place is None else _LANGUAGES[language].place.format(what=text, place=_in(language, line.place))

    def _lines(self, message: Message, language: str) -> str:
        phrases = _LANGUAGES[language]
        return phrases.colon + phrases.join_lines.join(self._told(line, language) for line in message.lines) if message.lines else ""

    def _where(self, message: Message, language: str) -> str:
        phrases = _LANGUAGES[language]
        where = message.where or ((message.region, message.count),)
        return phrases.join.join(phrases.region.format(region=_in(language, region), count=count) for region, count in where)

    def _failed(self, message: Message, language: str) -> str:
        phrases = _LANGUAGES[language]
        told = [
            phrases.to_whom.format(
                person=_in(language, person),
                channel=_in(language, self._channels[channel]) if channel in self._channels else channel,
                reason=_cut(trouble_in(language, reason), _LEAST),
            )
            for person, channel, reason in message.failed[:_NAMED]
        ]
        return phrases.join.join(told) + ("…" if len(message.failed) > _NAMED else "")

    def _waited(self, message: Message, language: str) -> str:
        phrases = _LANGUAGES[language]
        who = _in(language, message.answered_by) if message.answered_by else None
        if who is not None and message.why in {Why.CHANGED, Why.ESCALATED, Why.REPEATED}:
            return phrases.run_out.format(who=who)
        waits = message.why in {Why.ESCALATED, Why.REPEATED}
        return phrases.unanswered.format(waited=_span(message.decided_at - message.opened_at, phrases)) if waits else ""

    def _call(self, message: Message, language: str, link: str | None) -> str:
        phrases = _LANGUAGES[language]
        if not link:
            return ""
        return (phrases.look if message.why in {Why.ENDED, Why.UNDELIVERED} else phrases.answer).format(link=link)

    def _clock(self, at: datetime, now: datetime, language: str) -> str:
        return _clock(at, now, self._zone, _LANGUAGES[language])


def _clock(at: datetime, now: datetime, zone: ZoneInfo, phrases: _Phrases) -> str:
    """Return a time in the city's zone, with the day where that is not today's."""
    here, today = at.astimezone(zone), now.astimezone(zone).date()
    return f"{here:%H:%M}" if here.date() == today else phrases.day(here)


# The platform itself


_OUTAGES = {
    "zh": {
        Cause.BLIND: "【平台告警】{city}统管平台自 {since} 起数据库没有应答，预警无法发出，请立即检查。",
        Cause.SILENT: "【平台告警】{city}统管平台自 {since} 起停止运转（数据接入或消息队列没有推进），预警无法发出，请立即检查。",
        Cause.STUCK: "【平台告警】{city}统管平台自 {since} 起告警服务没有按时处理，预警可能无人收到，请立即检查。",
    },
    "en": {
        Cause.BLIND: "[Platform] Tongguan of {city}: the database has not answered since {since}, no warning gets out. Look at once. ",
        Cause.SILENT: "[Platform] Tongguan of {city} has stood still since {since} (ingest or Kafka), no warning gets out. Look at once. ",
        Cause.STUCK: "[Platform] Tongguan of {city}: alerts has not done its work since {since}, warnings may reach nobody. Look at once. ",
    },
}
_RESTORED = {
    "zh": "【平台恢复】{city}统管平台已恢复运转，{since} 起中断 {lasted}。",
    "en": "[Platform] Tongguan of {city} works again; it stood still for {lasted} since {since}. ",
}
_OUTAGE_TITLES = {"zh": ("【平台告警】{city}", "【平台恢复】{city}"), "en": ("[Platform] {city}: silent", "[Platform] {city}: works again")}


def outage(city: Name, cause: Cause | None, began: datetime, now: datetime, zone: ZoneInfo, language: str, *, again: bool = False) -> Text:
    """Return that the platform is silent, or without a cause that it works again."""
    phrases = _LANGUAGES[language]
    form = _RESTORED[language] if cause is None else _OUTAGES[language][cause]
    values = {"city": _in(language, city), "since": _clock(began, now, zone, phrases), "lasted": _span(now - began, phrases)}
    title = _OUTAGE_TITLES[language][cause is None].format(city=_in(language, city))
    return Text(title, _line(form.format_map(values) + (phrases.again if again else "")))


def _span(length: timedelta, phrases: _Phrases) -> str:
    minutes = int(length.total_seconds()) // 60
    return span(minutes * 60, phrases.spans) if minutes > 0 else phrases.moment


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _line(text: str) -> str:
    """Return a text as one line without control characters."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _block(text: str) -> str:
    """Return a text of lines without other control characters, and without empty lines at its ends."""
    kept = "\n".join("".join(one if one.isprintable() else " " for one in line).rstrip() for line in text.splitlines())
    return _cut(kept.strip(), _LONGEST)


def _samples() -> Iterator[Message]:
    """Yield a message of each kind that there is."""
    name = partial(Name, en="Example")
    at = datetime(2026, 1, 1, 8, tzinfo=UTC)
    lines = tuple(Line(Tier.RED, name(zh="示例预警"), name(zh="示例街道"), open=True, changed_at=at) for _ in range(2))
    for why, storm, count in product(Why, (False, True), (1, 2)):
        yield Message(
            alert=UUID(int=0),
            number=1,
            why=why,
            tier=Tier.RED,
            origin=Origin.REAL,
            storm=storm,
            region=name(zh="示例区"),
            count=count,
            where=((name(zh="示例街道"), count),),
            lines=lines[:count],
            opened_at=at,
            decided_at=at + timedelta(minutes=15),
            answered_by=name(zh="示例") if why is Why.CHANGED else None,
            failed=((name(zh="示例"), "sms", str(Trouble.TIMED_OUT)),) if why is Why.UNDELIVERED else (),
        )
