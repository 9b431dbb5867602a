"""Quotes in CSV that were not closed: the rows they swallow are told of, and long descriptions stay."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from recsvc.flows.imports import Order, Outcome, import_files
from recsvc.flows.verdicts import validate
from recsvc.store import live
from recsvc.store.maps import Map

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def _load(engine: sa.Engine | None, path: Path, a_map: Map | None = None) -> Outcome:
    order = Order("items", [path], a_map or Map(), NOW, dry_run=engine is None)
    return import_files(engine, order, lambda rows, done, total: None)


def _nails(tmp_path: Path, changes: dict[int, str], columns: str = "item_id,title,brand,price_cents") -> Path:
    names = {n: f"Nail {n}" for n in range(1, 41)} | changes
    path = tmp_path / "items.csv"
    path.write_text(columns + "\n" + "".join(f"{n},{names[n]},B,{n}\n" for n in names))
    return path


def test_rows_that_an_open_quote_swallowed_are_rejected_with_the_line(engine: sa.Engine, tmp_path: Path) -> None:
    path = _nails(tmp_path, {10: '"5 inch nail', 20: '5" nail "big"'})
    outcome = _load(engine, path)
    assert (outcome.read, outcome.rejected) == (30, 1)
    assert outcome.reasons[None, "a quote that was not closed has swallowed rows"] == 1
    (entry,) = [json.loads(line) for line in outcome.rejects[0].read_text().splitlines()]
    assert entry["row"] == 10 and "a quote was opened and not closed" in entry["reason"]
    assert "11 lines" in entry["reason"] and "5 inch nail" in entry["reason"] and entry["line"].startswith("10,5 inch")
    assert not {"10", "15"} & set(live.load_catalogue(engine, 0).items)
    rows = validate([path], Map(), set(), NOW, lambda rows, done, total: None)[0]
    assert rows.level == "WARN" and "row 10" in rows.samples[0]


@pytest.mark.parametrize("changes", [
    {10: '"5 inch nail', 11: '5" nail'}, {10: '"5 inch nail', 12: '"five"'}, {10: '"5 inch nail', 40: 'x"'},
])  # fmt: skip
def test_one_swallowed_row_is_enough(tmp_path: Path, changes: dict[int, str]) -> None:
    assert _load(None, _nails(tmp_path, changes)).rejected == 1


def test_a_column_that_nobody_reads_is_looked_at_too(tmp_path: Path) -> None:
    path = _nails(tmp_path, {10: '"5 inch nail', 20: '5" nail'}, "Code,Remark,Name,Price")
    a_map = Map.model_validate({"items": {"item_id": "Code", "title": "Name"}})
    assert _load(None, path, a_map).rejected == 1


def test_a_quote_that_is_never_closed_is_told_of(tmp_path: Path) -> None:
    assert _load(None, _nails(tmp_path, {10: '"5 inch nail'})).rejected == 1


@pytest.mark.parametrize("title", [
    '"Nail, long, thin\nof steel, made here, with care\nand zinc"', '"1,5 cm\nblack"', '"a\n\nb, c\nd"', '"Tea\n1,5 l"',
])  # fmt: skip
def test_a_description_of_several_lines_stays(tmp_path: Path, title: str) -> None:
    assert _load(None, _nails(tmp_path, {10: title})).rejected == 0
    two = tmp_path / "two.csv"
    two.write_text(f"item_id,title\n1,{title}\n2,x\n")
    assert _load(None, two).rejected == 0
