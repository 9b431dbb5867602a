"""Checks of the order, after the evaluation."""

from __future__ import annotations

import numpy as np

from recsvc.artifact import Array
from training import metrics
from training.cases import K, ndcg
from training.config import Config, Gate
from training.evaluate import Evaluation
from training.gate.checks import Check, Production

# Other people's lists must be this part worse, as far as the interval can tell; each is compared with so many.
_OWN, _OTHERS = 0.3, 10


def of_scores(found: Evaluation, production: Production | None, recipe: Array | None, config: Config) -> list[Check]:
    """Return what the evaluation shows.

    Args:
        recipe: (cases,) NDCG of the recipe in production on the same customers and days; None where it is the same.
    """
    if found.ours is None:
        return []
    row, chosen = found.table[found.order.name], found.order.name
    checks = [_beside("popularity", "popularity", found.table["popularity"])]
    checks.append(_shuffled(found, production, config.seed))
    if recipe is not None and production:
        lead = metrics.interval("lead", found.ours.ndcg - recipe, metrics.drawn(len(recipe), config.seed))
        checks.append(_beside("production", f"the recipe of version {production.version}", lead))
    elif production:
        checks += _fallen(row, chosen, production, config.gate)
    return checks


def _beside(code: str, name: str, lead: dict[str, float]) -> Check:
    message = f"ndcg@{K} leads {name} by {lead['lead']:.4f} ({lead['lead_low']:.4f} to {lead['lead_high']:.4f})"
    if lead["lead_high"] >= 0:
        return Check(f"worse_than_{code}", True, message)
    return Check(f"worse_than_{code}", False, f"{message}: worse beyond the interval")


def _fallen(row: dict[str, float], chosen: str, production: Production, settings: Gate) -> list[Check]:
    """Whether the same recipe reaches much less than it did when the version in production was made."""
    manifest = production.model.manifest
    then = manifest.get("metrics", {}).get(manifest.get("ordering"), {})
    if f"ndcg@{K}_low" not in then:
        return []
    message = (
        f"ndcg@{K} {row[f'ndcg@{K}']:.4f} (up to {row[f'ndcg@{K}_high']:.4f}), version {production.version} "
        f"{then[f'ndcg@{K}']:.4f} (from {then[f'ndcg@{K}_low']:.4f}) on its own held-back days"
    )
    fell = row[f"ndcg@{K}_high"] < then[f"ndcg@{K}_low"] * (1.0 - settings.drop)
    return [
        Check(
            "worse_than_production", not fell, message + (f": a fall of more than {settings.drop:.0%}" if fell else "")
        )
    ]


def _shuffled(found: Evaluation, production: Production | None, seed: int) -> Check:
    """Whether a customer's list says more of what they bought than somebody else's list does.

    A shop where it never did is warned of: there taste may have no part in what people buy, and a list of what sells is
    better than none.
    """
    assert found.ours is not None
    shown, n = found.ours.shown, len(found.cases)
    order = np.random.default_rng(seed).permutation(n)
    theirs = np.zeros(n)
    # The next ones of a circle in random order: nobody is their own other.
    places = range(1, min(_OTHERS, n - 1) + 1)
    for step in places:
        for at, case in enumerate(order):
            other, one = shown[order[(at + step) % n]], found.cases[case]
            theirs[case] += ndcg(np.isin(other[other >= 0], one.truth_rows), one.truth) / len(places)
    own = float(found.ours.ndcg.mean())
    lead = metrics.interval("lead", found.ours.ndcg - theirs, metrics.drawn(len(theirs), seed))
    message = (
        f"lists reach {own:.4f} ndcg@{K} for their own customers and {theirs.mean():.4f} for others "
        f"({lead['lead_low']:.4f} to {lead['lead_high']:.4f} more)"
    )
    # Much worse than other people's lists is another fault than having nothing to do with their customers.
    worse = lead["lead"] < -_OWN * theirs.mean()
    if lead["lead_low"] > 0 or lead["lead_high"] >= _OWN * own or worse:
        return Check("shuffled_ids", True, message)
    message += ": customers and what they bought have nothing to do with each other"
    if production is None or _warned(production, "shuffled_ids"):
        return Check("shuffled_ids", True, message, warning=True)
    return Check("shuffled_ids", False, f"{message}, as they had in version {production.version}: ids are shuffled")


def _warned(production: Production, code: str) -> bool:
    checks = production.model.manifest.get("gate", {}).get("checks", [])
    return any(one["code"] == code and one["warning"] for one in checks)
