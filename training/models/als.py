"""Implicit ALS, by the library `implicit`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from recsvc.artifact import Array
from training import openmp
from training.config import Als


def fit(
    confidence: sparse.csr_matrix, settings: Als, seed: int, threads: int, progress: Callable[[int], None] | None = None
) -> Array:
    """Return (n, k) float32 item factors.

    Customer factors are not kept: the service and finished lists fold in the history exactly, so a list made
    now equals the list made last night from the same history.

    Args:
        confidence: (customers, items); a negative value means preference 0 with that confidence.
        progress: called with the number of finished iterations.
    """
    openmp.load()
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=settings.factors, regularization=settings.regularization, alpha=1.0,
        iterations=settings.iterations, random_state=seed, num_threads=threads,
    )  # fmt: skip

    def count(iteration: int, *_: object) -> None:
        if progress:
            progress(iteration + 1)

    # implicit runs its own threads; OpenBLAS beside them would make each wait for the other.
    with threadpool_limits(limits=1, user_api="blas"):
        model.fit(confidence, show_progress=False, callback=count)
    return np.ascontiguousarray(model.item_factors, np.float32)
