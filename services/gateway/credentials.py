"""`secrets.json`: the tokens of machines, the users to begin with, and the key that signs what a browser keeps for us."""

from __future__ import annotations

import secrets as random
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.access import Grant
from schemas.base import Code, Name
from services.kit.errors import Misconfigured, places


class FirstUser(BaseModel):
    """A user who is made when there is none of that id; one who is there is never changed by this."""

    model_config = ConfigDict(frozen=True)
    id: Code
    name: Name
    password: str = Field(min_length=1, max_length=256, repr=False)
    grants: tuple[Grant, ...]


class Secrets(BaseModel):
    """What the gateway reads of the file; other services have their own parts of it."""

    model_config = ConfigDict(frozen=True)
    region_tokens: dict[str, str] = Field(repr=False)
    users: Sequence[FirstUser] = ()
    session_key: str = Field(default_factory=random.token_urlsafe, min_length=16, repr=False)
    """Without one it is another at each start: who is at the provider's meanwhile has to begin again."""


def load(file: Path | None) -> Secrets:
    """Return the secrets; raises `Misconfigured`, without saying what stands in the file."""
    if file is None:
        raise Misconfigured("TONGGUAN_SECRETS is not set: it names the JSON file with region_tokens")
    try:
        return Secrets.model_validate_json(file.read_bytes())
    except OSError as error:
        raise Misconfigured(f"{file}: cannot read region_tokens: {error.strerror}") from error
    except ValidationError as error:
        raise Misconfigured(f"{file}: {places(error)}") from None
