"""Protocols: what a recipe may see, what it has to rank, and what it is measured against.

top-n        all items are ranked for every test customer, their training items masked; as LightGCN measures
             (He et al. 2020, https://doi.org/10.1145/3397271.3401063).
next-basket  history is every basket but a customer's last, which is the truth; nothing is masked; as "A Next Basket
             Recommendation Reality Check" measures (Li et al. 2023, https://doi.org/10.1145/3587153).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recsvc.artifact import Array
from recsvc.errors import InvalidRequest
from training.benchmark import times
from training.benchmark.ids import Ids, encode
from training.benchmark.read import columns
from training.config import Config
from training.progress import Progress

TOP_N_K = 20
NEXT_BASKET_K = 10


@dataclass(frozen=True, slots=True)
class Task:
    """All that a recipe sees: the history, and for whom to rank what. The truth is not in it.

    customers, items: (e,) int32 codes of the history, each (customer, basket, item) once, sorted by customer, then
    basket, then item. baskets: (e,) int32, place of the basket among the customer's own, from 0; None: no baskets.
    at: (e,) int64, seconds since 1970 of the basket; None: no dates. customer_count, item_count: how many codes there
    are; an item may be without history. asked: (c,) int32, ascending: the customers to rank for, each with history.
    k: how many items each gets. masked: whether what a customer has in the history is refused.
    """

    customers: Array
    items: Array
    baskets: Array | None
    at: Array | None
    customer_count: int
    item_count: int
    asked: Array
    k: int
    masked: bool


@dataclass(frozen=True, slots=True)
class Rankings:
    """What a recipe returns.

    rows: name → (c, k) int32 item codes, best first, −1 where there are no more: each generator alone, the blend, the
    ranker. chosen: the name of the row that the default recipe stands for. recipe: what that is, with parameters, in
    one line. train_cpu_seconds: CPU of all processes spent on learning, including what the choice cost.
    """

    rows: dict[str, Array]
    chosen: str
    recipe: str
    train_cpu_seconds: float


Recipe = Callable[[Task, Config, Progress], Rankings]


@dataclass(frozen=True, slots=True)
class Truth:
    """What was bought afterwards. owners: (t,) int32 ascending position in `Task.asked`; items: (t,) int32 codes,
    each pair once; each asked customer has one at least."""

    owners: Array
    items: Array


@dataclass(frozen=True, slots=True)
class Case:
    """A task, its truth, and how codes become ids again. left_out: who is not measured and why, in words → how many."""

    name: str
    task: Task
    truth: Truth
    customer_ids: Ids
    item_ids: Ids
    left_out: dict[str, int]


def top_n(train: Path, test: Path) -> Case:
    """Return the top-n case of two files of (customer_id, item_id). The catalogue is the items of both.

    Test customers without a line in `train` are left out, of the mean too: LightGCN's sets have none.

    Raises:
        InvalidRequest: a file cannot be read, or no test customer is in `train`.
    """
    seen, held = (columns(path, ("customer_id", "item_id")) for path in (train, test))
    customer_ids, (customers, asked) = encode(seen["customer_id"], held["customer_id"])
    item_ids, (items, truth) = encode(seen["item_id"], held["item_id"])
    n = len(item_ids)
    pairs = _distinct(customers.astype(np.int64) * n + items)
    truths = _distinct(asked.astype(np.int64) * n + truth)
    owners = truths // n
    known = np.zeros(len(customer_ids), bool)
    known[customers] = True
    strangers = len(np.unique(owners[~known[owners]]))
    truths, owners = truths[known[owners]], owners[known[owners]]
    if not len(owners):
        raise InvalidRequest(f"{test}: customer_id: none of its {strangers:,} customers is in {train}")
    whom, positions = np.unique(owners, return_inverse=True)
    task = Task(
        (pairs // n).astype(np.int32), (pairs % n).astype(np.int32), None, None, len(customer_ids), n,
        whom.astype(np.int32), TOP_N_K, masked=True,
    )  # fmt: skip
    left_out = {"test customers without training lines": strangers}
    return Case(
        "top-n",
        task,
        Truth(positions.astype(np.int32), (truths % n).astype(np.int32)),
        customer_ids,
        item_ids,
        left_out,
    )


def next_basket(baskets: Path) -> Case:
    """Return the next-basket case of a file of (customer_id, basket, item_id), perhaps occurred_at.

    Baskets go by occurred_at where there is one (a basket's is its earliest; ties by basket), else by `basket`:
    numbers by size, everything else as it sorts. Customers with one basket only are in neither history nor truth.

    Raises:
        InvalidRequest: the file cannot be read, or no customer has two baskets.
    """
    found = columns(baskets, ("customer_id", "basket", "item_id"), ("occurred_at",))
    customer_ids, (customers,) = encode(found["customer_id"])
    item_ids, (items,) = encode(found["item_id"])
    basket_ids, (labels,) = encode(found["basket"])
    labels = times.places(basket_ids)[labels]
    at = times.seconds(found["occurred_at"]) if "occurred_at" in found else None
    lines, ordinals, at = _ordered(customers, labels, items, at)
    customers, items = customers[lines], items[lines]
    counts = np.zeros(len(customer_ids), np.int64)
    np.maximum.at(counts, customers, ordinals + 1)
    if counts.max() < 2:
        raise InvalidRequest(f"{baskets}: basket: none of its {len(counts):,} customers has two baskets")
    last, past = ordinals == counts[customers] - 1, ordinals < counts[customers] - 1
    whom = np.flatnonzero(counts >= 2)
    truth = last & (counts[customers] >= 2)
    owners = np.searchsorted(whom, customers[truth])
    task = Task(
        customers[past], items[past], ordinals[past], None if at is None else at[past], len(customer_ids),
        len(item_ids), whom.astype(np.int32), NEXT_BASKET_K, masked=False,
    )  # fmt: skip
    left_out = {"customers with a single basket": int((counts == 1).sum())}
    return Case("next-basket", task, Truth(owners.astype(np.int32), items[truth]), customer_ids, item_ids, left_out)


def _ordered(customers: Array, labels: Array, items: Array, at: Array | None) -> tuple[Array, Array, Array | None]:
    """Return which lines to keep, sorted by customer, basket in time and item; their basket's place among the
    customer's own, int32; and its time."""
    order = np.lexsort((items, labels, customers))
    columns = np.stack([customers[order], labels[order], items[order]])
    changed = columns[:, 1:] != columns[:, :-1]
    new_basket = np.concatenate([[True], changed[:2].any(axis=0)])
    basket_of = np.cumsum(new_basket) - 1
    starts = np.flatnonzero(new_basket)
    owners, earliest = columns[0][starts], None
    ranks = np.arange(len(starts))
    if at is not None:
        earliest = np.minimum.reduceat(at[order], starts)
        # Labels ascend within a customer, so their places break ties.
        sequence = np.lexsort((ranks, earliest, owners))
        ranks[sequence] = np.arange(len(starts))
    first = np.flatnonzero(np.concatenate([[True], owners[1:] != owners[:-1]]))
    # A customer's baskets stay together in either order, so ordinals count from the customer's first.
    ordinals = ranks - np.repeat(first, np.diff(np.append(first, len(starts))))
    distinct = np.concatenate([[True], changed.any(axis=0)])
    kept, basket_of = order[distinct], basket_of[distinct]
    by_time = np.lexsort((items[kept], ranks[basket_of]))
    kept, basket_of = kept[by_time], basket_of[by_time]
    return kept, ordinals[basket_of].astype(np.int32), None if earliest is None else earliest[basket_of]


def held(task: Task) -> Array:
    """Return (p,) int64, ascending: customer × item_count + item of everything in the history, once."""
    return _distinct(task.customers.astype(np.int64) * task.item_count + task.items)


def _distinct(values: Array) -> Array:
    # numpy's own `unique` hashes, which takes three times as long as sorting where most values differ.
    ordered = np.sort(values)
    return np.asarray(ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])])


def check(name: str, rankings: Array, task: Task, pairs: Array) -> None:
    """Refuse rankings that would be measured wrongly.

    Args:
        pairs: what `held` returns.

    Raises:
        ValueError: not (c, k) codes, an item twice in a list, or one that the task masks; names the row.
    """
    c, n = len(task.asked), task.item_count
    if rankings.shape != (c, task.k) or not np.issubdtype(rankings.dtype, np.integer):
        raise ValueError(f"{name}: {rankings.dtype} {rankings.shape}, must be int32 {(c, task.k)}")
    if rankings.min() < -1 or rankings.max() >= n:
        raise ValueError(f"{name}: codes from {rankings.min()} to {rankings.max()}, must be from −1 to {n - 1}")
    ordered = np.sort(rankings, axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        raise ValueError(f"{name}: an item is twice in a list")
    if task.masked and found_in(pairs, task.asked, rankings, n).any():
        raise ValueError(f"{name}: an item of the history is in a list, although masked")


def found_in(pairs: Array, owners: Array, rankings: Array, item_count: int) -> Array:
    """Return (c, k) bool: whether owner × item_count + item is among `pairs`, (p,) int64 ascending; −1 never is."""
    keys = owners.astype(np.int64)[:, None] * item_count + rankings
    places = np.minimum(np.searchsorted(pairs, keys), len(pairs) - 1)
    return np.asarray((pairs[places] == keys) & (rankings >= 0))
