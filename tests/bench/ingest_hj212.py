"""Many HJ 212 monitors that say little: `python -m tests.bench.ingest_hj212 [--connections N] [--seconds S]`, a part of `./tongguan bench ingest`.

Each connection is a device of the registry and sends one packet of 8 codes each 30 s, spread evenly, as 5,000 monitors of a province do. From the
write of a packet to the arrival of its 9014, which comes after Kafka's acknowledgement; cores are CPU seconds of ingest by wall seconds, all of it:
ticks and the database, too. An answer that does not come fails the run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import uvloop
import yaml

from protocols.hj212 import EDITION_2017, Flag, Packet, encode, qn_of
from services.kit import topics
from services.kit.topics import OBSERVATIONS
from tests.bench.peers.ground import BenchError, Ground, Process, opened, say
from tests.integration.parts import delete_topics, make_topic
from tests.lanes import free_plan
from tests.load import write_city

CONNECTIONS = 5_000
SECONDS = 25.0
EACH_S = 30.0
WARM_S = 3.0
"""At first every import and cache is cold."""
ANSWER_S = 10.0
CODES = ("a34001", "a34002", "a34004", "a01001", "a01002", "a01006", "a01007", "a01008")
_ZONE = ZoneInfo("Asia/Shanghai")


def main(argv: Sequence[str]) -> int:
    """Run it alone, on servers of its own; or the load, as a process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="?", choices=["load"])
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args(argv)
    try:
        if options.what:
            print(json.dumps(uvloop.run(_load(options.port, options.connections, options.seconds))), flush=True)
        else:
            print(json.dumps(asyncio.run(_alone(options.connections, options.seconds))), flush=True)
    except BenchError as error:
        say(f"failed: {error}")
        return 1
    return 0


async def _alone(connections: int, seconds: float) -> Mapping[str, float]:
    async with opened() as ground:
        await delete_topics(ground.kafka, OBSERVATIONS)
        await make_topic(ground.kafka, OBSERVATIONS, topics.load()[OBSERVATIONS].partitions)
        with ground.database() as dsn:
            return await measure(ground, dsn, connections=connections, seconds=seconds)


async def measure(ground: Ground, dsn: str, *, connections: int = CONNECTIONS, seconds: float = SECONDS) -> Mapping[str, float]:
    """Return the figures; raises `BenchError`. The database must not know other sensors than it can find in the city again."""
    city, secrets = ground.path / "city-hj212", ground.path / "secrets-hj212.json"
    if not city.exists():  # the same for each run
        _write(city, connections)
    secrets.write_text(json.dumps({"department_keys": {}, "device_passwords": {"hj212": {_mn(at): "123456" for at in range(connections)}}}))
    plan = free_plan()
    told = {
        "TONGGUAN_KAFKA": ground.kafka,
        "TONGGUAN_DATABASE": dsn,
        "TONGGUAN_CITY": str(city),
        "TONGGUAN_SECRETS": str(secrets),
        "TONGGUAN_INGEST__PORT": str(plan.ingest),
        "TONGGUAN_INGEST__ADMIN_PORT": str(plan.admin("ingest")),
        "TONGGUAN_INGEST__HJ212__ENABLED": "true",
        "TONGGUAN_INGEST__HJ212__PORT": str(plan.gateway),
        "TONGGUAN_INGEST__HJ212__DEPARTMENT": "water",
        "TONGGUAN_INGEST__HJ212__MAX_PER_ADDRESS": str(connections),
    }
    ingest = Process("ingest", (sys.executable, "-P", "-m", "services.ingest"), ground.path, told)
    try:
        await ingest.ready(plan.admin("ingest"), 120)
        return await _measured(ground, ingest, plan.gateway, connections, seconds)
    finally:
        ingest.stop()


async def _measured(ground: Ground, ingest: Process, port: int, connections: int, seconds: float) -> Mapping[str, float]:
    options = ("load", "--port", str(port), "--connections", str(connections), "--seconds", str(seconds))
    load = Process("hj212-load", (sys.executable, "-P", "-m", "tests.bench.ingest_hj212", *options), ground.path)
    try:
        await load.began(lambda line: 0.0 if line == "begun" else None, 120)
        used, begun = ingest.cpu(), time.monotonic()
        await load.began(lambda line: 0.0 if line == "done" else None, seconds + 60)
        used, took = ingest.cpu() - used, time.monotonic() - begun
        if problem := await load.ended(30):
            raise BenchError(problem)
    except BenchError as error:
        raise BenchError(f"{error}\n{ingest.tail()}") from error
    finally:
        load.kill()
    told = json.loads(load.tail().strip().splitlines()[-1])
    return {**told, "hj212_cores": round(used / took, 3), "hj212_memory_mb": round(ingest.memory() / 1e6)}


def _mn(at: int) -> str:
    return f"{at:024d}"


def _write(city: Path, connections: int) -> None:
    write_city(city, 1)
    name = {"zh": "扬尘", "en": "dust"}
    streets = [region["code"] for region in yaml.safe_load((city / "regions.yaml").read_text()) if region["level"] == "street"]
    metrics = {code: {"unit": "ug/m3", "name": name, "low": 0, "high": 1_000} for code in CODES}
    codes = {code: {"metric": code} for code in CODES}
    sensors = [
        {
            "id": f"h{at:05d}",
            "name": name,
            "domain": "dust",
            "department": "water",
            "street": streets[at % len(streets)],
            "metrics": metrics,
            "adapter": "hj212",
            "link": {"protocol": "hj212", "mn": _mn(at), "codes": codes},
        }
        for at in range(connections)
    ]
    (city / "sensors.yaml").write_text(json.dumps(sensors, ensure_ascii=False))  # which is YAML, and read far sooner


# The load, a process of its own


class _Monitor(asyncio.Protocol):
    def __init__(self, took: list[float]) -> None:
        self._took = took
        self._transport: Any = None
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if b"CN=9014" in data:
            self._took.append(time.monotonic() - self._sent_at)

    def say(self, at: int) -> None:
        """Send a packet of this moment."""
        now = datetime.now(UTC).astimezone(_ZONE)  # noqa: TID251 - what devices would write
        values = [((f"{code}-Rtd", f"{40 + at % 50}.{place}"), (f"{code}-Flag", "N")) for place, code in enumerate(CODES)]
        items = ((("DataTime", f"{now:%Y%m%d%H%M%S}"),), *values)
        packet = Packet(qn=qn_of(now), st="39", cn="2011", pw="123456", mn=_mn(at), flag=Flag(EDITION_2017, answer=True), items=items)
        self._sent_at = time.monotonic()
        self._transport.write(encode(packet))


async def _load(port: int, connections: int, seconds: float) -> Mapping[str, float]:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    loop, took = asyncio.get_running_loop(), list[float]()
    monitors = [(await loop.create_connection(lambda: _Monitor(took), "127.0.0.1", port))[1] for _ in range(connections)]
    begun = loop.time()
    count, measured_from = 0, 0
    while (since := loop.time() - begun) < WARM_S + seconds:
        if not measured_from and since >= WARM_S:
            measured_from = count
            print("begun", flush=True)
        for _ in range(int(since * connections / EACH_S) - count):
            monitors[count % connections].say(count % connections)
            count += 1
        await asyncio.sleep(0.001)
    print("done", flush=True)
    deadline = loop.time() + ANSWER_S
    while len(took) < count and loop.time() < deadline:
        await asyncio.sleep(0.01)
    if len(took) < count:
        raise BenchError(f"{count - len(took)} of {count} packets were not acknowledged")
    cuts = statistics.quantiles([1_000 * each for each in took[measured_from:]], n=1_000)
    return {
        "hj212_connections": connections,
        "hj212_per_s": round((count - measured_from) / seconds),
        "hj212_ack_p50_ms": round(cuts[499], 1),
        "hj212_ack_p99_ms": round(cuts[989], 1),
    }


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
