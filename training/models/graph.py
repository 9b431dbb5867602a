"""Item–item tables: likeness by customers, and what is bought in one order. Products by `implicit`."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from recsvc.artifact import Array
from training.config import Neighbours

_TOGETHER = 30
_MIN_ORDERS = 2.0
_SHRINK = 10.0


def neighbours(liked: sparse.csr_matrix, settings: Neighbours, threads: int) -> tuple[Array, Array, Array]:
    """Return the degree-normalised item–item graph, cut to the best `keep` per item.

    Entry (i, j) = Σ over customers who like both of 1 / (customer degree · sqrt(degree i · degree j)): a customer
    who likes everything, and an item that everybody likes, say little.

    Args:
        liked: (customers, items) of ones.

    Returns:
        rows (n, K) int32 with −1 for none, scores (n, K) float32, degrees (n,) float32 smoothed.

    Source:
        Shen et al. 2021 (GF-CF), https://arxiv.org/abs/2108.07567
    """
    degrees = np.asarray(liked.sum(axis=0)).ravel() + settings.smoothing
    per_customer = np.maximum(np.asarray(liked.sum(axis=1)).ravel(), 1.0)
    scaled = sparse.diags(1.0 / np.sqrt(per_customer)) @ liked @ sparse.diags(1.0 / np.sqrt(np.maximum(degrees, 1.0)))
    rows, scores = _best(scaled, settings.keep, threads)
    return rows, scores, np.maximum(degrees, 1.0).astype(np.float32)


def together(baskets: sparse.csr_matrix, threads: int) -> tuple[Array, Array]:
    """Return what is found in the same order, cut to 30 per item: rows (n, 30) int32 and scores (n, 30) float32.

    Score: orders with both / (sqrt(orders of each, multiplied) + 10), kept where both were bought together at
    least twice and more often than chance (orders of one × orders of the other / all orders).
    """
    counts = np.asarray(baskets.sum(axis=0)).ravel()
    scaled = baskets @ sparse.diags(1.0 / np.sqrt(np.maximum(counts, 1.0)))
    rows, cosine = _best(scaled, _TOGETHER * 3, threads)
    size = np.sqrt(np.maximum(counts[:, None] * counts[np.maximum(rows, 0)], 1.0))
    both = np.where(rows >= 0, cosine * size, 0.0)
    chance = size**2 / max(baskets.shape[0], 1)
    scores = np.where((both > _MIN_ORDERS - 0.5) & (both > chance), both / (size + _SHRINK), 0.0)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :_TOGETHER]
    best = np.take_along_axis(scores, order, axis=1).astype(np.float32)
    return np.where(best > 0, np.take_along_axis(rows, order, axis=1), -1).astype(np.int32), best


def _best(scaled: sparse.csr_matrix, keep: int, threads: int) -> tuple[Array, Array]:
    """Return each column's `keep` best other columns by dot product: (n, keep) rows and scores, best first."""
    from implicit.nearest_neighbours import all_pairs_knn

    n = scaled.shape[1]
    product = all_pairs_knn(scaled.tocsr().astype(np.float64), K=keep + 1, num_threads=threads, show_progress=False)
    found = product.tocoo()
    other = (found.row != found.col) & (found.data > 0)
    source, target, score = found.row[other], found.col[other], found.data[other]
    order = np.lexsort((target, -score, source))
    source, target, score = source[order], target[order], score[order]
    place = np.arange(len(source)) - np.searchsorted(source, source)
    first = place < keep
    rows = np.full((n, keep), -1, np.int32)
    scores = np.zeros((n, keep), np.float32)
    rows[source[first], place[first]] = target[first]
    scores[source[first], place[first]] = score[first]
    return rows, scores
