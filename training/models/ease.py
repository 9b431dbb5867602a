"""EASE: the item–item weights that best rebuild each customer's items from the others, in closed form.

Positive weights only are kept. A negative one holds an item back beside another, and could be served by the same
arrays, but earns nothing once an item has `keep` neighbours: on the 3,000 most-used items of Gowalla (6,000 customers,
recall@20) positive only 0.338, 0.342, 0.341 at a regularization of 50, 150, 400; the 500 largest of either sign 0.325,
0.337, 0.341; all of them 0.325, 0.337, 0.341. What is like an item, and the reason of a list, are then what they say.
"""

from __future__ import annotations

import os

import numpy as np
from scipy import linalg, sparse
from threadpoolctl import threadpool_limits

from recsvc.artifact import Array
from recsvc.errors import InvalidRequest
from training.config import Ease, Neighbours
from training.models import pairs

LIMIT = 10_000
_BLOCK = 512


def neighbours(liked: sparse.csr_matrix, settings: Neighbours, ease: Ease, threads: int) -> dict[str, Array]:
    """Return the weights, cut to the best `keep` above 0 per item and to pairs with enough customers.

    B = −P / diag(P) by column with P = (XᵀX + regularization · I)⁻¹, its diagonal 0; row i is what item i points at.
    Time grows with the cube of the items, memory with the square: 3,000 items took 2.5 CPU s, 10,000, the limit,
    27 CPU s and 1.1 GB at most.

    Args:
        liked: X, (customers, items) of ones.

    Returns:
        what `pairs.packed` returns; neighbour_scale is 1, and `settings.exponent` plays no part.

    Raises:
        InvalidRequest: more than 10,000 items.

    Source:
        Steck 2019, https://arxiv.org/abs/1905.03375
    """
    n = liked.shape[1]
    if n > LIMIT:
        raise InvalidRequest(f"generators.neighbours: ease takes at most {LIMIT:,} items, here are {n:,}; use graph")
    found = _cut(_inverse(liked, ease.regularization, threads), settings.keep)
    return pairs.packed(pairs.witnessed(found, liked, settings.min_customers), np.ones(n, np.float32))


def _inverse(liked: sparse.csr_matrix, regularization: float, threads: int) -> Array:
    """Return P, (n, n) float64, of which only the lower half counts. By Cholesky in place: one n × n array in all."""
    square = np.zeros(2 * liked.shape[1:], np.float64, order="F")
    (liked.T @ liked).astype(np.float64).toarray(out=square)
    square[np.diag_indices(len(square))] += regularization
    # BLAS is held to one thread elsewhere, because implicit has its own; here it works alone.
    with threadpool_limits(limits=threads or os.cpu_count(), user_api="blas"):
        lower, _ = linalg.lapack.dpotrf(square, lower=1, overwrite_a=1)
        return np.asarray(linalg.lapack.dpotri(lower, lower=1, overwrite_c=1)[0])


def _cut(inverse: Array, keep: int) -> pairs.Pairs:
    n, scale = len(inverse), -np.diag(inverse)
    width = min(keep, n)
    parts = []
    for start in range(0, n, _BLOCK):  # in blocks, so that no second n × n array is made
        weights = (_rows(inverse, start, min(start + _BLOCK, n)) / scale).astype(np.float32)
        source = np.arange(len(weights))
        weights[source, start + source] = 0.0
        target = np.argpartition(-weights, width - 1, axis=1)[:, :width]
        at = (np.repeat(start + source, width), target.ravel())
        values = np.take_along_axis(weights, target, 1).ravel()
        parts.append(pairs.best(sparse.coo_matrix((values, at), shape=(n, n)), keep))
    source, target, score = (np.concatenate(one) for one in zip(*parts, strict=True))
    return source, target, score


def _rows(lower: Array, start: int, stop: int) -> Array:
    """Return whole rows of a symmetric matrix of which only the lower half is filled in."""
    middle = np.tril(lower[start:stop, start:stop])
    return np.hstack([lower[start:stop, :start], middle + np.tril(middle, -1).T, lower[stop:, start:stop].T])
