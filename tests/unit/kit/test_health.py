"""Checks must be renewed: silence fails them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from services.kit import http
from services.kit.health import Health
from services.kit.logs import Seldom


class HandClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    def monotonic(self) -> float:
        return self.at


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def test_a_check_is_not_ready_before_its_first_renewal(clock: HandClock):
    health = Health(clock)
    check = health.check("kafka", max_age=10)
    assert health.unready() == ["kafka: not started"]
    check.ok()
    assert health.unready() == []


def test_silence_fails_it_and_a_renewal_mends_it(clock: HandClock):
    health = Health(clock)
    check = health.check("kafka", max_age=10)
    check.ok()
    clock.at += 10
    assert health.unready() == []
    clock.at += 1
    assert health.unready() == ["kafka: no sign of life for 11 s"]
    check.ok()
    assert health.unready() == []


def test_a_reason_stands_until_the_next_renewal(clock: HandClock):
    health = Health(clock)
    check = health.check("kafka", max_age=float("inf"))
    check.ok()
    check.fail("it is away")
    clock.at += 1e6
    assert health.unready() == ["kafka: it is away"]
    check.ok()
    assert health.unready() == []


def test_only_silence_of_a_vital_check_is_death(clock: HandClock):
    health = Health(clock)
    loop = health.check("loop", max_age=15, vital=True)
    kafka = health.check("kafka", max_age=10)
    loop.fail("busy")
    kafka.fail("away")
    assert health.dead() == []
    clock.at += 16
    assert health.dead() == ["loop: no sign of life for 16 s"]
    loop.ok()
    assert health.dead() == []
    assert health.unready() == ["kafka: away"]


def test_a_vital_check_that_never_began_is_dead_after_its_time(clock: HandClock):
    health = Health(clock)
    health.check("loop", max_age=15, vital=True)
    clock.at += 15
    assert health.dead() == []
    clock.at += 1
    assert health.dead() == ["loop: no sign of life for 16 s"]


def _served(registry: CollectorRegistry) -> dict[str, float]:
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


def test_readiness_is_a_metric_from_the_first_moment_and_follows_each_check(clock: HandClock):
    health, registry = Health(clock), CollectorRegistry()
    http.admin(health, registry)
    database, kafka = health.check("database", max_age=10), health.check("kafka", max_age=60)
    assert _served(registry) == {"tongguan_ready": 0, "tongguan_check_ok database": 0, "tongguan_check_ok kafka": 0}
    database.ok()
    kafka.ok()
    assert _served(registry) == {"tongguan_ready": 1, "tongguan_check_ok database": 1, "tongguan_check_ok kafka": 1}
    clock.at += 11
    assert _served(registry) == {"tongguan_ready": 0, "tongguan_check_ok database": 0, "tongguan_check_ok kafka": 1}


def test_telling_seldom():
    seldom = Seldom(10)
    assert [seldom.due(at) for at in (0.0, 1.0, 9.9, 10.0, 19.9, 20.0)] == [True, False, False, True, False, True]
    seldom.over()
    assert seldom.due(20.1)


def test_what_is_only_told_makes_nobody_unready(clock: HandClock):
    health = Health(clock)
    health.check("broker", max_age=10, only_told=True).fail("away")
    assert health.unready() == []
    assert health.problems() == {"broker": "broker: away"}
