"""Compare: two published versions side by side, from their artifacts alone.

Customers are aligned by their keyed hash and items by their id. Only the arrays of the finished lists are looked at, so
a version that today's engine would no longer serve can still be compared.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from recsvc.artifact import Array, Artifact
from recsvc.engine.model import unpack_ids
from recsvc.errors import ArtifactInvalid, InvalidRequest
from recsvc.store.published import Published

K: Final = 10
MOVERS: Final = 10
_NAMED: Final = 20
_ARRAYS: Final = ("customer_high", "customer_low", "finished_rows", "item_id_bytes", "item_id_offsets")


def resolve(store: Published, name: str) -> str:
    """Return the version that `name` names: itself, or the one in use for `current`.

    Raises:
        InvalidRequest: there is none of that name; the nearest one is named.
    """
    in_use, known = store.names()
    if name == "current":
        if in_use is None:
            raise InvalidRequest(f"current: nothing is published in {store.root}")
        return in_use
    if name in known:
        return name
    if not known:
        raise InvalidRequest(f"{name}: unknown version, nothing is published in {store.root}")
    nearest = difflib.get_close_matches(name, [*known, "current"], n=1, cutoff=0.0)[0]
    raise InvalidRequest(f"{name}: unknown version, the nearest is {nearest}")


def compare(a: Artifact, b: Artifact) -> dict[str, Any]:
    """Return what is different between two versions, as plain values for JSON.

    Returns:
        a, b: version, ordering, published_at (epoch seconds), counts and window of each.
        metrics: [{metric, a, b}], each side {value, low, high} of what orders its lists, or None.
        configuration, learnt: [{field, a, b}] where the two differ; a side without the field lacks the key.
        lists: customers (in both, with a list in both), overlap (mean share of the longer top 10 that is in both) and
        first_changed (share of them whose first item is another); both None without such customers.
        movers: [{item_id, a, b}], shares of all slots in the top 10s of each version, the largest change first.
        items, customers: came, went, stayed; of items also the ids of up to 20 that came and went, sorted.

    Raises:
        ArtifactInvalid: a version lacks the arrays of the lists.
    """
    for one in (a, b):
        if any(name not in one.arrays for name in _ARRAYS):
            raise ArtifactInvalid(f"{one.version}: holds no finished lists, so it cannot be compared")
    ids, tops = _tops(a, b)
    rows = shared(a.arrays, b.arrays)
    sides = {"a": _side(a), "b": _side(b)}
    sizes = [len(one.arrays["customer_high"]) for one in (a, b)]
    return {
        **sides,
        "metrics": _metrics(a.manifest, b.manifest),
        "configuration": _differences(*(one.manifest.get("configuration", {}) for one in (a, b))),
        "learnt": _differences(_learnt(a.manifest), _learnt(b.manifest)),
        "lists": _lists(tops[0][rows[0]], tops[1][rows[1]]),
        "movers": _movers(ids, *tops),
        "items": _items(a, b),
        "customers": {"came": sizes[1] - len(rows[0]), "went": sizes[0] - len(rows[0]), "stayed": len(rows[0])},
    }


def _side(one: Artifact) -> dict[str, Any]:
    names = ("ordering", "published_at", "counts", "window")
    return {"version": one.version, **{name: one.manifest.get(name) for name in names}}


def _metrics(a: dict[str, Any], b: dict[str, Any]) -> list[dict[str, Any]]:
    ours, theirs = (one.get("metrics", {}).get(one.get("ordering"), {}) for one in (a, b))
    names = [name for name in {**ours, **theirs} if not name.endswith(("_low", "_high")) and name != "lead"]
    return [{"metric": name, "a": measured(ours, name), "b": measured(theirs, name)} for name in names]


def measured(row: dict[str, float], name: str) -> dict[str, float | None] | None:
    """Return value, low and high of a metric in a row of a manifest's metrics; None where it was not measured."""
    if name not in row:
        return None
    return {"value": row[name], "low": row.get(f"{name}_low"), "high": row.get(f"{name}_high")}


def _learnt(manifest: dict[str, Any]) -> dict[str, Any]:
    known = manifest.get("parameters", {})
    return {"ordering": manifest.get("ordering")} | {n: known[n] for n in ("blend", "visit_decay") if n in known}


def _differences(a: dict[str, Any], b: dict[str, Any]) -> list[dict[str, Any]]:
    ours, theirs = dict(_flat(a)), dict(_flat(b))
    found = []
    for field in sorted({**ours, **theirs}):
        sides = {side: values[field] for side, values in (("a", ours), ("b", theirs)) if field in values}
        if len(sides) < 2 or sides["a"] != sides["b"]:
            found.append({"field": field, **sides})
    return found


def _flat(values: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def shared(a: dict[str, Array], b: dict[str, Array]) -> tuple[Array, Array]:
    """Return the rows in `a` and in `b` of the customers in both; within each a hash is there once."""
    high, low = (np.concatenate([a[name], b[name]]) for name in ("customer_high", "customer_low"))
    order = np.lexsort((low, high))  # stable: of two equal ones that of `a` comes first
    high, low = high[order], low[order]
    same = (high[1:] == high[:-1]) & (low[1:] == low[:-1])
    return order[:-1][same], order[1:][same] - len(a["customer_high"])


def ids_of(one: Artifact) -> list[str]:
    """Return the item ids of a version, in the order of its item rows."""
    return unpack_ids(one.arrays["item_id_bytes"], one.arrays["item_id_offsets"])


def _tops(a: Artifact, b: Artifact) -> tuple[list[str], list[Array]]:
    """Return the ids of both versions, each once, and per version (customers, 10) positions in them, −1 for none."""
    code: dict[str, int] = {}
    tops = []
    for one in (a, b):
        codes = np.array([code.setdefault(item_id, len(code)) for item_id in ids_of(one)] + [-1], np.int64)
        tops.append(codes[one.arrays["finished_rows"][:, :K]])  # −1 takes the last, which is −1
    return list(code), tops


def _lists(ours: Array, theirs: Array) -> dict[str, Any]:
    both = (ours >= 0).any(axis=1) & (theirs >= 0).any(axis=1)
    ours, theirs = ours[both], theirs[both]
    if not len(ours):
        return {"customers": 0, "overlap": None, "first_changed": None}
    hits = np.zeros(len(ours))
    for slot in range(ours.shape[1]):  # one slot at a time: all at once would be customers × 100
        hits += ((theirs == ours[:, slot : slot + 1]) & (theirs >= 0)).any(axis=1)
    longer = np.maximum((ours >= 0).sum(axis=1), (theirs >= 0).sum(axis=1))
    changed = ours[:, 0] != theirs[:, 0]
    return {"customers": len(ours), "overlap": float((hits / longer).mean()), "first_changed": float(changed.mean())}


def _movers(ids: list[str], ours: Array, theirs: Array) -> list[dict[str, Any]]:
    a, b = (np.bincount(top[top >= 0], minlength=len(ids)) / max(int((top >= 0).sum()), 1) for top in (ours, theirs))
    best = np.argsort(-np.abs(b - a), kind="stable")[:MOVERS]
    return [{"item_id": ids[i], "a": float(a[i]), "b": float(b[i])} for i in best.tolist() if a[i] != b[i]]


def _items(a: Artifact, b: Artifact) -> dict[str, Any]:
    ours, theirs = set(ids_of(a)), set(ids_of(b))
    came, went = sorted(theirs - ours), sorted(ours - theirs)
    return {
        "came": len(came), "went": len(went), "stayed": len(ours & theirs),
        "came_ids": came[:_NAMED], "went_ids": went[:_NAMED],
    }  # fmt: skip
