"""A made-up city under load: known readings in, known warnings out, and a client of the live socket that holds the view it was told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import websockets
import yaml

CITY = "990000"
DISTRICTS = 4
STREETS = 12
"""Of each district."""
METRICS = ("flow", "pressure", "level", "temperature")
LIMIT, BACK = 80.0, 70.0
EXCEEDS_EACH = 100
"""One reading of so many exceeds, at random."""
QUOTA = {"per_s": 1e6, "burst": 10**8}
"""More than any load here: what is measured is the platform, not its limits."""


def write_city(folder: Path, sensors: int) -> None:
    """Write the folder of a city with so many sensors of four metrics, and one rule of four tiers on `flow`."""
    name = lambda text: {"zh": text, "en": text}  # noqa: E731
    regions: list[dict[str, Any]] = [{"code": CITY, "parent": None, "level": "city", "name": name("试验市")}]
    streets: list[str] = []
    for district in range(1, DISTRICTS + 1):
        code = f"99{district:02d}00"
        regions.append({"code": code, "parent": CITY, "level": "district", "name": name(f"{district}区")})
        for street in range(1, STREETS + 1):
            streets.append(f"{code}{street:03d}")
            regions.append({"code": streets[-1], "parent": code, "level": "street", "name": name(f"{district}区{street}街道")})
    metrics = {metric: {"unit": "1", "name": name(metric)} for metric in METRICS}
    listed = [
        {
            "id": f"s{at:05d}",
            "name": name(f"传感器{at}"),
            "domain": "water",
            "department": "water",
            "street": streets[at % len(streets)],
            "metrics": metrics,
        }
        for at in range(sensors)
    ]
    tiers = {tier: {"up": {"limit": LIMIT + 5 * at}, "down": {"limit": BACK + 5 * at}} for at, tier in enumerate(("blue", "yellow", "orange", "red"))}
    rule = {
        "id": "load.flow",
        "version": 1,
        "name": name("流量过高"),
        "applies": {"metric": "flow"},
        "direction": "above",
        "unit": "1",
        "tiers": tiers,
    }
    head = {
        "code": CITY,
        "name": name("试验市"),
        "timezone": "Asia/Shanghai",
        "demo_regions": [CITY, "990100", streets[0]],
        "departments": [{"id": "water", "name": name("供水"), "quota": QUOTA}],
        "demo_users": [{"id": "watch", "name": name("值班"), "grants": [{"role": "city", "region": CITY}]}],
    }
    (folder / "rules").mkdir(parents=True)
    for file, content in (("city.yaml", head), ("regions.yaml", regions), ("sensors.yaml", listed), ("rules/flow.yaml", rule)):
        (folder / file).write_text(yaml.safe_dump(content, allow_unicode=True))


@dataclass
class Published:
    """What was sent and acknowledged."""

    identities: set[tuple[str, int]] = field(default_factory=set)
    """(sensor, end in microseconds)"""
    changes: dict[str, str] = field(default_factory=dict)
    """By observation id, what rules must make of it: `opened` or `recovered`."""
    open: set[str] = field(default_factory=set)
    """Sensors whose warning is open after all of it."""
    sent_at: dict[str, float] = field(default_factory=dict)
    """By observation id of a change, when its request began (monotonic seconds)."""
    requests: int = 0
    repeated: int = 0


class Publisher:
    """Publishes readings as a department does: in order, a batch at a time, each again until it is acknowledged."""

    def __init__(
        self, url: str, key: str, sensors: int, *, seed: int = 1, batch: int = 500, exceeds_each: int = EXCEEDS_EACH, always_over: int = 0
    ) -> None:
        """The first `always_over` sensors exceed in every reading, a quarter of them in each tier; of the others one reading in `exceeds_each`."""
        self.moved(url)
        self._always_over = always_over
        self._exceeds_each = exceeds_each
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/cloudevents-batch+json"}
        self._sensors = sensors
        self._random = random.Random(seed)
        self._batch = batch
        self._at = 0
        self._over: set[int] = set()
        self._newest: dict[int, int] = {}
        self._stopped = False
        self.published = Published()

    async def run(self, rate: float, seconds: float) -> None:
        """Publish at a rate, counted from the first call on; when the platform is away, what waits is sent as fast as it takes it afterwards."""
        begun = time.monotonic()
        async with httpx.AsyncClient(headers=self._headers, timeout=30, limits=httpx.Limits(max_connections=1)) as client:
            total = round(rate * seconds)
            while self._at < total and not self._stopped:
                due = min(total, round((time.monotonic() - begun) * rate))
                if due - self._at < min(self._batch, max(1, rate * 0.02)) and due < total:
                    await asyncio.sleep(0.01)
                    continue
                await self._send(client, list(self._readings(min(due - self._at, self._batch))))

    def moved(self, url: str) -> None:
        """Publish there from now on."""
        self._url = f"{url}/v1/events"

    def stop(self) -> None:
        """Publish no more; `run` returns once what is under way is acknowledged."""
        self._stopped = True

    def _readings(self, count: int) -> Iterator[dict[str, Any]]:
        for _ in range(count):
            sensor = self._at % self._sensors
            self._at += 1
            yield self._reading(sensor, over=sensor < self._always_over or self._random.randrange(self._exceeds_each) == 0)

    def _reading(self, sensor: int, *, over: bool) -> dict[str, Any]:
        # Microseconds of the sending; a sensor's readings never have the same end.
        end = max(time.time_ns() // 1000, self._newest.get(sensor, 0) + 1)  # noqa: TID251 - what a device would write
        self._newest[sensor] = end
        name, event = f"s{sensor:05d}", f"{sensor:05d}-{end}"
        self.published.identities.add((name, end))
        if over != (sensor in self._over):
            self.published.changes[event] = "opened" if over else "recovered"
            (self._over.add if over else self._over.discard)(sensor)
        flow = 99.0 - 5 * (sensor % 4 if sensor < self._always_over else 0) if over else 10.0
        return {
            "specversion": "1.0",
            "id": event,
            "source": "/departments/water/load",
            "type": "cn.tongguan.observation.v1",
            "time": datetime.fromtimestamp(end / 1e6, UTC).isoformat(),
            "data": {
                "sensor": name,
                "values": {"flow": flow, "pressure": 0.31, "level": 1.25, "temperature": 18.5},
                "origin": "exercise",
            },
        }

    async def _send(self, client: httpx.AsyncClient, events: list[dict[str, Any]]) -> None:
        body = msgspec.json.encode(events)
        now = time.monotonic()
        for event in events:
            if event["id"] in self.published.changes:
                self.published.sent_at[event["id"]] = now
        while True:
            self.published.requests += 1
            try:
                response = await client.post(self._url, content=body)
            except httpx.TransportError:
                response = None
            if response is not None and response.status_code == 202:
                break
            assert response is None or response.status_code in {429, 503}, response.text
            self.published.repeated += 1
            await asyncio.sleep(0.1)
        self.published.open = {f"s{sensor:05d}" for sensor in self._over}


class _Frame(msgspec.Struct):
    type: str
    warnings: list[dict[str, Any]] = []
    values: msgspec.Raw = msgspec.Raw()


class Watcher:
    """A client of the live socket, as the page is one: snapshot, then deltas; after a close it comes back."""

    def __init__(self, url: str, token: str, region: str) -> None:
        self._url = url
        self._hello = json.dumps({"type": "hello", "protocol": 1, "token": token, "region": region})
        self.open: dict[str, dict[str, Any]] = {}
        self.seen_at: dict[str, float] = {}
        """By observation id, when the revision that it decided arrived on the socket (monotonic seconds)."""
        self.sessions = 0
        self.frames = 0
        self.ready = asyncio.Event()
        self.heard_at = 0.0

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[Watcher]:
        """Watch within the block; it begins with the first snapshot."""
        task = asyncio.create_task(self._run())
        try:
            await asyncio.wait_for(self.ready.wait(), 30)
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        decode = msgspec.json.Decoder(_Frame).decode
        while True:
            try:
                async with websockets.connect(self._url, max_size=64 << 20, open_timeout=5, compression=None) as socket:
                    await socket.send(self._hello)
                    self.sessions += 1
                    async for message in socket:
                        self._take(decode(message), time.monotonic())
            except (OSError, TimeoutError, websockets.WebSocketException):
                pass
            await asyncio.sleep(0.2)

    def _take(self, frame: _Frame, now: float) -> None:
        self.frames += 1
        self.heard_at = now
        if frame.type == "snapshot":
            self.open = {}
            self.ready.set()
        for warning in frame.warnings:
            if frame.type == "delta":
                self.seen_at.setdefault(warning["evidence"]["observation"], now)
            known = self.open.get(warning["id"])
            if known is not None and warning["rev"] <= known["rev"]:
                continue
            if warning["state"] == "open":
                self.open[warning["id"]] = warning
            else:
                self.open.pop(warning["id"], None)
