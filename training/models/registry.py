"""The generators that learn from other customers, by the names that `configs/training.yaml` calls them.

Why the graph also where items are few, and no `auto` that takes EASE there: it was behind wherever it was measured.
NDCG of the neighbours alone, of the order the recipe chose (the ranker), and the paired lead of the graph in it, ± half
a 95 % interval; `python -m training benchmark`, the 3,000 most-used items of Gowalla (@20), the 3,000 most-bought of
Ta-Feng (@10):

    graph    0.2460   0.2450                      0.0982   0.1587
    EASE     0.2321   0.2340   0.0109 ± 0.0014    0.0862   0.1536   0.0051 ± 0.0011
    BM25     0.1775   0.2354   0.0096 ± 0.0012
    cosine   0.1733   0.2301   0.0148 ± 0.0013

EASE with a regularization of 50, 150, 400, 1,000 stays behind the graph on Gowalla (recall@20 alone, 6,000 customers:
0.338, 0.342, 0.341, 0.336; the graph 0.364), so it is not for want of tuning there.
BPR in the place of ALS, on the same Gowalla: alone 0.1669 and ALS 0.2089; chosen order 0.2423, lead 0.0026 ± 0.0013.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from scipy import sparse

from recsvc.artifact import Array
from recsvc.errors import InvalidRequest
from training.config import Config, unknown_method
from training.models import als, classic, ease, graph

Progress = Callable[[int], None] | None


def factors(confidence: sparse.csr_matrix, config: Config, progress: Progress = None) -> Array:
    """Return (n, k) float32 item factors by the method that `config.generators.collaborative` names.

    Args:
        confidence: (customers, items), what `matrix.confidence` returns.
        progress: called with the number of finished iterations.

    Raises:
        InvalidRequest: an unknown method, the nearest known one is named; or NaN or infinity in the matrix.
    """
    method = config.generators.collaborative
    if method not in FACTORS:
        raise InvalidRequest(unknown_method("collaborative", method))
    _finite(confidence)
    return FACTORS[method](confidence, config, progress)


def neighbours(liked: sparse.csr_matrix, config: Config) -> dict[str, Array]:
    """Return the neighbour arrays, see `pairs.packed`, by the method that `config.generators.neighbours` names.

    Args:
        liked: (customers, items) of ones, what `matrix.liked` returns.

    Raises:
        InvalidRequest: as `factors`; or the method cannot take so many items.
    """
    method = config.generators.neighbours
    if method not in NEIGHBOURS:
        raise InvalidRequest(unknown_method("neighbours", method))
    _finite(liked)
    return NEIGHBOURS[method](liked, config)


def iterations(config: Config) -> int:
    """Return how many iterations the factors take, for a progress bar."""
    return config.bpr.iterations if config.generators.collaborative == "bpr" else config.als.iterations


def _finite(matrix: sparse.csr_matrix) -> None:
    bad = np.flatnonzero(~np.isfinite(matrix.data))
    if len(bad):
        customer = int(np.searchsorted(matrix.indptr, bad[0], side="right")) - 1
        raise InvalidRequest(
            f"the matrix of customers and items holds {matrix.data[bad[0]]} at customer row {customer}, item row "
            f"{matrix.indices[bad[0]]}, and {len(bad) - 1} more that are not finite"
        )


def _graph(liked: sparse.csr_matrix, config: Config) -> dict[str, Array]:
    return graph.neighbours(liked, config.neighbours, config.threads)


# (customers, items) signed confidence → (n, k) item factors, served by fold-in.
FACTORS: Final[dict[str, Callable[[sparse.csr_matrix, Config, Progress], Array]]] = {
    "als": lambda confidence, config, progress: als.fit(confidence, config.als, config.seed, config.threads, progress),
    "bpr": lambda confidence, config, progress: classic.bpr(
        confidence, config.bpr, config.als.regularization, config.seed, progress
    ),
}
# (customers, items) of ones → the neighbour arrays.
NEIGHBOURS: Final[dict[str, Callable[[sparse.csr_matrix, Config], dict[str, Array]]]] = {
    "graph": _graph,
    "ease": lambda liked, config: ease.neighbours(liked, config.neighbours, config.ease, config.threads),
    "bm25": lambda liked, config: classic.bm25(liked, config.neighbours, config.bm25, config.threads),
    "cosine": lambda liked, config: classic.cosine(liked, config.neighbours, config.threads),
}
