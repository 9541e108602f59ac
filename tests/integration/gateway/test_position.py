"""The position of a frame tells nothing of what its reader may not see."""

from __future__ import annotations

from collections.abc import Callable

from services.kit.producer import Producer
from tests.integration.gateway.session import session
from tests.integration.parts import Service
from tests.integration.rooms import publish_warnings
from tests.unit.gateway.city import CITY, OTHER_STREET, STREET, warning


async def test_a_warning_elsewhere_moves_no_position(start: Callable[..., Service], environment: dict[str, str], producer: Producer):
    """The turns, which move it, come once an hour here."""
    gateway = start("gateway", **environment, TONGGUAN_GATEWAY__VALUES_S="3600")
    await gateway.ready()
    async with session(gateway, STREET) as before, session(gateway, CITY) as above:
        await publish_warnings(producer, [warning(1, street=OTHER_STREET)])
        await above.until(lambda one: one.open, "the warning above")
        async with session(gateway, STREET) as after:
            assert not after.open
            assert after.snapshot.position == before.snapshot.position


async def test_turns_move_the_position_though_nothing_happens_and_each_start_names_itself_anew(
    start: Callable[..., Service], environment: dict[str, str], gateway: Service
):
    other = start("gateway", **environment)
    await other.ready()
    told = []
    for one in (gateway, other):
        async with session(one, STREET) as watching:
            node, _, turn = watching.snapshot.position.partition(".")
            await watching.until(lambda each: each.heartbeat, "a heartbeat")
            first = watching.heartbeat
            await watching.until(lambda each, first=first: each.heartbeat is not first, "another")  # type: ignore[misc]
            assert watching.heartbeat is not None
            later, _, then = watching.heartbeat.position.partition(".")
            assert (later, int(then) > int(turn)) == (node, True)
            told.append(node)
    assert told[0] != told[1]
