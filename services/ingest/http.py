"""The HTTP door for departments and devices: `POST /v1/events`, CloudEvents 1.0 structured, binary or batched."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from http import HTTPStatus

import msgspec
from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry, Counter
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from services.ingest.errors import IngestError, TooLarge, TooSlow, Unauthorised
from services.ingest.intake import Answer, Intake
from services.ingest.intake import Request as Delivery
from services.ingest.keys import Keys
from services.kit import logs
from services.kit.errors import Overloaded, Unavailable

_log = logs.get(__name__)

_DESCRIPTION = """
Publish one CloudEvent (`application/cloudevents+json`), one in binary mode (`ce-` headers), or a batch (`application/cloudevents-batch+json`).
The answer comes after Kafka has acknowledged: 202 all accepted; 207 some refused; 422 all refused; 400 the body cannot be read (what is
refused is kept with its reason in these three); 401 no valid key; 408 too slow; 413 too large; 503 not taken, send again after Retry-After.
"""
_NOT_TAKEN = (503, "not_taken", {"Retry-After": "2"})
_ANSWERS: dict[type[BaseException], tuple[int, str, dict[str, str]]] = {
    Unauthorised: (401, "unauthorised", {"WWW-Authenticate": "Bearer", "Connection": "close"}),
    TooLarge: (413, "too_large", {"Connection": "close"}),
    TooSlow: (408, "too_slow", {"Connection": "close"}),
    ClientDisconnect: (499, "client_gone", {}),  # counted; nobody reads it
    Unavailable: _NOT_TAKEN,
    asyncio.CancelledError: _NOT_TAKEN,
}


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


class Budget:
    """Bytes of bodies under way, bounded so that slow or many clients cannot fill the memory."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    @contextlib.contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """Yield what takes some for one request, given back at its end; it raises `Overloaded` when there are not so many left."""
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            if size > self._left:
                raise Overloaded("too many bodies are under way")
            self._left -= size
            taken += size

        try:
            yield take
        finally:
            self._left += taken


def app(intake: Intake, keys: Keys, *, max_body: int, max_waiting: int, body_s: float, metrics: CollectorRegistry) -> FastAPI:
    """Return the door."""
    door = FastAPI(title="Tongguan ingest", docs_url=None, redoc_url=None)
    budget = Budget(max_waiting)
    answers = Counter("tongguan_ingest_requests", "Requests by status", ["status"], registry=metrics)

    @door.post("/v1/events", summary="Publish events", description=_DESCRIPTION)
    async def events(request: Request) -> Response:
        with budget.share() as take:
            response = await _answer(request, intake, keys, lambda: _read(request, take, max_body, body_s))
        answers.labels(response.status_code).inc()
        return response

    return door


async def _answer(request: Request, intake: Intake, keys: Keys, read: Callable[[], Awaitable[bytes]]) -> Response:
    address = request.client.host if request.client else "unknown"
    try:
        sender = keys.sender(request.headers.get("authorization"))
        body = await read()
        content_type = request.headers.get("content-type", "")
        return _said(await intake.take(Delivery(body, content_type, request.headers, sender, address)))
    # The server cancels what is still under way when draining has taken too long.
    except (IngestError, Unavailable, ClientDisconnect, asyncio.CancelledError) as error:
        status, code, headers = next(answer for kind, answer in _ANSWERS.items() if isinstance(error, kind))
        _log.warning(code, address=address, error=str(error), content_length=request.headers.get("content-length"))
        detail = f"nothing is lost, send it again: {str(error) or 'the service stops'}" if status == HTTPStatus.SERVICE_UNAVAILABLE else str(error)
        problem = {"type": f"urn:tongguan:problem:{code}", "title": code, "status": status, "detail": detail}
        kind_of_answer = _Parting if "Connection" in headers else Response
        return kind_of_answer(msgspec.json.encode(problem), status, headers, media_type="application/problem+json")


async def _read(request: Request, take: Callable[[int], None], limit: int, within_s: float) -> bytes:
    """Return the body, read no further than its limit."""
    _refuse_larger(int(request.headers.get("content-length") or 0), limit)
    body = bytearray()
    try:
        async with asyncio.timeout(within_s):
            async for part in request.stream():
                take(len(part))
                body += part
                _refuse_larger(len(body), limit)
    except TimeoutError as error:
        raise TooSlow(f"the body did not end within {within_s:g} s; nothing of it is taken, send it again") from error
    return bytes(body)


def _refuse_larger(size: int, limit: int) -> None:
    if size > limit:
        raise TooLarge(f"the body is larger than {limit} bytes; send smaller batches")


def _said(answer: Answer) -> Response:
    status = 400 if answer.malformed else 422 if not answer.accepted else 207 if answer.refused else 202
    refused = [{"index": one.index, "id": one.id, **one.problem.model_dump()} for one in answer.refused]
    return Response(msgspec.json.encode({"accepted": answer.accepted, "refused": refused}), status, media_type="application/json")
