"""The life of a warning: opened, raised, lowered, closed; each change is a revision that explains itself."""

from __future__ import annotations

from uuid import UUID, uuid5

from schemas.base import Domain, Origin
from schemas.control import RuleActivation, SensorRecord
from schemas.observation import Statistic
from schemas.tiers import TIERS, Tier
from schemas.warning import Change, Evidence, Warning, WarningState  # noqa: A004 - the field's own word
from schemas.wire import from_micros
from services.rules.domain.state import Episode, Series, Tracker
from services.rules.domain.threshold import Flip

NAMESPACE = UUID("b0a5d2f4-6d1e-5c57-9a3f-0c6e4d7b8a91")
"""Of our warnings' identities."""


def identity(rule: str, meaning: int, subject: str, opened: int) -> UUID:
    """Return a warning's id: the same episode gets the same id however often it is computed. `opened` is in µs since the epoch."""
    return uuid5(NAMESPACE, f"{rule}\n{meaning}\n{subject}\n{opened}")


def subject_of(sensor: str, key: str) -> str:
    """Return the subject of a series."""
    return f"{sensor}/{key}"


def after(flip: Flip, tracker: Tracker, series: Series, key: str, sensor: SensorRecord, activation: RuleActivation) -> Warning | None:
    """Return the revision that a flip causes, if any: a milder tier's flip under a graver one causes none.

    A flip that was decided after others of a later event time (it waited for its tick) is told at that time: what was told stands.
    """
    tier = max((gravity for gravity, latch in tracker.latches.items() if latch.on), default=0)
    episode = tracker.episode
    before = episode.tier if episode else 0
    if tier == before:
        return None
    evidence = _evidence(flip, tier, series, activation)
    at = max(flip.at, series.told.get(activation.rule.id, -1) + (episode is None))
    series.told[activation.rule.id] = at
    if episode is None:
        opened = identity(activation.rule.id, tracker.meaning, subject_of(sensor.sensor.id, key), at)
        episode = tracker.episode = Episode(str(opened), 0, tier, tier, at, flip.reading.origin, "")
    episode.rev += 1
    change = Change.OPENED if not before else Change.RECOVERED if not tier else Change.RAISED if tier > before else Change.LOWERED
    episode.tier = tier or before
    episode.peak = max(episode.peak, tier)
    episode.evidence = evidence.model_dump_json()
    if not tier:
        tracker.episode = None
    return _warning(episode, change, at, key, evidence, sensor, activation)


def close(change: Change, at: int, tracker: Tracker, key: str, sensor: SensorRecord, activation: RuleActivation) -> Warning | None:
    """End a tracker's episode for another reason than a reading; None when it has none. `at` is not before its newest revision."""
    episode = tracker.episode
    if episode is None:
        return None
    tracker.episode = None
    episode.rev += 1
    evidence = Evidence.model_validate_json(episode.evidence).model_copy(update={"clears_at": None})
    return _warning(episode, change, at, key, evidence, sensor, activation)


def _evidence(flip: Flip, tier: int, series: Series, activation: RuleActivation) -> Evidence:
    rule, reading = activation.rule, flip.reading
    return Evidence(
        metric=series.metric,
        value=reading.value,
        unit=rule.unit,
        limit=flip.way.limit,
        direction=rule.direction,
        readings=None if flip.way.dwell else flip.way.readings,
        dwell_s=flip.way.dwell.total_seconds() if flip.way.dwell else None,
        statistic=Statistic(series.statistic),
        period_s=series.period_s,
        standard=rule.standard,
        clears_at=rule.tiers[_tier(tier)].down.limit if tier else None,
        observation=reading.observation,
        observed_at=from_micros(reading.end),
        received_at=from_micros(reading.received),
    )


def _warning(  # noqa: PLR0917 - the parts of which a warning is put together
    episode: Episode, change: Change, at: int, key: str, evidence: Evidence, sensor: SensorRecord, activation: RuleActivation
) -> Warning:
    ended = change not in (Change.OPENED, Change.RAISED, Change.LOWERED)
    return Warning(
        id=UUID(episode.id),
        rev=episode.rev,
        rule=activation.rule.id,
        rule_version=activation.rule.version,
        meaning=activation.meaning,
        rule_name=activation.rule.name,
        subject=subject_of(sensor.sensor.id, key),
        sensor=sensor.sensor.id,
        sensor_name=sensor.sensor.name,
        street=sensor.sensor.street,
        domain=Domain(sensor.sensor.domain),
        department=sensor.sensor.department,
        state=WarningState.CLEARED if ended else WarningState.OPEN,
        tier=_tier(episode.tier),
        peak=_tier(episode.peak),
        change=change,
        began_at=from_micros(episode.began),
        changed_at=from_micros(at),
        cleared_at=from_micros(at) if ended else None,
        origin=Origin(episode.origin),
        evidence=evidence,
    )


def _tier(gravity: int) -> Tier:
    return TIERS[gravity - 1]
