"""What the simulator's models say, held against what the physics must: range, night and day, leaks, rain, dilution, heat."""

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.simulated.chance import Chance
from feeds.simulated.demand import demand
from feeds.simulated.dust import Background, Site
from feeds.simulated.fire import Building
from feeds.simulated.sewage import Manhole, Outfall, TrunkSewer
from feeds.simulated.spot import Force, Spot
from feeds.simulated.water import Hydrant, MeteredArea, NetworkEnd
from feeds.simulated.weather import Weather

ZONE = ZoneInfo("Asia/Shanghai")
MODELS = [MeteredArea, NetworkEnd, Hydrant, Manhole, TrunkSewer, Outfall, Background, Site, Building]
TUESDAY = datetime(2026, 11, 24, tzinfo=ZONE)
seeds = st.integers(0, 2**31)
times = st.integers(0, 365 * 86_400).map(lambda seconds: datetime(2026, 1, 1, tzinfo=ZONE) + timedelta(seconds=seconds))
strengths = st.fixed_dictionaries({}, optional={force: st.floats(0, 500) for force in Force})


def spot(time=TUESDAY, *, seed=1, sensor="s", **forces):
    acting = {Force(name): amount for name, amount in forces.items()}
    return Spot(sensor, time, Chance(seed), Weather(), lambda force, _ago: acting.get(force, 0.0))


def at(hour, *, days=0):
    return TUESDAY + timedelta(days=days, hours=hour)


def mean(model, metric, hours, **forces):
    """The mean of a metric over some hours of several seeds and days."""
    read = [model.read(spot(at(hour, days=day), seed=seed, **forces))[metric] for hour in hours for day in range(4) for seed in range(5)]
    return sum(read) / len(read)


@pytest.mark.parametrize("model", MODELS)
@given(seed=seeds, time=times, forces=strengths)
def test_all_is_finite_whatever_happens(model, seed, time, forces):
    values = model().read(spot(time, seed=seed, **forces))
    assert all(math.isfinite(value) for value in values.values())
    assert all(value >= 0 for name, value in values.items() if name != "temperature")


@pytest.mark.parametrize("model", MODELS)
@given(seed=seeds, time=times)
def test_the_same_seed_and_time_give_the_same_values_in_any_order(model, seed, time):
    first = model().read(spot(time, seed=seed))
    model().read(spot(time + timedelta(days=3), seed=seed))
    assert model().read(spot(time, seed=seed)) == first
    assert model().read(spot(time, seed=seed + 1)) != first


@pytest.mark.parametrize("weekend", [False, True])
def test_least_water_is_used_from_two_to_four_and_two_peaks_stand_out(weekend):
    by_hour = [demand(hour / 4, weekend=weekend) for hour in range(96)]
    assert 2 <= by_hour.index(min(by_hour)) / 4 <= 4
    peaks = [at / 4 for at in range(1, 95) if by_hour[at - 1] < by_hour[at] >= by_hour[at + 1]]
    assert len([peak for peak in peaks if 6 <= peak <= 11]) == 1
    assert len([peak for peak in peaks if 17 <= peak <= 22]) == 1
    assert 0.9 < sum(by_hour) / 96 < 1.1


def test_the_weekend_gets_up_later():
    def morning(weekend):
        return max(range(20, 48), key=lambda quarter: demand(quarter / 4, weekend=weekend))

    assert morning(weekend=True) > morning(weekend=False)


def test_a_metered_area_sleeps_at_night_and_a_leak_shows_then():
    area = MeteredArea(leak=2)
    night, day = mean(area, "flow", [2, 3]), mean(area, "flow", [8, 19])
    assert night < day / 2
    leaking = mean(area, "flow", [2, 3], leak=30)
    assert night + 20 < leaking < night + 30
    assert leaking / night > mean(area, "flow", [8, 19], leak=30) / day


@given(small=st.floats(0, 400), more=st.floats(5, 200), hour=st.floats(0, 23.9))
def test_a_greater_leak_takes_more_and_leaves_less_pressure(small, more, hour):
    area = MeteredArea()
    less, worse = (area.read(spot(at(hour), leak=leak)) for leak in (small, small + more))
    assert worse["flow"] > less["flow"]
    assert worse["pressure"] < less["pressure"]


def test_a_leak_flows_less_than_its_nominal_as_pressure_falls():
    area = MeteredArea()
    assert mean(area, "flow", [3], leak=300) - mean(area, "flow", [3]) < 280


@pytest.mark.parametrize("model", [NetworkEnd(), Hydrant()])
def test_pressure_is_lowest_when_most_is_used(model):
    assert mean(model, "pressure", [8, 19]) < mean(model, "pressure", [3])


@given(rain=st.floats(5, 80), hour=st.floats(0, 23.9))
def test_rain_raises_level_and_flow_and_thins_what_is_in_it(rain, hour):
    trunk = TrunkSewer()
    dry, wet = trunk.read(spot(at(hour))), trunk.read(spot(at(hour), rain=rain))
    assert wet["level"] > dry["level"]
    assert wet["flow"] > dry["flow"]
    assert wet["cod"] < dry["cod"]
    assert wet["nh3n"] < dry["nh3n"]


def test_rain_comes_with_a_lag():
    model = Manhole(lag=600)

    def level_after(seconds):
        """Five minutes of rain that ended so long ago."""
        rained = Spot("s", TUESDAY, Chance(1), Weather(), lambda force, ago: 60.0 if force is Force.RAIN and seconds <= ago < seconds + 300 else 0.0)
        return model.read(rained)["level"]

    assert level_after(0) < level_after(450)
    assert level_after(1_600) == model.read(spot())["level"]


def test_a_sewer_that_is_blocked_stands_higher_and_turns_foul():
    well = Manhole()
    assert mean(well, "level", [12], blockage=0.85) > mean(well, "level", [12]) + 0.5
    assert mean(well, "h2s", [12], blockage=0.85) > mean(well, "h2s", [12])


def test_a_manhole_never_rises_above_the_street():
    assert Manhole(depth=4.5).read(spot(rain=2_000, blockage=1))["level"] < 4.6


def test_hydrogen_sulphide_rises_with_warmth_and_standing_still():
    well = Manhole()

    def h2s(month):
        return sum(well.read(spot(datetime(2026, month, day, 15, tzinfo=ZONE)))["h2s"] for day in range(1, 28))

    assert h2s(7) > 1.2 * h2s(1)
    assert mean(well, "h2s", [4]) > mean(well, "h2s", [10])


def test_an_upset_works_lets_through_what_comes():
    works = Outfall()
    assert mean(works, "cod", [12]) < 50
    assert mean(works, "cod", [12], upset=0.5) > 100
    assert mean(works, "nh3n", [12], upset=0.5) > mean(works, "nh3n", [12])


def test_all_sites_see_the_same_background():
    far, near = (Background(vary=0).read(spot(at(10), sensor=sensor))["pm10"] for sensor in ("a", "b"))
    assert far == pytest.approx(near, rel=0.15)
    without_work = Site(emission=0)
    assert without_work.read(spot(at(10)))["pm10"] == pytest.approx(near, rel=0.15)


def test_a_site_dusts_and_sounds_while_it_works_less_when_watered_or_rained_on():
    site = Site()
    assert mean(site, "leq", [10, 15]) > mean(site, "leq", [2]) + 8
    assert mean(site, "leq", [2]) < 55
    background = Background(vary=0)
    at_work, at_night = (mean(site, "pm10", hours) - mean(background, "pm10", hours) for hours in ([10, 15], [2, 3]))
    assert at_work > 10
    assert abs(at_night) < 10
    assert mean(Site(watered=0.9), "tsp", [10]) < mean(Site(watered=0), "tsp", [10])
    assert mean(site, "tsp", [10], rain=30) < mean(site, "tsp", [10])


def test_a_fire_smokes_first_then_heats_then_opens_the_sprinklers():
    building = Building()

    def began(seconds_ago):
        """A full fire that began so long ago."""
        burning = Spot("s", TUESDAY, Chance(1), Weather(), lambda force, ago: 1.0 if force is Force.FIRE and ago <= seconds_ago else 0.0)
        return building.read(burning)

    calm, first, later = building.read(spot()), began(5), began(40)
    assert first["smoke"] > calm["smoke"] + 1
    assert first["temperature"] == pytest.approx(calm["temperature"], abs=2)
    assert later["temperature"] > 150
    assert later["sprinkler"] < calm["sprinkler"] - 0.2


def test_drift_is_a_stationary_process_that_forgets():
    chance = Chance(7)
    points = [chance.drift("x", at * 3_600, 3_600) for at in range(4_000)]
    average = sum(points) / len(points)
    variance = sum((point - average) ** 2 for point in points) / len(points)
    assert abs(average) < 0.1
    assert 0.8 < variance < 1.2
    far = sum(one * other for one, other in zip(points, points[10:], strict=False)) / len(points)
    near = sum(chance.drift("x", at * 3_600, 3_600) * chance.drift("x", at * 3_600 + 360, 3_600) for at in range(4_000)) / 4_000
    assert abs(far) < 0.1
    assert near > 0.8


def test_weather_turns_with_year_and_day():
    weather, chance = Weather(winter=-5, summer=23, daily=6), Chance(1)

    def temperature(month, hour):
        return sum(weather.temperature(datetime(2026, month, day, hour, tzinfo=UTC), chance) for day in range(1, 28)) / 27

    assert temperature(7, 15) > temperature(7, 5) + 8
    assert -8 < (temperature(1, 15) + temperature(1, 3)) / 2 < -1
    assert 20 < (temperature(7, 15) + temperature(7, 3)) / 2 < 26
