"""Structured logs: one JSON object a line on stderr, with `level`, `event`, `service` and `timestamp`."""

from __future__ import annotations

import logging
import sys

import structlog

Log = structlog.stdlib.BoundLogger


def configure(service: str, node: str, level: str) -> None:
    """Send structlog's and the standard library's records to stderr as JSON; call once, at the start of a process."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer(ensure_ascii=False)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # aiokafka tells of every retry of a broker that is away; our own health checks say that once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(service=service, node=node)


class Seldom:
    """Says whether a thing that happens again and again should be told: the first time, and then once in a while."""

    def __init__(self, every_s: float = 10.0) -> None:
        self._every_s = every_s
        self._told: float | None = None

    def due(self, now: float) -> bool:
        """Return whether it should be told now; `now` is monotonic seconds."""
        if self._told is not None and now - self._told < self._every_s:
            return False
        self._told = now
        return True

    def over(self) -> None:
        """It has ended: the next time is a first time."""
        self._told = None


def get(name: str) -> Log:
    """Return the logger of a module."""
    log: Log = structlog.stdlib.get_logger(name)
    return log
