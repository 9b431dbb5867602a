"""The exact cut against a full sort; blend and shortlist over the planted shop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsvc.artifact import read
from recsvc.engine import ranking
from recsvc.engine.history import EMPTY
from recsvc.engine.model import Model, from_artifact, own_history
from recsvc.engine.ranking import top_k
from recsvc.settings import Settings
from tests.conftest import Place


@pytest.fixture(scope="module")
def model(planted: Place) -> Model:
    root = Settings(home=planted.home).artifact_root
    return from_artifact(read(root, (root / "current").read_text().strip()))


def _by_sorting(scores: np.ndarray, k: int) -> list[int]:
    order = sorted(range(len(scores)), key=lambda row: (-scores[row], row))[:k]
    return [row for row in order if scores[row] > -np.inf]


@given(st.integers(1, 3000), st.integers(0, 120), st.integers(0, 2**31), st.sampled_from([3, 50, 10**6]))
@settings(max_examples=150, deadline=None)
def test_top_k_equals_a_sort_with_ties_to_the_lower_row(n: int, k: int, seed: int, distinct: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, distinct, n).astype(np.float32)
    scores[rng.random(n) < 0.3] = -np.inf
    assert top_k(scores, k).tolist() == _by_sorting(scores, k)


def test_what_is_not_allowed_never_fills_up_a_list() -> None:
    assert top_k(np.full(5000, -np.inf, np.float32), 10).tolist() == []


def test_the_parts_add_up_to_the_blend_and_others_are_silent_where_the_customer_bought(model: Model) -> None:
    for row in range(0, 120, 11):
        history = own_history(model, row)
        proposed = ranking.propose(model, [history])[0]
        rows = np.arange(model.n_items)
        parts = ranking.parts(model, history, proposed, rows)
        np.testing.assert_allclose(parts.sum(axis=0), ranking.blended(model, history, proposed), rtol=1e-4, atol=1e-5)
        bought = history.item_rows[history.orders > 0]
        assert not parts[:2, bought].any()
        assert parts[:2, np.setdiff1d(rows, bought)].any()


def test_many_customers_at_once_are_told_what_each_is_told_alone(model: Model) -> None:
    histories = [own_history(model, row) for row in range(10)] + [EMPTY]
    for together, history in zip(ranking.propose(model, histories), histories, strict=True):
        alone = ranking.propose(model, [history])[0]
        np.testing.assert_allclose(together.collaborative, alone.collaborative, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(together.neighbours, alone.neighbours, rtol=1e-5)


def test_the_shortlist_holds_what_was_bought_and_the_best_of_each_generator_but_nothing_forbidden(model: Model) -> None:
    history = own_history(model, 3)
    proposed = ranking.propose(model, [history])[0]
    allowed = np.ones(model.n_items, bool)
    bought = history.item_rows[history.orders > 0]
    new = np.setdiff1d(np.arange(model.n_items), history.item_rows)
    allowed[[bought[0], new[0]]] = False
    rows = ranking.shortlist(model, history, proposed, allowed)
    assert set(bought[1:].tolist()) <= set(rows.tolist())
    assert {bought[0], new[0]}.isdisjoint(rows.tolist())
    assert new[1:][np.argmax(proposed.collaborative[new[1:]])] in rows
    assert (np.diff(rows) > 0).all()
