"""Reasons are facts about the score, and a list made now is the list that training finished.

Normally over the planted shop; as slow tests over the demo, when `make demo` has made one here.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from recsvc.artifact import read
from recsvc.concepts import GENERATORS, REASONS, Generator, Reason
from recsvc.engine import candidates, eligibility, lists, ranking
from recsvc.engine.eligibility import Shelf
from recsvc.engine.history import ENTRIES, History
from recsvc.engine.model import Model, from_artifact, own_history
from recsvc.engine.session import Session
from recsvc.settings import Settings
from recsvc.store import database, live
from tests.conftest import Place

NOTHING = np.empty(0, np.int64)
PAIRS = 1000
DEMO = Path(__file__).parents[2] / ".demo"
SPEAKS = {"taste": (0.5, 0, 1, 0.01), "graph": (0, 0.5, 1, 0.01)}


@dataclass
class World:
    """A model, and what may be shown when it was made."""

    model: Model
    shelf: Shelf

    @property
    def customers(self) -> int:
        return len(self.model.a["customer_high"])


def _world(home: Path) -> World:
    settings = Settings(home=home, redis_url="off")
    root = settings.artifact_root
    model = from_artifact(read(root, (root / "current").read_text().strip()))
    engine = database.connect(settings.sql_url)
    facts = eligibility.Availability(*live.columns(live.load_catalogue(engine, 0), model.item_ids))
    engine.dispose()
    return World(model, eligibility.shelf(facts, model.published_at, model.a["karma"]))


@pytest.fixture(params=["planted", pytest.param("demo", marks=pytest.mark.slow)], scope="module")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if request.param == "planted":
        place: Place = request.getfixturevalue("planted")
        yield _world(place.home)
        return
    if not (DEMO / "artifacts/current").is_file():
        pytest.skip("no demo here; `make demo` makes one")
    home = tmp_path_factory.mktemp("demo")
    shutil.copytree(DEMO / "artifacts", home / "artifacts")
    for part in DEMO.glob("recsvc.db*"):
        shutil.copy(part, home)
    yield _world(home)


def _part(history: History, keep: np.ndarray) -> History:
    return replace(history, **{name: getattr(history, name)[keep] for name in ENTRIES})


def _score(model: Model, generator: Generator) -> Callable[[History, int], float]:
    """What a generator says of an item to somebody with a history, before scaling."""
    if generator is Generator.COLLABORATIVE:
        return lambda of, row: float(candidates.collaborative(model, [candidates.half_step_of(model, of)])[0, row])
    if generator is Generator.NEIGHBOURS:
        return lambda of, row: float(candidates.neighbours(model, [of])[0, row])

    def repeats(of: History, row: int) -> float:
        return float(candidates.repeat(model, of)[of.item_rows == row].sum())

    return repeats


@pytest.mark.parametrize("speaks", ["learnt", "taste", "graph"])
def test_without_the_cited_item_the_generators_score_falls(world: World, speaks: str) -> None:
    model, rng = world.model, np.random.default_rng(11)
    if speaks != "learnt":
        model = replace(model, blend=np.array(SPEAKS[speaks], np.float32))
    checked, of_others = 0, 0
    while checked < PAIRS:
        history = own_history(model, int(rng.integers(world.customers)))
        if speaks != "learnt" and len(history) > 8 and rng.random() < 0.5:  # a short history leaves much to propose
            history = _part(history, np.sort(rng.choice(len(history), min(len(history), 40) // 2, replace=False)))
        listed = lists.personal(model, history, world.shelf, NOTHING, 60)
        for at in rng.permutation(len(listed.rows))[:20].tolist():
            row, cited = int(listed.rows[at]), int(listed.reasons.cited[at])
            generator = GENERATORS[listed.reasons.generators[at]]
            checked += 1
            if cited < 0:
                assert REASONS[listed.reasons.codes[at]] in {Reason.TRENDING_IN, Reason.FALLBACK}
                continue
            of_others += cited != row
            entry = history.item_rows == cited
            assert entry.any() and history.liked[entry].all() and not world.shelf.sensitive[cited]
            score = _score(model, generator)
            assert score(_part(history, ~entry), row) < score(history, row)
    assert speaks == "learnt" or of_others >= 100


def test_a_share_is_a_part_of_the_whole(world: World) -> None:
    model = replace(world.model, blend=np.array(SPEAKS["taste"], np.float32))
    for customer in np.linspace(0, world.customers - 1, 12).astype(int).tolist():
        history = own_history(model, customer)
        proposed = ranking.propose(model, [history])[0]
        listed = lists.personal(model, history, world.shelf, NOTHING, 60)
        added = np.maximum(ranking.parts(model, history, proposed, listed.rows), 0.0)
        why = listed.reasons
        for at, row in enumerate(listed.rows.tolist()):
            if GENERATORS[why.generators[at]] is Generator.COLLABORATIVE and why.cited[at] >= 0:
                evidence = candidates.evidence(proposed.step, model.a["factors"][:, [row]])[:, 0]
                whole, part = np.maximum(evidence, 0.0).sum(), evidence[history.item_rows == why.cited[at]].sum()
            else:
                whole, part = added[:, at].sum(), added[why.generators[at], at]
            assert why.shares[at] == pytest.approx(part / whole, rel=1e-4)


def test_a_finished_list_is_the_list_made_now_for_every_customer(world: World) -> None:
    model = world.model
    for customer in range(world.customers):
        done = lists.finished(model, customer)
        now = lists.personal(model, own_history(model, customer), world.shelf, NOTHING, len(done.rows))
        assert done.rows.tolist() == now.rows.tolist()
        np.testing.assert_allclose(done.scores, now.scores, rtol=0, atol=1e-6)
        np.testing.assert_allclose(done.reasons.shares, now.reasons.shares, rtol=0, atol=1e-6)
        for name in ("generators", "codes", "cited"):
            np.testing.assert_array_equal(getattr(done.reasons, name), getattr(now.reasons, name))


def test_lists_made_together_are_those_made_alone_to_the_last_bit(world: World) -> None:
    model = replace(world.model, blend=np.array(SPEAKS["taste"], np.float32))
    histories = [own_history(model, customer) for customer in range(min(world.customers, 64))]
    for history, proposed in zip(histories, ranking.propose(model, histories), strict=True):
        together = lists.composed(model, history, proposed, world.shelf, NOTHING, 60)
        alone = lists.personal(model, history, world.shelf, NOTHING, 60)
        assert together.rows.tolist() == alone.rows.tolist() and together.scores.tolist() == alone.scores.tolist()
        assert together.reasons.shares.tolist() == alone.reasons.shares.tolist()


def test_what_was_turned_down_is_not_named_though_it_is_looked_at_again(world: World) -> None:
    model = world.model
    history = own_history(model, 0)
    entry = int(np.argmax(history.weights))
    row = int(history.item_rows[entry])
    session = Session(np.array([row], np.int32), np.array([0]), np.array([False]))
    liked = lists.personal(model, history, world.shelf, NOTHING, 60, session)
    assert row in liked.reasons.cited[liked.reasons.generators == GENERATORS.index(Generator.SESSION)]
    rejected = history.rejected_at.copy()
    rejected[entry] = history.last_at[entry] + 1
    listed = lists.personal(model, replace(history, rejected_at=rejected), world.shelf, NOTHING, 60, session)
    assert row not in listed.reasons.cited and row not in listed.rows
