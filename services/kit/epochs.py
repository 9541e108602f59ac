"""Topics that were made anew: what a room wrote on them before is gone, and must be written again.

Each room that must know has a table `<room>.sent_to` (made by its own migration with the columns used here).
"""

from __future__ import annotations

from collections.abc import Sequence

from services.kit.database import Connection


async def made_anew(connection: Connection, room: str, topics: Sequence[str]) -> bool:
    """Say whether any of some topics was made anew since the room last asked; their epochs are remembered in the caller's transaction."""
    changed = await connection.fetch(
        f"insert into {room}.sent_to as s (topic, epoch) select name, epoch from kit.topics where name = any($1)"  # noqa: S608 - the room's own name
        " on conflict (topic) do update set epoch = excluded.epoch where s.epoch <> excluded.epoch returning topic",
        list(topics),
    )
    return bool(changed)
