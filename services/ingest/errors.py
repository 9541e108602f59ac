"""The exceptions of ingest.

IngestError
├── Unauthorised   no key, or one that is nobody's, was revoked or has expired (401)
├── TooLarge       a body over the limit, packed or unpacked (413)
├── TooSlow        a body that did not come to its end in time (408)
├── NotUnpacked    a Content-Encoding that is not taken (415)
├── TooMany        a department's quota is used up, or its share of bodies under way (429)
└── BrokerRefuses  the MQTT broker does not take us as we come: user, password, rights
"""

from __future__ import annotations


class IngestError(Exception):
    """Anything ingest raises on purpose."""


class Unauthorised(IngestError):
    """No key, or one that is nobody's, was revoked or has expired."""


class TooLarge(IngestError):
    """A body over the limit."""


class TooSlow(IngestError):
    """A body that did not come to its end in time."""


class NotUnpacked(IngestError):
    """A Content-Encoding that is not taken."""


class TooMany(IngestError):
    """A department's quota is used up, or its share of bodies under way."""

    def __init__(self, message: str, seconds: int) -> None:
        """`seconds` says when to come back."""
        super().__init__(message)
        self.seconds = seconds


class BrokerRefuses(IngestError):
    """The MQTT broker does not take us, or our subscriptions; the message says why."""
