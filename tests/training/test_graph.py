"""The graph against a brute-force loop; what is bought together."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from training.config import Neighbours
from training.models import graph


def test_neighbours_equal_a_loop() -> None:
    rng = np.random.default_rng(2)
    dense = (rng.random((30, 12)) < 0.4).astype(np.float32)
    found = graph.neighbours(sparse.csr_matrix(dense), Neighbours(keep=5, exponent=0.3, min_customers=1), threads=1)
    wide = dense.sum(axis=0)
    wanted = (dense / np.maximum(dense.sum(axis=1, keepdims=True), 1)).T @ dense / np.sqrt(np.outer(wide, wide))
    np.fill_diagonal(wanted, 0)
    np.testing.assert_allclose(found["neighbour_scale"], wide**0.3, rtol=1e-5)
    for item in range(12):
        rows, scores = _near(found, item)
        np.testing.assert_allclose(scores, np.sort(wanted[item])[::-1][:5], rtol=1e-5)
        np.testing.assert_allclose(wanted[item, rows], scores, rtol=1e-5)


def test_together_needs_two_orders_and_more_than_chance() -> None:
    baskets = np.zeros((20, 4), np.float32)
    baskets[:8, [0, 1]] = 1  # a pair in eight orders
    baskets[8, [0, 2]] = 1  # once only
    baskets[:, 3] = 1  # in every order: no more than chance
    found = sparse.csr_matrix(baskets)
    rows, scores = graph.together(found, found, Neighbours(min_customers=1), threads=1)
    assert rows[0][scores[0] > 0].tolist() == [1]
    assert scores[0][0] == pytest.approx(8 / (np.sqrt(9 * 8) + 10))
    assert (rows[3] == -1).all()


def test_pairs_of_one_household_are_cut() -> None:
    liked = np.zeros((50, 6), np.float32)
    liked[0, :3] = 1  # one household has 0, 1 and 2
    liked[1:4, [3, 4]] = 1  # three have 3 and 4
    liked[4:6, [4, 5]] = 1  # two have 4 and 5
    found = graph.neighbours(sparse.csr_matrix(liked), Neighbours(keep=5, min_customers=3), threads=1)
    assert [_near(found, item)[0].tolist() for item in range(6)] == [[], [], [], [4], [3], []]


def _near(found: dict[str, np.ndarray], item: int) -> tuple[np.ndarray, np.ndarray]:
    start, end = found["neighbour_offsets"][item : item + 2]
    return found["neighbour_rows"][start:end], found["neighbour_scores"][start:end]
