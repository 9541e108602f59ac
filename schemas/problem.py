"""An error of an HTTP interface as it is told: a problem of RFC 9457."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict

from schemas.base import Frozen

MEDIA_TYPE = "application/problem+json"


class Problem(Frozen):
    """Why a request was refused, or cannot be answered now (RFC 9457). Later versions may say more."""

    model_config = ConfigDict(extra="ignore")

    type: str
    """`urn:tongguan:problem:<code>`, by which programs decide."""
    title: str
    """The code alone."""
    status: int
    """Of the answer."""
    detail: str
    """For people: what is wrong with this request."""


RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {"description": "A problem.", "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}},
}
"""What FastAPI's `responses=` takes, so that OpenAPI says of every operation how it tells errors, in place of FastAPI's own 422."""
