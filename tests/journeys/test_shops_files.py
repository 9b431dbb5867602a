"""An export never seen before: guess, import, train, ask. Nothing is edited in the map, only the time zone is given."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from recsvc.app import create_app
from recsvc.settings import Settings
from recsvc.store import database
from recsvc.store.files import Piece
from recsvc.store.fills import Filler
from recsvc.store.interactions import interactions
from recsvc.store.keys import Terms, create
from recsvc.store.maps import Fill
from tests.journeys.shops import EXPORTS


def _run(home: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command], env={**os.environ, "RECSVC_HOME": str(home)}, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("export", EXPORTS, ids=lambda one: one.__name__)
def test_an_export_comes_in_and_trains(tmp_path: Path, export: Any) -> None:
    home, file, a_map = tmp_path / "shop", tmp_path / "orders", tmp_path / "map.yaml"
    wanted = export(file)
    _run(home, "recsvc", "import", "guess", str(file), "--out", str(a_map))
    options = (str(file), "--map", str(a_map), "--time-zone", "Europe/Berlin")
    assert "24 different items" in _run(home, "recsvc", "import", "items", *options)
    said = _run(home, "recsvc", "import", "interactions", *options)
    assert ("1 rejected" in said) == ("refused" in wanted) and ("rejected" in said) == ("refused" in wanted)
    settings = Settings(home=home, redis_url="off")
    engine = database.connect(settings.sql_url)
    with engine.connect() as connection:
        rows = connection.execute(sa.select(interactions)).all()
    bought = [row for row in rows if row.kind == "purchase"]
    assert len(bought) == wanted["purchases"] and len(rows) - len(bought) == wanted.get("returns", 0)
    assert sum(row.customer_id is None for row in bought) == wanted["nobody"]
    assert sum(row.value_cents for row in bought) == wanted["cents"] and all(row.order_id for row in rows)
    assert max(len([row for row in bought if row.order_id == one]) for one in {row.order_id for row in bought}) == 4
    small = tmp_path / "training.yaml"
    small.write_text("{als: {factors: 8, iterations: 5}, threads: 1}")
    _run(home, "training", "train", "--config", str(small))
    _one_taste(settings, engine, max(row.customer_id or "" for row in bought))
    engine.dispose()


def _one_taste(settings: Settings, engine: sa.Engine, customer_id: str) -> None:
    """The list of a customer is of what their half of the customers buys, with titles as the shop wrote them."""
    key = create(engine, "shop", datetime.now(UTC), Terms(("storefront",)))
    app = create_app(settings)
    client = app.test_client()
    reply = client.get(f"/v1/customers/{customer_id}/recommendations?limit=5", headers={"X-API-Key": key}).json
    titles = [one["fields"]["title"].lower() for one in reply["items"]]
    assert reply["source"] == "personal" and len(titles) == 5
    assert max(sum("café façon" in one for one in titles), sum("thé vert" in one for one in titles)) >= 4, titles
    app.extensions["recsvc"].current.stop()
    app.extensions["recsvc"].engine.dispose()


def test_an_order_takes_from_its_first_line_across_pieces() -> None:
    table = {
        "order": ["1", "", "1", "2", "", "3", "", ""],
        "who": ["a", "", "", "", "", "c", "x", ""],
        "day": ["d1", "", "", "d2", "", "d3", "", ""],
    }
    wanted = {
        "order": ["1", "1", "1", "2", "2", "3", "3", "3"],
        "who": ["a", "a", "a", None, None, "c", "x", "c"],
        "day": ["d1", "d1", "d1", "d2", "d2", "d3", "d3", "d3"],
    }
    for kind in (pa.string(), pa.binary()):
        columns = {name: pa.array(values, pa.string()).cast(kind) for name, values in table.items()}
        for cut in range(9):
            filler, found = Filler(Fill(by="order", columns=("who", "day"))), {name: [] for name in table}
            for part in (slice(0, cut), slice(cut, 8)):
                numbers = pa.array(range(8))[part].to_numpy()
                piece = filler.filled(Piece({name: one[part] for name, one in columns.items()}, numbers, 0))
                for name in found:
                    found[name] += piece.columns[name].cast(pa.string()).to_pylist()
            assert found == wanted, (kind, cut)
