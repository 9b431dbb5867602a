"""Item–item tables: likeness by customers, and what is bought in one order. Products by `implicit`."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from recsvc.artifact import Array
from training.config import Neighbours

_TOGETHER = 30
_BITS = 512
_MIN_ORDERS = 2.0
_SHRINK = 10.0


def neighbours(liked: sparse.csr_matrix, settings: Neighbours, threads: int) -> tuple[Array, Array, Array]:
    """Return the degree-normalised item–item graph, cut to the best `keep` per item and to pairs with enough customers.

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
    rows, scores = _shared(rows, scores, liked, settings.min_customers)
    return rows, scores, np.maximum(degrees, 1.0).astype(np.float32)


def together(
    baskets: sparse.csr_matrix, witnesses: sparse.csr_matrix, settings: Neighbours, threads: int
) -> tuple[Array, Array]:
    """Return what is found in the same order, cut to 30 per item: rows (n, 30) int32 and scores (n, 30) float32.

    Score: orders with both / (sqrt(orders of each, multiplied) + 10), kept where both were bought together at
    least twice and more often than chance (orders of one × orders of the other / all orders), by at least
    `settings.min_customers` rows of `witnesses`, (customers, items) of ones.
    """
    counts = np.asarray(baskets.sum(axis=0)).ravel()
    scaled = baskets @ sparse.diags(1.0 / np.sqrt(np.maximum(counts, 1.0)))
    rows, cosine = _best(scaled, _TOGETHER * 3, threads)
    size = np.sqrt(np.maximum(counts[:, None] * counts[np.maximum(rows, 0)], 1.0))
    both = np.where(rows >= 0, cosine * size, 0.0)
    chance = size**2 / max(baskets.shape[0], 1)
    scores = np.where((both > _MIN_ORDERS - 0.5) & (both > chance), both / (size + _SHRINK), 0.0)
    rows, scores = _shared(rows, scores, witnesses, settings.min_customers)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :_TOGETHER]
    best = np.take_along_axis(scores, order, axis=1).astype(np.float32)
    return np.where(best > 0, np.take_along_axis(rows, order, axis=1), -1).astype(np.int32), best


def _shared(rows: Array, scores: Array, liked: sparse.csr_matrix, least: int) -> tuple[Array, Array]:
    """Return the table without the pairs that fewer than `least` customers have in common.

    What one household buys together says nothing of others, and would show others what it buys. Customers are
    hashed into 512 bits per item, and the bits of a pair in common are counted: exact enough where items have few
    customers, and where they have thousands a pair has enough anyway. Cut pairs become −1 with score 0, at the end.
    """
    n = liked.shape[1]
    bits = np.zeros((n, _BITS // 64), np.uint64)
    found = liked.tocoo()
    # Neighbouring rows must not share a bit by design: multiply by an odd constant, keep the high bits (Knuth).
    place = (found.row.astype(np.uint64) * np.uint64(11400714819323198485)) >> np.uint64(64 - 9)
    np.bitwise_or.at(bits, (found.col, place >> np.uint64(6)), np.uint64(1) << (place & np.uint64(63)))
    common = np.zeros(rows.shape, np.int64)
    for start in range(0, n, 4096):  # in blocks, so that memory stays flat
        part = slice(start, start + 4096)
        both = bits[part, None, :] & bits[np.maximum(rows[part], 0)]
        common[part] = np.bitwise_count(both).sum(axis=2)
    kept = (rows >= 0) & (common >= least)
    order = np.argsort(~kept, axis=1, kind="stable")
    rows, scores = np.where(kept, rows, -1), np.where(kept, scores, 0.0)
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1).astype(np.float32)


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
