"""The HTTP door for departments and devices: `POST /v1/events`, CloudEvents 1.0 structured, binary or batched."""

from __future__ import annotations

import msgspec
from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry, Counter

from services.ingest.errors import TooLarge, Unauthorised
from services.ingest.intake import Answer, Intake
from services.ingest.intake import Request as Delivery
from services.ingest.keys import Keys
from services.kit import logs
from services.kit.errors import Overloaded, Unavailable

_log = logs.get(__name__)

_DESCRIPTION = """
Publish one CloudEvent (`application/cloudevents+json`), one in binary mode (`ce-` headers), or a batch (`application/cloudevents-batch+json`).
The answer comes after Kafka has acknowledged: 202 all accepted; 207 some refused; 422 all refused; 400 the body cannot be read (what is
refused is kept with its reason in these three); 401 no valid key; 413 too large; 503 not taken, send again after Retry-After.
"""


class Budget:
    """Bytes of bodies under way, bounded so that slow or many clients cannot fill the memory."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def take(self, size: int) -> None:
        """Take some; raises `Overloaded` when there are not so many left."""
        if size > self._left:
            raise Overloaded("too many bodies are under way")
        self._left -= size

    def give(self, size: int) -> None:
        """Give back."""
        self._left += size


def app(intake: Intake, keys: Keys, *, max_body: int, max_waiting: int, metrics: CollectorRegistry) -> FastAPI:
    """Return the door."""
    door = FastAPI(title="Tongguan ingest", docs_url=None, redoc_url=None)
    budget = Budget(max_waiting)
    answers = Counter("tongguan_ingest_requests", "Requests by status", ["status"], registry=metrics)

    @door.post("/v1/events", summary="Publish events", description=_DESCRIPTION)
    async def events(request: Request) -> Response:
        response = await _answer(request, intake, keys, budget, max_body)
        answers.labels(response.status_code).inc()
        return response

    return door


async def _answer(request: Request, intake: Intake, keys: Keys, budget: Budget, max_body: int) -> Response:
    address = request.client.host if request.client else "unknown"
    taken = 0
    try:
        sender = keys.sender(request.headers.get("authorization"))
        body = bytearray()
        _refuse_larger(int(request.headers.get("content-length") or 0), max_body)
        async for part in request.stream():
            budget.take(len(part))
            taken += len(part)
            body += part
            _refuse_larger(len(body), max_body)
        content_type = request.headers.get("content-type", "")
        return _said(await intake.take(Delivery(bytes(body), content_type, request.headers, sender, address)))
    except Unauthorised as error:
        _log.warning("unauthorised", address=address)
        return _problem(401, "unauthorised", str(error), {"WWW-Authenticate": "Bearer"})
    except TooLarge as error:
        _log.warning("too_large", address=address, content_length=request.headers.get("content-length"))
        return _problem(413, "too_large", str(error), {"Connection": "close"})
    except Unavailable as error:
        _log.warning("not_taken", address=address, error=str(error))
        return _problem(503, "not_taken", f"nothing is lost, send it again: {error}", {"Retry-After": "2"})
    finally:
        budget.give(taken)


def _refuse_larger(size: int, limit: int) -> None:
    if size > limit:
        raise TooLarge(f"the body is larger than {limit} bytes; send smaller batches")


def _said(answer: Answer) -> Response:
    status = 400 if answer.malformed else 422 if not answer.accepted else 207 if answer.refused else 202
    refused = [{"index": one.index, "id": one.id, **one.problem.model_dump()} for one in answer.refused]
    return Response(msgspec.json.encode({"accepted": answer.accepted, "refused": refused}), status, media_type="application/json")


def _problem(status: int, code: str, detail: str, headers: dict[str, str]) -> Response:
    body = {"type": f"urn:tongguan:problem:{code}", "title": code, "status": status, "detail": detail}
    return Response(msgspec.json.encode(body), status, headers, media_type="application/problem+json")
