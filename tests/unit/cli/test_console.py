import io

import pytest

from services.cli import console


def test_plain_lines_begin_with_the_seconds():
    stream = io.StringIO()
    told = console.open_console(stream)
    with told.step("Kafka") as step:
        step.now("too early to be told")
    told.say("done")
    assert stream.getvalue().splitlines() == ["[   0.0 s] Kafka …", "[   0.0 s] done"]


def test_a_long_step_tells_how_far_it_is_and_how_long_it_took(monkeypatch: pytest.MonkeyPatch):
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    told = console.PlainConsole(stream)
    with told.step("download") as step:
        now[0] = 2.5
        step.now("3 of 46")
        step.now("4 of 46")
    assert stream.getvalue().splitlines() == ["[   0.0 s] download …", "[   2.5 s] download: 3 of 46", "[   2.5 s] download: done in 2.5 s"]


def test_a_terminal_that_went_away_stops_nothing():
    stream = io.StringIO()
    told = console.PlainConsole(stream)
    stream.close()
    told.say("into the void")


def test_a_terminal_shows_steps_and_keeps_their_ends(monkeypatch: pytest.MonkeyPatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    told = console.open_console(stream)
    assert isinstance(told, console.LiveConsole)
    with told.step("PostgreSQL") as first:
        first.now("[bold] is no markup")
        with told.step("Kafka"):
            told.say("said between")
    with told.step("again"):
        pass
    told.close()
    for part in ("✓ PostgreSQL", "✓ Kafka", "said between", "✓ again"):
        assert part in stream.getvalue()
