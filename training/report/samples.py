"""Samples: a few customers, what they bought and what their list was and is, without saying who they are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from recsvc.artifact import Array, Artifact
from recsvc.concepts import GENERATORS, REASONS
from training import compare

CUSTOMERS: Final = 10
_HISTORY: Final = 8

Title = Callable[[str], str]


def choose(new: Artifact, old: Artifact | None, title: Title, seed: int) -> list[dict[str, Any]]:
    """Return up to ten customers with a list, by number of orders, one at random out of each tenth of all.

    Args:
        new: with the arrays of a run, published or not.
        old: the version before, whose lists stand beside; None: there is none to compare with.
        title: item id → what a person calls it; of a sensitive item a text that does not say which.

    Returns:
        [{orders, items, history, new, old}]: how many moments of buying and distinct items; history: up to 8 of the
        items bought most often as {title, orders, last}, last as a date; new, old: lists of at most 10, see `_listed`;
        old is None where the version before does not know the customer. Nothing in it names or numbers the customer.
    """
    orders = _orders(new.arrays)
    listed = np.flatnonzero(new.arrays["finished_rows"][:, 0] >= 0)
    ranked = listed[np.argsort(orders[listed], kind="stable")]
    rng = np.random.default_rng(seed)
    parts = [part for part in np.array_split(ranked, CUSTOMERS) if len(part)]
    rows = [int(rng.choice(part)) for part in parts]
    ids, before = compare.ids_of(new), _before(new, old)
    known = compare.ids_of(old) if old is not None else []
    return [
        {
            "orders": int(orders[row]), **_history(new.arrays, row, ids, title),
            "new": _listed(new, row, ids, title), "old": _old(old, before.get(row), known, title),
        }
        for row in rows
    ]  # fmt: skip


def _orders(arrays: dict[str, Array]) -> Array:
    """Return (customers,) how many moments of buying each had."""
    offsets = arrays["own_offsets"]
    orders = np.zeros(len(offsets) - 1, np.int64)
    np.maximum.at(orders, np.repeat(np.arange(len(orders)), np.diff(offsets)), arrays["own_last_visit"] + 1)
    return orders


def _before(new: Artifact, old: Artifact | None) -> dict[int, int]:
    if old is None:
        return {}
    ours, theirs = compare.shared(new.arrays, old.arrays)
    return dict(zip(ours.tolist(), theirs.tolist(), strict=True))


def _history(arrays: dict[str, Array], row: int, ids: list[str], title: Title) -> dict[str, Any]:
    own = slice(*arrays["own_offsets"][row : row + 2])
    items, orders, last = (arrays[f"own_{name}"][own] for name in ("item_rows", "orders", "last_at"))
    best = np.lexsort((items, -last, -orders))
    bought = [at for at in best.tolist() if orders[at] > 0]
    return {
        "items": len(bought),
        "history": [
            {
                "title": title(ids[items[at]]), "orders": int(orders[at]),
                "last": datetime.fromtimestamp(int(last[at]), UTC).date().isoformat(),
            }
            for at in bought[:_HISTORY]
        ],
    }  # fmt: skip


def _listed(one: Artifact, row: int, ids: list[str], title: Title) -> list[dict[str, Any]]:
    """Return the top 10 of a row: item_id, title, generator, reason, cited (a title or None) and share in [0, 1]."""
    columns = ("rows", "generators", "reasons", "cited", "shares")
    top = zip(*(one.arrays[f"finished_{name}"][row, : compare.K].tolist() for name in columns), strict=True)
    return [
        {
            "item_id": ids[item], "title": title(ids[item]), "generator": GENERATORS[generator].value,
            "reason": REASONS[reason].value, "cited": title(ids[cited]) if cited >= 0 else None,
            "share": round(share, 4),
        }
        for item, generator, reason, cited, share in top
        if item >= 0
    ]  # fmt: skip


def _old(old: Artifact | None, row: int | None, ids: list[str], title: Title) -> list[dict[str, Any]] | None:
    if old is None or row is None:
        return None
    top = old.arrays["finished_rows"][row, : compare.K].tolist()
    return [{"item_id": ids[item], "title": title(ids[item])} for item in top if item >= 0]
