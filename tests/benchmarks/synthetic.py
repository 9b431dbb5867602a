"""Synthetic purchases with the shape of real ones, for measuring time and memory.

    python -m tests.benchmarks.synthetic OUT.parquet --interactions 20000000 --customers 500000 --items 100000
    python -m tests.benchmarks.synthetic OUT.parquet --interactions 1000000 --customers 25000 --items 20000 --baskets B.parquet

Made up, from nobody's data: good for how long something takes and how much memory it needs, and for nothing else.
How well a model predicts these purchases says how well it guesses this file's formulas, not how good it is.

OUT is in the format of `recsvc import interactions`: `customer_id, item_id, kind, occurred_at, order_id`, with `--ids`
also `interaction_id`. `--baskets` writes the same rows as `customer_id, basket, item_id, occurred_at`, for
`python -m training benchmark next-basket`. Equal arguments give equal rows.

What is like real purchases: a few items and a few customers have most of the lines; customers have tastes, 3 clusters
of items each; they buy again what they bought, some nearly always, some never, and rather what they bought lately;
orders are of several lines; customers come and go, items come; every item has a time of year, and sales grow, peak
before the new year, and are more at weekends. Two years. Rows are ordered by customer and time.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Array = np.ndarray[Any, Any]
_DAYS = 730
_FIRST_SECOND = 1_704_067_200  # 2024-01-01T00:00:00Z
_LINES_PER_CHUNK = 1_000_000
_LINES_PER_ORDER = 5
_TASTES = np.array([0.45, 0.25, 0.15])  # the rest of what is new to a customer comes from any cluster


@dataclass(frozen=True, slots=True)
class Shop:
    """What all customers share.

    edges: (n_items + 1,) float64, cumulated popularity of the items, which are ordered by cluster. first: (clusters + 1,)
    int, where each cluster begins. season: (n_items, 24) float32, how willingly an item is bought in each month, 0
    before it exists, 1 at its best. sales: (731,) float64, cumulated share of all sales up to each day.
    """

    edges: Array
    first: Array
    season: Array
    sales: Array


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--interactions", type=int, required=True)
    parser.add_argument("--customers", type=int, required=True)
    parser.add_argument("--items", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ids", action="store_true", help="give every row an interaction_id")
    parser.add_argument("--baskets", type=Path, help="write the rows to this file too, as baskets")
    given = parser.parse_args()
    if not 0 < given.customers <= given.interactions or given.items < 100:
        parser.error("wants at least 100 items, one customer, and one interaction for each customer")
    began = time.perf_counter()
    write(given)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{given.interactions:,} interactions in {time.perf_counter() - began:.0f} s, {peak:,} MB at most")


def write(given: argparse.Namespace) -> None:
    """Write the files, a row group of about a million lines at a time, so that memory does not grow with them."""
    writers: dict[Path, pq.ParquetWriter] = {}
    for chunk in chunks(given.interactions, given.customers, given.items, given.seed):
        tables = {given.out: _interactions(chunk, given.ids)}
        if given.baskets:
            names = ["customer_id", "order_id", "item_id", "occurred_at"]
            tables[given.baskets] = tables[given.out].select(names).rename_columns({"order_id": "basket"})
        for path, table in tables.items():
            if path not in writers:
                path.parent.mkdir(parents=True, exist_ok=True)
                writers[path] = pq.ParquetWriter(path, table.schema, compression="zstd")
            writers[path].write_table(table)
    for writer in writers.values():
        writer.close()


def _interactions(chunk: dict[str, Array], ids: bool) -> Any:
    n = len(chunk["item_id"])
    columns = {name: pa.array(values) for name, values in chunk.items()}
    columns["occurred_at"] = columns["occurred_at"].cast(pa.timestamp("s", "UTC"))
    columns["kind"] = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int8)), ["purchase"]).cast(pa.string())
    row = columns.pop("row")
    if ids:
        columns["interaction_id"] = row.cast(pa.string())
    return pa.table(columns)


def chunks(interactions: int, customers: int, items: int, seed: int) -> Iterator[dict[str, Array]]:
    """Yield customer_id, item_id, order_id, occurred_at and row, each (about a million,), customers in order.

    Every chunk has a random generator of its own, from the seed and its place.
    """
    rng = np.random.default_rng([seed, 0])
    shop = build(items, rng)
    # Log-normal with sigma 1.3: the busiest tenth of the customers has half of the lines.
    lines = _shares(rng.lognormal(0, 1.3, customers), interactions)
    ends = np.cumsum(lines)
    first_row = first_order = start = 0
    while start < customers:
        stop = max(start + 1, int(np.searchsorted(ends, first_row + _LINES_PER_CHUNK)))
        chunk = _chunk(shop, lines[start:stop], np.random.default_rng([seed, 1, start]))
        chunk["row"] = np.arange(first_row, int(ends[stop - 1]))
        first_row = int(ends[stop - 1])
        chunk["customer_id"] += start + 1
        orders = int(chunk["order_id"][-1]) + 1
        chunk["order_id"] += first_order + 1
        first_order += orders
        start = stop
        yield chunk


def build(items: int, rng: np.random.Generator) -> Shop:
    """Return a shop: clusters of unequal size, popularity that falls with the rank as 1 / (rank + 20) ** 0.95."""
    clusters = max(4, int(items**0.5 / 3))
    cluster = np.sort(rng.choice(clusters, items, p=_normal(rng.lognormal(0, 0.7, clusters))))
    popularity = _normal(1 / (rng.permutation(items) + 20) ** 0.95)
    month = np.arange(24)
    peak = rng.uniform(0, 12, (items, 1))
    # One item in four is strongly seasonal, the others hardly; a third comes into the shop during the two years.
    height = np.where(rng.random((items, 1)) < 0.25, 0.9, 0.2)
    season = 1 - height * (0.5 - 0.5 * np.cos((month - peak) * 2 * np.pi / 12))
    born = np.where(rng.random((items, 1)) < 0.33, rng.integers(1, 24, (items, 1)), 0)
    season = np.where(month >= born, season, 0).astype(np.float32)
    day = np.arange(_DAYS)
    sales = (1 + 0.3 * day / _DAYS) * (1 + 0.5 * (day % 365 > 325)) * (1 + 0.4 * (day % 7 >= 5))
    return Shop(
        edges=np.r_[0, np.cumsum(popularity)],
        first=np.searchsorted(cluster, np.arange(clusters + 1)),
        season=season,
        sales=np.r_[0, np.cumsum(_normal(sales))],
    )


def _chunk(shop: Shop, lines: Array, rng: np.random.Generator) -> dict[str, Array]:
    customer = np.repeat(np.arange(len(lines)), lines)
    first_line = (np.cumsum(lines) - lines)[customer]
    # A line opens an order by chance, so orders have a geometric number of lines.
    opens = rng.random(len(customer)) < 1 / _LINES_PER_ORDER
    opens[np.cumsum(lines) - lines] = True
    order = np.cumsum(opens) - 1
    orders_of = customer[opens]
    occurred = _times(shop, orders_of, len(lines), rng)[order]
    item = _new_items(shop, customer, occurred, len(lines), rng)
    return {
        "customer_id": customer.astype(np.int32),
        "item_id": _repeated(item, customer, np.flatnonzero(opens)[order], first_line, rng),
        "order_id": order.astype(np.int64),
        "occurred_at": (_FIRST_SECOND + occurred * 86_400).astype(np.int64),
    }


def _times(shop: Shop, customer: Array, n_customers: int, rng: np.random.Generator) -> Array:
    """Return when each order was, (orders,) float64 days from the first one on, ascending for each customer.

    A customer's orders lie between their coming and their going, and follow the shop's sales there.
    """
    come = rng.uniform(0, 0.8, n_customers) * (rng.random(n_customers) < 0.5)
    go = np.where(rng.random(n_customers) < 0.4, rng.uniform(come + 0.05, 1, n_customers), 1)
    share = rng.random(len(customer)) * (go - come)[customer] + come[customer]
    share = share[np.lexsort((share, customer))]
    day = np.floor(np.interp(share, shop.sales, np.arange(_DAYS + 1)))
    # From 8 to 21 o'clock. A random hour may turn two orders of one day around, hence sorted once more.
    at = np.minimum(day, _DAYS - 1) + rng.uniform(8, 21, len(day)) / 24
    return np.asarray(at[np.lexsort((at, customer))])


def _new_items(shop: Shop, customer: Array, occurred: Array, n_customers: int, rng: np.random.Generator) -> Array:
    """Return for each line, (n,) int32, an item of the customer's taste and of the month."""
    clusters = len(shop.first) - 1
    tastes = rng.integers(0, clusters, (n_customers, len(_TASTES)))
    which = np.searchsorted(np.cumsum(_TASTES), rng.random(len(customer)))
    liked = tastes[customer, np.minimum(which, len(_TASTES) - 1)]
    low, high = shop.edges[shop.first[liked]], shop.edges[shop.first[liked + 1]]
    any_cluster = which == len(_TASTES)
    low[any_cluster], high[any_cluster] = 0, shop.edges[-1]
    month = np.minimum(occurred * 24 / _DAYS, 23).astype(np.int8)
    item = np.empty(len(customer), np.int32)
    open_lines = np.arange(len(customer))
    # Tried again where the item is out of season; after five times it is bought all the same.
    for _ in range(5):
        at = low[open_lines] + rng.random(len(open_lines)) * (high - low)[open_lines]
        found = np.minimum(np.searchsorted(shop.edges, at, side="right") - 1, len(shop.edges) - 2)
        item[open_lines] = found
        refused = rng.random(len(open_lines)) >= shop.season[found, month[open_lines]]
        open_lines = open_lines[refused]
    return item


def _repeated(item: Array, customer: Array, order_start: Array, first_line: Array, rng: np.random.Generator) -> Array:
    """Return the items, (n,) int32 counted from 1, with some lines replaced by those of earlier orders.

    order_start, first_line: (n,), the row at which the line's order, and its customer, begins.
    """
    rows = np.arange(len(item))
    habit = rng.beta(2, 2.5, customer[-1] + 1)
    before = order_start - first_line
    repeats = (rng.random(len(item)) < habit[customer]) & (before > 0)
    # The square root draws later lines more often than earlier ones.
    source = np.where(repeats, first_line + (before * np.sqrt(rng.random(len(item)))).astype(np.int64), rows)
    # A source may itself be a repeat; each round halves the way to the line that is not.
    while True:
        further = source[source]
        if np.array_equal(further, source):
            break
        source = further
    repeated = item[source]
    # What an order has already is not drawn a second time from the history, but new.
    _, once = np.unique(order_start * (int(item.max()) + 1) + repeated, return_index=True)
    twice = np.ones(len(item), bool)
    twice[once] = False
    return np.where(twice, item, repeated) + np.int32(1)


def _shares(weights: Array, total: int) -> Array:
    """Return whole numbers >= 1 with the sum `total`, nearly in proportion to the weights."""
    spare = total - len(weights)
    cumulated = np.floor(np.cumsum(weights) / weights.sum() * spare + 0.5).astype(np.int64)
    cumulated[-1] = spare
    return np.asarray(np.diff(cumulated, prepend=0) + 1)


def _normal(weights: Array) -> Array:
    return np.asarray(weights / weights.sum())


if __name__ == "__main__":
    main()
