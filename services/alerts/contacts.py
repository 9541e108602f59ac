"""Addresses of people and secrets of channels: `contacts.yaml`, which is personal and stands apart from the city's folder.

    people: {<person's id>: {<channel's id>: <address>}}
    channels: {<channel's id>: {secret: {<name>: <value>}}}

What stands in it is never printed: errors tell places, and the values stand in no `repr`.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, StringConstraints, ValidationError

from schemas.alerting import Alerting
from schemas.base import Code, Frozen, Text
from services.kit import documents, logs
from services.kit.errors import Misconfigured

_log = logs.get(__name__)

Secret = Annotated[str, StringConstraints(min_length=1, max_length=4_000)]


class ChannelSecrets(Frozen):
    """What a channel needs to know and nobody else may."""

    secret: dict[Code, Secret] = Field(default_factory=dict, repr=False)


class Contacts(Frozen):
    """All of `contacts.yaml`."""

    people: dict[Code, dict[Code, Text]] = Field(default_factory=dict, repr=False)
    channels: dict[Code, ChannelSecrets] = Field(default_factory=dict, repr=False)

    def addresses(self, person: str) -> Mapping[str, str]:
        """Return somebody's addresses by channel."""
        return self.people.get(person, {})

    def secret(self, channel: str) -> Mapping[str, str]:
        """Return the secrets of a channel by name."""
        found = self.channels.get(channel)
        return found.secret if found else {}

    def strangers(self, alerting: Alerting) -> tuple[str, ...]:
        """Return who and what stands here and not in `alerting.yaml`: misspelt, most likely."""
        people, channels = {one.id for one in alerting.people}, {one.id for one in alerting.channels}
        used = {channel for addresses in self.people.values() for channel in addresses} | self.channels.keys()
        return (*(f"person {one}" for one in sorted(self.people.keys() - people)), *(f"channel {one}" for one in sorted(used - channels)))


def load(file: Path | None) -> Contacts:
    """Return what a file says; without one nobody has an address. Raises `Misconfigured`, which tells no value."""
    if file is None:
        return Contacts()
    try:
        if file.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
            _log.warning("contacts_open_to_others", file=str(file), hint=f"chmod o-rwx {file}")
        return Contacts.model_validate(_read(file) or {})
    except OSError as error:
        raise Misconfigured(f"{file}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise Misconfigured(f"{file}: {_places(error)}") from None


def _read(file: Path) -> Any:
    """Return the content. What YAML says of an error quotes the file, so only the place is told."""
    try:
        return yaml.load(file.read_text("utf-8"), Loader=documents.LOADER)  # noqa: S506 - a safe one
    except UnicodeDecodeError as error:
        raise Misconfigured(f"{file}: is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Misconfigured(f"{file}: is not YAML" + (f" (line {mark.line + 1}, column {mark.column + 1})" if mark else "")) from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise Misconfigured(f"{file}: is not YAML") from None


_NO_TEXT = "must be text: put it in quotes, so that no digit and no + is lost"


def _places(error: ValidationError) -> str:
    told = (("/".join(map(str, one["loc"])), _NO_TEXT if one["type"] == "string_type" else one["msg"]) for one in error.errors(include_input=False))
    return "; ".join(f"{place or 'the whole'}: {says}" for place, says in told)
