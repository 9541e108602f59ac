"""What becomes of a warning by what people ask for, in whatever order it and the warning's revisions come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from hypothesis import example, given
from hypothesis import strategies as st

from schemas.action import Decision, Deed, WarningActions
from schemas.command import Acknowledge, Answer, Assign, Clear, Comment, OfWarning
from schemas.tiers import TIERS, Tier
from schemas.warning import Warning  # noqa: A004 - the field's own word
from services.alerts.domain.acting import act, followed, reopened
from services.alerts.domain.known import Known, taken
from services.alerts.domain.what import what
from tests.unit.alerts.policies import actor, asked
from tests.unit.gateway.city import NOW, STREET, TREE, warning

ID = UUID(int=1)


def given_of(kind: Any, number: int, rev: int = 1, tier: Tier = Tier.RED, **fields: Any) -> Any:
    return asked(kind, number, warning=ID, street=STREET, department="d", seen_rev=rev, tier=tier, **fields)


class Desk:
    """A warning and its record, as alerts' transactions change them."""

    def __init__(self) -> None:
        self.known: Known | None = None
        self.actions: WarningActions | None = None

    def revision(self, one: Warning) -> None:
        after = taken(self.known, one, TREE, what)
        if after is None:
            return
        if self.actions is not None:
            after = followed(after, self.actions)
            self.actions = reopened(after, self.actions) or self.actions
        self.known = after

    def command(self, one: OfWarning) -> Decision:
        acted = act(self.known, self.actions, one)
        self.known, self.actions = acted.known, acted.actions
        return acted.actions.outcome

    @property
    def holds(self) -> tuple[Any, ...]:
        """What holds in the end, whoever was told what."""
        known, actions = self.known, self.actions
        assert known is not None
        assert actions is not None
        return (
            (known.open, known.gravity, known.live, known.answered, known.done),
            (actions.acknowledged, actions.assigned, actions.progress, actions.cleared),
        )


@st.composite
def lives(draw: st.DrawFn) -> list[Warning]:
    """Draw the revisions of a warning."""
    told = []
    for rev in range(1, draw(st.integers(1, 6)) + 1):
        tier = draw(st.sampled_from(TIERS))
        state = "open" if rev == 1 else draw(st.sampled_from(["open", "open", "open", "cleared"]))
        told.append(warning(1, rev, tier=tier, state=state, change="raised"))
    return told


@st.composite
def asks(draw: st.DrawFn, life: Sequence[Warning]) -> list[OfWarning]:
    """Draw commands of people who saw revisions that there were."""
    commands = []
    for number in range(1, draw(st.integers(1, 5)) + 1):
        seen = draw(st.sampled_from(life))
        kind = draw(st.sampled_from([Acknowledge, Clear, Clear, Answer, Comment, Assign]))
        more: dict[str, Any] = {Clear: {"note": "n"}, Comment: {"note": "n"}, Assign: {"to": actor("wang")}}.get(kind, {})
        if kind is Answer:
            more = {"step": draw(st.sampled_from([Deed.ON_MY_WAY, Deed.ARRIVED, Deed.DONE]))}
        commands.append(given_of(kind, number, seen.rev, seen.tier, by=actor(f"p{number}"), **more))
    return commands


@given(st.data())
def test_what_holds_in_the_end_is_the_same_in_every_order(data: st.DataObject):
    """Promise 17: an acknowledgement that races a resolve reopens nothing; races settle one way."""
    life = data.draw(lives())
    commands = data.draw(asks(life))
    ends = []
    for _ in range(2):
        order = data.draw(st.permutations([True] * len(life) + [False] * len(commands)))
        desk, revisions, asked_ = Desk(), iter(life), iter(commands)
        for is_revision in order:
            desk.revision(next(revisions)) if is_revision else desk.command(next(asked_))
        ends.append(desk.holds)
    assert ends[0] == ends[1]


@given(st.data())
def test_who_acts_twice_in_vain_changes_nothing_that_is_known(data: st.DataObject):
    life = data.draw(lives())
    commands = data.draw(asks(life))
    desk = Desk()
    for one in life:
        desk.revision(one)
    for number, command in enumerate(commands, 1):
        desk.command(command)
        assert desk.actions is not None
        assert (desk.actions.rev, desk.actions.command) == (number, command.id)
        before = desk.holds
        for one in life:
            desk.revision(one)
        assert desk.holds == before


def test_a_late_acknowledgement_does_not_reopen_what_was_cleared_by_hand():
    """Promise 17 (oncall#3161)."""
    desk = Desk()
    desk.revision(warning(1, 1, tier="red"))
    assert desk.command(given_of(Clear, 1, note="巡查无异常")) is Decision.APPLIED
    assert desk.command(given_of(Acknowledge, 2)) is Decision.TOO_LATE
    assert desk.known is not None
    assert not desk.known.live
    assert desk.actions is not None
    assert desk.actions.cleared is not None


def test_a_rise_reopens_what_was_cleared_by_hand_and_a_fall_does_not():
    desk = Desk()
    desk.revision(warning(1, 1, tier="yellow"))
    desk.command(given_of(Clear, 1, 1, Tier.YELLOW, note="n"))
    desk.revision(warning(1, 2, tier="blue", change="lowered"))
    assert desk.known is not None
    assert not desk.known.live
    desk.revision(warning(1, 3, tier="orange", change="raised"))
    assert desk.known.live
    assert desk.actions is not None
    assert desk.actions.cleared is None
    assert desk.actions.trail[-1].deed is Deed.REOPEN


def test_who_clears_what_they_saw_milder_is_told_that_it_is_stale():
    desk = Desk()
    desk.revision(warning(1, 1, tier="yellow"))
    desk.revision(warning(1, 2, tier="red", change="raised"))
    assert desk.command(given_of(Clear, 1, 1, Tier.YELLOW, note="n")) is Decision.STALE
    assert desk.known is not None
    assert desk.known.live


def test_the_first_to_acknowledge_a_revision_answers_for_it():
    desk = Desk()
    desk.revision(warning(1, 1, tier="red"))
    assert desk.command(given_of(Acknowledge, 1, by=actor("li"))) is Decision.APPLIED
    assert desk.command(given_of(Acknowledge, 2, by=actor("wang"))) is Decision.ALREADY
    assert desk.actions is not None
    assert desk.actions.acknowledged is not None
    assert desk.actions.acknowledged.by.id == "li"


@example([Deed.DONE, Deed.ARRIVED])
@given(st.lists(st.sampled_from([Deed.ON_MY_WAY, Deed.ARRIVED, Deed.DONE]), min_size=1, max_size=4))
def test_what_the_field_says_counts_by_when_it_was_said(steps: list[Deed]):
    """A phone that was offline sends later."""
    desk = Desk()
    desk.revision(warning(1, 1, tier="red"))
    times = list(range(len(steps)))
    for at, step in zip(reversed(times), reversed(steps), strict=True):
        desk.command(given_of(Answer, at + 1, step=step, at=NOW.replace(minute=at)))
    assert desk.actions is not None
    assert desk.actions.progress is not None
    assert desk.actions.progress.step is steps[-1]
    assert desk.known is not None
    assert desk.known.answered
    assert desk.known.done is (steps[-1] is Deed.DONE)
