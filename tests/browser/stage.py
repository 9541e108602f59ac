"""A small real server for the page's tests: it serves the built page, answers REST, and speaks the live protocol as a test tells it to."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self
from uuid import UUID, uuid4

import uvicorn
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from schemas.access import Grant, Role
from schemas.action import WarningActions
from schemas.audit import AuditEntry, Outcome
from schemas.base import Name
from schemas.health import Heartbeat as ServiceHeartbeat
from schemas.live import Delta, Heartbeat, Hello, LiveRegion, LiveSensor, LiveValue, Snapshot
from schemas.regions import Region, RegionTree
from schemas.rest import Acknowledging, Credentials, May, Mute, NewUser, OwnPassword, Provider, RegionMap, Session, SignIn, User, UserChange
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.gateway.domain.outlines import Outlines
from services.gateway.http import CONTENT_POLICY
from tests.browser.frames import CITY, DEPARTMENTS, DISTRICT, STREET, TREE, acknowledgement, clock, identity, story

PAGE = Path(__file__).parents[2] / "services" / "gateway" / "page"
SERVICES = ("ingest", "rules", "history", "alerts", "gateway")
COOKIE = "stage"
CSRF = "csrf-of-the-stage"
WATCHERS = frozenset({Role.CITY, Role.DISTRICT, Role.STREET, Role.FIELD, Role.DEPARTMENT, Role.RULE_AUTHOR})
ACKNOWLEDGERS = frozenset({Role.CITY, Role.DISTRICT, Role.STREET, Role.FIELD})
DESKS = frozenset({Role.CITY, Role.DISTRICT, Role.STREET})
KEEPERS = frozenset({Role.DEPARTMENT, Role.ADMIN})
"""Of departments' events and of the registry."""


class Server(uvicorn.Server):
    """A server that leaves signals to the tests."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield


@dataclass(frozen=True)
class Person:
    """Somebody who can sign in."""

    name: Name
    grants: tuple[Grant, ...]
    password: str = "correct horse"


def _person(zh: str, en: str, *grants: tuple[Role, str], departments: frozenset[str] | None = None) -> Person:
    return Person(Name(zh=zh, en=en), tuple(Grant(role=role, region=region, departments=departments) for role, region in grants))


PEOPLE = {
    "chen": _person("陈值守", "Chen", (Role.CITY, CITY)),
    "dong": _person("董区长", "Dong", (Role.DISTRICT, DISTRICT)),
    "jie": _person("解街道", "Jie", (Role.STREET, STREET)),
    "li": _person("李现场", "Li", (Role.FIELD, STREET)),
    "zhao": _person("赵现场", "Zhao", (Role.FIELD, STREET)),
    "shen": _person("申审计", "Shen", (Role.AUDITOR, CITY)),
    "guan": _person("管理员", "Guan", (Role.ADMIN, CITY)),
    "du": _person("杜作者", "Du", (Role.RULE_AUTHOR, DISTRICT)),
    "shui": _person("水务员", "Shui", (Role.DEPARTMENT, CITY), departments=frozenset({"water"})),
    "wu": _person("无权者", "Wu"),
    "oidc:ning": _person("宁外部", "Ning", (Role.CITY, CITY)),
}


@dataclass(eq=False)
class Watcher:
    """A page that watches; what is to be said to it waits in a queue."""

    socket: WebSocket
    queue: asyncio.Queue[str | int] = field(default_factory=asyncio.Queue)


@dataclass
class Told:
    """What pages asked the stage to do."""

    notes: list[tuple[UUID, Acknowledging]] = field(default_factory=list)
    mutes: list[tuple[str, Mute]] = field(default_factory=list)
    passwords: list[tuple[str, OwnPassword]] = field(default_factory=list)
    made: list[NewUser] = field(default_factory=list)
    changes: list[tuple[str, UserChange]] = field(default_factory=list)


class Stage:
    """A gateway made of paper.

    What it will say is in its attributes, which a test sets at any time; `send` says something to all who watch. Heartbeats go out
    every `beat` seconds unless `mute`. `guest` is whoever comes without a cookie, None when such a one must sign in. `close_codes` holds
    regions that are refused; `locked_s` is for how long nobody can sign in; `ends_at` is when sessions end however much they are used;
    `slow_ack`: acknowledgements are taken, and arrive later.
    """

    def __init__(self, tree: RegionTree = TREE) -> None:
        self.tree = tree
        self.guest: str | None = "chen"
        self.oidc: Provider | None = None
        self.locked_s = 0
        self.ends_at: datetime | None = None
        self.slow_ack = False
        self.close_codes: dict[str, int] = {}
        self.refuse_with: int | None = None
        self.mute = False
        self.beat = 0.25
        self.skew = timedelta(0)
        self.pipeline_age: timedelta | None = timedelta(0)
        self.silent_since: dict[str, datetime] = {}
        self.unheard: set[str] = set()
        self.unready: dict[str, str] = {}
        self.sensors: list[LiveSensor] = []
        self.values: list[LiveValue] = []
        self.warnings: list[Warning] = []
        self.actions: list[WarningActions] = []
        self.audit: list[AuditEntry] = []
        self.users: list[User] = []
        self.hellos: list[Hello] = []
        self.told = Told()
        self.boundaries: dict[str, object] | None = None
        self.port = 0
        self._outlines: Outlines | None = None
        self._watching: set[Watcher] = set()
        self._server: Server | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}"

    def at(self, region: str = DISTRICT, warning: int | None = None) -> str:
        """Where a region's page is, or that of a warning in it."""
        return f"{self.url}/#/regions/{region}" + (f"/warnings/{identity(warning)}" if warning is not None else "")

    def now(self) -> datetime:
        """The server's time, which `skew` sets apart from the browser's."""
        return clock() + self.skew

    # -- its life

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen, on the port it had before when it had one."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        config = uvicorn.Config(self._app(), ws="websockets-sansio", log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        self._server = Server(config)
        self._tasks = [asyncio.create_task(self._server.serve([listening])), asyncio.create_task(self._beat())]
        while not self._server.started:
            await asyncio.sleep(0.01)

    async def stop(self, code: int = 1012) -> None:
        """Close all connections and the port."""
        await self.drop(code)
        serving, beating = self._tasks
        beating.cancel()
        assert self._server is not None
        self._server.should_exit = True
        await serving
        with suppress(asyncio.CancelledError):
            await beating

    async def drop(self, code: int) -> None:
        """Close all live connections with a code."""
        watching = list(self._watching)
        for watcher in watching:
            watcher.queue.put_nowait(code)
        while self._watching & set(watching):
            await asyncio.sleep(0.01)

    # -- what it says live

    def send(
        self,
        *,
        warnings: Iterable[Warning] = (),
        values: Iterable[LiveValue] = (),
        sensors: Iterable[LiveSensor] = (),
        actions: Iterable[WarningActions] = (),
        at: datetime | None = None,
    ) -> None:
        """Say what changed; it is not remembered for later snapshots."""
        delta = Delta(
            server_time=at or self.now(),
            position="p1",
            warnings=tuple(warnings),
            values=tuple(values),
            sensors=tuple(sensors),
            actions=tuple(actions),
        )
        self.send_text(delta.model_dump_json())

    def send_text(self, text: str) -> None:
        """Send any text as a frame."""
        for watcher in self._watching:
            watcher.queue.put_nowait(text)

    @property
    def watchers(self) -> int:
        """How many pages watch."""
        return len(self._watching)

    def _snapshot(self, code: str) -> Snapshot:
        below = [sensor for sensor in self.sensors if self.tree.covers(code, sensor.street)]
        ids = {sensor.id for sensor in below}
        return Snapshot(
            server_time=self.now(),
            position="p0",
            region=shown(self.tree[code]),
            path=tuple(shown(self.tree[at]) for at in self.tree.path(code)),
            children=tuple(shown(child) for child in self.tree.children(code)),
            below=tuple(shown(region) for region in self.tree if region.code != code and self.tree.covers(code, region.code)),
            sensors=tuple(below),
            warnings=tuple(warning for warning in self.warnings if self.tree.covers(code, warning.street)),
            values=tuple(value for value in self.values if value.sensor in ids),
            actions=tuple(self.actions),
        )

    def _heartbeat(self) -> Heartbeat:
        return Heartbeat(
            server_time=self.now(),
            position="p1",
            pipeline_time=None if self.pipeline_age is None else self.now() - self.pipeline_age,
            services=tuple(self._service(name) for name in SERVICES if name not in self.unheard),
        )

    def _service(self, name: str) -> ServiceHeartbeat:
        at = self.silent_since.get(name, self.now())
        reason = self.unready.get(name, "")
        return ServiceHeartbeat(service=name, node="n1", time=at, ready=not reason, reason=reason, lag=0, event_time=at)

    async def _beat(self) -> None:
        while True:
            if not self.mute:
                self.send_text(self._heartbeat().model_dump_json())
            await asyncio.sleep(self.beat)

    async def _watch(self, connection: WebSocket) -> None:
        await connection.accept()
        with suppress(WebSocketDisconnect):
            hello = Hello.model_validate_json(await connection.receive_text())
            self.hellos.append(hello)
            if (code := self._refusal(hello, self._who(connection))) is not None:
                await connection.close(code)
                return
            await connection.send_text(self._snapshot(hello.region).model_dump_json())
            watcher = Watcher(connection)
            self._watching.add(watcher)
            saying = asyncio.create_task(self._say(watcher))
            try:
                await connection.receive_text()
            finally:
                saying.cancel()
                self._watching.discard(watcher)

    async def _say(self, watcher: Watcher) -> None:
        """Send what waits; a number closes the connection with it."""
        while True:
            said = await watcher.queue.get()
            if isinstance(said, int):
                self._watching.discard(watcher)
                await watcher.socket.close(said)
                return
            await watcher.socket.send_text(said)

    def _refusal(self, hello: Hello, who: str | None) -> int | None:
        if self.refuse_with is not None:
            return self.refuse_with
        if who is None:
            return 4401
        mine = [grant.region for grant in PEOPLE[who].grants if grant.role in WATCHERS]
        if hello.region not in self.tree or not any(self.tree.covers(region, hello.region) for region in mine):
            return 4403
        return self.close_codes.get(hello.region)

    # -- what it answers

    def _app(self) -> Starlette:
        return Starlette(routes=self._routes())

    def _routes(self) -> list[Route | WebSocketRoute]:
        return [
            Route("/", self._file),
            Route("/sw.js", self._file),
            Route("/manifest.webmanifest", self._file),
            Route("/assets/{name}", self._file),
            WebSocketRoute("/v1/live", self._watch),
            Route("/v1/sign-in", self._sign_in),
            Route("/v1/session", self._session),
            Route("/v1/session", self._open, methods=["POST"]),
            Route("/v1/session", self._close, methods=["DELETE"]),
            Route("/v1/session/password", self._change_password, methods=["PUT"]),
            Route("/v1/regions/{code}/map", self._map),
            Route("/v1/regions/{code}/mutes", self._mute, methods=["POST"]),
            Route("/v1/warnings/{warning:uuid}/story", self._story),
            Route("/v1/warnings/{warning:uuid}/acknowledgement", self._acknowledge, methods=["POST"]),
            Route("/v1/audit", self._audit),
            Route("/v1/users", self._users),
            Route("/v1/users", self._add_user, methods=["POST"]),
            Route("/v1/users/{user}", self._change_user, methods=["PATCH"]),
        ]

    async def _file(self, request: Request) -> Response:
        name = request.path_params.get("name")
        file = PAGE / (request.url.path[1:] or "index.html") if name is None else PAGE / "assets" / name
        if not file.is_file():
            return problem(404, "not_found")
        return FileResponse(file, headers={"Content-Security-Policy": CONTENT_POLICY})

    def _who(self, asked: Request | WebSocket) -> str | None:
        return asked.cookies.get(COOKIE) or self.guest

    async def _sign_in(self, _: Request) -> Response:
        return reply(SignIn(city=self.tree.root.name, version="0.2.0", oidc=self.oidc))

    async def _session(self, request: Request) -> Response:
        who = self._who(request)
        return problem(401, "unauthorised") if who is None else reply(self._session_of(who))

    async def _open(self, request: Request) -> Response:
        if self.locked_s:
            return problem(429, "locked", {"Retry-After": str(self.locked_s)})
        given = Credentials.model_validate_json(await request.body())
        known = PEOPLE.get(given.user)
        if known is None or known.password != given.password:
            return problem(401, "wrong_credentials")
        answer = reply(self._session_of(given.user))
        answer.set_cookie(COOKIE, given.user, httponly=True, samesite="strict")
        return answer

    def _session_of(self, who: str) -> Session:
        idle_at = self.now() + timedelta(hours=12)
        return session_of(who, self.tree, min(idle_at, self.ends_at or idle_at))

    async def _change_password(self, request: Request) -> Response:
        who = self._who(request)
        if who is None:
            return problem(401, "unauthorised")
        if not may_change(request):
            return problem(403, "forged")
        if self.locked_s:
            return problem(429, "locked", {"Retry-After": str(self.locked_s)})
        try:
            wanted = OwnPassword.model_validate_json(await request.body())
        except ValidationError as error:
            return problem(422, "bad_request", detail=str(error.errors()[0]["msg"]))
        if wanted.present != PEOPLE[who].password:
            return problem(401, "wrong_credentials")
        self.told.passwords.append((who, wanted))
        return Response(status_code=204)

    async def _close(self, request: Request) -> Response:
        if not may_change(request):
            return problem(403, "forbidden")
        self.guest = None
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE)
        return answer

    async def _map(self, request: Request) -> Response:
        self._outlines = self._outlines or Outlines(self.tree, self.boundaries)
        told: RegionMap = self._outlines.of(request.path_params["code"])
        return reply(told)

    async def _mute(self, request: Request) -> Response:
        if not may_change(request):
            return problem(403, "forbidden")
        self.told.mutes.append((request.path_params["code"], Mute.model_validate_json(await request.body())))
        return Response(status_code=204)

    async def _story(self, request: Request) -> Response:
        revisions = [warning for warning in self.warnings if warning.id == request.path_params["warning"]]
        return reply(story(revisions)) if revisions else problem(404, "not_found")

    async def _acknowledge(self, request: Request) -> Response:
        if not may_change(request):
            return problem(403, "forbidden")
        of = request.path_params["warning"]
        seen = Acknowledging.model_validate_json(await request.body())
        self.told.notes.append((of, seen))
        actions = acknowledgement(0, self.now(), seen_rev=seen.rev, note=seen.note).model_copy(update={"warning": of})
        return Response(status_code=202) if self.slow_ack else reply(actions)

    async def _audit(self, request: Request) -> Response:
        limit, before = int(request.query_params.get("limit", 50)), request.query_params.get("before")
        ids = [str(entry.id) for entry in self.audit]
        start = ids.index(before) + 1 if before else 0
        return JSONResponse([entry.model_dump(mode="json") for entry in self.audit[start : start + limit]])

    async def _users(self, _: Request) -> Response:
        return JSONResponse([user.model_dump(mode="json") for user in self.users])

    async def _add_user(self, request: Request) -> Response:
        if not may_change(request):
            return problem(403, "forbidden")
        try:
            made = NewUser.model_validate_json(await request.body())
        except ValidationError as error:
            return problem(422, "bad_request", detail=str(error.errors()[0]["msg"]))
        self.told.made.append(made)
        user = User(id=made.id, name=made.name, grants=made.grants, disabled=False, locked_until=None, provider=None, last_seen=None)
        self.users.append(user)
        return reply(user, 201)

    async def _change_user(self, request: Request) -> Response:
        if not may_change(request):
            return problem(403, "forbidden")
        change = UserChange.model_validate_json(await request.body())
        who = request.path_params["user"]
        self.told.changes.append((who, change))
        at = next(at for at, user in enumerate(self.users) if user.id == who)
        changed = {key: value for key in ("name", "grants", "disabled") if (value := getattr(change, key)) is not None}
        self.users[at] = self.users[at].model_copy(update=changed)
        return reply(self.users[at])


def session_of(who: str, tree: RegionTree, expires_at: datetime) -> Session:
    """Return the session of somebody."""
    person = PEOPLE[who]
    roles = {grant.role for grant in person.grants}
    return Session(
        user=who,
        name=person.name,
        grants=person.grants,
        regions=tuple(shown(tree[grant.region]) for grant in person.grants if grant.role in WATCHERS),
        may=May(
            watch=bool(roles & WATCHERS),
            acknowledge=bool(roles & ACKNOWLEDGERS),
            direct=bool(roles & DESKS),
            rules=Role.RULE_AUTHOR in roles,
            audit=Role.AUDITOR in roles,
            users=Role.ADMIN in roles,
            events=bool(roles & KEEPERS),
            registry=bool(roles & KEEPERS),
        ),
        csrf=CSRF,
        expires_at=expires_at,
        city=shown(tree.root),
        timezone="Asia/Shanghai",
        departments=DEPARTMENTS,
    )


def audited(at: datetime, action: str, *, actor: str = "chen", outcome: Outcome = Outcome.DONE, reason: str | None = None) -> AuditEntry:
    """An entry of the audit."""
    return AuditEntry(
        id=uuid4(),
        at=at,
        actor=actor,
        action=action,
        subject=f"region/{CITY}",
        region=CITY,
        outcome=outcome,
        reason=reason,
        detail={"minutes": "10"},
        address="192.0.2.7",
    )


def shown(region: Region) -> LiveRegion:
    return LiveRegion(code=region.code, parent=region.parent, level=region.level, name=region.name)


def may_change(request: Request) -> bool:
    return request.headers.get("X-CSRF-Token") == CSRF


def reply(model: BaseModel, status: int = 200) -> Response:
    return Response(model.model_dump_json(), status, media_type="application/json")


def problem(status: int, code: str, headers: dict[str, str] | None = None, detail: str | None = None) -> Response:
    body = {"type": f"urn:tongguan:problem:{code}", "title": code, "status": status, "detail": detail or code}
    return Response(json.dumps(body), status, headers, media_type="application/problem+json")
