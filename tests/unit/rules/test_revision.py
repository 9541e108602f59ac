"""What the engine gives out is the contract, to the letter: `Revision.json()` against `schemas.warning.Warning`."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from schemas.warning import Clearing, Evidence, Part, Warning  # noqa: A004 - the field's own word
from services.rules.domain import revision
from services.rules.domain.revision import Revision
from services.rules.domain.step import Partition
from tests.unit.rules.histories import SHAPES, random_history

TWINS = {Warning: revision.Revision, Evidence: revision.Evidence, Clearing: revision.Clearing, Part: revision.Part}


def told(seed: int, shape: str) -> list[Revision]:
    partition = Partition()
    outputs = [one for record in random_history(seed, 250, (shape,)) for one in partition.step(record)[1]]
    return [one for one in outputs if isinstance(one, Revision)]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_json_of_a_revision_says_what_the_contract_reads_in_it(shape: str):
    changes: Counter[str] = Counter()
    for one in (one for seed in range(4) for one in told(seed, shape)):
        body = one.json()
        contract = Warning.model_validate_json(body)
        assert json.loads(contract.model_dump_json()) == json.loads(body)
        assert (contract.id, contract.rev, contract.state, contract.street) == (one.id, one.rev, one.state, one.street)
        changes[one.change] += 1
    assert changes.keys() >= {"opened", "recovered"}


@pytest.mark.parametrize(("contract", "twin"), TWINS.items(), ids=lambda one: one.__name__)
def test_the_fields_have_the_same_names_in_the_same_order(contract: Any, twin: Any):
    assert tuple(contract.model_fields) == twin.__struct_fields__
