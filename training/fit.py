"""Fit: from a log to a model's arrays, in memory. Finished lists come last, composed by the engine that serves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from recsvc.artifact import Array, Artifact
from recsvc.concepts import KINDS
from recsvc.engine import lists, model, ranking
from recsvc.engine.eligibility import Shelf
from recsvc.engine.history import DAY, EMPTY, ENTRIES, History
from training import content, karma, parallel
from training import matrix as matrices
from training.config import Config
from training.models import graph, registry
from training.sources import Log

# Customers at once: two float32 arrays of (64, items), 51 MB at 100,000 items.
BLOCK = 64
_SEGMENT_ITEMS = 100
_SEGMENT_DAYS = 90.0


def arrays(
    log: Log, config: Config, iteration: Callable[[int], None] | None = None, as_of: float | None = None
) -> tuple[matrices.Matrix, dict[str, Array]]:
    """Return the matrix of a log and every item array that is learnt from it.

    Args:
        iteration: called after each iteration of the factors.
        as_of: see `matrix.build`.
    """
    matrix = matrices.build(log, config, as_of)
    factors = registry.factors(matrices.confidence(matrix, config.als.alpha), config, iteration)
    liked = matrices.liked(matrix)
    baskets = matrices.baskets(log, matrix)
    witnesses = matrices.witnesses(log, liked, baskets)
    together_rows, together_scores = graph.together(baskets, witnesses, config.neighbours, config.threads)
    gram = factors.T @ factors
    if log.content is not None:
        words = log.content.words[matrix.item_codes]
        known = np.bincount(matrix.history.item_rows, minlength=matrix.shape[1]) > 0
        factors = content.filled(factors, words, known)
    inverse = np.linalg.inv(gram.astype(np.float64) + config.als.regularization * np.eye(len(gram)))
    names, offsets = model.pack_ids([log.item_ids[code] for code in matrix.item_codes])
    return matrix, {
        "item_id_bytes": names, "item_id_offsets": offsets,
        "factors": np.ascontiguousarray(factors.T), "gram": gram, "inverse": inverse,
        **registry.neighbours(liked, config),
        "together_rows": together_rows, "together_scores": together_scores, **counted(log, matrix, config),
    }  # fmt: skip


def counted(log: Log, matrix: matrices.Matrix, config: Config) -> dict[str, Array]:
    """Return the item arrays that are counted and not learnt: what sells, what is bought again, what came back."""
    group = None if log.content is None else log.content.group[matrix.item_codes]
    return {
        "item_traits": matrices.traits(matrix, group), **karma.arrays(log, matrix, config.karma, group),
        "popularity": _recent(matrix, config.popularity.window_days),
        "sale_rows": matrix.sale_rows, "sale_days": matrix.sale_days, "sale_orders": matrix.sale_orders,
        **_extras(matrix),
    }  # fmt: skip


def _extras(matrix: matrices.Matrix) -> dict[str, Array]:
    """Return the shop's own columns: of the items, and of no customer yet."""
    if matrix.extras is None:
        return {}
    sides = {"item_extra": matrix.extras.items.kept, "customer_extra": matrix.extras.customers.kept[:0]}
    return {name: values for name, values in sides.items() if values.shape[1]}


def without_customers(found: dict[str, Array], depth: int) -> dict[str, Array]:
    """Return the arrays with no customer in them: enough for evaluation, where histories come from the matrix."""
    none = np.empty(0, np.int32)
    return {
        **found, **_own(none, EMPTY, np.zeros(1, np.int64), b"x", []),
        **_blank(0, depth), "segment_rows": np.empty((0, _SEGMENT_ITEMS), np.int32),
    }  # fmt: skip


def with_customers(
    found: dict[str, Array], matrix: matrices.Matrix, log: Log, secret: bytes, segments: dict[str, str], depth: int
) -> tuple[dict[str, Array], list[str], Array]:
    """Return the arrays with the customers in them, the names of the segments, and the matrix row of each
    customer row. Customers are sorted by the keyed hash of their id."""
    ids = [log.customer_ids[code] for code in matrix.customer_codes]
    hashes = [model.hash_customer(customer_id, secret) for customer_id in ids]
    order = np.array(sorted(range(len(ids)), key=hashes.__getitem__), np.int64)
    names = sorted(set(segments.values()))
    rows = _segments(matrix, [segments.get(one) for one in ids], names, found["karma"])
    own = _own(order, matrix.history, matrix.offsets, secret, [hashes[row] for row in order])
    if "customer_offers" in found:
        own["customer_offers"] = found["customer_offers"][order]
    if "customer_extra" in found and matrix.extras is not None:
        own["customer_extra"] = matrix.extras.customers.kept[order]
    return {**found, **own, **_blank(len(ids), depth), "segment_rows": rows}, names, order


def assemble(version: str, found: dict[str, Array], parameters: dict[str, Any]) -> model.Model:
    """Return the model of arrays in memory, through the same door as a published artifact."""
    return model.from_artifact(Artifact(version, {"parameters": parameters, "published_at": 0.0}, found))


def parameters(matrix: matrices.Matrix, config: Config, blend: dict[str, float]) -> dict[str, Any]:
    """Return the parameters that the engine needs besides the arrays."""
    return {
        "as_of": matrix.decay.as_of,
        "taste_half_life_days": config.history.taste_half_life_days,
        "repeat_half_life_days": config.history.repeat_half_life_days,
        "visit_decay": matrix.decay.visit_decay, "prior_visits": config.history.prior_visits,
        "alpha": config.als.alpha, "regularization": config.als.regularization,
        "weights": {name: config.weights.get(name, kind.weight) for name, kind in KINDS.items()},
        "karma": karma.parameters(config.karma), "blend": blend, "segments": [], "database_id": "", "last_revision": 0,
        **({} if matrix.extras is None else {"features": matrix.extras.parameters}),
    }  # fmt: skip


def finish(
    built: model.Model,
    matrix: matrices.Matrix,
    order: Array,
    shelf: Shelf,
    progress: Callable[[int], None],
    threads: int = 1,
) -> dict[str, Array]:
    """Return the finished lists of all customers of a model, composed as the service composes them.

    Args:
        order: matrix row of each customer row of the model.
        shelf: what may be shown at training time; the service looks again at every reply.
        threads: processes; 0 means one for each core.
    """
    depth = built.a["finished_rows"].shape[1]
    out = _blank(len(order), depth)

    def finished(block: int) -> dict[str, Array]:
        of = order[block * BLOCK : (block + 1) * BLOCK].tolist()
        return _finished(built, [matrix.of(source) for source in of], shelf, depth)

    start = 0
    for part in parallel.in_blocks(finished, -(-len(order) // BLOCK), threads):
        end = start + len(part["finished_rows"])
        for name, values in part.items():
            out[name][start:end] = values
        start = end
        progress(end)
    return out


def _finished(built: model.Model, histories: list[History], shelf: Shelf, depth: int) -> dict[str, Array]:
    out = _blank(len(histories), depth)
    nothing = np.empty(0, np.int64)
    for row, (history, proposed) in enumerate(zip(histories, ranking.propose(built, histories), strict=True)):
        listed = lists.composed(built, history, proposed, shelf, nothing, depth)
        r, why = len(listed.rows), listed.reasons
        for name, values in zip(
            out, (listed.rows, listed.scores, why.generators, why.codes, why.cited, why.shares), strict=True
        ):
            out[name][row, :r] = values
    return out


def _recent(matrix: matrices.Matrix, window_days: int) -> Array:
    newest = int(matrix.decay.as_of // DAY)
    recent = matrix.sale_days > newest - window_days
    counts = np.bincount(matrix.sale_rows[recent], matrix.sale_orders[recent], matrix.shape[1])
    return np.maximum(counts, 0.0).astype(np.float32)


def _own(
    order: Array, history: History, offsets: Array, secret: bytes, hashes: list[tuple[int, int]]
) -> dict[str, Array]:
    sizes = np.diff(offsets)[order] if len(order) else np.empty(0, np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    take = np.concatenate([np.arange(offsets[row], offsets[row + 1]) for row in order]) if len(order) else order
    kinds = {"item_rows": np.int32, "weights": np.float32, "repeats": np.float32, "orders": np.int32,
             "first_visit": np.int32, "last_visit": np.int32, "recent": np.float32,
             "bought_visits": np.int32}  # fmt: skip
    own = {f"own_{name}": getattr(history, name)[take].astype(kinds.get(name, np.int64)) for name in ENTRIES}
    return {
        **own, "own_offsets": starts,
        "customer_high": np.array([high for high, _ in hashes], np.uint64),
        "customer_low": np.array([low for _, low in hashes], np.uint64),
    }  # fmt: skip


def _blank(customers: int, depth: int) -> dict[str, Array]:
    shape = (customers, depth)
    return {
        "finished_rows": np.full(shape, -1, np.int32), "finished_scores": np.zeros(shape, np.float32),
        "finished_generators": np.zeros(shape, np.uint8), "finished_reasons": np.zeros(shape, np.uint8),
        "finished_cited": np.full(shape, -1, np.int32), "finished_shares": np.zeros(shape, np.float32),
    }  # fmt: skip


def _segments(matrix: matrices.Matrix, of_customer: list[str | None], names: list[str], force: Array) -> Array:
    """Return (segments, 100) item rows: what customers of each segment ordered most in the last 90 days, times the
    karma `force`, (n,), of each item."""
    rows = np.full((len(names), _SEGMENT_ITEMS), -1, np.int32)
    code = {name: row for row, name in enumerate(names)}
    group = np.array([code.get(name or "", -1) for name in of_customer], np.int64)
    entries = np.repeat(group, np.diff(matrix.offsets))
    recent = matrix.history.last_at > matrix.decay.as_of - _SEGMENT_DAYS * DAY
    for row in range(len(names)):
        mine = recent & (entries == row)
        counts = np.bincount(matrix.history.item_rows[mine], matrix.history.repeats[mine], matrix.shape[1])
        counts *= force
        best = np.argsort(-counts, kind="stable")[:_SEGMENT_ITEMS]
        best = best[counts[best] > 0]
        rows[row, : len(best)] = best
    return rows
