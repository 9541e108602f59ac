"""The composition of the gateway."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping

import httpx
import msgspec
from aiokafka import ConsumerRecord, TopicPartition
from pydantic import ValidationError

from schemas import wire
from schemas.access import Grant
from schemas.action import WarningActions
from schemas.control import RuleActivation
from schemas.health import Heartbeat
from schemas.regions import RegionTree
from schemas.sensor import Sensor
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.gateway import (
    audits,
    briefs,
    credentials,
    doings,
    duty,
    events,
    field,
    http,
    keys,
    links,
    oidc,
    patrols,
    photos,
    regions,
    reports,
    sensors,
    sign_in,
    silences,
    stories,
    users,
)
from services.gateway.accounts import Accounts
from services.gateway.album import Album
from services.gateway.alerts import Alerts
from services.gateway.answers import Answers, Outcomes
from services.gateway.archive import Archive
from services.gateway.audit import ROOM, Audit
from services.gateway.devices import Devices
from services.gateway.domain.access import Tokens
from services.gateway.domain.identity import parse_grant
from services.gateway.domain.outlines import Outlines
from services.gateway.domain.pace import Pace
from services.gateway.domain.proxies import Proxies
from services.gateway.domain.view import View
from services.gateway.ingest import Ingest
from services.gateway.keyring import Keyring
from services.gateway.live import LiveServer
from services.gateway.passwords import Passwords
from services.gateway.provider import Provider, trustworthy
from services.gateway.reads import ROLE, Reads
from services.gateway.registered import Registered
from services.gateway.settings import GatewaySettings, OidcSettings, Settings
from services.gateway.uploads import Uploads
from services.kit import boundaries, city, database, kinds, logs, room
from services.kit.clock import Clock
from services.kit.errors import Misconfigured, Unavailable
from services.kit.http import serve as serve_http
from services.kit.outbox import Relay
from services.kit.reader import Reader
from services.kit.topics import ACTIONS, HEALTH, OBSERVATIONS, RULES, SENSORS, WARNINGS, load

_log = logs.get(__name__)

_ROUTERS = (
    *(sign_in, oidc, regions, stories, doings, field, links, photos, silences, duty, briefs),
    *(events, keys, patrols, reports, sensors, audits, users),
)
ROUTES = tuple(each.routes for each in _ROUTERS)
TIDY_EVERY_S = 60.0
WRONG_LINKS = 20
"""Links that are none, from one network in a minute: nobody guesses one, but each is audited."""
LAST_WORDS_S = 1.0
"""How long the counts of refusals may take to be written at the end; the supervisor kills after 4 s."""


class Feed:
    """Takes the topics' records into what is known here; one that does not decode is told and passed over."""

    def __init__(self, view: View, answers: Answers) -> None:
        self._view = view
        self._answers = answers
        self.rules: dict[str, RuleActivation] = {}

    async def sensor(self, record: ConsumerRecord) -> None:
        """Take a record of `city.sensors`."""
        if record.value is not None:
            self._try(record, lambda: self._view.take_sensor(Sensor.model_validate_json(record.value)))

    async def rule(self, record: ConsumerRecord) -> None:
        """Take a record of `city.rules`."""
        if record.value is None:
            self.rules.pop((record.key or b"").decode("utf-8", "replace"), None)
        else:
            self._try(record, lambda: self._take_rule(RuleActivation.model_validate_json(record.value)))

    async def actions(self, record: ConsumerRecord) -> None:
        """Take a record of `city.warning.actions`."""
        self._try(record, lambda: self._take_actions(WarningActions.model_validate_json(record.value), record.value))

    async def warning(self, record: ConsumerRecord) -> None:
        """Take a record of `city.warnings`."""
        self._try(record, lambda: self._view.take_warning(Warning.model_validate_json(record.value), record.value))

    async def health(self, record: ConsumerRecord) -> None:
        """Take a record of `city.health`."""
        self._try(record, lambda: self._view.take_heartbeat(Heartbeat.model_validate_json(record.value)))

    async def observation(self, record: ConsumerRecord) -> None:
        """Take a record of `city.observations`."""
        try:
            value = wire.decode(record.value or b"")
        except msgspec.DecodeError as error:
            _log.error("undecodable_record", topic=record.topic, partition=record.partition, offset=record.offset, error=str(error))
            return
        if type(value) is wire.Observation:
            self._view.take_observation(value)
        elif type(value) is wire.Tick:
            self._view.take_tick(record.partition, value.time)

    def _take_rule(self, activation: RuleActivation) -> None:
        self.rules[activation.rule.id] = activation

    def _take_actions(self, actions: WarningActions, body: bytes) -> None:
        self._view.take_actions(actions, body)
        self._answers.take(actions)

    @staticmethod
    def _try(record: ConsumerRecord, take: Callable[[], None]) -> None:
        try:
            take()
        except ValidationError as error:
            _log.error("undecodable_record", topic=record.topic, partition=record.partition, offset=record.offset, error=str(error))


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Run until `stop`; live sessions are then closed with a code that says to come back."""
    place, secrets, own = city.load(settings.city), credentials.load(settings.secrets), settings.gateway
    proxies, outlines = _proxies(own.trusted_proxies), _outlines(settings, place.regions)
    async with (
        room.opened(ROOM, settings, own.admin_port, stop) as opened,
        _reading_pool(settings) as pool,
        _provider(own.oidc, place, opened.clock) as provider,
    ):
        relay = Relay(opened.pool, opened.producer, ROOM, opened.health.check("outbox", max_age=10), opened.registry)
        audit = Audit(opened.pool, relay, opened.clock, opened.registry, own.changes_per_minute)
        accounts = _accounts(opened, audit, place.regions, own)
        view, answers, alerts = View(place.regions), Answers(), Alerts(pool)
        outcomes, album, uploads = Outcomes(alerts.decided), Album(opened.pool, opened.clock, own), Uploads(opened.pool, opened.clock)
        feed = Feed(view, answers)
        sources = http.Sources(
            settings=settings,
            city=place,
            clock=opened.clock,
            view=view,
            rules=feed.rules,
            tokens=Tokens(secrets.region_tokens, place.regions),
            accounts=accounts,
            audit=audit,
            reads=Reads(pool),
            alerts=alerts,
            ingest=Ingest(pool),
            keyring=Keyring(pool),
            archive=Archive(pool),
            kinds=kinds.load(settings.city, place),
            registered=Registered(pool),
            devices=Devices(pool),
            uploads=uploads,
            album=album,
            outlines=outlines,
            answers=answers,
            outcomes=outcomes,
            wrong_links=Pace(WRONG_LINKS),
            provider=provider,
            proxies=proxies,
            session_key=secrets.session_key,
        )
        live = LiveServer(
            view=view,
            tokens=sources.tokens,
            accounts=accounts,
            refused=audit.refused,
            proxies=proxies,
            clock=opened.clock,
            partitions=load()[OBSERVATIONS].partitions,
            slow_bytes=own.slow_bytes,
            metrics=opened.registry,
        )
        known, reader = _readers(opened, feed, live)
        caught_up = opened.health.check("view", max_age=float("inf"))
        listening = opened.health.check("http", max_age=float("inf"))
        opened.started.ok()
        works = (known.run({}), relay.run(), audit.count(), outcomes.run(), _tidy(accounts, album, uploads))
        tasks = [opened.tasks.create_task(work) for work in works]
        positions = await room.until_stopped(_boot(view, sources.reads, known), stop)
        if positions is not None:
            tasks.append(opened.tasks.create_task(reader.run(positions)))
        if positions is not None and await room.until_stopped(_complete(sources, reader, secrets), stop):
            caught_up.ok()
            tasks.append(opened.tasks.create_task(live.turn(own.values_s, own.heartbeat_s)))
            tasks.append(opened.tasks.create_task(live.check_sessions(own.sessions_check_s)))
            closing = opened.tasks.create_task(_close(live, stop))
            await serve_http(
                http.app(sources, ROUTES),
                host=settings.bind,
                port=own.port,
                stop=stop,
                ready=listening.ok,
                ws=live.connection,
                proxy_headers=False,
            )
            await closing
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=LAST_WORDS_S)


def _accounts(opened: room.Room, audit: Audit, tree: RegionTree, own: GatewaySettings) -> Accounts:
    passwords = Passwords(rounds=own.password_rounds, memory_kib=own.password_kib)
    return Accounts(tree=tree, pool=opened.pool, audit=audit, passwords=passwords, clock=opened.clock, settings=own, registry=opened.registry)


def _readers(opened: room.Room, feed: Feed, live: LiveServer) -> tuple[Reader, Reader]:
    """Return the reader of what is known, and that of what happens."""
    kafka = opened.settings.kafka
    known = Reader(kafka, {SENSORS: feed.sensor, RULES: feed.rule}, opened.health.check("sensors topic", max_age=10))
    topics = {WARNINGS: feed.warning, OBSERVATIONS: feed.observation, HEALTH: feed.health, ACTIONS: feed.actions}
    happening = Reader(
        kafka,
        topics,
        opened.health.check("topics", max_age=10),
        after=lambda: live.flush(values=False),
        tail=frozenset({HEALTH, ACTIONS}),
    )
    return known, happening


@contextlib.asynccontextmanager
async def _reading_pool(settings: Settings) -> AsyncIterator[database.Pool]:
    """Open a pool for what other rooms hold, with the role that may only read it."""
    pool = await database.open_pool(settings.database, role=ROLE)
    try:
        yield pool
    finally:
        pool.terminate()


async def _complete(sources: http.Sources, reader: Reader, secrets: credentials.Secrets) -> bool:
    """Wait until the topics are read, then add what the tail of one does not tell, and the users to begin with."""
    await reader.caught_up.wait()
    for body in await database.retrying(lambda: sources.reads.actions(sources.view.open), what="read actions"):
        sources.view.take_actions(WarningActions.model_validate_json(body), body.encode())
    raised = await database.retrying(lambda: sources.reads.raised(sources.view.open), what="read when warnings rose")
    for warning, rev in raised.items():
        sources.view.take_raised(warning, rev)
    await database.retrying(lambda: sources.accounts.make_missing(_usable(secrets, sources.city)), what="make users")
    return True


def _usable(secrets: credentials.Secrets, place: city.CityFolder) -> list[credentials.FirstUser]:
    """Return the users to begin with whom the city can have; one who is wrong harms only themselves."""
    usable = []
    for user in secrets.users:
        problems = [problem for grant in user.grants if (problem := city.grant_problem(grant, place)) is not None]
        if problems:
            _log.error("user_left_out", user=user.id, problem="; ".join(problems))
        else:
            usable.append(user)
    return usable


async def _tidy(accounts: Accounts, album: Album, uploads: Uploads) -> None:
    """Tidy up in its time, until cancelled. What cannot be tidied is told and tried again: nobody is served worse for it."""
    while True:
        try:
            await accounts.tidy()
            await album.tidy()
            await uploads.tidy()
        except Unavailable as error:
            _log.warning("not_tidied", error=str(error))
        except Exception:  # noqa: BLE001 - whatever it is, it is no reason to serve nobody
            _log.exception("not_tidied")
        await asyncio.sleep(TIDY_EVERY_S)


async def _boot(view: View, reads: Reads, sensors: Reader) -> Mapping[TopicPartition, int]:
    """Fill the view with what history holds; returns up to where that is."""
    await sensors.caught_up.wait()
    streets = [region.code for region in view.regions]
    boot = await database.retrying(lambda: reads.boot(streets, view.sensors), what="read history")
    for body in boot.warnings:
        view.take_warning(Warning.model_validate_json(body), body.encode())
    for observation in boot.observations:
        view.take_observation(observation)
    return boot.positions


async def _close(live: LiveServer, stop: asyncio.Event) -> None:
    await stop.wait()
    await live.close()


def _proxies(listed: str) -> Proxies:
    try:
        return Proxies(listed)
    except ValueError as error:
        raise Misconfigured(f"TONGGUAN_GATEWAY__TRUSTED_PROXIES: {error}; give addresses and networks, separated by commas") from error


def _outlines(settings: Settings, regions: RegionTree) -> Outlines:
    """Return the city's maps: by its own boundaries, else by those that the settings name, else all made up."""
    return boundaries.load(settings.city, settings.gateway.boundaries, lambda collection: Outlines(regions, collection))


@contextlib.asynccontextmanager
async def _provider(settings: OidcSettings | None, place: city.CityFolder, clock: Clock) -> AsyncIterator[Provider | None]:
    """Yield the provider of identities, None where there is none. It is not asked anything yet: it may be away."""
    if settings is None:
        yield None
        return
    if not trustworthy(settings.issuer):
        raise Misconfigured(f"TONGGUAN_GATEWAY__OIDC__ISSUER: {settings.issuer} is not https")
    grants = {group: [_granted(group, text, place) for text in texts] for group, texts in settings.grants.items()}
    async with httpx.AsyncClient() as client:
        yield Provider(settings, grants, client, clock)


def _granted(group: str, text: str, place: city.CityFolder) -> Grant:
    try:
        grant = parse_grant(text)
    except ValueError as error:
        raise Misconfigured(f"[gateway.oidc] grants: {group}: {text!r} is not role:region[:department,department]") from error
    if (problem := city.grant_problem(grant, place)) is not None:
        raise Misconfigured(f"[gateway.oidc] grants: {group}: {problem}")
    return grant
