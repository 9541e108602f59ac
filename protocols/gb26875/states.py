"""States and operations, bit by bit. Bits without a name here are reserved by the standard; they are kept."""

from __future__ import annotations

from enum import IntFlag


class _Watched(IntFlag):
    """What the first two bits mean in every state."""

    @property
    def fire(self) -> bool:
        """The fire bit, whatever the mode."""
        return bool(self & 2)

    @property
    def test(self) -> bool:
        """Test mode: bit 0 is clear."""
        return not self & 1

    @property
    def drill(self) -> bool:
        """A fire in test mode, which by the standard is a drill and not a fire.

        Some devices never set bit 0: frames published as examples of real fires have the state `02 00`. So let a drill pass for none only on a
        device that is known to set bit 0, which it shows whenever it reports anything in normal operation.
        """
        return self.fire and self.test


class SystemBits(_Watched):
    """State of a system (8.2.1.1), 16 bits. Without `NORMAL` it is in test mode, without `MANUAL` in automatic."""

    NORMAL = 1 << 0
    FIRE = 1 << 1
    FAULT = 1 << 2
    SHIELDED = 1 << 3
    SUPERVISED = 1 << 4
    STARTED = 1 << 5
    FEEDBACK = 1 << 6
    DELAYED = 1 << 7
    MAIN_POWER_FAULT = 1 << 8
    BACKUP_POWER_FAULT = 1 << 9
    BUS_FAULT = 1 << 10
    MANUAL = 1 << 11
    SETUP_CHANGED = 1 << 12
    RESET = 1 << 13


class ComponentBits(_Watched):
    """State of a component (8.2.1.2), 16 bits. Without `NORMAL` it is in test mode."""

    NORMAL = 1 << 0
    FIRE = 1 << 1
    FAULT = 1 << 2
    SHIELDED = 1 << 3
    SUPERVISED = 1 << 4
    STARTED = 1 << 5
    FEEDBACK = 1 << 6
    DELAYED = 1 << 7
    POWER_FAULT = 1 << 8


class DeviceBits(_Watched):
    """State of the transmission device itself (8.2.1.8), 8 bits. Without `NORMAL` it is in test mode."""

    NORMAL = 1 << 0
    FIRE = 1 << 1
    FAULT = 1 << 2
    MAIN_POWER_FAULT = 1 << 3
    BACKUP_POWER_FAULT = 1 << 4
    CENTRE_LINK_FAULT = 1 << 5
    LINE_FAULT = 1 << 6
    """Of the line to the systems that are watched."""


class SystemAction(IntFlag):
    """What an operator did at a system (8.2.1.4), 8 bits."""

    RESET = 1 << 0
    SILENCED = 1 << 1
    MANUAL_ALARM = 1 << 2
    ALARM_CLEARED = 1 << 3
    SELF_TEST = 1 << 4
    ACKNOWLEDGED = 1 << 5
    TEST = 1 << 6


class DeviceAction(IntFlag):
    """What an operator did at the transmission device (8.2.1.9), 8 bits."""

    RESET = 1 << 0
    SILENCED = 1 << 1
    MANUAL_ALARM = 1 << 2
    ALARM_CLEARED = 1 << 3
    SELF_TEST = 1 << 4
    PATROL_ANSWERED = 1 << 5
    TEST = 1 << 6
