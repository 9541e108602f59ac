"""The supervisor over tiny real processes."""

import asyncio
import contextlib
import os
import signal
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from services.cli import supervisor as supervising
from services.cli.supervisor import ChildSpec, Stage, Supervisor, in_thread
from services.kit.embedded.command import Command
from tests.lanes import free_plan

PATIENT = "import signal, time; signal.signal(signal.SIGTERM, lambda *_: exit(0)); print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


class Bench:
    """A supervisor with a folder and what it said."""

    def __init__(self, folder: Path, tasks: asyncio.TaskGroup) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.changes = 0
        self.supervisor = Supervisor(tasks, self.said.append, self._changed)

    def _changed(self) -> None:
        self.changes += 1

    def start(self, name: str, code: str, **spec: object) -> supervising.Child:
        command = Command(name=name, argv=(sys.executable, "-c", textwrap.dedent(code)), cwd=self.folder, env=dict(os.environ))
        return self.supervisor.start(ChildSpec(command, **spec), self.folder / f"{name}.log")  # type: ignore[arg-type]

    async def until_up(self, *children: supervising.Child) -> None:
        for child in children:
            await until(lambda child=child: "up" in child.log.read_text())


async def until(true: object, limit: float = 10.0) -> None:
    deadline = time.monotonic() + limit
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def bench(folder: Path) -> AsyncIterator[Bench]:
    with contextlib.ExitStack() as after:
        async with asyncio.TaskGroup() as tasks:
            made = Bench(folder, tasks)
            after.callback(made.supervisor.close)
            try:
                yield made
            finally:
                made.supervisor.kill_all()


async def test_a_killed_child_comes_back_and_that_is_said_with_the_cause(tmp_path: Path):
    async with bench(tmp_path) as b:
        child = b.start("rules", PATIENT)
        await b.until_up(child)
        first = child.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: child.pid not in {None, first})
        assert child.restarts == 1
        assert child.last_exit == -signal.SIGKILL
        assert "rules has ended after" in b.said[0]
        assert "(signal SIGKILL); starting it again in 0.5 s" in b.said[0]
        assert b.changes >= 3


async def test_a_child_that_is_ready_again_is_told_of(tmp_path: Path):
    ready = False

    async def asked() -> bool:
        return ready

    async with bench(tmp_path) as b:
        child = b.start("rules", PATIENT, ready=asked)
        await b.until_up(child)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        await until(lambda: child.restarts == 1 and child.pid is not None)
        assert len(b.said) == 1
        ready = True
        await until(lambda: len(b.said) == 2)
        assert b.said[1].startswith("rules is ready again (")


async def test_a_crash_loop_is_named_with_its_last_words_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("services.cli.backoff.FIRST_S", 0.01)
    async with bench(tmp_path) as b:
        child = b.start("history", "print('no such table'); raise SystemExit(3)")
        await until(lambda: child.restarts >= 5)
        assert "CRASH LOOP, 4 times in a row: no such table (log: " in b.said[3]
        assert "CRASH LOOP" not in b.said[2]
        assert "exit code 3" in b.said[0]


async def test_what_cannot_be_started_is_tried_again(tmp_path: Path):
    async with bench(tmp_path) as b:
        command = Command(name="ghost", argv=(str(tmp_path / "none"),), cwd=tmp_path, env={})
        child = b.supervisor.start(ChildSpec(command), tmp_path / "ghost.log")
        await until(lambda: child.restarts == 1)
        assert "could not be started" in b.said[0]


async def test_a_child_that_says_never_again_is_left_alone(tmp_path: Path):
    async with bench(tmp_path) as b:
        child = b.start("feed", "print('there is no recording'); raise SystemExit(3)", give_up=frozenset({3}))
        await until(lambda: child.given_up)
        assert child.restarts == 0
        assert "says that trying again is of no use: there is no recording" in b.said[0]


async def test_the_drain_keeps_its_order(tmp_path: Path):
    code = """
        import signal, time
        def end(*_):
            time.sleep(0.2)
            with open('order', 'a') as file: file.write('%s ')
            exit(0)
        signal.signal(signal.SIGTERM, end)
        print('up', flush=True)
        time.sleep(60)
    """
    async with bench(tmp_path) as b:
        children = [b.start(name, code % name) for name in ("kafka", "history", "rules", "ingest", "feed")]
        await b.until_up(*children)
        stages = [Stage(("feed",), 1), Stage(("ingest",), 1), Stage(("rules", "history", "absent"), 1), Stage(("kafka",), 1)]
        began = time.monotonic()
        assert await b.supervisor.drain(stages, within_s=9) == []
        assert time.monotonic() - began < 2
        order = (tmp_path / "order").read_text().split()
        assert order[:2] == ["feed", "ingest"]
        assert set(order[2:4]) == {"rules", "history"}
        assert order[4] == "kafka"
        assert not psutil.Process().children()


async def test_who_is_late_is_killed_and_the_whole_ends_in_time(tmp_path: Path):
    async with bench(tmp_path) as b:
        children = [b.start(name, STUBBORN) for name in ("a", "b", "c")]
        await b.until_up(*children)
        began = time.monotonic()
        killed = await b.supervisor.drain([Stage(("a",), 5), Stage(("b",), 5), Stage(("c",), 5)], within_s=1.5)
        assert killed == ["a", "b", "c"]
        assert time.monotonic() - began < 2.5


async def test_nothing_is_restarted_while_draining(tmp_path: Path):
    async with bench(tmp_path) as b:
        first, second = b.start("first", STUBBORN), b.start("second", PATIENT)
        await b.until_up(first, second)
        drain = asyncio.create_task(b.supervisor.drain([Stage(("first",), 1), Stage(("second",), 1)], within_s=5))
        await asyncio.sleep(0.1)
        assert second.pid is not None
        os.kill(second.pid, signal.SIGKILL)
        await drain
        assert second.restarts == 0


async def test_kill_all_cuts_a_drain_short(tmp_path: Path):
    async with bench(tmp_path) as b:
        child = b.start("slow", STUBBORN)
        await b.until_up(child)
        drain = asyncio.create_task(b.supervisor.drain([Stage(("slow",), 60)], within_s=60))
        await asyncio.sleep(0.1)
        b.supervisor.kill_all()
        await asyncio.wait_for(drain, 2)


async def test_a_child_asked_to_end_while_it_waits_to_restart_ends_at_once(tmp_path: Path):
    async with bench(tmp_path) as b:
        child = b.start("dead", "raise SystemExit(1)", before_restart=lambda: time.sleep(30))
        await until(lambda: child.restarts == 1)
        began = time.monotonic()
        await b.supervisor.drain([Stage(("dead",), 5)], within_s=5)
        assert time.monotonic() - began < 1


async def test_a_child_that_does_not_answer_is_killed_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(supervising, "LIVEZ_EVERY_S", 0.1)
    port = free_plan().gateway
    code = f"""
        import http.server, sys
        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.server.asked = getattr(self.server, 'asked', 0) + 1
                self.send_response(200 if self.server.asked < 3 else 503)
                self.end_headers()
        http.server.ThreadingHTTPServer(('127.0.0.1', {port}), Answer).serve_forever()
    """
    async with bench(tmp_path) as b:
        child = b.start("gateway", code, admin_port=port)
        await until(lambda: child.restarts == 1)
        assert b.said[0] == "gateway has not answered /livez 3 times in a row; killing it"
        assert "it did not answer and was killed" in b.said[1]


async def test_no_process_survives_a_supervisor_that_is_killed(tmp_path: Path):
    code = f"""
        import asyncio, os, sys
        from pathlib import Path
        from services.cli.supervisor import ChildSpec, Supervisor
        from services.kit.embedded.command import Command
        async def main():
            async with asyncio.TaskGroup() as tasks:
                supervisor = Supervisor(tasks, print, lambda: None)
                command = Command('child', (sys.executable, '-c', 'import time; time.sleep(60)'), Path('/'), dict(os.environ))
                child = supervisor.start(ChildSpec(command), Path({str(tmp_path)!r}) / 'child.log')
                while child.pid is None: await asyncio.sleep(0.01)
                print(child.pid, flush=True)
        asyncio.run(main())
    """
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", textwrap.dedent(code), stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    pid = int(await process.stdout.readline())
    assert psutil.pid_exists(pid)
    process.kill()
    await process.wait()
    await until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


async def test_work_in_a_thread_gives_its_result_or_its_error():
    assert await in_thread(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)
