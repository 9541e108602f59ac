"""The replay of the pipe's flow: the recording, its re-timing, and the process as it is run."""

import asyncio
import json
import math
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
import structlog
from click.testing import CliRunner

from feeds.publisher import Event
from feeds.water_flow import KEY, START, Place, RecordingError, Row, Settings, feed, load, locate, main, playing, reading
from schemas.base import Origin
from schemas.envelope import EventType
from schemas.observation import Measurement

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def row(number, flow=100.0):
    return Row(number, NOW, flow)


def quiet():
    log = structlog.testing.LogCapture()
    return structlog.wrap_logger(None, processors=[log]), log.entries


class Clock:
    """Each look is a second later."""

    def __init__(self):
        self.at = NOW

    def __call__(self):
        self.at += timedelta(seconds=1)
        return self.at


# The recording


def test_the_recording_is_the_one_described():
    recording = load(locate())
    assert len(recording.rows) == 1268
    assert recording.skipped == 0
    assert recording.missing_hours == 111
    assert [one.number for one in recording.rows] == list(range(1268))
    assert all(math.isfinite(one.flow) and 24 < one.flow < 110 for one in recording.rows)
    assert all(before.recorded < after.recorded for before, after in zip(recording.rows, recording.rows[1:], strict=False))


def test_unusable_rows_are_counted_and_left_out(tmp_path):
    path = tmp_path / "flow.csv"
    path.write_text(
        "Time,Water flow [l/s]\n"
        "2022-03-20T11:00:00+01:00,100.5\n"
        "2022-03-20T12:00:00+01:00,\n"
        "2022-03-20T13:00:00+01:00,NaN\n"
        "2022-03-20T14:00:00+01:00,inf\n"
        "2022-03-20T15:00:00+01:00\n"
        "yesterday,100\n"
        "2022-03-20T16:00:00,100\n"
        "2022-03-20T17:00:00+01:00,101.5\n",
        encoding="utf-8",
    )
    recording = load(path)
    assert [(one.number, one.flow) for one in recording.rows] == [(0, 100.5), (7, 101.5)]
    assert (recording.skipped, recording.missing_hours) == (6, 5)


@pytest.mark.parametrize("text", ["", "Time,Water flow [l/s]\n", "Time,Water flow [l/s]\n2022-03-20T11:00:00+01:00,NaN\n"])
def test_a_recording_without_a_usable_row_is_none(tmp_path, text):
    path = tmp_path / "flow.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecordingError, match="no usable row"):
        load(path)


# Re-timing


def test_it_starts_over_at_the_end():
    rows = [row(0), row(1), row(2)]
    assert [(turn, one.number) for turn, one in islice(playing(rows, 1), 7)] == [(0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]


def test_a_start_at_a_row_that_was_left_out_is_the_next_usable_one():
    assert [one.number for _, one in islice(playing([row(0), row(4)], 2), 2)] == [4, 0]


def test_a_reading_is_of_now_and_says_that_it_is_replayed():
    made = reading(row(95, 51.53), turn=2, run="abc", sensor="lz-1", now=NOW)
    body = json.loads(made.body)
    assert (body["id"], body["type"], body["source"]) == ("abc-2-95", EventType.OBSERVATION, "/departments/water/replay/water-flow")
    assert datetime.fromisoformat(body["time"]) == NOW
    assert Measurement.model_validate_json(json.dumps(body["data"])) == Measurement(
        sensor="lz-1", values={"flow": 51.53}, end=NOW, origin=Origin.REPLAYED
    )
    assert isinstance(made, Event)
    assert made.place == 95


async def play(server, **changes):
    settings = {"ingest": f"{server.url}/", "key": "tgk_x", "interval": 0.001, "start": 0, "readings": 5, "sensor": "lz-1", "state": None}
    log, entries = quiet()
    recording = changes.pop("recording", None) or load(locate())
    async with asyncio.timeout(10):
        await feed(Settings(**{**settings, **changes}), recording, clock=Clock(), log=log)
    return entries


async def test_each_row_becomes_one_reading_stamped_by_the_clock(ingest):
    server = ingest()
    entries = await play(server, start=93, readings=4)
    assert [event["data"]["values"]["flow"] for event in server.events] == [97.22, 51.53, 47.98, 24.27]
    assert [datetime.fromisoformat(event["time"]) for event in server.events] == [NOW + timedelta(seconds=n) for n in range(1, 5)]
    assert [event["id"].split("-", 1)[1] for event in server.events] == ["0-93", "0-94", "0-95", "0-96"]
    path, headers, _ = server.requests[0]
    assert path == "/v1/events"
    assert headers["Content-Type"] == "application/cloudevents+json"
    assert headers["Authorization"] == "Bearer tgk_x"
    assert entries[-1]["event"] == "stopped"
    assert (entries[-1]["accepted"], entries[-1]["unsent"]) == (4, 0)


async def test_the_end_of_the_data_is_told_and_ids_stay_unique(ingest):
    server = ingest()
    entries = await play(server, start=1266, readings=4)
    assert [event["id"].split("-", 1)[1] for event in server.events] == ["0-1266", "0-1267", "1-0", "1-1"]
    assert [entry["turn"] for entry in entries if entry["event"] == "recording_starts_over"] == [1]


async def test_readings_go_on_by_the_clock_while_ingest_is_away(ingest):
    server = ingest([(503, "")])
    await play(server, readings=20)
    assert [event["id"].rsplit("-", 1)[1] for event in server.events] == ["0", *(str(number) for number in range(20))]


async def test_the_interval_is_kept_without_drift(ingest):
    server = ingest()
    began = time.monotonic()
    await play(server, interval=0.02, readings=26)
    assert 0.5 <= time.monotonic() - began < 5


# The place across restarts


async def test_it_goes_on_where_it_was(ingest, tmp_path):
    server = ingest()
    state = tmp_path / "place.json"
    await play(server, state=state, start=10, readings=3)
    await play(server, state=state, start=10, readings=2)
    assert [event["id"].rsplit("-", 1)[1] for event in server.events] == ["10", "11", "12", "13", "14"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["place.json"]


async def test_after_the_last_row_it_goes_on_at_the_first(ingest, tmp_path):
    server = ingest()
    state = tmp_path / "place.json"
    state.write_text('{"next_row": 1268}', encoding="utf-8")
    await play(server, state=state, readings=1)
    assert server.events[0]["id"].endswith("-1-0")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"next_row": null}', '{"next_row": "x"}', "\x00"])
def test_a_broken_place_is_told_and_the_usual_start_taken(tmp_path, text):
    path = tmp_path / "place.json"
    path.write_text(text, encoding="utf-8")
    log, entries = quiet()
    assert Place(path, log).read(65) == 65
    assert [entry["event"] for entry in entries] == ["place_unreadable"]


def test_a_place_that_cannot_be_kept_is_told_once(tmp_path):
    log, entries = quiet()
    place = Place(tmp_path / "nowhere" / "place.json", log)
    assert place.read(65) == 65
    place.write(1)
    place.write(2)
    assert [entry["event"] for entry in entries] == ["place_not_kept"]


# The process


def environment(**changes):
    return {**os.environ, KEY: "tgk_x", **changes}


def run(*arguments, **changes):
    command = [sys.executable, "-m", "feeds.water_flow", *arguments]
    return subprocess.run(command, env=environment(**changes), capture_output=True, text=True, timeout=30, check=False)


def log_lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_run_as_a_process_it_publishes_and_says_so(ingest):
    server = ingest()
    done = run("--readings", "3", TONGGUAN_FEED_INGEST=server.url, TONGGUAN_FEED_INTERVAL="0.01")
    assert done.returncode == 0
    assert done.stdout == ""
    lines = log_lines(done.stderr)
    assert [line["event"] for line in lines] == ["recording_loaded", "replaying", "stopped"]
    assert all({"level", "timestamp", "service"} <= line.keys() for line in lines)
    assert lines[1]["start_row"] == START
    assert [event["data"]["sensor"] for event in server.events] == ["lz-water-pipe-01"] * 3
    assert all(event["data"]["origin"] == "replayed" for event in server.events)
    assert abs(datetime.fromisoformat(server.events[0]["time"]) - datetime.now(UTC)) < timedelta(minutes=1)  # noqa: TID251 - the process has the machine's clock
    assert "tgk_x" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("script", [[], [(0, "")], [(503, "")] * 50], ids=["at work", "hanging", "backing off"])
def test_a_signal_ends_it_without_waiting_for_what_is_under_way(ingest, number, script):
    server = ingest(script)
    command = [sys.executable, "-m", "feeds.water_flow", "--ingest", server.url]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        server.wait_for(1)
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)  # a request may take 30 s
    assert process.returncode == 0
    assert log_lines(errors)[-1]["event"] == "stopped"


def test_without_river_it_says_how_to_get_it_and_ends_with_3(monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "river", None)
    done = CliRunner().invoke(main, ["--ingest", "http://127.0.0.1:1"], env={KEY: "tgk_x"})
    assert done.exit_code == 3


def test_a_river_without_the_recording_ends_with_3_too(tmp_path):
    (tmp_path / "river").mkdir()
    (tmp_path / "river" / "__init__.py").write_text("raise AssertionError('river is imported')", encoding="utf-8")
    done = run("--ingest", "http://127.0.0.1:1", PYTHONPATH=str(tmp_path))
    assert done.returncode == 3
    (line,) = log_lines(done.stderr)
    assert (line["level"], line["event"]) == ("error", "no_recording")
    assert "water-flow.csv" in line["reason"]


@pytest.mark.parametrize(
    ("arguments", "key", "said"),
    [
        ([], "tgk_x", "TONGGUAN_FEED_INGEST"),
        (["--ingest", "http://h"], "", KEY),
        (["--ingest", "http://h"], "a\nb", KEY),
        (["--ingest", "http://h"], "钥匙", KEY),
        (["--ingest", "127.0.0.1:8801"], "tgk_x", "is not like"),
        (["--ingest", "http://h:x"], "tgk_x", "--ingest"),
        (["--ingest", "http://h", "--interval", "nan"], "tgk_x", "between"),
        (["--ingest", "http://h", "--interval", "0"], "tgk_x", "between"),
        (["--ingest", "http://h", "--interval", "inf"], "tgk_x", "between"),
        (["--ingest", "http://h", "--start", "-1"], "tgk_x", "--start"),
        (["--ingest", "http://h", "--start", "1268"], "tgk_x", "last row, 1267"),
    ],
)
def test_a_setting_that_cannot_work_is_named_and_ends_with_2(arguments, key, said):
    done = CliRunner().invoke(main, arguments, env={KEY: key, "COLUMNS": "200"})
    assert done.exit_code == 2
    assert said in done.output
