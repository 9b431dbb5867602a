"""A shop with a large model, made without training: the arrays have the shapes, spread and sparsity of a real one.

What it proposes is nonsense; what that costs is not. The ranker is the planted shop's, the rest is drawn at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from recsvc import artifact
from recsvc.engine.model import hash_customer, pack_ids
from recsvc.store import facts, items
from tests.planted import plant

_OWN, _NEIGHBOURS, _TOGETHER, _DEPTH = 40, 40, 30, 100


@dataclass(frozen=True, slots=True)
class Size:
    """How large: items, factors of each, customers with a row."""

    items: int
    factors: int
    customers: int


def item_id(row: int) -> str:
    """Return the id of an item."""
    return f"item-{row:06}"


def customer_id(number: int) -> str:
    """Return the id of a known customer."""
    return f"k{number}"


def large(size: Size) -> Any:
    """Return what plants a shop of that size: a function like `planted.plant`."""

    def make(engine: sa.Engine, now: datetime, artifacts: Path) -> None:
        plant(engine, now, artifacts)
        micro = int(now.timestamp() * 1e6)
        rows = [_item(row, micro) for row in range(size.items)]
        for start in range(0, size.items, 5000):
            items.put(engine, rows[start : start + 5000])
        publish(artifacts, size, facts.read(engine).customer_secret)

    return make


def publish(artifacts: Path, size: Size, secret: bytes) -> str:
    """Publish a large model made from the one in use, and return its version."""
    version = artifact.current(artifacts)
    assert version is not None
    small = artifact.read(artifacts, version)
    arrays = _enlarged(small.arrays, size, secret)
    manifest = {name: value for name, value in small.manifest.items() if name not in {"arrays", "format", "version"}}
    return artifact.publish(artifacts, artifact.new_version(datetime.now(UTC)), arrays, manifest).name


def _enlarged(small: dict[str, Any], size: Size, secret: bytes) -> dict[str, Any]:
    """Return arrays of another size; what is not drawn here is repeated along items and customers."""
    n, c, rng = size.items, size.customers, np.random.default_rng(3)
    old_n, old_c = small["factors"].shape[1], len(small["customer_high"])
    out = {}
    for name, array in small.items():
        shape = tuple({old_n: n, old_c: c}.get(length, length) for length in array.shape)
        out[name] = array if name.startswith("forest_") or shape == array.shape else np.resize(array, shape)
    factors = (rng.standard_normal((size.factors, n)) * 0.1).astype(np.float32)
    gram = factors @ factors.T
    hashes = sorted(hash_customer(customer_id(one), secret) for one in range(c))
    data, offsets = pack_ids([item_id(row) for row in range(n)])
    popularity = np.sort(rng.zipf(1.5, n).clip(max=100_000).astype(np.float32))[::-1]
    rows = lambda *shape: rng.integers(0, n, shape, dtype=np.int32)  # noqa: E731
    own = np.sort(rng.permuted(np.tile(np.arange(n // 50, dtype=np.int32) * 50, (c, 1)), axis=1)[:, :_OWN], axis=1)
    out |= {
        "item_id_bytes": data, "item_id_offsets": offsets, "factors": factors, "gram": gram,
        "inverse": np.linalg.inv(gram.astype(np.float64) + np.eye(size.factors)), "popularity": popularity,
        "karma": np.ones(n, np.float32), "together_rows": rows(n, _TOGETHER),
        "together_scores": -np.sort(-rng.random((n, _TOGETHER), np.float32), axis=1),
        "neighbour_offsets": np.arange(n + 1) * _NEIGHBOURS, "neighbour_rows": rows(n * _NEIGHBOURS),
        "neighbour_scores": -np.sort(-rng.random((n, _NEIGHBOURS), np.float32), axis=1).ravel(),
        "customer_high": np.array([high for high, _ in hashes], np.uint64),
        "customer_low": np.array([low for _, low in hashes], np.uint64),
        "own_offsets": np.arange(c + 1, dtype=np.int64) * _OWN, "own_item_rows": own.ravel(),
        "finished_rows": np.stack([rng.choice(n, _DEPTH, replace=False) for _ in range(c)]).astype(np.int32),
        "finished_cited": np.repeat(own[:, :1], _DEPTH, axis=1),
    }  # fmt: skip
    entries = {name for name in out if name.startswith("own_")} - {"own_offsets", "own_item_rows"}
    return out | {name: np.resize(small[name], c * _OWN) for name in entries if small[name].ndim == 1}


def _item(row: int, micro: int) -> dict[str, Any]:
    return {
        "item_id": item_id(row), "parent_id": None, "title": f"The item number {row}, in a box of {row % 12 + 1}",
        "categories": ["everything", f"kind {row % 40}", f"variety {row % 900}"], "brand": f"brand {row % 700}",
        "price_cents": 100 + row % 5000, "currency": "EUR", "stock": None, "active": True, "sensitive": False,
        "created_at": micro - 86_400_000_000 * 400, "available_from": None, "available_to": None, "attributes": {},
    }  # fmt: skip
