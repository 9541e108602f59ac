"""`python -m services.history`: run the history service."""

from __future__ import annotations

from services.history.app import serve
from services.history.settings import Settings
from services.kit import room

if __name__ == "__main__":
    room.run("history", Settings, serve)
