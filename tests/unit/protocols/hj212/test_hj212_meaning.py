"""What packets mean: kinds and values, joined messages, answers and requests, the device's side."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.hj212 import (
    EDITION_2005,
    EDITION_2017,
    EDITIONS,
    Answer,
    Assembler,
    BadField,
    Edition,
    ExeRtn,
    Flag,
    Incomplete,
    Kind,
    Lack,
    Mark,
    Packet,
    Part,
    QnRtn,
    Reading,
    Station,
    Unencodable,
    Upload,
    ValueFault,
    answer_of,
    data_answer,
    decode,
    decode_data,
    encode,
    execute_answer,
    kind_of,
    notice_answer,
    read_clock,
    read_minute_interval,
    read_real_time_interval,
    request_answer,
    set_clock,
    set_minute_interval,
    set_real_time_interval,
    split,
    time_of,
    upload_of,
    upload_packets,
)

ZONE = ZoneInfo("Asia/Shanghai")
AT = datetime(2026, 4, 1, 8, 0, 3, 250_999, tzinfo=ZONE)
STATION = Station(mn="010000A8900016F000169DC0", st="39", pw="123456")


def packet(cp: str, cn: str = "2011", **changed: object) -> Packet:
    return replace(decode_data(f"QN=20260401080003000;ST=39;CN={cn};PW=1;MN=M;Flag=5;CP=&&{cp}&&".encode()), **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cn", "kind", "length"),
    [("2011", Kind.REAL_TIME, 0), ("2051", Kind.MINUTE, 300), ("2061", Kind.HOUR, 3600), ("2031", Kind.DAY, 86400)],
)
def test_data_time_is_the_instant_or_the_start_of_the_period(cn: str, kind: Kind, length: int) -> None:
    upload = upload_of(packet("DataTime=20260401080000;a34002-Avg=1", cn), ZONE)
    assert (upload.kind, upload.at.isoformat()) == (kind, "2026-04-01T08:00:00+08:00")
    assert upload.end(minute_interval=timedelta(minutes=5)) - upload.at == timedelta(seconds=length)


def test_minute_values_are_of_ten_minutes_unless_the_device_is_set_otherwise() -> None:
    upload = upload_of(packet("DataTime=20260401080000", "2051"), ZONE)
    assert upload.end() - upload.at == timedelta(minutes=10)


def test_a_codes_fields_are_read_by_name_whatever_their_items() -> None:
    upload = upload_of(
        packet(
            "DataTime=20260401080000;PolId=x;a-Min=-1.50,a-Avg=2,a-ZsAvg=2.1;011-Rtd=231.0;"
            "a-Max=+3,a-Cou=0.000,a-Rtd=7,a-SampleTime=20260401075500,a-Flag=T;Flag=N"
        ),
        ZONE,
    )
    assert upload.others == (("PolId", "x"), ("Flag", "N"))
    assert upload.problems == ()
    assert upload.readings == (
        Reading(
            code="a",
            rtd=Decimal(7),
            min=Decimal("-1.50"),
            avg=Decimal(2),
            max=Decimal(3),
            cou=Decimal(0),
            flag="T",
            sample_time=datetime(2026, 4, 1, 7, 55, tzinfo=ZONE),
            others=(("ZsAvg", "2.1"),),
        ),
        Reading(code="011", rtd=Decimal(231)),
    )


@pytest.mark.parametrize("letter", "NFMSDCTB")
def test_every_flag_letter_of_2017_has_its_meaning(letter: str) -> None:
    (reading,) = upload_of(packet(f"DataTime=20260401080000;a-Rtd=1,a-Flag={letter}"), ZONE).readings
    assert reading.mark == Mark(letter)


@pytest.mark.parametrize("letter", ["P", "n", "0", ""])
def test_a_letter_of_others_is_kept_without_meaning(letter: str) -> None:
    (reading,) = upload_of(packet(f"DataTime=20260401080000;a-Rtd=1,a-Flag={letter}"), ZONE).readings
    assert (reading.flag or "", reading.mark) == (letter, None)


@pytest.mark.parametrize("text", ["", "--", "NaN", "inf", "1e5", "0x1F", "1_0", "1 0", "１", ".5", "5.", "1.2.3", "9" * 33])
def test_what_is_no_number_is_a_problem_of_that_value_only(text: str) -> None:
    upload = upload_of(packet(f"DataTime=20260401080000;a-Rtd={text},a-Flag=N;b-Rtd=1"), ZONE)
    assert upload.readings == (Reading(code="a", flag="N"), Reading(code="b", rtd=Decimal(1)))
    assert [(problem.code, problem.field, problem.text, problem.fault) for problem in upload.problems] == [("a", "Rtd", text, ValueFault.NO_NUMBER)]


def test_a_value_given_twice_and_a_time_that_is_none_are_problems() -> None:
    upload = upload_of(packet("DataTime=20260401080000;a-Rtd=1,a-Rtd=2,a-SampleTime=2026;b-Rtd=3,b-SampleTime="), ZONE)
    assert [reading.rtd for reading in upload.readings] == [Decimal(1), Decimal(3)]
    assert [(problem.code, problem.fault) for problem in upload.problems] == [("a", ValueFault.TWICE), ("a", ValueFault.NO_TIME)]


@pytest.mark.parametrize("time", ["", "DataTime=", "DataTime=20260230000000", "DataTime=20260401080000000", "DataTime=2026040108000x"])
def test_an_upload_without_a_time_is_refused(time: str) -> None:
    with pytest.raises(BadField, match="DataTime"):
        upload_of(packet(f"{time};a-Rtd=1"), ZONE)


def test_an_upload_of_two_times_is_refused() -> None:
    with pytest.raises(BadField, match="given twice"):
        upload_of(packet("DataTime=20260401080000;a-Rtd=1;DataTime=20260401081000;b-Rtd=1"), ZONE)


@pytest.mark.parametrize("text", ["00010101000000", "19691231235959", "99990101000000"])
def test_times_that_have_none_in_utc_everywhere_are_no_times(text: str) -> None:
    assert time_of(text, ZONE) is None


def test_kinds_are_told_by_command_and_a_platform_may_know_others() -> None:
    known = {"2081": Kind.BOOT, "3020": Kind.SITE_INFO, "9015": Kind.HEARTBEAT, "9021": Kind.LOGIN, "9014": Kind.DATA_ANSWER, "2099": Kind.UNKNOWN}
    assert {cn: kind_of(packet("", cn)) for cn in known} == known
    assert kind_of(packet("", "8888"), kinds={"8888": Kind.HEARTBEAT}) is Kind.HEARTBEAT
    with pytest.raises(BadField, match="2081 carries no values"):
        upload_of(packet("DataTime=20260401080000;RestartTime=20260401075900", "2081"), ZONE)


PARTS = [
    packet(f"DataTime=20260401080000;{code}-Rtd={code_at}", part=Part(code_at, 3), flag=Flag(EDITION_2017, numbered=True))
    for code_at, code in enumerate("abc", 1)
]
WHOLE = packet("DataTime=20260401080000;a-Rtd=1;b-Rtd=2;c-Rtd=3", flag=Flag(EDITION_2017))


@given(order=st.permutations([*PARTS, *PARTS]))
@settings(max_examples=30)
def test_parts_are_joined_once_in_any_order_with_duplicates(order: list[Packet]) -> None:
    assembler = Assembler()
    assert [given for part in order for given in assembler.add(part, now=0.0)] == [WHOLE]
    assert (assembler.waiting, assembler.size, assembler.close()) == (0, 0, [])


def test_a_packet_of_one_part_passes() -> None:
    single = packet("a-Rtd=1", part=Part(1, 1))
    assert Assembler().add(single, now=0.0) == [single]
    assert Assembler().add(WHOLE, now=0.0) == [WHOLE]


def test_a_message_that_lacks_a_part_is_given_up_after_its_latest_part() -> None:
    assembler = Assembler(timeout=60)
    assembler.add(PARTS[2], now=10.0)
    assembler.add(PARTS[0], now=60.0)
    assert assembler.expire(now=119.9) == []
    lost, _ = assembler.add(packet("", qn="other"), now=120.0)
    assert isinstance(lost, Incomplete)
    assert (lost.lack, lost.total, lost.parts, lost.missing) == (Lack.TIMED_OUT, 3, (PARTS[0], PARTS[2]), (2,))
    assert (assembler.waiting, assembler.size) == (0, 0)


def test_a_part_that_contradicts_begins_the_message_anew() -> None:
    assembler = Assembler()
    assembler.add(PARTS[0], now=0.0)
    other_text = replace(PARTS[0], items=((("DataTime", "20260401081000"),),))
    other_total = replace(PARTS[1], part=Part(2, 4))
    for changed in (other_text, other_total):
        assert [given.lack for given in assembler.add(changed, now=1.0) if isinstance(given, Incomplete)] == [Lack.SUPERSEDED]
    assert assembler.close()[0].parts == (other_total,)


def test_a_device_without_qn_may_send_the_next_message_at_once() -> None:
    assembler = Assembler()
    first = [replace(part, qn="") for part in PARTS]
    second = [replace(part, items=((("DataTime", "20260401081000"),), *part.items[1:])) for part in first]
    given = [given for part in [*first, *second] for given in assembler.add(part, now=0.0)]
    assert [joined.value("DataTime") for joined in given if isinstance(joined, Packet)] == ["20260401080000", "20260401081000"]


def test_messages_of_devices_and_commands_do_not_mix() -> None:
    assembler = Assembler()
    for changed in ({}, {"mn": "N"}, {"cn": "2051"}, {"qn": "1"}):
        assert assembler.add(replace(PARTS[0], **changed), now=0.0) == []
    assert assembler.waiting == 4


def test_what_waits_is_bounded_in_count_and_bytes() -> None:
    assembler = Assembler(max_messages=3, max_bytes=10_000)
    given = []
    for number in range(50):
        given += assembler.add(replace(PARTS[0], qn=str(number)), now=0.0)
        assert assembler.waiting <= 3
    assert [item.lack for item in given if isinstance(item, Incomplete)] == [Lack.CROWDED] * 47
    for number in range(1, 200):
        assembler.add(packet("", part=Part(number, 9999)), now=0.0)
        assert assembler.size <= 10_000
    assert {item.lack for item in assembler.close()} == {Lack.CLOSED}
    assert (assembler.waiting, assembler.size) == (0, 0)


def test_answers_of_2017_carry_the_qn_of_the_answered() -> None:
    head = b"QN=20260401080003000;ST=91;CN=%s;PW=1;MN=M;Flag=4;CP=&&%s&&"
    assert head % (b"9014", b"") in encode(data_answer(WHOLE))
    assert head % (b"9013", b"") in encode(notice_answer(WHOLE))
    assert head % (b"9011", b"QnRtn=9") in encode(request_answer(WHOLE, QnRtn.BAD_CRC))
    assert head % (b"9012", b"ExeRtn=1") in encode(execute_answer(WHOLE))


def test_answers_of_2005_quote_the_answered_in_cp() -> None:
    old = replace(WHOLE, flag=Flag(EDITION_2005, answer=True), cn="2051")
    assert b"ST=91;CN=9014;PW=1;MN=M;Flag=0;CP=&&QN=20260401080003000;CN=2051&&" in encode(data_answer(old))
    assert b"CN=9013;PW=1;MN=M;Flag=0;CP=&&QN=20260401080003000&&" in encode(notice_answer(old))
    assert b"CP=&&QN=20260401080003000;QnRtn=1&&" in encode(request_answer(old))
    assert b"CP=&&CN=2051&&" in encode(data_answer(replace(old, qn="", flag=None)))


@pytest.mark.parametrize("edition", EDITIONS.values())
def test_an_answer_is_read_as_it_was_meant(edition: Edition) -> None:
    asked = replace(WHOLE, flag=Flag(edition, answer=True))
    assert answer_of(decode(encode(request_answer(asked, QnRtn.OTHER)))) == Answer(Kind.REQUEST_ANSWER, asked.qn, 100)
    assert answer_of(decode(encode(execute_answer(asked, ExeRtn.BUSY)))) == Answer(Kind.RESULT, asked.qn, 5)
    assert answer_of(decode(encode(data_answer(asked)))) == Answer(Kind.DATA_ANSWER, asked.qn, None)


def test_an_answer_with_a_code_that_is_none_is_still_an_answer() -> None:
    assert answer_of(packet("QnRtn=ok", "9011")).code is None
    with pytest.raises(BadField):
        answer_of(WHOLE)


@pytest.mark.parametrize(
    ("asked", "cn", "cp"),
    [
        (read_clock(STATION, at=AT), "1011", ""),
        (set_clock(STATION, at=AT), "1012", "SystemTime=20260401080003"),
        (read_real_time_interval(STATION, at=AT), "1061", ""),
        (set_real_time_interval(STATION, seconds=30, at=AT), "1062", "RtdInterval=30"),
        (read_minute_interval(STATION, at=AT), "1063", ""),
        (set_minute_interval(STATION, minutes=10, at=AT), "1064", "MinInterval=10"),
    ],
)
def test_requests_carry_a_qn_of_their_time_and_want_an_answer(asked: Packet, cn: str, cp: str) -> None:
    written = f"QN=20260401080003250;ST=39;CN={cn};PW=123456;MN=010000A8900016F000169DC0;Flag=5;CP=&&{cp}&&"
    assert written.encode() in encode(asked)


NUMBERS = st.none() | st.decimals(min_value=-99999, max_value=99999, places=3, allow_nan=False)
READINGS = st.builds(
    Reading,
    code=st.from_regex(r"[aw][0-9]{5}", fullmatch=True),
    rtd=st.decimals(min_value=0, max_value=99999, places=3),
    min=NUMBERS,
    avg=NUMBERS,
    flag=st.sampled_from(["N", "D", None]),
    sample_time=st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)).map(lambda time: time.replace(microsecond=0, tzinfo=ZONE)),  # noqa: DTZ001 a zone is set
    others=st.sampled_from([(), (("ZsRtd", "数"),)]),
)
UPLOADS = st.builds(
    Upload,
    kind=st.sampled_from([Kind.REAL_TIME, Kind.MINUTE, Kind.HOUR, Kind.DAY]),
    at=st.just(datetime(2026, 4, 1, 8, tzinfo=ZONE)),
    readings=st.lists(READINGS, max_size=40, unique_by=lambda reading: reading.code).map(tuple),
    others=st.sampled_from([(), (("PolId", "x"),)]),
)


@settings(max_examples=40)
@given(upload=UPLOADS, edition=st.sampled_from([*EDITIONS.values()]), backwards=st.booleans())
def test_an_upload_of_any_size_is_split_sent_joined_and_read_as_it_was(upload: Upload, edition: Edition, backwards: bool) -> None:  # noqa: FBT001
    packets = upload_packets(replace(STATION, edition=edition), upload, at=AT)
    frames = [encode(part) for part in packets]
    assert all(len(frame[frame.index(b"CP=") : -6]) <= packets[0].edition.max_cp for frame in frames)
    assembler = Assembler()
    given = [joined for frame in (reversed(frames) if backwards else frames) for joined in assembler.add(decode(frame), now=0.0)]
    assert [upload_of(joined, ZONE) for joined in given if isinstance(joined, Packet)] == [upload]


def test_a_short_upload_is_one_packet_without_numbers() -> None:
    upload = Upload(kind=Kind.REAL_TIME, at=datetime(2026, 4, 1, tzinfo=UTC), readings=(Reading(code="a34001", rtd=Decimal("0.1230"), flag="N"),))
    (sent,) = upload_packets(STATION, upload, at=AT, answer=False)
    assert b"Flag=4;CP=&&DataTime=20260401000000;a34001-Rtd=0.1230,a34001-Flag=N&&" in encode(sent)


@pytest.mark.parametrize(
    "pairs", [[("a", "x" * 1000)], [("b", "1"), ("a", "x" * 945)], [("DataTime", "20260401080000"), ("b", "1"), ("a", "x" * 930)]]
)
def test_what_fits_into_no_packet_is_not_split(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(Unencodable, match="does not fit"):
        split(replace(WHOLE, items=tuple((pair,) for pair in pairs)))


@pytest.mark.parametrize("edition", EDITIONS.values())
def test_a_packet_is_split_only_where_cp_would_exceed_its_editions_bound(edition: Edition) -> None:
    short = Packet(cn="2011", mn="M", flag=Flag(edition), items=((("b", "1"),),))
    fits = replace(short, items=(*short.items, (("a", "x" * (edition.max_cp - len("CP=&&b=1;a=&&"))),)))
    assert split(fits) == [fits]
    one_more = replace(short, items=(*fits.items, (("c", ""),)))
    assert [part.part for part in split(one_more)] == [Part(1, 2), Part(2, 2)]
