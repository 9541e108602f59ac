"""The route by which photos come from the field."""

from __future__ import annotations

from fastapi import APIRouter, Request

from schemas.rest import Stored
from services.gateway.album import media
from services.gateway.domain.access import Capability
from services.gateway.errors import Unfit
from services.gateway.http import PHOTOS, Audited, From, Reader
from services.gateway.store import Photo

routes = APIRouter()


@routes.post(
    PHOTOS,
    status_code=201,
    summary="Send a photo, to be named in an answer",
    openapi_extra={"requestBody": {"required": True, "content": {kind: {} for kind in ("image/jpeg", "image/png", "image/webp")}}},
)
async def send(request: Request, scope: Reader, sources: From, audited: Audited) -> Stored:
    """Keep the bytes as they came, by their SHA-256; the same photo again is the same."""
    scope.require_somewhere(Capability.ACKNOWLEDGE)
    await sources.album.keep_pace(scope.principal.id)
    body = await request.body()
    kind = media(body)
    if kind is None or request.headers.get("content-type", "").partition(";")[0].strip().lower() != kind:
        raise Unfit("give a JPEG, PNG or WebP image, and say in Content-Type which")
    digest, adding = sources.album.adding(Photo(kind, body), scope.principal.id)
    detail = {"media": kind, "bytes": str(len(body))}
    await audited.done("photo.send", f"photo/{digest}", region=scope.regions(Capability.ACKNOWLEDGE)[0], detail=detail, with_=adding)
    return Stored(digest=digest)
