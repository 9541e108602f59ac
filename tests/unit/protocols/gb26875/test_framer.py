"""A stream in any cut gives the same frames and the same faults, and costs bounded memory and linear time."""

from __future__ import annotations

from datetime import datetime
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.gb26875 import (
    BadLength,
    Command,
    Frame,
    FrameError,
    Framer,
    Incomplete,
    MissingEnd,
    NotThisProtocol,
    Unencodable,
    Version,
    WrongChecksum,
)
from tests.unit.protocols.gb26875.conftest import frames

NOW = datetime.fromisoformat("2026-11-22 08:00:00")
FRAME = Frame(serial=1, version=Version(1, 1), time=NOW, source=889, target=88888, command=Command.SEND, unit=b"\x15\x01\x01\x00\x00\x08\x16\x0b\x1a")
GOOD = FRAME.encode()


Fault = tuple[type[FrameError], bytes]


def shown(items: list[Frame | FrameError]) -> list[Frame | Fault]:
    return [item if isinstance(item, Frame) else (type(item), item.data) for item in items]


def run(*chunks: bytes) -> list[Frame | Fault]:
    framer = Framer()
    items: list[Frame | FrameError] = []
    for chunk in chunks:
        items += framer.feed(chunk)
        assert framer.held <= Framer.BOUND
    items += framer.flush()
    assert framer.held == 0
    return shown(items)


def changed(at: int, value: int) -> bytes:
    data = bytearray(GOOD)
    data[at] = value
    return bytes(data)


def test_a_frame_by_hand() -> None:
    body = bytes.fromhex("02 01  01 05  00 00 08 16 0b 1a  01 00 00 00 00 00  ff ff ff ff ff ff  01 00  80  07")
    total = 0
    for value in body:
        total = (total + value) % 256
    expected = Frame(serial=0x0102, version=Version(1, 5), time=NOW, source=1, target=2**48 - 1, command=128, unit=b"\x07")
    assert run(b"\x40\x40" + body + bytes([total]) + b"\x23\x23") == [expected]


@pytest.mark.parametrize("cut", range(len(GOOD) * 2 + 1))
def test_glued_frames_cut_anywhere(cut: int) -> None:
    stream = GOOD + GOOD
    assert run(stream[:cut], stream[cut:]) == [FRAME, FRAME]


def test_a_frame_is_given_with_its_last_byte_and_not_only_with_the_next_frame() -> None:
    framer = Framer()
    assert [item for byte in GOOD for item in framer.feed(bytes([byte]))] == [FRAME]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (changed(-3, GOOD[-3] ^ 1), WrongChecksum),
        (changed(27, 0x99), WrongChecksum),
        (changed(-1, 0), MissingEnd),
        (changed(24, 8), MissingEnd),
        (changed(25, 5), BadLength),
    ],
)
def test_a_good_frame_comes_out_after_a_bad_one(bad: bytes, error: type[FrameError]) -> None:
    first, *_, last = run(bad + GOOD)
    assert not isinstance(first, Frame)
    assert first[0] is error
    assert last == FRAME


def test_a_frame_inside_one_that_fails_is_found() -> None:
    """A device that restarts in the middle of a frame, and whose next frame fills the length of the first."""
    assert run(GOOD[:30] + GOOD + GOOD) == [(MissingEnd, GOOD[:30]), FRAME, FRAME]


def test_a_byte_that_was_lost_costs_only_its_own_frame() -> None:
    assert run(GOOD[:-1] + GOOD) == [(MissingEnd, GOOD[:-1]), FRAME]


def test_a_byte_too_many_before_a_start_costs_no_frame() -> None:
    assert run(b"@" + GOOD + b"@" * 2000, GOOD) == [
        (NotThisProtocol, b"@"),
        FRAME,
        (NotThisProtocol, b"@" * 1024),
        (NotThisProtocol, b"@" * 976),
        FRAME,
    ]


def test_a_length_that_was_spoilt_holds_frames_up_only_until_the_line_is_flushed() -> None:
    framer = Framer()
    assert framer.feed(changed(25, 3) + GOOD) == []
    assert shown(framer.flush()) == [(Incomplete, changed(25, 3)), FRAME]
    assert framer.feed(GOOD) == [FRAME]


def test_junk_between_frames_is_told_with_its_bytes() -> None:
    assert run(b"abc@" + GOOD[2:], GOOD + b"@", b"def" + GOOD) == [
        (NotThisProtocol, b"abc@" + GOOD[2:]),
        FRAME,
        (NotThisProtocol, b"@def"),
        FRAME,
    ]


def test_a_stranger_is_reported_in_pieces_and_costs_no_memory() -> None:
    items = run(*[b"GET / HTTP/1.1\r\n" * 100] * 20)
    told = [item for item in items if isinstance(item, tuple)]
    assert {kind for kind, _ in told} == {NotThisProtocol}
    assert all(len(data) <= 1024 for _, data in told)
    assert len(items) == len(told) == -(-20 * 1600 // 1024)


def test_a_wrong_checksum_says_what_can_be_denied() -> None:
    (error,) = Framer().feed(changed(-3, GOOD[-3] ^ 1))
    assert isinstance(error, WrongChecksum)
    assert error.frame == FRAME


@settings(max_examples=60)
@given(st.lists(frames, max_size=4), st.data())
def test_frames_come_out_of_any_cut_as_they_went_in(sent: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(frame.encode() for frame in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    assert run(*[stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]) == sent


nasty = st.binary(max_size=40) | st.sampled_from(
    [b"@", b"@@", b"#", b"##", b"\0" * 22, b"\x03\x00", GOOD, GOOD[:27], GOOD[20:], b"@" * 60, b"\xff" * 1100]
)


@settings(max_examples=150)
@given(st.lists(nasty, max_size=12), st.data())
def test_any_bytes_in_any_cut_give_the_same_and_none_is_lost(parts: list[bytes], data: st.DataObject) -> None:
    stream = bytearray().join(parts)
    for _ in range(data.draw(st.integers(0, 4)) if stream else 0):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    at = data.draw(st.integers(0, len(stream)))
    whole = run(bytes(stream))
    assert run(bytes(stream[:at]), bytes(stream[at:])) == whole
    assert run(*[bytes([byte]) for byte in stream]) == whole
    sizes = [len(item.unit) + 30 if isinstance(item, Frame) else len(item[1]) for item in whole]
    assert sum(sizes) == len(stream)
    assert all(0 < size <= 1054 for size in sizes)


def test_a_stream_of_false_starts_takes_linear_time() -> None:
    """Every seventh byte begins a frame of 768 bytes without an end."""
    piece = b"@@\0\0\0\x03\0"

    def cost(times: int) -> float:
        framer, begin = Framer(), process_time()
        framer.feed(piece * times)
        return process_time() - begin

    cost(500)
    assert cost(40_000) < 100 * max(cost(2_500), 0.005), "16 times the bytes: quadratic work would take 256 times as long"


@settings(max_examples=60)
@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda data: GOOD[:27] + data))
def test_a_datagram_is_a_frame_or_a_typed_error(data: bytes) -> None:
    try:
        frame = Frame.decode(data)
    except FrameError:
        return
    assert len(data) == len(frame.unit) + 30


def test_a_datagram_with_bytes_after_its_frame_is_refused() -> None:
    for data, error in [
        (GOOD + b"#", BadLength),
        (GOOD[:-1], Incomplete),
        (b"", NotThisProtocol),
        (changed(25, 5), BadLength),
        (GOOD[:20], Incomplete),
    ]:
        with pytest.raises(error):
            Frame.decode(data)


@pytest.mark.parametrize(
    "stamp",
    [
        "00 00 08 16 0d 1a",
        "00 00 08 1e 02 1a",
        "3c 00 08 16 0b 1a",
        "00 00 18 16 0b 1a",
        "00 00 08 16 0b 64",
        "00 00 00 00 00 00",
        "ff ff ff ff ff ff",
    ],
)
def test_a_time_that_is_none_leaves_the_frame_usable(stamp: str) -> None:
    data = bytearray(GOOD)
    data[6:12] = bytes.fromhex(stamp)
    data[-3] = sum(data[2:-3]) % 256
    frame = Frame.decode(bytes(data))
    assert frame.time is None
    assert frame.unit == FRAME.unit


@pytest.mark.parametrize(
    "wrong",
    [
        {"serial": 65536},
        {"source": 2**48},
        {"target": -1},
        {"unit": bytes(1025)},
        {"command": 256},
        {"time": datetime.fromisoformat("1999-12-31")},
        {"time": datetime.fromisoformat("2100-01-01")},
        {"time": NOW.astimezone()},
    ],
)
def test_what_has_no_place_in_a_packet_is_refused(wrong: dict[str, object]) -> None:
    fields = {"serial": 1, "version": Version(1, 1), "time": NOW, "source": 1, "target": 2, "command": 2, "unit": b"", **wrong}
    with pytest.raises(Unencodable):
        Frame(**fields).encode()  # type: ignore[arg-type]
