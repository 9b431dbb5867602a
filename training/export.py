"""The export for notebooks: the matrix that training learns from, and what its rows and columns are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse

from training import matrix as matrices
from training.config import Config
from training.sources import Log


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written. entries: of the matrix."""

    customers: int
    items: int
    entries: int
    interactions: int


def export(log: Log, config: Config, titles: dict[str, str], out: Path) -> Exported:
    """Write matrix.npz, customers.parquet, items.parquet and interactions.parquet into a folder.

    The matrix is (customers, items) float32 CSR: the confidence that the collaborative methods learn from, sign · (1 +
    als.alpha · ln(1 + |w|)) with w the sum of the weights of a customer's interactions with an item, aged by
    history.taste_half_life_days; negative where the evidence is against. Rows are those of a run on all days.

    Args:
        titles: item_id → title, of the catalogue.
        out: made where there is none; files of these names are replaced.
    """
    matrix = matrices.build(log, config)
    values = matrices.confidence(matrix, config.als.alpha)
    customer_ids = [log.customer_ids[code] for code in matrix.customer_codes]
    item_ids = [log.item_ids[code] for code in matrix.item_codes]
    out.mkdir(parents=True, exist_ok=True)
    with (out / "matrix.npz").open("wb") as file:
        sparse.save_npz(file, values)
    customers = {"row": np.arange(len(customer_ids), dtype=np.int32), "customer_id": customer_ids}
    items = {
        "row": np.arange(len(item_ids), dtype=np.int32), "item_id": item_ids,
        "title": pa.array([titles.get(item_id) for item_id in item_ids], pa.string()),
    }  # fmt: skip
    for name, columns in (("customers", customers), ("items", items), ("interactions", _interactions(log, matrix))):
        pq.write_table(pa.table(columns), out / f"{name}.parquet", compression="zstd")
    return Exported(len(customer_ids), len(item_ids), values.nnz, len(log))


def _interactions(log: Log, matrix: matrices.Matrix) -> dict[str, pa.Array]:
    """Return every interaction with an item by time; customer_row is null where it names nobody."""
    nobody = log.customers < 0
    rows = np.searchsorted(matrix.customer_codes, log.customers).astype(np.int32)
    return {
        "customer_row": pa.array(rows, mask=nobody),
        "item_row": pa.array(np.searchsorted(matrix.item_codes, log.events.item_rows).astype(np.int32)),
        "weight": pa.array(log.events.weights), "purchase": pa.array(log.events.purchases),
        "occurred_at": pa.array(log.events.at, pa.timestamp("s", tz="UTC")),
    }  # fmt: skip
