"""Every kind of channel against a server that speaks as its service does: what is taken, what is tried again, what never will be."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import tests.takers
from schemas.alerting import Alerting
from services.alerts.channels import Again, Never, Receipt, Sender, Sending, Taken, senders
from services.alerts.channels.answers import ROBOTS as ROBOTS_SAY
from services.alerts.channels.answers import Answer
from services.alerts.channels.sender import LONGEST_REASON, Scrub
from services.alerts.contacts import Contacts
from services.kit.errors import Misconfigured
from tests.lanes import free_plan
from tests.takers import Fault, Takers

SIGNED = "SECdeadbeef"
TOKEN = "t0kent0ken"
PHONE = "13812345678"
MAILBOX = "wang@example.org"

SMS = {
    "method": "POST",
    "url": "http://127.0.0.1:1/sms",
    "headers": {"Authorization": "Bearer {{ secret.token }}"},
    "json_body": {"to": "{{ address }}", "text": "{{ text }}", "key": "{{ key }}"},
    "answered": {"path": ["code"], "equals": ["OK"]},
    "key": True,
}
SENDING = Sending(key="key-1", address="", name="王工", language="zh", title="【红色预警】", text="液位过高 & “危险” {{ 1 }}\n第二行")
ROBOTS = ("dingtalk", "wecom", "feishu")
ADDRESSED = ("sms", "webhook", "ntfy", "mail")
ADDRESSES = {"sms": PHONE, "webhook": "desk", "ntfy": "topic1", "mail": MAILBOX}
EVERY = (*ROBOTS, *ADDRESSED)


@pytest.fixture(scope="module")
def takers() -> Iterator[Takers]:
    with Takers(dingtalk_secret=SIGNED) as started:
        yield started


@pytest.fixture(autouse=True)
def fresh(takers: Takers) -> None:
    takers.clear()


def described(takers: Takers, **changed: Any) -> dict[str, dict[str, Any]]:
    """Return all channels as `alerting.yaml` would have them, each with what is changed."""
    host = takers.url.removeprefix("http://")
    own = {
        "dingtalk": {"url": "dingtalk://{{ secret.sign }}@{{ secret.token }}", "endpoint": takers.url, "group": True},
        "wecom": {"url": "wecombot://{{ secret.token }}", "endpoint": takers.url, "group": True},
        "feishu": {"url": "feishu://{{ secret.token }}", "endpoint": takers.url, "group": True},
        "ntfy": {"url": f"ntfy://{host}/{{{{ address }}}}?mode=private&image=no"},
        "webhook": {"url": f"json://{host}/hook/{{{{ address }}}}"},
        "mail": {"url": f"mailto://127.0.0.1:{takers.smtp_port}?mode=insecure&from=tongguan@example.org&to={{{{ address }}}}"},
        "sms": {"kind": "http", "request": SMS, "endpoint": takers.url},
    }
    return {id_: {"id": id_, "name": {"zh": id_, "en": id_}, "kind": "apprise", "timeout": 5, **one, **changed} for id_, one in own.items()}


def made(*channels: dict[str, Any], secret: dict[str, str] | None = None) -> dict[str, Sender]:
    given = {"sign": SIGNED, "token": TOKEN} if secret is None else secret
    alerting = Alerting.model_validate(
        {
            "routes": {"id": "root", "group_by": ["warning"], "wait": 0, "interval": 60, "escalation": "all"},
            "escalations": [{"id": "all", "plans": {"red": {"steps": [{"after": 0, "tell": [{"screen": "city"}]}]}}}],
            "channels": channels,
        }
    )
    return senders(alerting, Contacts.model_validate({"channels": {one["id"]: {"secret": given} for one in channels}}))


async def send(takers: Takers, channel: str, sending: Sending = SENDING, **changed: Any) -> Receipt:
    (sender,) = made(described(takers, **changed)[channel]).values()
    return await sender.send(replace(sending, address=sending.address or ADDRESSES.get(channel, "")))


# What is taken


@pytest.mark.parametrize("channel", ROBOTS)
async def test_a_robot_takes_the_text_as_it_is(takers, channel):
    assert await send(takers, channel) == Taken()
    (taken,) = takers.taken
    assert (taken.channel, taken.address, taken.text, takers.strange) == (channel, TOKEN, SENDING.text, [])


@pytest.mark.parametrize("channel", ["webhook", "ntfy", "mail"])
async def test_what_has_a_title_takes_both(takers, channel):
    assert await send(takers, channel) == Taken()
    (taken,) = takers.taken
    assert (taken.channel, taken.address, taken.title) == (channel, ADDRESSES[channel], SENDING.title)
    assert taken.text.splitlines() == SENDING.text.splitlines()


async def test_an_sms_is_sent_once_however_often_it_comes(takers):
    (sender,) = made(described(takers)["sms"]).values()
    assert sender.idempotent
    for _ in range(2):
        assert await sender.send(replace(SENDING, address=PHONE)) == Taken()
    (taken,) = takers.taken
    assert (taken.address, taken.key, taken.text) == (PHONE, SENDING.key, SENDING.text)


async def test_a_gateway_that_takes_forms_gets_one(takers):
    request = {**SMS, "form": SMS["json_body"], "json_body": None}
    channel = described(takers)["sms"] | {"request": {name: value for name, value in request.items() if value is not None}}
    (sender,) = made(channel).values()
    assert await sender.send(replace(SENDING, address=PHONE)) == Taken()
    assert [one.text for one in takers.taken] == [SENDING.text]


async def test_a_webhook_is_told_the_key_by_which_it_knows_a_repetition(takers):
    await send(takers, "webhook")
    assert [one.key for one in takers.taken] == [SENDING.key]


@pytest.mark.parametrize("channel", EVERY)
async def test_a_text_that_is_too_long_is_cut_and_sent_once(takers, channel):
    assert await send(takers, channel, replace(SENDING, text="液位过高。" * 4_000)) == Taken()
    (taken,) = takers.taken
    whole = channel == "sms"
    assert taken.text.endswith("。" if whole else "…")
    assert taken.text.startswith("液位过高。液位过高。")
    assert takers.strange == []


# What is not


@pytest.mark.parametrize("channel", EVERY)
async def test_a_failing_service_is_tried_again(takers, channel):
    takers.faults[channel] = Fault.FAIL
    receipt = await send(takers, channel)
    assert isinstance(receipt, Again)
    assert receipt.reason.startswith("failing: ")
    assert not receipt.maybe


@pytest.mark.parametrize("channel", EVERY)
async def test_one_that_throttles_is_left_alone_for_a_while(takers, channel):
    takers.faults[channel] = Fault.THROTTLE
    receipt = await send(takers, channel)
    assert isinstance(receipt, Again)
    if channel == "mail":
        assert receipt.reason.startswith("failing: SMTP 421")
    else:
        assert receipt.reason.startswith("throttled: ")
        assert receipt.after_s == {"dingtalk": 60, "wecom": 60, "feishu": 10, "sms": 7, "webhook": 7, "ntfy": None}[channel]


@pytest.mark.parametrize("channel", [*ROBOTS, "mail"])
async def test_one_that_says_200_and_refuses_for_good_is_seen_through(takers, channel):
    takers.faults[channel] = Fault.LIE
    receipt = await send(takers, channel)
    assert isinstance(receipt, Never)
    assert receipt.reason.startswith("refused: ")


@pytest.mark.parametrize("channel", ["sms", "ntfy"])
async def test_one_that_says_200_and_not_yes_has_not_taken_it(takers, channel):
    takers.faults[channel] = Fault.LIE
    assert isinstance(await send(takers, channel), Again)


@pytest.mark.parametrize("channel", [*ROBOTS, "sms", "ntfy"])
async def test_an_empty_answer_is_no_yes(takers, channel):
    takers.faults[channel] = Fault.EMPTY
    assert isinstance(await send(takers, channel), Again)


@pytest.mark.parametrize("channel", EVERY)
async def test_a_refusal_is_final(takers, channel):
    takers.faults[channel] = Fault.REFUSE
    assert isinstance(await send(takers, channel), Never)


@pytest.mark.parametrize("channel", EVERY)
async def test_what_may_have_been_taken_says_so(takers, channel):
    takers.faults[channel] = Fault.DROP
    receipt = await send(takers, channel)
    assert isinstance(receipt, Again)
    assert receipt.maybe
    assert len(takers.taken) == 1


@pytest.mark.parametrize("channel", EVERY)
async def test_one_that_hangs_is_given_up(takers, channel):
    takers.faults[channel] = Fault.HANG
    receipt = await send(takers, channel, timeout=0.2)
    assert isinstance(receipt, Again)
    assert receipt.reason == "timed out"


async def test_one_that_is_not_there_has_taken_nothing(takers):
    nowhere = f"http://127.0.0.1:{free_plan().base}"
    for channel, changed in (("dingtalk", {"endpoint": nowhere}), ("sms", {"endpoint": nowhere})):
        assert await send(takers, channel, **changed) == Again("unreachable")
    mail = described(takers)["mail"]
    mail["url"] = mail["url"].replace(str(takers.smtp_port), str(free_plan().base))
    (sender,) = made(mail).values()
    assert await sender.send(replace(SENDING, address=MAILBOX)) == Again("unreachable")


async def test_one_channel_that_hangs_keeps_no_other_waiting(takers):
    takers.faults["dingtalk"] = Fault.HANG
    every = described(takers, timeout=1)
    both = made(every["dingtalk"], every["wecom"])
    stuck = [asyncio.create_task(both["dingtalk"].send(SENDING)) for _ in range(12)]
    assert await asyncio.gather(*(both["wecom"].send(SENDING) for _ in range(8))) == [Taken()] * 8
    assert not any(task.done() for task in stuck)
    receipts = await asyncio.gather(*stuck)
    assert {one.reason for one in receipts if isinstance(one, Again)} == {"timed out", "busy"}


@pytest.mark.parametrize("channel", [*ROBOTS, "sms", "webhook", "ntfy"])
async def test_a_redirect_is_not_followed_to_somewhere_else(takers, channel):
    takers.faults[channel] = Fault.REDIRECT
    assert await send(takers, channel, replace(SENDING, text="to be redirected")) == Never("refused: HTTP 307")
    assert not any("to be redirected" in one.text for one in takers.taken)  # a thread of another test may come late with its own


# Secrets


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("channel", EVERY)
async def test_neither_address_nor_secret_stands_in_a_reason_or_in_the_log(takers, channel, fault, caplog):
    caplog.set_level(logging.DEBUG)
    takers.faults[channel] = fault
    receipt = await send(takers, channel, timeout=0.15 if fault is Fault.HANG else 5)
    for secret in (TOKEN, SIGNED, PHONE, MAILBOX):
        assert secret not in repr(receipt)
        assert secret not in caplog.text


async def test_what_the_service_says_of_an_address_is_scrubbed(takers):
    takers.faults["mail"] = Fault.LIE
    receipt = await send(takers, "mail")
    assert isinstance(receipt, Never)
    assert receipt.reason == "refused: SMTP 550 <***>: no such user"


@pytest.mark.parametrize("before", [0, 60, 90, 119, 170, 190])
@pytest.mark.parametrize("name", sorted(ROBOTS_SAY))
def test_no_part_of_a_secret_that_a_service_echoes_survives_where_its_words_are_cut(name, before):
    secret = "0123456789abcdef" * 4
    told = {ROBOTS_SAY[name].code: 310_000, ROBOTS_SAY[name].message: "e" * before + secret}
    receipt = ROBOTS_SAY[name].receipt(Answer(200, {}, json.dumps(told).encode()), Scrub({"token": secret}), "")
    assert not isinstance(receipt, Taken)
    assert "01234" not in receipt.reason
    assert len(receipt.reason) <= LONGEST_REASON


@pytest.mark.parametrize("before", [0, 50, 70, 79, 170])
async def test_nor_where_those_of_a_gateway_are(takers, before, monkeypatch: pytest.MonkeyPatch):
    secret = "0123456789abcdef" * 4
    (sender,) = made(described(takers)["sms"], secret={"token": secret}).values()
    monkeypatch.setitem(tests.takers._LIES, "sms", tests.takers._Reply(200, {"code": "e" * before + secret + PHONE}))
    takers.faults["sms"] = Fault.LIE
    receipt = await sender.send(replace(SENDING, address=PHONE))
    assert not isinstance(receipt, Taken)
    assert receipt.reason.startswith("refused: HTTP 200 code=")
    assert "01234" not in receipt.reason
    assert "1381" not in receipt.reason


# What cannot be used is told at the start


@pytest.mark.parametrize(
    ("channel", "changed", "says"),
    [
        ("dingtalk", {"url": "dingtalk://{{ secret.tokken }}"}, "tokken"),
        ("dingtalk", {"url": "dingtalk://{{ secret.token "}, "is no template"),
        ("dingtalk", {"url": "nothing://{{ secret.token }}"}, "Apprise cannot use it"),
        ("mail", {"endpoint": "http://127.0.0.1:1"}, "endpoint"),
        ("sms", {"request": {**SMS, "json_body": {"to": "{{ adress }}", "key": "{{ key }}"}}}, "adress"),
        ("sms", {"request": {**SMS, "json_body": {"to": "{{ address }}"}}}, "no template sends `key`"),
        ("sms", {"request": {**SMS, "form": {"to": "1"}}}, "one of `json_body` and `form`"),
    ],
)
def test_a_template_that_cannot_be_used_is_told_with_its_place(takers, channel, changed, says):
    with pytest.raises(Misconfigured, match=says) as told:
        made(described(takers)[channel] | changed)
    assert channel in str(told.value)
    assert TOKEN not in str(told.value)


async def test_an_address_that_gives_no_url_is_never_reached(takers):
    address = "no address"
    (sender,) = made(described(takers)["mail"]).values()
    assert await sender.send(replace(SENDING, address=address)) == Never("unusable address")
    assert takers.taken == []


async def test_values_in_a_url_are_quoted(takers):
    await send(takers, "webhook", replace(SENDING, address="a/b?c=d&e#f"))
    assert [one.address for one in takers.taken] == ["a/b?c=d&e#f"]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "12"}, 12),
        ({"retry-after": "Thu, 01 Jan 2026 00:01:00 GMT", "date": "Thu, 01 Jan 2026 00:00:00 GMT"}, 60),
        ({"retry-after": "Thu, 01 Jan 2026 00:01:00 GMT"}, None),
        ({"retry-after": "soon", "date": "Thu, 01 Jan 2026 00:00:00 GMT"}, None),
        ({"retry-after": "99999999"}, 3_600),
        ({}, None),
    ],
)
def test_a_service_may_say_how_long_to_wait(headers, seconds):
    assert Answer(429, headers, b"").retry_after_s() == seconds
