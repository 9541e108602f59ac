"""How many files the process may open: each connection is one."""

from __future__ import annotations

import contextlib
import resource

PLENTY = 1 << 20
"""Of a process that may open as many as it likes."""


def allow_many() -> int:
    """Let the process open as many as it may ask for; returns how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return PLENTY if hard == resource.RLIM_INFINITY else hard
    return soft
