"""The stage with a department's office on it: what became of its events, its keys, and the registry, which is decided as ingest decides it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from schemas import sheet
from schemas.base import Domain, Name, Origin
from schemas.boundaries import Places
from schemas.command import Within
from schemas.link import Hj212, Meaning
from schemas.observation import Quality, Statistic
from schemas.outcome import Decided, Outcome
from schemas.registration import FaultCode, Registration
from schemas.rejected import Problem
from schemas.rest import (
    AcceptedReading,
    AcceptedValue,
    Discarding,
    DoorShown,
    EventFate,
    EventsSummary,
    FlowHour,
    Importing,
    KeyMade,
    KeyMaking,
    KeyReplacing,
    KeyShown,
    RefusalBody,
    RefusalShown,
    RefusedCount,
    SendingAgain,
    SensorHealth,
    SensorPage,
    SensorShown,
    Stored,
    UnknownShown,
)
from schemas.sensor import Life, Metric, Sensor
from schemas.tiers import Tier
from services.gateway.domain import adoption
from services.ingest.domain.registration import Ground, Plan, bring, change
from services.ingest.domain.registry import Linear
from services.ingest.positions import converter
from tests.browser.crew import Crew, all_of
from tests.browser.frames import CITY, DEPARTMENTS, STREET, TREE, identity, warning
from tests.browser.stage import may_change, problem, reply

SECRET = "tgk_a-secret-of-the-stage"
KNOWN = "dma-1"
"""What names this sensor is accepted when it is sent again."""
UNKNOWN_SENSOR = Problem(
    code="unknown_sensor",
    where="data.sensor",
    message="there is no sensor 'dma-l' in the registry",
    hint="correct the id, or ask for the sensor to be registered",
)
BAD_TIME = Problem(code="bad_time", where="data.end", message="'2026-11-23 8:00' is no RFC 3339 time", hint="write 2026-11-22T08:00:00+08:00")


def _fine(_: str) -> None:
    """Any unit will do."""


def _as_said(unit: str, to: str) -> Linear:
    """Take any unit for any other: units are not this stage's matter."""
    del unit, to
    return Linear()


class Bureau(Crew):
    """The stage, and a department that looks after its events.

    `refusals` is what was refused, with what came; what is sent again is accepted when it names `KNOWN`. `meddle` is somebody else who changes
    a sensor before the next change is decided.
    """

    def __init__(self) -> None:
        super().__init__()
        self.departments = list(DEPARTMENTS)
        self.summary: EventsSummary | None = None
        self.refusals: list[tuple[RefusalShown, bytes]] = []
        self.doors: list[DoorShown] = []
        self.fate: EventFate | None = None
        self.keys: list[KeyShown] = []
        self.registry: dict[str, Sensor] = {}
        self.health: dict[str, SensorHealth] = {}
        self.unknown: list[UnknownShown] = []
        self.files: dict[str, bytes] = {}
        self.meddle: Callable[[Sensor], Sensor] | None = None
        self.ground = Ground(TREE, frozenset(one.id for one in DEPARTMENTS), Places(TREE, None), _fine, _as_said)

    def _routes(self) -> list[Route | WebSocketRoute]:
        of = "/v1/departments/{department}/"
        own = [
            Route("/v1/departments", self._departments),
            Route(of + "summary", self._summary),
            Route(of + "refused", self._refused),
            Route(of + "refused/again", self._again, methods=["POST"]),
            Route(of + "refused/discard", self._discard, methods=["POST"]),
            Route(of + "refused/{rejected:uuid}", self._refusal),
            Route(of + "doors", self._doors),
            Route(of + "doors/{door}/opening", self._reopen, methods=["POST"]),
            Route(of + "events", self._event),
            Route(of + "keys", self._keys),
            Route(of + "keys", self._make_key, methods=["POST"]),
            Route(of + "keys/{key}/replacement", self._replace_key, methods=["POST"]),
            Route(of + "keys/{key}", self._revoke_key, methods=["DELETE"]),
            Route("/v1/sensors", self._sensors),
            Route("/v1/sensors/imports", self._import, methods=["POST"]),
            Route("/v1/sensors/{sensor}", self._sensor),
            Route("/v1/sensors/{sensor}", self._change_sensor, methods=["PUT"]),
            Route("/v1/uploads", self._upload, methods=["POST"]),
            Route("/v1/unknown", self._unknown),
            Route("/v1/unknown/draft", self._draft),
        ]
        return [*own, *super()._routes()]

    def asked_of(self, what: str) -> list[tuple[str, BaseModel | None]]:
        """Return what was asked of one kind, in its order."""
        return [one for one in self.asked if one[0] == what]

    # -- events

    async def _departments(self, request: Request) -> Response:
        return all_of([one for one in self.departments if self._who(request) == "guan" or one.id == "water"])

    async def _summary(self, request: Request) -> Response:
        self.asked.append((f"summary {request.url.query}", None))
        until = request.query_params.get("until")
        asked = {"since": datetime.fromisoformat(request.query_params["since"]), "until": datetime.fromisoformat(until) if until else self.now()}
        return reply((self.summary or summary(self)).model_copy(update={"department": request.path_params["department"], **asked}))

    async def _refused(self, request: Request) -> Response:
        asked = request.query_params
        found = [
            one
            for one, body in self.refusals
            if asked.get("reason") in {None, one.problem.code}
            and asked.get("state") in {None, one.state}
            and asked.get("door") in {None, one.door}
            and asked.get("text", "") in body.decode(errors="replace")
        ]
        ids = [str(one.id) for one in found]
        start = ids.index(asked["before"]) + 1 if "before" in asked else 0
        return all_of(found[start : start + int(asked["limit"])])

    async def _refusal(self, request: Request) -> Response:
        found = self._found(request.path_params["rejected"])
        if found is None:
            return problem(404, "not_found")
        shown, body = found
        try:
            return reply(RefusalBody(refusal=shown, text=body.decode(), hex=None))
        except UnicodeDecodeError:
            return reply(RefusalBody(refusal=shown, text=None, hex=body.hex()))

    def _found(self, id_: UUID) -> tuple[RefusalShown, bytes] | None:
        return next(((shown, body) for shown, body in self.refusals if shown.id == id_), None)

    async def _again(self, request: Request) -> Response:
        if not may_change(request):
            return problem(403, "forged")
        given = SendingAgain.model_validate_json(await request.body())
        self.asked.append(("again", given))
        mended = bytes.fromhex(given.mended_hex) if given.mended_hex is not None else None if given.mended is None else given.mended.encode()
        results = [self._judge(id_, mended, self._who(request) or "") for id_ in given.rejected]
        outcome = Outcome.APPLIED if any(one["became"] == "accepted" for one in results) else Outcome.REFUSED
        return reply(Decided(command=uuid4(), outcome=outcome, detail={"results": results, "problems": []}))

    def _judge(self, id_: UUID, mended: bytes | None, by: str) -> dict[str, Any]:
        found = self._found(id_)
        assert found is not None
        good = f'"{KNOWN}"'.encode() in (found[1] if mended is None else mended)
        told: dict[str, Any] = {"rejected": str(id_), "became": "accepted" if good else "refused", "accepted": int(good)}
        told |= {} if good else {"problem": UNKNOWN_SENSOR.model_dump()}
        self._mark(id_, by, again=told, state="sent_again" if good else "kept")
        return told

    def _mark(self, id_: UUID, by: str, **changed: Any) -> None:
        told = {"changed_at": self.now(), "changed_by": by, **changed}
        self.refusals = [(shown.model_copy(update=told) if shown.id == id_ else shown, body) for shown, body in self.refusals]

    async def _discard(self, request: Request) -> Response:
        given = Discarding.model_validate_json(await request.body())
        self.asked.append(("discard", given))
        for id_ in given.rejected:
            self._mark(id_, self._who(request) or "", again={"note": given.note}, state="discarded")
        return reply(Decided(command=uuid4(), outcome=Outcome.APPLIED, detail={"discarded": [str(id_) for id_ in given.rejected]}))

    async def _doors(self, _: Request) -> Response:
        return all_of(self.doors)

    async def _reopen(self, request: Request) -> Response:
        door = request.path_params["door"]
        self.asked.append((f"reopen {door}", None))
        self.doors = [one.model_copy(update={"stopped_at": None, "why": None}) if one.protocol == door else one for one in self.doors]
        return reply(Decided(command=uuid4(), outcome=Outcome.APPLIED, detail={"doors": [door]}))

    async def _event(self, request: Request) -> Response:
        self.asked.append((f"event {request.url.query}", None))
        return reply(self.fate or EventFate(since=self.now(), until=self.now(), accepted=(), report=None, refused=(), warned=()))

    # -- keys

    async def _keys(self, _: Request) -> Response:
        return all_of(self.keys)

    async def _make_key(self, request: Request) -> Response:
        given = KeyMaking.model_validate_json(await request.body())
        self.asked.append(("key", given))
        made = key(self, f"key-{len(self.keys)}", given.label).model_copy(update={"scope": given.scope, "expires_at": given.expires})
        return self._made(made)

    def _made(self, made: KeyShown) -> Response:
        self.keys.insert(0, made)
        return reply(KeyMade(decided=Decided(command=uuid4(), outcome=Outcome.APPLIED), key=made.id, secret=SECRET))

    async def _replace_key(self, request: Request) -> Response:
        given = KeyReplacing.model_validate_json(await request.body())
        self.asked.append(("replace", given))
        old, ends = request.path_params["key"], self.now() + timedelta(seconds=given.overlap_s)
        self.keys = [one.model_copy(update={"expires_at": ends}) if one.id == old else one for one in self.keys]
        return self._made(key(self, f"key-{len(self.keys)}", next(one.label for one in self.keys if one.id == old)))

    async def _revoke_key(self, request: Request) -> Response:
        told = {"revoked_at": self.now(), "revoked_by": self._who(request)}
        self.keys = [one.model_copy(update=told) if one.id == request.path_params["key"] else one for one in self.keys]
        return reply(Decided(command=uuid4(), outcome=Outcome.APPLIED))

    # -- the registry

    async def _sensors(self, request: Request) -> Response:
        self.asked.append((f"sensors {request.url.query}", None))
        asked = request.query_params
        found = [
            self._shown(one, request)
            for id_, one in sorted(self.registry.items())
            if id_ > asked.get("after", "")
            and asked.get("text", "") in f"{id_} {one.name.zh}"
            and asked.get("health") in {None, self._health(id_).state}
        ]
        limit = int(asked["limit"])
        return reply(SensorPage(sensors=tuple(found[:limit]), after=found[limit - 1].sensor.id if len(found) > limit else None))

    async def _sensor(self, request: Request) -> Response:
        found = self.registry.get(request.path_params["sensor"])
        return problem(404, "not_found") if found is None else reply(self._shown(found, request))

    def _shown(self, one: Sensor, request: Request) -> SensorShown:
        return SensorShown(sensor=one, health=self._health(one.id), changeable=self._who(request) in {"shui", "guan"} and one.department == "water")

    def _health(self, id_: str) -> SensorHealth:
        return self.health.get(id_) or health("unheard", None)

    async def _change_sensor(self, request: Request) -> Response:
        if not may_change(request):
            return problem(403, "forged")
        seen = int(request.headers["If-Match"].strip('"')) if "If-Match" in request.headers else 0
        new = Sensor.model_validate_json(await request.body()).model_copy(update={"version": seen + 1})
        if self.meddle is not None:
            self.registry[new.id], self.meddle = self.meddle(self.registry[new.id]), None
        return self._decide(change(new, self.registry.get(new.id), [], self.ground, [Within(region=CITY)]), request)

    def _decide(self, plan: Plan, request: Request) -> Response:
        dry = request.query_params.get("dry_run") == "true"
        outcome = Outcome.PREVIEWED if dry else Outcome.REFUSED if plan.faults else Outcome.APPLIED if plan.changes else Outcome.ALREADY
        if outcome is Outcome.APPLIED:
            self.registry |= {one.sensor.id: one.sensor for one in plan.changes}
            self.unknown = [one for one in self.unknown if not any(one.device in id_ for id_ in self.registry)]
        told: Registration = plan.told()
        status = 200 if outcome is not Outcome.REFUSED else 409 if any(one.code is FaultCode.CHANGED for one in plan.faults) else 422
        return reply(Decided(command=uuid4(), outcome=outcome, detail=told.model_dump(mode="json")), status)

    async def _upload(self, request: Request) -> Response:
        body = await request.body()
        digest = hashlib.sha256(body).hexdigest()
        self.files[digest] = body
        return reply(Stored(digest=digest), 201)

    async def _import(self, request: Request) -> Response:
        given = Importing.model_validate_json(await request.body())
        table = sheet.read(self.files[given.file], given.form)
        return self._decide(bring(table, self.registry, [], self.ground, [Within(region=CITY)], converter(given.system)), request)

    async def _unknown(self, _: Request) -> Response:
        return all_of(self.unknown)

    async def _draft(self, request: Request) -> Response:
        device = request.query_params["device"]
        return reply(adoption.draft(next(one for one in self.unknown if one.device == device)))


# What it can tell


def summary(stage: Bureau) -> EventsSummary:
    """Two days by the hour, of two ways in; one hour was bad."""
    hour = stage.now().replace(minute=0, second=0, microsecond=0)
    hours = [
        FlowHour(hour=hour - timedelta(hours=at), door=door, observations=3600 - at * 13 % 700, reports=at % 3, refused=refused, late=at % 7)
        for at in range(48)
        for door, refused in (("http", 480 if at == 2 else at % 5 and 3), ("mqtt", 0))
    ]
    newest = stage.now() - timedelta(minutes=3)
    counts = (("unknown_sensor", "kept", 481), ("bad_time", "kept", 12), ("bad_time", "sent_again", 40), ("in_the_future", "discarded", 3))
    return EventsSummary(
        department="water",
        since=hour - timedelta(days=1),
        until=stage.now(),
        observations=172_431,
        reports=24,
        refused=536,
        late=117,
        hours=tuple(hours),
        reasons=tuple(RefusedCount.model_validate({"code": code, "state": state, "count": count, "newest": newest}) for code, state, count in counts),
        left_out=0,
        warned={Tier.RED: 1, Tier.YELLOW: 4, Tier.BLUE: 9},
    )


def event(sensor: str, at: str = "2026-11-23T08:00:00+08:00") -> bytes:
    """A CloudEvent of a sensor."""
    said = {"sensor": sensor, "end": at, "values": {"flow": 12.5}}
    told = {"specversion": "1.0", "id": "e-1", "source": "urn:water:scada", "type": "tongguan.observation.v1", "data": said}
    return json.dumps(told).encode()


def refusal(stage: Bureau, number: int, body: bytes = event("dma-l"), told: Problem = UNKNOWN_SENSOR, **fields: Any) -> tuple[RefusalShown, bytes]:
    """Refusal `number`, some minutes old, with what came."""
    made = RefusalShown(
        id=identity(20_000 + number),
        door="http",
        address="192.0.2.17",
        content_type="application/cloudevents+json",
        received=stage.now() - timedelta(minutes=2 * number),
        problem=told,
        event=f"e-{number}",
        sensor="dma-l",
        size=len(body),
        kept=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        state="kept",
        changed_at=None,
        changed_by=None,
        again=None,
    )
    return made.model_copy(update=fields), body


def fate(stage: Bureau) -> EventFate:
    """An event that was accepted, and warned on."""
    at = stage.now() - timedelta(minutes=5)
    reading = AcceptedReading(
        sensor=KNOWN,
        statistic=Statistic.MEAN,
        period_s=600,
        end=at,
        values={"flow": AcceptedValue(value=6.5, quality=Quality.GOOD), "pressure": AcceptedValue(value=9.9, quality=Quality.SPIKE)},
        origin=Origin.REAL,
        source="urn:water:scada",
        event="e-7",
        received=at + timedelta(seconds=1),
    )
    refused = (refusal(stage, 7)[0],)
    around = {"since": at - timedelta(minutes=5), "until": at + timedelta(minutes=5)}
    return EventFate(**around, accepted=(reading,), report=None, refused=refused, warned=(warning(1, at, tier=Tier.RED),))


def door(stage: Bureau, protocol: str, why: str | None = None) -> DoorShown:
    """A way in, stopped where `why` says so."""
    now = stage.now()
    stopped = None if why is None else now - timedelta(minutes=14)
    return DoorShown(protocol=protocol, heard_at=now - timedelta(seconds=20), stopped_at=stopped, why=why, nodes=() if why is None else ("n1",))


def key(stage: Bureau, id_: str, label: str, **fields: Any) -> KeyShown:
    """A key that is good."""
    told: dict[str, Any] = {"scope": {"types": ["observation"]}, "made_at": stage.now() - timedelta(days=40), "made_by": "guan"}
    none = dict.fromkeys(("expires_at", "revoked_at", "revoked_by"))
    return KeyShown.model_validate({"id": id_, "department": "water", "label": label, "used_at": stage.now(), **told, **none, **fields})


def registered(id_: str, zh: str, en: str, **fields: Any) -> Sensor:
    """A sensor of the registry."""
    flow = Metric(unit="L/s", name=Name(zh="流量", en="Flow"), low=0, high=120, spike=30, stuck=timedelta(hours=2))
    made = Sensor(
        id=id_,
        version=3,
        name=Name(zh=zh, en=en),
        domain=Domain.WATER,
        department="water",
        street=STREET,
        metrics={"flow": flow},
        tags=frozenset({"dma"}),
        attributes={"zone": "a"},
        every=timedelta(minutes=5),
        place=Name(zh="酒泉路 12 号", en="12 Jiuquan Road"),
    )
    return made.model_copy(update=fields)


def site() -> Sensor:
    """A sensor that is heard by HJ 212, of another department."""
    pm10 = Metric(unit="mg/m3", name=Name(zh="PM10", en="PM10"), low=0, high=5)
    link = Hj212(mn="LZ0000000000000000000001", codes={"a34002": Meaning(metric="pm10")})
    told = {"domain": Domain.DUST, "department": "housing", "metrics": {"pm10": pm10}, "adapter": "hj212", "link": link}
    return registered("dust-site-1", "七里河路工地", "Qilihe site", **told, attributes={"phase": "earthworks"}, life=Life.SUSPENDED)


def health(state: str, age: timedelta | None, now: datetime | None = None) -> SensorHealth:
    """How a sensor is that told of a time so long ago."""
    ended = None if now is None or age is None else now - age
    counts = {"readings": 8_640, "values": 17_280, "bad": 1_901 if state == "doubtful" else 12, "late": 31, "gaps": 4, "longest_gap_s": 5_400.0}
    told: dict[str, Any] = counts if age is not None else dict.fromkeys(counts, 0)
    at = {"heard_at": ended, "ended_at": ended, "age_s": None if age is None else age.total_seconds()}
    return SensorHealth.model_validate({"state": state, **at, **told, "skew_s": 0.0 if age is None else -7.5})


def stranger(stage: Bureau, device: str = "LZ0000000000000000000099") -> UnknownShown:
    """A dust monitor that nobody registered."""
    said = (
        f"QN=20261123080000000;ST=22;CN=2011;MN={device};CP=&&DataTime=20261123080000;a34002-Rtd=0.112,a34002-Flag=N;a34004-Rtd=0.071,a34004-Flag=N&&"
    )
    now = stage.now()
    return UnknownShown(
        protocol="hj212",
        device=device,
        department="water",
        first_at=now - timedelta(hours=7),
        last_at=now - timedelta(seconds=41),
        count=421,
        said=said,
    )


def busy(stage: Bureau) -> None:
    """An office with one of everything."""
    now, odd = stage.now(), b"##0101QN=2026\xff\xfe"
    stage.refusals = [refusal(stage, at) for at in range(4)]
    stage.refusals += [
        refusal(stage, 4, event(KNOWN, "2026-11-23 8:00"), BAD_TIME, sensor=KNOWN),
        refusal(
            stage, 5, odd, Problem(code="bad_crc", where="", message="no whole frame of HJ 212: bad_crc", hint="check the device's CRC"), door="hj212"
        ),
        refusal(stage, 6, state="discarded", changed_at=now, changed_by="shui", again={"note": "测试数据"}),
    ]
    stage.doors = [door(stage, "http"), door(stage, "mqtt", "there is no sensor 'dma-l' in the registry"), door(stage, "hj212")]
    stage.keys = [key(stage, "key-0", "SCADA 主站"), key(stage, "key-1", "旧网关", revoked_at=now - timedelta(days=2), revoked_by="guan")]
    stage.registry = {one.id: one for one in (registered(KNOWN, "一号计量区", "DMA 1"), site())}
    stage.registry |= {f"dma-{at}": registered(f"dma-{at}", f"{at} 号计量区入口流量计", f"DMA {at}") for at in range(2, 9)}
    stage.health = {
        KNOWN: health("well", timedelta(seconds=31), now),
        "dma-2": health("silent", timedelta(hours=5, minutes=3), now),
        "dma-3": health("doubtful", timedelta(minutes=2), now),
        "dust-site-1": health("unused", timedelta(days=3), now),
    }
    stage.unknown = [stranger(stage), stranger(stage, "LZ0000000000000000000100")]
    stage.fate = fate(stage)
