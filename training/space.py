"""The space that tuning searches: fields of the configuration, each in a range around its value in the base.

Weights and the blend are not searched: the one says what a shop means by its interactions, the other is chosen in every
run. Nor are iterations and `keep`, of which more is never worse and always slower; nor `repeat_half_life_days`, which
the blend does not see, only the ranker and the offers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import optuna

from training.config import Config


@dataclass(frozen=True, slots=True)
class Dimension:
    """One field, searched from base / factor to base × factor on a logarithmic scale, or within base ± reach where
    there is a reach. when: the field of `generators` and the method with which it matters."""

    factor: float = 1.0
    reach: float = 0.0
    when: tuple[str, str] | None = None


_ALS, _GRAPH, _EASE = ("collaborative", "als"), ("neighbours", "graph"), ("neighbours", "ease")
_BPR, _BM25 = ("collaborative", "bpr"), ("neighbours", "bm25")

SPACE: Final[dict[str, Dimension]] = {
    "als.factors": Dimension(2.0, when=_ALS),
    "als.regularization": Dimension(8.0),
    "als.alpha": Dimension(8.0),
    "bpr.factors": Dimension(2.0, when=_BPR),
    "bpr.learning_rate": Dimension(4.0, when=_BPR),
    "bpr.regularization": Dimension(8.0, when=_BPR),
    "neighbours.exponent": Dimension(reach=0.3, when=_GRAPH),
    "ease.regularization": Dimension(8.0, when=_EASE),
    "bm25.k1": Dimension(3.0, when=_BM25),
    "bm25.b": Dimension(reach=0.25, when=_BM25),
    "history.taste_half_life_days": Dimension(4.0),
    "history.prior_visits": Dimension(4.0),
    "popularity.window_days": Dimension(4.0),
}  # fmt: skip


def values(config: Config) -> dict[str, Any]:
    """Return the value in a configuration of every field that is searched with its generators."""
    found = {}
    for field, dimension in SPACE.items():
        value = _at(config, field)
        if dimension.when is not None and getattr(config.generators, dimension.when[0]) != dimension.when[1]:
            continue
        if value > 0 or dimension.reach:  # around nought there is no logarithmic range
            found[field] = value
    return found


def suggested(trial: optuna.Trial, base: Config) -> Config:
    """Return the configuration of a trial: the base with what the study proposes, floats to four digits."""
    start = values(base)
    chosen: dict[str, float] = {}
    for field, value in start.items():
        low, high = _range(base, field, value)
        if isinstance(value, int):
            chosen[field] = trial.suggest_int(field, int(low), int(high), log=True)
        else:
            chosen[field] = trial.suggest_float(field, low, high, log=not SPACE[field].reach)
    if chosen == start:  # the base itself, not the base to four digits
        return base
    content = base.model_dump()
    for field, value in chosen.items():
        section, _, name = field.partition(".")
        content[section][name] = value if isinstance(value, int) else _rounded(base, field, value)
    return Config.model_validate(content)


def _range(base: Config, field: str, value: float) -> tuple[float, float]:
    dimension = SPACE[field]
    low, high = value - dimension.reach, value + dimension.reach
    if not dimension.reach:
        low, high = value / dimension.factor, value * dimension.factor
    least, most = _bounds(base, field)
    return max(low, least), min(high, most)


def _bounds(base: Config, field: str) -> tuple[float, float]:
    section, _, name = field.partition(".")
    least, most = float("-inf"), float("inf")
    for one in type(getattr(base, section)).model_fields[name].metadata:
        least, most = getattr(one, "ge", least), getattr(one, "le", most)
    return least, most


def _rounded(base: Config, field: str, value: float) -> float:
    least, most = _bounds(base, field)
    return min(max(float(f"{value:.4g}"), least), most)


def _at(config: Config, field: str) -> Any:
    section, _, name = field.partition(".")
    return getattr(getattr(config, section), name)
