"""How far a service has come: figures that go on growing when it stops."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry, generate_latest

from services.kit.progress import Progress
from tests.unit.kit.test_health import HandClock

A, B = TopicPartition("t", 0), TopicPartition("t", 1)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def progress() -> tuple[Progress, HandClock, CollectorRegistry]:
    clock, registry = HandClock(), CollectorRegistry()
    clock.at = NOON.timestamp()
    return Progress(clock, registry), clock, registry


def test_lag_is_what_waits_on_our_partitions():
    ours, _, registry = progress()
    ours.assign({A: 5, B: 0})
    ours._ends = {A: 15, B: 3}
    assert ours.lag == 13
    ours.done(A, 10, 5, None)
    assert ours.lag == 8
    assert 'tongguan_lag_records{partition="0",topic="t"} 5.0' in generate_latest(registry).decode()


def test_a_partition_that_went_to_another_is_not_counted():
    ours, _, _ = progress()
    ours.assign({A: 0, B: 0})
    ours._ends = {A: 15, B: 3}
    ours.assign({B: 0})
    assert ours.lag == 3
    ours.done(A, 2, 2, NOON)
    assert ours.lag == 3
    assert ours.event_time is None


def test_the_age_grows_while_nothing_comes():
    ours, clock, registry = progress()
    ours.assign({A: 0, B: 0})
    assert ours.event_time is None
    ours.done(A, 1, 1, NOON - timedelta(seconds=3))
    ours.done(B, 1, 1, NOON - timedelta(seconds=5))
    assert ours.event_time == NOON - timedelta(seconds=5)
    clock.at += 60
    text = generate_latest(registry).decode()
    assert 'tongguan_event_age_seconds{partition="0",topic="t"} 63.0' in text
    assert 'tongguan_event_age_seconds{partition="1",topic="t"} 65.0' in text


def test_records_are_counted_by_topic():
    ours, _, registry = progress()
    ours.assign({A: 0})
    ours.done(A, 7, 7, None)
    assert 'tongguan_consumed_records_total{topic="t"} 7.0' in generate_latest(registry).decode()
