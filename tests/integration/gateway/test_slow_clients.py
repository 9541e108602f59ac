"""How much may wait for a client, on real sockets: one that reads is never cut, however much is told at once; one that does not read is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast
from unittest.mock import AsyncMock

import pytest
from prometheus_client import CollectorRegistry

from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.gateway.accounts import Accounts
from services.gateway.domain.access import Tokens
from services.gateway.domain.proxies import Proxies
from services.gateway.domain.view import View
from services.gateway.live import LiveServer
from services.kit.clock import SystemClock
from tests.integration.gateway.session import narrow, session
from tests.integration.rooms import TOKENS
from tests.unit.gateway.city import CITY, STREET, TREE, name, warning

SLOW = 64 << 10
MANY = 4_000
"""Warnings of 2 kB: more than what waits and what the kernel takes together."""
LONG = name("长" * 256)
TAKEN = 64 << 10


class Node:
    """A live server with its view, and where it listens."""

    def __init__(self) -> None:
        self.view = View(TREE)
        self.metrics = CollectorRegistry()
        self.live = LiveServer(
            view=self.view,
            tokens=Tokens(TOKENS, TREE),
            accounts=cast("Accounts", None),
            refused=AsyncMock(),
            proxies=Proxies(""),
            clock=SystemClock(),
            partitions=1,
            slow_bytes=SLOW,
            metrics=self.metrics,
        )
        self.url = ""

    def tell(self, *warnings: Warning) -> None:
        """Send warnings to all that watch, in one frame."""
        for one in warnings:
            self.view.take_warning(one, one.model_dump_json().encode())
        self.live.flush(values=False)

    @property
    def cut(self) -> float:
        return self.metrics.get_sample_value("tongguan_live_closed_total", {"code": "1013"}) or 0


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    made = Node()
    server = await asyncio.get_running_loop().create_server(made.live.connection, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    turning = asyncio.create_task(made.live.turn(0.05, 10))
    try:
        yield made
    finally:
        turning.cancel()
        await made.live.close()
        await asyncio.wait(made.live.handler_tasks or {turning}, timeout=5)
        server.close()


def many(rev: int = 1) -> list[Warning]:
    return [warning(at, rev, street=STREET, sensor_name=LONG, rule_name=LONG) for at in range(1, MANY + 1)]


async def test_a_burst_that_is_larger_than_what_may_wait_is_read_to_its_end(node: Node):
    async with session(node, CITY, **await narrow(node, TAKEN)) as one:
        assert not one.snapshot.warnings
        node.tell(*many())
        node.tell(warning(1, 2))
        await one.until(lambda one: len(one.warnings) > MANY, "all of the burst and what came after")
        assert [(each.id.int, each.rev) for each in one.warnings] == [(at, 1) for at in range(1, MANY + 1)] + [(1, 2)]
    assert node.cut == 0


async def test_one_that_does_not_read_is_cut_by_the_next_burst(node: Node):
    async with session(node, CITY, **await narrow(node, TAKEN)):
        node.tell(*many())
        assert node.cut == 0
        node.tell(*many(2))
        assert node.cut == 1
