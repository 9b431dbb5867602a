"""Calibration: what p(redeem) said of campaigns that the model had not seen, against what came."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from recsvc.artifact import Array
from recsvc.engine import redemption
from training.offers import mailings
from training.offers.learn import Learner, scores
from training.offers.mailings import Mailing

COLUMN: Final = {name: at for at, name in enumerate(redemption.FEATURES)}
_BINS: Final = 10


def walked(learner: Learner, asked: list[Mailing]) -> dict[str, Any]:
    """Return `judge` of all pairs of somebody who was shown a mailing and one of its offers, each mailing judged by the
    model of its start; where nothing was learnt by then, by the base rate."""
    found = []
    for mailing in asked:
        known = mailings.ended(learner.shop, mailing.starts_at)
        pairs = sum(len(one.audience) * len(one.items) for one in known)
        rate = (sum(len(one.taken) for one in known) + 1.0) / (pairs + 1.0 / redemption.PRIOR_RATE)
        table, learnt = learner.table(mailing), learner.learn(mailing.starts_at)
        base = np.full(table.taken.shape, np.log(rate / (1.0 - rate)))
        odds = base if learnt is None else scores(learnt, table)
        of = np.repeat(table.weights[:, None], table.taken.shape[1], axis=1)
        found.append([one.ravel() for one in (odds, base, table.taken, of)])
    return judge(*(np.concatenate(part) for part in zip(*found, strict=True))) if found else {}


def judge(odds: Array, base: Array, taken: Array, weights: Array) -> dict[str, Any]:
    """Return how true probabilities are.

    Args:
        odds, base: (p,) log odds of the model and of the base rate. taken: (p,) bool. weights: (p,).

    Returns:
        pairs, redeemed, expected; ratio: expected over redeemed. log_loss, log_loss_prior. bins: tenths of the pairs,
        the likeliest first, {predicted, observed, pairs, ratio}.
    """
    p = redemption.chance(odds)
    order = np.argsort(-p, kind="stable")
    place = np.cumsum(weights[order]) / weights.sum()
    bins = []
    for at in range(_BINS):
        mine = order[(place > at / _BINS) & (place <= (at + 1) / _BINS)]
        whole, said, came = weights[mine].sum(), (weights * p)[mine].sum(), weights[mine][taken[mine]].sum()
        if whole:
            bins.append({"predicted": float(said / whole), "observed": float(came / whole), "pairs": float(whole),
                         "ratio": float(said / came) if came else None})  # fmt: skip
    expected, redeemed = float((weights * p).sum()), float(weights[taken].sum())
    return {
        "pairs": float(weights.sum()), "redeemed": redeemed, "expected": expected,
        "ratio": expected / redeemed if redeemed else None, "log_loss": _loss(odds, taken, weights),
        "log_loss_prior": _loss(base, taken, weights), "bins": bins,
    }  # fmt: skip


def _loss(odds: Array, taken: Array, weights: Array) -> float:
    return float((weights * np.logaddexp(0.0, np.where(taken, -odds, odds))).sum() / weights.sum())
