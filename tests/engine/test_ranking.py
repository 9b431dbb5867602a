"""The exact cut: block maxima against a full sort."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recsvc.engine.ranking import top_k, weighted


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


def test_others_are_silent_where_the_customer_bought() -> None:
    parts = np.ones((4, 3), np.float32)
    out = weighted(parts, np.array([1, 2, 3, 4], np.float32), np.array([1]))
    assert out.tolist() == [[1, 0, 1], [2, 0, 2], [3, 3, 3], [4, 4, 4]]
