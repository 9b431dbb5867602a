"""Blending the generators into one score, and cutting the best k out of it."""

from __future__ import annotations

import numpy as np

from recsvc.artifact import Array
from recsvc.concepts import BLENDED, Generator
from recsvc.engine import candidates
from recsvc.engine.history import History
from recsvc.engine.model import Model

_BLOCK = 256
_SILENT = np.array([BLENDED.index(Generator.COLLABORATIVE), BLENDED.index(Generator.NEIGHBOURS)])


def parts(model: Model, history: History) -> Array:
    """Return (generators, n) float32 in the order of `concepts.BLENDED`, before blending.

    The first two are scaled to unit RMS over the items, because their scale differs between customers;
    the other two mean the same for everybody and stay as they are.
    """
    return np.stack([
        _unit(candidates.collaborative(model, history)),
        _unit(candidates.neighbours(model, history)),
        candidates.repeat(model, history),
        candidates.popularity(model),
    ])  # fmt: skip


def weighted(parts: Array, weights: Array, bought: Array) -> Array:
    """Return (g, c) float32: each generator's weighted part of the blended score; the score is their sum.

    Of what a customer bought before, the repeat generator knows better than the two that learn from others:
    there, these are silent. Measured on The Complete Journey (`python -m training train`): letting them speak
    everywhere, the search puts both weights to nought (NDCG@10 0.3255 on all items); silent there, NDCG@10 is
    0.3257, and on items never bought before 0.0309, where popularity alone reaches 0.0268.

    Args:
        parts: (g, c) from `parts`.
        weights: (g,).
        bought: positions among the c of what the customer bought before.
    """
    out = parts * weights[:, None]
    out[np.ix_(_SILENT, bought)] = 0.0
    return np.asarray(out)


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
