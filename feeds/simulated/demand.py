"""How a city uses water in the course of a day."""

from __future__ import annotations

import math

HEAD_LOSS = 1.852
"""Hazen-Williams: head is lost by this power of the flow."""
NIGHT = 0.3
"""What people and works use at the quietest hour, of the mean."""
ON_THE_WAY_H = 1.2
"""What is used comes so much later to where sewage is measured."""
INFILTRATION = 0.35
"""Ground water that is always in the sewers, of the mean flow."""


def demand(hour: float, *, weekend: bool) -> float:
    """What is used at an hour of the day, of the mean: a peak in the morning, later at the weekend, one in the evening, least from 2 to 4 h."""
    morning = 0.95 * bump(hour, 9.5, 2.2) if weekend else 1.15 * bump(hour, 7.5, 1.7)
    return NIGHT + morning + 0.65 * bump(hour, 12.5, 2.3) + 1.15 * bump(hour, 19.3, 2.4)


def bump(at: float, middle: float, width: float) -> float:
    """A bell of height 1 over the hours of the day, which closes into a ring."""
    apart = (at - middle + 12) % 24 - 12
    return math.exp(-((apart / width) ** 2) / 2)
