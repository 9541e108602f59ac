"""REST and the page. Every answer about a region passes through `Scope`; errors are problem+json."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from importlib import resources
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from schemas.regions import Region
from services.gateway.domain.access import Access, Scope
from services.gateway.domain.view import View
from services.gateway.errors import Forbidden, NotFound, Unauthorised
from services.gateway.reads import Reads
from services.kit.errors import Unavailable

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
NOTIFICATIONS = 200


@dataclass(frozen=True)
class Sources:
    """What answers are made of."""

    view: View
    access: Access
    reads: Reads


def _sources(request: Request) -> Sources:
    sources: Sources = request.app.state.sources
    return sources


def _scope(request: Request) -> Scope:
    scheme, _, token = (request.headers.get("authorization") or "").partition(" ")
    return _sources(request).access.scope(token.strip() if scheme.lower() == "bearer" else "")


From = Annotated[Sources, Depends(_sources)]
Reader = Annotated[Scope, Depends(_scope)]

routes = APIRouter(prefix="/v1")


@routes.get("/regions/{code}", summary="A region with its path and children")
async def region(code: str, scope: Reader, sources: From) -> dict[str, Any]:
    """Return a region of the reader's."""
    scope.require(code)
    tree = sources.view.regions
    return {
        "region": _region(tree[code]),
        "path": [_region(tree[one]) for one in tree.path(code)],
        "children": [_region(one) for one in tree.children(code)],
    }


@routes.get("/regions/{code}/warnings", summary="The open warnings of a region")
async def warnings(code: str, scope: Reader, sources: From) -> Response:
    """Return the newest revision of each open warning."""
    scope.require(code)
    return _json_list(sources.view.open_warnings(code))


@routes.get("/regions/{code}/values", summary="The newest value of each series of a region")
async def values(code: str, scope: Reader, sources: From) -> Response:
    """Return values as the live socket sends them."""
    scope.require(code)
    return _json_list(sources.view.values(code))


@routes.get("/regions/{code}/notifications", summary="What the region's desk was told, newest first")
async def notifications(code: str, scope: Reader, sources: From) -> Response:
    """Return the newest notifications of the region's own desk."""
    found = await sources.reads.notifications([f"region/{code}"], scope.regions(code), NOTIFICATIONS)
    return _json_list([body.encode() for body in found])


@routes.get("/warnings/{warning}", summary="All revisions of a warning")
async def warning_revisions(warning: UUID, scope: Reader, sources: From) -> Response:
    """Return a warning's revisions, oldest first."""
    found = await sources.reads.revisions(warning, scope.regions(scope.region))
    if not found:
        raise NotFound(f"there is no warning {warning} in your regions")
    return _json_list([body.encode() for body in found])


def app(view: View, access: Access, reads: Reads) -> FastAPI:
    """Return the public application."""
    page = resources.files("services.gateway") / "page"
    public = FastAPI(title="Tongguan", docs_url=None, redoc_url=None)
    public.state.sources = Sources(view, access, reads)
    public.include_router(routes)
    _add_errors(public)

    @public.middleware("http")
    async def secure(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers.update(SECURITY_HEADERS)
        return response

    @public.get("/", include_in_schema=False)
    async def index() -> FileResponse:
        return FileResponse(str(page / "index.html"))

    public.mount("/page", StaticFiles(directory=str(page)))
    return public


def _add_errors(public: FastAPI) -> None:
    answers: dict[type[Exception], tuple[int, str, dict[str, str]]] = {
        Unauthorised: (401, "unauthorised", {"WWW-Authenticate": "Bearer"}),
        Forbidden: (403, "forbidden", {}),
        NotFound: (404, "not_found", {}),
        Unavailable: (503, "unavailable", {"Retry-After": "2"}),
    }

    async def answer(_: Request, error: Exception) -> Response:
        status, code, headers = answers[type(error)]
        return _problem(status, code, str(error), headers)

    for kind in answers:
        public.add_exception_handler(kind, answer)
    public.add_exception_handler(HTTPException, _http_problem)
    public.add_exception_handler(RequestValidationError, _bad_request)


async def _http_problem(_: Request, error: Exception) -> Response:
    """What the framework itself refuses: a path or a method that is not there."""
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    code = HTTPStatus(error.status_code).name.lower()
    return _problem(error.status_code, code, str(error.detail), dict(error.headers or {}))


async def _bad_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
    places = (f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
    return _problem(422, "bad_request", "; ".join(places), {})


def _problem(status: int, code: str, detail: str, headers: dict[str, str]) -> Response:
    body = {"type": f"urn:tongguan:problem:{code}", "title": code, "status": status, "detail": detail}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def _region(region: Region) -> dict[str, Any]:
    return region.model_dump(mode="json")


def _json_list(items: list[bytes]) -> Response:
    return Response(b"[" + b",".join(items) + b"]", media_type="application/json")
