"""Where training reads from: store, files, Parquet and SQL give one log, and what cannot be read is named."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from recsvc import artifact
from recsvc.errors import InvalidRequest
from recsvc.store import customers, database, facts, interactions
from tests.conftest import Place
from tests.planted import Quiet, small
from tests.postgres import Postgres
from training import fit, reading, run
from training.config import Config, load

SELECT = (
    "SELECT customer_id, item_id, kind, strftime('%Y-%m-%dT%H:%M:%fZ', occurred_at / 1e6, 'unixepoch') AS occurred_at,"
    " order_id, quantity FROM interactions"
)
HEADER = "customer_id,item_id,kind,occurred_at,order_id\n"
GOOD = "c1,i1,purchase,2026-01-02T10:00:00Z,o1\n"


@pytest.fixture(scope="module")
def shop(planted: Place) -> Iterator[sa.Engine]:
    engine = database.connect(planted.settings.sql_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def table(shop: sa.Engine) -> pa.Table:
    """The planted history with recsvc's own columns."""
    names = ("customer_id", "item_id", "kind", "occurred_at", "order_id", "quantity")
    with shop.connect() as connection:
        rows = connection.execute(sa.select(*(interactions.interactions.c[name] for name in names))).all()
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return pa.table({**columns, "occurred_at": pa.array(columns["occurred_at"], pa.timestamp("us", "UTC"))})


def _config(source: dict[str, Any]) -> Config:
    return Config.model_validate({**small().model_dump(), "source": source})


def _sources(place: Place, table: pa.Table, folder: Path) -> dict[str, dict[str, Any]]:
    """Each kind of source with the planted history, its rows in another order and cut into several files."""
    mixed = table.take(np.random.default_rng(1).permutation(len(table)))
    half = len(mixed) // 2
    for number, part in enumerate((mixed.slice(0, half), mixed.slice(half))):
        (folder / "parquet" / str(number)).mkdir(parents=True)
        pq.write_table(part, folder / "parquet" / str(number) / "part.parquet")
    (folder / "csv").mkdir()
    foreign = mixed.rename_columns(["who", "what", "event", "when", "basket", "count"])
    when = foreign["when"].cast(pa.timestamp("us")).cast(pa.string())
    foreign = foreign.set_column(3, "when", when)
    pacsv.write_csv(foreign, folder / "csv" / "orders.csv", pacsv.WriteOptions(delimiter=";"))
    (folder / "map.yaml").write_text(
        "dates: {time_zone: UTC}\ninteractions: {customer_id: who, item_id: what, kind: event, occurred_at: when,"
        " order_id: basket, quantity: count}\n"
    )
    return {
        "store": {},
        "files": {"from": "files", "files": [str(folder / "csv")], "map": str(folder / "map.yaml")},
        "parquet": {"from": "parquet", "folder": str(folder / "parquet")},
        "sql": {"from": "sql", "url": place.settings.sql_url, "queries": {"interactions": SELECT}},
    }


def test_every_source_gives_equal_item_arrays(planted: Place, shop: sa.Engine, table: pa.Table, tmp_path: Path) -> None:
    up_to, found = interactions.newest_revision(shop), {}
    for name, source in _sources(planted, table, tmp_path).items():
        config = _config(source)
        found[name] = fit.arrays(reading.log_of(shop, config, up_to, lambda _: None), config)[1]
    for name, arrays in found.items():
        assert arrays.keys() == found["store"].keys()
        for array, values in arrays.items():
            np.testing.assert_array_equal(values, found["store"][array], err_msg=f"{name} {array}")


def test_a_model_published_from_parquet_is_that_of_the_store(planted: Place, table: pa.Table, tmp_path: Path) -> None:
    pq.write_table(table, tmp_path / "all.parquet")
    root = planted.settings.artifact_root
    theirs = artifact.read(root, artifact.current(root) or "").arrays
    engine = database.connect(planted.settings.sql_url)
    outcome = run.train(engine, tmp_path / "out", _config({"from": "parquet", "folder": str(tmp_path)}), Quiet())
    engine.dispose()
    ours = artifact.read(tmp_path / "out", outcome.version)
    for name, array in ours.arrays.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)
    assert ours.manifest["configuration"]["source"]["from"] == "parquet"


def _read(source: dict[str, Any], engine: sa.Engine) -> reading.Log:
    return reading.log_of(engine, _config(source), 0, lambda _: None)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = database.connect(f"sqlite:///{tmp_path / 'empty.db'}")
    database.migrate(engine)
    facts.ensure(engine)
    yield engine
    engine.dispose()


def test_equal_lines_of_two_files_are_one_and_of_one_file_two(tmp_path: Path, empty: sa.Engine) -> None:
    """As an import counts them."""
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(HEADER + GOOD + GOOD)
    log = _read({"from": "files", "files": [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]}, empty)
    assert len(log) == 2


def test_of_equal_interaction_ids_the_first_counts(tmp_path: Path, empty: sa.Engine) -> None:
    day = datetime(2026, 1, 2, tzinfo=UTC)
    rows = {
        "interaction_id": ["x", "x", None, None], "customer_id": ["c"] * 4, "item_id": ["i", "j", "k", "k"],
        "kind": ["view"] * 4, "occurred_at": [day] * 4,
    }  # fmt: skip
    pq.write_table(pa.table(rows), tmp_path / "a.parquet")
    log = _read({"from": "parquet", "folder": str(tmp_path)}, empty)
    assert [log.item_ids[code] for code in log.events.item_rows] == ["i", "k", "k"]


def test_who_wants_no_profile_is_left_out_of_every_source(tmp_path: Path, empty: sa.Engine) -> None:
    customers.put(empty, [{"customer_id": "c1", "segment": None, "attributes": {}, "profiling": False}])
    (tmp_path / "a.csv").write_text(HEADER + GOOD + GOOD.replace("c1", "c2"))
    log = _read({"from": "files", "files": [str(tmp_path / "a.csv")]}, empty)
    assert log.customer_ids == ["c2"] and len(log) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + GOOD + "c1,i1,bought,2026-01-02T10:00:00Z,o1\n", r"a\.csv: row 2: kind: .*must be one of view, "),
        (HEADER + GOOD.replace("2026-01-02T10:00:00Z", "yesterday"), r"a\.csv: row 1: occurred_at: "),
        (HEADER + "c1,,purchase,2026-01-02T10:00:00Z,o1\n", r"a\.csv: row 1: item_id: a purchase needs item_id"),
        (HEADER + "c1,i1\n" + GOOD, r"a\.csv: row 1: has 2 fields, the header has 5"),
        (HEADER.replace("order_id", "colour") + GOOD, r"a\.csv: unknown column 'colour'; interactions have "),
        (HEADER.replace("kind", "reason") + GOOD, r"a\.csv: the column kind is missing"),
        (HEADER + "c1,,store_visit,2026-01-02T10:00:00Z,\n", "from: files: holds no interaction with an item"),
    ],
)  # fmt: skip
def test_bad_files_are_refused_by_name(tmp_path: Path, empty: sa.Engine, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InvalidRequest, match=message):
        _read({"from": "files", "files": [str(tmp_path / "a.csv")]}, empty)


def test_bad_rows_are_left_out_where_that_is_wanted(tmp_path: Path, empty: sa.Engine) -> None:
    (tmp_path / "a.csv").write_text(HEADER + "c1,i1,bought,2026-01-02T10:00:00Z,o1\nc1\n" + GOOD)
    log = _read({"from": "files", "files": [str(tmp_path / "a.csv")], "bad_rows": "leave_out"}, empty)
    assert len(log) == 1


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT 'c' AS customer_id, 'i' AS item_id, 'view' AS kind", "the column occurred_at is missing"),
        ("SELECT 'c' AS customer, 'view' AS kind", "unknown column 'customer'; interactions have "),
        ("SELECT * FROM nowhere", "no such table: nowhere"),
        ("CREATE TABLE more (a INT)", "gives no rows"),
        ("SELECT 'c' AS kind, 'd' AS kind", "the column kind stands twice"),
        ("SELECT 1 AS kind UNION ALL SELECT 'x'", "column kind: holds int and str, must hold one type"),
        ("SELECT 1.5 AS item_id, 'view' AS kind, '2026-01-02T10:00:00Z' AS occurred_at", "column item_id: holds double"),
        ("SELECT 'view' AS kind, '2026-01-02' AS occurred_at, 'i' AS item_id", "row 1: "),
    ],
)  # fmt: skip
def test_bad_queries_are_refused_by_name(tmp_path: Path, empty: sa.Engine, query: str, message: str) -> None:
    source = {"from": "sql", "url": f"sqlite:///{tmp_path / 'other.db'}", "queries": {"interactions": query}}
    with pytest.raises(InvalidRequest, match=f"source.queries.interactions: .*{message}"):
        _read(source, empty)


def test_the_url_may_be_the_name_of_a_variable_and_holds_no_password(
    tmp_path: Path, empty: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE log AS SELECT 'c' AS c, 'i:1%' AS i")
    connection.close()
    query = "SELECT c AS customer_id, i AS item_id, 'view' AS kind, '2026-01-02T10:00:00Z' AS occurred_at FROM log WHERE i LIKE 'i:%'"
    source = {"from": "sql", "url": "SHOP_URL", "queries": {"interactions": query}}
    with pytest.raises(InvalidRequest, match=r"source.url: SHOP_URL: is neither"):
        _read(source, empty)
    monkeypatch.setenv("SHOP_URL", f"sqlite:///{tmp_path / 'other.db'}")
    assert _read(source, empty).item_ids == ["i:1%"]
    with pytest.raises(InvalidRequest, match="holds a password") as refused:
        _read({**source, "url": "postgresql+psycopg://me:secret-word@localhost/shop"}, empty)
    assert "secret-word" not in refused.value.message


def test_a_query_on_postgres_is_read(postgres: Postgres, empty: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    url = postgres.url(postgres.create()).replace("postgresql://", "postgresql+psycopg://")
    monkeypatch.setenv("SHOP_URL", url)
    query = (
        "SELECT 'c' || n AS customer_id, n % 7 AS item_id, 'purchase' AS kind, 1::numeric AS quantity,"
        " timestamptz '2026-01-02 10:00Z' + n * interval '1 minute' AS occurred_at FROM generate_series(1, 60000) AS n"
    )
    log = _read({"from": "sql", "url": "SHOP_URL", "queries": {"interactions": query}}, empty)
    assert len(log) == 60000 and log.item_ids == list("0123456") and log.events.purchases.all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("from: disk", "source.from: "), ("from: files", "source.files: is missing, `from: files` needs it"),
        ("from: sql\n  url: X", "source.queries.interactions: is missing"),
        ("folder: here", "source.folder: has no meaning with `from: store`"),
        ("form: sql", "source.form: unknown, did you mean from"),
        ("from: sql\n  url: X\n  queries: {interaction: SELECT 1}", "queries.interaction: unknown, did you mean interactions"),
    ],
)  # fmt: skip
def test_a_source_that_is_none_is_refused_by_field(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.yaml").write_text(f"source:\n  {text}\n")
    with pytest.raises(InvalidRequest, match=message):
        load(tmp_path / "c.yaml")
