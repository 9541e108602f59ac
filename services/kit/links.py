"""Links in messages: a token stands for one notification, and only who has the city's key makes one."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from uuid import UUID

_PURPOSE = b"tongguan: links in messages, 1"
_UUID_BYTES = 16
_PROOF_BYTES = 12
"""96 bits: nobody guesses one within the day that a link is good for, and the link still fits a short message."""


def make(key: str, notification: UUID) -> str:
    """Return the token of a notification, 38 characters that need no quoting in a URL."""
    return base64.urlsafe_b64encode(notification.bytes + _proof(key, notification.bytes)).rstrip(b"=").decode()


def read(key: str, token: str) -> UUID | None:
    """Return the notification of a token, None of one that was not made with the key. How long it takes tells nothing of the key."""
    try:
        whole = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None
    if len(whole) != _UUID_BYTES + _PROOF_BYTES:
        return None
    notification = UUID(bytes=whole[:_UUID_BYTES])
    return notification if hmac.compare_digest(token.encode(), make(key, notification).encode()) else None


def _proof(key: str, notification: bytes) -> bytes:
    derived = hmac.digest(key.encode(), _PURPOSE, hashlib.sha256)
    return hmac.digest(derived, notification, hashlib.sha256)[:_PROOF_BYTES]
