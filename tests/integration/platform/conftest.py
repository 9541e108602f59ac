"""The whole platform for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.running import Running


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The whole platform with the demo city and the replayed pipe, as `up` starts it; it ends with the last test here."""
    with Running(tmp_path_factory.mktemp("platform"), feed=True).until_done() as running:
        yield running
