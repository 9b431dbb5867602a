"""A storefront at a steady rate while Redis, the database, the model and the workers fail at random."""

from __future__ import annotations

import os

import pytest

from tests.conftest import DATABASES
from tests.soak.run import Plan, soak

REQUESTS = int(os.environ.get("RECSVC_TEST_SOAK", "10000"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", DATABASES)
def test_every_answer_is_right_whatever_fails(kind: str) -> None:
    result = soak(Plan(REQUESTS, 150.0, kind), lambda line: None)
    assert not result.wrong, result.wrong[:10]
    assert sum(map(len, result.times.values())) == REQUESTS and len(result.faults) >= 10
    # It saw what it was to look at: items that went and came back, answers that lacked something and said so.
    assert result.stock_changes >= 20 and result.met > REQUESTS and result.degraded and result.acknowledged > 100
