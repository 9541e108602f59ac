"""`python -m services.alerts`: run the alerts service."""

from __future__ import annotations

from services.alerts.app import serve
from services.alerts.settings import Settings
from services.kit import room

if __name__ == "__main__":
    room.run("alerts", Settings, serve)
