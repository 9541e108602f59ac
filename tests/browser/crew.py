"""The stage with people on it: alerts of phones, links, what desks do, duty, silences and hand-overs. What it was told is in its attributes."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

from schemas.action import Acknowledgement, Actor, Assignment, Decision, Deed, Disposition, Entry, Progress, WarningActions
from schemas.alerting import Match, TeamRole
from schemas.base import Domain, Name, Origin
from schemas.notification import Notification, Result, Why
from schemas.regions import RegionTree
from schemas.rest import (
    Answered,
    Answering,
    Assigning,
    Brief,
    BriefWarning,
    ClearingByHand,
    Commenting,
    Contacts,
    DutyPerson,
    DutyTeam,
    FieldAlert,
    FieldAnswer,
    FieldView,
    FieldWarning,
    HandingOver,
    HandOverShown,
    Link,
    LinkUse,
    Overriding,
    SilenceShown,
    Silencing,
    Stored,
)
from schemas.tiers import TIERS, Tier
from schemas.warning import Warning  # noqa: A004 - the field's own word
from tests.browser.frames import CITY, DISTRICT, RULE_NAME, STREET, TREE, identity, warning
from tests.browser.stage import PEOPLE, Stage, may_change, problem, reply, shown

TOKEN = "a-token-of-the-stage"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def picture(width: int, height: int, said: bytes = b"") -> bytes:
    """Return a grey picture as PNG, with something that a camera says in it."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = b"".join(b"\0" + bytes((x + y) % 256 for x in range(width)) for y in range(height))
    chunks = [_chunk(b"IHDR", head), _chunk(b"tEXt", b"Comment\0" + said), _chunk(b"IDAT", zlib.compress(rows)), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def actor(who: str) -> Actor:
    """Somebody of the stage."""
    return Actor(id=who, name=PEOPLE[who].name)


class Crew(Stage):
    """The stage, and its people.

    `alerts` is what phones are told; `answers` what came from them, in the order in which it came; `refuse_answers` a status and a code that the next
    of them get, `refuse_photos` the same for all photos, `ill` whether answers are kept and no answer comes back. What desks do goes out live, as
    alerts' outcome would.
    """

    def __init__(self, tree: RegionTree = TREE) -> None:
        super().__init__(tree)
        self.alerts: list[FieldAlert] = []
        self.link: Link | None = None
        self.answers: list[tuple[str, UUID, Answering]] = []
        self.outcome: Decision | None = Decision.APPLIED
        self.refuse_answers: tuple[int, str] | None = None
        self.refuse_photos: tuple[int, str] | None = None
        self.ill = False
        self.photos: dict[str, bytes] = {}
        self.field_answers: list[FieldAnswer] = []
        self.notifications: list[Notification] = []
        self.teams: list[DutyTeam] = []
        self.silences: list[SilenceShown] = []
        self.handovers: list[HandOverShown] = []
        self.brief: Brief | None = None
        self.asked: list[tuple[str, BaseModel | None]] = []
        self.done: dict[UUID, WarningActions] = {}

    def _routes(self) -> list[Route | WebSocketRoute]:
        warnings = "/v1/warnings/{warning:uuid}/"
        own = [
            Route("/v1/field", self._field),
            Route("/v1/alerts/{alert:uuid}/answers", self._answer, methods=["POST"]),
            Route("/v1/photos", self._photo, methods=["POST"]),
            Route("/v1/links/{token}", self._link),
            Route("/v1/links/{token}", self._use_link, methods=["POST"]),
            *(Route(warnings + way, self._do, methods=["POST"]) for way in ("acknowledgement", "assignment", "comments", "clearance")),
            Route(warnings + "answers", self._field_answers),
            Route(warnings + "photos/{digest}", self._see_photo),
            Route(warnings + "notifications", self._notifications),
            Route("/v1/regions/{code}", self._region),
            Route("/v1/regions/{code}/duty", self._duty),
            Route("/v1/regions/{code}/silences", self._silences),
            Route("/v1/regions/{code}/silences", self._silence, methods=["POST"]),
            Route("/v1/silences/{silence:uuid}", self._end_silence, methods=["DELETE"]),
            Route("/v1/people/{person}/contacts", self._contacts),
            Route("/v1/teams/{team}/overrides", self._override, methods=["POST"]),
            Route("/v1/regions/{code}/brief", self._brief),
            Route("/v1/regions/{code}/handovers", self._handovers),
            Route("/v1/regions/{code}/handovers", self._hand_over, methods=["POST"]),
            Route("/v1/handovers/{handover:uuid}/taking", self._take, methods=["POST"]),
        ]
        return [*own, *super()._routes()]

    # -- phones

    async def _field(self, request: Request) -> Response:
        return reply(FieldView(now=self.now(), alerts=tuple(self.alerts))) if self._who(request) else problem(401, "unauthorised")

    async def _answer(self, request: Request) -> Response:
        who = self._who(request)
        if who is None:
            return problem(401, "unauthorised")
        if not may_change(request):
            return problem(403, "forged")
        if self.refuse_answers is not None:
            (status, code), self.refuse_answers = self.refuse_answers, None
            return problem(status, code)
        given = Answering.model_validate_json(await request.body())
        if given.given_by not in {None, who}:
            return problem(409, "another_user")
        self.answers.append((who, request.path_params["alert"], given))
        if self.ill:
            return problem(503, "unavailable")
        return reply(Answered(command=given.command, outcome=self.outcome), 202 if self.outcome is None else 200)

    async def _photo(self, request: Request) -> Response:
        body = await request.body()
        if self.refuse_photos is not None:
            return problem(*self.refuse_photos)
        if not may_change(request) or request.headers["content-type"] != "image/jpeg":
            return problem(422, "unfit")
        digest = hashlib.sha256(body).hexdigest()
        self.photos[digest] = body
        return reply(Stored(digest=digest), 201)

    async def _link(self, request: Request) -> Response:
        known = self.link is not None and request.path_params["token"] == TOKEN
        return reply(self.link) if known and self.link else problem(404, "not_found")

    async def _use_link(self, request: Request) -> Response:
        assert self.link is not None
        self.asked.append(("link", LinkUse.model_validate_json(await request.body())))
        self.link = self.link.model_copy(update={"state": "used", "used_as": self.outcome})
        return reply(Answered(command=uuid4(), outcome=self.outcome))

    # -- desks

    async def _do(self, request: Request) -> Response:
        way = request.url.path.rpartition("/")[2]
        if way == "acknowledgement":
            return await self._acknowledge(request)
        who, of = self._who(request), request.path_params["warning"]
        if who is None or not may_change(request):
            return problem(403, "forbidden")
        given = {"assignment": Assigning, "comments": Commenting, "clearance": ClearingByHand}[way].model_validate_json(await request.body())
        self.asked.append((way, given))
        actions = self._decided(of, given, actor(who))
        self.done[of] = actions
        self.send(actions=[actions])
        return reply(actions)

    def _decided(self, of: UUID, given: Assigning | Commenting | ClearingByHand, by: Actor) -> WarningActions:
        before = self.done.get(of) or WarningActions(warning=of, rev=1, street=STREET, department="water", command=uuid4())
        now, outcome = self.now(), self.outcome or Decision.APPLIED
        changed: dict[str, Any] = {}
        if isinstance(given, Assigning):
            deed, note = Deed.ASSIGN, given.note
            changed["assigned"] = Assignment(to=actor(given.to), by=by, at=now, note=note)
        elif isinstance(given, ClearingByHand):
            deed, note = Deed.CLEAR, given.reason
            changed["cleared"] = Disposition(
                by=by, at=now, seen_rev=given.rev, tier=next(one.tier for one in self.warnings if one.id == of), note=note
            )
        else:
            deed, note = Deed.COMMENT, given.note
        to = actor(given.to) if isinstance(given, Assigning) else None
        entry = Entry(command=uuid4(), deed=deed, outcome=outcome, by=by, at=now, note=note, to=to)
        applied = changed if outcome is Decision.APPLIED else {}
        return before.model_copy(update={**applied, "rev": before.rev + 1, "trail": (*before.trail, entry), "outcome": outcome})

    async def _field_answers(self, _: Request) -> Response:
        self.asked.append(("answers", None))
        return all_of(self.field_answers)

    async def _see_photo(self, _: Request) -> Response:
        return Response(picture(320, 240), media_type="image/png")

    async def _notifications(self, _: Request) -> Response:
        self.asked.append(("notifications", None))
        return all_of(self.notifications)

    async def _region(self, request: Request) -> Response:
        code = request.path_params["code"]
        told = {
            "region": shown(self.tree[code]),
            "path": [shown(self.tree[one]) for one in self.tree.path(code)],
            "children": [shown(one) for one in self.tree.children(code)],
        }
        return JSONResponse(
            {
                key: value.model_dump(mode="json") if isinstance(value, BaseModel) else [one.model_dump(mode="json") for one in value]
                for key, value in told.items()
            }
        )

    async def _duty(self, _: Request) -> Response:
        return all_of(self.teams)

    async def _contacts(self, request: Request) -> Response:
        person = request.path_params["person"]
        self.asked.append((f"contacts of {person}", None))
        return reply(Contacts(person=person, contacts={"sms": "13900001234"}))

    async def _override(self, request: Request) -> Response:
        self.asked.append(("override", Overriding.model_validate_json(await request.body())))
        return reply(Answered(command=uuid4(), outcome=Decision.APPLIED))

    async def _silences(self, _: Request) -> Response:
        return all_of(self.silences)

    async def _silence(self, request: Request) -> Response:
        given = Silencing.model_validate_json(await request.body())
        self.asked.append(("silence", given))
        by = actor(self._who(request) or "")
        made = SilenceShown(
            id=uuid4(),
            region=request.path_params["code"],
            match=given.match,
            since=given.since or self.now(),
            until=given.until,
            reason=given.reason,
            by=by,
        )
        self.silences.append(made)
        return reply(Answered(command=made.id, outcome=Decision.APPLIED))

    async def _end_silence(self, request: Request) -> Response:
        by = actor(self._who(request) or "")
        self.silences = [
            one.model_copy(update={"ended_by": by, "until": self.now()}) if one.id == request.path_params["silence"] else one for one in self.silences
        ]
        return reply(Answered(command=uuid4(), outcome=Decision.APPLIED))

    async def _brief(self, request: Request) -> Response:
        self.asked.append((f"brief {request.url.query}", None))
        made = self.brief or brief(self)
        until = datetime.fromisoformat(asked) if (asked := request.query_params.get("until")) else self.now() if request.url.query else made.until
        since = datetime.fromisoformat(request.query_params.get("since", made.since.isoformat()))
        signed = tuple(one for one in self.handovers if since <= one.at < until)
        return reply(made.model_copy(update={"since": since, "until": until, "handovers": signed}))

    async def _handovers(self, _: Request) -> Response:
        return all_of(self.handovers)

    async def _hand_over(self, request: Request) -> Response:
        given = HandingOver.model_validate_json(await request.body())
        now, by = self.now(), actor(self._who(request) or "")
        made = HandOverShown(id=uuid4(), region=request.path_params["code"], day=now.date(), at=now, by=by, note=given.note, open=2, unanswered=1)
        self.handovers.insert(0, made)
        return reply(Answered(command=made.id, outcome=Decision.APPLIED))

    async def _take(self, request: Request) -> Response:
        by = actor(self._who(request) or "")
        self.handovers = [
            one.model_copy(update={"taken_by": by, "taken_at": self.now()}) if one.id == request.path_params["handover"] else one
            for one in self.handovers
        ]
        return reply(Answered(command=uuid4(), outcome=Decision.APPLIED))


def all_of(models: Sequence[BaseModel]) -> Response:
    """Return models as a list."""
    return Response("[" + ",".join(one.model_dump_json() for one in models) + "]", media_type="application/json")


# What it can tell


def alert(
    stage: Stage, number: int, *, tier: Tier = Tier.RED, count: int = 1, storm: bool = False, actions: WarningActions | None = None, **fields: Any
) -> FieldAlert:
    """Alert `number`, of warnings that began some minutes ago at a place with a position."""
    began = stage.now() - timedelta(minutes=3 + number)
    warnings = tuple(
        FieldWarning(
            id=identity(number * 100 + at),
            rev=1,
            tier=tier,
            open=True,
            text=RULE_NAME,
            place=Name(zh=f"酒泉路 {number * 10 + at} 号东口检查井", en=f"{number * 10 + at} Jiuquan Road"),
            sensor="dma-1",
            street=STREET,
            department="water",
            longitude=103.83417,
            latitude=36.06138,
            began_at=began,
            changed_at=began,
            actions=actions if at == 0 else None,
        )
        for at in range(min(count, 50))
    )
    made = FieldAlert(
        id=identity(10_000 + number),
        message=1,
        tier=tier,
        text=RULE_NAME,
        count=count,
        storm=storm,
        origin=Origin.EXERCISE,
        opened_at=began,
        told_at=began,
        closed_at=None,
        unanswered=actions is None,
        assigned=False,
        warnings=warnings,
    )
    return made.model_copy(update=fields)


def on_the_way(stage: Stage, who: str = "zhao") -> WarningActions:
    """What is known of a warning when somebody is on the way to it."""
    at, by = stage.now() - timedelta(minutes=2), actor(who)
    entry = Entry(command=uuid4(), deed=Deed.ON_MY_WAY, outcome=Decision.APPLIED, by=by, at=at, note="两人一车", photos=2, located=True)
    return WarningActions(
        warning=identity(1),
        rev=2,
        street=STREET,
        department="water",
        acknowledged=Acknowledgement(by=by, at=at, seen_rev=1, tier=Tier.RED),
        progress=Progress(step=Deed.ON_MY_WAY, by=by, at=at, seen_rev=1, note="两人一车"),
        trail=(entry,),
        command=entry.command,
    )


def link(stage: Stage, **fields: Any) -> Link:
    """A link to the first alert."""
    made = Link(
        city=stage.tree.root.name, person=PEOPLE["li"].name, state="open", until=stage.now() + timedelta(hours=8), used_as=None, alert=alert(stage, 1)
    )
    return made.model_copy(update=fields)


def notification(stage: Stage, recipient: str, channel: str, result: Result, reason: str | None = None) -> Notification:
    """That somebody was told of warning 1."""
    return Notification(
        id=uuid4(),
        alert=identity(10_001),
        message=1,
        warning=identity(1),
        warning_rev=1,
        warnings=1,
        recipient=recipient,
        street=STREET,
        department="water",
        channel=channel,
        result=result,
        reason=reason,
        why=Why.OPENED,
        tier=Tier.RED,
        text=RULE_NAME,
        origin=Origin.REAL,
        decided_at=stage.now(),
    )


def duty_team(stage: Stage, zh: str, en: str, role: TeamRole, *who: str) -> DutyTeam:
    """A team; the first of it is on duty, the others come after."""
    now = stage.now().replace(minute=0, second=0, microsecond=0)
    turns = [
        DutyPerson(
            person=one,
            name=PEOPLE[one].name,
            since=now + timedelta(hours=8 * at),
            until=now + timedelta(hours=8 * at + 8),
            shift=Name(zh=("白班", "中班", "夜班")[at % 3], en=("day", "evening", "night")[at % 3]),
            instead_of=None,
            contacts={"sms": "139****1234"},
        )
        for at, one in enumerate(who)
    ]
    return DutyTeam(team=en.lower(), name=Name(zh=zh, en=en), region=DISTRICT, role=role, now=tuple(turns[:1]), later=tuple(turns[1:]))


def silence(stage: Stage, reason: str = "主管抢修，现场已有人") -> SilenceShown:
    """A silence that is in force."""
    since = stage.now() - timedelta(minutes=20)
    match = Match(domains=frozenset({Domain.WATER}), tiers=frozenset({Tier.BLUE, Tier.YELLOW}))
    return SilenceShown(id=uuid4(), region=DISTRICT, match=match, since=since, until=since + timedelta(hours=2), reason=reason, by=actor("dong"))


def brief(stage: Stage, warnings: int = 4) -> Brief:
    """A brief of the city's day."""
    until = stage.now().replace(minute=0, second=0, microsecond=0)
    by = actor("zhao")
    listed = [
        BriefWarning(
            id=one.id,
            tier=one.tier,
            open=at % 3 != 0,
            text=one.rule_name,
            place=Name(zh=f"酒泉路 {at} 号东口检查井", en=f"{at} Jiuquan Road"),
            street=STREET,
            department="water",
            domain=one.domain,
            origin=one.origin,
            began_at=one.began_at,
            changed_at=one.changed_at,
            acknowledged=Acknowledgement(by=by, at=one.began_at + timedelta(minutes=4), seen_rev=1, tier=one.tier) if at % 2 else None,
            progress=None,
            cleared=None,
        )
        for at, one in enumerate(_warning(at, stage) for at in range(warnings))
    ]
    return Brief(
        region=shown(stage.tree[CITY]),
        since=until - timedelta(days=1),
        until=until,
        made_at=stage.now(),
        began=dict(zip(reversed(TIERS), (2, 5, 11, 23), strict=True)),
        open=dict(zip(reversed(TIERS), (1, 2, 3, 8), strict=True)),
        unanswered=1,
        by_domain={Domain.WATER: 12, Domain.SEWAGE: 9, Domain.DUST: 17, Domain.FIRE: 3},
        by_region={DISTRICT: 30, "620103": 11},
        answered_s=214.0,
        warnings=tuple(listed),
        more=0,
        duty=(duty_team(stage, "城关区值守", "Desk", TeamRole.DESK, "dong"), duty_team(stage, "酒泉路现场", "Field", TeamRole.FIELD, "li", "zhao")),
        handovers=(),
    )


def _warning(at: int, stage: Stage) -> Warning:
    return warning(at, stage.now() - timedelta(minutes=at * 17), tier=TIERS[-1 - at % 4])
