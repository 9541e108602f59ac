"""Who stands in for whom, as people entered it: `alerts.overrides`."""

from __future__ import annotations

from datetime import datetime

from services.alerts.domain.duty import Override
from services.kit.database import Connection

_LATER_THAN = """
select team, person, instead_of, since, until from alerts.overrides
where until > $1 and ($2::text is null or team = $2) order by (body ->> 'at')::timestamptz, id
"""


async def later_than(connection: Connection, time: datetime, team: str | None = None) -> list[Override]:
    """Return those of a team, or of all, that end after a time, in the order in which they were entered: the last one holds."""
    return [Override(*row) for row in await connection.fetch(_LATER_THAN, time, team)]
