"""JSON lines with objects within: a field of one is a column, an object is no id."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from recsvc.errors import InvalidRequest
from recsvc.flows.imports import Order, Outcome, import_files
from recsvc.store import items, maps
from recsvc.store.columns import COLUMNS
from recsvc.store.customers import customers
from recsvc.store.guess import guess_map
from recsvc.store.interactions import interactions
from recsvc.store.maps import Map

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def _load(engine: sa.Engine, noun: str, path: Path, a_map: Map) -> Outcome:
    return import_files(engine, Order(noun, [path], a_map, NOW), lambda *_: None)


def test_a_customer_within_an_object_is_guessed_and_read(engine: sa.Engine, tmp_path: Path) -> None:
    path, out = tmp_path / "orders.jsonl", tmp_path / "map.yaml"
    orders = [
        {"id": n, "created_at": f"2026-06-{n + 1:02}T10:00:00Z", "customer": {"id": f"0{n % 3}", "address": {"city": "Iași"}},
         "line_items": [{"sku": f"s{n % 4}", "quantity": 1, "price": "2.50"}]} for n in range(9)
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, orders)))
    out.write_text(guess_map(path))
    found = maps.load(out, COLUMNS)
    assert found.interactions["customer_id"].column == "customer.id"
    assert found.interactions["item_id"].column == "line_items.sku"
    assert _load(engine, "interactions", path, found).rejected == 0
    with engine.connect() as connection:
        assert set(connection.scalars(sa.select(interactions.c.customer_id))) == {"00", "01", "02"}


@pytest.mark.parametrize("wrong", [{"id": 7}, [7], True, 7.0])
def test_what_is_no_text_is_no_id(engine: sa.Engine, tmp_path: Path, wrong: object) -> None:
    path = tmp_path / "customers.jsonl"
    path.write_text(json.dumps({"customer_id": wrong}) + '\n{"customer_id": "{a}"}\n')
    outcome = _load(engine, "customers", path, Map())
    assert (outcome.read, outcome.rejected) == (2, 1)
    ((column, reason),) = outcome.reasons
    assert column == "customer_id" and "ids are text" in reason


def test_an_object_of_our_own_column_is_whole(engine: sa.Engine, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text('{"item_id": "a", "title": "A", "attributes": {"color": {"name": "red"}}}')
    assert _load(engine, "items", path, Map()).rejected == 0
    with engine.connect() as connection:
        assert connection.scalar(sa.select(items.items.c.attributes)) == {"color": {"name": "red"}}


def test_a_map_without_the_noun_says_so(engine: sa.Engine, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("sku,who\na,b\n")
    with pytest.raises(InvalidRequest, match="the map says nothing of items: it has customers"):
        _load(engine, "items", path, Map.model_validate({"customers": {"customer_id": "who"}}))


def test_whole_decimals_are_ids(engine: sa.Engine, tmp_path: Path) -> None:
    """As warehouses write numbers into Parquet."""
    path = tmp_path / "customers.parquet"
    pq.write_table(pa.table({"customer_id": pa.array([Decimal(7), Decimal(120)], pa.decimal128(10, 0))}), path)
    assert _load(engine, "customers", path, Map()).rejected == 0
    with engine.connect() as connection:
        assert set(connection.scalars(sa.select(customers.c.customer_id))) == {"7", "120"}
