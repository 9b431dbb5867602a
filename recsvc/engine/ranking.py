"""Ordering: from what the generators say to candidates in order, by the ranker or, where none is, by the blend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsvc.artifact import Array
from recsvc.concepts import BLENDED, Generator
from recsvc.engine import candidates, forest, karma
from recsvc.engine.features import features
from recsvc.engine.history import History
from recsvc.engine.model import Model

_BLOCKS = 256, 64
# Products of matrices round otherwise than products of vectors, by about 1e-7 of a score. So the scores of all items
# choose a few more candidates than are wanted, and what is kept, compared and shown is computed anew, for each alike.
_SPARE = 8
_SILENT = np.array([BLENDED.index(Generator.COLLABORATIVE), BLENDED.index(Generator.NEIGHBOURS)])
# How many candidates the ranker takes from each: of own purchases, and the best of each generator.
# The same for every question, as places among the candidates are features.
OWN, COLLABORATIVE, NEIGHBOURS, POPULARITY = 250, 60, 60, 40


@dataclass(frozen=True, slots=True)
class Proposed:
    """What the generators that learn from others say of all n items to one customer: two (n,) float32 arrays, scaled
    to unit RMS over the items, because their scale differs between customers. step: behind the first, for reasons.
    factor: (k,) float64 of the customer, so scaled that its product with an item's is the first's score."""

    collaborative: Array
    neighbours: Array
    step: candidates.HalfStep
    factor: Array


def propose(model: Model, histories: list[History]) -> list[Proposed]:
    """Return what the generators say to each of several customers."""
    steps = [candidates.half_step_of(model, history) for history in histories]
    factors = candidates.folded(steps)
    collaborative = np.asarray(factors @ model.a["factors"])
    scaled = factors / _unit(collaborative)[:, None].astype(np.float64)
    neighbours = candidates.neighbours(model, histories)
    _unit(neighbours)
    return [Proposed(*parts) for parts in zip(collaborative, neighbours, steps, scaled, strict=True)]


def exact(model: Model, proposed: Proposed, rows: Array) -> Array:
    """Return (c,) float32: the collaborative score of some items, to the last bit the same however many customers were
    asked about at once."""
    return np.asarray(proposed.factor @ model.a["factors"][:, rows].astype(np.float64), np.float32)


def blended(model: Model, history: History, proposed: Proposed) -> Array:
    """Return (n,) float32: the blended score of every item, with its karma."""
    c, g, r, p = model.blend
    total = proposed.collaborative * c + proposed.neighbours * g
    total[history.item_rows[history.orders > 0]] = 0.0  # see `parts`
    total += model.log_popularity * p
    total[history.item_rows] += candidates.repeat(model, history) * r
    return karma.applied(total, model.a["karma"])


def blended_of(model: Model, history: History, proposed: Proposed, rows: Array) -> Array:
    """Return (c,) float32: `blended` of some items."""
    return karma.applied(parts(model, history, proposed, rows).sum(axis=0), model.a["karma"][rows])


def best(model: Model, history: History, proposed: Proposed, allowed: Array, k: int) -> tuple[Array, Array]:
    """Return the rows of the k items with the best blended scores, best first, and these. `allowed` is (n,) bool."""
    total = np.where(allowed, blended(model, history, proposed), np.float32(-np.inf))
    rows = top_k(total, k + _SPARE)
    scores = blended_of(model, history, proposed, rows)
    order = np.lexsort((rows, -scores))[:k]
    return rows[order], scores[order]


def parts(model: Model, history: History, proposed: Proposed, rows: Array) -> Array:
    """Return (generators, c) float32, in the order of `concepts.BLENDED`: each one's part of the blended score of
    some items. Their sum is `blended`, but for the karma of the item.

    Of what a customer bought before, the repeat generator knows better than the two that learn from others:
    there, these are silent. Measured on The Complete Journey (`python -m training train`): letting them speak
    everywhere, the search puts both weights to nought (NDCG@10 0.3255 on all items); silent there, NDCG@10 is
    0.3257, and on items never bought before 0.0309, where popularity alone reaches 0.0268.
    """
    return said(model, history, proposed, rows) * model.blend[:, None] * heard(history, rows)


def said(model: Model, history: History, proposed: Proposed, rows: Array) -> Array:
    """Return (generators, c) float32: what each generator says of some items, before blending."""
    repeats = np.zeros(model.n_items, np.float32)
    repeats[history.item_rows] = candidates.repeat(model, history)
    return np.stack([
        exact(model, proposed, rows), proposed.neighbours[rows], repeats[rows], model.log_popularity[rows],
    ])  # fmt: skip


def heard(history: History, rows: Array) -> Array:
    """Return (generators, c) of zeros and ones: whom the blend listens to for each item."""
    out = np.ones((len(BLENDED), len(rows)), np.float32)
    out[np.ix_(_SILENT, np.flatnonzero(np.isin(rows, history.item_rows[history.orders > 0])))] = 0.0
    return out


def shortlist(model: Model, history: History, proposed: Proposed, allowed: Array) -> Array:
    """Return the candidates of a customer for the ranker, rows ascending: what they bought and the best of each
    generator among the rest. `allowed` is (n,) bool."""
    own = np.flatnonzero((history.orders > 0) & allowed[history.item_rows])
    own = own[np.lexsort((history.item_rows[own], -history.repeats[own]))][:OWN]
    new = allowed.copy()
    new[history.item_rows] = False
    old = np.flatnonzero(~new)
    found = [history.item_rows[own], _first(model.by_popularity, new, POPULARITY)]
    for scores, count in ((proposed.collaborative, COLLABORATIVE + _SPARE), (proposed.neighbours, NEIGHBOURS)):
        among = scores.copy()
        among[old] = -np.inf
        found.append(top_k(among, count))
    found[2] = found[2][np.lexsort((found[2], -exact(model, proposed, found[2])))][:COLLABORATIVE]
    return np.unique(np.concatenate(found))


def _first(order: Array, allowed: Array, count: int) -> Array:
    """Return the first `count` rows of an order that are allowed. `allowed` is (n,) bool."""
    size = 4 * count
    while True:
        rows = order[:size]
        rows = rows[allowed[rows]]
        if len(rows) >= count or size >= len(order):
            return rows[:count]
        size *= 4


def ranked(model: Model, history: History, proposed: Proposed, rows: Array) -> Array:
    """Return (c,) float32 in (0, 1.1): the ranker's word on candidates with their karma, which is an order and not a
    probability."""
    table = features(model, history, rows, exact(model, proposed, rows), proposed.neighbours[rows])
    return karma.applied(forest.chance(model.a, table), model.a["karma"][rows])


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
    block = next((size for size in _BLOCKS if n // size > 2 * k), 0)
    if block:
        whole = n // block * block
        maxima = scores[:whole].reshape(-1, block).max(axis=1)
        survivors = np.flatnonzero(scores >= np.partition(maxima, len(maxima) - k)[len(maxima) - k])
    elif n > 4 * k:
        survivors = np.flatnonzero(scores >= np.partition(scores, n - k)[n - k])
    values = scores[survivors]
    order = np.lexsort((survivors, -values))[:k]
    best = survivors[order]
    return np.asarray(best[scores[best] > -np.inf])


def _unit(scores: Array) -> Array:
    """Scale each row of (b, n) to unit RMS, in place; a row of zeros stays. Return (b,) float32 what each was divided
    by: its RMS to ten bits, so that the last bits of a sum do not depend on how many rows there are."""
    size = np.sqrt(np.einsum("ij,ij->i", scores, scores, dtype=np.float64) / max(scores.shape[1], 1))
    mantissa, exponent = np.frexp(np.where(size > 0, size, 1.0))
    rounded = np.ldexp(np.round(mantissa * 1024.0) / 1024.0, exponent).astype(np.float32)
    scores /= rounded[:, None]
    return rounded
