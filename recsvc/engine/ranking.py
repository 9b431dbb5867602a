"""Blending the generators into one score, and cutting the best k out of it."""

from __future__ import annotations

import numpy as np

from recsvc.artifact import Array
from recsvc.engine import candidates
from recsvc.engine.history import History
from recsvc.engine.model import Model

_BLOCK = 256


def parts(model: Model, history: History) -> Array:
    """Return (generators, n) float32 in the order of `concepts.GENERATORS`, before blending.

    The first two are scaled to unit RMS over the items, because their scale differs between customers;
    the other two mean the same for everybody and stay as they are.
    """
    return np.stack([
        _unit(candidates.collaborative(model, history)),
        _unit(candidates.neighbours(model, history)),
        candidates.repeat(model, history),
        candidates.popularity(model),
    ])  # fmt: skip


def blend(scores: Array, weights: Array) -> Array:
    """Return (n,) float32: the weighted sum of (g, n) parts by (g,) weights."""
    return np.asarray(weights @ scores)


def top_k(scores: Array, k: int) -> Array:
    """Return the rows of the k best scores, best first; rows with −inf never appear.

    Exact: the k-th largest block maximum bounds what can be among the best, so only survivors are sorted.
    Ties go to the lower row, so equal inputs give equal lists on every machine.
    """
    n = len(scores)
    k = min(k, n)
    if k <= 0:
        return np.empty(0, np.int64)
    survivors = np.arange(n)
    if n > _BLOCK * 4 and n // _BLOCK > k:
        whole = n // _BLOCK * _BLOCK
        maxima = scores[:whole].reshape(-1, _BLOCK).max(axis=1)
        threshold = np.partition(maxima, len(maxima) - k)[len(maxima) - k]
        survivors = np.flatnonzero(scores >= threshold)
    values = scores[survivors]
    order = np.lexsort((survivors, -values))[:k]
    best = survivors[order]
    return np.asarray(best[scores[best] > -np.inf])


def _unit(scores: Array) -> Array:
    size = float(np.sqrt(np.mean(np.square(scores, dtype=np.float64)))) if len(scores) else 0.0
    return np.asarray(scores / size if size > 0 else scores, np.float32)
