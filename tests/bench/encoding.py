"""Measure encodings of one hot-topic value: `./tongguan bench encoding [--rounds N]`.

Prints a line an encoding and one JSON line last. A figure is the best of the rounds, in µs a record; sizes are bytes a record,
alone and inside a Kafka batch of 500 records compressed by LZ4.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import cramjam
import msgspec

from schemas import wire


class ObjectShape(msgspec.Struct, frozen=True, tag="observation", tag_field="kind", gc=False):
    """The same fields as `wire.Observation`, as an object with names: what a JSON value with field names would cost."""

    id: str
    source: str
    department: str
    sensor: str
    street: str
    domain: str
    start: int
    end: int
    statistic: str
    values: dict[str, float]
    quality: dict[str, str]
    origin: str
    received: int
    traceparent: str | None = None


def sample(count: int) -> list[wire.Observation]:
    """Build `count` observations of four metrics that differ as real ones do."""
    base = 1_790_000_000_000_000
    noise = random.Random(7)
    return [
        wire.Observation(
            id=f"{noise.getrandbits(64):016x}",
            source="/departments/water/scada",
            department="water",
            sensor=f"620102-dma-{n % 1000:05d}",
            street=f"620102{n % 24:03d}",
            domain="water",
            start=base + n * 1000,
            end=base + n * 1000,
            statistic="instant",
            values={metric: round(noise.uniform(0, 60), 3) for metric in ("flow", "pressure", "level", "temperature")},
            quality={},
            origin="real",
            received=base + n * 1000 + 350,
        )
        for n in range(count)
    ]


def best(work: Callable[[], object], count: int, rounds: int) -> float:
    """Return the least µs a record of `rounds` runs."""
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times) / count * 1e6


def measure(name: str, encode: Callable[[Any], bytes], decode: Callable[[bytes], Any], records: Sequence[Any], rounds: int) -> dict[str, Any]:
    """Time one encoding over the records and weigh its bytes."""
    values = [encode(record) for record in records]
    if [decode(value) for value in values] != list(records):
        raise SystemExit(f"{name}: decoding does not give back what was encoded")
    count = len(records)
    batches = [b"".join(values[at : at + 500]) for at in range(0, count, 500)]
    return {
        "encoding": name,
        "encode_us": round(best(lambda: [encode(record) for record in records], count, rounds), 3),
        "decode_us": round(best(lambda: [decode(value) for value in values], count, rounds), 3),
        "bytes": round(sum(map(len, values)) / count),
        "bytes_lz4": round(sum(len(bytes(cramjam.lz4.compress(batch))) for batch in batches) / count),
        "lz4_us": round(best(lambda: [cramjam.lz4.compress(batch) for batch in batches], count, rounds), 3),
    }


def main(argv: Sequence[str]) -> None:
    """Run the comparison; `argv` is what follows `bench encoding`."""
    parser = argparse.ArgumentParser(prog="tongguan bench encoding")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--records", type=int, default=10_000)
    options = parser.parse_args(argv)
    arrays = sample(options.records)
    objects = [ObjectShape(**{field: getattr(record, field) for field in ObjectShape.__struct_fields__}) for record in arrays]
    union = wire.Observation | wire.Tick | wire.Sensor | wire.Activation
    rows = [
        measure("json, named fields", msgspec.json.Encoder().encode, msgspec.json.Decoder(ObjectShape).decode, objects, options.rounds),
        measure("json, array", msgspec.json.Encoder().encode, msgspec.json.Decoder(union).decode, arrays, options.rounds),
        measure("msgpack, named fields", msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(ObjectShape).decode, objects, options.rounds),
        measure("msgpack, array", msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(union).decode, arrays, options.rounds),
    ]
    for row in rows:
        print("  ".join(f"{key}={value}" for key, value in row.items()))
    print(json.dumps({"bench": "encoding", "rows": rows}))
