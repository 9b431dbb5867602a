"""A shop's own columns: the ranker learns from them, serves with them as it was trained, and refuses what is none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from recsvc import artifact
from recsvc.engine import forest, lists, ranking
from recsvc.engine.eligibility import Shelf
from recsvc.engine.features import features
from recsvc.engine.history import EMPTY
from recsvc.engine.model import FEATURES, Model, customer_row, from_artifact, hash_customer, own_history
from recsvc.errors import InvalidRequest
from recsvc.store import customers, database, facts, interactions, items
from tests.planted import Quiet, interaction
from training import extras, incremental, openmp, ranker, run
from training.config import Config, load

NOW = datetime.now(UTC)
PEOPLE, ITEMS = 240, 80
NOTHING = np.empty(0, np.int64)


def _wants(customer: int) -> int:
    return int(customer % 10 < 7)


def _heat(item: int) -> float:
    return (item * 37 % ITEMS) / ITEMS


def _shop(engine: sa.Engine) -> None:
    """Everybody bought at random for long; the newest two visits are of hot items, or of cold ones, and only a column
    of the customer's says which."""
    rng = np.random.default_rng(3)
    items.put(engine, [_item(n) for n in range(ITEMS)])
    people = [
        {"customer_id": f"c{n}", "segment": None, "attributes": {"wants_hot": bool(_wants(n))}} for n in range(PEOPLE)
    ]
    customers.put(engine, people)
    warm = {1: [n for n in range(ITEMS) if _heat(n) >= 0.8], 0: [n for n in range(ITEMS) if _heat(n) < 0.2]}
    rows = []
    for customer in range(PEOPLE):
        for days in (*range(60, 160, 10), 30, 4):
            pool = warm[_wants(customer)] if days < 60 else range(ITEMS)
            at = NOW - timedelta(days=days, hours=int(rng.integers(1, 20)))
            rows += [_buys(customer, int(item), at, days) for item in rng.choice(np.array(pool), 3, replace=False)]
    interactions.append_many(engine, rows)


def _buys(customer: int, item: int, at: datetime, order: int) -> tuple[Any, ...]:
    return interaction(f"c{customer}", f"i{item}", "purchase", at, order_id=f"{customer}-{order}", quantity=1)


def _item(n: int) -> dict[str, Any]:
    return {
        "item_id": f"i{n}", "parent_id": None, "title": f"item {n}", "categories": [], "brand": None,
        "price_cents": 500, "currency": "EUR", "stock": None, "active": True, "sensitive": False,
        "created_at": int((NOW - timedelta(days=400)).timestamp() * 1e6), "available_from": None, "available_to": None,
        "attributes": {"heat": _heat(n)} if n else {},
    }  # fmt: skip


def _config(**more: Any) -> Config:
    small = {"factors": 8, "iterations": 5, "regularization": 1.0, "alpha": 5.0}
    return Config.model_validate({"als": small, "threads": 1, "holdout": {"visits": 1}, **more})


BOTH = {"items": {"attributes": ["heat"]}, "customers": {"attributes": ["wants_hot"]}}


@dataclass
class Trained:
    """A shop, its model with the columns, and what was measured with and without them."""

    engine: sa.Engine
    root: Path
    outcome: run.Outcome
    plain: run.Outcome
    plain_model: Model

    @property
    def model(self) -> Model:
        return from_artifact(artifact.read(self.root, self.outcome.version))

    def row(self, customer: str) -> int:
        return customer_row(self.model, hash_customer(customer, facts.read(self.engine).customer_secret))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    home = tmp_path_factory.mktemp("extras")
    engine = database.connect(f"sqlite:///{home / 'shop.db'}")
    database.migrate(engine)
    facts.ensure(engine)
    _shop(engine)
    plain = run.train(engine, home / "plain", _config(), Quiet())
    outcome = run.train(engine, home / "models", _config(features=BOTH), Quiet())
    model = from_artifact(artifact.read(home / "plain", plain.version))
    yield Trained(engine, home / "models", outcome, plain, model)
    engine.dispose()


def test_what_only_a_column_tells_is_ranked_by_it(trained: Trained) -> None:
    with_columns, without = (
        outcome.table[model.manifest["ordering"]]
        for outcome, model in ((trained.outcome, trained.model), (trained.plain, trained.plain_model))
    )
    print({name: (with_columns[name], without[name]) for name in ("ndcg@10", "ndcg@10_low", "ndcg@10_high")})
    assert with_columns["ndcg@10_low"] > without["ndcg@10_high"]
    assert with_columns["ndcg@10"] > 1.2 * without["ndcg@10"]
    assert trained.model.ranked and trained.model.item_columns == ("heat",)
    listed = lists.finished(trained.model, trained.row("c0"))
    assert np.mean([_heat(int(trained.model.item_ids[row][1:])) >= 0.8 for row in listed.rows[:10]]) > 0.6


def test_without_columns_nothing_of_them_is_published(trained: Trained) -> None:
    assert not {"item_extra", "customer_extra"} & trained.plain_model.a.keys()
    assert "features" not in trained.plain_model.manifest["parameters"]
    if trained.plain_model.ranked:
        assert len(trained.plain_model.a["forest_gains"]) == len(FEATURES)
    assert len(trained.model.a["forest_gains"]) == len(FEATURES) + 2


def test_the_list_made_live_is_the_finished_one(trained: Trained) -> None:
    model, n = trained.model, trained.model.n_items
    shelf = Shelf(np.ones(n, bool), np.zeros(n, bool), float("inf"))
    for customer in range(0, PEOPLE, 9):
        row = trained.row(f"c{customer}")
        history = own_history(model, row)
        assert history.extra.tolist() == [_wants(customer)]
        live, done = lists.personal(model, history, shelf, NOTHING, 100), lists.finished(model, row)
        assert done.rows.tolist() == live.rows.tolist()
        np.testing.assert_allclose(done.scores, live.scores, rtol=1e-5)


def test_the_forest_predicts_with_columns_what_lightgbm_predicts(trained: Trained) -> None:
    """On tables that the engine made, with missing values among the columns."""
    openmp.load()
    import lightgbm

    model, rng = trained.model, np.random.default_rng(1)
    table = np.concatenate([_table(model, trained.row(f"c{n}")) for n in range(0, PEOPLE, 4)])
    table[rng.random(len(table)) < 0.1, -1] = np.nan
    labels = (np.nan_to_num(table[:, -2]) > 0.5) == (np.nan_to_num(table[:, -1]) > 0)
    booster = lightgbm.train(
        {"num_leaves": 31, "max_depth": 7, "verbosity": -1, "num_threads": 1}, lightgbm.Dataset(table, labels), 30
    )
    arrays = ranker.export(booster)
    assert arrays is not None and arrays["forest_gains"][-2:].min() > 0
    wanted = booster.predict(table, raw_score=True, num_threads=1)
    np.testing.assert_allclose(forest.predict(arrays, table), wanted, rtol=0, atol=1e-6)


def _table(model: Model, row: int) -> Any:
    history = own_history(model, row) if row >= 0 else EMPTY
    proposed = ranking.propose(model, [history])[0]
    rows = np.arange(model.n_items)
    return features(model, history, rows, proposed.collaborative, proposed.neighbours)


def test_what_is_not_said_is_missing_and_nobody_is_given_zeros(trained: Trained) -> None:
    model = trained.model
    known, unknown = _table(model, trained.row("c0")), _table(model, -1)
    at = model.rows["i0"]
    assert np.isnan(known[at, -2]) and known[model.rows["i5"], -2] == np.float32(_heat(5))
    assert np.isnan(unknown[:, -1]).all() and not np.isnan(unknown[model.rows["i5"], -2])
    assert np.isfinite(model.a["item_extra"]).all()


def test_an_hourly_run_reads_them_again(trained: Trained) -> None:
    outcome = incremental.train(trained.engine, trained.root, _config(), Quiet())
    hourly = from_artifact(artifact.read(trained.root, outcome.version))
    assert hourly.item_columns == ("heat",) and hourly.customer_columns == ("wants_hot",)
    for name in ("item_extra", "customer_extra", "finished_rows"):
        np.testing.assert_array_equal(hourly.a[name], trained.model.a[name], err_msg=name)
    assert outcome.features == trained.outcome.features


def test_a_version_whose_columns_are_missing_is_refused(trained: Trained) -> None:
    whole = artifact.read(trained.root, trained.outcome.version)
    without = {name: one for name, one in whole.arrays.items() if name != "customer_extra"}
    with pytest.raises(artifact.ArtifactInvalid, match="customer_extra is missing"):
        from_artifact(replace(whole, arrays=without))


def _read(trained: Trained, side: str, **columns: Any) -> extras.Side:
    ids = [f"i{n}" for n in range(ITEMS)], [f"c{n}" for n in range(PEOPLE)]
    found = extras.read(trained.engine, _config(features={side: columns}), *ids)
    assert found is not None
    return found.items if side == "items" else found.customers


def test_files_of_both_kinds_say_the_same_as_the_store(trained: Trained, tmp_path: Path) -> None:
    ids = [f"i{n}" for n in range(1, ITEMS)]
    heat = [_heat(n) for n in range(1, ITEMS)]
    text, table = tmp_path / "items.csv", tmp_path / "items.parquet"
    lines = [f"{one};{value!r};true" for one, value in zip(ids, heat, strict=True)]
    text.write_text("\n".join(["item_id;heat;organic", *lines, "gone;1;", "i0;;"]) + "\n")
    pq.write_table(pa.table({"item_id": ids, "organic": [True] * len(ids), "heat": heat}), table)
    stored = _read(trained, "items", attributes=["heat"])
    from_text = _read(trained, "items", file=str(text))
    from_table = _read(trained, "items", file=str(table), columns=["heat"])
    assert from_text.names == ("heat", "organic") and from_table.names == stored.names == ("heat",)
    np.testing.assert_array_equal(from_text.values[:, :1], stored.values)
    np.testing.assert_array_equal(from_table.values, stored.values)
    assert np.nansum(from_text.values[:, 1]) == len(ids)
    assert "says nothing of 0 of 80 items, 1 of its rows are of others" in from_text.note
    assert "says nothing of 1 of 80 items" in from_table.note


def test_a_query_of_the_shops_own_database_gives_columns(trained: Trained, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'own.db'}"
    with sa.create_engine(url).begin() as connection:
        connection.execute(sa.text("CREATE TABLE people (id INTEGER, age REAL)"))
        connection.execute(sa.text("INSERT INTO people VALUES (1, 33.5), (2, NULL)"))
    config = _config(
        source={"from": "sql", "url": url, "queries": {"interactions": "SELECT 1"}},
        features={"customers": {"query": "SELECT 'c' || id AS customer_id, age FROM people"}},
    )
    found = extras.read(trained.engine, config, [], ["c1", "c2", "c3"])
    assert found is not None and found.customers.names == ("age",)
    np.testing.assert_array_equal(found.customers.values[:, 0], np.array([33.5, np.nan, np.nan], np.float32))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("item_id,heat\ni1,1\ni2,2\ni1,3\n", "row 3: 'i1' stands twice"),
        ("item_id,colour\ni1,red\n", "colour: row 1: 'red', must be a number"),
        ("item_id,heat\ni1,inf\n", "heat: row 1: inf, must be a finite number"),
        ("item_id,heat\ni1,1e39\n", "must be a finite number of 32 bits"),
        ("sku,heat\ni1,1\n", "has no column item_id; it has sku, heat"),
        ("item_id\ni1\n", "has no column beside the ids"),
        ("item_id,heat\n,1\n", "row 1: item_id: is missing"),
        ("item_id,heat\n", "has no rows"),
        ("item_id,heat\nx1,1\nx2,1\n", "none of its 2 ids is one of the items"),
        ("item_id,heat\ni1,1,2\n", "row 1: has 3 fields"),
    ],
)
def test_what_is_no_column_is_refused_by_name(trained: Trained, tmp_path: Path, content: str, why: str) -> None:
    path = tmp_path / "items.csv"
    path.write_text(content)
    with pytest.raises(InvalidRequest, match=why):
        _read(trained, "items", file=str(path))


def test_what_is_not_there_is_refused_by_name(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="nobody has haet, did you mean heat"):
        _read(trained, "items", attributes=["haet"])
    with pytest.raises(InvalidRequest, match="there is no such file"):
        _read(trained, "items", file=str(tmp_path / "none.csv"))
    path = tmp_path / "items.csv"
    path.write_text("item_id,heat\ni1,1\n")
    with pytest.raises(InvalidRequest, match="has no column haet, did you mean heat"):
        _read(trained, "items", file=str(path), columns=["haet"])


@pytest.mark.parametrize(
    ("features", "why"),
    [
        ("items: {file: a.csv, attributes: [b]}", "features.items: file and attributes, must be one of them"),
        ("items: {columns: [b]}", "features.items.columns: has no meaning without file or query"),
        ("customers: {query: SELECT 1}", "features.customers.query: has no meaning with `source.from: store`"),
        ("items: {attributes: [b, b]}", "features.items.attributes: b stands twice"),
        ("items: {fiel: a.csv}", "features.items.fiel: unknown, did you mean file"),
    ],
)
def test_a_configuration_that_means_nothing_is_refused(tmp_path: Path, features: str, why: str) -> None:
    path = tmp_path / "training.yaml"
    path.write_text(f"features: {{{features}}}\n")
    with pytest.raises(InvalidRequest, match=why):
        load(path)


def test_columns_of_the_version_in_use_that_are_gone_are_warned_of(trained: Trained, tmp_path: Path) -> None:
    path, root = tmp_path / "items.csv", tmp_path / "models"
    path.write_text("item_id,heat\n" + "".join(f"i{n},{_heat(n)}\n" for n in range(ITEMS)))
    run.train(trained.engine, root, _config(features={"items": {"file": str(path)}}), Quiet())
    path.unlink()
    outcome = run.train(trained.engine, root, _config(), Quiet())
    said = {one["code"]: one["message"] for one in outcome.gate["checks"]}
    assert "cannot be read any more" in said["recipe_in_use"]
    with pytest.raises(InvalidRequest, match="there is no such file"):
        run.train(trained.engine, root, _config(features={"items": {"file": str(path)}}), Quiet())
