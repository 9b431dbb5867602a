"""Learning the order: the blend, and the ranker where it wins.

Both are chosen on the hold-out of one log. A fifth of the asked customers, 2,000 at most, are the judges: the ranker is
trained on the others and compared with the blend on the judges. Where its lead there is larger than the standard error
of the lead, or twice that where they were asked fewer than 500 questions, it is trained again on everybody and orders
the lists (on Ta-Feng, next basket: NDCG@10 0.1398 so, 0.1384 from the first training). Else the blend does, and the
note says so. Twice, since with few questions one standard error is chance too often: on a made-up till with random
tastes, 120 questions, a lead of 0.0278 ± 0.0275 was none on the held-back days.

Why no neighbourhood of customers (TIFU-KNN, UP-CF): one more column of the ranker, what the 100 to 300 customers most
like this one buy, moves the mean of recall and NDCG@10 (three seeds, paired 95 % intervals) on Ta-Feng by +0.0022
(0.0015 to 0.0029) with vectors of its own, +0.0014 (0.0007 to 0.0021) with a published sample of 5,000 customers; on
The Complete Journey by −0.0002 (−0.0012 to 0.0008), and by −0.0006 (−0.0017 to 0.0004) with the histories that the
artifact has. UP-CF moves nothing. It is left out for its price: 0.4 to 1.6 ms more for each live list, and other
people's histories in what is published.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recsvc.artifact import Array
from recsvc.concepts import BLENDED, Generator
from recsvc.engine import forest, karma
from training import cases, extras, fit, matrix, ranker, timing
from training.cases import Case
from training.config import VISIT_DECAY, Config
from training.holdout import Held, hold_out
from training.models import registry
from training.progress import Progress
from training.sources import Log

_BLEND_CASES = 2000
_JUDGES = 2000
_FEW = 500


@dataclass(frozen=True, slots=True)
class Order:
    """How candidates are ordered. blend: (generators,) float32. trees: the forest's arrays, empty where the blend
    orders. masked: whether own items are never proposed. note: what was chosen and why, for people.
    config: with what was fitted on the way."""

    blend: Array
    trees: dict[str, Array]
    masked: bool
    note: str
    config: Config

    @property
    def name(self) -> str:
        """`ranker` or `blend`."""
        return "ranker" if self.trees else "blend"

    @property
    def popular(self) -> bool:
        """Whether it is popularity alone."""
        at = BLENDED.index(Generator.POPULARITY)
        return not self.trees and bool(self.blend[at] > 0) and int(np.count_nonzero(self.blend)) == 1

    def scorer(self) -> cases.Scorer:
        """Return what scores the cases of an evaluation as the engine scores them."""
        return by_forest(self.trees) if self.trees else cases.by_blend(self.blend)


def by_forest(trees: dict[str, Array]) -> cases.Scorer:
    """Return what scores a case by the ranker."""
    return lambda case: karma.applied(forest.chance(trees, case.table), case.karma)


def order(log: Log, config: Config, progress: Progress) -> Order:
    """Return how to order what is proposed from a log."""
    start = np.array([config.blend[name] for name in BLENDED], np.float32)
    held = hold_out(log, config.holdout, config.split.min_customers, config.seed)
    config = timing.fitted(config, held)
    if held is None:
        return Order(start, {}, False, "too few customers to learn an order from: the configured blend", config)
    asked, found = _questions(log, held, config, progress)
    if len(found) < config.split.min_customers:
        return Order(start, {}, False, "too little to learn an order from: the configured blend", config)
    rng = np.random.default_rng(config.seed)
    everybody = np.unique(asked)
    judges = np.isin(asked, rng.choice(everybody, min(len(everybody) // 5, _JUDGES), replace=False))
    mine = [case for case, judge in zip(found, judges, strict=True) if not judge]
    others = [case for case, judge in zip(found, judges, strict=True) if judge]
    progress.step("choosing the blend", 9)
    done = iter(range(1, 100))
    some = [mine[one] for one in rng.permutation(len(mine))[:_BLEND_CASES]]
    blend = cases.choose_blend(some, start, lambda: progress.at(next(done)))
    progress.step("training the ranker", None)
    trees, note = _ranker(mine, others, blend, config, extras.names(log.extras))
    how = "; the hold-out is random, since visits cannot be told apart"
    if held.by_time:
        how = f"; of buying again a visit says {config.history.visit_decay or VISIT_DECAY} of what the next one says"
    return Order(blend, trees, not held.repeats, note + how, config)


def _questions(log: Log, held: Held, config: Config, progress: Progress) -> tuple[Array, list[Case]]:
    """Return the cases of the hold-out and the customer code of each."""
    progress.step("fitting on the hold-out", registry.iterations(config))
    built_of, found = fit.arrays(held.before, config, progress.at, float(log.events.at.max()))
    built = fit.assemble("", fit.without_customers(found, 1), fit.parameters(built_of, config, dict(config.blend)))
    asked: list[Array] = []
    questions: list[Case] = []
    progress.step("asking customers of the hold-out", sum(len(np.unique(fold.pairs[:, 0])) for fold in held.folds))
    for fold in held.folds:
        known = matrix.histories(fold.before, built_of)
        done = len(questions)
        count = _counting(progress, done)
        questions += cases.ask(built, known, cases.Truth(fold.pairs), count, not held.repeats, config.threads)
        asked.append(np.intersect1d(fold.pairs[:, 0], known.customer_codes))
    return np.concatenate(asked), questions


def _counting(progress: Progress, before: int) -> Callable[[int, int], None]:
    return lambda done, _: progress.at(before + done)


def _ranker(
    mine: list[Case], others: list[Case], blend: Array, config: Config, names: list[str]
) -> tuple[dict[str, Array], str]:
    why = ranker.unavailable()
    if why:
        return {}, f"blend: {why}"
    trees = _train(mine, config, names)
    if not trees or len(others) < 2:
        return {}, "blend: too little to train a ranker on"
    ours = cases.score(others, by_forest(trees)).ndcg
    lead = ours - cases.score(others, cases.by_blend(blend)).ndcg
    error = float(lead.std(ddof=1) / np.sqrt(len(lead)))
    said = (
        f"on {len(others):,} questions of the hold-out it leads the blend by {lead.mean():.4f} ± {error:.4f} in ndcg@10"
    )
    if lead.mean() <= error * (2.0 if len(lead) < _FEW else 1.0):
        return {}, f"blend: of the ranker, {said}: no win"
    return _train(mine + others, config, names), f"ranker: {said}"


def _train(some: list[Case], config: Config, names: list[str]) -> dict[str, Array]:
    sizes = np.array([len(case.hits) for case in some])
    features = np.concatenate([case.table for case in some])
    labels = np.concatenate([case.hits for case in some]).astype(np.int32)
    return ranker.train(features, labels, sizes, config.seed, config.threads, names) or {}
