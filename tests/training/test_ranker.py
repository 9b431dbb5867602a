"""The ranker: it learns a planted order, twice the same, and its arrays predict what LightGBM predicts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsvc.artifact import Array
from recsvc.engine import forest
from training import openmp, ranker

openmp.load()
import lightgbm

NAMES = ["taste", "noise", "price", "age"]


def _planted(groups: int = 300, size: int = 20, seed: int = 0) -> tuple[Array, Array, Array]:
    """In each group the row of the highest taste is wanted; a fifth of the prices are missing."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(groups * size, 4)).astype(np.float32)
    features[rng.random(len(features)) < 0.2, 2] = np.nan
    best = features[:, 0].reshape(groups, size).argmax(axis=1) + np.arange(groups) * size
    labels = np.zeros(len(features), np.int64)
    labels[best] = 1
    return features, labels, np.full(groups, size)


def test_the_planted_order_is_learnt() -> None:
    arrays = ranker.train(*_planted(), 1, 2, NAMES)
    assert arrays is not None
    features, labels, _ = _planted(seed=9)
    scores = forest.predict(arrays, features).reshape(300, 20)
    # Chance is one in twenty.
    assert (scores.argmax(axis=1) == labels.reshape(300, 20).argmax(axis=1)).mean() > 0.8
    assert arrays["forest_gains"].argmax() == 0
    assert arrays["forest_leaves"].shape == (60, 128)


def test_the_same_twice() -> None:
    first, second = (ranker.train(*_planted(), 5, 2, NAMES) for _ in range(2))
    assert first is not None and second is not None
    assert first.keys() == second.keys() == forest.ARRAYS.keys()
    assert all((first[name] == second[name]).all() for name in first)


def test_groups_that_say_nothing_change_nothing() -> None:
    features, labels, groups = _planted()
    silent = np.zeros((45, 4), np.float32)
    with_silent = ranker.train(
        np.concatenate([silent[:5], features, silent[5:]]),
        np.concatenate([np.zeros(5, np.int64), labels, np.zeros(10, np.int64), np.ones(30, np.int64)]),
        np.concatenate([[0, 5], groups, [0, 10, 30, 0]]), 1, 1, NAMES,
    )  # fmt: skip
    without = ranker.train(features, labels, groups, 1, 1, NAMES)
    assert with_silent is not None and without is not None
    assert all((with_silent[name] == without[name]).all() for name in without)


def test_a_group_over_the_limit_keeps_its_positives() -> None:
    rng = np.random.default_rng(3)
    features = rng.normal(size=(30_100, 4)).astype(np.float32)
    labels = np.zeros(30_100, np.int64)
    labels[np.argsort(-features[:30_000, 0])[:200]] = 1
    labels[30_000:30_010] = 1
    rows, sizes = ranker._useful(labels, np.array([30_000, 100]), np.random.default_rng(1))
    assert sizes.tolist() == [ranker.MAX_GROUP, 100] and labels[rows].sum() == 210
    assert (np.diff(rows) > 0).all() and sizes.sum() == len(rows)
    arrays = ranker.train(features, labels, np.array([30_000, 100]), 1, 2, NAMES)
    assert arrays is not None
    scores = forest.predict(arrays, features[:30_000])
    assert labels[np.argsort(-scores)[:200]].sum() > 50  # by chance: one


def test_nothing_to_learn_from_is_no_ranker() -> None:
    features, labels, groups = _planted(groups=20)
    none = np.empty(0, np.int64)
    assert ranker.train(np.empty((0, 4), np.float32), none, none, 1, 1, NAMES) is None
    assert ranker.train(features, np.zeros_like(labels), groups, 1, 1, NAMES) is None
    assert ranker.train(features, labels, np.ones(len(labels), np.int64), 1, 1, NAMES) is None
    assert ranker.train(np.zeros_like(features), labels, groups, 1, 1, NAMES) is None
    assert ranker.train(np.full_like(features, np.nan), labels, groups, 1, 1, NAMES) is None
    assert ranker.train(features[:, :0], labels, groups, 1, 1, []) is None


def test_few_rows_still_teach() -> None:
    features, labels, groups = _planted(groups=12, size=10)
    arrays = ranker.train(features, labels, groups, 1, 1, NAMES)
    assert arrays is not None
    assert arrays["forest_gains"].argmax() == 0


def test_what_does_not_fit_is_refused() -> None:
    features, labels, groups = _planted(groups=5)
    with pytest.raises(ValueError, match="100 rows"):
        ranker.train(features, labels, groups[1:], 1, 1, NAMES)
    with pytest.raises(ValueError, match="must be 0 to 30"):
        ranker.train(features, labels - 1, groups, 1, 1, NAMES)
    with pytest.raises(ValueError, match="distinct names"):
        ranker.train(features, labels, groups, 1, 1, ["a", "a", "b", "c"])
    with pytest.raises(ValueError, match="must be float32"):
        ranker.train(features.astype(np.float64), labels, groups, 1, 1, NAMES)
    features[7, 2] = np.inf
    with pytest.raises(ValueError, match="price holds infinity"):
        ranker.train(features, labels, groups, 1, 1, NAMES)


@given(st.integers(0, 2**31), st.integers(2, 64), st.sampled_from([-1, 1, 3, 8]), st.booleans())
@settings(max_examples=25, deadline=None)
def test_the_arrays_predict_what_lightgbm_predicts(seed: int, leaves: int, depth: int, missing: bool) -> None:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(2000, 5)).astype(np.float32)
    features[:, 1] = rng.integers(-2, 3, 2000)  # few values, zero among them: thresholds around ±1e-35
    features[:, 2] *= 10.0 ** rng.integers(-38, 38, 2000)
    if missing:
        features[rng.random(features.shape) < 0.2] = np.nan
    data = lightgbm.Dataset(features, np.nan_to_num(features[:, :2]).sum(axis=1) + rng.normal(size=2000))
    booster = lightgbm.train({
        "num_leaves": leaves, "max_depth": depth, "min_data_in_leaf": 5, "seed": seed, "verbosity": -1, "num_threads": 1,
    }, data, 10)  # fmt: skip
    try:
        arrays = ranker.export(booster)
    except ValueError as error:
        assert "splits deep" in str(error) and depth == -1
        return
    assert arrays is not None
    asked = _asked(booster, features, rng)
    np.testing.assert_allclose(
        forest.predict(arrays, asked), booster.predict(asked, raw_score=True, num_threads=1), rtol=0, atol=1e-6
    )


def _asked(booster: lightgbm.Booster, features: Array, rng: np.random.Generator) -> Array:
    """Rows it saw, and rows of thresholds rounded to float32, their neighbours, zeros, infinities and NaN."""
    lines = [line for line in booster.model_to_string().splitlines() if line.startswith("threshold=")]
    splits = np.array([float(one) for line in lines for one in line.partition("=")[2].split()]).astype(np.float32)
    edges = np.array([np.nan, np.inf, -np.inf, 0.0, 1e-35, -1e-35, 3e38, -3e38], np.float32)
    values = np.concatenate([splits, np.nextafter(splits, np.float32(np.inf)), np.nextafter(splits, np.float32(-np.inf)),
                             np.repeat(edges, len(splits) // 8 + 1)])  # fmt: skip
    return np.concatenate([features, rng.choice(values, features.shape)])


@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ({"zero_as_missing": True}, "missing values of type 'Zero'"),
        ({"categorical_feature": [1]}, "category"),
        ({"objective": "multiclass", "num_class": 3}, "not classes"),
        ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, "an average"),
        ({"linear_tree": True}, "linear"),
    ],
)
def test_what_the_engine_does_not_do_is_refused(parameters: dict[str, object], wanted: str) -> None:
    rng = np.random.default_rng(1)
    features = rng.integers(0, 3, (500, 3)).astype(np.float32)
    chosen = {"verbosity": -1, "num_threads": 1, **parameters}
    categorical = chosen.pop("categorical_feature", "auto")
    data = lightgbm.Dataset(features, features[:, 1] % 3, categorical_feature=categorical, params=chosen)
    booster = lightgbm.train(chosen, data, 3)
    with pytest.raises(ValueError, match=wanted):
        ranker.export(booster)
