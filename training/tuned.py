"""The tuned configuration: measured against its base on the held-back days, and written as what differs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import yaml

from recsvc.artifact import Array
from recsvc.engine.history import DAY
from training import evaluate, fit, learn
from training.config import Config
from training.evaluate import Scores
from training.progress import Progress
from training.sources import Log

_RESAMPLES: Final = 1000


@dataclass(frozen=True, slots=True)
class Gain:
    """A paired difference of means over customers, with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """`gain` or `loss` when nought lies outside of the interval, else `tie`."""
        return "gain" if self.low > 0 else "loss" if self.high < 0 else "tie"

    def __str__(self) -> str:
        return f"{self.mean:+.4f} (95 %: {self.low:+.4f} to {self.high:+.4f})"


@dataclass(frozen=True, slots=True)
class Measured:
    """The best against the base on the held-back days. gains: by name, in ndcg@10, ndcg_new@10 and `both`, their sum,
    which is what was tuned."""

    customers: int
    base: dict[str, float]
    best: dict[str, float]
    gains: dict[str, Gain]


def measure(log: Log, base: Config, best: Config, progress: Progress) -> Measured | None:
    """Return what the best gains over the base on the held-back days, each with its own order learnt on the days
    before; None where fewer than `split.min_customers` bought something on them."""
    first = _scores(log, base, progress, "the base")
    if len(first.ndcg) < base.split.min_customers:
        return None
    second = _scores(log, best, progress, "the best")
    return Measured(len(first.ndcg), _means(first), _means(second), _gains(first, second, base.seed))


def before(log: Log, config: Config) -> Log:
    """Return the days before the held-back ones: what tuning may see."""
    return log.between(0, _test_start(log, config))


def _test_start(log: Log, config: Config) -> float:
    return float(log.events.at.max(initial=0)) + 1.0 - config.split.test_days * DAY


def _scores(log: Log, config: Config, progress: Progress, title: str) -> Scores:
    known, later = before(log, config), log.between(_test_start(log, config), np.inf)
    order = learn.order(known, config, progress)
    progress.step(f"fitting {title}, to measure on", None)
    matrix, found = fit.arrays(known, order.config)
    model = fit.assemble("", fit.without_customers(found, 1), fit.parameters(matrix, order.config, order.config.blend))
    pairs = _sampled(later.pairs(later.events.purchases & (later.customers >= 0)), config)
    progress.step(f"measuring {title}", len(np.unique(pairs[:, 0])))
    cases = evaluate.cases(
        model, matrix, pairs, lambda done, _: progress.at(done), order.masked, threads=config.threads
    )  # fmt: skip
    return evaluate.score(cases, order.scorer())


def _sampled(pairs: Array, config: Config) -> Array:
    customers = np.unique(pairs[:, 0])
    if len(customers) <= config.split.customers:
        return pairs
    chosen = np.random.default_rng(config.seed).choice(customers, config.split.customers, replace=False)
    return pairs[np.isin(pairs[:, 0], chosen)]


def _means(scores: Scores) -> dict[str, float]:
    new = scores.ndcg_new[~np.isnan(scores.ndcg_new)]
    return {"ndcg@10": float(scores.ndcg.mean()), "ndcg_new@10": float(new.mean()) if len(new) else 0.0}


def _gains(first: Scores, second: Scores, seed: int) -> dict[str, Gain]:
    everybody, new = second.ndcg - first.ndcg, second.ndcg_new - first.ndcg_new
    draws = np.random.default_rng(seed).integers(0, len(everybody), (_RESAMPLES, len(everybody)))
    found = {"ndcg@10": everybody, "ndcg_new@10": new}
    resampled = {name: _drawn(values, draws) for name, values in found.items()}
    resampled["both"] = resampled["ndcg@10"] + resampled["ndcg_new@10"]
    means = {name: _drawn(values, np.arange(len(values))[None])[0] for name, values in found.items()}
    means["both"] = means["ndcg@10"] + means["ndcg_new@10"]
    return {
        name: Gain(float(means[name]), *map(float, np.quantile(values, [0.025, 0.975])))
        for name, values in resampled.items()
    }


def _drawn(values: Array, draws: Array) -> Array:
    """Return (draws,) means over customers; those for whom the value is not defined (NaN) do not count."""
    there = ~np.isnan(values)
    return np.asarray(np.nan_to_num(values)[draws].sum(axis=1) / np.maximum(there[draws].sum(axis=1), 1))


def differences(base: Config, best: Config) -> dict[str, tuple[Any, Any]]:
    """Return field → (its value in the base, in the best) for each that differs; fields as `als.factors`."""
    return _differing(base.model_dump(mode="json", by_alias=True), best.model_dump(mode="json", by_alias=True), "")


def _differing(old: dict[str, Any], new: dict[str, Any], prefix: str) -> dict[str, tuple[Any, Any]]:
    found: dict[str, tuple[Any, Any]] = {}
    for name in old.keys() | new.keys():
        a, b = old.get(name), new.get(name)
        if a == b:
            continue
        if isinstance(a, dict) and isinstance(b, dict):
            found |= _differing(a, b, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = (a, b)
    return dict(sorted(found.items()))


def written(base: Config, best: Config, head: list[str]) -> str:
    """Return the YAML of a complete configuration: what is not the default, each field with its value in the base.

    Args:
        head: comment lines for the top.
    """
    defaults, whole = (one.model_dump(mode="json", by_alias=True) for one in (Config(), best))
    changed, lines = differences(base, best), [f"# {line}".rstrip() for line in head]
    for section, content in whole.items():
        if content == defaults[section]:
            continue
        # A mapping of names stands for itself as a whole: a name left out is not filled in.
        parts = content if section not in type(best).model_fields or not _is_model(best, section) else {
            name: value for name, value in content.items() if value != defaults[section][name]
        }  # fmt: skip
        if not isinstance(parts, dict):
            lines += ["", f"{section}: {_plain(parts)}  # {_origin(section, changed)}"]
            continue
        lines += ["", f"{section}:"]
        lines += [
            f"  {_plain(name)}: {_plain(value)}  # {_origin(f'{section}.{name}', changed)}"
            for name, value in parts.items()
        ]
    return "\n".join(lines) + "\n"


def _is_model(config: Config, section: str) -> bool:
    return hasattr(getattr(config, section), "model_fields_set")


def _origin(field: str, changed: dict[str, tuple[Any, Any]]) -> str:
    if field not in changed:
        return "as in the base"
    return f"in the base: {_plain(changed[field][0])}"


def _plain(value: Any) -> str:
    return (
        yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True).removesuffix("...\n").strip()
    )


def head(command: str, now: datetime, study: str, trials: int, measured: Measured | None) -> list[str]:
    """Return what stands at the top of the file: what it gains, from which command, when, of how many trials."""
    if measured is None:
        told = ["Not measured: too few customers bought something on the held-back days, or no trial beat the base."]
    else:
        told = [
            f"{VERDICTS[measured.gains['both'].verdict]}",
            *(f"  {name}: {gain}" for name, gain in measured.gains.items()),
            f"paired over {measured.customers:,} customers; both: the sum of the two, which is what was tuned.",
        ]
    return [*told, f"{command}, {now:%Y-%m-%d %H:%M} UTC, {trials} trials of the study {study}."]


VERDICTS: Final = {
    "gain": "Against the base on the held-back days, expected gain:",
    "tie": "A tie: on the held-back days the difference to the base lies within its interval.",
    "loss": "Worse than the base on the held-back days; keep the base.",
}
