"""The classics by the library `implicit`: BM25 and cosine between items, and BPR factors. To compare with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsvc.artifact import Array
from training import openmp
from training.config import Bm25, Bpr, Neighbours
from training.models import pairs

_LENGTH = 100.0


def cosine(liked: sparse.csr_matrix, settings: Neighbours, threads: int) -> dict[str, Array]:
    """Return the cosine between the columns of items, cut to `keep` per item and to pairs with enough customers.

    Args:
        liked: (customers, items) of ones.

    Returns:
        what `pairs.packed` returns; neighbour_scale is 1, and `settings.exponent` plays no part.
    """
    openmp.load()
    from implicit.nearest_neighbours import normalize

    return _packed(normalize(liked.T).T, liked, settings, threads)


def bm25(liked: sparse.csr_matrix, settings: Neighbours, weights: Bm25, threads: int) -> dict[str, Array]:
    """Return products of BM25 weights: customers who like much say little, long columns are shortened.

    Args and returns as in `cosine`.

    Source:
        Robertson & Zaragoza 2009, https://doi.org/10.1561/1500000019
    """
    openmp.load()
    from implicit.nearest_neighbours import bm25_weight

    if not liked.nnz:  # it divides by the mean length, 0
        return _packed(liked, liked, settings, threads)
    return _packed(bm25_weight(liked.T, weights.k1, weights.b).T, liked, settings, threads)


def bpr(
    confidence: sparse.csr_matrix,
    settings: Bpr,
    ridge: float,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> Array:
    """Return (n, k + 1) float32 item factors of Bayesian personalised ranking, the last column the items' bias.

    They are served by the same fold-in as those of ALS, a weighted least-squares projection of the history on them,
    and not by the customer factors of BPR, which know nothing of what was done since. Its ridge, `als.regularization`,
    is in units of ALS; the factors are brought to the length at which the mean of the Gram matrix's diagonal is as
    large as the ridge.

    One thread, whatever `threads` says: with two the result is another one each time, even with a seed.

    Args:
        confidence: (customers, items); what is above 0 counts as liked, all alike.
        ridge: the regularization of the fold-in.
        progress: called with the number of finished iterations.

    Source:
        Rendle et al. 2009, https://arxiv.org/abs/1205.2618
    """
    openmp.load()
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    liked = sparse.csr_matrix((confidence > 0).astype(np.float32))
    if not liked.nnz:
        return np.zeros((liked.shape[1], settings.factors + 1), np.float32)
    model = BayesianPersonalizedRanking(
        factors=settings.factors, learning_rate=settings.learning_rate, regularization=settings.regularization,
        iterations=settings.iterations, num_threads=1, random_state=seed,
    )  # fmt: skip

    def count(iteration: int, *_: object) -> None:
        if progress:
            progress(iteration + 1)

    with threadpool_limits(limits=1, user_api="blas"):
        model.fit(liked, show_progress=False, callback=count)
    found = np.asarray(model.item_factors, np.float32)
    return np.ascontiguousarray(found * np.sqrt(_LENGTH * ridge * found.shape[1] / np.square(found).sum()))


def _packed(
    weighted: sparse.spmatrix, liked: sparse.csr_matrix, settings: Neighbours, threads: int
) -> dict[str, Array]:
    # The classes of implicit warn of their own matrix's kind; their weights and their products are used here.
    found = pairs.nearest(weighted.tocsr(), settings.keep, threads)
    scale = np.ones(liked.shape[1], np.float32)
    return pairs.packed(pairs.witnessed(found, liked, settings.min_customers), scale)
