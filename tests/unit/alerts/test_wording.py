"""What people read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.alerting import Alerting
from schemas.base import Name, Origin
from schemas.notification import Why
from schemas.tiers import TIERS, Tier
from services.alerts.domain.message import Line, Message
from services.alerts.domain.watching import Cause
from services.alerts.wording import SHORT, Words, outage, trouble_in
from services.kit.errors import Misconfigured

ZONE = ZoneInfo("Asia/Shanghai")
BEGAN = datetime(2026, 5, 3, 6, 5, tzinfo=UTC)  # 14:05 in the city
LINK = "https://tongguan.example.org/#/l/abcdefghijklmnopqrstuvwxyz0123456789"


def name(zh: str, en: str | None = None) -> Name:
    return Name(zh=zh, en=en or zh)


WELL = Line(Tier.ORANGE, name("东岗检查井 液位过高 3.2 m", "Donggang manhole, high level 3.2 m"), name("东岗街道", "Donggang"), True, BEGAN)
PUMP = Line(Tier.YELLOW, name("泵站失联", "Pump station is silent"), name("雁南街道", "Yannan"), True, BEGAN)


def message(**changed: Any) -> Message:
    whole = Message(
        alert=UUID(int=1),
        number=1,
        why=Why.OPENED,
        tier=Tier.ORANGE,
        origin=Origin.REAL,
        storm=False,
        region=name("城关区", "Chengguan"),
        count=1,
        where=((name("东岗街道", "Donggang"), 1),),
        lines=(WELL,),
        opened_at=BEGAN,
        decided_at=BEGAN,
    )
    return replace(whole, **changed)


STORM = message(
    storm=True,
    region=name("兰州市", "Lanzhou"),
    count=49,
    where=((name("城关区", "Chengguan"), 37), (name("七里河区", "Qilihe"), 12)),
    lines=(WELL, PUMP),
)


def words(*wordings: dict[str, Any]) -> Words:
    alerting = Alerting.model_validate(
        {
            "routes": {"id": "root", "group_by": ["warning"], "wait": 0, "interval": 60, "escalation": "all"},
            "escalations": [{"id": "all", "plans": {"red": {"steps": [{"after": 0, "tell": [{"screen": "city"}]}]}}}],
            "channels": [
                {"id": one, "name": {"zh": zh, "en": one}, "kind": "apprise", "url": "json://x"} for one, zh in (("sms", "短信"), ("im", "群"))
            ],
            "wordings": wordings,
        }
    )
    return Words(alerting, ZONE)


PLAIN = words()


# The platform's words


@pytest.mark.parametrize(("tier", "said"), [(Tier.BLUE, "蓝色"), (Tier.YELLOW, "黄色"), (Tier.ORANGE, "橙色"), (Tier.RED, "红色")])
def test_a_warning_is_told_with_its_tier_what_where_and_since_when(tier, said):
    told = PLAIN.message(message(tier=tier), "sms", "zh", LINK)
    assert told.title == f"【{said}预警】东岗检查井 液位过高 3.2 m"
    assert told.text == f"【{said}预警】东岗检查井 液位过高 3.2 m（东岗街道），14:05 起。响应：{LINK}"


def test_in_english_too():
    told = PLAIN.message(message(), "sms", "en", LINK)
    assert told.text == f"[Orange warning] Donggang manhole, high level 3.2 m (Donggang), since 14:05. Answer: {LINK}"


def test_since_another_day_is_told_with_the_day():
    assert "5月3日 14:05 起" in PLAIN.message(message(decided_at=BEGAN + timedelta(days=1)), "sms", "zh").text


def test_several_are_told_with_how_many_where_and_which():
    several = message(count=2, lines=(WELL, PUMP), where=((name("东岗街道"), 1), (name("雁南街道"), 1)))
    told = PLAIN.message(several, "sms", "zh")
    assert told.title == "【橙色预警】城关区"
    assert "城关区共 2 条（东岗街道 1 条、雁南街道 1 条），14:05 起：东岗检查井 液位过高 3.2 m（东岗街道）；泵站失联（雁南街道）。" in told.text


def test_a_storm_says_how_many_and_where_and_none_by_itself():
    told = PLAIN.message(STORM, "sms", "zh")
    assert told.text == "【橙色·多点告警】兰州市共 49 条（城关区 37 条、七里河区 12 条），14:05 起。"
    assert "it is calm again" in PLAIN.message(replace(STORM, why=Why.ENDED), "sms", "en").text


@pytest.mark.parametrize(("why", "head"), [(Why.ESCALATED, "升级"), (Why.REPEATED, "再次提醒")])
def test_who_is_called_later_reads_how_long_nobody_has_answered(why, head):
    told = PLAIN.message(message(why=why, step=1, decided_at=BEGAN + timedelta(minutes=75)), "sms", "zh").text
    assert told.startswith(f"【橙色预警·{head}】")
    assert told.endswith("已 1 小时 15 分钟无人响应。")


def test_an_answer_that_ran_out_is_not_told_as_none():
    told = PLAIN.message(message(why=Why.ESCALATED, answered_by=name("李工"), decided_at=BEGAN + timedelta(hours=4)), "sms", "zh").text
    assert "李工的响应已到期" in told
    assert "无人响应" not in told


def test_the_end_says_how_long_it_lasted():
    told = PLAIN.message(message(why=Why.ENDED, decided_at=BEGAN + timedelta(minutes=9)), "sms", "zh", LINK).text
    assert told == f"【橙色预警·解除】东岗检查井 液位过高 3.2 m（东岗街道），已解除，历时 9 分钟。查看：{LINK}"


def test_what_was_not_delivered_says_to_whom_by_which_way_and_why():
    failed = ((name("王工"), "sms", "refused: HTTP 403"), (name("李工"), "im", "timed out"))
    told = PLAIN.message(message(why=Why.UNDELIVERED, failed=failed), "sms", "zh").text
    assert "未能告知王工（短信：被拒绝：HTTP 403）、李工（群：超时），请另行通知。" in told
    assert "橙色预警，东岗检查井" in told


def test_a_reason_that_is_no_trouble_of_a_channel_stays_as_it_is():
    assert trouble_in("zh", "no address for this channel") == "no address for this channel"


@pytest.mark.parametrize(
    ("origin", "zh", "en"),
    [(Origin.EXERCISE, "【演练】", "[EXERCISE]"), (Origin.SIMULATED, "【模拟】", "[SIMULATED]"), (Origin.REPLAYED, "【回放】", "[REPLAYED]")],
)
def test_what_is_not_real_says_so_first_everywhere(origin, zh, en):
    by_city = words({"language": "zh", "title": "{{ what }}", "text": "{{ what }}"}, {"language": "en", "title": "{{ what }}", "text": "{{ what }}"})
    for one in (PLAIN, by_city):
        for language, mark in (("zh", zh), ("en", en)):
            told = one.message(message(origin=origin), "sms", language)
            assert told.title.startswith(mark)
            assert told.text.startswith(mark)
            assert one.digest([message(origin=origin), message()], "sms", language).text.splitlines()[1].startswith(f"1. {mark}")
    assert PLAIN.text(message(origin=origin)).zh.startswith(zh)


def test_what_may_have_come_before_says_so_whatever_a_template_says():
    for one in (PLAIN, words({"language": "zh", "text": "{{ what }}"})):
        assert "（可能重复）" in one.message(message(), "sms", "zh", LINK, again=True).text
        assert "（可能重复）" in one.digest([message(), message()], "sms", "zh", again=True).text
        assert "可能重复" not in one.message(message(), "sms", "zh", LINK).text


ANY = st.builds(
    message,
    why=st.sampled_from(Why),
    tier=st.sampled_from(TIERS),
    origin=st.sampled_from(Origin),
    storm=st.booleans(),
    region=st.builds(name, st.text("区县 xy", min_size=1, max_size=256)),
    count=st.integers(0, 5_000),
    where=st.lists(st.tuples(st.builds(name, st.text("区", min_size=1, max_size=60)), st.integers(1, 999)), max_size=10).map(tuple),
    lines=st.lists(
        st.builds(
            Line, st.sampled_from(TIERS), st.builds(name, st.text("井位 a", min_size=1, max_size=256)), st.none(), st.booleans(), st.just(BEGAN)
        ),
        max_size=5,
    ).map(tuple),
    decided_at=st.integers(0, 10**6).map(lambda seconds: BEGAN + timedelta(seconds=seconds)),
    answered_by=st.none() | st.just(name("李工")),
    failed=st.lists(st.tuples(st.just(name("王工")), st.sampled_from(["sms", "in_app"]), st.text(max_size=200)), max_size=9).map(tuple),
)


@given(ANY, st.sampled_from(["zh", "en"]), st.none() | st.just(LINK), st.booleans())
def test_a_message_is_short_says_how_to_answer_and_fits_the_record(one, language, link, again):
    told = PLAIN.message(one, "sms", language, link, again=again)
    assert len(told.text) <= SHORT
    assert "\n" not in told.text + told.title
    assert told.title.strip()
    assert link is None or told.text.endswith(link)
    noted = PLAIN.text(one)  # a Name is a line of 1 to 256 characters
    assert max(len(noted.zh), len(noted.en)) <= 256


@given(st.lists(ANY, min_size=2, max_size=40), st.sampled_from(["zh", "en"]))
def test_a_digest_tells_the_gravest_first_and_how_many_are_left_out(several, language):
    told = PLAIN.digest(several, "sms", language, LINK)
    lines = told.text.splitlines()
    assert str(len(several)) in lines[0]
    shown = [line for line in lines if line.split(".")[0].isdecimal()]
    assert len(shown) == min(10, len(several))
    assert (str(len(several) - 10) in lines[-2]) if len(several) > 10 else True
    assert lines[-1].endswith(LINK)
    gravest = max(several, key=lambda one: one.tier.gravity).tier
    assert {"zh": {"red": "红色", "orange": "橙色", "yellow": "黄色", "blue": "蓝色"}, "en": {one: one.title() for one in TIERS}}[language][
        gravest
    ] in told.title


def test_a_digest_of_one_is_that_one():
    assert PLAIN.digest([message()], "sms", "zh", LINK) == PLAIN.message(message(), "sms", "zh", LINK)


# The city's templates


def test_a_channel_has_its_own_words_before_those_for_all():
    own = words(
        {"language": "zh", "text": "全部：{{ what }}"},
        {"channel": "sms", "language": "zh", "title": "兰州{{ tier }}", "text": "【兰州市】{{ tier }}预警 {{ what }} {{ link }}"},
    )
    assert own.message(message(), "sms", "zh", LINK).text == f"【兰州市】橙色预警 东岗检查井 液位过高 3.2 m（东岗街道） {LINK}"
    assert own.message(message(), "sms", "zh", LINK).title == "兰州橙色"
    assert own.message(message(), "im", "zh").text == "全部：东岗检查井 液位过高 3.2 m（东岗街道）"
    assert own.message(message(), "sms", "en").text == PLAIN.message(message(), "sms", "en").text


def test_a_digest_uses_the_citys_words_for_each():
    own = words({"language": "zh", "text": "【兰州市】{{ what }}"})
    assert own.digest([message(), message()], "sms", "zh").text.splitlines()[1:] == [
        f"{at}. 【兰州市】东岗检查井 液位过高 3.2 m（东岗街道）" for at in (1, 2)
    ]


def test_a_template_may_use_the_message_and_the_platforms_words():
    own = words({"language": "zh", "text": "{% if message.count > 1 %}{{ lines | join('；') }}{% else %}{{ default }}{% endif %}"})
    assert own.message(message(), "sms", "zh").text == PLAIN.message(message(), "sms", "zh").text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{{ waht }}", "waht"),
        ("{{ what ", "is no template"),
        ("{% if why == 'ended' %}{{ message.nothing.more }}{% endif %}x", "nothing"),
        ("{% if why == 'opened' %}{{ what }}{% endif %}", "gives no text"),
        ("{{ ''.__class__.__mro__ }}", "wordings.0.text"),
    ],
)
def test_a_template_that_does_not_render_for_every_reason_is_refused(text, says):
    with pytest.raises(Misconfigured, match=says) as told:
        words({"channel": "sms", "language": "zh", "text": text})
    assert "wordings.0.text (sms, zh)" in str(told.value)


def test_one_that_fails_later_gives_way_to_the_platforms_words():
    own = words({"language": "zh", "text": "{% if count == 7 %}{{ 1 // 0 }}{% endif %}{{ what }}"})
    assert own.message(message(count=7), "sms", "zh").text == PLAIN.message(message(count=7), "sms", "zh").text


# The platform itself


@pytest.mark.parametrize(("cause", "says"), [(Cause.BLIND, "数据库没有应答"), (Cause.SILENT, "停止运转"), (Cause.STUCK, "告警服务没有按时处理")])
def test_a_silent_platform_is_told_with_since_when_and_what_it_is(cause, says):
    city = name("兰州市", "Lanzhou")
    told = outage(city, cause, BEGAN, BEGAN + timedelta(minutes=1), ZONE, "zh")
    assert told.title == "【平台告警】兰州市"
    assert "自 14:05 起" in told.text
    assert says in told.text
    assert "Lanzhou" in outage(city, cause, BEGAN, BEGAN, ZONE, "en").text
    assert outage(city, cause, BEGAN, BEGAN, ZONE, "zh", again=True).text.endswith("（可能重复）")


def test_one_that_works_again_is_told_with_how_long_it_was_away():
    told = outage(name("兰州市", "Lanzhou"), None, BEGAN, BEGAN + timedelta(minutes=65), ZONE, "zh")
    assert (told.title, told.text) == ("【平台恢复】兰州市", "【平台恢复】兰州市统管平台已恢复运转，14:05 起中断 1 小时 5 分钟。")
