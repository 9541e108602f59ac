"""How hypothesis runs here: no example has a deadline, for two busy cores say nothing about our code."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unhurried", parent=settings.default, deadline=None)
settings.load_profile("unhurried")
