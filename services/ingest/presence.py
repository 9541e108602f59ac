"""Which devices of the field are connected, to which node, when they were last heard: in memory, and every few seconds in `ingest.devices`.

A door tells of devices that are registered, and only of these: their number is bounded by the registry, while strangers may call themselves anything.
A connection is known by the address of its other end (`host:port`), so that the end of an old one does not hide the new one of the same device.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.kit import database, logs
from services.kit.errors import Unavailable

_log = logs.get(__name__)

WRITE_S = 5.0
MOST_ROWS = 5_000
"""Written in one statement."""
KEPT_DAYS = 90
"""How long a device that is gone is remembered."""

_BEGIN = "update ingest.devices set gone_at = greatest(last_at, connected_at) where node = $1 and gone_at is null"
_FORGET = f"delete from ingest.devices where gone_at < clock_timestamp() - interval '{KEPT_DAYS} days'"  # noqa: S608 - a constant of ours
_WRITE = """
insert into ingest.devices as d (protocol, device, node, address, connected_at, last_at, gone_at, skew_s)
select t.protocol, t.device, $1, t.address, t.connected_at, t.last_at, t.gone_at, t.skew_s
from unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[], $8::float8[])
    as t (protocol, device, address, connected_at, last_at, gone_at, skew_s)
on conflict (protocol, device) do update set node = excluded.node, address = excluded.address, connected_at = excluded.connected_at,
    last_at = excluded.last_at, gone_at = excluded.gone_at, skew_s = coalesce(excluded.skew_s, d.skew_s)
    where d.node = excluded.node or d.connected_at <= excluded.connected_at
"""


@dataclass(slots=True)
class Connection:
    """The newest connection of one device to this node."""

    address: str
    connected_at: datetime
    last_at: datetime
    gone_at: datetime | None = None
    skew_s: float | None = None
    """How far ahead of our clock the device's was at last."""
    changed: bool = True


class Presence:
    """The devices of this node, of all its doors. To be used on one event loop."""

    def __init__(self, pool: database.Pool, node: str) -> None:
        self._pool = pool
        self._node = node
        self._devices: dict[tuple[str, str], Connection] = {}

    def connected(self, protocol: str, device: str, address: str, now: datetime) -> None:
        """Note that a registered device has told its name on a new connection; an older connection of its no longer counts."""
        self._devices[protocol, device] = Connection(address, now, now)

    def heard(self, protocol: str, device: str, now: datetime, skew_s: float | None = None) -> None:
        """Note a frame of a device that is connected, no other; `skew_s` is how far ahead of ours its clock is, where it says so."""
        one = self._devices.get((protocol, device))
        if one is None:
            return
        one.last_at, one.changed = now, True
        if skew_s is not None:
            one.skew_s = skew_s

    def gone(self, protocol: str, device: str, address: str, now: datetime) -> None:
        """Note that the connection from an address has ended; it changes nothing once the device has come by another."""
        one = self._devices.get((protocol, device))
        if one is not None and one.address == address:
            one.gone_at, one.changed = now, True

    async def run(self) -> None:
        """Write every `WRITE_S` until cancelled; while the database is away it is remembered here."""
        await database.retrying(self._begin, what="close the connections of an earlier process")
        while True:
            await asyncio.sleep(WRITE_S)
            await self.write()

    async def write(self) -> None:
        """Write what has changed; what cannot be written now is written next time. The doors call it once more when they close."""
        changed = [(key, one) for key, one in self._devices.items() if one.changed]
        for first in range(0, len(changed), MOST_ROWS):
            part = changed[first : first + MOST_ROWS]
            for _, one in part:
                one.changed = False
            try:
                await database.once(lambda part=part: self._store(part), what="write which devices are connected")  # type: ignore[misc]
            except Unavailable as error:
                for _, one in part:
                    one.changed = True
                _log.warning("devices_not_written", error=str(error))
                return
            for key, one in part:
                if one.gone_at is not None and not one.changed and self._devices.get(key) is one:
                    del self._devices[key]

    async def _begin(self) -> None:
        await self._pool.execute(_BEGIN, self._node)
        await self._pool.execute(_FORGET)

    async def _store(self, part: list[tuple[tuple[str, str], Connection]]) -> None:
        rows = sorted((*key, one.address, one.connected_at, one.last_at, one.gone_at, one.skew_s) for key, one in part)
        columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
        await self._pool.execute(_WRITE, self._node, *columns)
