"""What ingest refused, kept with its reason."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import BeforeValidator, Field

from schemas.base import AdapterName, Code, Frozen, Text, Time

KEPT_BYTES = 65_536
"""How much of a refused body is kept: 64 KiB holds any single event; of a larger body the start and the SHA-256 tell which it was."""


SAID = 500
"""Characters of each text of a problem: a refused item may have a megabyte where a name is expected, and the text quotes it."""


def _cut(text: object) -> object:
    return f"{text[: SAID - 1]}…" if isinstance(text, str) and len(text) > SAID else text


Said = Annotated[str, BeforeValidator(_cut)]
"""Text that is cut to `SAID` characters."""


class Problem(Frozen):
    """What is wrong with one item, where, and how to mend it."""

    code: Code
    where: Said
    """A path into the item, such as `data.values.flow`; empty for the item itself."""
    message: Said
    hint: Said


class Rejected(Frozen):
    """A refused item."""

    id: UUID
    department: Code
    adapter: AdapterName
    address: Text
    """Of the client."""
    content_type: str = Field(max_length=256)
    received: Time
    problem: Problem
    event: str | None = Field(default=None, max_length=256)
    """The event's own id, where it could be read."""
    sensor: str | None = Field(default=None, max_length=256)
    """Whom it names: a sensor's id, or a device as `<protocol>:<name>`, known or not."""
    body: str
    """Base64 of the bytes as they came, up to 64 KiB."""
    size: int
    """Bytes of the whole."""
    sha256: str
    """Of the whole."""
