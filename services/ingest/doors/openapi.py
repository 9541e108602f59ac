"""What the HTTP door says of itself in OpenAPI: it reads bodies by itself, so FastAPI cannot tell what they are."""

from __future__ import annotations

from importlib import metadata
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import models_json_schema

from schemas.base import Moment, Text
from schemas.observation import Measurement
from schemas.problem import MEDIA_TYPE, Problem
from schemas.report import Reported
from services.ingest.domain.cloudevents import BATCHED, STRUCTURED

DESCRIPTION = """
Publish one CloudEvent (`application/cloudevents+json`), one in binary mode (`ce-` headers), or a batch (`application/cloudevents-batch+json`);
the body may be packed by gzip. The answer comes after Kafka has acknowledged. What is refused is kept with its reason on 207, 422 and 400.
"""
_KEY = "departmentKey"
_PATH = "/v1/events"
_REF = "#/components/schemas/{model}"


class _CloudEvent(BaseModel):
    """A CloudEvent 1.0 in the JSON event format; extensions are let pass."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    specversion: Literal["1.0"]
    id: Text
    """Unique with `source`."""
    source: Text
    time: Moment | None = None
    """Stands for the data's own time where that is left out."""
    subject: str | None = None
    datacontenttype: str | None = None
    traceparent: str | None = None
    """W3C trace context."""


class ObservationEvent(_CloudEvent):
    """What a sensor measured."""

    type: Literal["cn.tongguan.observation.v1"]
    data: Measurement


class ReportEvent(_CloudEvent):
    """A case or event that somebody reported."""

    type: Literal["cn.tongguan.report.v1"]
    data: Reported


class RefusedEvent(BaseModel):
    """Why one event was refused."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    index: int
    """In the batch, from 0."""
    id: str | None
    """The event's own, where it could be read."""
    code: str
    where: str
    """A path into the event."""
    message: str
    hint: str
    """How to mend it."""


class Published(BaseModel):
    """What became of the events of a request, all of it on Kafka."""

    accepted: int
    refused: list[RefusedEvent]


_MODELS = (ObservationEvent, ReportEvent, Published, Problem)
_SAID = {
    202: "All accepted.",
    207: "Some refused.",
    422: "All refused.",
    400: "The body cannot be read at all.",
}
_PROBLEMS = {
    401: "No key, or one that is nobody's, was revoked or has expired, also while the body was under way.",
    408: "The body did not come to its end in time.",
    413: "The body is too large, packed or unpacked.",
    415: "A Content-Encoding other than gzip.",
    429: "The department's quota is used up, or its share of bodies under way. Send it again after Retry-After.",
    503: "Not taken: Kafka did not acknowledge in time. Send it again after Retry-After.",
}
_RETRY = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}


def _ref(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": _REF.format(model=model.__name__)}


_EVENT = {"oneOf": [_ref(ObservationEvent), _ref(ReportEvent)]}
OPERATION: dict[str, Any] = {
    "status_code": 202,
    "responses": {
        **{status: {"description": said, "content": {"application/json": {"schema": _ref(Published)}}} for status, said in _SAID.items()},
        **{
            status: {"description": said, "content": {MEDIA_TYPE: {"schema": _ref(Problem)}}} | ({"headers": _RETRY} if status in {429, 503} else {})
            for status, said in _PROBLEMS.items()
        },
    },
    "openapi_extra": {
        "security": [{_KEY: []}],
        "parameters": [
            {"in": "header", "name": "Content-Encoding", "required": False, "schema": {"type": "string", "enum": ["gzip"]}},
        ],
        "requestBody": {
            "required": True,
            "content": {
                STRUCTURED: {"schema": _EVENT},
                BATCHED: {"schema": {"type": "array", "minItems": 1, "items": _EVENT}},
                "application/json": {
                    "schema": {
                        "description": "The data alone, with the attributes as `ce-` headers: ce-specversion, ce-id, ce-source and ce-type.",
                        "oneOf": [_ref(Measurement), _ref(Reported)],
                    }
                },
            },
        },
    },
}
"""What the route is told of itself."""


def describe(api: FastAPI) -> None:
    """Have an application say all of this at `/openapi.json`."""

    def document() -> dict[str, Any]:
        if api.openapi_schema is None:
            made = get_openapi(title=api.title, version=metadata.version("tongguan"), routes=api.routes)
            _, models = models_json_schema([(model, "validation") for model in _MODELS], ref_template=_REF)
            components = made.setdefault("components", {})
            components.setdefault("schemas", {}).update(models["$defs"])
            components["securitySchemes"] = {_KEY: {"type": "http", "scheme": "bearer", "description": "A department's key, `tgk_…`."}}
            api.openapi_schema = made
        return api.openapi_schema

    api.openapi = document  # type: ignore[method-assign] # FastAPI's own way to say more than it knows
