"""The exceptions of the kit.

KitError
├── Fenced            another owner has taken a partition: drop its state and join again
├── Unavailable       Kafka or PostgreSQL cannot be reached now; trying again may help
│   └── Overloaded    a bounded queue of ours is full
├── RecordTooLarge    a record that Kafka will never take
└── Misconfigured     settings or data files that cannot work; says what, where and how to mend it
"""

from __future__ import annotations

from pydantic import ValidationError


class KitError(Exception):
    """Anything the kit raises on purpose."""


class Fenced(KitError):
    """Another owner has taken a partition since we did."""


class Unavailable(KitError):
    """Kafka or PostgreSQL cannot be reached now."""


class Overloaded(Unavailable):
    """A bounded queue is full; the caller should come back later."""


class RecordTooLarge(KitError):
    """A record larger than a batch may be."""


class Misconfigured(KitError):
    """Settings or data files that cannot work."""


def places(error: ValidationError) -> str:
    """Return all that is wrong with settings or a data file, each with its place, on one line."""
    return "; ".join(f"{'.'.join(map(str, problem['loc'])) or 'the whole'}: {problem['msg']}" for problem in error.errors())
