import asyncio
import json
import os
from pathlib import Path

import pytest

from services.cli.logs import Echo, RotatingLog, loud, pump, words


def test_a_full_log_is_set_aside_and_the_oldest_goes(tmp_path: Path):
    log = RotatingLog(tmp_path / "x.log", max_bytes=10, keep=2)
    for number in range(5):
        log.write(f"line-{number}\n".encode())
    log.close()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"x.log": "line-4\n", "x.log.1": "line-3\n", "x.log.2": "line-2\n"}


def test_a_log_goes_on_where_the_last_run_stopped(tmp_path: Path):
    for word in (b"one\n", b"two\n"):
        log = RotatingLog(tmp_path / "x.log")
        log.write(word)
        log.close()
    assert (tmp_path / "x.log").read_text() == "one\ntwo\n"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (json.dumps({"level": "info", "event": "started"}), None),
        (json.dumps({"level": "warning", "event": "late", "age_s": 5, "service": "rules"}), "warning: late age_s=5"),
        (json.dumps({"level": "error", "event": "no", "exception": "Traceback"}), "error: no"),
        ("{not json", None),
        ("[1]", None),
        ("2026-11-22 15:34:14.760 UTC [1] LOG:  received fast shutdown request", None),
        ("2026-11-22 15:34:14.760 UTC [1] FATAL:  no room", "2026-11-22 15:34:14.760 UTC [1] FATAL: no room"),
        ("2026-11-22 15:34:14.760 UTC [1] FATAL:  the database system is starting up", None),
        ("2026-11-22T15:34:14.382Z WARN org.apache - x", None),
        ("2026-11-22T15:34:14.382Z ERROR org.apache - x", "2026-11-22T15:34:14.382Z ERROR org.apache - x"),
    ],
)
def test_what_reaches_the_terminal(line: str, shown: str | None):
    assert loud(line) == shown


def test_a_long_line_is_shortened():
    told = loud(json.dumps({"level": "error", "event": "x" * 1000}))
    assert told is not None
    assert len(told) == 200
    assert told.endswith("…")


def test_the_words_of_a_last_line():
    assert words(json.dumps({"level": "critical", "event": "crashed", "exception": "a\n  | ValueError: no\n  +-----"})) == "crashed ValueError: no"
    assert words("  | ConnectionError: gone") == "ConnectionError: gone"
    assert words("    +------------------------------------") == ""


def test_a_flood_is_counted_instead_of_shown():
    shown: list[str] = []
    now = [0.0]
    echo = Echo(shown.append, lambda: now[0])
    for number in range(100):
        echo.line(json.dumps({"level": "error", "event": str(number)}))
    assert shown == [f"error: {number}" for number in range(5)]
    now[0] = 11.0
    echo.line(json.dumps({"level": "error", "event": "later"}))
    assert shown[5:] == ["… and 95 more such lines, see its log", "error: later"]


async def test_the_pump_keeps_all_and_splits_lines(tmp_path: Path):
    read, write = os.pipe()
    log = RotatingLog(tmp_path / "x.log")
    lines: list[str] = []
    pumping = asyncio.create_task(pump(read, log, lines.append))
    words = ["统管", "", "x" * 100_000, "end"]
    await asyncio.to_thread(os.write, write, ("\n".join(words) + "\n").encode())
    os.close(write)
    await asyncio.wait_for(pumping, 5)
    log.close()
    assert (tmp_path / "x.log").read_text() == "\n".join(words) + "\n"
    assert lines[:2] == words[:2]
    assert lines[-1] == "end"
