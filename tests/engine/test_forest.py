"""The forest: against a walk from node to node, and against LightGBM itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsvc.artifact import Array
from recsvc.engine import forest
from recsvc.errors import ArtifactInvalid

BIG = np.finfo(np.float32).max
EDGES = np.array([np.nan, np.inf, -np.inf, BIG, -BIG, 0.0, -0.0, 1e-45, -1e-45, 1e-35, 1.0, -1.0], np.float32)


def _random(rng: np.random.Generator, trees: int, depth: int, n_features: int) -> dict[str, Array]:
    nodes = trees * (2**depth - 1)
    thresholds = np.where(rng.random(nodes) < 0.5, rng.choice(EDGES[3:], nodes), rng.normal(size=nodes))
    return {
        "forest_columns": rng.integers(0, 2 * n_features, nodes),
        "forest_thresholds": thresholds.astype(np.float32),
        "forest_leaves": rng.normal(size=(trees, 2**depth)),
        "forest_gains": np.zeros(n_features),
    }


def _features(rng: np.random.Generator, arrays: dict[str, Array], rows: int, n_features: int) -> Array:
    """Ordinary values, edges, thresholds themselves and their neighbours."""
    thresholds = arrays["forest_thresholds"]
    with np.errstate(over="ignore"):
        near = [thresholds, *(np.nextafter(thresholds, np.float32(side)) for side in (np.inf, -np.inf))]
    values = rng.normal(size=(rows, n_features)).astype(np.float32)
    which = rng.random(values.shape)
    values = np.where(which < 0.3, rng.choice(EDGES, values.shape), values)
    return np.where(which > 0.7, rng.choice(np.concatenate(near), values.shape), values).astype(np.float32)


def _walk(arrays: dict[str, Array], row: Array) -> float:
    """One row, tree by tree and node by node."""
    trees, width = arrays["forest_leaves"].shape
    total = 0.0
    for tree in range(trees):
        node, start, size = tree, 0, trees
        while size < trees * width:
            column = int(arrays["forest_columns"][start + node])
            value = float(np.clip(row[column // 2], -BIG, BIG))
            left = column % 2 == 0 if np.isnan(value) else value <= float(arrays["forest_thresholds"][start + node])
            node = 2 * node + (not left)
            start, size = start + size, size * 2
        total += float(arrays["forest_leaves"][node // width, node % width])
    return total


@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 7), st.integers(1, 6), st.integers(0, 30))
@settings(max_examples=150, deadline=None)
def test_a_forest_equals_a_walk(seed: int, trees: int, depth: int, n_features: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = _random(rng, trees, depth, n_features)
    features = _features(rng, arrays, rows, n_features)
    forest.check(arrays, n_features)
    got = forest.predict(arrays, features)
    assert got.shape == (rows,) and got.dtype == np.float64
    np.testing.assert_allclose(got, [_walk(arrays, row) for row in features], rtol=0, atol=1e-12)


def test_a_row_gets_the_same_bits_alone_and_among_thousands() -> None:
    rng = np.random.default_rng(1)
    arrays = _random(rng, 60, 7, 5)
    features = _features(rng, arrays, 2500, 5)
    together = forest.predict(arrays, features)
    for row in (0, 1, 999, 1000, 2499):
        assert forest.predict(arrays, features[row : row + 1])[0] == together[row]
    assert (forest.predict(arrays, features[700:900]) == together[700:900]).all()


def test_features_are_left_as_they_were() -> None:
    rng = np.random.default_rng(1)
    arrays = _random(rng, 3, 2, 2)
    features = np.array([[np.nan, 1.0]], np.float32)
    forest.predict(arrays, features)
    assert np.isnan(features[0, 0])


def test_rows_of_another_width_are_refused() -> None:
    arrays = _random(np.random.default_rng(1), 3, 2, 2)
    with pytest.raises(ArtifactInvalid, match="trained on 2 features"):
        forest.predict(arrays, np.zeros((4, 3), np.float32))


BROKEN: dict[str, tuple[str, Callable[[dict[str, Array]], object]]] = {
    "missing": ("forest_columns: is missing", lambda a: a.pop("forest_columns")),
    "another dtype": ("forest_leaves: is missing or not float64", lambda a: a.update(
        forest_leaves=a["forest_leaves"].astype(np.float32))),
    "another rank": ("forest_leaves: is missing or not float64 of 2", lambda a: a.update(
        forest_leaves=a["forest_leaves"].ravel())),
    "NaN": ("forest_thresholds: holds NaN", lambda a: a["forest_thresholds"].__setitem__(3, np.nan)),
    "infinity": ("forest_leaves: holds NaN or inf", lambda a: a["forest_leaves"].__setitem__((0, 0), np.inf)),
    "not a power of two": ("forest_leaves: shape", lambda a: a.update(forest_leaves=a["forest_leaves"][:, :3])),
    "one leaf": ("forest_leaves: shape", lambda a: a.update(forest_leaves=a["forest_leaves"][:, :1])),
    "no tree": ("forest_leaves: shape", lambda a: a.update(forest_leaves=a["forest_leaves"][:0])),
    "too deep": ("forest_leaves: shape", lambda a: a.update(forest_leaves=np.zeros((1, 2**11)))),
    "a node short": ("forest_columns: 8 nodes, 9", lambda a: a.update(forest_columns=a["forest_columns"][1:])),
    "a node more": ("forest_thresholds: 10 nodes, 9", lambda a: a.update(
        forest_thresholds=np.zeros(10, np.float32))),
    "below": ("forest_columns: points outside", lambda a: a["forest_columns"].__setitem__(0, -1)),
    "above": ("forest_columns: points outside", lambda a: a["forest_columns"].__setitem__(8, 4)),
    "other features": ("forest_gains: 3 features, 2", lambda a: a.update(forest_gains=np.zeros(3))),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_forest_is_refused_by_name(name: str) -> None:
    arrays = _random(np.random.default_rng(1), 3, 2, 2)
    forest.check(arrays, 2)
    message, damage = BROKEN[name]
    damage(arrays)
    with pytest.raises(ArtifactInvalid, match=message):
        forest.check(arrays, 2)
