"""Ways to people outside the app, each behind the same door: `await senders[channel].send(Sending(…))` gives a `Receipt`."""

from __future__ import annotations

from schemas.alerting import Alerting, Channel
from services.alerts.channels.by_apprise import AppriseSender
from services.alerts.channels.by_http import HttpSender
from services.alerts.channels.sender import Again, Never, Receipt, Sender, Sending, Taken, Trouble
from services.alerts.contacts import Contacts

__all__ = ["Again", "Never", "Receipt", "Sender", "Sending", "Taken", "Trouble", "senders"]


def senders(alerting: Alerting, contacts: Contacts) -> dict[str, Sender]:
    """Return the channels of `alerting.yaml` by id, each tried with the secrets that it has.

    Needs no running loop and opens nothing. Raises `Misconfigured`, which names channel and template, for one that cannot be used.
    """
    return {channel.id: _sender(channel, contacts) for channel in alerting.channels}


def _sender(channel: Channel, contacts: Contacts) -> Sender:
    secret = contacts.secret(channel.id)
    if channel.kind == "http":
        return HttpSender(channel, secret)
    addresses = tuple(found for one in contacts.people.values() if (found := one.get(channel.id)))
    return AppriseSender(channel, secret, addresses)
