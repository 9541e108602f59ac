"""Data parts into packets and back; editions; the example of the docs."""

from __future__ import annotations

import doctest
from contextlib import suppress
from dataclasses import replace
from datetime import UTC

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import protocols.hj212
from protocols.hj212 import (
    EDITION_2005,
    EDITION_2017,
    EDITION_2025,
    EDITIONS,
    BadField,
    BadText,
    Edition,
    Flag,
    Packet,
    PacketError,
    Part,
    ProtocolError,
    Unencodable,
    UnknownEdition,
    decode,
    decode_data,
    encode,
    framed,
    upload_of,
)

DATA = b"QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;CP=&&RtdInterval=30&&"
UPLOAD = b"CN=2011;MN=M;Flag=7;PNUM=2;PNO=1;CP=&&DataTime=20260401080000;a34001-Rtd=1.5,a34001-SampleTime=20260401080000,a34001-Flag=N&&"
PACKET = Packet(
    qn="20160801085857223",
    st="32",
    cn="1062",
    pw="100000",
    mn="010000A8900016F000169DC0",
    flag=Flag(EDITION_2017, answer=True),
    items=((("RtdInterval", "30"),),),
)


def test_the_example_of_the_docs_runs() -> None:
    result = doctest.testmod(protocols.hj212)
    assert result.attempted > 5
    assert result.failed == 0


def test_the_standards_example_is_read_and_written() -> None:
    assert decode(b"##0101" + DATA + b"1c80\r\n") == PACKET
    assert encode(PACKET) == b"##0101" + DATA + b"1C80\r\n"


def test_a_password_stays_out_of_logs() -> None:
    assert "100000" not in repr(PACKET)


def test_items_keep_their_groups_and_order() -> None:
    packet = decode_data(b"CN=2011;MN=M;CP=&&DataTime=20260401080000; b-Rtd=1 , b-Flag=N;;a-Rtd=x=y,;&&")
    assert packet.items == ((("DataTime", "20260401080000"),), (("b-Rtd", "1"), ("b-Flag", "N")), (("a-Rtd", "x=y"),))
    assert packet.value("b-Flag") == "N"
    assert packet.value("c-Flag") is None


def test_a_device_of_2005_may_send_neither_qn_nor_flag() -> None:
    packet = decode_data(b"ST=32;CN=2011;PW=123456;MN=LD130133000015;CP=&&DataTime=20160824003817;B01-Rtd=36.91;011-Rtd=231.0,011-Flag=N&&")
    assert (packet.qn, packet.flag, packet.edition, packet.answer_wanted) == ("", None, EDITION_2005, False)


@pytest.mark.parametrize(
    ("number", "flag"),
    [
        (0, Flag(EDITION_2005)),
        (3, Flag(EDITION_2005, numbered=True, answer=True)),
        (4, Flag(EDITION_2017)),
        (5, Flag(EDITION_2017, answer=True)),
        (6, Flag(EDITION_2017, numbered=True)),
        (9, Flag(EDITION_2025, answer=True)),
    ],
)
def test_a_flag_tells_edition_numbering_and_answer(number: int, flag: Flag) -> None:
    packet = decode_data(b"CN=2011;MN=M;Flag=%d;CP=&&&&" % number)
    assert packet.flag == flag
    assert packet.part is None
    assert b";Flag=%d;" % number in encode(packet)


def test_text_is_that_of_the_edition_or_of_the_device() -> None:
    head = b"CN=3020;MN=M;Flag=%d;CP=&&Info="
    assert decode_data(head % 5 + "你好".encode() + b"&&").value("Info") == "你好"
    assert decode_data(head % 1 + "你好".encode("gbk") + b"&&").value("Info") == "你好"
    assert decode_data(head % 1 + "你好".encode() + b"&&", encoding="utf-8").value("Info") == "你好"
    with pytest.raises(BadText, match="CP"):
        decode_data(head % 5 + "你好".encode("gbk") + b"&&")


def test_a_new_edition_is_data() -> None:
    newer = Edition(name="HJ 212-2031", version=3, encoding="utf-8", max_cp=950, quotes_request=False)
    data = b"CN=2011;MN=M;Flag=13;CP=&&&&"
    assert decode_data(data, editions={**EDITIONS, 3: newer}).edition == newer
    with pytest.raises(UnknownEdition, match="000011"):
        decode_data(data)


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"", "CP"),
        (b"CN=2011;MN=M;CP=&&", "CP"),
        (b"CN=2011;MN=M;CP=&&a=1&", "CP"),
        (b"CN=2011;MN=M;CP=a=1", "CP"),
        (b"CN=2011;MN=M;CP=&&a=1&&;X=1&&", "CP"),
        (b"CN=2011;MN=M;CP=&&DataTime=20260401080000;nonsense&&", "CP item 2"),
        (b"CN=2011;MN=M;CP=&&=1&&", "CP item 1"),
        (b"CN=2011;MN=M;CP=&&a=\x00&&", "CP"),
        (b"CN=2011;Flag=5;CP=&&&&", "MN"),
        (b"MN=M;CP=&&&&", "CN"),
        (b"CN=;MN=M;CP=&&&&", "CN"),
        (b"CN=2011;CN=2051;MN=M;CP=&&&&", "CN"),
        (b"CN=2011;rubbish;MN=M;CP=&&&&", "head field 2"),
        (b"CN=2011;MN=\xff;CP=&&&&", "head"),
        (b"CN=2011;MN=M;Flag=x;CP=&&&&", "Flag"),
        (b"CN=2011;MN=M;Flag=-1;CP=&&&&", "Flag"),
        (b"CN=2011;MN=M;PNUM=2;CP=&&&&", "PNO"),
        (b"CN=2011;MN=M;PNO=2;CP=&&&&", "PNUM"),
        (b"CN=2011;MN=M;PNUM=2;PNO=3;CP=&&&&", "PNO"),
        (b"CN=2011;MN=M;PNUM=2;PNO=0;CP=&&&&", "PNO"),
        (b"CN=2011;MN=M;PNUM=10000;PNO=1;CP=&&&&", "PNUM"),
    ],
)
def test_what_cannot_be_read_says_what_and_where(data: bytes, where: str) -> None:
    with pytest.raises(PacketError) as caught:
        decode_data(data)
    assert caught.value.where == where
    assert str(caught.value).startswith(where)


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"mn": ""}, "MN"),
        ({"mn": "a;b"}, "MN"),
        ({"mn": "站"}, "MN"),
        ({"qn": "1\r\n"}, "QN"),
        ({"items": ((("a", "1;2"),),)}, "a"),
        ({"items": ((("a", "1&&"),),)}, "a"),
        ({"items": ((("a", "\n"),),)}, "a"),
        ({"items": ((("a", " 1"),),)}, "a"),
        ({"items": ((("a=b", "1"),),)}, "a=b"),
        ({"items": ((("a", "\ud800"),),)}, "CP"),
        ({"items": ((("a", "x" * 1000),),)}, "data"),
        ({"part": Part(3, 2)}, "PNO"),
        ({"extra": (("MN", "x"),)}, "extra"),
        ({"extra": (("RF", "1"), ("RF", "2"))}, "extra"),
        ({"extra": (("站", "1"),)}, "站"),
    ],
)
def test_what_cannot_be_written_says_where(changed: dict[str, object], where: str) -> None:
    with pytest.raises(Unencodable) as caught:
        encode(replace(PACKET, **changed))  # type: ignore[arg-type]
    assert caught.value.where == where


HEAD = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=";"), max_size=24)
KEY = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=" ;,&="), min_size=1, max_size=8)
VALUE = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=" ;,&"), max_size=8)
PACKETS = st.builds(
    Packet,
    cn=HEAD.filter(bool),
    mn=HEAD.filter(bool),
    st=HEAD,
    qn=HEAD,
    pw=HEAD,
    flag=st.none() | st.builds(Flag, st.sampled_from([*EDITIONS.values()]), st.booleans(), st.booleans()),
    part=st.none() | st.integers(1, 9999).flatmap(lambda total: st.builds(Part, st.integers(1, total), st.just(total))),
    extra=st.sampled_from([(), (("RF", "1"),), (("CmdFlag", ""), ("x", "CP=&&"))]),
    items=st.lists(st.lists(st.tuples(KEY, VALUE), min_size=1, max_size=3).map(tuple), max_size=4).map(tuple),
)


@settings(max_examples=80)
@given(packet=PACKETS)
def test_what_is_written_is_read_as_it_was(packet: Packet) -> None:
    assert decode(encode(packet)) == packet


@settings(max_examples=80)
@given(data=st.data())
def test_no_bytes_raise_anything_but_this_protocols_errors(data: st.DataObject) -> None:
    good = bytearray(data.draw(st.sampled_from([encode(PACKET), DATA, UPLOAD])))
    for place, byte in data.draw(st.lists(st.tuples(st.integers(0, len(good) - 1), st.integers(0, 255)), max_size=5)):
        good[place] = byte
    mutated = bytes(good) if data.draw(st.booleans()) else framed(bytes(good))
    for read in (decode, decode_data):
        with suppress(ProtocolError):
            upload_of(read(mutated), UTC)


def test_a_field_that_is_given_twice_is_no_guess() -> None:
    with pytest.raises(BadField, match="given twice"):
        decode_data(b"CN=2011;MN=A;MN=B;CP=&&&&")
