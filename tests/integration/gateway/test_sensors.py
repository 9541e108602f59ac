"""The registry over REST: read and changed within what is one's own, by hand and by file, and unknown devices adopted."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from schemas.outcome import Decided, Outcome
from schemas.rest import Draft, SensorPage, SensorShown
from schemas.sensor import Sensor
from services.ingest.domain.accept import Sender
from services.ingest.door import Door
from services.ingest.intake import Request
from services.kit.producer import Producer
from tests.integration.gateway.people import Browser, browser
from tests.integration.parts import Servers, Service, eventually
from tests.integration.registrar import CLOCK, Registrar, registrar
from tests.unit.gateway.city import DISTRICT, OTHER_DISTRICT, OTHER_STREET, SIBLING, STREET, sensor

NEW = {"If-None-Match": "*"}


@pytest.fixture
async def node(servers: Servers, pool: asyncpg.Pool, producer: Producer, environment: dict[str, str]) -> AsyncIterator[Registrar]:
    """Ingest's part, on an empty registry."""
    await pool.execute("truncate ingest.sensors, ingest.outbox, ingest.sensor_health, ingest.unknown")
    async with registrar(servers.kafka, pool, producer, Path(environment["TONGGUAN_CITY"])) as opened:
        yield opened


def body_of(one: Sensor, **fields: Any) -> dict[str, Any]:
    return {**one.model_dump(mode="json"), **fields}


async def put(one: Browser, body: dict[str, Any], query: str = "", **headers: str) -> httpx.Response:
    return await one.ask("PUT", f"/v1/sensors/{body['id']}{query}", body, **headers)


def outcome(answer: httpx.Response) -> Outcome | None:
    return Decided.model_validate(answer.json()).outcome


async def listed(one: Browser, query: str = "") -> list[str]:
    answer = await one.get(f"/v1/sensors?{query}")
    assert answer.status_code == 200, answer.text
    return [each.sensor.id for each in SensorPage.model_validate(answer.json()).sensors]


async def test_a_sensor_is_registered_heard_changed_and_suspended(gateway: Service, node: Registrar, pool: asyncpg.Pool):
    async with browser(gateway, "department") as mine:
        body, begun = body_of(sensor("g1")), CLOCK.now()
        assert (await put(mine, body)).status_code == 422
        preview = await put(mine, body, "?dry_run=true", **NEW)
        assert (preview.status_code, outcome(preview), preview.json()["detail"]["new"]) == (200, Outcome.PREVIEWED, 1)
        assert (await mine.get("/v1/sensors/g1")).status_code == 404
        assert outcome(await put(mine, body, **NEW)) is Outcome.APPLIED

        async def heard() -> bool:
            data = {"sensor": "g1", "values": {"flow": 1.0}, "end": CLOCK.now().isoformat()}
            event = {"specversion": "1.0", "id": "e", "source": "/d", "type": "cn.tongguan.observation.v1", "data": data}
            asked = Request(json.dumps(event).encode(), "application/cloudevents+json", {}, Sender("d"), "10.0.0.1")
            return not (await node.intake.take(asked, Door("http", "n1", CLOCK))).refused

        await eventually(heard, "the reading to be accepted")
        assert CLOCK.now() - begun < timedelta(seconds=5), "a second or so, and this machine may be busy"

        shown = await mine.get("/v1/sensors/g1")
        assert (shown.headers["etag"], shown.json()["changeable"], shown.json()["health"]["state"]) == ('"1"', True, "unheard")
        suspended = body_of(sensor("g1", SIBLING), life="suspended")
        changed = await put(mine, suspended, **{"If-Match": shown.headers["etag"]})
        assert (changed.status_code, {one["field"] for one in changed.json()["detail"]["changes"][0]["fields"]}) == (200, {"life", "street"})
        late = await put(mine, body, **{"If-Match": '"1"'})
        assert (late.status_code, late.json()["detail"]["there"]["street"]) == (409, SIBLING)
        unfit = await put(mine, {**suspended, "street": "nowhere"}, **{"If-Match": '"2"'})
        assert (unfit.status_code, unfit.json()["detail"]["faults"][0]["column"]) == (422, "street")
        entries = [
            json.loads(row["body"])["detail"]["version"]
            for row in await pool.fetch(
                "select body from gateway.audit where body ->> 'action' = 'sensor.change' and body ->> 'subject' = 'sensor/g1'"
            )
        ]
        assert sorted(entries) == ["1", "2", "2", "3"], "whatever was asked for"


async def test_each_reads_and_changes_what_is_theirs(gateway: Service, node: Registrar):
    others = {"department": "e"}
    for one in (
        body_of(sensor("a")),
        body_of(sensor("b"), **others),
        body_of(sensor("c", OTHER_STREET)),
        body_of(sensor("d", OTHER_STREET), **others),
    ):
        await node.change(Sensor.model_validate(one))
    seen = {"department": "ac", "district": "ab", "other-district": "cd", "admin": "abcd", "district-admin": "ab", "street": "ab", "city": "abcd"}
    for who, ids in seen.items():
        async with browser(gateway, who) as reader:
            assert await listed(reader) == list(ids), who
            exported = (await reader.get("/v1/sensors.csv")).content.decode("utf-8-sig")
            assert [row["id"] for row in csv.DictReader(io.StringIO(exported))] == list(ids), who
            assert [(await reader.get(f"/v1/sensors/{id_}")).status_code for id_ in "abcd"] == [200 if id_ in ids else 404 for id_ in "abcd"], who
            assert (await reader.get("/v1/sensors/a%00")).status_code in {404, 422}, who
            if who in {"district", "district-admin"}:
                assert await listed(reader, f"region={DISTRICT}") == list(ids)
                assert (await reader.get(f"/v1/sensors?region={OTHER_DISTRICT}")).status_code == 403
    async with browser(gateway, "auditor") as auditor:
        assert [(await auditor.get(f"/v1/{path}")).status_code for path in ("sensors", "sensors.csv", "sensors/a", "unknown")] == [403] * 4

    seen_version = {"If-Match": '"1"'}
    for who, body, status in (
        ("district", body_of(sensor("a"), station="x"), 403),
        ("department", body_of(sensor("b"), station="x", **others), 403),
        ("department", body_of(sensor("b"), station="x"), 422),
        ("department", body_of(sensor("a"), **others), 403),
        ("district-admin", body_of(sensor("c"), station="x"), 422),
        ("district-admin", body_of(sensor("a", OTHER_STREET)), 403),
        ("district-admin", body_of(sensor("b"), station="x", **others), 200),
        ("department", body_of(sensor("c", OTHER_STREET), station="x"), 200),
    ):
        async with browser(gateway, who) as one:
            answer = await put(one, body, **seen_version)
            assert answer.status_code == status, (who, body["id"], answer.text)
            if status == 422:
                assert "there" not in answer.json()["detail"] or answer.json()["detail"]["there"] is None


async def test_a_file_is_sent_previewed_applied_and_comes_back_the_same(gateway: Service, node: Registrar):
    table = f"id,name_zh,domain,department,street,longitude,latitude,metric.flow.unit\nf1,甲,water,d,{STREET},104.5,36.5,L/s\n".encode()
    async with browser(gateway, "department") as mine, browser(gateway, "street") as street, browser(gateway, "admin") as admin:

        async def send(body: bytes, one: Browser = mine) -> httpx.Response:
            csrf = one.session.csrf if one.session else ""
            return await one.client.post("/v1/uploads", content=body, headers={"X-CSRF-Token": csrf})

        assert (await send(table, street)).status_code == 403
        digest = (await send(table)).json()["digest"]
        assert (await send(table)).json()["digest"] == digest
        asked = {"file": digest, "form": "csv", "system": "gcj02"}
        assert (await street.ask("POST", "/v1/sensors/imports", asked)).status_code == 403
        assert (await mine.ask("POST", "/v1/sensors/imports", {**asked, "file": "0" * 64})).status_code == 422
        preview = await mine.ask("POST", "/v1/sensors/imports?dry_run=true", asked)
        assert (preview.status_code, preview.json()["detail"]["new"]) == (200, 1)
        assert await listed(mine) == []
        applied = await mine.ask("POST", "/v1/sensors/imports", asked)
        assert (applied.status_code, outcome(applied)) == (200, Outcome.APPLIED)
        command = applied.json()["command"]
        assert (await mine.get(f"/v1/sensors/outcomes/{command}")).json() == applied.json()
        assert (await admin.get(f"/v1/sensors/outcomes/{command}")).status_code == 404

        for form in ("csv", "geojson"):
            again = {"file": (await send((await mine.get(f"/v1/sensors.{form}")).content)).json()["digest"], "form": form, "system": "cgcs2000"}
            same = await mine.ask("POST", "/v1/sensors/imports", again)
            assert (outcome(same), same.json()["detail"]["unchanged"]) == (Outcome.ALREADY, 1)
        bad = {"file": (await send(b"id\n?\n")).json()["digest"], "form": "csv", "system": "wgs84"}
        assert (await mine.ask("POST", "/v1/sensors/imports", bad)).status_code == 422
        theirs = {"file": (await send(b"id,department\nf1,e\nf2,\n")).json()["digest"], "form": "csv", "system": "wgs84"}
        assert {one["code"] for one in (await mine.ask("POST", "/v1/sensors/imports", theirs)).json()["detail"]["faults"]} == {"not_yours", "unfit"}


async def test_sensors_are_found_by_what_they_are_and_how_they_are(gateway: Service, node: Registrar, pool: asyncpg.Pool):
    link = {"protocol": "hj212", "mn": "M7", "codes": {"w00000": {"metric": "flow"}}}
    for one in (
        body_of(sensor("p1"), station="works", every=60),
        body_of(sensor("p2"), adapter="hj212", link=link),
        body_of(sensor("p3"), life="retired"),
        body_of(sensor("p4", OTHER_STREET), domain="sewage", department="e"),
        body_of(sensor("p5"), every=60),
    ):
        await node.change(Sensor.model_validate(one))
    heard = [("p1", 10, 100, 1), ("p2", 10, 10, 5), ("p5", 600, 10, 0)]
    for id_, seconds, values, bad in heard:
        at = CLOCK.now() - timedelta(seconds=seconds)
        await pool.execute("insert into ingest.sensor_health values ($1, $2, $2, $3, $3, $4, 0, 2, 300, 0.5)", id_, at, values, bad)
    async with browser(gateway, "city") as city:
        for query, ids in (
            (f"region={DISTRICT}", "1235"),
            ("department=e", "4"),
            ("domain=sewage", "4"),
            ("life=retired", "3"),
            ("station=works", "1"),
            ("protocol=hj212", "2"),
            ("text=m7", "2"),
            ("health=well", "1"),
            ("health=doubtful", "2"),
            ("health=unused", "3"),
            ("health=unheard", "4"),
            ("health=silent", "5"),
            ("text=%25", ""),
        ):
            assert await listed(city, query) == [f"p{number}" for number in ids], query
        first = SensorPage.model_validate((await city.get("/v1/sensors?limit=2")).json())
        assert ([one.sensor.id for one in first.sensors], first.after) == (["p1", "p2"], "p2")
        assert await listed(city, "limit=500&after=p2") == ["p3", "p4", "p5"]
        shown = SensorShown.model_validate((await city.get("/v1/sensors/p1")).json())
        assert (shown.health.readings, shown.health.bad, shown.health.gaps, shown.health.longest_gap_s) == (100, 1, 2, 300)
        assert shown.health.age_s == pytest.approx(10, abs=8)
        assert not shown.changeable


async def test_an_unknown_device_is_adopted_by_whose_it_is(gateway: Service, node: Registrar, pool: asyncpg.Pool):
    del node
    packet = "##0101ST=32;CN=2011;MN=M9;CP=&&DataTime=20261122080000;w01018-Rtd=35.2,w01018-Flag=N;w00000-Rtd=1.0&&1C80"
    for protocol, device, department, said in (
        ("hj212", "M9", "d", packet),
        ("http", "new-1", "d", '{"data": {"sensor": "new-1", "values": {"flow": 1}}}'),
        ("hj212", "M8", "e", packet),
        ("gb26875", "0a0b0c0d0e0f", "stranger", "40 40"),
    ):
        await pool.execute(
            "insert into ingest.unknown values ($1, $2, $3, now(), now(), 3, $4)", protocol, device, department, json.dumps({"said": said})
        )
    query = "protocol=hj212&device=M9&department=d"
    async with browser(gateway, "department") as mine, browser(gateway, "admin") as admin, browser(gateway, "city") as city:

        async def unknown(one: Browser) -> list[str]:
            return sorted(each["device"] for each in (await one.get("/v1/unknown")).json())

        assert await unknown(mine) == ["M9", "new-1"]
        assert await unknown(admin) == ["0a0b0c0d0e0f", "M8", "M9", "new-1"]
        assert [(await city.get(path)).status_code for path in ("/v1/unknown", f"/v1/unknown/draft?{query}")] == [403, 403]
        assert (await mine.get("/v1/unknown/draft?protocol=hj212&device=M8&department=e")).status_code == 404
        other = Draft.model_validate((await mine.get("/v1/unknown/draft?protocol=http&device=new-1&department=d")).json())
        assert (other.sensor["id"], list(other.sensor["metrics"]), "link" in other.sensor) == ("new-1", ["flow"], False)

        draft = Draft.model_validate((await mine.get(f"/v1/unknown/draft?{query}")).json())
        assert draft.missing == ("name", "domain", "street", "metrics.w01018.unit", "metrics.w00000.unit")
        metrics = {code: {**metric, "unit": unit} for (code, metric), unit in zip(draft.sensor["metrics"].items(), ("mg/L", "L/s"), strict=True)}
        body = {**draft.sensor, "name": {"zh": "排口", "en": "outfall"}, "domain": "sewage", "street": STREET, "metrics": metrics}
        assert outcome(await put(mine, body, **NEW)) is Outcome.APPLIED
        assert await unknown(mine) == ["new-1"]
