"""Sensors that are not heard: the part of the engine that tells of silence. See `services.rules.domain.kinds.absence`."""

from __future__ import annotations

from schemas import wire
from services.rules.domain import tracker as folding
from services.rules.domain.core import REVISE, Core
from services.rules.domain.episodes import OPEN_END
from services.rules.domain.index import concerns
from services.rules.domain.kinds.absence import NOT_HEARD
from services.rules.domain.ladder import NEVER
from services.rules.domain.revision import Output
from services.rules.domain.ring import Ring
from services.rules.domain.state import Sensor, Silence, Tracker


class Silences(Core):
    """Rules of kind `absence`."""

    def _heard(self, sensor: Sensor, record: wire.Observation) -> list[Output] | None:
        outputs: list[Output] | None = None
        for silence in (sensor.silences or {}).values():
            if silence.metric not in record.values or record.quality.get(silence.metric) in NOT_HEARD:
                continue
            silence.heard = self.listening.clock(sensor.adapter).listened
            if silence.tracker.mask:
                outputs = (outputs or []) + self._silence(silence, 0.0)
            if not silence.tracker.mask:
                silence.origin = record.origin
        return outputs

    def _missed(self, silence: Silence) -> list[Output]:
        tracker = silence.tracker
        if tracker.owner is not silence:
            return []
        self.pages.touch(silence.sensor.page)
        elapsed = self.listening.silence(silence) / 1e6
        limits = [tier.up.bound.constant for tier in tracker.scene.plan.tiers if tier.up.bound and not tracker.mask >> tier.gravity & 1]
        if any(limit is not None and elapsed >= limit for limit in limits):
            return self._silence(silence, elapsed)
        self.listening.expect(silence)
        return []

    def _silence(self, silence: Silence, elapsed: float) -> list[Output]:
        """Take a sample of silence; no two have one time, so that none hides another."""
        one = silence.tracker
        end = max(self.now, one.seen + 1)
        one.seen = end
        moment = folding.Moment(one, end, OPEN_END, self.now)
        news = folding.forward(one, Ring(), one.scene.plan, moment, end, elapsed)
        folding.settle(one, Ring(), one.scene.plan, OPEN_END, end - REVISE)
        self.listening.expect(silence)
        return self._tell(one, news, None) if news else []

    def _listen(self, sensor: Sensor, *, anew: bool = False) -> None:
        """Begin to expect a sensor by the rules of silence that concern it; `anew`: it is heard by another protocol, whose clock is another."""
        for metric in sensor.metrics if sensor.facts.awaited else ():
            for ruled in self._index.main(metric):
                if ruled.rule.measure.kind != "absence" or not concerns(ruled.rule.applies, sensor):
                    continue
                silences = sensor.silences = sensor.silences or {}
                known = silences.get(ruled.rule.id)
                if known is not None and known.tracker.meaning == ruled.meaning:
                    if anew:
                        known.heard, known.expected = self.listening.clock(sensor.adapter).listened, OPEN_END
                    known.tracker.scene = ruled.scene(sensor.attributes)
                    self.listening.expect(known)
                    continue
                one = Tracker(ruled.rule.id, ruled.meaning, NEVER)
                one.seen = self.now
                silence = silences[ruled.rule.id] = Silence(sensor, metric, one, self.listening.clock(sensor.adapter).listened)
                one.owner, one.scene = silence, ruled.scene(sensor.attributes)
                self._go_on(one, silence)
                self.listening.expect(silence)
