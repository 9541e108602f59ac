"""Which partition is whose, and how far it has come: offsets live in PostgreSQL and move in the transaction of their effects.

Each room that consumes has a table `<room>.partitions` (made by its own migration with the columns used here) and is its only writer.
Each assignment raises the partition's epoch by one; a commit with an older epoch is refused, so that an owner that was thought dead
(a zombie) changes nothing. A position is of one topic epoch: on a topic that was made anew it starts at 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiokafka import TopicPartition

from services.kit.database import Connection
from services.kit.errors import Fenced, Misconfigured


@dataclass(frozen=True, slots=True)
class Claim:
    """An assignment: its epoch, and the offset of the first record whose effects are not committed."""

    epoch: int
    next_offset: int
    topic_epoch: str


Claims = Mapping[TopicPartition, Claim]

STOPPED_S = 4
"""A transaction whose process does nothing for so long is ended by the server: one that was stopped (SIGSTOP, a frozen machine) holds rows locked
that its successor, who comes after a session of 6 s, waits for. Set in the statement that locks, so it costs no round trip."""

LONGEST_S = 30
"""A transaction that takes so long is ended by the server, whatever it does. One that was stopped between the preparation of a statement and its
execution does not count as idle: asyncpg asks for these two one by one."""

_ARMED = f"select set_config('idle_in_transaction_session_timeout', '{STOPPED_S}s', true), set_config('transaction_timeout', '{LONGEST_S}s', true)"

_CLAIM = f"""
with armed as ({_ARMED})
insert into {{room}}.partitions as p (topic, partition, topic_epoch, epoch, next_offset)
select t.topic, t.partition, k.epoch, 1, 0
from armed, unnest($1::text[], $2::int[]) as t (topic, partition) join kit.topics k on k.name = t.topic
order by t.topic, t.partition
on conflict (topic, partition) do update set
    epoch = p.epoch + 1,
    next_offset = case when p.topic_epoch = excluded.topic_epoch then p.next_offset else 0 end,
    topic_epoch = excluded.topic_epoch
returning topic, partition, epoch, next_offset, topic_epoch
"""  # noqa: S608 - constants of ours

_ADVANCE = f"""
with armed as ({_ARMED}), mine as (
    select m.topic, m.partition, m.next_offset
    from armed, unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[]) as m (topic, partition, epoch, next_offset)
    join {{room}}.partitions p using (topic, partition)
    where p.epoch = m.epoch
    for update of p
)
update {{room}}.partitions p set next_offset = greatest(p.next_offset, mine.next_offset)
from mine where p.topic = mine.topic and p.partition = mine.partition
"""  # noqa: S608 - constants of ours


async def arm(connection: Connection) -> None:
    """Have the server end the caller's transaction when its process is stopped. `claim`, `advance` and `hold` do it by themselves."""
    await connection.execute(_ARMED)


async def claim(connection: Connection, room: str, taken: Iterable[TopicPartition]) -> dict[TopicPartition, Claim]:
    """Become the owner of some partitions. Raises `Misconfigured` when a topic is not in `kit.topics`."""
    wanted = sorted(taken)
    rows = await connection.fetch(_CLAIM.format(room=room), [tp.topic for tp in wanted], [tp.partition for tp in wanted])
    claims = {TopicPartition(row["topic"], row["partition"]): Claim(row["epoch"], row["next_offset"], str(row["topic_epoch"])) for row in rows}
    if missing := [tp for tp in wanted if tp not in claims]:
        raise Misconfigured(f"topics {sorted({tp.topic for tp in missing})} are not in kit.topics; run the topics step of `up` first")
    return claims


async def advance(connection: Connection, room: str, claims: Claims, offsets: Mapping[TopicPartition, int]) -> None:
    """Move offsets on inside the caller's transaction; never back.

    Raises `Fenced` when a partition was never claimed or has a new owner: roll back then.
    """
    moved = sorted(offsets)
    if strangers := [tp for tp in moved if tp not in claims]:
        raise Fenced(f"{room} has not claimed {[f'{tp.topic}/{tp.partition}' for tp in strangers]}")
    status = await connection.execute(
        _ADVANCE.format(room=room),
        [tp.topic for tp in moved],
        [tp.partition for tp in moved],
        [claims[tp].epoch for tp in moved],
        [offsets[tp] for tp in moved],
    )
    if status != f"UPDATE {len(moved)}":
        raise Fenced(f"{room} no longer owns all of {[f'{tp.topic}/{tp.partition}' for tp in moved]}")


async def hold(connection: Connection, room: str, tp: TopicPartition, claim: Claim) -> None:
    """See to it that a partition is still ours until the caller's transaction has committed.

    Meanwhile `claim` and `advance` of others wait: ask last where the transaction is long. Raises `Fenced`: roll back then.
    """
    found = await connection.fetchval(
        f"with armed as ({_ARMED}) select true from armed, {room}.partitions where topic = $1 and partition = $2 and epoch = $3"  # noqa: S608 - the room's own name
        " for share of partitions",
        tp.topic,
        tp.partition,
        claim.epoch,
    )
    if not found:
        raise Fenced(f"{room} no longer owns {tp.topic}/{tp.partition}")
