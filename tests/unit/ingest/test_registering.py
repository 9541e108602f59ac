"""Commands about the registry that no file and no crowd of others can hold up."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from aiokafka import TopicPartition

from services.ingest import registering
from services.ingest.worker import IngestWorker
from services.kit.consumer import Read
from services.kit.topics import COMMANDS, REJECTED


class Server:
    """A connection that is only asked whether it lives."""

    asked = 0

    async def execute(self, query: str) -> None:
        assert query == "select 1"
        self.asked += 1


async def test_what_cannot_be_computed_or_takes_too_long_is_refused_not_tried_for_ever(monkeypatch: pytest.MonkeyPatch):
    def broken() -> None:
        raise RecursionError

    connection: Any = Server()
    beside = registering._Beside(connection)
    assert await beside(lambda: 1) == 1
    with pytest.raises(registering._Beaten, match="cannot be judged"):
        await beside(broken)
    monkeypatch.setattr(registering, "ALIVE_S", 0.01)
    monkeypatch.setattr(registering, "LONGEST_S", 0.02)
    end = threading.Event()
    with pytest.raises(registering._Beaten, match="too long"):
        await registering._Beside(connection)(lambda: end.wait(10))
    end.set()
    assert connection.asked == 3


def test_each_command_of_ours_is_decided_in_a_transaction_of_its_own():
    class Decider:
        kinds = frozenset({"import_sensors"})

    nothing: Any = None
    worker = IngestWorker(nothing, nothing, nothing, [Decider()], nothing, nothing)  # type: ignore[list-item] # it decides nothing here
    values = [b'{"kind": "comment"}', b'{"kind": "import_sensors"}', b'{"kind": "import_sensors"}', b"no JSON", None]
    commands, refused = TopicPartition(COMMANDS, 0), TopicPartition(REJECTED, 0)
    records = {tp: [Read(tp.topic, 0, offset, 0, None, value, ()) for offset, value in enumerate(values)] for tp in (commands, refused)}
    parts = [(tp, [record.offset for record in part]) for one in worker._parts(records) for tp, part in one.items()]
    assert parts == [(refused, [0, 1, 2, 3, 4]), (commands, [0, 1]), (commands, [2]), (commands, [3, 4])]
