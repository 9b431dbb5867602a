"""Shops that are hardly shops: each publishes a model that answers, or is refused in words."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsvc import artifact
from recsvc.engine import eligibility, lists, ranking
from recsvc.engine.history import EMPTY
from recsvc.engine.model import from_artifact, own_history
from recsvc.errors import InvalidRequest, RecsvcError
from recsvc.flows.imports import Order, import_files
from recsvc.store import database, facts, interactions
from recsvc.store.maps import Map
from tests.planted import Quiet, history, interaction, small
from training import run
from training.config import Config

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
Row = tuple[Any, ...]


def _row(customer: str | None, item: str, kind: str = "purchase", days: float = 1.0, **more: Any) -> Row:
    more.setdefault("order_id", f"{customer}-{days}")
    more.setdefault("quantity", 1)
    return interaction(customer, item, kind, NOW - days * DAY, **more)


def _weekly(customers: int, of_items: int, weeks: int = 20) -> list[Row]:
    rng = np.random.default_rng(2)
    return [
        _row(f"c{c}", f"i{rng.integers(of_items)}", days=7 * week + c % 5 + 0.5, order_id=f"o{c}-{week}")
        for c in range(customers)
        for week in range(weeks)
    ]


PUBLISHED: dict[str, Callable[[], list[Row]]] = {
    "one customer": lambda: _weekly(1, 30),
    "one item": lambda: _weekly(40, 1),
    "one event": lambda: [_row("c", "i")],
    "everybody one and the same item once": lambda: [_row(f"c{n}", "i", days=n % 7 + 1.0) for n in range(100)],
    "two items": lambda: _weekly(60, 2),
    "one day of data": lambda: [_row(f"c{n}", f"i{(n * k) % 30}", days=0.5) for n in range(60) for k in (1, 2, 3)],
    "everything at one moment": lambda: [_row(f"c{n}", f"i{n % 9}", days=3.0) for n in range(90)],
    "nobody comes twice": lambda: [_row(f"c{n}", f"i{n % 40}", days=n % 60 + 1.0) for n in range(400)],
    "every item once": lambda: [_row(f"c{n % 50}", f"i{n}", days=n % 90 + 1.0) for n in range(900)],
    "views, and one purchase": lambda: [_row(f"c{n % 30}", f"i{n % 20}", "view") for n in range(300)] + [_row("c", "i")],
    "more returned than bought": lambda: _weekly(40, 20) + [
        _row(f"c{n % 40}", f"i{n % 20}", "return", days=0.2 + n / 1e4, order_id=f"r{n}") for n in range(2000)
    ],
    "dates to come": lambda: _weekly(40, 20) + [_row(f"c{n}", "i1", days=-9000.0) for n in range(30)],
    "dates before the epoch's end of day one": lambda: [_row(f"c{n}", f"i{n % 5}", days=20000.0) for n in range(60)],
    "mostly guests": lambda: _weekly(3, 5) + [_row(None, f"i{n % 5}", order_id=f"g{n}") for n in range(500)],
    "endless ids": lambda: [_row("c" * 256, "☃" * 85, days=n + 1.0) for n in range(30)] + _weekly(30, 9),
}  # fmt: skip
REFUSED: dict[str, tuple[Callable[[], list[Row]], str]] = {
    "empty": (list, "there is no interaction"),
    "all returns": (lambda: [_row(f"c{n}", f"i{n % 9}", "return") for n in range(90)], "no purchase"),
    "guests only": (lambda: [_row(None, f"i{n % 9}", order_id=f"g{n}") for n in range(90)], "names a customer"),
}


def _train(home: Path, rows: list[Row], config: Config) -> run.Outcome:
    engine = database.connect(f"sqlite:///{home / 'recsvc.db'}")
    database.migrate(engine)
    facts.ensure(engine)
    interactions.append_many(engine, rows)
    try:
        return run.train(engine, home / "artifacts", config, Quiet())
    finally:
        engine.dispose()


def _answers(home: Path, version: str) -> None:
    """A list for somebody unknown and for the first customer, of items that exist, none twice, no score NaN."""
    model = from_artifact(artifact.read(home / "artifacts", version))
    shelf = eligibility.Shelf(model.a["karma"] > 0, np.zeros(model.n_items, bool), time.time() + 1e6)
    for known in [EMPTY, own_history(model, 0)]:
        proposed = ranking.propose(model, [known])[0]
        listed = lists.composed(model, known, proposed, shelf, np.empty(0, np.int64), 10)
        assert len(set(listed.rows.tolist())) == len(listed.rows) <= 10 and np.isfinite(listed.scores).all()
        assert all(0 <= row < model.n_items for row in listed.rows)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_strange_shop_gets_a_model_that_answers(tmp_path: Path, name: str) -> None:
    """By the default recipe: it has more factors than most of these have items."""
    outcome = _train(tmp_path, PUBLISHED[name](), Config.model_validate({"threads": 1}))
    assert artifact.current(tmp_path / "artifacts") == outcome.version
    _answers(tmp_path, outcome.version)


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_to_learn_from_is_refused_in_words(tmp_path: Path, name: str) -> None:
    rows, words = REFUSED[name]
    with pytest.raises(InvalidRequest, match=words):
        _train(tmp_path, rows(), small())
    assert artifact.current(tmp_path / "artifacts") is None


@pytest.mark.parametrize("weight", [0.0, -5.0])
def test_weights_under_which_nothing_is_liked_are_refused_in_words(tmp_path: Path, weight: float) -> None:
    config = small().model_copy(update={"weights": {"purchase": weight}})
    with pytest.raises(InvalidRequest, match="no interaction weighs more than 0; look at `weights`"):
        _train(tmp_path, history(NOW), config)
    assert artifact.current(tmp_path / "artifacts") is None


def test_a_weight_that_says_too_much_publishes_or_is_refused(tmp_path: Path) -> None:
    config = small().model_copy(update={"weights": {"purchase": 1e30}})
    try:
        _answers(tmp_path, _train(tmp_path, history(NOW), config).version)
    except RecsvcError as error:
        assert "refused by the gate" in error.message
        assert artifact.current(tmp_path / "artifacts") is None


def test_prices_that_are_no_numbers_are_refused_and_the_shop_trains(tmp_path: Path) -> None:
    engine = database.connect(f"sqlite:///{tmp_path / 'recsvc.db'}")
    database.migrate(engine)
    facts.ensure(engine)
    rows = [
        {"item_id": "a", "title": "A", "price_cents": float("nan")},
        {"item_id": "b", "title": "B", "price_cents": 100.0},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "items.parquet")
    order = Order("items", [tmp_path / "items.parquet"], Map(), NOW, rejects=tmp_path / "rejects.csv")
    outcome = import_files(engine, order, lambda rows, done, total: None)
    assert (outcome.read, outcome.rejected) == (2, 1)
    engine.dispose()
    _answers(tmp_path, _train(tmp_path, history(NOW), small()).version)
