"""Item–item tables: likeness by customers, and what is bought in one order. Products by `implicit`."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from recsvc.artifact import Array
from training.config import Neighbours
from training.models import pairs

_TOGETHER = 30
_MIN_ORDERS = 2.0
_SHRINK = 10.0


def neighbours(liked: sparse.csr_matrix, settings: Neighbours, threads: int) -> dict[str, Array]:
    """Return the degree-normalised item–item graph, cut to the best `keep` per item and to pairs with enough customers.

    Entry (i, j) = Σ over customers who like both of 1 / (customer degree · sqrt(degree i · degree j)): a customer
    who likes everything, and an item that everybody likes, say little. The items a customer has are divided by
    degree ** exponent when they point, and what they point at is multiplied by it. An item is not its own neighbour:
    with the diagonal in, items with few customers point at themselves (Gowalla, recall@20 0.186 instead of 0.191).

    Left out: the low-pass part of GF-CF (truncated SVD). Beside ALS it brought 0.0004 of recall@20 on Gowalla for 94
    CPU seconds, more than all the rest of the training takes.

    Measured on Gowalla and Amazon-CDs, a quarter of the customers, graph alone, recall@20: exponent 0.5 0.191 / 0.137,
    0.4 0.193 / 0.140, 0.3 0.193 / 0.141; pairs of at least 1, 2, 3 customers 0.193, 0.190, 0.186 / 0.136, 0.161, 0.155.

    Args:
        liked: (customers, items) of ones.

    Returns:
        what `pairs.packed` returns; neighbour_scale is degree ** exponent.

    Source:
        Shen et al. 2021 (GF-CF), https://arxiv.org/abs/2108.07567
    """
    degrees = np.maximum(np.asarray(liked.sum(axis=0)).ravel(), 1.0)
    per_customer = np.maximum(np.asarray(liked.sum(axis=1)).ravel(), 1.0)
    scaled = sparse.diags(1.0 / np.sqrt(per_customer)) @ liked @ sparse.diags(1.0 / np.sqrt(degrees))
    found = pairs.witnessed(pairs.nearest(scaled, settings.keep, threads), liked, settings.min_customers)
    return pairs.packed(found, (degrees**settings.exponent).astype(np.float32))


def together(
    baskets: sparse.csr_matrix, witnesses: sparse.csr_matrix, settings: Neighbours, threads: int
) -> tuple[Array, Array]:
    """Return what is found in the same order, cut to 30 per item: rows (n, 30) int32 and scores (n, 30) float32.

    Score: orders with both / (sqrt(orders of each, multiplied) + 10), kept where both were bought together at
    least twice and more often than chance (orders of one × orders of the other / all orders), by at least
    `settings.min_customers` rows of `witnesses`, (customers, items) of ones.
    """
    n = baskets.shape[1]
    counts = np.maximum(np.asarray(baskets.sum(axis=0)).ravel(), 1.0)
    source, target, cosine = pairs.nearest(baskets @ sparse.diags(1.0 / np.sqrt(counts)), _TOGETHER * 3, threads)
    size = np.sqrt(counts[source] * counts[target])
    both = cosine * size
    kept = (both > _MIN_ORDERS - 0.5) & (both > size**2 / max(baskets.shape[0], 1))
    kept[kept] = pairs.common(source[kept], target[kept], witnesses) >= settings.min_customers
    source, target, score = source[kept], target[kept], (both / (size + _SHRINK))[kept].astype(np.float32)
    order = np.lexsort((target, -score, source))
    source, target, score = source[order], target[order], score[order]
    place = np.arange(len(source)) - np.searchsorted(source, source)
    first = place < _TOGETHER
    rows = np.full((n, _TOGETHER), -1, np.int32)
    scores = np.zeros((n, _TOGETHER), np.float32)
    rows[source[first], place[first]] = target[first]
    scores[source[first], place[first]] = score[first]
    return rows, scores
