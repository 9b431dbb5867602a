"""Import files: what is wrong is named by file, row and column, and nothing is doubled."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from recsvc.errors import InvalidRequest
from recsvc.flows.imports import import_files
from recsvc.store import database, facts, interactions, items, live

AT = datetime(2026, 11, 1, 10, 30, 0, 123456, tzinfo=UTC)
PURCHASE = {
    "interaction_id": "i1", "customer_id": "01", "item_id": "a/b", "kind": "purchase", "occurred_at": AT, "quantity": 2,
    "value_cents": 150, "currency": "EUR", "order_id": "o1", "channel": "store",
}  # fmt: skip


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    engine = database.connect(f"sqlite:///{tmp_path / 'x' / 'shop.db'}")
    database.migrate(engine)
    facts.ensure(engine)
    return engine


def _file(tmp_path: Path, *rows: dict[str, Any], schema: pa.Schema | None = None) -> Path:
    path = tmp_path / "file.parquet"
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path)
    return path


def _load(engine: sa.Engine, noun: str, path: Path) -> tuple[int, int]:
    return import_files(engine, noun, [path], lambda done, total: None)


def test_an_interaction_comes_back_as_it_was(engine: sa.Engine, tmp_path: Path) -> None:
    assert _load(engine, "interactions", _file(tmp_path, PURCHASE)) == (1, 0)
    with engine.connect() as connection:
        row = connection.execute(sa.select(interactions.interactions)).one()
    assert (row.customer_id, row.item_id, row.kind, row.quantity, row.value_cents) == ("01", "a/b", "purchase", 2, 150)
    assert row.occurred_at == int(AT.timestamp()) * 1_000_000 + 123456
    assert (row.currency, row.order_id, row.channel) == ("EUR", "o1", "store")


def test_importing_twice_adds_nothing(engine: sa.Engine, tmp_path: Path) -> None:
    path = _file(tmp_path, PURCHASE, {**PURCHASE, "interaction_id": "i2"}, PURCHASE)
    assert _load(engine, "interactions", path) == (3, 1)
    assert _load(engine, "interactions", path) == (3, 3)
    assert interactions.newest_revision(engine) >= 2
    assert len(interactions.history(engine, "01", 10)) == 2


def test_items_replace_and_workers_are_told(engine: sa.Engine, tmp_path: Path) -> None:
    before = facts.read(engine).catalogue
    _load(engine, "items", _file(tmp_path, {"item_id": "a", "title": "Old", "categories": ["x"]}))
    _load(engine, "items", _file(tmp_path, {"item_id": "a", "title": "New", "categories": ["x"], "stock": 3}))
    assert facts.read(engine).catalogue == before + 2
    found = live.load_catalogue(engine, 0).items["a"]
    assert (found.title, found.stock, found.active, found.sensitive) == ("New", 3, True, False)


def test_whole_number_ids_become_their_text(engine: sa.Engine, tmp_path: Path) -> None:
    _load(engine, "items", _file(tmp_path, {"item_id": 123, "title": "x"}))
    assert list(live.load_catalogue(engine, 0).items) == ["123"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"customer_id": None}, "column customer_id: row 2: is empty"),
        ({"kind": "bought"}, "column kind: row 2: 'bought', must be one of"),
        ({"quantity": -1}, "column quantity: row 2: '-1', must be 0 to"),
        ({"item_id": "a\x00"}, "column item_id: row 2"),
        ({"channel": "pigeon"}, "column channel: row 2"),
        ({"occurred_at": datetime(2090, 1, 1, tzinfo=UTC)}, "column occurred_at: row 2"),
        ({"item_id": None}, "interaction 'i2': a purchase needs item_id"),
        ({"kind": "offer_redeemed"}, "interaction 'i2': a offer_redeemed needs offer_id"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_kept(
    engine: sa.Engine, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    path = _file(tmp_path, PURCHASE, {**PURCHASE, "interaction_id": "i2", **change})
    with pytest.raises(InvalidRequest) as error:
        _load(engine, "interactions", path)
    assert words in error.value.message
    assert interactions.newest_revision(engine) == 0


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"item_id": "a", "title": "x", "colour": "red"}, "unknown column 'colour'"),
        ({"item_id": "a"}, "the column title is missing"),
        ({"item_id": 123.0, "title": "x"}, "holds double, must be text"),
        ({"item_id": "a", "title": "x", "price_cents": 1.5}, "holds double, must be whole numbers"),
        ({"item_id": "a", "title": "x", "created_at": datetime(2026, 1, 1)}, "with a time zone"),
        ({"item_id": "a", "title": "x", "attributes": "{"}, "row 1: '{' is not JSON"),
        ({"item_id": "a", "title": "x", "categories": ["a", None]}, "a list holds an empty value"),
    ],
)
def test_a_bad_column_is_named(engine: sa.Engine, tmp_path: Path, row: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        _load(engine, "items", _file(tmp_path, row))
    assert words in error.value.message


def test_what_is_not_parquet_is_said(engine: sa.Engine, tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InvalidRequest, match="cannot be read as Parquet"):
        _load(engine, "items", path)


def test_missing_items_of_the_catalogue_are_inactive(engine: sa.Engine) -> None:
    items.put(engine, [])
    active, stock, *_ = live.columns(live.load_catalogue(engine, 0), ["nope"])
    assert active.tolist() == [False] and stock.tolist() == [float("inf")]
