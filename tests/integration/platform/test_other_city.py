"""A city of another shape on the whole platform: Dongguan, whose towns lie right below the city."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest
import websockets

from schemas import live
from tests.running import ROOT, Running

CITY, TOWN, OTHER_TOWN = "441900", "441900121", "441900119"
WELL = "dg-sewage-well-01"


@pytest.fixture(scope="module")
def dongguan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The platform with Dongguan and its own scenario, as `up --city` starts it."""
    with Running(tmp_path_factory.mktemp("dongguan"), city=ROOT / "cities" / CITY, feed=True).until_done() as running:
        yield running


async def snapshot(platform: Running, region: str) -> live.Snapshot:
    """Return what a screen of a region sees first."""
    async with websockets.connect(platform.live_url, proxy=None, max_size=64 << 20) as socket:
        await socket.send(live.Hello(type="hello", region=region, token=platform.tokens[region]).model_dump_json())
        return live.Snapshot.model_validate_json(await socket.recv())


def warnings(platform: Running, region: str) -> list[dict[str, Any]]:
    answer = httpx.get(f"{platform.gateway_url}/v1/regions/{region}/warnings", headers={"Authorization": f"Bearer {platform.tokens[region]}"})
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()
    return found


async def test_the_towns_are_the_city_s_children(dongguan: Running) -> None:
    city = await snapshot(dongguan, CITY)
    assert len(city.children) == 36
    assert {(child.level, child.parent) for child in city.children} == {("street", CITY)}
    assert {child.code for child in city.below} == {child.code for child in city.children}
    assert len({sensor.street for sensor in city.sensors}) > 20
    town = await snapshot(dongguan, TOWN)
    assert [region.code for region in town.path] == [TOWN, CITY]
    assert town.children == ()


def test_a_reading_by_hand_warns_its_town_and_the_city(dongguan: Running) -> None:
    event = {
        "specversion": "1.0",
        "id": "hand-1",
        "source": "/departments/environment/hand",
        "type": "cn.tongguan.observation.v1",
        "time": datetime.now(UTC).isoformat(),  # noqa: TID251 - ingest has the machine's clock
        "data": {"sensor": WELL, "values": {"h2s": 25.0}, "origin": "exercise"},
    }
    headers = {"Authorization": f"Bearer {dongguan.keys['environment']}", "Content-Type": "application/cloudevents+json"}
    assert httpx.post(f"{dongguan.ingest_url}/v1/events", json=event, headers=headers).json() == {"accepted": 1, "refused": []}
    for region in (TOWN, CITY):
        dongguan.wait_for(lambda region=region: any(one["sensor"] == WELL for one in warnings(dongguan, region)), f"the warning in {region}", 20)


def test_the_city_s_own_scenario_burns_in_the_town_that_is_shown(dongguan: Running) -> None:
    dongguan.wait_for(
        lambda: any(one["rule"] == "fire-smoke" and one["tier"] == "red" for one in warnings(dongguan, TOWN)), "the red warning of the demo", 60
    )


def test_ingest_refuses_nothing_of_what_the_feeds_send(dongguan: Running) -> None:
    dongguan.wait_for(lambda: len(_sensors_heard(dongguan)) == 34, "a reading of each simulated sensor", 60)
    answer = httpx.get(f"http://127.0.0.1:{dongguan.run['ports']['ingest_admin']}/metrics").text
    assert not [line for line in answer.splitlines() if line.startswith("tongguan_ingest_refused_total{")]


def _sensors_heard(platform: Running) -> set[str]:
    with psycopg.connect(platform.database) as connection:
        return {row[0] for row in connection.execute("select distinct sensor from history.observations where origin = 'simulated'").fetchall()}
