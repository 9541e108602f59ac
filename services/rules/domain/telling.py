"""News of a tracker put into words: revisions that explain themselves."""

from __future__ import annotations

import msgspec

from schemas import wire
from schemas.rule import MAIN, Rule
from schemas.tiers import TIERS
from schemas.warning import Change, Warning  # noqa: A004 - the field's own word
from services.rules.domain.episodes import News
from services.rules.domain.index import Ruled, Scene
from services.rules.domain.ladder import Flip
from services.rules.domain.plan import WayPlan, holds
from services.rules.domain.revision import Clearing, Evidence, Part, Revision
from services.rules.domain.state import Place, Series, Silence, Tracker

Owner = Series | Silence | Place


def revision(news: News, tracker: Tracker, owner: Owner, ruled: Ruled, record: wire.Record | None) -> Revision:
    """Return the full state of a warning at a revision; remembers its evidence, for one that no sample decides."""
    episode = news.episode
    if news.flip is not None:
        evidence = _evidence(news.flip, news.tier, tracker, owner, ruled, record)
    else:
        assert episode.evidence is not None  # noqa: S101 - told before
        evidence = episode.evidence if news.tier else msgspec.structs.replace(episode.evidence, clears=None, clears_at=None)
    episode.evidence = evidence
    about = owner if isinstance(owner, Place) else owner.sensor
    at = wire.from_micros(news.at)
    return Revision(
        id=episode.id,
        rev=news.rev,
        rule=ruled.rule.id,
        rule_version=ruled.rule.version,
        meaning=tracker.meaning,
        rule_name=ruled.names[0],
        subject=owner.subject,
        sensor=None if isinstance(owner, Place) else owner.sensor.id,
        sensor_name=about.name,
        street=about.street,
        domain=about.domain,
        department=about.department,
        state="open" if news.tier else "cleared",
        tier=TIERS[news.shown - 1].value,
        peak=TIERS[news.peak - 1].value,
        change=news.change.value,
        began_at=wire.from_micros(news.began),
        changed_at=at,
        cleared_at=None if news.tier else at,
        merged_into=news.into,
        origin=owner.origin,
        tags=ruled.tags,
        evidence=evidence,
    )


def ended(warning: Warning, change: Change, now: int) -> Revision:
    """Return the end of a warning of a state that is lost, whose tracker will not begin anew."""
    of = msgspec.json.decode(warning.model_dump_json(), type=Revision)
    at = max(of.changed_at, wire.from_micros(now))
    evidence = msgspec.structs.replace(of.evidence, clears=None, clears_at=None)
    return msgspec.structs.replace(of, rev=of.rev + 1, state="cleared", change=change.value, changed_at=at, cleared_at=at, evidence=evidence)


def _evidence(flip: Flip, tier: int, tracker: Tracker, owner: Owner, ruled: Ruled, record: wire.Record | None) -> Evidence:
    scene: Scene = tracker.scene
    rule = ruled.rule
    decided = scene.plan.by_gravity[flip.gravity]
    way = decided.up if flip.on else decided.down
    parts = _parts(way, flip, rule)
    clears = _clearing(scene.plan.by_gravity[tier].down, flip.end, rule) if tier else None
    own = isinstance(record, wire.Observation) and record.end == flip.end and not isinstance(owner, Silence)
    kind = "condition" if way.parts else rule.measure.kind
    window = scene.window
    return Evidence(
        metric=owner.metric,
        measure=kind,
        value=_value(flip, parts),
        unit=rule.unit,
        limit=None if isinstance(flip.limit, tuple) else flip.limit,
        direction=rule.direction.value,
        readings=None if way.dwell else way.readings,
        dwell_s=way.dwell / 1e6 if way.dwell else None,
        statistic=owner.statistic,
        period_s=owner.period_s,
        window_s=window / 1e6 if window else None,
        standard=ruled.names[1],
        clears_at=clears.limit if clears else None,
        clears=clears,
        parts=parts,
        sensors=flip.value[1] if rule.measure.kind == "agreement" else (),
        background=flip.value[1] if rule.measure.kind == "background" else None,
        observation=record.id if own and isinstance(record, wire.Observation) else None,
        observed_at=wire.from_micros(flip.end),
        received_at=wire.from_micros(record.received) if own and isinstance(record, wire.Observation) else None,
    )


def _value(flip: Flip, parts: tuple[Part, ...]) -> float:
    """Return the rule's own number; of a condition in which it is unknown the first that is known."""
    if not isinstance(flip.value, tuple):
        return float(flip.value)
    known = [flip.value[0], *(part.value for part in parts)]
    return next(float(value) for value in known if value is not None)


def _parts(way: WayPlan, flip: Flip, rule: Rule) -> tuple[Part, ...]:
    if not isinstance(flip.limit, tuple):
        return ()
    found = []
    for (compare, _, column), limit in zip(way.parts, flip.limit, strict=True):
        value = flip.value[column] if isinstance(flip.value, tuple) else flip.value
        metric = rule.applies.metric if compare.measure == MAIN else rule.also[compare.measure].metric
        direction = "above" if compare.above is not None else "below"
        found.append(Part(compare.measure, metric, value, direction, limit, holds(compare, limit, value)))
    return tuple(found)


def _clearing(way: WayPlan, at: int, rule: Rule) -> Clearing:
    good = "below" if rule.direction.value == "above" else "above"
    limit = None if way.bound is None else way.bound.at(at)
    return Clearing(limit, good, None if way.dwell else way.readings, way.dwell / 1e6 if way.dwell else None)
