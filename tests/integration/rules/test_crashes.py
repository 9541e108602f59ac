"""An owner dies at each numbered step of a commit; what its successor leaves is what one undisturbed run tells, each revision posted once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import pytest
from aiokafka import TopicPartition

from services.kit import database, partitions
from services.rules.domain.revision import Forward, Revision
from services.rules.store import Store
from tests.integration.rules.test_snapshots import BEGUN, ROUND, START, log, round_of, tell, undisturbed
from tests.integration.rules.workers import NEVER, TP, Workers, batch, position

ROUNDS = 6


class Crash(Exception):
    """The process is gone, and its connection with it."""


class Crashing(Store):
    """Dies at a step of one commit, before or after it."""

    step = ""
    commits_left = 0

    async def commit(
        self,
        claims: partitions.Claims,
        offsets: Mapping[TopicPartition, int],
        warnings: Sequence[Revision],
        forwards: Sequence[Forward] = (),
    ) -> int:
        self.commits_left -= 1
        self._die("before 1")
        new = await super().commit(claims, offsets, warnings, forwards)
        self._die("after 4")
        return new

    async def _advance(self, connection: database.Connection, claims: partitions.Claims, offsets: Mapping[TopicPartition, int]) -> None:
        await super()._advance(connection, claims, offsets)
        self._die("after 1")

    async def _tell(self, connection: database.Connection, warnings: Sequence[Revision]) -> int:
        new = await super()._tell(connection, warnings)
        self._die("after 2")
        await self._forward(connection, [])
        return new

    async def _forward(self, connection: database.Connection, forwards: Sequence[Forward]) -> None:
        await super()._forward(connection, forwards)
        self._die("after 3")

    def _die(self, step: str) -> None:
        if self.step == step and self.commits_left == 0:
            raise Crash


@pytest.mark.parametrize("snapshot_s", [NEVER, 1e-6])
@pytest.mark.parametrize("step", ["before 1", "after 1", "after 2", "after 3", "after 4"])
async def test_a_crash_at_any_step_of_a_commit_loses_and_doubles_nothing(pool: asyncpg.Pool, workers: Workers, step: str, snapshot_s: float):
    def crashing(*parts: Any) -> Crashing:
        store = Crashing(*parts)
        store.step, store.commits_left = step, 3
        return store

    worker = workers.new(snapshot_s, crashing)
    await worker.assign([TP])
    await worker.work(batch(START))
    second, crashed = 0, False
    while not crashed:
        if snapshot_s < 1:
            await workers.written(worker, BEGUN + second * ROUND)
        second += 1
        try:
            await worker.work(batch(round_of(second), BEGUN + (second - 1) * ROUND))
        except Crash:
            crashed = True
    assert second < ROUNDS
    successor = workers.new()
    (at,) = (await successor.assign([TP])).values()
    assert at == (BEGUN + (second - 1) * ROUND if snapshot_s < 1 else 0)
    await successor.work(batch(log(ROUNDS)[at:], at))
    assert await tell(pool) == undisturbed(log(ROUNDS))
    assert await position(pool) == len(log(ROUNDS))
