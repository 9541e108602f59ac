"""Streams into frames: known vectors, faults, cuts, floods."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.hj212 import MAX_DATA, Frame, FrameError, FrameProblem, Framer, Refused, crc16, framed, unframed

INTERVAL = b"QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;CP=&&RtdInterval=30&&"
LOGIN = b"QN=20230723080035006;ST=91;CN=9021;PW=123456;MN=000201;Flag=4;CP=&&&&"
SEWAGE = (
    b"QN=20230803171130538;ST=31;CN=2011;PW=123456;MN=88888880000001234567;Flag=5;CP=&&DataTime=20230803165500;w01001-Rtd=0.000,"
    b"w01001-Flag=N;w21003-Rtd=0.000,w21003-Flag=N;w01018-Rtd=0.000,w01018-Flag=N;e01002-Rtd=0.000,e01002-Flag=N;w01010-Rtd=0.000,"
    b"w01010-Flag=N;e01001-Rtd=0.000,e01001-Flag=N;w01003-Rtd=0.000,w01003-Flag=N;w21011-Rtd=0.000,w21011-Flag=N&&"
)
LONGEST = 6 + MAX_DATA + 4 + 2


def read(stream: bytes, *cuts: int) -> list[Frame | Refused]:
    framer = Framer()
    found: list[Frame | Refused] = []
    places = [0, *sorted(cuts), len(stream)]
    for begin, end in pairwise(places):
        found += framer.feed(stream[begin:end])
        assert framer.held < LONGEST
    return found + framer.close()


def raw_of(item: Frame | Refused) -> bytes:
    return framed(item.data) if isinstance(item, Frame) else item.raw


# All but the first are of devices in the field or of other people's tests, found in public code.
@pytest.mark.parametrize(
    ("data", "length", "crc"),
    [
        (INTERVAL, 101, 0x1C80),
        (LOGIN, 69, 0xBDC1),
        (b"QN=20260706103512345;ST=91;CN=9014;PW=123456;MN=A110000_0001;Flag=8;CP=&&&&", 75, 0x0140),
        (b"QN=20201008154743635;ST=91;CN=9014;PW=123456;MN=SD000001;Flag=9;CP=&&QnRtn=1&&", 78, 0x71C0),
        (SEWAGE, 354, 0xA141),
    ],
)
def test_known_packets_have_their_known_length_and_checksum(data: bytes, length: int, crc: int) -> None:
    assert (len(data), crc16(data)) == (length, crc)
    assert framed(data) == b"##%04d%s%04X\r\n" % (length, data, crc)
    assert unframed(framed(data)) == data


def test_a_checksum_may_be_written_in_lower_case() -> None:
    assert read(framed(INTERVAL).replace(b"1C80\r", b"1c80\r")) == [Frame(INTERVAL)]


@pytest.mark.parametrize("crc", [b"+1C8", b"1_C8", b" 1C8", b"1C8 ", b"1C81"])
def test_a_checksum_is_four_hexadecimal_digits(crc: bytes) -> None:
    (found,) = read(framed(INTERVAL).replace(b"1C80\r", crc + b"\r"))
    assert isinstance(found, Refused)
    assert found.problem is FrameProblem.BAD_CRC


BAD = framed(INTERVAL).replace(b"=30", b"=31")
STREAMS = {
    "glued": (framed(INTERVAL) + framed(LOGIN), ["frame", "frame"]),
    "junk between": (b"GET / HTTP/1.1\r\n\r\n" + framed(INTERVAL) + b"#\r\n#" + framed(LOGIN) + b"\x00", ["junk", "frame", "junk", "frame", "junk"]),
    "a run of hashes": (b"#####" + framed(LOGIN)[2:], ["junk", "frame"]),
    "wrong checksum, then a good one": (BAD + framed(LOGIN), ["bad_crc", "frame"]),
    "a length that is none": (framed(INTERVAL).replace(b"##0101", b"##01x1") + framed(LOGIN), ["bad_length", "frame"]),
    "a length without digits": (b"## title\r\n" + framed(LOGIN), ["bad_length", "frame"]),
    "a length above the limit": (framed(INTERVAL).replace(b"##0101", b"##1025") + framed(LOGIN), ["too_long", "frame"]),
    "a length too small": (framed(INTERVAL).replace(b"##0101", b"##0097") + framed(LOGIN), ["unterminated", "junk", "frame"]),
    "a length too large": (framed(INTERVAL).replace(b"##0101", b"##0999") + framed(LOGIN), ["unterminated", "frame"]),
    "a length too large by one": (framed(INTERVAL).replace(b"##0101", b"##0102") + framed(LOGIN), ["unterminated", "frame"]),
    "a length of two frames": (framed(INTERVAL).replace(b"##0101", b"##%04d" % (101 + 12 + 69)) + framed(LOGIN), ["unterminated", "frame"]),
    "no end": (framed(INTERVAL)[:-2] + framed(LOGIN), ["unterminated", "frame"]),
    "cut off": (framed(INTERVAL) + framed(LOGIN)[:40], ["frame", "unterminated"]),
    "cut off, then whole": (framed(INTERVAL)[:50] + framed(LOGIN), ["unterminated", "frame"]),
    "no data": (framed(b"") + framed(LOGIN), ["frame", "frame"]),
    "hashes in the data": (framed(b"CP=&&a=##0003&&") + framed(LOGIN), ["frame", "frame"]),
}


@pytest.mark.parametrize(("stream", "expected"), STREAMS.values(), ids=STREAMS)
def test_a_stream_gives_its_frames_and_says_what_the_rest_is(stream: bytes, expected: list[str]) -> None:
    found = read(stream)
    assert ["frame" if isinstance(item, Frame) else item.problem for item in found] == expected
    assert b"".join(raw_of(item) for item in found) == stream


@pytest.mark.parametrize("stream", [stream for stream, _ in STREAMS.values()], ids=STREAMS)
def test_cutting_a_stream_anywhere_changes_nothing(stream: bytes) -> None:
    whole = read(stream)
    assert all(read(stream, cut) == whole for cut in range(len(stream)))
    assert read(stream, *range(len(stream))) == whole


def test_a_wrong_checksum_is_said_at_once() -> None:
    assert Framer().feed(BAD) == [Refused(FrameProblem.BAD_CRC, BAD)]


def test_a_frame_that_ends_before_its_length_is_refused_when_the_next_begins() -> None:
    framer = Framer()
    framer.feed(framed(INTERVAL).replace(b"##0101", b"##0999"))
    assert [type(item) for item in framer.feed(framed(LOGIN))] == [Refused, Frame]


def test_the_limit_can_be_raised_for_devices_that_break_it() -> None:
    long = framed(b"x" * 1045)
    assert Framer(max_data=2000).feed(long) == [Frame(b"x" * 1045)]
    assert Refused(FrameProblem.TOO_LONG, long[:MAX_DATA]) in read(long)


def test_a_closed_framer_begins_anew() -> None:
    framer = Framer()
    framer.feed(framed(INTERVAL)[:30])
    framer.close()
    assert framer.held == 0
    assert framer.feed(framed(LOGIN)) == [Frame(LOGIN)]


@pytest.mark.parametrize("raw", [b"", b"#", framed(LOGIN)[:-1], framed(LOGIN) * 2, framed(LOGIN) + b" "])
def test_what_is_not_exactly_one_frame_is_no_frame(raw: bytes) -> None:
    with pytest.raises(FrameError):
        unframed(raw)


PIECES = st.sampled_from(
    [
        b"#",
        b"##",
        b"##00",
        b"##0004",
        b"##1024",
        b"##1025",
        b"\r\n",
        b"\r",
        b"&&",
        b"\x00",
        b"0",
        BAD,
        framed(INTERVAL),
        framed(LOGIN),
        framed(INTERVAL)[:60],
        framed(b""),
        b"x" * 1030,
        b"#" * 1030,
    ]
)


@settings(max_examples=60)
@given(stream=st.one_of(st.binary(max_size=300), st.lists(PIECES, max_size=14).map(b"".join)), cuts=st.lists(st.integers(0, 4000), max_size=8))
def test_any_bytes_come_out_once_whatever_the_cuts(stream: bytes, cuts: list[int]) -> None:
    whole = read(stream)
    assert b"".join(raw_of(item) for item in whole) == stream
    assert read(stream, *(cut for cut in cuts if cut < len(stream))) == whole
    assert read(stream, *range(len(stream))) == whole
    assert all(len(raw_of(item)) <= LONGEST for item in whole)


@settings(max_examples=60)
@given(before=st.lists(PIECES, max_size=8).map(b"".join))
def test_after_any_bytes_and_a_line_end_a_good_frame_is_found(before: bytes) -> None:
    assert Frame(INTERVAL) in read(before + b"\r\n" + framed(INTERVAL))


@pytest.mark.parametrize("unit", [b"#", b"x", b"##", b"##1024", b"##x", b"\r\n##", b"##0004\r\n", b"##0100\r\n#"])
def test_a_flood_takes_linear_time_and_bounded_memory(unit: bytes) -> None:
    stream = unit * (100_000 // len(unit))
    begun = time.process_time()
    found = read(stream)
    assert time.process_time() - begun < 3  # it takes tenths; quadratic work takes minutes
    assert sum(len(raw_of(item)) for item in found) == len(stream)
    begun = time.process_time()
    read(stream[:10_000], *range(10_000))
    assert time.process_time() - begun < 3


def test_megabytes_of_junk_are_searched_once() -> None:
    stream = b"x" * 8_000_000
    begun = time.process_time()
    assert {item.problem for item in read(stream + framed(LOGIN)) if isinstance(item, Refused)} == {FrameProblem.JUNK}
    assert time.process_time() - begun < 3  # it takes tenths; searching anew for every refusal takes a minute
