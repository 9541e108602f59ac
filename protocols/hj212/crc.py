"""The checksum of HJ 212: CRC-16 with the polynomial 0xA001, but not Modbus's.

The byte is xored into the register that was shifted by eight bits (Modbus xors it into the unshifted one), so results differ.
"""

from __future__ import annotations

_START = 0xFFFF
_POLYNOMIAL = 0xA001


def _shifted(register: int) -> int:
    for _ in range(8):
        register = (register >> 1) ^ (_POLYNOMIAL if register & 1 else 0)
    return register


# What is shifted is a byte again, so 256 entries hold every step.
_TABLE = tuple(_shifted(byte) for byte in range(256))


def crc16(data: bytes) -> int:
    """The checksum of a data part, 0 to 0xFFFF; written as four hexadecimal digits, high byte first."""
    register = _START
    for byte in data:
        register = _TABLE[(register >> 8) ^ byte]
    return register
