"""The exceptions of the gateway.

GatewayError
├── Unauthorised      no session, no token, or one that is nobody's (401; live 4401)
├── WrongCredentials  no such user, or another password, or one who may not sign in (401)
├── Locked            too many wrong tries; come back later (429)
├── TooMany           too many changes by one principal; come back later (429)
├── Forbidden         not the reader's: a region, a department, or something to be done (403; live 4403)
├── Forged            a change that another page may have asked for: no CSRF token, or another origin (403)
├── NotFound          no such thing within the reader's scope (404)
├── Conflict          what is there does not allow it (409)
│   └── AnotherUser   it was given by another user than is signed in (409)
└── Unfit             it can be read, but makes no sense in this city (422)
"""

from __future__ import annotations


class GatewayError(Exception):
    """Anything the gateway raises on purpose."""


class Unauthorised(GatewayError):
    """No session, no token, or one that is nobody's."""


class WrongCredentials(GatewayError):
    """No such user, or another password, or one who may not sign in: which of these is not told."""


class Locked(GatewayError):
    """Too many wrong tries by a user or from an address."""

    def __init__(self, seconds: int) -> None:
        """`seconds` says when to come back."""
        super().__init__(f"too many wrong tries; come back in {seconds} s")
        self.seconds = seconds


class TooMany(GatewayError):
    """More changes than one may make in a minute."""

    def __init__(self, seconds: int) -> None:
        """`seconds` says when to come back."""
        super().__init__(f"too many changes; come back in {seconds} s")
        self.seconds = seconds


class Forbidden(GatewayError):
    """What is not the reader's."""

    def __init__(self, message: str, *, capability: str, verdict: str, region: str | None) -> None:
        """`region` is the one asked about, when there is such a one."""
        super().__init__(message)
        self.capability = capability
        self.verdict = verdict
        self.region = region


class Forged(GatewayError):
    """A change that another page may have asked for."""


class NotFound(GatewayError):
    """No such thing within the reader's scope."""


class Conflict(GatewayError):
    """What is there does not allow it."""


class AnotherUser(Conflict):
    """It was given by another user than is signed in now: nobody answers in somebody else's name."""


class Unfit(GatewayError):
    """It can be read, but makes no sense in this city."""
