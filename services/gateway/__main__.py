"""`python -m services.gateway`: run the gateway."""

from __future__ import annotations

from services.gateway.app import serve
from services.gateway.settings import Settings
from services.kit import room

if __name__ == "__main__":
    room.run("gateway", Settings, serve)
