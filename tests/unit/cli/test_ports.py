import os
import socket
import sys

import pytest

from services.cli import ports, preflight


def test_the_plan_of_the_default_base():
    named = ports.PortPlan(8800).named()
    assert named["gateway"] == 8800
    assert named["ingest"] == 8801
    assert [named[f"{room}_admin"] for room in ("ingest", "rules", "history", "alerts", "gateway", "watchdog")] == list(range(8811, 8817))
    assert (named["kafka"], named["kafka_controller"], named["database"]) == (8821, 8822, 8831)


def test_no_two_share_a_port():
    numbers = list(ports.PortPlan(20_000).named().values())
    assert len(numbers) == len(set(numbers))


def test_a_free_plan_is_free_and_out_of_the_way_of_clients():
    plan = ports.free_plan()
    assert all(ports.is_free(port) for port in plan.named().values())
    assert 10_000 <= plan.base < 32_000


def test_a_taken_port_is_named_with_who_holds_it():
    plan = ports.free_plan()
    with socket.create_server(("127.0.0.1", plan.kafka)):
        (problem,) = preflight.ports(plan, "127.0.0.1")
    assert f"port {plan.kafka}, for kafka, is taken by" in problem.what
    assert f"pid {os.getpid()}" in problem.what
    assert "--port-base" in problem.mend


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere this machine has one loopback address only")
def test_a_port_for_devices_may_be_taken_on_the_address_that_they_come_by():
    plan = ports.free_plan()
    with socket.create_server(("127.0.0.2", plan.hj212)), socket.create_server(("127.0.0.2", plan.gb26875)):
        assert list(preflight.ports(plan, "127.0.0.1")) == []
        assert len(list(preflight.ports(plan, "127.0.0.2"))) == 2


def test_all_taken_ports_are_named_at_once():
    plan = ports.free_plan()
    with socket.create_server(("127.0.0.1", plan.gateway)), socket.create_server(("127.0.0.1", plan.database)):
        assert len(list(preflight.ports(plan, "127.0.0.1"))) == 2


def test_a_port_that_is_taken_on_the_public_address_only():
    plan = ports.free_plan()
    with socket.create_server(("127.0.0.2", plan.ingest)):
        assert list(preflight.ports(plan, "127.0.0.1")) == []
        (problem,) = preflight.ports(plan, "127.0.0.2")
    assert "for ingest" in problem.what


def test_a_port_left_by_a_server_that_was_killed_is_free():
    plan = ports.free_plan()
    with socket.create_server(("127.0.0.1", plan.gateway)) as server:
        client = socket.create_connection(("127.0.0.1", plan.gateway))
        accepted, _ = server.accept()
        accepted.close()  # the server closes first: its end lingers in TIME_WAIT
        client.close()
    assert ports.is_free(plan.gateway)
