"""The exceptions of ingest.

IngestError
├── Unauthorised   no key, or one that is nobody's (401)
├── TooLarge       a body over the limit (413)
└── TooSlow        a body that did not come to its end in time (408)
"""

from __future__ import annotations


class IngestError(Exception):
    """Anything ingest raises on purpose."""


class Unauthorised(IngestError):
    """No key, or one that is nobody's."""


class TooLarge(IngestError):
    """A body over the limit."""


class TooSlow(IngestError):
    """A body that did not come to its end in time."""
