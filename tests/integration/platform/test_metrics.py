"""The metrics that docs/metrics.md promises, on the running platform."""

from __future__ import annotations

import re
import time
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.running import Running

SERVICES = ("ingest", "rules", "history", "alerts", "gateway")
OF_WATCHDOG = {"tongguan_ready", "tongguan_check_ok"}
"""Of those that all have: it has neither Kafka nor a pool."""
DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"
KIND_SUFFIX = {"counter": "_total"}


def _promised() -> dict[str, set[str]]:
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\| ([^|]+) \|", DOCUMENT.read_text(), re.MULTILINE)
    return {name: set(SERVICES) if services == "all" else set(services.split(", ")) for name, services in rows}


def _served(platform: Running, service: str) -> set[str]:
    text = httpx.get(f"http://127.0.0.1:{platform.run['ports'][service + '_admin']}/metrics").text
    families = text_string_to_metric_families(text)
    return {family.name + KIND_SUFFIX.get(family.type, "") for family in families if family.name.startswith("tongguan_")}


def test_every_service_serves_what_the_document_promises(platform: Running) -> None:
    promised = _promised()
    served = {service: _served(platform, service) for service in SERVICES}
    for service in SERVICES:
        assert served[service] == {name for name, services in promised.items() if service in services}
    assert _served(platform, "watchdog") == OF_WATCHDOG | {name for name, services in promised.items() if services == {"watchdog"}}


def _lag_and_age(platform: Running) -> tuple[float, float]:
    text = httpx.get(f"http://127.0.0.1:{platform.run['ports']['history_admin']}/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    lag = sum(sample.value for sample in families["tongguan_lag_records"].samples)
    return lag, max(sample.value for sample in families["tongguan_event_age_seconds"].samples)


def test_lag_and_age_grow_while_a_consumer_stands_still(platform: Running) -> None:
    """Its writes are held up by a lock, as by a database that does not get on; its figures must not freeze."""
    import psycopg

    with psycopg.connect(platform.database) as connection:
        connection.execute("lock table history.observations in access exclusive mode")
        connection.execute("lock table history.partitions in access exclusive mode")
        deadline = time.monotonic() + 30
        lag, age = _lag_and_age(platform)
        while lag < 100 or age < 4:
            assert time.monotonic() < deadline, f"lag {lag}, age {age}"
            time.sleep(0.3)
            lag, age = _lag_and_age(platform)
    platform.wait_for(lambda: _lag_and_age(platform)[1] < 4, "history to catch up", 60)
