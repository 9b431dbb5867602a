"""Candidate generators: each scores every item for one customer from the customer's history.

A score of 0 means: nothing to say. Blending and cutting is the work of `ranking`.
"""

from __future__ import annotations

import numpy as np

from recsvc.artifact import Array
from recsvc.engine.history import History
from recsvc.engine.model import Model


def fold_in(gram: Array, item_factors: Array, confidence: Array, regularization: float) -> Array:
    """Return a fresh factor for a customer from what they did.

    Solves the user half-step of implicit ALS exactly, so that a view made a second ago counts as if the
    model had been trained on it. Cost: one k × k solve.

    Args:
        gram: (k, k), item_factors.T @ item_factors over all items.
        item_factors: (m, k) float32, the factors of the items in the history, each at most once.
        confidence: (m,) float32; negative where the evidence is against the item (preference 0).
        regularization: the value the model was trained with, >= 0.

    Returns:
        (k,) float32; zeros when m == 0: no evidence, no preference.

    Source:
        Hu, Koren & Volinsky 2008, eq. 4, https://doi.org/10.1109/ICDM.2008.22
    """
    k = gram.shape[0]
    if not len(confidence):
        return np.zeros(k, np.float32)
    system = normal_matrix(gram, item_factors, confidence, regularization)
    target = item_factors.T.astype(np.float64) @ np.maximum(confidence, 0.0)
    return np.asarray(np.linalg.solve(system, target).astype(np.float32))


def normal_matrix(gram: Array, item_factors: Array, confidence: Array, regularization: float) -> Array:
    """Return the (k, k) float64 left side of the half-step: gram + Σ (|c| − 1) y yᵀ + regularization."""
    y = item_factors.astype(np.float64)
    extra = (y.T * (np.abs(confidence) - 1.0)) @ y
    return np.asarray(gram + extra + regularization * np.eye(gram.shape[0]))


def confidence_of(weights: Array, alpha: float) -> Array:
    """Return the confidence training and fold-in use for aged signed weights: sign · (1 + alpha · ln(1 + |w|)).

    The logarithm keeps a customer with a thousand orders of one item from drowning the rest of the history.
    """
    return np.asarray(np.sign(weights) * (1.0 + alpha * np.log1p(np.abs(weights))), np.float32)


def history_factors(model: Model, history: History) -> Array:
    """Return (m, k) float32: the factors of the items in the history."""
    return np.ascontiguousarray(model.a["factors"][:, history.item_rows].T)


def collaborative(model: Model, history: History) -> Array:
    """Return (n,) float32: ALS scores by fold-in of the whole history."""
    factor = fold_in(
        model.a["gram"], history_factors(model, history), confidence_of(history.weights, model.alpha),
        model.regularization,
    )  # fmt: skip
    return np.asarray(factor @ model.a["factors"])


def neighbours(model: Model, history: History) -> Array:
    """Return (n,) float32: how strongly the items of the history point at each item.

    Degree-normalised item–item graph: an item that everybody buys says little of taste, so both ends are
    divided by the root of their degree, and the score is brought back to the scale of the target's.

    Source:
        Shen et al. 2021 (GF-CF), its linear part, https://arxiv.org/abs/2108.07567
    """
    rows, parts = pointing(model, history)
    hit = rows >= 0
    scores = np.bincount(rows[hit], parts[hit], model.n_items)
    return np.asarray((scores * np.sqrt(model.a["degrees"])).astype(np.float32))


def pointing(model: Model, history: History) -> tuple[Array, Array]:
    """Return (m, K) neighbour rows of each item of the history and what each contributes there."""
    strength = np.log1p(np.maximum(history.weights, 0.0)) / np.sqrt(model.a["degrees"][history.item_rows])
    return (
        model.a["neighbour_rows"][history.item_rows],
        model.a["neighbour_scores"][history.item_rows] * strength[:, None],
    )


def repeat(model: Model, history: History) -> Array:
    """Return (n,) float32: how likely each item is bought again, from the aged count of its orders."""
    scores = np.zeros(model.n_items, np.float32)
    scores[history.item_rows] = np.log1p(history.repeats / model.repeat_floor)
    return scores


def popularity(model: Model) -> Array:
    """Return (n,) float32: the logarithm of recent orders, the same for everybody."""
    return np.log1p(np.maximum(model.a["popularity"], 0.0))
