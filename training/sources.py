"""Where training reads from: the store. A `Log` is a shop's interactions as arrays, ids as codes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from recsvc.artifact import Array
from recsvc.concepts import TASTELESS_REASONS, gives_back, interaction_weight, regrets, rejects
from recsvc.engine.history import DAY, Events
from recsvc.engine.returns import cancelled, undone
from training import bulk
from training.content import Content, of_catalogue
from training.extras import Extras

_RETURNS = {"return", "refund", "cancel"}

Outcome = tuple[str, str]
"""return and its reason, complaint and its subject, review and its stars; "" where nothing was said."""


@dataclass(frozen=True, slots=True)
class Log:
    """All interactions that name an item.

    customer_ids, item_ids: the distinct ids, codes point into them. customers: (e,) int32 codes, −1 where the
    interaction names nobody.
    events: the interactions, `item_rows` being item codes; a purchase of which all was cancelled is none, and its
    cancel takes nothing back. returned: (e,) bool, a return, refund or other cancel.
    regretted: (e,) bool, what `concepts.regrets`. channels: (e,) int32, index into channel_names, −1 for none; None
    where nobody said. outcomes: (e,) int32, index into outcome_names, −1 for none: what a return, a complaint or a
    review says of the item; None where there is none of these. content: what the catalogue says of the items, when it
    was asked. extras: the shop's own columns, by code.
    by_day: kind → (days, counts) as read, days since 1970 (UTC); a part has none.
    """

    customer_ids: list[str]
    item_ids: list[str]
    customers: Array
    events: Events
    returned: Array
    regretted: Array
    channels: Array | None = None
    channel_names: list[str] = field(default_factory=list)
    outcomes: Array | None = None
    outcome_names: list[Outcome] = field(default_factory=list)
    content: Content | None = None
    extras: Extras | None = None
    by_day: dict[str, tuple[Array, Array]] | None = None

    def __len__(self) -> int:
        return len(self.customers)

    def between(self, start: float, end: float) -> Log:
        """Return the part with start <= time < end (epoch seconds); codes keep their meaning."""
        return self.part((self.events.at >= start) & (self.events.at < end))

    def part(self, keep: Array) -> Log:
        """Return the part at which `keep`, (e,) bool, is true; codes keep their meaning."""
        return replace(
            self, customers=self.customers[keep], events=of(self.events, keep), returned=self.returned[keep],
            regretted=self.regretted[keep], channels=None if self.channels is None else self.channels[keep],
            outcomes=None if self.outcomes is None else self.outcomes[keep],
        )  # fmt: skip

    def pairs(self, where: Array) -> Array:
        """Return (t, 2) codes of customer and item, distinct, sorted, of the events at `where`,
        (e,) bool or indices."""
        key = np.unique(self.customers[where].astype(np.int64) << 32 | self.events.item_rows[where].astype(np.int64))
        return np.stack([key >> 32, key & 0xFFFFFFFF], axis=1).astype(np.int32)


def of(events: Events, keep: Array) -> Events:
    """Return the events at which `keep`, (e,) bool, is true."""
    return Events(*(getattr(events, name)[keep] for name in Events.__slots__))


def from_store(
    engine: sa.Engine, weights: dict[str, float], up_to: int, progress: Callable[[int], None] | None = None
) -> Log:
    """Return the interactions of the store up to a revision.

    Args:
        weights: kind → weight, over the defaults of `concepts`.
        progress: called with the number of rows read so far.
    """
    parts: list[pa.RecordBatch] = []
    done = 0
    for batch in bulk.interactions(engine, up_to):
        parts.append(batch)
        done += batch.num_rows
        if progress:
            progress(done)
    if not done:
        none = np.empty(0, np.int32)
        events = Events(
            none,
            none.astype(np.float32),
            none.astype(np.int64),
            none.astype(bool),
            none.astype(bool),
            none.astype(np.int64),
            none.astype(bool),
        )
        return Log([], [], none, events, *(none.astype(bool),) * 2)
    return from_table(pa.Table.from_batches(parts), weights)


def with_catalogue(log: Log, rows: Iterable[Any], new_days: int) -> Log:
    """Return the log with what the catalogue says of its items, and with those that are new.

    Args:
        rows: as `content.of_catalogue` takes them.
        new_days: how long, back from the newest event, an item that nobody did anything with is new.
    """
    since = float(log.events.at.max(initial=0)) - new_days * DAY
    item_ids, content = of_catalogue(log.item_ids, rows, since)
    return replace(log, item_ids=item_ids, content=content)


def from_table(table: pa.Table, weights: dict[str, float]) -> Log:
    """Return the log of a table with the columns customer_id, item_id, kind, occurred_at (microseconds), stars,
    reason, order_id, quantity and perhaps channel and subject.

    The log is the same in whatever order the rows stand: codes follow the order of the ids, events that of time.
    """
    customers, customer_ids = _encode(table["customer_id"])
    items, item_ids = _encode(table["item_id"])
    kinds, names = _encode(table["kind"])
    orders, _ = _encode(table["order_id"])
    at = table["occurred_at"].to_numpy()
    quantity = table["quantity"].fill_null(1).to_numpy()
    weight = _weights(table, kinds, names, weights)
    rejected = _said(rejects, table, kinds, names)
    outcomes, outcome_names = _outcomes(table, kinds, names)
    pairs = customers.astype(np.int64) << 32 | items
    order = np.lexsort((quantity, outcomes, rejected, weight, orders, kinds, pairs, at))
    customers, items, kinds, orders, at = (one[order] for one in (customers, items, kinds, orders, at))
    quantity = quantity[order]
    bought, given_back, cancels = (_of_kind(kinds, names, {kind}) for kind in ("purchase", "return", "cancel"))
    returned = _of_kind(kinds, names, _RETURNS)
    back = given_back | cancels
    both = np.flatnonzero((bought | back) & (customers >= 0)) if back.any() else np.empty(0, np.int64)
    orders[both] = undone(customers[both], items[both], orders[both], at[both], quantity[both], bought[both])
    gone, did = cancelled(customers, items, orders, quantity, bought, cancels)
    # A purchase without an order id is an order of its own.
    orders = np.where(orders < 0, -1 - np.arange(len(orders), dtype=np.int64), orders)
    events = Events(
        item_rows=items, weights=weight[order], at=at // 1_000_000, purchases=bought & ~gone,
        rejections=rejected[order], orders=orders,
        returns=_of_kind(kinds, names, {name for name in names if gives_back(name)}),
    )  # fmt: skip
    regretted = _of_kind(kinds, names, {name for name in names if regrets(name)})
    by_day = {name: np.unique(events.at[kinds == code] // 86400, return_counts=True) for code, name in enumerate(names)}
    log = Log(
        customer_ids, item_ids, customers, events, returned & ~did, regretted, by_day=by_day,
        outcomes=outcomes[order] if outcome_names else None, outcome_names=outcome_names,
    )  # fmt: skip
    if "channel" not in table.column_names:
        return log
    channels, names = _encode(table["channel"])
    return replace(log, channels=channels[order], channel_names=names)


def _of_kind(kinds: Array, names: list[str], wanted: set[str]) -> Array:
    """Return (e,) bool: the events whose kind is one of `wanted`."""
    return np.isin(kinds, [code for code, name in enumerate(names) if name in wanted])


def _said(says: Callable[[str, str | None], bool], table: pa.Table, kinds: Array, names: list[str]) -> Array:
    """Return (e,) bool: what `says` of the kind and reason of each row, looked up once per distinct combination."""
    reasons, reason_names = _encode(table["reason"])
    combined = kinds.astype(np.int64) * (len(reason_names) + 1) + reasons + 1
    distinct, inverse = np.unique(combined, return_inverse=True)
    texts = [None, *reason_names]
    width = len(reason_names) + 1
    return np.array([says(names[one // width], texts[one % width]) for one in distinct.tolist()], bool)[inverse]


def _outcomes(table: pa.Table, kinds: Array, names: list[str]) -> tuple[Array, list[Outcome]]:
    """Return (e,) int32 codes, −1 for none, and what they stand for, sorted: see `Log`."""
    found = np.full(len(kinds), -1, np.int32)
    columns = {"return": "reason", "complaint": "subject", "review": "stars"}
    told: list[tuple[str, Array, list[str]]] = []
    for kind in sorted(columns.keys() & set(names)):
        rows = np.flatnonzero(kinds == names.index(kind))
        column = (
            table[columns[kind]] if columns[kind] in table.column_names else pa.chunked_array([pa.nulls(len(kinds))])
        )
        codes, texts = _encode(column.take(rows).cast(pa.string()))
        told.append((kind, rows, [*texts, ""]))
        found[rows] = codes
    outcomes = sorted({(kind, text) for kind, rows, texts in told for text in texts})
    place = {one: n for n, one in enumerate(outcomes)}
    for kind, rows, texts in told:
        found[rows] = np.array([place[kind, text] for text in texts], np.int32)[found[rows]]
    return found, outcomes


def _weights(table: pa.Table, kinds: Array, names: list[str], weights: dict[str, float]) -> Array:
    """Return (e,) float32: `interaction_weight` of each row, looked up once per distinct combination."""
    stars = np.nan_to_num(table["stars"].to_numpy(zero_copy_only=False).astype(np.float64)).astype(np.int64)
    tasteless, reasons = _encode(table["reason"])
    quiet = np.isin(tasteless, [i for i, reason in enumerate(reasons) if reason in TASTELESS_REASONS])
    combined = (kinds.astype(np.int64) * 16 + stars) * 2 + quiet
    distinct, inverse = np.unique(combined, return_inverse=True)
    values = [
        interaction_weight(names[one // 32], (one // 2) % 16 or None, "wrong_size" if one % 2 else None, weights)
        for one in distinct.tolist()
    ]
    return np.array(values, np.float32)[inverse]


def _encode(column: pa.ChunkedArray) -> tuple[Array, list[str]]:
    """Return int codes (−1 for null) and the distinct values, sorted: a code says nothing of who came first."""
    encoded = column.combine_chunks().dictionary_encode()
    order = pc.array_sort_indices(encoded.dictionary).to_numpy()
    ranks = np.full(len(order) + 1, -1, np.int32)  # the last is that of null
    ranks[order] = np.arange(len(order), dtype=np.int32)
    return ranks[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)], encoded.dictionary.take(
        order
    ).to_pylist()
