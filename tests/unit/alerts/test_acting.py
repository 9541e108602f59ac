"""What becomes of a warning by what people ask for."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from schemas.action import Actor, WarningActions
from schemas.base import Name
from schemas.command import Acknowledge
from schemas.tiers import TIERS, Tier
from services.alerts.domain.acting import act
from tests.unit.gateway.city import NOW, STREET

COMMANDS = st.lists(st.tuples(st.integers(1, 4), st.sampled_from(TIERS), st.sampled_from(["li", "wang", "zhao"])), min_size=1, max_size=12)


def asked(number: int, rev: int, tier: Tier, who: str) -> Acknowledge:
    actor = Actor(id=who, name=Name(zh=who, en=who))
    return Acknowledge(id=UUID(int=number), warning=UUID(int=1), street=STREET, department="d", seen_rev=rev, tier=tier, actor=actor, at=NOW)


@given(COMMANDS)
def test_the_first_to_acknowledge_the_newest_revision_answers_for_it(asks: list[tuple[int, Tier, str]]):
    known: WarningActions | None = None
    for number, (rev, tier, who) in enumerate(asks, 1):
        known = act(known, asked(number, rev, tier, who))
        assert (known.rev, known.command) == (number, UUID(int=number))
    assert known is not None
    told = known.acknowledged
    assert told is not None
    assert (told.seen_rev, told.tier, told.by.id) == max(asks, key=lambda one: one[0])  # of equals the first
