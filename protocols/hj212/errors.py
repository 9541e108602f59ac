"""The exceptions of HJ 212.

ProtocolError                  anything this package raises on purpose
├── FrameError                 bytes that are not one whole frame: `problem` says why
├── PacketError                a whole frame whose data part cannot be read: `where` names the field
│   ├── BadText                bytes that are no text of the edition's encoding
│   ├── BadField               a field that is missing, given twice or not of its form
│   └── UnknownEdition         version bits that no known edition has
└── Unencodable                a packet that cannot be written: `where` names the field
"""

from __future__ import annotations

from enum import StrEnum


class FrameProblem(StrEnum):
    """Why bytes are no frame."""

    JUNK = "junk"
    """Bytes outside of any frame, or not of this protocol at all."""
    BAD_LENGTH = "bad_length"
    """`##` without four decimal digits after it."""
    TOO_LONG = "too_long"
    """A length above the limit."""
    UNTERMINATED = "unterminated"
    """No CR LF where the length says that the frame ends: its length is wrong, or its end was lost."""
    BAD_CRC = "bad_crc"
    """A checksum that is not that of the data."""


class ProtocolError(Exception):
    """Anything this package raises on purpose."""


class FrameError(ProtocolError):
    """Bytes that are not one whole frame."""

    def __init__(self, problem: FrameProblem) -> None:
        super().__init__(f"not one whole frame: {problem}")
        self.problem = problem


class PacketError(ProtocolError):
    """A data part that cannot be read; `where` names the field, or `CP`."""

    def __init__(self, what: str, *, where: str) -> None:
        super().__init__(f"{where}: {what}")
        self.where = where


class BadText(PacketError):
    """Bytes that are no text of the edition's encoding."""


class BadField(PacketError):
    """A field that is missing, given twice or not of its form."""


class UnknownEdition(PacketError):
    """Version bits that no known edition has."""


class Unencodable(ProtocolError):
    """A packet that cannot be written; `where` names the field."""

    def __init__(self, what: str, *, where: str) -> None:
        super().__init__(f"{where}: {what}")
        self.where = where
