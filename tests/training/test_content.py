"""Content: an item that nobody bought stands where the items with its categories and its brand stand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
from scipy import sparse

from recsvc.artifact import read
from recsvc.engine import ranking
from recsvc.engine.model import customer_row, from_artifact, hash_customer, own_history
from recsvc.settings import Settings
from recsvc.store import database, facts
from tests.conftest import Place
from training import content

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def _row(item_id: str, days: float | None, active: bool = True, brand: str | None = None, *categories: str) -> object:
    at = None if days is None else int((NOW - timedelta(days=days)).timestamp() * 1e6)
    return SimpleNamespace(item_id=item_id, categories=list(categories), brand=brand, active=active, created_at=at)


def test_only_what_is_new_and_has_words_gets_a_code() -> None:
    rows = [
        _row("a", 900, True, "B", "x", "y"), _row("new", 3, True, None, "x"), _row("old", 90, True, None, "x"),
        _row("dateless", None, True, None, "x"), _row("off", 3, False, None, "x"), _row("wordless", 3),
    ]  # fmt: skip
    ids, found = content.of_catalogue(["a", "unlisted"], rows, (NOW - timedelta(days=60)).timestamp())
    assert ids == ["a", "unlisted", "new"] and found.new.tolist() == [2]
    assert found.words.toarray().sum(axis=1).tolist() == [3, 0, 1]
    assert found.group[0] >= 0 and found.group[1] == -1 and found.group[2] != found.group[0]


def test_the_place_of_the_unknown_is_that_of_its_words() -> None:
    words = sparse.csr_matrix(np.array([[1, 0], [1, 0], [0, 1], [1, 0], [0, 0]], np.float32))
    factors = np.array([[6.0, 0], [8, 0], [0, 7], [9, 9], [9, 9]], np.float32)
    found = content.filled(factors, words, np.array([True, True, True, False, False]))
    np.testing.assert_allclose(found, [[6, 0], [8, 0], [0, 7], [14 / 7, 0], [0, 0]], rtol=1e-6)


def test_a_new_coffee_is_nearer_to_those_who_drink_coffee(planted: Place) -> None:
    settings = Settings(home=planted.home)
    model = from_artifact(read(settings.artifact_root, (settings.artifact_root / "current").read_text().strip()))
    secret = facts.read(database.connect(planted.settings.sql_url)).customer_secret
    row = model.rows["new-00"]
    assert model.a["item_traits"][row, 0] == 0
    scores = {}
    for name in ("c3", "c70"):
        history = own_history(model, customer_row(model, hash_customer(name, secret)))
        scores[name] = float(ranking.propose(model, [history])[0].collaborative[row])
    assert scores["c3"] > 0.1 > scores["c70"]
