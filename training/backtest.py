"""Backtest: the same measurement on several held-back times, one behind the other."""

from __future__ import annotations

import numpy as np

from recsvc.engine.history import DAY
from recsvc.errors import InvalidRequest
from training import evaluate
from training.config import Config
from training.evaluate import Clock, Evaluation
from training.given import Given
from training.metrics import drawn, interval
from training.progress import Progress


def backtest(read: Given, config: Config, folds: int, progress: Progress, clock: Clock) -> list[Evaluation]:
    """Return one evaluation for each fold, the newest first; each knows the days before its own only.

    Raises:
        InvalidRequest: the history is too short for so many folds.
    """
    end = float(read.log.events.at.max()) + 1.0
    days = config.split.test_days
    found = []
    for fold in range(folds):
        until = end - fold * days * DAY
        part = read.log.between(0, until)
        one = evaluate.evaluate(part, config, progress, clock, read.category, until) if len(part) else None
        if one is None or not one.table:
            asked, wanted = one.asked if one else 0, config.split.min_customers
            said = f"in fold {fold + 1} there are {asked} customers to measure on, at least {wanted} are needed"
            raise InvalidRequest(f"folds: {folds}, of {days} days each; {said}")
        found.append(one)
    return found


def pooled(found: list[Evaluation], seed: int) -> dict[str, float]:
    """Return NDCG@10 of what orders, over the customers of all folds, with an interval of a bootstrap over them."""
    values = np.concatenate([one.ours.ndcg for one in found if one.ours is not None])
    return interval("ndcg@10", values, drawn(len(values), seed))
