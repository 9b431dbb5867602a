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
_SILENT = np.array([BLENDED.index(Generator.COLLABORATIVE), BLENDED.index(Generator.NEIGHBOURS)])
# How many candidates the ranker takes from each: of own purchases, and the best of each generator.
# The same for every question, as places among the candidates are features.
OWN, COLLABORATIVE, NEIGHBOURS, POPULARITY = 250, 60, 60, 40


@dataclass(frozen=True, slots=True)
class Proposed:
    """What the generators that learn from others say of all n items to one customer: two (n,) float32 arrays, scaled
    to unit RMS over the items, because their scale differs between customers. step: behind the first, for reasons."""

    collaborative: Array
    neighbours: Array
    step: candidates.HalfStep


def propose(model: Model, histories: list[History]) -> list[Proposed]:
    """Return what the generators say to each of several customers."""
    steps = [candidates.half_step_of(model, history) for history in histories]
    collaborative = _unit(candidates.collaborative(model, steps))
    neighbours = _unit(candidates.neighbours(model, histories))
    return [Proposed(*all_three) for all_three in zip(collaborative, neighbours, steps, strict=True)]


def blended(model: Model, history: History, proposed: Proposed) -> Array:
    """Return (n,) float32: the blended score of every item, with its karma."""
    c, g, r, p = model.blend
    total = proposed.collaborative * c + proposed.neighbours * g
    total[history.item_rows[history.orders > 0]] = 0.0  # see `parts`
    total += model.log_popularity * p
    total[history.item_rows] += candidates.repeat(model, history) * r
    return karma.applied(total, model.a["karma"])


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
        proposed.collaborative[rows], proposed.neighbours[rows], repeats[rows], model.log_popularity[rows],
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
    for scores, count in ((proposed.collaborative, COLLABORATIVE), (proposed.neighbours, NEIGHBOURS)):
        among = scores.copy()
        among[old] = -np.inf
        found.append(top_k(among, count))
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
    table = features(model, history, rows, proposed.collaborative[rows], proposed.neighbours[rows])
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
    """Scale each row of (b, n) to unit RMS, in place; a row of zeros stays."""
    size = np.sqrt(np.einsum("ij,ij->i", scores, scores, dtype=np.float64) / max(scores.shape[1], 1))
    scores /= np.where(size > 0, size, 1.0).astype(np.float32)[:, None]
    return scores
