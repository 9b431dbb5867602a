"""The export for notebooks: rows and columns mean what the tables beside the matrix say."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import sqlalchemy as sa
from scipy import sparse

from recsvc.store import customers, interactions, items
from tests.conftest import Place
from tests.planted import Quiet, catalogue, interaction, small
from training import export, given

NOW = datetime.now(UTC)


def test_the_matrix_holds_the_confidence_of_each_pair(engine: sa.Engine, tmp_path: Path) -> None:
    items.put(engine, catalogue(NOW)[:1])
    customers.put(engine, [{"customer_id": "b", "segment": None, "attributes": {}}])
    rows = [
        interaction("b", "coffee-00", "purchase", NOW, order_id="o"), interaction("b", "coffee-00", "view", NOW),
        interaction("a", "unlisted", "dislike", NOW), interaction(None, "unlisted", "purchase", NOW, order_id="p"),
    ]  # fmt: skip
    interactions.append_many(engine, rows)
    found = given.read(engine, small(), Quiet())
    export.export(found.log, small(), {"coffee-00": "The coffee-00"}, tmp_path / "out")
    of = {name: pq.read_table(tmp_path / "out" / f"{name}.parquet").to_pylist() for name in ("customers", "items")}
    assert of["customers"] == [{"row": 0, "customer_id": "a"}, {"row": 1, "customer_id": "b"}]
    assert of["items"] == [
        {"row": 0, "item_id": "coffee-00", "title": "The coffee-00"}, {"row": 1, "item_id": "unlisted", "title": None},
    ]  # fmt: skip
    matrix = sparse.load_npz(tmp_path / "out" / "matrix.npz")
    # A purchase and a view weigh 5 + 1, a dislike −5; alpha is 5.
    wanted = [[0.0, -(1.0 + 5.0 * np.log(6.0))], [1.0 + 5.0 * np.log(7.0), 0.0]]
    np.testing.assert_allclose(matrix.toarray(), wanted, rtol=1e-5)
    assert matrix.format == "csr" and matrix.dtype == np.float32
    lines = pq.read_table(tmp_path / "out" / "interactions.parquet")
    told = [(one["customer_row"], one["item_row"], one["weight"], one["purchase"]) for one in lines.to_pylist()]
    wanted_lines = [(1, 0, 5.0, True), (1, 0, 1.0, False), (0, 1, -5.0, False), (None, 1, 5.0, True)]
    assert sorted(told, key=str) == sorted(wanted_lines, key=str)
    assert {one.replace(microsecond=0) for one in lines["occurred_at"].to_pylist()} == {NOW.replace(microsecond=0)}


def test_the_command_writes_the_rows_of_the_shop(place: Place, tmp_path: Path) -> None:
    home = {**os.environ, "RECSVC_HOME": str(place.home)}
    command = [sys.executable, "-m", "training", "export-matrix", "--out"]
    done = subprocess.run([*command, str(tmp_path / "m")], check=False, env=home, capture_output=True, text=True)
    assert done.returncode == 0 and "120 customers × 61 items" in done.stdout.replace("\n", " ")
    assert sparse.load_npz(tmp_path / "m" / "matrix.npz").shape == (120, 61)
    (tmp_path / "file").touch()
    refused = subprocess.run([*command, str(tmp_path / "file")], check=False, env=home, capture_output=True, text=True)
    assert refused.returncode == 2 and "--out: " in refused.stderr
