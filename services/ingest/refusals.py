"""What was refused, laid out for the departments: kept, sent again as it came or mended, or discarded.

Kept are the newest `MOST` of a department, or so many as `MOST_BYTES` hold, for `KEPT_DAYS`; what goes before its time is counted, and stands on
`city.rejected` as long. Who sends rubbish by the thousand a second costs one statement a poll and pushes out nobody else's.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import asyncpg
import msgspec

from schemas.command import Discard, SendAgain
from schemas.outcome import Outcome
from schemas.rejected import KEPT_BYTES, SAID, Problem, Rejected
from services.ingest.domain.accept import Refused, Sender
from services.ingest.domain.cloudevents import BATCHED, Malformed, media_type, split
from services.ingest.domain.registry import Registry
from services.ingest.intake import Intake, Judged, late
from services.ingest.worker import Decision
from services.kit import database, logs
from services.kit.clock import Clock
from services.kit.database import Connection
from services.kit.errors import Unavailable

_log = logs.get(__name__)

KEPT_DAYS = 30
"""As long as `city.rejected` is kept."""
MOST = 20_000
MOST_BYTES = 256 << 20
STEP = 1_000
"""So many rows are deleted in one statement."""
UNKNOWN = frozenset({"unknown_sensor", "unknown_device"})
MOST_UNKNOWN = 2_000
"""Of a department: who makes names up pushes out only its own, the longest unheard first."""
SAMPLE = 1_000
"""Characters of what a device said that are shown beside its name."""
AGAIN_BYTES = 4 << 20
"""Bodies that one command judges, as many as a request may have; more would keep the node from its devices."""
CLOUDEVENTS = frozenset({"http", "inbound"})
"""The protocols of doors that take CloudEvents, whatever Content-Type came with them."""
AGAIN = "again"
"""The door in `ingest.flow` of what was sent again."""
PRUNE_S = 60.0

_KEEP = """
insert into ingest.rejected (
    id, department, adapter, address, content_type, received_at, code, "where", message, hint, event, sensor, body, size, sha256)
select t.* from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[], $8::text[], $9::text[],
    $10::text[], $11::text[], $12::text[], $13::bytea[], $14::int[], $15::text[])
    as t (id, department, adapter, address, content_type, received_at, code, place, message, hint, event, sensor, body, size, sha256)
where t.received_at > clock_timestamp() - make_interval(days => $16)
on conflict do nothing returning id, department, length(body) as bytes
"""
_GROWN = """
insert into ingest.refusals as r (department, kept, bytes, left_out) select * from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
on conflict (department) do update set kept = r.kept + excluded.kept, bytes = r.bytes + excluded.bytes, left_out = r.left_out + excluded.left_out
returning department, kept, bytes
"""
_OLDEST = f"""
with gone as (
    delete from ingest.rejected where id in (select id from ingest.rejected where department = $1 order by received_at, id limit {STEP})
    returning length(body) as bytes
) select count(*) as rows, coalesce(sum(bytes), 0)::bigint as bytes from gone
"""  # noqa: S608 - a constant of ours
_OUTDATED = f"""
with gone as (
    delete from ingest.rejected where id in (
        select id from ingest.rejected where received_at < clock_timestamp() - interval '{KEPT_DAYS} days' order by received_at limit {STEP})
    returning department, length(body) as bytes
) select department, count(*) as rows, sum(bytes)::bigint as bytes from gone group by department order by department
"""  # noqa: S608 - constants of ours
_HEARD = """
insert into ingest.unknown as u (adapter, device, department, first_at, last_at, count, sample)
select * from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bigint[], $7::jsonb[])
on conflict (adapter, device, department) do update set last_at = greatest(u.last_at, excluded.last_at), count = u.count + excluded.count,
    sample = excluded.sample
"""
_UNHEARD = f"""
delete from ingest.unknown u where (u.adapter, u.device, u.department) in (
    select o.adapter, o.device, o.department from ingest.unknown o where o.department = $1
    order by o.last_at desc, o.adapter, o.device offset {MOST_UNKNOWN})
"""  # noqa: S608 - a constant of ours
_WANTED = """
select id, adapter, content_type, body, size, state, received_at from ingest.rejected where department = $1 and id = any($2)
order by received_at, id for update
"""
_BECAME = """
update ingest.rejected r set state = t.state, changed_at = $4, changed_by = $5, again = t.again
from unnest($1::uuid[], $2::text[], $3::jsonb[]) as t (id, state, again) where r.id = t.id
"""
_DISCARD = """
update ingest.rejected set state = 'discarded', changed_at = $3, changed_by = $4, again = $5
where department = $1 and id = any($2) and state = 'kept' returning id
"""
_COUNTED = """
insert into ingest.flow as f (department, door, minute, observations, reports, refused, late)
values ($1, $2, date_trunc('minute', $3::timestamptz), $4, $5, 0, $6)
on conflict (department, minute, door) do update set observations = f.observations + excluded.observations,
    reports = f.reports + excluded.reports, late = f.late + excluded.late
"""
_PRUNE = (
    "delete from ingest.commands where id in (select id from ingest.commands where decided_at < clock_timestamp() - interval '30 days' limit 1000)",
    "delete from ingest.flow where ctid in (select ctid from ingest.flow where minute < clock_timestamp() - interval '400 days' limit 1000)",
    "delete from ingest.doors where said_at < clock_timestamp() - interval '1 day'",
)


_GONE = Problem(
    code="not_there", where="rejected", message="the department has no such refusal, or it is kept no longer", hint="city.rejected has it for 30 days"
)
_LEFT = Problem(code="too_much", where="rejected", message="it is too much for one command", hint="send these again by another command")
_TRUNCATED = Problem(
    code="truncated",
    where="",
    message=f"only the first {KEPT_BYTES} bytes of it are kept",
    hint="publish it again from where it came: size and SHA-256 tell which it was",
)
_NO_JUDGE = Problem(
    code="no_judge", where="", message="no door of this release judges what came by that protocol", hint="open its door, or upgrade ingest"
)
_NOTHING = Problem(code="nothing", where="", message="nothing in it is to be taken, such as in a heartbeat", hint="mend it, or discard it")
_NOT_JUDGED = Problem(code="not_judged", where="", message="", hint="tell whoever runs the platform; send it again after")


class Judge(Protocol):
    """Judges a body as its door did when it came first: pure."""

    def __call__(self, body: bytes, content_type: str, department: str, registry: Registry, now: datetime, received: datetime) -> Judged:
        """Return what becomes of it; `now` is our clock's time, `received` when it came first: the time of what says none itself."""
        ...


# Kept


class Ledger:
    """Lays out what was refused (`services.ingest.worker.Keeper`)."""

    async def keep(self, connection: Connection, refused: Sequence[Rejected]) -> None:
        """Keep what is new of it, and let the oldest go: a repetition changes nothing."""
        rows = await connection.fetch(_KEEP, *_columns(refused), KEPT_DAYS)
        kept = {row["id"] for row in rows}
        counts, sizes = Counter(row["department"] for row in rows), Counter[str]()
        for row in rows:
            sizes[row["department"]] += row["bytes"]
        await _grow(connection, [(each, counts[each], sizes[each], 0) for each in sorted(counts)])
        await _hear(connection, [one for one in refused if one.id in kept and one.problem.code in UNKNOWN and one.sensor])

    async def prune(self, pool: database.Pool) -> None:
        """Let go what is too old, in small steps, until cancelled; so too of what else of ingest is kept for a time only."""
        while True:
            try:
                more = await database.once(lambda: _prune(pool), what="let go what was refused long ago")
            except Unavailable as error:
                more = False
                _log.warning("not_pruned", error=str(error))
            await asyncio.sleep(1.0 if more else PRUNE_S)


async def _grow(connection: Connection, changes: Sequence[tuple[str, int, int, int]]) -> None:
    """Count rows and bytes by department, and delete the oldest of whoever has too many."""
    columns = [list(column) for column in zip(*changes, strict=True)]
    for row in await connection.fetch(_GROWN, *columns) if changes else ():
        department, kept, size = row["department"], row["kept"], row["bytes"]
        gone_rows = gone_bytes = 0
        while kept - gone_rows > MOST or size - gone_bytes > MOST_BYTES:
            gone = await connection.fetchrow(_OLDEST, department)
            if gone is None or not gone["rows"]:
                break
            gone_rows, gone_bytes = gone_rows + gone["rows"], gone_bytes + gone["bytes"]
        if gone_rows:
            await connection.execute(_GROWN, [department], [-gone_rows], [-gone_bytes], [gone_rows])


async def _hear(connection: Connection, strangers: Sequence[Rejected]) -> None:
    """Note whom nobody registered."""
    by_name: dict[tuple[str, str, str], list[Rejected]] = {}
    for one in strangers:
        by_name.setdefault((*_device(one), one.department), []).append(one)
    rows = [
        (*key, min(one.received for one in ones), max(one.received for one in ones), len(ones), _sample(ones[-1]))
        for key, ones in sorted(by_name.items())
    ]
    if not rows:
        return
    await connection.execute(_HEARD, *(list(column) for column in zip(*rows, strict=True)))
    for department in sorted({department for _, _, department in by_name}):
        await connection.execute(_UNHEARD, department)


def _device(one: Rejected) -> tuple[str, str]:
    """Return the protocol, and the device's name in it or the sensor's id."""
    protocol = one.adapter.partition("@")[0]
    return protocol, _text(one.sensor or "").removeprefix(f"{protocol}:")


def _sample(one: Rejected) -> str:
    said = _text(base64.b64decode(one.body)[: 4 * SAMPLE].decode("utf-8", "replace"))[:SAMPLE]
    return msgspec.json.encode({"rejected": str(one.id), "content_type": one.content_type, "said": said}).decode()


async def _prune(pool: database.Pool) -> bool:
    """Delete one step of each; returns whether there may be more of what was refused."""
    async with pool.acquire() as connection, connection.transaction():
        gone = await connection.fetch(_OUTDATED)
        if gone:
            columns = [[row["department"] for row in gone], [-row["rows"] for row in gone], [-row["bytes"] for row in gone], [0 for _ in gone]]
            await connection.fetch(_GROWN, *columns)
    for statement in _PRUNE:
        await pool.execute(statement)
    return sum([int(row["rows"]) for row in gone]) == STEP


def _columns(refused: Sequence[Rejected]) -> list[list[Any]]:
    rows = [
        (
            one.id,
            one.department,
            one.adapter,
            one.address,
            _text(one.content_type),
            one.received,
            one.problem.code,
            _text(one.problem.where),
            _text(one.problem.message),
            _text(one.problem.hint),
            None if one.event is None else _text(one.event),
            None if one.sensor is None else _text(one.sensor),
            base64.b64decode(one.body),
            one.size,
            one.sha256,
        )
        for one in refused
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _text(said: str) -> str:
    """Return text that PostgreSQL can keep: what was refused may hold U+0000."""
    return said.replace("\x00", "\N{REPLACEMENT CHARACTER}")


# Sent again


@dataclass(frozen=True)
class _Became:
    """What became of one that was sent again."""

    rejected: UUID
    became: str
    """`accepted`, `refused`, `already`, `truncated`, `unknown` (not the department's, or kept no longer) or `left` (too much for one command)."""
    judged: Judged = field(default_factory=Judged)
    problem: Problem | None = None

    @property
    def told(self) -> dict[str, Any]:
        """As the outcome tells it."""
        told = {"rejected": str(self.rejected), "became": self.became, "accepted": len(self.judged.observations) + len(self.judged.reports)}
        return told | ({"problem": _said(self.problem)} if self.problem else {})


class Mending:
    """Decides what is to be done about what was refused (`services.ingest.worker.Decider`). Only the command's department is touched."""

    kinds = frozenset({"send_again", "discard"})

    def __init__(self, intake: Intake, clock: Clock, max_items: int, judges: Mapping[str, Judge] | None = None) -> None:
        """`judges` are by the beginning of the media type that the doors of devices keep with what they refuse."""
        self._intake = intake
        self._clock = clock
        self._max_items = max_items
        self._judges = judges or {}

    async def decide(self, connection: Connection, command: SendAgain | Discard) -> Decision:
        """Decide one command; what is accepted is posted in the same transaction."""
        if isinstance(command, Discard):
            return await _discarded(connection, command)
        if command.mended is not None and len(set(command.rejected)) != 1:
            return _refused(Problem(code="several", where="rejected", message="one is mended at a time", hint="name the one that is mended"))
        try:
            mended = None if command.mended is None else base64.b64decode(command.mended, validate=True)
        except binascii.Error:
            return _refused(Problem(code="not_base64", where="mended", message="it is no base64", hint="send the bytes as base64"))
        became = await self._again(connection, command, mended)
        await self._write(connection, command, became, mended)
        accepted = [one for one in became if one.judged.observations or one.judged.reports]
        outcome = Outcome.APPLIED if accepted else Outcome.ALREADY if all(one.became == "already" for one in became) else Outcome.REFUSED
        problems = [_said(one.problem) for one in became if one.problem][:20]
        detail = {"results": [one.told for one in became], "problems": problems}
        return Decision(outcome, detail, [posting for one in accepted for posting in self._intake.postings(one.judged)])

    async def _again(self, connection: Connection, command: SendAgain, mended: bytes | None) -> list[_Became]:
        rows = {row["id"]: row for row in await connection.fetch(_WANTED, command.department, command.rejected)}
        became: list[_Became] = []
        left = AGAIN_BYTES
        for id_ in dict.fromkeys([*rows, *command.rejected]):  # as they came: quality control and rules go by what was before
            row = rows.get(id_)
            left -= len(row["body"]) if row is not None else 0
            became.append(_became(id_, "left", _LEFT) if left < 0 else self._one(id_, row, command.department, mended))
            await asyncio.sleep(0)  # the doors of this node go on between two of them
        return became

    def _one(self, id_: UUID, row: asyncpg.Record | None, department: str, mended: bytes | None) -> _Became:
        if row is None:
            return _became(id_, "unknown", _GONE)
        if row["state"] == "sent_again":
            return _Became(id_, "already")
        if mended is None and row["size"] > len(row["body"]):
            return _became(id_, "truncated", _TRUNCATED)
        body = row["body"] if mended is None else mended
        judged = self._judge(body, row, department)
        if judged.refused:
            more = f" (and {len(judged.refused) - 1} more)" if len(judged.refused) > 1 else ""
            first = judged.refused[0].problem
            return _Became(id_, "refused", judged, first.model_copy(update={"message": f"{first.message}{more}"}))
        return _Became(id_, "accepted", judged)

    def _judge(self, body: bytes, row: asyncpg.Record, department: str) -> Judged:
        """Judge what came or is mended; something becomes of it in any case."""
        try:
            judged = self._by_door(body, row, department)
        except Exception as error:  # noqa: BLE001 - the command would come again for ever, and hold up all that stands behind it
            _log.exception("not_judged_again", rejected=str(row["id"]), department=department)
            return Judged(refused=[Refused(_NOT_JUDGED.model_copy(update={"message": f"our mistake: {error!r}"[:SAID]}), None, body)])
        return judged if judged.observations or judged.reports or judged.refused else Judged(refused=[Refused(_NOTHING, None, body)])

    def _by_door(self, body: bytes, row: asyncpg.Record, department: str) -> Judged:
        registry, now = self._intake.known, self._clock.now()
        if row["adapter"].partition("@")[0] in CLOUDEVENTS:
            return self._events(body, department, registry, now)
        kind = media_type(row["content_type"])
        judge = next((judge for prefix, judge in self._judges.items() if kind.startswith(prefix)), None)
        if judge is None:
            return Judged(refused=[Refused(_NO_JUDGE, None, body)])
        return judge(body, row["content_type"], department, registry, now, row["received_at"])

    def _events(self, body: bytes, department: str, registry: Registry, now: datetime) -> Judged:
        """Judge CloudEvents: a batch that could not be read was kept whole, of one that could each event was kept by itself."""
        items = [body]
        if body.lstrip()[:1] == b"[":
            try:
                items = split(body, BATCHED, {}, self._max_items)
            except Malformed as malformed:
                return Judged(refused=[Refused(malformed.problem, None, body)])
        return self._intake.judge(items, Sender(department), registry, now)[0]

    async def _write(self, connection: Connection, command: SendAgain, became: Sequence[_Became], mended: bytes | None) -> None:
        """Note what became of each that was judged; what is posted counts with its own door in the flow."""
        judged = [one for one in became if one.became in {"accepted", "refused"}]
        how = {} if mended is None else {"mended": hashlib.sha256(mended).hexdigest()}
        states = ["sent_again" if one.became == "accepted" else "kept" for one in judged]
        again = [msgspec.json.encode({**one.told, **how, "command": str(command.id)}).decode() for one in judged]
        await connection.execute(_BECAME, [one.rejected for one in judged], states, again, command.at, command.actor.id)
        observations = [one for each in judged for one in each.judged.observations]
        reports = sum(len(one.judged.reports) for one in judged)
        if observations or reports:
            counts = (len(observations), reports, sum(map(late, observations)))
            await connection.execute(_COUNTED, command.department, AGAIN, self._clock.now(), *counts)


async def _discarded(connection: Connection, command: Discard) -> Decision:
    told = msgspec.json.encode({"note": command.note, "command": str(command.id)}).decode()
    rows = await connection.fetch(_DISCARD, command.department, command.rejected, command.at, command.actor.id, told)
    return Decision(Outcome.APPLIED if rows else Outcome.ALREADY, {"discarded": [str(row["id"]) for row in rows]})


def _became(id_: UUID, became: str, problem: Problem) -> _Became:
    return _Became(id_, became, problem=problem)


def _said(problem: Problem) -> dict[str, str]:
    """Return a problem as the database can keep it: its path may name what somebody sent."""
    return {name: _text(text) for name, text in problem.model_dump().items()}


def _refused(problem: Problem) -> Decision:
    return Decision(Outcome.REFUSED, {"problems": [_said(problem)]})
