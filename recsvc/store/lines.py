"""Lines of orders into interactions: returns, and ids for lines that have none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsvc.artifact import Array
from recsvc.concepts import KINDS, NOTHING
from recsvc.intake import derived_id, digest
from recsvc.store import interactions
from recsvc.store.maps import Returns
from recsvc.store.values import Wrong

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ITEM_KINDS: Final = [name for name, kind in KINDS.items() if kind.needs_item]
_OFFER_KINDS: Final = [name for name, kind in KINDS.items() if kind.needs_offer]
# What an order without a customer may say: the lines still tell which items go together.
_ORDER_KINDS: Final = ("purchase", "return", "refund", "cancel")

_DISCOUNT: Final = "is below zero and the quantity is not: a discount is no purchase and no return"


def checked(columns: dict[str, Any], returns: Returns | None, wrong: Wrong) -> tuple[dict[str, Any], Array]:
    """Return what `signed` does, and note the rows that lack what their kind needs."""
    found, corrections = signed(columns, returns, wrong)
    complete(found, wrong)
    return found, corrections


def signed(columns: dict[str, Any], returns: Returns | None, wrong: Wrong) -> tuple[dict[str, Any], Array]:
    """Return the columns with purchases of a negative quantity, or of a credit note, turned into returns, and
    (rows,) bool: corrections of the stock, which name no customer and are no credit note.

    A purchase of nothing, and a value below zero where no quantity is (a discount), are noted as wrong.
    """
    count = len(columns["kind"])
    none = np.zeros(count, bool)
    quantity, value = (_numbers(columns.get(name), count) for name in ("quantity", "value_cents"))
    credit = none
    if returns is not None and returns.prefix and "order_id" in columns:
        credit = _true(pc.starts_with(columns["order_id"], returns.prefix))
    purchase = _true(pc.equal(columns["kind"], "purchase"))
    back = purchase & ((quantity < 0) | credit) if returns is not None else none
    # What is called a refund may be written below zero, or not.
    plain = ~purchase if returns is None else ~purchase & ~_true(_among(columns["kind"], list(_ORDER_KINDS)))
    if "quantity" in columns:
        _note(wrong, "quantity", columns, purchase & _true(pc.equal(columns["quantity"], 0)), NOTHING)
        _note(wrong, "quantity", columns, plain & (quantity < 0), "must not be below zero here")
    _note(wrong, "value_cents", columns, plain & (value < 0), "must not be below zero here")
    # Not turned into a return, nor into its opposite: a discount line sells nothing and nothing came back.
    _note(wrong, "value_cents", columns, purchase & ~back & (value < 0), _DISCOUNT)
    if returns is None:
        return columns, none
    found = {**columns, "kind": pc.if_else(pa.array(back), "return", columns["kind"])}
    for name in ("quantity", "value_cents"):
        if name in columns:
            found[name] = pc.abs(columns[name])
    nobody = _true(pc.is_null(columns["customer_id"])) if "customer_id" in columns else ~none
    return found, back & ~credit & nobody if returns.prefix else none


def _note(wrong: Wrong, name: str, columns: dict[str, Any], rows: Array, reason: str) -> None:
    for row in np.flatnonzero(rows).tolist():
        wrong.note(row, name, columns[name][row].as_py(), reason)


def complete(columns: dict[str, Any], wrong: Wrong) -> None:
    """Note the rows that lack what their kind needs: an item, an offer, a customer or an order."""
    kinds = columns["kind"]
    missing = {
        name: _true(pc.is_null(columns[name])) if name in columns else np.ones(len(kinds), bool)
        for name in ("item_id", "offer_id", "customer_id", "order_id")
    }
    needs = {"item_id": _true(_among(kinds, _ITEM_KINDS)), "offer_id": _true(_among(kinds, _OFFER_KINDS))}
    for name, needed in needs.items():
        for row in np.flatnonzero(needed & missing[name]).tolist():
            wrong.note(row, name, None, f"a {kinds[row].as_py()} needs {name}")
    order = _true(_among(kinds, list(_ORDER_KINDS))) & ~missing["order_id"]
    for row in np.flatnonzero(missing["customer_id"] & ~order & _true(pc.is_valid(kinds))).tolist():
        wrong.note(row, "customer_id", None, f"a {kinds[row].as_py()} without order_id needs customer_id")


class Ordinals:
    """Counts equal lines of one file, so that two of one order stay two: 8 bytes for each distinct line."""

    def __init__(self) -> None:
        self._runs: list[Array] = []
        self._counts: dict[int, int] = {}

    def of(self, marks: Array) -> Array:
        """Return (m,) int64: how many equal marks, (m,) uint64, came before each."""
        distinct, inverse, counts = np.unique(marks, return_inverse=True, return_counts=True)
        seen = np.zeros(len(distinct), bool)
        for run in self._runs:
            place = np.minimum(np.searchsorted(run, distinct), len(run) - 1)
            seen |= run[place] == distinct
        before = np.array([self._counts.get(mark, 1) for mark in distinct[seen].tolist()], np.int64)
        base = np.zeros(len(distinct), np.int64)
        base[seen] = before
        again = (base + counts) > 1
        self._counts |= dict(zip(distinct[again].tolist(), (base + counts)[again].tolist(), strict=True))
        self._remember(distinct[~seen])
        order = np.argsort(inverse, kind="stable")
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        within = np.empty(len(marks), np.int64)
        within[order] = np.arange(len(marks)) - np.repeat(starts, counts)
        return np.asarray(base[inverse] + within)

    def _remember(self, fresh: Array) -> None:
        # Runs of doubling length, as in a log-structured tree: few to search, each line merged a few times.
        if len(fresh):
            self._runs.append(fresh)
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            last = self._runs.pop()
            self._runs[-1] = np.sort(np.concatenate([self._runs[-1], last]))


def rows(columns: dict[str, Any], keep: Array, ordinals: Ordinals) -> list[tuple[Any, ...]]:
    """Return the kept interactions as rows of the store, in the order of `interactions.COLUMNS`."""
    lists, digests = _digested(columns, keep, ordinals)
    count = int(keep.sum())
    full = {**{name: [None] * count for name in interactions.COLUMNS}, **lists, "digest": digests}
    return list(zip(*(full[name] for name in interactions.COLUMNS), strict=True))


def digests(columns: dict[str, Any], keep: Array, ordinals: Ordinals) -> list[bytes]:
    """Return the digest of each kept interaction, of which the store takes every one once."""
    return _digested(columns, keep, ordinals)[1]


def _digested(columns: dict[str, Any], keep: Array, ordinals: Ordinals) -> tuple[dict[str, list[Any]], list[bytes]]:
    kept = pa.array(keep)
    lists = {name: _interned(values.filter(kept)) for name, values in columns.items()}
    names = lists.pop("interaction_id", None) or [None] * int(keep.sum())
    known = [b"" if name is None else digest(name) for name in names]
    without = [row for row, name in enumerate(names) if name is None]
    if without:
        lines = [_fields(lists, row) for row in without]
        found = [digest(derived_id(line, 0)) for line in lines]
        marks = np.frombuffer(b"".join(one[:8] for one in found), np.uint64)
        for row, line, first, ordinal in zip(without, lines, found, ordinals.of(marks).tolist(), strict=True):
            known[row] = digest(derived_id(line, ordinal)) if ordinal else first
    return lists, known


def _fields(lists: dict[str, list[Any]], row: int) -> dict[str, Any]:
    line = {name: values[row] for name, values in lists.items() if values[row] is not None}
    line["occurred_at"] = _EPOCH + timedelta(microseconds=line["occurred_at"])
    return line


def _interned(values: Any) -> list[Any]:
    """Return Python values, equal texts as one object: an order has one id, however many lines."""
    if not pa.types.is_string(values.type):
        return list(values.to_pylist())
    encoded = values.dictionary_encode()
    texts = [*encoded.dictionary.to_pylist(), None]
    return [texts[code] for code in encoded.indices.fill_null(-1).to_pylist()]


def _among(values: Any, names: list[str]) -> Any:
    return pc.is_in(values, pa.array(names))


def _numbers(values: Any, count: int) -> Array:
    return np.zeros(count, np.int64) if values is None else pc.fill_null(values, 0).to_numpy(zero_copy_only=False)


def _true(mask: Any) -> Array:
    return np.asarray(pc.fill_null(mask, False).to_numpy(zero_copy_only=False))
