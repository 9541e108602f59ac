"""Units are converted once for each word of a device, exactly where they are whole parts of each other."""

from __future__ import annotations

import pytest

from schemas.link import Hj212, Meaning
from services.ingest.domain.registry import Linear, Registry
from services.ingest.units import check, conversion


@pytest.mark.parametrize(
    ("unit", "to", "value", "converted"),
    [
        ("cm", "m", 83.0, 0.83),
        ("ug/m3", "mg/m3", 83.0, 0.083),
        ("mg/m3", "ug/m3", 0.083, 83.0),
        ("kPa", "MPa", 140.0, 0.14),
        ("bar", "MPa", 1.6, 0.16),
        ("L/s", "L/s", 1.1, 1.1),
        ("%{LEL}", "%{LEL}", 25.0, 25.0),
        ("[pH]", "[pH]", 7.2, 7.2),
    ],
)
def test_a_whole_part_of_a_unit_is_converted_exactly(unit: str, to: str, value: float, converted: float):
    assert conversion(unit, to)(value) == converted


@pytest.mark.parametrize(
    ("unit", "to", "value", "converted"), [("K", "Cel", 300.0, 26.85), ("[degF]", "Cel", 212.0, 100.0), ("L/s", "m3/h", 10.0, 36.0)]
)
def test_other_units_are_converted_to_the_ninth_digit(unit: str, to: str, value: float, converted: float):
    assert conversion(unit, to)(value) == pytest.approx(converted, rel=1e-9)


@pytest.mark.parametrize(("unit", "to"), [("m", "L/s"), ("foo", "m"), ("[pH]", "1"), ("dB(A)", "dB/m"), ("", "m")])
def test_what_is_no_unit_or_measures_something_else_is_told(unit: str, to: str):
    with pytest.raises(ValueError, match="convert"):
        conversion(unit, to)


def test_a_scale_comes_before_the_conversion():
    assert Linear().scaled(0.01)(83.0) == 0.83
    assert conversion("cm", "m").scaled(10)(83.0) == 8.3
    assert conversion("K", "Cel").scaled(0.1)(3000.0) == pytest.approx(26.85)


@pytest.mark.parametrize("unit", ["10*999999999", "10^+999999999", "km-999999999", "m.10*999999999/s"])
def test_an_exponent_that_nobody_can_reckon_out_is_told_at_once(unit: str):
    with pytest.raises(ValueError, match="exponent"):
        check(unit)
    for one, other in ((unit, "1"), ("1", unit)):
        with pytest.raises(ValueError, match="exponent"):
            conversion(one, other)


@pytest.mark.parametrize("unit", ["10*6/L", "m3/h", "1000.L", "m[H2O]", "{count100}", "mm[Hg]", "kW.h", "10*-6", "[CFU]/(100.mL)", "mol.m-2.s-1"])
def test_units_of_the_field_are_units(unit: str):
    check(unit)


@pytest.mark.parametrize("scale", [0.0, 5e-324, 1e308, float("-inf")])
def test_a_scale_of_which_no_number_comes_is_told_and_harms_no_other_sensor(registry: Registry, scale: float):
    """It passes the schema, and stands on `city.sensors` for good: a node that ended with it would end again at each start."""
    link = Hj212(mn="MN1", codes={"a1": Meaning.model_construct(metric="flow", unit=None, scale=scale)})
    sensor = next(iter(registry)).sensor.model_copy(update={"link": link})
    known = Registry(registry.regions, [sensor], conversion)
    assert "say nothing" in known.problems[sensor.id]
    assert known.heard_by("hj212", "MN1") == ()
