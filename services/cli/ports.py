"""Which port is whose, and who sits on one that is taken."""

from __future__ import annotations

import contextlib
import fcntl
import random
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

ADMIN = {"ingest": 11, "rules": 12, "history": 13, "alerts": 14, "gateway": 15, "watchdog": 16}
SERVERS = ("kafka", "database")
"""The servers that are embedded unless outside ones are named."""
_LAST = 31
# Below the range from which systems take ports for outgoing connections (Linux 32768, others 49152): a broker that comes
# back must find its port free, and no client may have been given it meanwhile.
_FREE_RANGE = range(10_000, 32_000)
_FREE_TRIES = 200


@dataclass(frozen=True, slots=True)
class PortPlan:
    """All ports of one `up`, from one base."""

    base: int

    @property
    def gateway(self) -> int:
        """Pages, REST and live sockets."""
        return self.base

    @property
    def ingest(self) -> int:
        """Where departments publish."""
        return self.base + 1

    @property
    def hj212(self) -> int:
        """Where monitors that speak HJ 212 send."""
        return self.base + 2

    @property
    def gb26875(self) -> int:
        """Where fire transmission devices that speak GB/T 26875.3 send."""
        return self.base + 3

    @property
    def mqtt(self) -> int:
        """The MQTT broker of devices."""
        return self.base + 4

    @property
    def kafka(self) -> int:
        """The broker."""
        return self.base + 21

    @property
    def controller(self) -> int:
        """Kafka's controller, for the broker only."""
        return self.base + 22

    @property
    def database(self) -> int:
        """PostgreSQL."""
        return self.base + _LAST

    def admin(self, room: str) -> int:
        """Where a service tells how it is."""
        return self.base + ADMIN[room]

    def named(self, servers: Collection[str] = SERVERS) -> dict[str, int]:
        """Return all by name, of the embedded servers only these."""
        public = {"gateway": self.gateway, "ingest": self.ingest, "hj212": self.hj212, "gb26875": self.gb26875, "mqtt": self.mqtt}
        kafka = {"kafka": self.kafka, "kafka_controller": self.controller} if "kafka" in servers else {}
        database = {"database": self.database} if "database" in servers else {}
        return public | kafka | database | {f"{room}_admin": self.admin(room) for room in ADMIN}


def is_free(port: int, address: str = "127.0.0.1") -> bool:
    """Tell whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_plan() -> PortPlan:
    """Return a plan all of whose ports are free now; they are not held, so the caller starts soon."""
    for _ in range(_FREE_TRIES):
        plan = PortPlan(random.randrange(_FREE_RANGE.start, _FREE_RANGE.stop - _LAST, _LAST + 1))
        if all(is_free(port) for port in plan.named().values()):
            return plan
    raise OSError(f"no free block of {_LAST + 1} ports was found from {_FREE_RANGE.start} to {_FREE_RANGE.stop}")


def hold(plan: PortPlan, locks: Path) -> IO[str]:
    """Return the lock of a block of ports, held until it is closed or we die, however that happens.

    Between the look at a port and the server that listens there lies a second; the lock keeps another `up` of this user out of it.
    Raises `BlockingIOError` when that one has it, `OSError` when no lock can be made in the folder.
    """
    locks.mkdir(parents=True, exist_ok=True)
    lock = (locks / f"{plan.base}.lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise
    return lock


def holders() -> Mapping[int, str]:
    """Return, for each listening port whose owner we may know, the process as `name (pid 1)`."""
    found: dict[int, str] = {}
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.pid and connection.laddr:
                with contextlib.suppress(psutil.Error):
                    found[connection.laddr.port] = f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return found
