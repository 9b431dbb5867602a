"""Checks of the order, after the evaluation."""

from __future__ import annotations

import numpy as np

from recsvc.artifact import Array
from training import metrics
from training.cases import K, ndcg
from training.config import Config, Gate
from training.evaluate import Evaluation
from training.gate.checks import Check, Production

# Other people's lists must be this part worse, as far as the interval can tell; each is compared with so many. Of what
# the version in use was ahead of other people's lists, half has to be possible.
_OWN, _OTHERS, _HALF = 0.3, 10, 0.5


def of_scores(found: Evaluation, production: Production | None, recipe: Array | None, config: Config) -> list[Check]:
    """Return what the evaluation shows.

    Args:
        recipe: (cases,) NDCG of the recipe in production on the same customers and days; None where it is the same.
    """
    if found.ours is None:
        return [_unmeasured(found, production, config.split.min_customers)] if production else []
    checks = [_popular(found), _shuffled(found, production, config.seed)]
    if recipe is not None and production:
        lead = metrics.interval("lead", found.ours.ndcg - recipe, metrics.drawn(len(recipe), config.seed))
        checks.append(_beside(f"the recipe of version {production.version}", lead))
    elif production:
        checks += _fallen(found.table[found.order.name], production, config.gate)
    return checks


def _unmeasured(found: Evaluation, production: Production, least: int) -> Check:
    """Whether a version that was measured would be followed by one that cannot be."""
    before = int(production.model.manifest.get("evaluation", {}).get("customers", 0))
    message = f"only {found.asked:,} customers to measure on, {before:,} of version {production.version}"
    if before >= 2 * least:
        return Check("not_measured", False, f"{message}; at least {least} are needed")
    return Check("not_measured", True, message, warning=True)


def _popular(found: Evaluation) -> Check:
    if found.order.popular:
        return Check("worse_than_popularity", True, found.order.note, warning=True)
    row = found.table["popularity"]
    return Check("worse_than_popularity", True, f"popularity: {_leads(row)}")


def _leads(lead: dict[str, float]) -> str:
    return f"ndcg@{K} leads by {lead['lead']:.4f} ({lead['lead_low']:.4f} to {lead['lead_high']:.4f})"


def _beside(name: str, lead: dict[str, float]) -> Check:
    message = f"{name}: {_leads(lead)}"
    if lead["lead_high"] >= 0:
        return Check("worse_than_production", True, message)
    return Check("worse_than_production", False, f"{message}: worse beyond the interval")


def _fallen(row: dict[str, float], production: Production, settings: Gate) -> list[Check]:
    """Whether the same recipe reaches much less than it did when the version in production was made: a warning, since
    the customers and days are others, and a sale may be why."""
    manifest = production.model.manifest
    then = manifest.get("metrics", {}).get(manifest.get("ordering"), {})
    if f"ndcg@{K}_low" not in then:
        return []
    now, was = (f"{one[f'ndcg@{K}']:.4f}" for one in (row, then))
    message = f"ndcg@{K} {now} by the same recipe, {was} of version {production.version} on its own held-back days"
    fell = row[f"ndcg@{K}_high"] < then[f"ndcg@{K}_low"] * (1.0 - settings.drop)
    return [Check("fell", True, message, warning=bool(fell))]


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
    value = lead["lead"]
    before = production.check("shuffled_ids") if production else None
    if production is None or before is None or before["warning"] or before["figure"] is None:
        # Much worse than other people's lists is another fault than having nothing to do with their customers.
        none = lead["lead_low"] <= 0 and lead["lead_high"] < _OWN * own and value >= -_OWN * theirs.mean()
        return Check("shuffled_ids", True, message, warning=bool(none), figure=value)
    was, then = before["figure"], _reached(production)
    message += f", {was:.4f} more in version {production.version}"
    if lead["lead_low"] > 0 or lead["lead_high"] >= _HALF * was:
        return Check("shuffled_ids", True, message, figure=value)
    # Where taste had a small part in what people buy, it comes and goes.
    if was < _HALF * then:
        return Check("shuffled_ids", True, message, warning=True, figure=value)
    said = f"{message}: customers and what they bought have nothing to do with each other any more; are ids shuffled?"
    return Check("shuffled_ids", False, said, figure=value)


def _reached(production: Production) -> float:
    manifest = production.model.manifest
    return float(manifest.get("metrics", {}).get(manifest.get("ordering"), {}).get(f"ndcg@{K}", 0.0))
