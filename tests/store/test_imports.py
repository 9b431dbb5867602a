"""Import of items, customers and offers: a file changes what it speaks of and nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from recsvc.flows import terms
from recsvc.flows.imports import Order, Outcome, import_files
from recsvc.store import customers, database, interactions, items, offers
from recsvc.store.maps import Map

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
WARY = {
    "customer_id": "c", "segment": "tea", "attributes": {"x": 1}, "consent": {"email": False},
    "quiet_hours": "21:00-08:00", "contact_cap": 1, "profiling": False, "preferences": {"a": True},
}  # fmt: skip
SOLD_OUT = {
    "item_id": "a", "title": "A", "stock": 0, "active": False, "cost_cents": 5, "url": "https://shop.example/a",
    "sensitive": True, "categories": ["tea"], "attributes": {"x": 1}, "created_at": 7,
}  # fmt: skip


def _load(engine: sa.Engine, noun: str, path: Path, text: str, **a_map: Any) -> Outcome:
    path.write_text(text)
    order = Order(noun, [path], Map.model_validate(a_map), NOW)
    return import_files(engine, order, lambda rows, done, total: None)


def _rows(engine: sa.Engine, table: sa.Table) -> dict[str, dict[str, Any]]:
    with engine.connect() as connection:
        found = [dict(row._mapping) for row in connection.execute(sa.select(table))]
    return {row[table.primary_key.columns[0].name]: row for row in found}


def test_a_list_of_segments_keeps_who_wants_no_profile(engine: sa.Engine, tmp_path: Path) -> None:
    customers.put(engine, [WARY])
    _load(engine, "customers", tmp_path / "c.csv", "customer_id,segment\nc,coffee\nnew,tea\n")
    found = _rows(engine, customers.customers)
    assert {name: found["c"][name] for name in WARY} == {**WARY, "segment": "coffee"}
    assert found["new"]["attributes"] == {} and found["new"]["profiling"] is None


def test_an_order_export_keeps_what_is_sold_out_and_withdrawn(engine: sa.Engine, tmp_path: Path) -> None:
    items.put(engine, [SOLD_OUT])
    a_map = {"items": {"item_id": "sku", "title": "name"}}
    _load(engine, "items", tmp_path / "o.csv", "sku,name,qty\na,Tea,1\na,Green tea,1\nb,B,2\n", **a_map)
    found = _rows(engine, items.items)
    assert {name: found["a"][name] for name in SOLD_OUT} == {**SOLD_OUT, "title": "Green tea"}
    new = {name: found["b"][name] for name in ("active", "sensitive", "stock", "categories", "attributes")}
    assert new == {"active": True, "sensitive": False, "stock": None, "categories": [], "attributes": {}}


def test_an_empty_value_of_a_column_that_is_there_counts(engine: sa.Engine, tmp_path: Path) -> None:
    items.put(engine, [SOLD_OUT])
    _load(engine, "items", tmp_path / "i.csv", "item_id,title,stock,active\na,A,,\n")
    found = _rows(engine, items.items)["a"]
    assert (found["stock"], found["active"], found["cost_cents"]) == (None, True, 5)


def test_each_json_line_changes_its_own_fields(engine: sa.Engine, tmp_path: Path) -> None:
    items.put(engine, [SOLD_OUT, {**SOLD_OUT, "item_id": "b"}, {**SOLD_OUT, "item_id": "c"}])
    lines = [
        {"item_id": "a", "title": "A"}, {"item_id": "b", "title": "B", "stock": None}, {"item_id": "c", "title": "C", "stock": 4},
        {"item_id": "c", "title": "C", "brand": "x"}, {"item_id": "d", "title": "D", "brand": "x"},
    ]  # fmt: skip
    _load(engine, "items", tmp_path / "i.jsonl", "\n".join(map(json.dumps, lines)))
    found = _rows(engine, items.items)
    assert {one: (row["stock"], row["active"], row["brand"]) for one, row in found.items()} == {
        "a": (0, False, None), "b": (None, False, None), "c": (4, False, "x"), "d": (None, True, "x"),
    }  # fmt: skip


def test_what_was_taken_away_comes_back_as_it_was(engine: sa.Engine, tmp_path: Path) -> None:
    customers.put(engine, [WARY])
    with database.writing(engine) as connection:
        connection.execute(sa.update(customers.customers).values(deleted=True))
    _load(engine, "customers", tmp_path / "c.csv", "customer_id\nc\n")
    found = _rows(engine, customers.customers)["c"]
    assert found["deleted"] is False and found["profiling"] is False


@pytest.mark.parametrize("returns", [{}, {"returns": {}}, {"returns": {"prefix": "C"}}])
@pytest.mark.parametrize(
    "source", [{"from": "price", "unit": "major"}, {"from": "price", "times": "qty", "unit": "major"}]
)
def test_a_discount_and_nothing_sold_are_refused_not_turned(
    engine: sa.Engine, tmp_path: Path, returns: dict[str, Any], source: dict[str, Any]
) -> None:
    lines = ["1,a,2,5.00", "1,off,1,-5.00", "1,b,0,5.00", "2,c,,-1.00", "3,d,,1.00"]
    back = ["4,a,-1,2.00", "C5,a,1,-2.00"]
    given = lines + (back if "prefix" in returns.get("returns", {}) else [])
    text = "order,sku,qty,price,day,who\n" + "".join(f"{line},2026-05-01T00:00:00Z,c\n" for line in given)
    columns = {
        "kind": {"value": "purchase"}, "order_id": "order", "item_id": "sku", "quantity": "qty", "occurred_at": "day",
        "customer_id": "who", "value_cents": source,
    }  # fmt: skip
    outcome = _load(engine, "interactions", tmp_path / "o.csv", text, interactions=columns, **returns)
    with engine.connect() as connection:
        found = connection.execute(sa.select(interactions.interactions)).all()
    refused = [json.loads(line) for line in outcome.rejects[0].read_text().splitlines()]
    by_row = {one["row"]: (one["column"], one["reason"]) for one in refused}
    plain = not returns and "times" not in source  # then no number of the file may be below zero
    assert by_row[2][0] == "value_cents" and ("must be 0 to" if plain else "a discount is no purchase") in by_row[2][1]
    assert by_row[3] == ("quantity", "a purchase of 0 pieces is none")
    # Price times an empty quantity is no value, so there is no sign to judge.
    assert set(by_row) == ({2, 3} if "times" in source else {2, 3, 4})
    assert {row.order_id for row in found if row.kind == "return"} == (
        {"4", "C5"} if len(given) > len(lines) else set()
    )
    assert all(row.value_cents is None or row.value_cents >= 0 for row in found)


def test_the_terms_of_offers_are_those_of_the_api(engine: sa.Engine, tmp_path: Path) -> None:
    """What the API refuses an import refuses too, by row and column; what is left out takes the same default."""
    good = {
        "offer_id": "good", "name": "Good", "kind": "event", "capacity": 5, "channels": ["email"], "priority": 3,
        "budget": {"unit": "usage", "limit": 9}, "creative": {"en": "Come"}, "max_per_customer": 1,
        "eligibility": {"field": "customer.tier", "op": "eq", "value": "gold"},
    }  # fmt: skip
    bad = {
        "eligibility": {"field": "nothing", "op": "eq", "value": 1}, "budget": {"unit": "spend", "limit": 1},
        "channels": ["fax"], "creative": {"": "x"}, "ends_at": "2020-01-01T00:00:00Z", "capacity": -1,
    }  # fmt: skip
    starts = {"ends_at": {"starts_at": "2021-01-01T00:00:00Z"}}
    rows = [good, *({**good, "offer_id": name, **starts.get(name, {}), name: value} for name, value in bad.items())]
    outcome = _load(engine, "offers", tmp_path / "o.jsonl", "\n".join(json.dumps(row) for row in rows))
    assert outcome.rejected == len(bad) and outcome.objects == 1
    assert {column for column, _ in outcome.reasons} == {*bad, "cost_cents"} - {"budget"}
    stored = _rows(engine, offers.offers)["good"]
    assert stored["budget"] == {"unit": "usage", "counts": "issued", "limit": 9, "period": "total"}
    assert stored["stackable"] is True and stored["categories"] == [] and stored["priority"] == 3
    assert terms.book(_objects(engine)) and stored["eligibility"] == good["eligibility"]


def _objects(engine: sa.Engine) -> list[Any]:
    with engine.connect() as connection:
        return offers.load(connection)
