"""A monitor that speaks HJ 212, without I/O: real-time values (2011), and means over minutes, hours and days (2051, 2061, 2031)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from feeds.field.line import Answered, Heard, Message, Reply
from feeds.field.words import number
from protocols import hj212
from schemas.base import Domain
from schemas.link import Hj212
from schemas.observation import Measurement, Quality
from schemas.sensor import Sensor

SYSTEMS: Final = {Domain.DUST: "39", Domain.SEWAGE: "32"}
"""ST: dust of construction sites, waste water."""
OTHER_SYSTEM: Final = "22"
MARKS: Final = {
    Quality.GOOD: hj212.Mark.NORMAL,
    Quality.STOPPED: hj212.Mark.STOPPED,
    Quality.MAINTENANCE: hj212.Mark.MAINTENANCE,
    Quality.MANUAL: hj212.Mark.MANUAL,
    Quality.CALIBRATION: hj212.Mark.CALIBRATION,
    Quality.OVER_RANGE: hj212.Mark.OVER_RANGE,
    Quality.NO_SIGNAL: hj212.Mark.NO_CONNECTION,
}
"""All other flags are of faults."""
_KINDS: Final = {timedelta(hours=1): hj212.Kind.HOUR, timedelta(days=1): hj212.Kind.DAY}
_MS: Final = timedelta(milliseconds=1)


@dataclass(slots=True)
class Monitor:
    """One device with one or more sensors behind it, by id with their links. Its clock is `ahead` of ours until the platform sets it."""

    behind: Mapping[str, tuple[Sensor, Hj212]]
    mn: str
    pw: str
    zone: ZoneInfo
    ahead: timedelta = timedelta(0)
    edition: hj212.Edition = hj212.EDITION_2017
    idle_s: float | None = None
    _framer: hj212.Framer = field(default_factory=hj212.Framer)
    _said: datetime | None = None

    def messages(self, measurement: Measurement, now: datetime) -> list[Message]:
        """Return the packets of a reading, each of which is to be acknowledged."""
        upload = self._upload(measurement)
        if upload is None:
            return []
        sensor, _ = self.behind[measurement.sensor]
        station = hj212.Station(mn=self.mn, st=SYSTEMS.get(sensor.domain, OTHER_SYSTEM), pw=self.pw, edition=self.edition)
        packets = hj212.upload_packets(station, upload, at=self._qn_time(now))
        # Parts of one message have one QN, and are answered each: told apart by their order.
        return [Message(packet.qn, hj212.encode(packet)) for packet in packets]

    def alive(self, now: datetime) -> Message | None:  # noqa: ARG002 - as all devices
        """Return nothing: what it measures says that it is there."""
        return None

    def hear(self, data: bytes, now: datetime) -> Iterator[Heard]:
        """Yield what answers acknowledge, and the answers to requests."""
        if not data:
            self._framer = hj212.Framer()
        for item in self._framer.feed(data):
            if not isinstance(item, hj212.Frame):
                continue
            try:
                packet = hj212.decode_data(item.data)
            except hj212.PacketError:
                continue
            yield from self._heard(packet, now)

    def damaged(self, data: bytes) -> bytes:
        """Return a packet whose CRC is wrong."""
        return data[:-6] + b"%04X" % (int(data[-6:-2], 16) ^ 1) + data[-2:]

    def _heard(self, packet: hj212.Packet, now: datetime) -> Iterator[Heard]:
        kind = hj212.kind_of(packet)
        if kind is hj212.Kind.DATA_ANSWER:
            yield Answered(hj212.answer_of(packet).qn)
        elif packet.cn == "1012":
            self._set_clock(packet, now)
            yield from _replies(hj212.request_answer(packet), hj212.execute_answer(packet))
        elif packet.answer_wanted:
            yield from _replies(hj212.request_answer(packet, hj212.QnRtn.BAD_CN))

    def _set_clock(self, packet: hj212.Packet, now: datetime) -> None:
        time = hj212.time_of(packet.value("SystemTime") or "", self.zone)
        if time is not None:
            self.ahead = time - now

    def _upload(self, measurement: Measurement) -> hj212.Upload | None:
        sensor, link = self.behind[measurement.sensor]
        kind = _kind(measurement, link)
        if kind is None or measurement.end is None:
            return None
        # A device divides its time by its own clock, so periods begin in full minutes whatever it shows.
        at = measurement.end + self.ahead if measurement.start is None else measurement.start
        readings = tuple(_readings(measurement, sensor, link, instant=kind is hj212.Kind.REAL_TIME))
        return hj212.Upload(kind=kind, at=at.astimezone(self.zone), readings=readings) if readings else None

    def _qn_time(self, now: datetime) -> datetime:
        """Return the device's time, never the same millisecond twice."""
        time = now.astimezone(self.zone) + self.ahead
        if self._said is not None and time - self._said < _MS:
            time = self._said + _MS
        self._said = time
        return time


def _kind(measurement: Measurement, link: Hj212) -> hj212.Kind | None:
    """Return as what it is uploaded; None for a period that the device does not have."""
    if measurement.start is None or measurement.end is None:
        return hj212.Kind.REAL_TIME
    period = measurement.end - measurement.start
    return _KINDS.get(period) or (hj212.Kind.MINUTE if period == link.minutes else None)


def _readings(measurement: Measurement, sensor: Sensor, link: Hj212, *, instant: bool) -> Iterable[hj212.Reading]:
    for code, meaning in link.codes.items():
        value = measurement.values.get(meaning.metric)
        if value is None:
            continue
        said = Decimal(repr(number(value, sensor.metrics[meaning.metric], unit=meaning.unit, scale=meaning.scale)))
        mark = MARKS.get(measurement.quality.get(meaning.metric, Quality.GOOD), hj212.Mark.FAULT)
        reading = hj212.Reading(code=code, flag=mark.value)
        yield replace(reading, rtd=said) if instant else replace(reading, avg=said)


def _replies(*packets: hj212.Packet) -> Iterator[Reply]:
    return (Reply(hj212.encode(packet)) for packet in packets)
