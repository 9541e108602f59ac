"""Who can be told outside the app, by which channel, and in which lane messages to them wait."""

from __future__ import annotations

import hashlib

from schemas.alerting import Alerting
from schemas.base import Origin
from schemas.notification import IN_APP, Result
from services.alerts.contacts import Contacts


class Reach:
    """What `alerting.yaml` and `contacts.yaml` say of ways to people."""

    def __init__(self, alerting: Alerting, contacts: Contacts) -> None:
        self._groups = {channel.id for channel in alerting.channels if channel.group}
        self._tests = alerting.tests
        self._contacts = contacts

    def has(self, channel: str, name: str) -> bool:
        """Say whether a channel has an address of a person, or is a group of its own."""
        return bool(self._address(channel, name))

    def lane(self, channel: str, recipient: str) -> str:
        """Return where what goes to a recipient waits: one lane an address, so that several who share one get no more than one may."""
        address = self._address(channel, recipient.partition("/")[2]) or recipient
        return f"{channel} {hashlib.blake2b(address.encode(), digest_size=12).hexdigest()}"

    def result(self, origin: Origin, recipient: str, channel: str) -> tuple[Result, str | None]:
        """Decide what is to become of a notification: only what is real leaves the app, unless its recipient is there for tests."""
        if channel == IN_APP:
            return Result.DELIVERED, None
        if origin is not Origin.REAL and not self._tests & {recipient.partition("/")[2], channel}:
            return Result.WITHHELD, f"{origin.value}: only what is real leaves the app"
        return Result.WAITING, None

    def _address(self, channel: str, name: str) -> str | None:
        return channel if channel in self._groups else self._contacts.addresses(name).get(channel)
