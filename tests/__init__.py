"""A package only so that `tests.integration.platform` is one, whose shared fixture ends with its last test; other folders need no such file."""
