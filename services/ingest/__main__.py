"""`python -m services.ingest`: run the ingest service."""

from __future__ import annotations

from services.ingest.app import serve
from services.ingest.settings import Settings
from services.kit import room

if __name__ == "__main__":
    room.run("ingest", Settings, serve)
