"""Days of computed networks: how they take the place of the plain models, and what happens where they cannot be computed."""

import asyncio
import importlib.util
import sys
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import structlog

from feeds.simulated import hydraulics
from feeds.simulated.chance import Chance
from feeds.simulated.hydraulics import BLEND, STEPS, Days, Hydraulics
from feeds.simulated.sewage import Manhole
from feeds.simulated.spot import Spot
from feeds.simulated.water import NetworkEnd
from feeds.simulated.weather import Weather

MIDNIGHT = datetime(2026, 11, 24, tzinfo=ZoneInfo("Asia/Shanghai"))
FLAT, RAMP = (1.0,) * STEPS, tuple(float(at) for at in range(STEPS))


def test_no_reading_jumps_when_the_days_are_there():
    made = Hydraulics()
    assert made.loss(0.5, MIDNIGHT, 3.0) == 3.0
    made.take(Days(loss=(FLAT,)), MIDNIGHT)
    said = [made.loss(0.5, MIDNIGHT + BLEND * part / 4, 3.0) for part in range(6)]
    assert said == pytest.approx([3.0, 2.5, 2.0, 1.5, 1.0, 1.0])
    assert made.sewage(0.5, MIDNIGHT + BLEND, 3.0) == 3.0


def test_between_quarters_it_goes_straight_and_over_midnight_too():
    made = Hydraulics()
    made.take(Days(sewage=(RAMP,)), MIDNIGHT - timedelta(days=1))
    assert made.sewage(0.0, MIDNIGHT + timedelta(minutes=22, seconds=30), 0.0) == pytest.approx(1.5)
    assert made.sewage(0.0, MIDNIGHT - timedelta(minutes=7, seconds=30), 0.0) == pytest.approx(47.5)


def test_each_sensor_has_a_place_of_its_own_in_the_network():
    made = Hydraulics()
    made.take(Days(loss=tuple((float(at),) * STEPS for at in range(8))), MIDNIGHT - BLEND)
    assert [made.loss(place, MIDNIGHT, 0.0) for place in (0.01, 0.5, 0.99)] == [0.0, 4.0, 7.0]


def test_models_follow_the_network_and_leaks_and_rain_still_act():
    def read(model, metric, made, **forces):
        spot = Spot("s", MIDNIGHT + timedelta(hours=8), Chance(1), Weather(), lambda force, _ago: forces.get(force.value, 0.0), made)
        return model.read(spot)[metric]

    none, heavy = Hydraulics(), Hydraulics()
    heavy.take(Days(loss=((6.0,) * STEPS,), sewage=((3.0,) * STEPS,)), MIDNIGHT)
    assert read(NetworkEnd(), "pressure", heavy) < read(NetworkEnd(), "pressure", none)
    assert read(NetworkEnd(), "pressure", heavy, leak=200.0) < read(NetworkEnd(), "pressure", heavy) - 0.01
    assert read(Manhole(), "flow", heavy) > read(Manhole(), "flow", none)
    assert read(Manhole(), "flow", heavy, rain=10.0) > read(Manhole(), "flow", heavy) + 10


async def told(monkeypatch, engines):
    monkeypatch.setattr(hydraulics, "installed", lambda: engines)
    made, log = Hydraulics(), structlog.testing.LogCapture()
    async with asyncio.timeout(30):
        await hydraulics.compute(made, clock=lambda: MIDNIGHT, log=structlog.wrap_logger(None, processors=[log]))
    return made, log.entries[-1]


async def test_without_the_extra_the_plain_models_are_used_and_it_is_said(monkeypatch):
    made, fields = await told(monkeypatch, [])
    assert (fields["event"], fields["models"]) == ("hydraulics", "plain")
    assert made.loss(0.5, MIDNIGHT, 3.0) == 3.0


@pytest.mark.skipif(importlib.util.find_spec("wntr") is not None, reason="here it can be computed")
async def test_a_process_that_has_nothing_to_say_leaves_the_plain_models(monkeypatch):
    made, fields = await told(monkeypatch, ["wntr"])
    assert fields["event"] == "hydraulics"
    assert made.loss(0.5, MIDNIGHT + BLEND, 3.0) == 3.0


async def test_a_process_that_fails_leaves_the_plain_models_and_is_told(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    made, fields = await told(monkeypatch, ["wntr"])
    assert (fields["event"], fields["models"], fields["exit"]) == ("hydraulics", "plain", 1)
    assert made.loss(0.5, MIDNIGHT + BLEND, 3.0) == 3.0


def test_the_sewer_is_whole():
    """Only its text, where SWMM is not installed."""
    text = hydraulics.sewer_input()
    assert [line for line in text.splitlines() if line.startswith("[")] == [
        f"[{name}]" for name in ("OPTIONS", "JUNCTIONS", "OUTFALLS", "CONDUITS", "XSECTIONS", "DWF", "PATTERNS")
    ]
    assert "c7 m7 works 600" in text


@pytest.mark.skipif(len(hydraulics.installed()) < 2, reason="the extra `physics` is not installed")
def test_computed_days_are_of_our_city(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    days = Days.model_validate({"loss": hydraulics.water_days(), "sewage": hydraulics.sewer_days()})
    assert len(days.loss) > 50
    assert len(days.sewage) == 8
    assert all(min(day) == pytest.approx(0, abs=1e-9) and 1 < max(day) < 4 for day in days.loss)
    assert all(sum(day) / STEPS == pytest.approx(1) for day in days.sewage)
    # The wave comes later to the end of the trunk sewer than to its beginning.
    first, last = (max(range(20, 48), key=day.__getitem__) for day in (days.sewage[0], days.sewage[-1]))
    assert first <= last
