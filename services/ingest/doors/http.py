"""The HTTP door for departments and devices: `POST /v1/events`, CloudEvents 1.0 structured, binary or batched, packed by gzip or not.

A request is let in by its key and its department's quota, read within limits, unpacked within limits, judged with what its key is good for by then,
and answered once Kafka has all of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from importlib import resources

import msgspec
from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry, Counter
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from schemas.city import Department, Quota
from schemas.rejected import Problem
from services.ingest.domain.accept import Sender
from services.ingest.domain.quota import Bucket
from services.ingest.door import Door
from services.ingest.doors import openapi
from services.ingest.errors import IngestError, NotUnpacked, TooLarge, TooMany, TooSlow, Unauthorised
from services.ingest.intake import Answer, Intake
from services.ingest.intake import Request as Delivery
from services.ingest.keys import Keys
from services.ingest.stopping import Stopped
from services.kit import logs
from services.kit.clock import Clock
from services.kit.errors import Unavailable

_log = logs.get(__name__)

_NOT_TAKEN = (503, "not_taken", {"Retry-After": "2"})
_ANSWERS: dict[type[BaseException], tuple[int, str, dict[str, str]]] = {
    Unauthorised: (401, "unauthorised", {"WWW-Authenticate": "Bearer", "Connection": "close"}),
    TooLarge: (413, "too_large", {"Connection": "close"}),
    TooSlow: (408, "too_slow", {"Connection": "close"}),
    NotUnpacked: (415, "not_unpacked", {"Accept-Encoding": "gzip", "Connection": "close"}),
    TooMany: (429, "too_many", {"Connection": "close"}),
    ClientDisconnect: (499, "client_gone", {}),  # counted; nobody reads it
    Stopped: (503, "stopped", {"Retry-After": "60"}),
    Unavailable: _NOT_TAKEN,
    asyncio.CancelledError: _NOT_TAKEN,
}
SHARE_S = 1
"""When somebody comes back whose department's share of bodies under way was full."""
QUOTA = Quota(per_s=20_000, burst=100_000)
LINGER_BYTES = 16 << 20
LINGER_S = 2.0
"""How much, and for how long, a client may go on sending what nobody wants before it is cut off."""


class _Parting(Response):
    """An answer before the end of its request, and the last of its connection.

    What the client is still sending is thrown away for a while: closing on unread data resets the connection, and many clients, which
    read only after they have sent all, would never learn why.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, linger, close."""
        del scope
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                await _discard(receive)
        await send({"type": "http.response.body"})


async def _discard(receive: Receive) -> None:
    left = LINGER_BYTES
    while left > 0:
        message = await receive()
        if not message.get("more_body"):
            return
        left -= len(message["body"])


class Shares:
    """Bytes of bodies under way, bounded for each department, so that none fills the memory or keeps the others waiting."""

    def __init__(self, each: int) -> None:
        self._each = each
        self._taken: dict[str, int] = {}

    @contextlib.contextmanager
    def of(self, department: str) -> Iterator[Callable[[int], None]]:
        """Yield what takes some for one request, given back at its end; it raises `TooMany` when there are not so many left."""
        own = 0

        def take(size: int) -> None:
            nonlocal own
            if self._taken.get(department, 0) + size > self._each:
                raise TooMany(f"bodies of {department} under way together are larger than {self._each} bytes: send fewer at once", SHARE_S)
            self._taken[department] = self._taken.get(department, 0) + size
            own += size

        try:
            yield take
        finally:
            self._taken[department] = self._taken.get(department, 0) - own


class Quotas:
    """What each department may still send."""

    def __init__(self, clock: Clock, departments: Iterable[Department], default: Quota) -> None:
        self._clock = clock
        self._own = {one.id: one.quota for one in departments if one.quota is not None}
        self._default = default
        self._buckets: dict[str, Bucket] = {}

    def let_in(self, department: str) -> None:
        """Raise `TooMany` while its quota is used up."""
        if wait := self._bucket(department).wait(self._clock.monotonic()):
            quota = self._own.get(department, self._default)
            raise TooMany(f"the quota of {department} at this node is {quota.per_s:g} events/s, and {quota.burst} at once", math.ceil(wait))

    def charge(self, department: str, events: int) -> None:
        """Count what it sent."""
        self._bucket(department).charge(events, self._clock.monotonic())

    def _bucket(self, department: str) -> Bucket:
        bucket = self._buckets.get(department)
        if bucket is None:
            quota = self._own.get(department, self._default)
            bucket = self._buckets[department] = Bucket(quota.per_s, quota.burst, self._clock.monotonic())
        return bucket


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Of bodies."""

    max_body: int
    """Bytes, packed and unpacked."""
    share: int
    """Bytes of a department's bodies under way together."""
    body_s: float

    @classmethod
    def shared(cls, *, max_body: int, max_waiting: int, body_s: float, departments: int) -> Limits:
        """Share `max_waiting` out among departments; each may have one largest body under way, however many they are."""
        return cls(max_body=max_body, share=max(max_waiting // max(departments, 1), max_body), body_s=body_s)


class HttpDoor:
    """What answers `POST /v1/events`."""

    def __init__(self, *, intake: Intake, door: Door, keys: Keys, quotas: Quotas, limits: Limits) -> None:
        self._intake = intake
        self._door = door
        self._keys = keys
        self._quotas = quotas
        self._limits = limits
        self._shares = Shares(limits.share)
        self._clock = intake.clock

    async def answer(self, request: Request) -> Response:
        """Take a request's events; every error is an answer."""
        address = request.client.host if request.client else "unknown"
        try:
            return _said(await self._taken(request, address))
        # The server cancels what is still under way when draining has taken too long.
        except (IngestError, Unavailable, ClientDisconnect, asyncio.CancelledError) as error:
            return _problem(error, address, request.headers.get("content-length"))

    async def _taken(self, request: Request, address: str) -> Answer:
        key = self._keys.key(request.headers.get("authorization"), self._clock.now())
        department = key.sender.department
        self._quotas.let_in(department)
        packed = _is_packed(request.headers.getlist("content-encoding"))
        with self._shares.of(department) as take:
            body = await _read(request, take, self._limits)
            sender = self._keys.still(key, self._clock.now())
            answer = await self._judged(request, body, sender, address, take if packed else None)
        self._quotas.charge(department, max(1, answer.accepted + len(answer.refused)))
        return answer

    async def _judged(self, request: Request, body: bytes, sender: Sender, address: str, unpack: Callable[[int], None] | None) -> Answer:
        delivery = Delivery(body, request.headers.get("content-type", ""), request.headers, sender, address)
        if unpack is None:
            return await self._intake.take(delivery, self._door)
        try:
            unpacked = unzip(body, self._limits.max_body)
        except (zlib.error, EOFError) as error:
            problem = Problem(code="bad_gzip", where="", message=f"the body is no whole gzip: {error}", hint="send it again, or without gzip")
            return await self._intake.refuse(delivery, problem, self._door)
        unpack(max(0, len(unpacked) - len(body)))
        return await self._intake.take(Delivery(unpacked, delivery.content_type, delivery.headers, sender, address), self._door)


def app(
    intake: Intake,
    door: Door,
    keys: Keys,
    *,
    max_body: int,
    max_waiting: int,
    body_s: float,
    metrics: CollectorRegistry,
    departments: Sequence[Department] = (),
    quota: Quota = QUOTA,
) -> FastAPI:
    """Return the application: the door, and what it says of itself. `quota` is that of departments that have none of their own."""
    limits = Limits.shared(max_body=max_body, max_waiting=max_waiting, body_s=body_s, departments=len(departments))
    http = HttpDoor(intake=intake, door=door, keys=keys, quotas=Quotas(intake.clock, departments, quota), limits=limits)
    api = FastAPI(title="Tongguan ingest", docs_url=None, redoc_url=None)
    answers = Counter("tongguan_ingest_requests", "Requests by status", ["status"], registry=metrics)

    @api.post("/v1/events", summary="Publish events", description=openapi.DESCRIPTION, **openapi.OPERATION)
    async def events(request: Request) -> Response:
        response = await http.answer(request)
        answers.labels(response.status_code).inc()
        return response

    @api.get("/asyncapi.json", summary="What stands on the topics (AsyncAPI 3)", include_in_schema=False)
    async def asyncapi() -> Response:
        file = resources.files("schemas") / "asyncapi.json"
        if not file.is_file():
            return Response(status_code=404)
        return Response(file.read_bytes(), media_type="application/json")

    openapi.describe(api)
    return api


def _is_packed(encodings: Iterable[str]) -> bool:
    """Say whether a body is packed by gzip; raises `NotUnpacked` for anything else, and for packings in packings."""
    named = [one for line in encodings for one in (part.strip().lower() for part in line.split(",")) if one not in ("", "identity")]
    if named in (["gzip"], ["x-gzip"]):
        return True
    if named:
        raise NotUnpacked(f"Content-Encoding {', '.join(named)[:100]} is not taken: send gzip once, or nothing")
    return False


def unzip(body: bytes, limit: int) -> bytes:
    """Return what one member of gzip (RFC 1952) holds, unpacked no further than the limit.

    Raises `TooLarge` for more, EOFError for less than a whole one, `zlib.error` for what is none.
    """
    member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    found = member.decompress(body, limit + 1)
    if len(found) > limit:
        ratio = len(found) / (len(body) - len(member.unconsumed_tail))
        raise TooLarge(f"the body unpacks to more than {limit} bytes, to {ratio:.0f} times its size so far; send smaller batches")
    if not member.eof:
        raise EOFError("it ends before its end")
    if member.unused_data:
        raise zlib.error("something follows after its end")
    return found


async def _read(request: Request, take: Callable[[int], None], limits: Limits) -> bytes:
    """Return the body, read no further than its limit."""
    _refuse_larger(int(request.headers.get("content-length") or 0), limits.max_body)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_s):
            async for part in request.stream():
                take(len(part))
                body += part
                _refuse_larger(len(body), limits.max_body)
    except TimeoutError as error:
        raise TooSlow(f"the body did not end within {limits.body_s:g} s; nothing of it is taken, send it again") from error
    return bytes(body)


def _refuse_larger(size: int, limit: int) -> None:
    if size > limit:
        raise TooLarge(f"the body is larger than {limit} bytes; send smaller batches")


def _problem(error: BaseException, address: str, content_length: str | None) -> Response:
    status, code, headers = next(answer for kind, answer in _ANSWERS.items() if isinstance(error, kind))
    _log.warning(code, address=address, error=str(error), content_length=content_length)
    if isinstance(error, Stopped):
        headers = {**headers, "Retry-After": str(math.ceil(error.after_s))}
    if isinstance(error, TooMany):
        headers = {**headers, "Retry-After": str(error.seconds)}
    detail = f"nothing is lost, send it again: {str(error) or 'the service stops'}" if status == HTTPStatus.SERVICE_UNAVAILABLE else str(error)
    problem = {"type": f"urn:tongguan:problem:{code}", "title": code, "status": status, "detail": detail}
    kind_of_answer = _Parting if "Connection" in headers else Response
    return kind_of_answer(msgspec.json.encode(problem), status, headers, media_type="application/problem+json")


def _said(answer: Answer) -> Response:
    status = 400 if answer.malformed else 422 if not answer.accepted else 207 if answer.refused else 202
    refused = [{"index": one.index, "id": one.id, **one.problem.model_dump()} for one in answer.refused]
    return Response(msgspec.json.encode({"accepted": answer.accepted, "refused": refused}), status, media_type="application/json")
