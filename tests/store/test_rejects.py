"""Rejects: the file holds what the shop wrote, as text."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from recsvc.flows.imports import Order, import_files
from recsvc.store.maps import Map


def test_rejects_hold_the_text_of_the_file(engine: sa.Engine, tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_bytes("item_id,title,price_cents\na,José,x\nb,".encode() + b"Jos\xe9,1\n")
    path.write_bytes(path.read_bytes() + "c,Zoë,1\n".encode() * 3)
    a_map = Map.model_validate({"file": {"encoding": "utf-8"}})
    order = Order("items", [path], a_map, datetime(2026, 11, 21, 12, tzinfo=UTC))
    outcome = import_files(engine, order, lambda rows, done, total: None)
    first, second = [json.loads(line)["line"] for line in outcome.rejects[0].read_text().splitlines()]
    assert first == {"item_id": "a", "title": "José", "price_cents": "x"} and second["title"] == "Jos\\xe9"
