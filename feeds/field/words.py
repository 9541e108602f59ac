"""A metric's value in a device's own unit and scale: the inverse of what ingest makes of it."""

from __future__ import annotations

from typing import Final

from schemas.sensor import Metric

_FACTORS: Final = {
    ("ug/m3", "mg/m3"): 1e-3,
    ("mg/m3", "ug/m3"): 1e3,
    ("MPa", "kPa"): 1e3,
    ("m", "cm"): 1e2,
    ("m", "mm"): 1e3,
    ("L/s", "m3/h"): 3.6,
}
"""What the devices of the demo need: from the metric's unit to the device's."""
_DIGITS: Final = 9
"""After the point: hides what binary fractions add."""


class NoWord(ValueError):
    """A device cannot say this; the message says why."""


def number(value: float, metric: Metric, *, unit: str | None, scale: float) -> float:
    """Return the number with which a device says a value; raises `NoWord` for a unit that is not known here, or a scale of 0."""
    if not scale:
        raise NoWord("a scale of 0 leaves nothing to say")
    factor = 1.0 if unit in {None, metric.unit} else _FACTORS.get((metric.unit, unit or ""))
    if factor is None:
        raise NoWord(f"{metric.unit} in {unit}: this conversion is not in feeds/field/words.py")
    return round(value * factor / scale, _DIGITS)
