"""A planted market of any size, as a table in memory: tastes, a long tail, repeats; and what may disturb it.

Each customer likes one of eight departments and now and then buys elsewhere. Within a department item n is bought with a
chance that falls with n, so there are bestsellers and a tail. What is added to the market is known, and so is what it
must not change: the lists of the customers who were there before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from recsvc.concepts import BLENDED
from recsvc.engine.eligibility import Shelf
from recsvc.engine.model import Model
from tests.planted import Quiet
from training import cases, fit, learn
from training.config import Config
from training.matrix import Matrix
from training.sources import Log, from_table

DAY = 86_400_000_000
NOW = 20_000 * DAY
DEPARTMENTS = 8
COLUMNS = ("customer_id", "item_id", "kind", "occurred_at", "stars", "reason", "order_id", "quantity")
Row = tuple[Any, ...]


def row(customer: str, item: str, at: int, order: str | None, kind: str = "purchase", reason: str | None = None) -> Row:
    """One interaction; `at` in microseconds."""
    return customer, item, kind, at, None, reason, order, 1


def table(rows: list[Row]) -> pa.Table:
    """The rows as training reads them from the store."""
    kinds = (pa.string(), pa.string(), pa.string(), pa.int64(), pa.int64(), pa.string(), pa.string(), pa.int64())
    columns = zip(*rows, strict=True)
    return pa.table({
        name: pa.array(values, kind) for name, values, kind in zip(COLUMNS, columns, kinds, strict=True)
    })  # fmt: skip


def shoppers(names: list[str], items: int, seed: int, visits: int = 8) -> list[Row]:
    """Purchases of ordinary customers: about `visits` visits each within 120 days, four items a visit."""
    rng = np.random.default_rng(seed)
    each = items // DEPARTMENTS
    odds = 1.0 / (np.arange(each) + 5.0)
    odds /= odds.sum()
    found = []
    for name in names:
        home = int(rng.integers(DEPARTMENTS))
        own = rng.choice(each, 4, p=odds) + home * each
        for visit in range(int(rng.integers(2, 2 * visits - 1))):
            at = NOW - int(rng.integers(0, 120 * DAY))
            away = int(rng.integers(DEPARTMENTS)) * each
            basket = {int(rng.choice(own)), *(rng.choice(each, 2, p=odds) + home * each).tolist(),
                      int(rng.choice(each, p=odds)) + away}  # fmt: skip
            found += [row(name, f"i{n}", at, f"{name}-{visit}") for n in sorted(basket)]
    return found


@dataclass(frozen=True, slots=True)
class Trained:
    """What training makes of a market: the log, the model before its lists, and customer → finished list of items."""

    log: Log
    matrix: Matrix
    model: Model
    order: learn.Order
    lists: dict[str, list[str]]


def trained(rows: list[Row], config: Config, weights: dict[str, float] | None = None) -> Trained:
    """Train on rows as `run.train` does on a store, and finish the list of ten of everybody."""
    log = from_table(table(rows), weights or {})
    order = learn.order(log, config, Quiet())
    config = order.config
    matrix, found = fit.arrays(log, config)
    found, _, places = fit.with_customers(found | order.trees, matrix, log, b"secret", {}, 10)
    blend = dict(zip(BLENDED, order.blend.tolist(), strict=True))
    model = fit.assemble("", found, fit.parameters(matrix, config, blend))
    shelf = Shelf(found["karma"] > 0, np.zeros(model.n_items, bool), np.inf)
    finished = fit.finish(model, matrix, places, shelf, lambda _: None)["finished_rows"]
    lists = {
        log.customer_ids[matrix.customer_codes[place]]: [model.item_ids[one] for one in line if one >= 0]
        for place, line in zip(places.tolist(), finished.tolist(), strict=True)
    }
    return Trained(log, matrix, model, order, lists)


def regret(of: Trained, later: list[Row]) -> float:
    """Regret@10 of what orders the lists, over the customers who buy in `later`: rows after the training."""
    codes = {name: code for code, name in enumerate(of.log.item_ids)}
    people = {name: code for code, name in enumerate(of.log.customer_ids)}

    def pairs(kinds: set[str]) -> np.ndarray:
        found = {(people[one[0]], codes[one[1]]) for one in later if one[2] in kinds}
        return np.array(sorted(found), np.int64).reshape(-1, 2)

    truth = cases.Truth(pairs({"purchase"}), regretted=pairs({"return", "dislike"}))
    asked = cases.ask(of.model, of.matrix, truth, lambda *_: None)
    shown = [case.regretted[cases.top(of.order.scorer()(case))] for case in asked]
    return float(np.mean([one.sum() / max(len(one), 1) for one in shown]))


def overlap(one: Trained, other: Trained, names: list[str]) -> float:
    """The mean share of ten that two trainings show the same customers."""
    return float(np.mean([len(set(one.lists[name]) & set(other.lists[name])) / 10 for name in names]))


def share(of: Trained, item: str, names: list[str]) -> float:
    """The share of customers whose ten hold the item."""
    return float(np.mean([item in of.lists[name] for name in names]))
