"""`python -m services.rules`: run the rules service."""

from __future__ import annotations

from services.kit import room
from services.rules.app import serve
from services.rules.settings import Settings

if __name__ == "__main__":
    room.run("rules", Settings, serve)
