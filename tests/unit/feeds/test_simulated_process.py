"""The simulator as it is run, against a real HTTP server."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from schemas.observation import Measurement

LANZHOU = Path(__file__).parents[3] / "cities" / "620100"
KEYS = {"water": "w-key", "drainage": "d-key", "housing": "h-key", "fire": "f-key"}


@pytest.fixture
def run():
    """A function that starts the simulator; what still runs at the end is killed."""
    running = []

    def start(url, *, keys=KEYS, city=LANZHOU, **environment):
        told = {"TONGGUAN_FEED_INGEST": url, "TONGGUAN_FEED_CITY": str(city), "TONGGUAN_FEED_KEYS": json.dumps(keys)} | environment
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TONGGUAN")}
        process = subprocess.Popen([sys.executable, "-m", "feeds.simulated"], env=clean | told, stderr=subprocess.PIPE, text=True)
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def stop(process):
    """End it as a supervisor does; returns its log."""
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 0, errors
    return [json.loads(line) for line in errors.splitlines()]


def test_each_department_publishes_its_own_in_batches_with_its_own_key(ingest, run):
    server = ingest()
    process = run(server.url, TONGGUAN_FEED_SCENARIOS="building-fire")
    server.wait_for(25)
    log = stop(process)
    events = [entry["event"] for entry in log if entry["event"] != "hydraulics"]
    assert events == ["devices_left_out", "devices_left_out", "devices_left_out", "simulating", "stopped"]
    assert {entry["protocol"]: entry["sensors"] for entry in log[:3]} == {"gb26875": 400, "hj212": 200, "mqtt": 40}
    assert (log[3]["sensors"], log[3]["devices"]) == (123, 0)
    sent = Counter()
    for path, headers, body in server.requests:
        assert path == "/v1/events"
        assert headers["Content-Type"] == "application/cloudevents-batch+json"
        events = json.loads(body)
        sent[headers["Authorization"]] += len(events)
        for event in events:
            department = next(name for name, key in KEYS.items() if headers["Authorization"] == f"Bearer {key}")
            assert event["source"] == f"/departments/{department}/simulated"
            assert Measurement.model_validate_json(json.dumps(event["data"])).end is not None
    assert sent.keys() == {f"Bearer {key}" for key in KEYS.values()}
    ids = [event["id"] for _, _, body in server.requests for event in json.loads(body)]
    assert len(set(ids)) == len(ids)
    assert abs(log[-1]["accepted"] - len(ids)) <= 20
    assert log[-1]["refused"] == log[-1]["dropped"] == 0


def test_after_an_outage_it_goes_on_with_the_same_bytes_and_every_batch_once(ingest, run):
    first = ingest([(503, "")] * 8)
    process = run(first.url)
    first.wait_for(30)
    log = stop(process)
    answered = [body for _, _, body in first.requests[8:]]
    assert len(set(answered)) == len(answered)
    assert {body for _, _, body in first.requests[:8]} <= set(answered)
    assert {entry["event"] for entry in log} >= {"ingest_unavailable", "ingest_is_back"}


@pytest.mark.parametrize("script", [[(0, "")] * 4, [(503, "")] * 500], ids=["hanging", "backing off"])
def test_a_signal_ends_it_in_order_while_ingest_is_away(ingest, run, script):
    server = ingest(script)
    process = run(server.url)
    server.wait_for(4)
    log = stop(process)
    assert log[-1]["event"] == "stopped"
    assert log[-1]["accepted"] == 0
    assert log[-1]["unsent"] > 0


def test_a_department_without_a_key_is_told_and_the_others_go_on(ingest, run):
    server = ingest()
    process = run(server.url, keys={"fire": "f-key"})
    server.wait_for(4)
    log = stop(process)
    assert log[0]["departments"] == ["drainage", "housing", "water"]
    assert {headers["Authorization"] for _, headers, _ in server.requests} == {"Bearer f-key"}


def test_a_city_without_a_simulation_ends_with_three(tmp_path, run):
    process = run("http://127.0.0.1:1", city=tmp_path)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 3
    assert "has no simulation.yaml" in errors


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"TONGGUAN_FEED_SCENARIOS": "building-fire, flood"}, "there is no scenario 'flood'"),
        ({"TONGGUAN_FEED_KEYS": "{"}, "TONGGUAN_FEED_KEYS must hold the departments' keys as JSON"),
        ({"TONGGUAN_FEED_KEYS": '{"water": "a b"}'}, "the keys of ['water'] cannot stand in a header"),
        ({"TONGGUAN_FEED_PACE": "0"}, "Invalid value for '--pace'"),
        ({"TONGGUAN_FEED_HJ212": "127.0.0.1"}, "'127.0.0.1' is not like 127.0.0.1:8802"),
        ({"TONGGUAN_FEED_GB26875": "host:70000"}, "'host:70000' is not like 127.0.0.1:8802"),
        ({"TONGGUAN_FEED_MQTT": "http://broker"}, "this is not like mqtt://user:password@127.0.0.1:1883"),
        ({"TONGGUAN_FEED_INGEST": "here"}, "is not like http://127.0.0.1:8801"),
    ],
)
def test_a_setting_that_cannot_work_ends_with_two(run, environment, said):
    process = run("http://127.0.0.1:1", **environment)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 2
    assert said in " ".join(errors.replace("│", " ").split())
