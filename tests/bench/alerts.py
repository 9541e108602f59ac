"""How fast warnings become notifications, and how soon a red one goes out: `./tongguan bench alerts [--n N] [--runs R] [--quick]`.

The alerts service itself, on a broker and a database of its own. Throughput: `--n` warnings, 2 of 100 red, of all streets of a city are written to
`city.warnings` as fast as Kafka takes them; timed from the first record until every one of them is told by a notification that is durable.
Beside it a plain loop in the same run, for what a consumer with a database can do at most: it reads the same topic, decodes each warning and keeps
it as one row, and neither routes nor tells. Latency: warnings at a steady rate; from a red one's time in Kafka until the gateway for short messages
has its request. Progress goes to stderr, one JSON line to stdout at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import random
import re
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import yaml
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import CollectorRegistry

from schemas.tiers import Tier
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.cli.folder import program_version
from services.kit import brokers
from services.kit import city as city_folder
from services.kit.producer import Outgoing, Producer
from services.kit.topics import WARNINGS, load
from tests.bench.peers.ground import BenchError, Ground, Process, now, opened, say
from tests.integration.parts import delete_topics, make_topic
from tests.lanes import free_plan
from tests.unit.gateway.city import name, warning

ROOT = Path(__file__).parents[2]
CITY = ROOT / "cities" / "620100"
CHUNK = 5_000
WAIT_S = 180.0
DOMAINS = ("water", "sewage", "dust", "fire")
TIERS = (Tier.BLUE,) * 60 + (Tier.YELLOW,) * 30 + (Tier.ORANGE,) * 8 + (Tier.RED,) * 2
_SILENT = """
select count(*) from alerts.alerts a where message > 0 and not exists (select from alerts.notifications n where n.alert = a.id)
"""
_PLAIN = "create schema plain; create table plain.warnings (id uuid primary key, rev int not null, street text not null, body text not null)"
_KEEP = "insert into plain.warnings select * from unnest($1::uuid[], $2::int[], $3::text[], $4::text[])"
_SENSOR = re.compile(r"s99-[0-9]+")
WARM_S = 3.0
"""Of the latency's run, left out."""


def main(argv: Sequence[str]) -> int:
    """Run the benchmark; `argv` is what follows `bench alerts`."""
    parser = argparse.ArgumentParser(prog="tongguan bench alerts")
    parser.add_argument("--n", type=int, help="warnings of a run (60,000)")
    parser.add_argument("--runs", type=int, help="runs (3)")
    parser.add_argument("--rate", type=int, help="warnings a second while latency is measured (200)")
    parser.add_argument("--quick", action="store_true", help="all of it, small: about half a minute")
    options = parser.parse_args(argv)
    plan = Plan(options.n or 4_000, options.runs or 1, options.rate or 100, 8) if options.quick else None
    plan = plan or Plan(options.n or 60_000, options.runs or 3, options.rate or 200, 30)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it tells of every retry on a topic that is a moment old
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        result = asyncio.run(_run(plan))
    except BenchError as error:
        say(f"failed: {error}")
        return 1
    except KeyboardInterrupt:
        say("stopped")
        return 130
    print(json.dumps(result))
    return 0


@dataclass(frozen=True)
class Plan:
    """How much of everything."""

    n: int
    runs: int
    rate: int
    seconds: int


class Alerts(Process):
    """The alerts service, started as the platform does."""

    def __init__(self, ground: Ground, dsn: str, city: Path, contacts: Path) -> None:
        self.admin = free_plan().admin("alerts")
        told = {
            "TONGGUAN_KAFKA": ground.kafka,
            "TONGGUAN_DATABASE": dsn,
            "TONGGUAN_CITY": str(city),
            "TONGGUAN_ALERTS__CONTACTS": str(contacts),
            "TONGGUAN_ALERTS__ADMIN_PORT": str(self.admin),
        }
        super().__init__("alerts", (sys.executable, "-P", "-m", "services.alerts"), ground.path, told)


async def _run(plan: Plan) -> dict[str, Any]:
    rates, plain, cpus, latencies = [], [], [], []
    async with opened() as ground, _gateway() as (port, taken):
        city, contacts = _city(ground.path / "city", port), _contacts(ground.path / "contacts.yaml")
        for number in range(plan.runs):
            await _renew(ground.kafka)
            with ground.database() as dsn:
                took, cpu, server = await _throughput(plan, ground, dsn, city, contacts, seed=number)
                rates.append(plan.n / took)
                cpus.append((cpu, server))
                plain.append(plan.n / await _plain(plan, ground, dsn))
                say(
                    f"run {number + 1}: {rates[-1]:,.0f} warnings/s, plainly {plain[-1]:,.0f}; CPU-s: {cpu:.1f} of alerts, {server:.1f} of PostgreSQL"
                )
        await _renew(ground.kafka)
        with ground.database() as dsn:
            latencies = await _latency(plan, ground, dsn, city, contacts, taken)
            say(f"latency of {len(latencies)} red warnings: p50 {_at(latencies, 0.5):.0f} ms, p99 {_at(latencies, 0.99):.0f} ms")
    return {
        "warnings_per_s": round(statistics.median(rates)),
        "plain_per_s": round(statistics.median(plain)),
        "of_plain": round(statistics.median(rate / limit for rate, limit in zip(rates, plain, strict=True)), 3),
        "red_p99_ms": round(_at(latencies, 0.99), 1),
        "red_p50_ms": round(_at(latencies, 0.5), 1),
        "cpu_s_per_1000": round(statistics.median(cpu for cpu, _ in cpus) / plan.n * 1_000, 3),
        "database_cpu_s_per_1000": round(statistics.median(server for _, server in cpus) / plan.n * 1_000, 3),
        "warnings": plan.n,
        "runs": [round(rate) for rate in rates],
        "red": len(latencies),
        "rate": plan.rate,
        "version": program_version(),
    }


def _at(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def _renew(bootstrap: str) -> None:
    """Empty the topic: a new database begins to read it at its beginning."""
    await delete_topics(bootstrap, WARNINGS)
    await make_topic(bootstrap, WARNINGS, load()[WARNINGS].partitions)


# What is measured


async def _throughput(plan: Plan, ground: Ground, dsn: str, city: Path, contacts: Path, *, seed: int) -> tuple[float, float, float]:
    """Return the seconds from the first record until all are told, and the CPU seconds of alerts and of the database."""
    streets = _streets(city)
    dice = random.Random(seed)
    pool = await asyncpg.create_pool(dsn, min_size=1, max_size=1)
    alerts = Alerts(ground, dsn, city, contacts)
    try:
        await alerts.ready(alerts.admin)
        cpu, server = alerts.cpu(), ground.database_cpu()
        began = time.monotonic()
        async with Producer(ground.kafka, CollectorRegistry()) as producer:
            for start in range(0, plan.n, CHUNK):
                ids = range(start + 1, min(start + CHUNK, plan.n) + 1)
                records = [_record(seed, number, dice.choice(streets), dice.choice(TIERS), dice.choice(DOMAINS)) for number in ids]
                await producer.publish(WARNINGS, records)
        say(f"published after {time.monotonic() - began:.1f} s")
        deadline = time.monotonic() + WAIT_S
        while (told := await pool.fetchval("select count(*) from alerts.members where told > 0")) < plan.n:
            alerts.check()
            if time.monotonic() > deadline:
                raise BenchError(f"{told} of {plan.n} warnings were told in {WAIT_S:g} s:\n{alerts.tail()}")
            await asyncio.sleep(0.1)
        took = time.monotonic() - began
        if silent := await pool.fetchval(_SILENT):
            raise BenchError(f"{silent} alerts were told without a notification")
        made, notified = [await pool.fetchval(f"select count(*) from alerts.{table}") for table in ("alerts", "notifications")]
        say(f"{made} alerts, {notified} notifications")
        return took, alerts.cpu() - cpu, ground.database_cpu() - server
    finally:
        alerts.stop()
        await pool.close()


async def _plain(plan: Plan, ground: Ground, dsn: str) -> float:
    """Return the seconds in which a plain loop reads the topic, decodes its warnings and keeps each as a row."""
    pool = await asyncpg.create_pool(dsn, min_size=1, max_size=1)
    consumer = AIOKafkaConsumer(**brokers.clients(ground.kafka), enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        await pool.execute(
            "create schema plain; create table plain.warnings (id uuid primary key, rev int not null, street text not null, body text not null)"
        )
        consumer.assign([TopicPartition(WARNINGS, partition) for partition in range(load()[WARNINGS].partitions)])
        began, kept = time.monotonic(), 0
        while kept < plan.n:
            batches = await consumer.getmany(timeout_ms=200, max_records=1_000)
            found = [(Warning.model_validate_json(record.value), record.value.decode()) for records in batches.values() for record in records]
            if found:
                columns = zip(*((one.id, one.rev, one.street, body) for one, body in found), strict=True)
                await pool.execute(_KEEP, *map(list, columns))
                kept += len(found)
            if time.monotonic() - began > WAIT_S:
                raise BenchError(f"the plain loop kept {kept} of {plan.n} warnings in {WAIT_S:g} s")
        return time.monotonic() - began
    finally:
        await consumer.stop()
        await pool.close()


async def _latency(plan: Plan, ground: Ground, dsn: str, city: Path, contacts: Path, taken: dict[str, float]) -> list[float]:
    """Return the milliseconds from each red warning's time in Kafka to its request at the gateway for short messages."""
    streets = _streets(city)
    dice = random.Random(7)
    taken.clear()
    red: dict[str, float] = {}
    alerts = Alerts(ground, dsn, city, contacts)
    try:
        await alerts.ready(alerts.admin)
        await asyncio.sleep(1)
        async with Producer(ground.kafka, CollectorRegistry()) as producer:
            began, number = time.monotonic(), 0
            while (gone := time.monotonic() - began) < plan.seconds:
                batch = []
                while number < gone * plan.rate:
                    number += 1
                    tier = Tier.RED if number % 20 == 0 else dice.choice(TIERS[:98])
                    batch.append(_record(99, number, dice.choice(streets), tier, dice.choice(DOMAINS)))
                    if tier is Tier.RED and gone > WARM_S:
                        red[f"s99-{number}"] = now()
                if batch:
                    await producer.publish(WARNINGS, batch)
                await asyncio.sleep(0.02)
        deadline = time.monotonic() + 30
        while red.keys() - taken.keys():
            alerts.check()
            if time.monotonic() > deadline:
                raise BenchError(f"{len(red.keys() - taken.keys())} of {len(red)} red warnings were not sent:\n{alerts.tail()}")
            await asyncio.sleep(0.1)
        return [(taken[key] - at) * 1_000 for key, at in red.items()]
    finally:
        alerts.stop()


def _record(run: int, number: int, street: str, tier: Tier, domain: str) -> Outgoing:
    sensor = f"s{run}-{number}"
    about = {"id": UUID(int=(run + 1) << 64 | number), "subject": f"{sensor}/m", "sensor": sensor, "sensor_name": name(sensor)}
    one = warning(street=street, tier=tier, peak=tier, domain=domain, **about)
    return Outgoing(one.model_dump_json().encode(), key=one.subject.encode())


# What it is measured with


@contextlib.asynccontextmanager
async def _gateway() -> AsyncIterator[tuple[int, dict[str, float]]]:
    """Yield the port of a gateway for short messages, and when it was asked to send of each sensor."""
    taken: dict[str, float] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                at = now()
                length = next(int(line.partition(":")[2]) for line in head.splitlines() if line.startswith("content-length"))
                text: str = json.loads(await reader.readexactly(length))["text"]
                for sensor in _SENSOR.findall(text):
                    taken.setdefault(sensor, at)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], taken
    finally:
        server.close()


def _city(folder: Path, port: int) -> Path:
    """Write a city with all streets of Lanzhou and a policy that gathers by street and domain, and tells of red at once, each alone."""
    folder.mkdir()
    for file in ("city.yaml", "regions.yaml", "sensors.yaml"):
        (folder / file).write_bytes((CITY / file).read_bytes())
    both = {"zh": "值班", "en": "duty"}
    steps = [{"after": 0, "tell": [{"screen": "street"}, {"role": "field", "level": "street"}], "channels": ["sms"]}]
    quiet = [{"after": 0, "tell": [{"screen": "street"}]}]
    policy = {
        "routes": {
            "id": "all",
            "group_by": ["street", "domain"],
            "wait": 0,
            "interval": 1,
            "urgent": "red",
            "escalation": "duty",
            "routes": [{"id": "red", "match": {"tiers": ["red"]}, "group_by": ["subject"]}],
        },
        "escalations": [{"id": "duty", "plans": {"red": {"steps": steps, "repeat": 3600}, "orange": {"steps": quiet, "answer": False}}}],
        "people": [{"id": "duty", "name": both}],
        "teams": [{"id": "duty", "name": both, "region": "620100", "role": "field", "always": ["duty"]}],
        "channels": [
            {
                "id": "sms",
                "name": both,
                "kind": "http",
                "request": {"url": f"http://127.0.0.1:{port}/sms", "json_body": {"to": "{{ address }}", "text": "{{ text }}"}},
                "flood": {"most": 100_000, "per": 60},
            }
        ],
    }
    (folder / "alerting.yaml").write_text(yaml.safe_dump(policy, allow_unicode=True), encoding="utf-8")
    return folder


def _contacts(file: Path) -> Path:
    file.write_text(yaml.safe_dump({"people": {"duty": {"sms": "13800000000"}}}), encoding="utf-8")
    file.chmod(0o600)
    return file


def _streets(city: Path) -> list[str]:
    regions = city_folder.load(city).regions
    return [region.code for region in regions if not regions.children(region.code)]
