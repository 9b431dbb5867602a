"""The tasks, the hold-out and the score that all rivals of `rivals.py` share.

A task is what a library is given (a history) and what it is asked (the best k items for each customer whose truth is
known). Customers and items are codes, 0 to n - 1; their ids are kept beside them and come back in the prediction
files, in the type in which they came. This file is read in every library's environment, so it needs numpy, scipy and
pyarrow only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from scipy import sparse

Ids = np.ndarray[Any, Any]
Recommend = Callable[[Ids], Ids]
"""Customer codes (m,) to item codes (m, k), best first, -1 where a list is shorter."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Interactions: customer, item, basket, each (n,) int64; basket counts from 0, oldest first, per customer."""

    customer: Ids
    item: Ids
    basket: Ids

    def __getitem__(self, keep: Ids) -> Lines:
        return Lines(self.customer[keep], self.item[keep], self.basket[keep])


@dataclass(frozen=True, slots=True)
class Task:
    """One protocol on one set.

    customers, items: pyarrow arrays, the id of each code. k: length of a list. masked: items of the history may not
    be in the list (top-n); otherwise nothing is kept out (next-basket).
    """

    history: Lines
    truth: Lines
    customers: Any
    items: Any
    k: int
    masked: bool

    @property
    def asked(self) -> Ids:
        """Codes of the customers with a truth, ascending."""
        return np.unique(self.truth.customer)

    def matrix(self, weight: str = "binary") -> Any:
        """Return customers × items as float32 CSR: "binary", "count" (baskets with the item) or "log" (log1p)."""
        values = np.ones(len(self.history.item), np.float32)
        shape = (len(self.customers), len(self.items))
        found = sparse.csr_matrix((values, (self.history.customer, self.history.item)), shape=shape)
        found.sum_duplicates()
        if weight == "binary":
            found.data[:] = 1
        elif weight == "log":
            found.data = np.log1p(found.data)
        return found


def top_n(train: Path, test: Path) -> Task:
    """Read a split of `customer_id, item_id`: lists of 20, what is in train is masked."""
    before, after = _columns(train), _columns(test)
    customers, (a, b) = _codes(before["customer_id"], after["customer_id"])
    items, (x, y) = _codes(before["item_id"], after["item_id"])
    history, truth = _distinct(a, x, np.zeros_like(a)), _distinct(b, y, np.zeros_like(b))
    return Task(history, truth, customers, items, k=20, masked=True)


def next_basket(baskets: Path) -> Task:
    """Read `customer_id, basket, item_id` and, where it is there, `occurred_at`: lists of 10, nothing is masked.

    A customer's baskets are ordered by time, where there is one, and then by `basket`. The last one is the truth, the
    others are the history; a customer with one basket only teaches nothing and is not asked.
    """
    table = _columns(baskets, "basket", "occurred_at")
    customers, (customer,) = _codes(table["customer_id"])
    items, (item,) = _codes(table["item_id"])
    _, (basket,) = _codes(table["basket"])
    # A basket is as old as its oldest line, so that baskets whose lines lie between each other stay whole.
    pairs, at = np.unique(np.stack([customer, basket]), axis=1, return_inverse=True)
    when = np.zeros(pairs.shape[1], np.int64)
    if "occurred_at" in table.column_names:
        when[:] = np.iinfo(np.int64).max
        np.minimum.at(when, at, table["occurred_at"].to_numpy().astype(np.int64))
    order = np.lexsort((pairs[1], when, pairs[0]))
    nth = np.empty_like(order)
    nth[order] = np.arange(len(order)) - np.searchsorted(pairs[0], pairs[0])
    lines = _distinct(customer, item, nth[at])
    last = np.zeros(len(customers), np.int64)
    np.maximum.at(last, lines.customer, lines.basket)
    truth = (lines.basket == last[lines.customer]) & (last[lines.customer] > 0)
    return Task(lines[lines.basket < last[lines.customer]], lines[truth], customers, items, k=10, masked=False)


def hold_out(task: Task, most: int) -> Task:
    """Return the task that settings are chosen on, made of the history alone and asked of at most `most` customers.

    top-n: a random tenth of the lines is the truth. next-basket: the last basket of the history is.
    """
    rng = np.random.default_rng(1)
    lines = task.history
    if task.masked:
        out = rng.random(len(lines.item)) < 0.1
    else:
        last = np.zeros(len(task.customers), np.int64)
        np.maximum.at(last, lines.customer, lines.basket)
        out = (lines.basket == last[lines.customer]) & (last[lines.customer] > 0)
    known = np.zeros(len(task.customers), bool)
    known[lines.customer[~out]] = True
    truth = lines[out & known[lines.customer]]
    asked = np.unique(truth.customer)
    asked = rng.choice(asked, min(most, len(asked)), replace=False)
    truth = truth[np.isin(truth.customer, asked)]
    return Task(lines[~out], truth, task.customers, task.items, task.k, task.masked)


def score(task: Task, lists: Ids) -> Ids:
    """Return recall and NDCG of each asked customer, (m, 2) float64, of lists (m, k) in the order of `task.asked`.

    top-n as LightGCN computes it: the ideal list is as long as the truth and at most k. next-basket as the code of
    "A Next Basket Recommendation Reality Check": the ideal list is as long as the truth.
    """
    n_items = len(task.items)
    asked, sizes = np.unique(task.truth.customer, return_counts=True)
    wanted = task.truth.customer * n_items + task.truth.item
    hits = np.isin(asked[:, None] * n_items + lists, wanted) & (lists >= 0)
    discount = 1 / np.log2(np.arange(max(task.k, sizes.max())) + 2)
    ideal = np.cumsum(discount)[(np.minimum(sizes, task.k) if task.masked else sizes) - 1]
    return np.stack([hits.sum(1) / sizes, hits @ discount[: task.k] / ideal], 1)


def best(scores: Ids, k: int) -> Ids:
    """Return the k items with the highest scores, (m, k), best first; -1 in place of scores that are not finite."""
    top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    values = np.take_along_axis(scores, top, 1)
    order = np.lexsort((top, -values), axis=1)
    return np.where(np.isfinite(values), top, -1)[np.arange(len(top))[:, None], order]


def write_lists(path: Path, task: Task, lists: Ids) -> None:
    """Write lists (m, k), in the order of `task.asked`, as `customer_id, rank, item_id`; ranks count from 1."""
    rows, places = np.nonzero(lists >= 0)
    columns = {
        "customer_id": task.customers.take(pa.array(task.asked[rows])),
        "rank": pa.array((places + 1).astype(np.int32)),
        "item_id": task.items.take(pa.array(lists[rows, places])),
    }
    # Renamed into place, so that a run that was killed leaves no half of a file to be reused.
    half = path.with_suffix(".half")
    pq.write_table(pa.table(columns), half)
    half.replace(path)


def read_lists(path: Path, task: Task) -> Ids:
    """Return lists (m, k) in the order of `task.asked`, read from a file as `write_lists` writes it.

    Ids are compared by their text, so int32 and int64 are the same. An item that the task does not know takes its
    place in the list and is no hit; a customer without a list has found nothing.

    Raises:
        ValueError: a customer has two items at one rank, or one item twice, or an item that is masked.
    """
    table = pq.read_table(path, columns=["customer_id", "rank", "item_id"])
    at = np.full(len(task.customers), -1)
    at[task.asked] = np.arange(len(task.asked))
    row, item = _look_up(table["customer_id"], task.customers), _look_up(table["item_id"], task.items)
    row = np.where(row >= 0, at[row], -1)
    order = np.lexsort((table["rank"].to_numpy(), row))
    order = order[row[order] >= 0]
    row, rank, item = row[order], table["rank"].to_numpy()[order], item[order]
    if np.any((row[1:] == row[:-1]) & (rank[1:] == rank[:-1])):
        raise ValueError(f"{path}: a customer has two items at one rank")
    place = np.arange(len(row)) - np.searchsorted(row, row)
    lists = np.full((len(task.asked), task.k), -1)
    keep = place < task.k
    lists[row[keep], place[keep]] = item[keep]
    pairs = (task.asked[:, None] * len(task.items) + lists)[lists >= 0]
    if len(np.unique(pairs)) < len(pairs):
        raise ValueError(f"{path}: a customer has one item twice")
    if task.masked and np.isin(pairs, task.history.customer * len(task.items) + task.history.item).any():
        raise ValueError(f"{path}: lists hold items that the customer has in the train data")
    return lists


def fingerprint(paths: list[Path]) -> str:
    """Return what tells files with other contents apart: 64 hexadecimal digits."""
    together = hashlib.sha256()
    for path in paths:
        together.update(hashlib.sha256(path.read_bytes()).digest())
    return together.hexdigest()


def _columns(path: Path, *more: str) -> Any:
    with path.open("rb") as file:
        parquet = file.read(4) == b"PAR1"
    table = pq.read_table(path) if parquet else pa_csv.read_csv(path)
    return table.select([name for name in ("customer_id", "item_id", *more) if name in table.column_names])


def _codes(*columns: Any) -> tuple[Any, list[Ids]]:
    """Return the distinct values of all columns, sorted, and the code of each row of each column."""
    values = pc.unique(pa.chunked_array([chunk for column in columns for chunk in column.chunks]))
    values = values.take(pc.array_sort_indices(values))
    return values, [pc.index_in(column, values).to_numpy().astype(np.int64) for column in columns]


def _look_up(column: Any, known: Any) -> Ids:
    """Return the code of each id of a column, -1 for an unknown one."""
    found = pc.index_in(column.cast(pa.string()), pc.cast(known, pa.string()))
    return np.asarray(pc.fill_null(found, -1).to_numpy(), np.int64)


def _distinct(customer: Ids, item: Ids, basket: Ids) -> Lines:
    """Return lines in the order of customer, basket and item, an item once in a basket."""
    order = np.lexsort((item, basket, customer))
    customer, item, basket = customer[order], item[order], basket[order]
    same = (customer[1:] == customer[:-1]) & (basket[1:] == basket[:-1]) & (item[1:] == item[:-1])
    keep = np.r_[True, ~same]
    return Lines(customer[keep], item[keep], basket[keep])
