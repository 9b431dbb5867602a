"""Tuning: which configuration orders best what customers bought in the days before the held-back ones.

A study is kept in one SQLite file and named by the data and the base, so a later call goes on with it, and another base
or other data begin another. Its first trial is the base itself.

A trial fits on the hold-out and asks its customers in four shares. Half of the customers asked choose the blend, the
other half judge it; what they say after each share is compared with the trials before, and a trial under their median
ends there.
"""

from __future__ import annotations

import fcntl
import hashlib
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import optuna

from recsvc.artifact import Array
from recsvc.concepts import BLENDED
from recsvc.engine.model import Model
from recsvc.errors import InvalidRequest
from training import cases, fit, matrix, space, timing
from training.cases import Case, Truth
from training.config import Config
from training.errors import Busy
from training.holdout import Held, hold_out
from training.matrix import Matrix
from training.models import registry
from training.progress import Progress
from training.sources import Log

SHARES: Final = 4
_SHARE_CUSTOMERS: Final = 20
# A whole trial's blend is chosen on as many questions as in `learn`, that of a share on fewer: it is only compared.
_BLEND_CASES: Final = 2000
_SHARE_CASES: Final = 500
_RANDOM_TRIALS: Final = 8
_DONE: Final = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)

State = optuna.trial.TrialState


@dataclass(frozen=True, slots=True)
class Limits:
    """seconds: no trial begins with less left than the median trial took. trials: at most so many in this call."""

    seconds: float
    trials: int | None = None


@dataclass(frozen=True, slots=True)
class Questions:
    """What every trial is asked. before: the log without what is held back. as_of: when the questions are asked.
    shares: customer codes; of each, the first half chooses the blend and the second judges it."""

    held: Held
    as_of: float
    shares: list[Array]


def questions(log: Log, config: Config) -> Questions:
    """Return the questions of the hold-out of a log.

    Raises:
        InvalidRequest: too few customers could be asked.
    """
    held = hold_out(log, config.holdout, config.split.min_customers, config.seed) if len(log) else None
    asked = np.unique(np.concatenate([fold.pairs[:, 0] for fold in held.folds])) if held else np.empty(0)
    if held is None or len(asked) < max(config.split.min_customers, 2):
        raise InvalidRequest(
            f"nothing to tune on: {len(asked)} customers could be asked what they buy next, "
            f"at least {max(config.split.min_customers, 2)} (split.min_customers) are needed"
        )
    mixed = np.random.default_rng(config.seed).permutation(asked)
    shares = np.array_split(mixed, SHARES if len(mixed) >= SHARES * _SHARE_CUSTOMERS else 1)
    return Questions(held, float(log.events.at.max()), shares)


def name(log: Log, base: Config) -> str:
    """Return the name of the study of a log and a base: the days, and a hash of both."""
    taken = hashlib.blake2b(digest_size=6)
    for values in (log.customers, log.events.item_rows, log.events.at, log.events.weights):
        taken.update(np.ascontiguousarray(values).tobytes())
    taken.update(base.model_dump_json(exclude={"threads", "source"}).encode() + repr(sorted(space.SPACE)).encode())
    first, last = (datetime.fromtimestamp(int(at), UTC) for at in (log.events.at.min(), log.events.at.max()))
    return f"{first:%Y%m%d}-{last:%Y%m%d}-{taken.hexdigest()}"


@contextmanager
def opened(home: Path, study: str, base: Config) -> Iterator[optuna.Study]:
    """Yield the study of this name in a home, with the base to be tried first; a trial that a killed run left is over.

    Raises:
        Busy: somebody else is tuning in this home.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    home.mkdir(parents=True, exist_ok=True)
    with (home / "tuning.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"{home}: another run is tuning here") from None
        storage = optuna.storages.RDBStorage(f"sqlite:///{home.absolute() / 'tuning.db'}")
        found = optuna.create_study(
            storage=storage, study_name=study, direction="maximize", load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
        )  # fmt: skip
        trials = found.get_trials(deepcopy=False)
        for trial in trials:
            if trial.state is State.RUNNING:
                found.tell(trial.number, state=State.FAIL)
        # Of a sampler with the same seed a second call would ask what the first has asked.
        found.sampler = optuna.samplers.TPESampler(n_startup_trials=_RANDOM_TRIALS, seed=base.seed + len(trials))
        if not any(trial.state in (*_DONE, State.WAITING) for trial in trials):
            found.enqueue_trial(space.values(base))
        try:
            yield found
        finally:
            storage.remove_session()
            storage.engine.dispose()


def search(
    study: optuna.Study,
    asked: Questions,
    base: Config,
    limits: Limits,
    progress: Progress,
    after: Callable[[optuna.trial.FrozenTrial], None],
) -> int:
    """Try configurations until the limits. Returns how many trials were made. `after` is called with each."""
    end = time.monotonic() + limits.seconds
    made: list[int] = []

    def objective(trial: optuna.Trial) -> float:
        """Return what a trial is worth, saying so far how it goes."""
        made.append(trial.number)
        config = space.suggested(trial, base)
        trial.set_user_attr("configuration", config.model_dump(mode="json"))
        value = 0.0
        for step, value in enumerate(values(asked, config, progress, f"trial {trial.number}")):
            trial.report(value, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    while (limits.trials is None or len(made) < limits.trials) and time.monotonic() + _length(study) < end:
        study.optimize(objective, n_trials=1)
        after(study.get_trials(deepcopy=False)[made[-1]])
    return len(made)


def _length(study: optuna.Study) -> float:
    """Return how many seconds the median trial took; 0 before the first."""
    taken = [one.duration.total_seconds() for one in study.get_trials(deepcopy=False, states=_DONE) if one.duration]
    return statistics.median(taken) if taken else 0.0


def configuration(trial: optuna.trial.FrozenTrial) -> Config:
    """Return the configuration of a trial."""
    return Config.model_validate(trial.user_attrs["configuration"])


def values(asked: Questions, config: Config, progress: Progress, title: str) -> Iterator[float]:
    """Yield what a configuration is worth by the customers asked so far, after each share; the last is its value."""
    config = timing.fitted(config, asked.held)
    progress.step(f"{title}: fitting", registry.iterations(config))
    built_of, found = fit.arrays(asked.held.before, config, progress.at, asked.as_of)
    model = fit.assemble("", fit.without_customers(found, 1), fit.parameters(built_of, config, dict(config.blend)))
    known = [matrix.histories(fold.before, built_of) for fold in asked.held.folds]
    start = np.array([config.blend[name] for name in BLENDED], np.float32)
    choosers: list[Case] = []
    judges: list[Case] = []
    progress.step(f"{title}: asking customers", sum(map(len, asked.shares)))
    done = 0
    for share in asked.shares:
        half = len(share) // 2
        choosers += _answers(model, known, asked.held, share[:half], config)
        judges += _answers(model, known, asked.held, share[half:], config)
        done += len(share)
        progress.at(done)
        most = _BLEND_CASES if share is asked.shares[-1] else _SHARE_CASES
        blend = cases.choose_blend(choosers[:: -(-len(choosers) // most) or 1], start, lambda: None)
        yield cases.worth(cases.score(judges, cases.by_blend(blend)))


def _answers(model: Model, known: list[Matrix], held: Held, customers: Array, config: Config) -> list[Case]:
    found: list[Case] = []
    for fold, histories in zip(held.folds, known, strict=True):
        pairs = fold.pairs[np.isin(fold.pairs[:, 0], customers)]
        found += cases.ask(model, histories, Truth(pairs), lambda _, __: None, not held.repeats, config.threads)
    return found
