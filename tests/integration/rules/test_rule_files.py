"""Rules from files while the service runs: what changes is published, what is bad is named and harms no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.kit.topics import RULES
from tests.integration.parts import Servers, Service, Tape, eventually
from tests.integration.rooms import write_city

Changes = dict[str, Any]


def rule(id_: str, version: int = 1, **fields: Any) -> dict[str, Any]:
    tiers = {"yellow": {"up": {"limit": 80}, "down": {"limit": 70, "for": 60}}}
    name = {"zh": id_, "en": id_}
    return {"id": id_, "version": version, "name": name, "applies": {"metric": "flow"}, "direction": "above", "unit": "1", "tiers": tiers} | fields


class Folder:
    """The city's rule files."""

    def __init__(self, folder: Path) -> None:
        self.city = write_city(folder)
        self._rules = folder / "rules"

    def write(self, content: Changes | bytes, file: str | None = None) -> None:
        path = self._rules / f"{file or content['id']}.yaml"  # type: ignore[call-overload]  # bytes come with a file's name
        path.write_bytes(content if isinstance(content, bytes) else yaml.safe_dump(content, allow_unicode=True).encode())

    def remove(self, file: str) -> None:
        (self._rules / f"{file}.yaml").unlink()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "city")


async def published(tape: Tape, count: int) -> list[tuple[str, int, int]]:
    """Return (rule, version, meaning) of what was published, once there is so much."""
    records = await tape.until(lambda found: len(found) >= count, f"{count} rules")
    bodies = [json.loads(record.value or b"") for record in records]
    assert [record.key for record in records] == [body["rule"]["id"].encode() for body in bodies]
    return [(body["rule"]["id"], body["rule"]["version"], body["meaning"]) for body in bodies]


async def named(service: Service, *words: str) -> None:
    """Return once the log names a problem by all of some words, and only once."""

    async def told() -> bool:
        return any(all(word in event["problem"] for word in words) for event in service.events("rule_set_aside"))

    await eventually(told, f"a problem with {words} in:\n{service.log}")


async def test_rule_files_are_read_while_it_runs(servers: Servers, database: str, start: Callable[..., Service], folder: Folder):
    run: Callable[[], Service] = lambda: start(  # noqa: E731
        "rules", TONGGUAN_KAFKA=servers.kafka, TONGGUAN_DATABASE=database, TONGGUAN_CITY=str(folder.city), TONGGUAN_RULES__RELOAD_S="0.2"
    )
    tape = await Tape.of(servers.kafka, RULES)
    for id_ in ("r1", "r2", "r3", "r4"):
        folder.write(rule(id_))
    folder.write(rule("huge", 20_261_122_080_000))
    service = run()
    expected = [("r1", 1, 1), ("r2", 1, 1), ("r3", 1, 1), ("r4", 1, 1)]
    assert await published(tape, 4) == expected
    await named(service, "huge.yaml", "version", "less than 2147483648")

    # Bad files of many kinds; each is named, the good ones beside them are taken.
    folder.write(b"id: [", "no-yaml")
    folder.write("name: 流量".encode("gbk"), "gbk")
    folder.write(b"", "empty")
    folder.write(rule("wrong", tiers={"yellow": {"up": {"limit": 70}, "down": {"limit": 80}}}))
    folder.write(rule("r1"), "twice")
    folder.write(rule("r3", name={"zh": "改了", "en": "changed"}))
    folder.write(rule("r1", 2, name={"zh": "新名", "en": "New name"}))
    folder.write(rule("r2", 2, unit="2"))
    expected += [("r1", 2, 1), ("r2", 2, 2)]
    assert sorted((await published(tape, 6))[4:]) == expected[4:]
    for words in (
        ("no-yaml.yaml", "is not YAML"),
        ("gbk.yaml", "UTF-8"),
        ("empty.yaml",),
        ("wrong.yaml", "the way down must lie on the good side"),
        ("twice.yaml", "stands in another file already"),
        ("r3", "without raising its version 1"),
    ):
        await named(service, *words)

    folder.write(rule("r2", 1))
    folder.remove("r4")
    folder.write(rule("r1", 3, enabled=False))
    folder.write(rule("wrong"))
    assert sorted((await published(tape, 8))[6:]) == [("r1", 3, 3), ("wrong", 1, 1)]
    await named(service, "r2", "has version 1, but 2 is in force")
    await named(service, "r4", "has no file")
    folder.remove("r1")  # not in force: its file may go

    # What is published already is not published again, and each problem was told once.
    assert await service_is_unmoved(service, tape, 8)
    problems = [event["problem"] for event in service.events("rule_set_aside")]
    assert len(problems) == len(set(problems))
    assert not any("rule r1 is in force" in problem for problem in problems)
    assert service.stop() == 0
    again = run()
    await again.ready()
    await named(again, "r4", "has no file")
    assert await service_is_unmoved(again, tape, 8)


async def service_is_unmoved(service: Service, tape: Tape, count: int) -> bool:
    """Say whether nothing more was published after the service has looked again."""
    await service.ready()
    turned = service.metric("process_cpu_seconds_total")

    async def looked() -> bool:
        return service.metric("process_cpu_seconds_total") > turned + 0.05

    await eventually(looked, "the service to look at its files again")
    return len(await tape.records()) == count
