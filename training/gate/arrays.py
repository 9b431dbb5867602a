"""Checks of the arrays that are to be published, whatever happened to them since the evaluation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recsvc.artifact import Array
from recsvc.engine import ranking
from recsvc.engine.history import ENTRIES, History
from recsvc.engine.model import Model
from training.fit import BLOCK
from training.gate.checks import Check, Production
from training.matrix import Matrix

_LARGEST, _TIMES = 1e6, 100.0
_PEOPLE, _LEAST_PEOPLE, _LEAST_ITEMS = 500, 20, 4
_KNOWN = 0.55


def of_arrays(found: dict[str, Array], shape: tuple[int, int], production: Production | None) -> list[Check]:
    """Return what the arrays show by themselves.

    Args:
        shape: (customers, items) that they were learnt from.
    """
    broken = sorted(name for name, one in found.items() if one.dtype.kind == "f" and not np.isfinite(one).all())
    finite = Check("not_finite", not broken, f"NaN or infinity in {', '.join(broken)}" if broken else "all are finite")
    return [finite, _sides(found["factors"], shape), *([] if broken else [_norms(found["factors"], production)])]


def _sides(factors: Array, shape: tuple[int, int]) -> Check:
    customers, items = shape
    message = f"factors for {factors.shape[1]:,} items of {items:,}"
    if factors.shape[1] == items:
        return Check("swapped_sides", True, message)
    if factors.shape[1] == customers:
        message = f"factors for {customers:,} columns, which is the number of customers; there are {items:,} items"
        return Check("swapped_sides", False, f"{message}: the sides of the matrix are swapped")
    return Check("swapped_sides", False, message)


def _norms(factors: Array, production: Production | None) -> Check:
    lengths = np.linalg.norm(factors.astype(np.float64), axis=0)
    largest, middle = float(lengths.max(initial=0.0)), float(np.median(lengths[lengths > 0])) if lengths.any() else 0.0
    message = f"the longest item factor is {largest:.3g}, the median {middle:.3g}"
    if largest > _LARGEST:
        return Check("norms", False, f"{message}: at most {_LARGEST:.0e}")
    before = np.linalg.norm(production.model.a["factors"].astype(np.float64), axis=0) if production else np.zeros(1)
    usual = float(np.median(before[before > 0])) if before.any() else 0.0
    if usual and middle and not 1.0 / _TIMES <= middle / usual <= _TIMES:
        return Check(
            "norms", False, f"{message}, {usual:.3g} in the version in production: more than {_TIMES:g} times off"
        )
    return Check("norms", True, message)


def of_model(model: Model, matrix: Matrix, order: Array, seed: int) -> list[Check]:
    """Return what the finished model shows of customers whom it was learnt from.

    Args:
        order: matrix row of each customer row of the model.
    """
    return [*_constant(model), *_out_of_step(model, matrix, order, seed)]


def _constant(model: Model) -> list[Check]:
    """Whether the finished lists tell items, and customers, apart."""
    rows, scores = model.a["finished_rows"], model.a["finished_scores"]
    several = rows[:, 1] >= 0 if rows.shape[1] > 1 else np.zeros(len(rows), bool)
    if several.sum() < _LEAST_PEOPLE:
        return []
    shown = np.where(rows[several] >= 0, scores[several], np.nan)
    flat = float((np.nanmax(shown, axis=1) == np.nanmin(shown, axis=1)).mean())
    message = f"{flat:.0%} of the lists have one and the same score for all their items"
    return [Check("constant_scores", flat < 0.99, message)]


def _out_of_step(model: Model, matrix: Matrix, order: Array, seed: int) -> list[Check]:
    """Whether the factors of half of what a customer has put the other half above what others have; if not, the rows of
    the factors are not those of the items."""
    rng = np.random.default_rng(seed)
    liked = np.bincount(np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.offsets)), matrix.history.liked)
    enough = np.flatnonzero(liked[order] >= _LEAST_ITEMS)
    if len(enough) < _LEAST_PEOPLE:
        return []
    histories = [matrix.of(int(order[one])) for one in rng.permutation(enough)[:_PEOPLE]]
    usual = matrix.history.item_rows[matrix.history.liked]
    chances: list[float] = []
    for start in range(0, len(histories), BLOCK):
        part = histories[start : start + BLOCK]
        for history, proposed in zip(part, ranking.propose(model, [_half(one) for one in part]), strict=True):
            other = history.item_rows[history.liked][1::2]
            others = np.setdiff1d(rng.choice(usual, 100), history.item_rows)
            if len(others) and proposed.collaborative.any():
                a, b = proposed.collaborative[other][:, None], proposed.collaborative[others][None, :]
                chances.append(float((a > b).mean() + (a == b).mean() / 2.0))
    if len(chances) < _LEAST_PEOPLE:
        return []
    mean, error = float(np.mean(chances)), float(np.std(chances) / np.sqrt(len(chances)))
    message = f"factors put what customers have above what others have in {mean:.0%} of the pairs"
    if mean + 2.0 * error >= _KNOWN:
        return [Check("out_of_step", True, message)]
    return [Check("out_of_step", False, f"{message}; chance is 50%: the factors' rows are not those of the items")]


def _half(history: History) -> History:
    """Return every other one of the liked items of a history."""
    keep = np.flatnonzero(history.liked)[::2]
    return replace(history, **{name: getattr(history, name)[keep] for name in ENTRIES})
