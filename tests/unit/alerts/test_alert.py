"""When an alert is told: `look` beside a plain second-by-second reading of the same rules, in simulated time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.alerting import Escalation
from schemas.notification import Why
from schemas.tiers import TIERS, Tier
from services.alerts.domain.alert import Look, Member, Reason, State, look
from services.alerts.domain.known import Known
from services.alerts.domain.routing import Way
from tests.unit.alerts.policies import known
from tests.unit.gateway.city import NOW, warning

STEP = timedelta(seconds=30)
ESCALATION = Escalation.model_validate(
    {
        "id": "e",
        "plans": {
            "red": {
                "steps": [
                    {"after": 0, "tell": [{"screen": "street"}]},
                    {"after": 120, "tell": [{"screen": "district"}]},
                    {"after": 300, "tell": [{"screen": "city"}]},
                ],
                "repeat": 240,
                "answered_for": 900,
            },
            "yellow": {"steps": [{"after": 0, "tell": [{"screen": "street"}]}, {"after": 600, "tell": [{"screen": "district"}]}]},
            "blue": {"steps": [{"after": 0, "tell": [{"screen": "street"}]}], "answer": False},
        },
    }
)
WAY = Way("r", (), timedelta(seconds=60), timedelta(seconds=180), Tier.RED, "e")


def one(number: int, tier: str = "red", rev: int = 1, **more: Any) -> Known:
    found = known(warning(number, 1, tier=tier))
    return replace(found, rev=rev, raised_rev=rev, **more)


def acked(was: Known, at: datetime) -> Known:
    return replace(was, acked_gravity=was.gravity, acked_rev=was.rev, acked_at=at)


@dataclass
class Watch:
    """An alert and its warnings, looked at whenever its row says so or something happens."""

    way: Way = WAY
    state: State = field(default_factory=lambda: State(NOW))
    warnings: dict[int, Known] = field(default_factory=dict)
    told: dict[int, tuple[int, int]] = field(default_factory=dict)
    muted: set[int] = field(default_factory=set)
    again_at: datetime | None = NOW
    said: list[tuple[int, Why]] = field(default_factory=list)
    last: Look | None = None

    def look(self, now: datetime) -> None:
        """Look, and take what comes of it."""
        members = [Member(each, *self.told.get(number, (0, 0)), muted=number in self.muted) for number, each in self.warnings.items()]
        self.last = found = look(self.state, members, self.way, ESCALATION, now)
        self.state, self.again_at = found.state, found.again_at
        if found.due is not None:
            self.said.append((round((now - NOW).total_seconds()), found.due.why))
        if found.fresh:
            for number, each in self.warnings.items():
                asks = each.live and number not in self.muted
                if asks or not each.live:
                    self.told[number] = (each.gravity if asks else 0, each.rev)

    def until(self, now: datetime) -> None:
        """Look at each time that a look asks for, up to a moment."""
        while self.again_at is not None and self.again_at <= now and not self.state.closed:
            self.look(self.again_at)


def play(*events: tuple[int, Any], way: Way = WAY, until: int = 1800) -> Watch:
    """Play what happens at so many seconds: a function of the watch."""
    watch = Watch(way)
    for seconds, happens in events:
        now = NOW + timedelta(seconds=seconds)
        watch.until(now - timedelta(microseconds=1))
        happens(watch, now)
        watch.look(now)
    watch.until(NOW + timedelta(seconds=until))
    return watch


def begins(number: int, tier: str = "red", rev: int = 1) -> Any:
    def happens(watch: Watch, _: datetime) -> None:
        watch.warnings[number] = one(number, tier, rev)

    return happens


def ends(number: int) -> Any:
    return lambda watch, _: watch.warnings.update({number: replace(watch.warnings[number], open=False)})


def answers(number: int) -> Any:
    return lambda watch, now: watch.warnings.update({number: acked(watch.warnings[number], now)})


def test_red_is_told_at_once_by_its_steps_and_then_again_and_again():
    told = play((0, begins(1)), until=1000).said
    assert told == [(0, Why.OPENED), (120, Why.ESCALATED), (300, Why.ESCALATED), (540, Why.REPEATED), (780, Why.REPEATED)]


def test_an_answer_stops_it_until_it_runs_out():
    told = play((0, begins(1)), (200, answers(1)), until=1300).said
    assert told == [(0, Why.OPENED), (120, Why.ESCALATED), (1100, Why.CHANGED), (1220, Why.ESCALATED)]


def test_the_milder_is_gathered_first():
    assert play((0, begins(1, "yellow")), until=500).said == [(60, Why.OPENED)]
    assert play((0, begins(1, "yellow")), until=700).said == [(60, Why.OPENED), (660, Why.ESCALATED)]


def test_flapping_is_told_once_in_an_interval():
    """Promise 12 (jetlinks-community#8): flapping floods nobody."""
    events = [(at * 20, ends(1) if at % 2 else begins(1, "blue", at + 1)) for at in range(60)]
    told = play(*events, until=1200).said
    assert len(told) <= 1200 / 180 + 1
    times = [at for at, _ in told]
    assert all(later - earlier >= 180 for earlier, later in pairwise(times))


def test_what_is_over_before_it_was_told_is_told_nobody():
    watch = play((0, begins(1, "blue")), (30, ends(1)))
    assert watch.said == []
    assert watch.last is not None
    assert (watch.last.reason, watch.state.closed) == (Reason.NEVER_TOLD, True)


def test_a_graver_one_restarts_the_escalation():
    told = play((0, begins(1, "yellow")), (100, begins(2, "red")), until=250).said
    assert told == [(60, Why.OPENED), (100, Why.CHANGED), (220, Why.ESCALATED)]


def test_what_began_anew_after_its_end_asks_for_an_answer_anew():
    watch = play((0, begins(1)), (10, answers(1)), (20, ends(1)), (30, begins(1, rev=3)), until=600)
    assert watch.said[:2] == [(0, Why.OPENED), (180, Why.CHANGED)]
    assert watch.told[1] == (4, 3)


def test_an_answer_that_runs_out_while_a_milder_one_escalates_is_noticed():
    told = play((0, begins(1)), (10, answers(1)), (800, begins(2, "yellow")), until=1_400).said
    assert (980, Why.CHANGED) in told  # red's answer has run out at 910, and the interval since 800 is over


def mutes(number: int) -> Any:
    return lambda watch, _: watch.muted.add(number)


def unmutes(number: int) -> Any:
    return lambda watch, _: watch.muted.discard(number)


def test_what_is_muted_and_unmuted_again_and_again_is_told_once_in_an_interval():
    events = [(at * 31, mutes(1) if at % 2 else unmutes(1)) for at in range(1, 60)]
    told = play((0, begins(1)), *events, until=1800).said
    assert told[0] == (0, Why.OPENED)
    assert len(told) > 2
    assert all(later - earlier >= 180 for earlier, later in pairwise(at for at, why in told if why is not Why.ESCALATED))


# A plain reading of the rules for one red warning, ten seconds at a time, that knows nothing of looks and of what is remembered between them.


@dataclass
class Plainly:
    """What is told of a red warning that begins, ends and is answered at so many seconds."""

    told: list[tuple[int, Why]] = field(default_factory=list)
    alert: bool = False
    live: bool = False
    anew: bool = False
    answered: int | None = None
    news: int = -180
    since: int = 0
    last: int = 0
    taken: int = 0

    def happen(self, now: int, what: str | None) -> None:
        if what == "begins" and not self.live:
            self.live, self.anew, self.answered = True, True, None
            if not self.alert:
                self.alert, self.news = True, -180
        elif what == "ends" and self.live:
            self.live, self.taken = False, 0
        elif what == "answers" and self.live:
            self.answered = now

    def tell(self, now: int) -> None:
        may_tell_news = now >= self.news + 180
        if self.alert and not self.live and may_tell_news:
            self.say(now, Why.ENDED)
            self.alert = False
        elif self.alert and self.live:
            asks = self.answered is None or now >= self.answered + 900
            if not asks:
                self.taken = 0
            if may_tell_news and (self.anew or asks) and not self.taken:
                self.say(now, Why.OPENED if self.news < 0 else Why.CHANGED)
                self.news, self.anew, self.taken, self.since = now, False, int(asks), now
            elif self.taken:
                self.climb(now, 1 + (now >= self.since + 120) + (now >= self.since + 300))

    def climb(self, now: int, reached: int) -> None:
        if reached > self.taken:
            self.say(now, Why.ESCALATED)
            self.taken = reached
        elif reached == 3 and now >= self.last + 240:
            self.say(now, Why.REPEATED)

    def say(self, now: int, why: Why) -> None:
        self.told.append((now, why))
        self.last = now


@given(st.dictionaries(st.integers(0, 300).map(lambda at: at * 10), st.sampled_from(["begins", "ends", "answers"]), max_size=16))
def test_one_red_warning_is_told_as_a_plain_reading_of_the_rules_says(events: dict[int, str]):
    until, watch, told = 4_000, Watch(), []
    for at in sorted(events):
        now = NOW + timedelta(seconds=at)
        watch.until(now - timedelta(microseconds=1))
        watch = _of_next(watch, now, told)
        present = watch.warnings.get(1)
        if events[at] == "begins" and (present is None or not present.open):
            watch.warnings[1] = one(1, "red", at + 1)
        elif events[at] == "ends" and present is not None and present.open:
            watch.warnings[1] = replace(present, open=False, rev=at + 1)
        elif events[at] == "answers" and present is not None and present.open:
            watch.warnings[1] = acked(present, now)
        if watch.warnings:
            watch.look(now)
    watch.until(NOW + timedelta(seconds=until))
    plain = Plainly()
    for at in range(0, until + 1, 10):
        plain.happen(at, events.get(at))
        plain.tell(at)
    assert [*told, *watch.said] == plain.told


def _of_next(watch: Watch, now: datetime, told: list[tuple[int, Why]]) -> Watch:
    """Return the watch of the next alert where this one is closed."""
    if not watch.state.closed:
        return watch
    told += watch.said
    return Watch(state=State(now), again_at=now)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 120),
            st.integers(1, 3),
            st.sampled_from(["begins", "begins", "ends", "answers", "mutes", "unmutes"]),
            st.sampled_from(TIERS),
        ),
        max_size=14,
    )
)
def test_what_every_history_keeps(happenings: list[tuple[int, int, str, Tier]]):
    """Looking twice changes nothing, one message at most is due, an unanswered red one escalates, and what is new is told some time."""
    watch = Watch()
    for rev, (at, number, kind, tier) in enumerate(sorted(happenings, key=lambda each: each[0]), 1):
        now = NOW + at * STEP
        watch.until(now)
        happen(watch, now, number, kind, tier, rev)
        if watch.state.closed:
            watch = Watch(warnings={n: w for n, w in watch.warnings.items() if w.live}, muted=watch.muted, state=State(now), again_at=now)
        before = len(watch.said)
        watch.look(now)
        assert len(watch.said) - before <= 1
        if not watch.state.closed:
            said, state = len(watch.said), watch.state
            watch.look(now)
            assert (len(watch.said), watch.state) == (said, state)
            is_kept(watch)


def happen(watch: Watch, now: datetime, number: int, kind: str, tier: Tier, rev: int) -> None:
    present = watch.warnings.get(number)
    if kind == "begins":
        watch.warnings[number] = one(number, tier, rev)
    elif kind == "ends" and present is not None:
        watch.warnings[number] = replace(present, open=False, rev=rev)
    elif kind == "answers" and present is not None:
        watch.warnings[number] = acked(present, now)
    elif kind == "mutes":
        watch.muted.add(number)
    elif kind == "unmutes":
        watch.muted.discard(number)


def is_kept(watch: Watch) -> None:
    asking = [each for number, each in watch.warnings.items() if each.live and number not in watch.muted]
    if not asking:
        assert watch.state.run is None
    if any(each.gravity == 4 and not each.answered and watch.told.get(each.id.int, (0, 0))[0] == 4 for each in asking):
        assert watch.state.run is not None
        assert watch.state.run.gravity == 4
        assert watch.again_at is not None
    graver = max((each.gravity for each in asking if each.gravity > 1 and not each.answered), default=0)
    assert watch.again_at is not None or graver <= (watch.state.run.gravity if watch.state.run else 0)
    if any(watch.told.get(each.id.int, (0, 0)) < (each.gravity, each.raised_rev) for each in asking):
        assert watch.again_at is not None
