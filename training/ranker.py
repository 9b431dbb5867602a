"""The ranker: LightGBM learns to order candidates; the engine's forest carries what it learnt.

LightGBM is used here and only here. What leaves this file are the plain arrays of `recsvc.engine.forest`, whose
prediction equals LightGBM's to 1e-6, so the service needs neither LightGBM nor OpenMP.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from recsvc.artifact import Array
from recsvc.engine import forest
from training import openmp

TREES: Final = 60
MAX_GROUP: Final = 10_000
MAX_LABEL: Final = 30
_DEPTH: Final = 7
_LEAF_ROWS: Final = 50
_FLOAT32_MAX: Final = float(np.finfo(np.float32).max)
_ZERO: Final = float(np.float32(1e-35))  # LightGBM's kZeroThreshold

Node = dict[str, Any]


def unavailable() -> str | None:
    """Return why LightGBM cannot be loaded on this machine, or None when it can."""
    openmp.load()
    try:
        import lightgbm  # noqa: F401
    except (ImportError, OSError) as error:
        return f"LightGBM cannot be loaded ({error}): training goes on without a ranker"
    return None


def train(
    features: Array, labels: Array, groups: Array, seed: int, threads: int, names: list[str]
) -> dict[str, Array] | None:
    """Return a forest that orders the rows of a group by label, or None when there is nothing to learn from.

    Groups in which nothing is positive, or everything equally, say nothing about order and are left out. Groups
    over 10,000 rows, LightGBM's limit, are sampled down to it, the positives kept up to half of it. Equal input,
    seed and threads give equal arrays.

    Args:
        features: (r, f) float32; NaN is missing, infinity is refused.
        labels: (r,) int, 0 to 30: how wanted the row is; each step doubles its gain.
        groups: (g,) int, sizes of runs of rows ranked against each other; their sum is r.
        threads: of LightGBM; 0 means all cores.
        names: of the f features, distinct; errors name them.

    Returns:
        The arrays of `recsvc.engine.forest`; None too when no split helps, or `unavailable()` says why.

    Raises:
        ValueError: shapes that do not fit each other, a label out of range, an infinite feature.

    Source:
        Bruch 2021, An alternative cross entropy loss for learning-to-rank, https://arxiv.org/abs/1911.09798
        (LightGBM's objective rank_xendcg)
    """
    _check(features, labels, groups, names)
    rows, sizes = _useful(labels, groups, np.random.default_rng(seed))
    if not len(rows) or not names or unavailable():
        return None
    import lightgbm

    settings = {
        "objective": "rank_xendcg", "learning_rate": 0.1, "num_leaves": 31, "max_depth": _DEPTH,
        # A leaf of 50 rows is noise enough; of a few hundred rows it would leave one leaf.
        "min_data_in_leaf": min(_LEAF_ROWS, max(2, len(rows) // 100)), "lambda_l2": 1.0,
        "seed": seed, "num_threads": threads, "deterministic": True, "force_col_wise": True, "verbosity": -1,
    }  # fmt: skip
    data = lightgbm.Dataset(
        features if len(rows) == len(features) else features[rows], labels[rows], group=sizes, params=settings,
    )  # fmt: skip
    return export(lightgbm.train(settings, data, num_boost_round=TREES))


def grown(
    features: Array, label: Array, weight: Array, start: Array, settings: dict[str, Any], trees: int, threads: int
) -> Any:
    """Return a LightGBM booster of `trees` trees that move the raw score from `start`, (r,) float64, to the labels.

    Args:
        features: (r, f) float32; NaN is missing.
        settings: LightGBM's, with the seed.
        threads: of LightGBM; 0 means all cores.
    """
    import lightgbm

    fixed = {"num_threads": threads, "deterministic": True, "force_col_wise": True, "verbosity": -1}
    data = lightgbm.Dataset(features, label.astype(np.int32), weight=weight, init_score=start, params=settings | fixed)
    return lightgbm.train(settings | fixed, data, num_boost_round=trees)


def export(booster: Any) -> dict[str, Array] | None:
    """Return the arrays of a LightGBM booster, or None when none of its trees splits; see `joined`."""
    return joined([(booster, 1.0)])


def joined(boosters: list[tuple[Any, float]]) -> dict[str, Array] | None:
    """Return the arrays of a sum of LightGBM boosters, each times a factor, or None when no tree splits.

    Args:
        boosters: lightgbm.Booster of one output a row, over the same features, and its factor.

    Raises:
        ValueError: one uses what the engine does not do: categories, zero as missing, linear leaves, averaged
            or too deep trees, several classes, or a threshold that only parts infinity from numbers.
    """
    trees, factors = [], []
    for booster, factor in boosters:
        model = booster.dump_model()
        if model["num_tree_per_iteration"] != 1 or model["average_output"]:
            raise ValueError("export: wanted one sum of trees a row, not classes or an average")
        if any(tree.get("num_cat") for tree in model["tree_info"]):
            raise ValueError("export: splits by category are not supported")
        trees += [tree["tree_structure"] for tree in model["tree_info"]]
        factors += [factor] * len(model["tree_info"])
    depth = max((_depth(tree) for tree in trees), default=0)
    if depth == 0:
        return None
    if depth > forest.MAX_DEPTH:
        raise ValueError(f"export: {depth} splits deep, at most {forest.MAX_DEPTH} are supported")
    levels, leaves = _levels(trees, depth)
    arrays = {
        "forest_columns": np.array([_column(node) for node in levels], np.int64),
        "forest_thresholds": np.array([_threshold(node) for node in levels], np.float32),
        "forest_leaves": np.array(leaves, np.float64).reshape(len(trees), 2**depth) * np.array(factors)[:, None],
        "forest_gains": np.sum([one.feature_importance("gain") for one, _ in boosters], axis=0).astype(np.float64),
    }
    forest.check(arrays, boosters[0][0].num_feature())
    return arrays


def _check(features: Array, labels: Array, groups: Array, names: list[str]) -> None:
    r, f = features.shape
    if features.dtype != np.float32:
        # The service compares float32; a threshold learnt between two doubles could part none of them.
        raise ValueError(f"ranker: features are {features.dtype}, must be float32")
    if labels.shape != (r,) or int(groups.sum()) != r or (groups < 0).any():
        raise ValueError(f"ranker: {r} rows, {labels.shape} labels, groups of {int(groups.sum())} rows in all")
    if len(names) != f or len(set(names)) != f:
        raise ValueError(f"ranker: {f} features, {len(set(names))} distinct names")
    if r and not 0 <= int(labels.min()) <= int(labels.max()) <= MAX_LABEL:
        raise ValueError(f"ranker: labels from {labels.min()} to {labels.max()}, must be 0 to {MAX_LABEL}")
    for column in range(f):
        if np.isinf(features[:, column]).any():
            raise ValueError(f"ranker: {names[column]} holds infinity")


def _useful(labels: Array, groups: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the rows that say something about order, ascending, and the sizes of their groups."""
    groups = groups[groups > 0]
    if not len(groups):
        return np.empty(0, np.int64), groups
    starts = np.cumsum(groups) - groups
    ordered = np.minimum.reduceat(labels, starts) < np.maximum.reduceat(labels, starts)
    keep = np.repeat(ordered, groups)
    for group in np.flatnonzero(ordered & (groups > MAX_GROUP)):
        rows = starts[group] + rng.permutation(groups[group])
        positive = rows[labels[rows] > 0][: MAX_GROUP // 2]
        other = rows[labels[rows] == 0][: MAX_GROUP - len(positive)]
        keep[rows] = False
        keep[positive] = keep[other] = True
    sizes = np.add.reduceat(keep.astype(np.int64), starts)
    return np.flatnonzero(keep), sizes[sizes > 0]


def _depth(node: Node) -> int:
    return 0 if "leaf_value" in node else 1 + max(_depth(node["left_child"]), _depth(node["right_child"]))


def _levels(trees: list[Node], depth: int) -> tuple[list[Node], list[float]]:
    """Return the nodes of all trees level by level, and their leaves; a leaf above the last level is repeated."""
    found: list[Node] = []
    level = trees
    for _ in range(depth):
        found += level
        level = [node.get(side, node) for node in level for side in ("left_child", "right_child")]
    if any(node.get("leaf_features") for node in level):
        raise ValueError("export: linear leaves are not supported")
    return found, [float(node["leaf_value"]) for node in level]


def _column(node: Node) -> int:
    if "leaf_value" in node:
        return 0
    if node["decision_type"] != "<=":
        raise ValueError(f"export: decision {node['decision_type']!r} is not supported")
    goes_left = _MISSING.get(node["missing_type"])
    if goes_left is None:
        raise ValueError(f"export: missing values of type {node['missing_type']!r} are not supported")
    return 2 * int(node["split_feature"]) + (not goes_left(node))


def _threshold(node: Node) -> float:
    """Return the largest float32 that is <= the threshold: float32 values fall on the same side of both.

    LightGBM reads what is no further from zero than 1e-35 as zero, so a threshold there moves out of their way.
    """
    if "leaf_value" in node:
        return 0.0
    exact = float(node["threshold"])
    if not exact >= -_FLOAT32_MAX:
        raise ValueError(
            f"export: threshold {exact} of feature {node['split_feature']} parts only infinity from numbers"
        )
    if abs(exact) <= _ZERO:
        exact = _ZERO if exact >= 0.0 else math.nextafter(-_ZERO, -math.inf)
    # All numbers left, missing right: LightGBM's threshold is infinite in memory and 1e300 in its text.
    near = np.float32(min(exact, _FLOAT32_MAX))
    return float(np.nextafter(near, np.float32(-np.inf)) if float(near) > exact else near)


# Where LightGBM sends a missing value. Where training saw none ("None") it reads it as zero.
_MISSING: Final[dict[str, Callable[[Node], bool]]] = {
    "NaN": lambda node: bool(node["default_left"]),
    "None": lambda node: float(node["threshold"]) >= 0.0,
}
