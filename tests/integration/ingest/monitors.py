"""HJ 212 monitors at ingest: a city that knows three of them, and their side of the connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from protocols.hj212 import (
    EDITION_2017,
    Edition,
    Frame,
    Framer,
    Kind,
    Packet,
    Reading,
    Station,
    Upload,
    decode_data,
    encode,
    upload_packets,
)
from schemas import wire
from tests.integration.ingest.conftest import KEYS, STREET, now, observations
from tests.integration.parts import ROOT, Servers, Service, Tape

ZONE = ZoneInfo("Asia/Shanghai")
SITE, SITE_2, GUARDED = "00000000000000000000MN01", "MN02", "MN03"
PASSWORD = "654321"


@pytest.fixture(name="environment", scope="module")
def hj212_environment(servers: Servers, database: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A city with three dust monitors, of which one has a password."""
    folder = tmp_path_factory.mktemp("city")
    for name in ("city.yaml", "regions.yaml"):
        (folder / name).write_text((ROOT / "cities" / "620100" / name).read_text())
    (folder / "sensors.yaml").write_text(yaml.safe_dump([_sensor(mn) for mn in (SITE, SITE_2, GUARDED)]))
    secrets = folder / "secrets.json"
    secrets.write_text(json.dumps({"department_keys": KEYS, "device_passwords": {"hj212": {GUARDED: PASSWORD}}}))
    return {
        "TONGGUAN_KAFKA": servers.kafka,
        "TONGGUAN_DATABASE": database,
        "TONGGUAN_SECRETS": str(secrets),
        "TONGGUAN_CITY": str(folder),
        "TONGGUAN_INGEST__HJ212__ENABLED": "true",
        "TONGGUAN_INGEST__HJ212__DEPARTMENT": "drainage",
    }


def _sensor(mn: str) -> dict[str, Any]:
    name = {"zh": "工地", "en": "site"}
    return {
        "id": f"site-{mn}",
        "name": name,
        "domain": "dust",
        "department": "water",
        "street": STREET,
        "metrics": {"tsp": {"unit": "mg/m3", "name": name}, "pm10": {"unit": "ug/m3", "name": name}},
        "adapter": "hj212",
        "link": {"protocol": "hj212", "mn": mn, "codes": {"a34001": {"metric": "tsp", "unit": "ug/m3"}, "a34002": {"metric": "pm10"}}},
    }


def port_of(service: Service) -> int:
    for line in Path(f"/proc/{service.process.pid}/environ").read_bytes().split(b"\0"):
        if line.startswith(b"TONGGUAN_INGEST__HJ212__PORT="):
            return int(line.partition(b"=")[2])
    raise AssertionError


class Monitor:
    """A device on a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, station: Station) -> None:
        self._reader = reader
        self._writer = writer
        self._framer = Framer()
        self._heard: list[Packet] = []
        self.station = station

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    def send(self, *packets: Packet) -> None:
        self.write(b"".join(map(encode, packets)))

    async def heard(self, seconds: float = 30.0) -> Packet | None:
        """Return the next packet, None at the end of the connection or when none comes in time."""
        while not self._heard:
            try:
                async with asyncio.timeout(seconds):
                    data = await self._reader.read(65_536)
            except (TimeoutError, ConnectionError):
                return None
            if not data:
                return None
            self._heard += [decode_data(one.data) for one in self._framer.feed(data) if isinstance(one, Frame)]
        return self._heard.pop(0)

    async def closed(self, seconds: float = 30.0) -> bool:
        """Say whether the other end closes within that time."""
        try:
            async with asyncio.timeout(seconds):
                return await self._reader.read(65_536) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def upload(self, tsp: float | str = 120, at: datetime | None = None, kind: Kind = Kind.REAL_TIME) -> Packet:
        """Return a packet of a reading."""
        return self.split(tsp, at, kind)[0]

    def split(self, tsp: float | str = 120, at: datetime | None = None, kind: Kind = Kind.REAL_TIME, codes: int = 0) -> list[Packet]:
        """Return the packets of a reading with many codes that the city ignores."""
        value = {"rtd" if kind is Kind.REAL_TIME else "avg": Decimal(str(tsp))}
        readings = (Reading(code="a34001", flag="N", **value), *(Reading(code=f"b{at:05}", rtd=Decimal(at)) for at in range(codes)))  # type: ignore[arg-type]
        last = (Reading(code="a34002", flag="D", **value),) if codes else ()  # type: ignore[arg-type]
        moment = (at or now()).astimezone(ZONE)
        return upload_packets(self.station, Upload(kind=kind, at=moment.replace(microsecond=0), readings=(*readings, *last)), at=_moment())


_last = [datetime.min.replace(tzinfo=ZONE)]


def _moment() -> datetime:
    """Return a time of its own for each packet."""
    _last[0] = max(_last[0] + timedelta(milliseconds=1), now().astimezone(ZONE))
    return _last[0]


@contextlib.asynccontextmanager
async def monitor(
    service: Service, mn: str = SITE, *, pw: str = "", address: str = "127.0.0.1", edition: Edition = EDITION_2017
) -> AsyncIterator[Monitor]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(service), local_addr=(address, 0))
    try:
        yield Monitor(reader, writer, Station(mn=mn, st="39", pw=pw, edition=edition))
    finally:
        writer.transport.abort()


def named(packet: Packet) -> Callable[[wire.Observation], bool]:
    return lambda one: one.id.startswith(f"{packet.cn}/{packet.qn}/")


async def published(tape: Tape, *packets: Packet) -> list[wire.Observation]:
    """Return the observations that stand on the topic now, one of each packet."""
    found = observations(await tape.records())
    return [next(one for one in found if named(packet)(one)) for packet in packets]
