"""Pairs of items: found by `implicit`, cut to those that several customers share, packed as the engine reads them.

Pairs are three arrays of one length e: source and target, int32 item rows, and score, float32; by source, then best
first.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from recsvc.artifact import Array
from training import openmp

Pairs = tuple[Array, Array, Array]

_BITS = 512
_CHUNK = 1 << 20


def nearest(scaled: sparse.csr_matrix, keep: int, threads: int) -> Pairs:
    """Return the `keep` best other columns of each column by dot product, where that is above 0."""
    openmp.load()
    from implicit.nearest_neighbours import all_pairs_knn

    found = all_pairs_knn(scaled.tocsr().astype(np.float64), K=keep + 1, num_threads=threads, show_progress=False)
    return best(found, keep)


def best(found: sparse.coo_matrix, keep: int) -> Pairs:
    """Return the `keep` best entries above 0 of each row of an (n, n) matrix; the diagonal does not count."""
    other = (found.row != found.col) & (found.data > 0)
    source, target, score = found.row[other], found.col[other], found.data[other].astype(np.float32)
    # One key: the source, and within it the score. 53 bits hold both, and one sort of it costs a fifth of a lexsort.
    order = np.argsort(source - score / (2.0 * float(score.max(initial=1e-30))))
    source, target, score = source[order], target[order], score[order]
    first = np.arange(len(source)) - np.searchsorted(source, source) < keep
    return source[first].astype(np.int32), target[first].astype(np.int32), score[first]


def witnessed(found: Pairs, liked: sparse.csr_matrix, least: int) -> Pairs:
    """Return the pairs that at least `least` customers of `liked`, (customers, items) of ones, have in common."""
    source, target, score = found
    enough = common(source, target, liked) >= least
    return source[enough], target[enough], score[enough]


def packed(found: Pairs, scale: Array) -> dict[str, Array]:
    """Return pairs as the arrays of an artifact, for (n,) float32 scales.

    Returns:
        neighbour_offsets (n + 1,) int64, neighbour_rows (e,) int32 and neighbour_scores (e,) float32, of item i from
        offsets[i] to offsets[i + 1], best first; neighbour_scale (n,) float32. `engine.candidates.neighbours` says
        how they are read.
    """
    source, target, score = found
    return {
        "neighbour_offsets": np.searchsorted(source, np.arange(len(scale) + 1)).astype(np.int64),
        "neighbour_rows": target, "neighbour_scores": score, "neighbour_scale": scale,
    }  # fmt: skip


def common(source: Array, target: Array, liked: sparse.csr_matrix) -> Array:
    """Return (e,) int64: about how many customers each pair of items has in common.

    What one household buys together says nothing of others, and would show others what it buys. Customers are
    hashed into 512 bits per item, and the bits of a pair in common are counted. An estimate: where one of the two has
    hundreds of customers, a pair that one customer alone has can count as two.
    """
    bits = np.zeros((liked.shape[1], _BITS // 64), np.uint64)
    found = liked.tocoo()
    # Neighbouring rows must not share a bit by design: multiply by an odd constant, keep the high bits (Knuth).
    place = (found.row.astype(np.uint64) * np.uint64(11400714819323198485)) >> np.uint64(64 - 9)
    np.bitwise_or.at(bits, (found.col, place >> np.uint64(6)), np.uint64(1) << (place & np.uint64(63)))
    shared = np.zeros(len(source), np.int64)
    for start in range(0, len(source), _CHUNK):  # in blocks, so that memory stays flat
        part = slice(start, start + _CHUNK)
        shared[part] = np.bitwise_count(bits[source[part]] & bits[target[part]]).sum(axis=1)
    return shared
