"""What the broker says of a topic: there, missing, or not to be known now."""

from __future__ import annotations

from typing import Any

import pytest

from services.kit import topics
from services.kit.errors import Unavailable


def told(error_code: int, partitions: int = 0) -> dict[str, Any]:
    return {"topic": "t", "error_code": error_code, "partitions": [{}] * partitions}


def test_a_topic_is_there_or_missing():
    assert topics._present([told(0, 24)]) == {"t": 24}
    assert topics._present([told(3)]) == {}


@pytest.mark.parametrize("error_code", [5, 7, 14, 41])
def test_a_topic_that_cannot_be_described_now_is_not_taken_for_a_missing_one(error_code: int):
    """Its epoch would be renewed, and all positions on it forgotten."""
    with pytest.raises(Unavailable, match="topic t now"):
        topics._present([told(error_code)])
