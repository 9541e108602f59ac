"""Nobody gets more than they should in any time, and everybody is told everything at last."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.alerting import Bucket
from services.alerts.domain.flood import Level, Plan, Waiting, plan, refill

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
RED = 4


def waiting(number: int, gravity: int = 1, decided: float = 0, due: float = 0) -> Waiting:
    return Waiting(UUID(int=number), gravity, NOW + decided * SECOND, NOW + due * SECOND)


def numbers(told: Plan) -> list[list[int]]:
    return [[one.int for one in message] for message in told.now]


def only(lane: Level, flood: Bucket, *these: Waiting, digest: bool = True) -> tuple[list[list[int]], Level]:
    told, after, _ = plan(these, lane, flood, None, None, digest, NOW)
    return numbers(told), after


# A world in which messages arrive, and each address looks when it was told to or something has come.


@dataclass(frozen=True)
class World:
    floods: list[Bucket]
    """Of each address."""
    bucket: Bucket | None
    """Of the channel."""
    digest: bool


@dataclass
class Address:
    flood: Bucket
    waiting: list[Waiting] = field(default_factory=list)
    level: Level | None = None
    sent: list[tuple[datetime, tuple[Waiting, ...]]] = field(default_factory=list)


BUCKETS = st.builds(Bucket, most=st.integers(1, 9), per=st.integers(1, 4_000).map(lambda number: number * timedelta(milliseconds=997)))
WORLDS = st.builds(World, st.lists(BUCKETS, min_size=1, max_size=2), st.none() | BUCKETS, st.booleans())
ARRIVALS = st.lists(st.tuples(st.integers(0, 600), st.integers(1, 4), st.integers(0, 1), st.integers(0, 3)), max_size=40)
Arrivals = list[tuple[int, int, int, int]]


def lived(arrivals: Arrivals, world: World) -> list[Address]:
    """Live through arrivals (second, gravity, address, seconds until due) until nobody looks again."""
    addresses, channel = [Address(flood) for flood in world.floods], None
    news = sorted(enumerate(arrivals), key=lambda item: item[1][0], reverse=True)
    looks: dict[int, datetime] = {}
    while news or looks:
        now = min([*looks.values(), *(NOW + second * SECOND for _, (second, *_) in news[-1:])])
        while news and NOW + news[-1][1][0] * SECOND <= now:
            number, (second, gravity, at, due) = news.pop()
            addresses[at % len(addresses)].waiting.append(waiting(number, gravity, second, second + due))
            looks[at % len(addresses)] = now
        for at in [at for at, moment in looks.items() if moment <= now]:
            del looks[at]
            told, channel = look(addresses[at], channel, world, now)
            if told.later is not None:
                assert told.later > now
                looks[at] = told.later
    return addresses


def look(one: Address, channel: Level | None, world: World, now: datetime) -> tuple[Plan, Level | None]:
    before = {entry.id: entry for entry in one.waiting}
    level = one.level if one.level is not None else refill(None, one.flood, now)
    told, one.level, channel = plan(one.waiting, level, one.flood, channel, world.bucket, world.digest, now)
    for message in told.now:
        one.sent.append((now, tuple(before.pop(id_) for id_ in message)))
    one.waiting = list(before.values())
    return told, channel


def within_bounds(times: list[datetime], bucket: Bucket) -> bool:
    """Say whether in no time of the bucket's length there were more than it allows."""
    return all(later - first >= bucket.per for first, later in zip(times, times[bucket.most :], strict=False))


@given(ARRIVALS, WORLDS)
def test_in_any_time_nobody_gets_more_than_their_limit_and_a_channel_no_more_than_its_own(arrivals: Arrivals, world: World):
    addresses = lived(arrivals, world)
    assert all(within_bounds([at for at, _ in one.sent], one.flood) for one in addresses)
    whole = sorted(at for one in addresses for at, _ in one.sent)
    assert world.bucket is None or within_bounds(whole, world.bucket)


@given(ARRIVALS, WORLDS)
def test_everything_is_told_once_at_last_never_before_it_is_due_and_the_gravest_first(arrivals: Arrivals, world: World):
    for one in (addresses := lived(arrivals, world)):
        assert all(entry.due_at <= at for at, message in one.sent for entry in message)
        for message in (message for _, message in one.sent):
            assert list(message) == sorted(message, key=lambda entry: (-entry.gravity, entry.decided_at, entry.id))
        told = [(at, entry) for at, message in one.sent for entry in message]
        for place, (_, later) in enumerate(told):
            for at, earlier in told[:place]:  # what was told before was graver or older, or the other not due
                assert later.due_at > at or (-earlier.gravity, earlier.decided_at, earlier.id) < (-later.gravity, later.decided_at, later.id)
        assert world.digest or all(len(message) == 1 for _, message in one.sent)
    assert sorted(entry.id.int for one in addresses for _, message in one.sent for entry in message) == list(range(len(arrivals)))


@given(ARRIVALS, WORLDS, st.randoms())
def test_a_plan_is_the_same_in_whatever_order_its_messages_are_read(arrivals: Arrivals, world: World, random: Random):
    these = [waiting(number, gravity, second % 7, due) for number, (second, gravity, _, due) in enumerate(arrivals)]
    mixed = random.sample(these, len(these))
    given_ = (refill(None, world.floods[0], NOW), world.floods[0], None, world.bucket, world.digest, NOW)
    assert plan(these, *given_) == plan(mixed, *given_)


@given(ARRIVALS, WORLDS)
def test_red_waits_only_for_tokens_that_red_has_taken(arrivals: Arrivals, world: World):
    flood = world.floods[0].model_copy(update={"most": world.floods[0].most + 3})
    (one,) = lived(arrivals, World([flood], None, world.digest))
    with_red = [at for at, message in one.sent if message[0].gravity == RED]
    for at, message in one.sent:
        due = [max(entry.due_at, entry.decided_at) for entry in message if entry.gravity == RED]
        assert not due or at == min(due) or any(at - flood.per < before < at for before in with_red)


# The bound is met, not only kept: a bucket is worth something.


@given(BUCKETS, st.integers(1, 5))
def test_half_of_a_bucket_is_there_at_once_and_about_as_many_come_back_in_its_time(bucket: Bucket, rounds: int):
    level, taken, now, end = refill(None, bucket, NOW), 0, NOW, NOW + rounds * bucket.per
    while now < end:
        level = refill(level, bucket, now)
        while level.tokens >= 1:
            level, taken = Level(level.tokens - 1, level.at), taken + 1
        now += bucket.per / 200
    assert bucket.most // 2 * (rounds + 1) <= taken <= bucket.most * rounds


@pytest.mark.parametrize("most", [1, 2, 3, 4, 7, 12, 20])
def test_who_takes_every_token_as_soon_as_it_is_there_stays_within_the_limit_to_the_microsecond(most: int):
    flood = Bucket(most=most, per=timedelta(microseconds=1_000_003))
    left, level, now, taken = [waiting(number, RED) for number in range(5 * most)], refill(None, flood, NOW), NOW, []
    while left:
        told, level, _ = plan(left, level, flood, None, None, False, now)
        taken += [now] * len(told.now)
        left, now = left[len(told.now) :], told.later or now
    assert within_bounds(taken, flood)


@given(BUCKETS, st.lists(st.integers(0, 10**10), max_size=20))
def test_how_often_somebody_looks_changes_nothing(bucket: Bucket, looks: list[int]):
    level = empty = Level(0, NOW)
    for microseconds in sorted(looks):
        level = refill(level, bucket, NOW + timedelta(microseconds=microseconds))
    last = NOW + timedelta(microseconds=10**10)
    assert refill(level, bucket, last).tokens == refill(empty, bucket, last).tokens


def test_a_limit_that_was_lowered_holds_at_once():
    flood = Bucket(most=3, per=MINUTE)
    assert refill(Level(50, NOW), flood, NOW) == refill(None, flood, NOW)


def test_a_level_of_a_wrong_clock_stops_nobody_for_longer_than_a_token_takes():
    flood = Bucket(most=1, per=MINUTE)
    told, level, _ = plan([waiting(1)], Level(0, NOW + timedelta(days=365)), flood, None, None, True, NOW)
    assert (told.now, told.later) == ((), NOW + MINUTE)
    assert numbers(plan([waiting(1)], level, flood, None, None, True, NOW + MINUTE)[0]) == [[1]]


# By example

FLOOD = Bucket(most=12, per=10 * MINUTE)


def test_while_there_are_tokens_each_is_told_by_itself_the_gravest_first():
    sent, after = only(Level(6, NOW), FLOOD, waiting(1), waiting(2, RED), waiting(3, 3), waiting(4, 3, decided=-5))
    assert (sent, after.tokens) == ([[2], [4], [3], [1]], 2)


def test_where_tokens_are_too_few_the_last_carries_all_the_rest_and_one_is_left_for_red():
    these = [waiting(number) for number in range(1, 8)]
    assert only(Level(3, NOW), FLOOD, *these) == ([[1], [2, 3, 4, 5, 6, 7]], Level(1, NOW))
    assert only(Level(3, NOW), FLOOD, *these, digest=False) == ([[1], [2]], Level(1, NOW))


def test_red_takes_the_last_token_and_others_go_with_it():
    assert only(Level(1, NOW), FLOOD, waiting(1), waiting(2)) == ([], Level(1, NOW))
    assert only(Level(1, NOW), FLOOD, waiting(1), waiting(2, RED)) == ([[2, 1]], Level(0, NOW))
    assert only(Level(1, NOW), FLOOD, waiting(1), waiting(2, RED), digest=False) == ([[2]], Level(0, NOW))


@pytest.mark.parametrize(("most", "sent"), [(3, [[1]]), (4, [])])
def test_a_small_bucket_keeps_nothing_for_red(most: int, sent: list[list[int]]):
    assert only(Level(1, NOW), Bucket(most=most, per=MINUTE), waiting(1))[0] == sent


def test_a_channel_s_last_token_is_kept_for_red_too_so_that_the_mild_ones_of_others_never_stop_it():
    channel = Bucket(most=20, per=MINUTE)
    mild, _, left = plan([waiting(1)], Level(6, NOW), FLOOD, Level(1, NOW), channel, True, NOW)
    assert (mild.now, left) == ((), Level(1, NOW))
    red, _, left = plan([waiting(2, RED)], Level(6, NOW), FLOOD, left, channel, True, NOW)
    assert (numbers(red), left) == ([[2]], Level(0, NOW))


def test_what_is_not_yet_due_waits_and_is_looked_at_then():
    told, after, channel = plan([waiting(1, due=30), waiting(2, due=20)], Level(6, NOW), FLOOD, None, None, True, NOW)
    assert (told, after, channel) == (Plan((), NOW + 20 * SECOND), Level(6, NOW), None)


def test_when_nothing_waits_nobody_looks_again():
    assert plan([], Level(6, NOW), FLOOD, None, None, True, NOW)[0] == Plan((), None)
