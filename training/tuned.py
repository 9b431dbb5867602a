"""The tuned configuration: measured against its base on the held-back days, and written as what differs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import yaml

from recsvc.artifact import Array
from recsvc.engine.history import DAY
from training import evaluate
from training.config import Config
from training.given import Given
from training.metrics import Measures, drawn
from training.progress import Progress
from training.sources import Log


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


def measure(given: Given, base: Config, best: Config, progress: Progress) -> Measured | None:
    """Return what the best gains over the base on the held-back days, each with its own order learnt on the days
    before; None where fewer than `split.min_customers` bought something on them."""
    first, second = (
        evaluate.evaluate(given.log, config, progress, evaluate.Clock(), {}).ours for config in (base, best)
    )
    if first is None or second is None:
        return None
    return Measured(len(first.ndcg), _means(first), _means(second), _gains(first, second, base.seed))


def before(log: Log, config: Config) -> Log:
    """Return the days before the held-back ones: what tuning may see."""
    return log.between(0, float(log.events.at.max(initial=0)) + 1.0 - config.split.test_days * DAY)


def _means(scores: Measures) -> dict[str, float]:
    new = scores.ndcg_new[~np.isnan(scores.ndcg_new)]
    return {"ndcg@10": float(scores.ndcg.mean()), "ndcg_new@10": float(new.mean()) if len(new) else 0.0}


def _gains(first: Measures, second: Measures, seed: int) -> dict[str, Gain]:
    everybody, new = second.ndcg - first.ndcg, second.ndcg_new - first.ndcg_new
    draws = drawn(len(everybody), seed)
    found = {"ndcg@10": everybody, "ndcg_new@10": new}
    resampled = {name: _meant(values, draws) for name, values in found.items()}
    resampled["both"] = resampled["ndcg@10"] + resampled["ndcg_new@10"]
    means = {name: _meant(values, np.arange(len(values))[None])[0] for name, values in found.items()}
    means["both"] = means["ndcg@10"] + means["ndcg_new@10"]
    return {
        name: Gain(float(means[name]), *map(float, np.quantile(values, [0.025, 0.975])))
        for name, values in resampled.items()
    }


def _meant(values: Array, draws: Array) -> Array:
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
