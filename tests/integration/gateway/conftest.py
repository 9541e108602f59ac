"""Its tests have topics and a database of their own."""

from tests.integration.rooms import fresh_database

__all__ = ["fresh_database"]
