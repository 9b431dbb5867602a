"""Checks of the data, before anything is learnt from them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import numpy as np

from recsvc.artifact import Array
from recsvc.engine.history import DAY
from recsvc.engine.model import customer_row, hash_customer
from training.config import Gate
from training.gate.checks import Check, Production
from training.sources import Log

# Ids looked at, of each side; ids known to both that say whether they still mean the same; the correlation that does.
_SAMPLE, _ENOUGH, _ALIKE = 5000, 50, 0.2


def of_data(
    log: Log, catalogue: Iterable[str], production: Production | None, settings: Gate, now: float
) -> list[Check]:
    """Return what the data show before anything is learnt.

    Args:
        catalogue: ids of the items that the shop sells.
        now: epoch seconds.
    """
    age = (now - float(log.events.at.max())) / DAY
    if production is None:
        found = [_newest(age, None, settings), _sides(log, set(catalogue), None)]
        return [one for one in found if one]
    known = production.model.manifest.get("counts", {})
    last = datetime.fromisoformat(production.model.manifest["window"]["last"]).timestamp()
    before = (production.model.published_at - last) / DAY
    people = log.customers[log.customers >= 0]
    counts = {"items": len(np.unique(log.events.item_rows)), "customers": len(np.unique(people))}
    shrunk = [_shrunk(name, count, known.get(name, 0), production, settings) for name, count in counts.items()]
    found = [
        _newest(age, before, settings),
        _sides(log, set(catalogue), production),
        *shrunk,
        *_relabelled(log, production),
    ]
    return [one for one in found if one]


def _newest(age: float, before: float | None, settings: Gate) -> Check:
    message = f"the newest interaction is {age:,.1f} days old"
    if age <= settings.max_age_days:
        return Check("newest_day", True, message)
    if before is None or before > settings.max_age_days:
        return Check("newest_day", True, f"{message}, as it was from the start", warning=True)
    return Check("newest_day", False, f"{message}, more than {settings.max_age_days:g}: has the feed stopped?")


def _shrunk(name: str, count: int, before: int, production: Production, settings: Gate) -> Check:
    message = f"{count:,} {name}, {before:,} in version {production.version}"
    lost = 1.0 - count / before if before else 0.0
    if lost <= settings.shrink:
        return Check(f"{name}_shrank", True, message)
    return Check(f"{name}_shrank", False, f"{message}: {lost:.0%} fewer, at most {settings.shrink:.0%} may go")


def _sides(log: Log, catalogue: set[str], production: Production | None) -> Check | None:
    """Whether the columns of customers and items were swapped, by the catalogue or the version in production."""
    people, things = _some(log.customer_ids), _some(log.item_ids)
    customers, items = (np.mean([one in catalogue for one in ids]) if ids else 0.0 for ids in (people, things))
    if catalogue and customers > 0.5 > items:
        message = f"{customers:.0%} of the customer ids are items of the catalogue and {items:.0%} of the item ids"
        return Check("swapped_sides", False, f"{message}: the columns of customers and items are swapped")
    if production and things:
        hashed = [hash_customer(one, production.secret) for one in things]
        were = np.mean([customer_row(production.model, one) >= 0 for one in hashed])
        still = np.mean([one in production.model.rows for one in things])
        if were > 0.5 > still:
            message = f"{were:.0%} of the item ids are customers of version {production.version}"
            return Check("swapped_sides", False, f"{message}: the columns of customers and items are swapped")
    return Check("swapped_sides", True, f"{items:.0%} of the item ids are in the catalogue") if catalogue else None


def _some(ids: list[str]) -> list[str]:
    return ids[:: max(len(ids) // _SAMPLE, 1)]


def _relabelled(log: Log, production: Production) -> list[Check]:
    """Whether those who bought much, and what sold well, still do under the same ids."""
    bought = log.events.purchases
    model, found = production.model, []
    items = np.bincount(log.events.item_rows[bought], minlength=len(log.item_ids))
    rows = np.array([model.rows.get(one, -1) for one in log.item_ids], np.int64)
    found.append(("item", items[rows >= 0], model.a["item_traits"][rows[rows >= 0], 0]))
    named = bought & (log.customers >= 0)
    lines = np.bincount(log.customers[named], minlength=len(log.customer_ids))
    some = np.arange(0, len(log.customer_ids), max(len(log.customer_ids) // _SAMPLE, 1))
    rows = np.array(
        [customer_row(model, hash_customer(log.customer_ids[one], production.secret)) for one in some], np.int64
    )
    offsets = model.a["own_offsets"]
    orders = np.concatenate([[0], np.cumsum(model.a["own_orders"].astype(np.int64))])
    before = (orders[offsets[1:]] - orders[offsets[:-1]])[rows[rows >= 0]]
    found.append(("customer", lines[some[rows >= 0]], before))
    return [one for name, now, then in found if (one := _correlated(name, now, then, production))]


def _correlated(name: str, now: Array, then: Array, production: Production) -> Check | None:
    if len(now) < _ENOUGH or len(np.unique(now)) < 3 or len(np.unique(then)) < 3:
        return None
    correlation = float(np.corrcoef(_ranks(now), _ranks(then))[0, 1])
    message = (
        f"orders by {name} id go with those of version {production.version} by a rank correlation of {correlation:.2f}"
    )
    if correlation >= _ALIKE:
        return Check(f"{name}_ids", True, message)
    return Check(f"{name}_ids", False, f"{message}, under {_ALIKE}: the {name} ids are shuffled or renamed")


def _ranks(values: Array) -> Array:
    """Return the mean rank of each value among all, ties alike."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2.0)[inverse])
