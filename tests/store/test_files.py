"""Import files: what is wrong is named by file, row and column, fails nothing else, and nothing is doubled."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from recsvc import intake
from recsvc.errors import InvalidRequest
from recsvc.flows.imports import Order, Outcome, import_files
from recsvc.store import facts, interactions, items, lines, live, maps
from recsvc.store.columns import COLUMNS
from recsvc.store.maps import Map

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
AT = datetime(2026, 11, 1, 10, 30, 0, 123456, tzinfo=UTC)
PURCHASE = {
    "interaction_id": "i1", "customer_id": "01", "item_id": "a/b", "kind": "purchase", "occurred_at": AT, "quantity": 2,
    "value_cents": 150, "currency": "EUR", "order_id": "o1", "channel": "store",
}  # fmt: skip


def _file(tmp_path: Path, *rows: dict[str, Any], schema: pa.Schema | None = None) -> Path:
    path = tmp_path / "file.parquet"
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path)
    return path


def _load(engine: sa.Engine, noun: str, path: Path, **a_map: Any) -> tuple[int, int]:
    outcome = _outcome(engine, noun, path, **a_map)
    return outcome.read, outcome.known


def _outcome(engine: sa.Engine, noun: str, *paths: Path, **a_map: Any) -> Outcome:
    order = Order(noun, list(paths), Map.model_validate(a_map), NOW)
    return import_files(engine, order, lambda rows, done, total: None)


def _rejects(outcome: Outcome) -> list[dict[str, Any]]:
    return [json.loads(line) for path in outcome.rejects for line in path.read_text().splitlines()]


def _stored(engine: sa.Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(sa.select(interactions.interactions).order_by("occurred_at", "revision")))


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
    ("change", "column", "words"),
    [
        ({"customer_id": None, "order_id": None}, "customer_id", "a purchase without order_id needs customer_id"),
        ({"customer_id": None, "kind": "view"}, "customer_id", "a view without order_id needs customer_id"),
        ({"kind": "bought"}, "kind", "must be one of"),
        ({"quantity": -1}, "quantity", "must be 0 to"),
        ({"item_id": "a\x00"}, "item_id", "control characters"),
        ({"channel": "pigeon"}, "channel", "must be one of"),
        ({"item_id": None}, "item_id", "a purchase needs item_id"),
        ({"kind": "offer_redeemed"}, "offer_id", "a offer_redeemed needs offer_id"),
        ({"occurred_at": NOW + timedelta(hours=1)}, "occurred_at", "ahead of the server"),
        ({"occurred_at": datetime(1980, 1, 1, tzinfo=UTC)}, "occurred_at", "is before 1990"),
    ],
)
def test_a_bad_row_is_named_and_fails_no_other(
    engine: sa.Engine, tmp_path: Path, change: dict[str, Any], column: str, words: str
) -> None:
    path = _file(
        tmp_path, PURCHASE, {**PURCHASE, "interaction_id": "i2", **change}, {**PURCHASE, "interaction_id": "i3"}
    )
    outcome = _outcome(engine, "interactions", path)
    assert (outcome.read, outcome.rejected, len(_stored(engine))) == (3, 1, 2)
    (entry,) = _rejects(outcome)
    assert (entry["row"], entry["column"], entry["line"]["interaction_id"]) == (2, column, "i2")
    assert words in entry["reason"]
    assert outcome.rejects[0].stat().st_mode & 0o777 == 0o600
    assert _outcome(engine, "interactions", _file(tmp_path, PURCHASE)).rejects == []
    assert not list(tmp_path.glob("*.rejects.jsonl"))  # an older one would say what is no longer so


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"item_id": "a", "title": "x", "colour": "red"}, "unknown column 'colour'"),
        ({"item_id": "a"}, "the column title is missing"),
        ({"item_id": 123.0, "title": "x"}, "holds double, must be text: 123.0 and 123 are two ids"),
    ],
)
def test_a_bad_column_is_named(engine: sa.Engine, tmp_path: Path, row: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        _load(engine, "items", _file(tmp_path, row))
    assert words in error.value.message


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"price_cents": 1.5}, "'1.5' is not a whole number"),
        ({"created_at": datetime(2026, 1, 1)}, "has no time zone: give one with --time-zone"),
        ({"attributes": "{"}, "'{' is not JSON"),
        ({"attributes": "[1]"}, "must be a JSON object"),
        ({"categories": ["a", None]}, "a list holds an empty value"),
        ({"active": "maybe"}, "must be true or false"),
    ],
)
def test_a_bad_value_of_an_item_is_named(engine: sa.Engine, tmp_path: Path, row: dict[str, Any], words: str) -> None:
    outcome = _outcome(engine, "items", _file(tmp_path, {"item_id": "a", "title": "x", **row}))
    assert outcome.rejected == 1 and words in _rejects(outcome)[0]["reason"]


def test_missing_items_of_the_catalogue_are_inactive(engine: sa.Engine) -> None:
    items.put(engine, [])
    active, stock, *_ = live.columns(live.load_catalogue(engine, 0), ["nope"])
    assert active.tolist() == [False] and stock.tolist() == [float("inf")]


CSV = (
    "item_id,title,categories,price_cents,active\n"
    '007,"Dry ""gin"", 1 l",drinks|spirits,12,true\n'
    "8\n"
    '009,"two\nlines",,,no\n'
    "1,2,3,4,5,6\n"
    "010,Café,,1.5,\n"
    "011,Thé,,7,\n"
)


def test_csv_is_text_and_a_bad_line_is_numbered(engine: sa.Engine, tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_bytes(b"\xef\xbb\xbf" + CSV.encode())
    outcome = _outcome(engine, "items", path)
    found = live.load_catalogue(engine, 0).items
    assert set(found) == {"007", "009", "011"} and found["007"].title == 'Dry "gin", 1 l' and not found["009"].active
    assert (outcome.read, outcome.rejected) == (6, 3)
    assert {entry["row"]: entry["reason"] for entry in _rejects(outcome)} == {
        2: "has 1 fields, the header has 5", 4: "has 6 fields, the header has 5", 5: "'1.5' is not a whole number",
    }  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("pack", [None, "gzip", "zstd"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_encodings_compressions_and_delimiters(
    engine: sa.Engine, tmp_path: Path, encoding: str, pack: str | None, delimiter: str
) -> None:
    data = (
        delimiter.join(("item_id", "title")) + "\n" + delimiter.join(("007", "Café ő" if "utf" in encoding else "Café"))
    )
    path = tmp_path / f"items.csv{'.gz' if pack == 'gzip' else '.zst' if pack else ''}"
    raw = data.encode(encoding)
    with pa.CompressedOutputStream(str(path), pack) if pack else path.open("wb") as out:
        out.write(raw)
    _load(engine, "items", path)
    assert [item.title[:4] for item in live.load_catalogue(engine, 0).items.values()] == ["Café"]


def test_json_lines_are_strict_and_one_bad_line_fails_no_other(engine: sa.Engine, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(
        '{"item_id": "a", "title": "A", "categories": ["x", "y"], "attributes": {"n": 1}, "active": false}\n\n'
        '{"item_id": 12, "title": "B", "created_at": 1291191960}\n{"item_id": 12.0, "title": "C"}\n'
        '{"item_id": "d", "item_id": "e"}\n{"item_id": NaN}\n[]\n{"item_id": "f", "title": "F"}'
    )
    outcome = _outcome(engine, "items", path)
    found = live.load_catalogue(engine, 0).items
    assert set(found) == {"a", "12", "f"} and found["a"].categories == ["x", "y"] and not found["a"].active
    assert [entry["row"] for entry in _rejects(outcome)] == [5, 6, 7, 4]
    assert any("ids are text" in entry["reason"] for entry in _rejects(outcome))


def test_a_folder_is_read_in_order_without_its_rejects(engine: sa.Engine, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "b.csv").write_text("item_id,title\na,New\n,x\n")
    (folder / "a.jsonl").write_text('{"item_id": "a", "title": "Old"}\n')
    (folder / "_SUCCESS").write_text("")
    for _ in range(2):
        assert _outcome(engine, "items", folder).read == 3
        assert live.load_catalogue(engine, 0).items["a"].title == "New"
    with pytest.raises(InvalidRequest, match="there is no such file"):
        _outcome(engine, "items", tmp_path / "nowhere")


def test_a_line_without_an_id_is_itself_and_two_equal_ones_stay_two(engine: sa.Engine, tmp_path: Path) -> None:
    path = tmp_path / "lines.csv"
    line = "c,a,purchase,2026-11-01T10:00:00Z,o1\n"
    path.write_text("customer_id,item_id,kind,occurred_at,order_id\n" + line + line + line.replace(",a,", ",b,") + line)
    assert [_load(engine, "interactions", path) for _ in range(2)] == [(4, 0), (4, 4)]
    longer = tmp_path / "longer.csv"
    longer.write_text(path.read_text() + line)  # next month's export holds this month's lines again
    assert _load(engine, "interactions", longer) == (5, 4)


def test_a_line_has_the_id_that_the_api_would_give_it(engine: sa.Engine, tmp_path: Path) -> None:
    path = tmp_path / "lines.csv"
    path.write_text("customer_id,item_id,kind,occurred_at,quantity\nc,a,purchase,2026-11-01T10:00:00Z,2\n")
    _load(engine, "interactions", path)
    given = {"customer_id": "c", "item_id": "a", "kind": "purchase", "quantity": 2}
    at = intake.moment("2026-11-01T10:00:00Z", NOW)
    assert _stored(engine)[0].digest == intake.digest(intake.derived_id({**given, "occurred_at": at}, 0))


def test_equal_lines_are_counted_over_chunks() -> None:
    marks, ordinals = np.random.default_rng(1).integers(0, 300, 5000).astype(np.uint64), lines.Ordinals()
    found = np.concatenate([ordinals.of(part) for part in np.array_split(marks, 37)])
    seen: Counter[int] = Counter()
    for mark, ordinal in zip(marks.tolist(), found.tolist(), strict=True):
        assert ordinal == seen[mark]
        seen[mark] += 1


def test_credit_notes_are_returns_and_corrections_are_left_out(engine: sa.Engine, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(
        "order,sku,qty,day,who\n"
        "C9,a,-1,2026-05-09,c\n"  # stands first, as in an export with the newest on top
        "1,a,1,2026-05-01,c\n2,a,5,2026-05-02,c\n3,a,1,2026-05-10,c\n"
        "C8,a,-5,2026-05-08,c\n4,b,2,2026-05-04,d\n4,b,-1,2026-05-04,d\nC7,z,-1,2026-05-07,d\n"
        "5,b,-9,2026-05-05,\n6,b,1,2026-05-05,\n"
    )
    a_map = {
        "dates": {"time_zone": "UTC"}, "returns": {"prefix": "C"},
        "interactions": {"kind": {"value": "purchase"}, "order_id": "order", "item_id": "sku", "quantity": "qty",
                         "occurred_at": "day", "customer_id": "who"},
    }  # fmt: skip
    outcome = _outcome(engine, "interactions", path, **a_map)
    assert (outcome.read, outcome.left_out, outcome.rejected) == (10, 1, 0)  # nobody's 5,b,-9 corrects the stock
    back = {row.order_id: row.quantity for row in _stored(engine) if row.kind == "return"}
    assert back == {"C9": 1, "C8": 5, "4": 1, "C7": 1}  # as the shop wrote them; training finds the purchases
    assert [row.customer_id for row in _stored(engine) if row.order_id == "6"] == [None]
    assert _outcome(engine, "interactions", path, **a_map).known == 9


def test_foreign_numbers_words_and_service_lines(engine: sa.Engine, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(
        "Nr;Cod;Pret;Buc;Data;Client;Tip\n"
        "1;0071;1.234,50;2;01.12.2025 08:26;17850.0;sale\n1;POST;9,00;1;01.12.2025 08:26;17850.0;sale\n"
        "2;0072;12,34.5;1;01.12.2025 08:26;x;sale\n3;0072;\\N;1;13.13.2025 08:26;x;sale\n4;0072;1,005;1;01.07.2025;x;sale\n",
        encoding="cp1252",
    )
    a_map = {
        "file": {"decimal": ",", "thousands": ".", "empty": ["\\N"]}, "skip": {"Cod": "^POST$"},
        "dates": {"order": "dmy", "time_zone": "Europe/Bucharest"},
        "interactions": {
            "kind": {"from": "Tip", "names": {"sale": "purchase"}}, "order_id": "Nr", "item_id": "Cod", "quantity": "Buc",
            "occurred_at": "Data", "customer_id": {"from": "Client", "whole": "text"}, "channel": {"value": "web"},
            "value_cents": {"from": "Pret", "times": "Buc", "unit": "major"},
        },
    }  # fmt: skip
    outcome = _outcome(engine, "interactions", path, **a_map)
    assert (outcome.read, outcome.left_out, outcome.rejected) == (5, 1, 2)
    summer, winter = _stored(engine)
    assert (winter.customer_id, winter.item_id, winter.value_cents, winter.channel) == ("17850", "0071", 246900, "web")
    assert winter.occurred_at == int(datetime(2025, 12, 1, 6, 26, tzinfo=UTC).timestamp()) * 1_000_000
    assert summer.occurred_at == int(datetime(2025, 6, 30, 21, tzinfo=UTC).timestamp()) * 1_000_000
    assert summer.value_cents == 101  # half a cent goes up


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("item_id,title\na,A\n,B\n")
    outcome = import_files(None, Order("items", [path], Map(), NOW, dry_run=True), lambda rows, done, total: None)
    assert (outcome.read, outcome.rejected, outcome.rejects) == (2, 1, [])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("items: {item: Code}", "items.item: items have item_id"), ("itms: {}", "itms: Extra inputs"),
        ("dates: {time_zone: Mars}", "'Mars' is not a time zone"), ("skip: {a: '('}", "not a regular expression"),
        ("items: {item_id: {whole: text}}", "needs one of `from` and `value`"), ("[", "not YAML"), ("1", "a mapping"),
    ],
)  # fmt: skip
def test_a_bad_map_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "map.yaml"
    path.write_text(text)
    with pytest.raises(InvalidRequest) as error:
        maps.load(path, COLUMNS)
    assert words in error.value.message
