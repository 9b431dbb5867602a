"""Timing: how fast what a visit says of buying again grows old, fitted to the shop on its hold-out."""

from __future__ import annotations

from typing import Final

import numpy as np

from recsvc.engine import candidates
from training import matrix as matrices
from training.config import Config
from training.holdout import Fold, Held

# Of these the best is taken; 1: a visit of last year says as much as yesterday's.
DECAYS: Final = (0.85, 0.9, 0.94, 0.97, 1.0)
_K: Final = 10


def fitted(config: Config, held: Held | None) -> Config:
    """Return the configuration with a `visit_decay`: its own, or the one whose rates order best what was bought again.

    Without a hold-out by time, or where nobody buys again, there is nothing to fit it on: then `config.VISIT_DECAY`.
    """
    if config.history.visit_decay is not None or held is None or not (held.by_time and held.repeats):
        return config
    # The newest visit of each customer is enough: one number is looked for.
    scores = [_ndcg(held.folds[0], config, decay) for decay in DECAYS]
    history = config.history.model_copy(update={"visit_decay": DECAYS[int(np.argmax(scores))]})
    return config.model_copy(update={"history": history})


def _ndcg(fold: Fold, config: Config, decay: float) -> float:
    """Return the NDCG@10 of the rates alone over what the customers of a fold had bought."""
    history = config.history.model_copy(update={"visit_decay": decay})
    matrix = matrices.build(fold.before, config.model_copy(update={"history": history}))
    sizes = np.diff(matrix.offsets)
    rates = matrices.traits(matrix)[:, candidates.REPEAT_RATE][matrix.history.item_rows]
    score = candidates.expected(matrix.history, matrices.visits(matrix), rates, decay, config.history.prior_visits)
    who = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((-score, who))
    place = np.arange(len(order)) - np.repeat(matrix.offsets[:-1], sizes)
    asked = fold.pairs[:, 0].astype(np.int64) << 32 | fold.pairs[:, 1]
    own = matrix.customer_codes[who].astype(np.int64) << 32 | matrix.item_codes[matrix.history.item_rows]
    hits = np.isin(own[order], asked) & (place < _K) & (score[order] > 0)
    gains = np.bincount(who[order][hits], 1.0 / np.log2(place[hits] + 2.0), len(sizes))
    truth = np.bincount(np.searchsorted(matrix.customer_codes, fold.pairs[:, 0]), minlength=len(sizes))
    ideal = np.concatenate([[0.0], np.cumsum(1.0 / np.log2(np.arange(_K) + 2.0))])[np.minimum(truth, _K)]
    return float(np.mean(gains[ideal > 0] / ideal[ideal > 0])) if (ideal > 0).any() else 0.0
