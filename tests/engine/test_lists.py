"""Lists over the planted shop: taste, truth of reasons, and what must never be shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsvc.artifact import read
from recsvc.concepts import GENERATORS, REASONS, Generator, Reason
from recsvc.engine import candidates, lists, popular
from recsvc.engine.eligibility import Availability, Shelf, shelf
from recsvc.engine.history import DAY, ENTRIES, History
from recsvc.engine.model import Model, customer_row, from_artifact, hash_customer, own_history
from recsvc.engine.session import Session, left
from recsvc.settings import Settings
from recsvc.store import database, facts
from tests.conftest import Place

NOTHING = np.empty(0, np.int64)


@pytest.fixture(scope="module")
def model(planted: Place) -> Model:
    root = Settings(home=planted.home).artifact_root
    return from_artifact(read(root, (root / "current").read_text().strip()))


@pytest.fixture(scope="module")
def all_open(model: Model) -> Shelf:
    n = model.n_items
    return Shelf(np.ones(n, bool), np.zeros(n, bool), float("inf"))


@pytest.fixture(scope="module")
def secret(planted: Place) -> bytes:
    return facts.read(database.connect(Settings(home=planted.home).sql_url)).customer_secret


def _row(model: Model, secret: bytes, customer_id: str) -> int:
    return customer_row(model, hash_customer(customer_id, secret))


def _ids(model: Model, listed: lists.Listed) -> list[str]:
    return [model.item_ids[row] for row in listed.rows]


@pytest.mark.parametrize(("customer_id", "taste"), [("c3", "coffee"), ("c100", "tea")])
def test_a_list_follows_the_taste(model: Model, all_open: Shelf, secret: bytes, customer_id: str, taste: str) -> None:
    history = own_history(model, _row(model, secret, customer_id))
    found = _ids(model, lists.personal(model, history, all_open, NOTHING, 20))
    assert len(set(found)) == 20
    assert sum(item.startswith(taste) for item in found) >= 19


def test_an_unknown_customer_has_no_row(model: Model, secret: bytes) -> None:
    assert _row(model, secret, "nobody") == -1
    assert len({_row(model, secret, f"c{n}") for n in range(120)} - {-1}) == 120


def test_a_finished_list_is_the_list_made_live(model: Model, planted: Place, secret: bytes) -> None:
    """Live and batch are one code: for one history the same items, scores and reasons."""
    n = model.n_items
    is_open = np.array([item not in {"coffee-29", "tea-28"} for item in model.item_ids])
    delicate = np.array([item == "tea-29" for item in model.item_ids])
    as_trained = Shelf(is_open, delicate, float("inf"))
    assert n == 61
    for customer in range(0, 120, 7):
        row = _row(model, secret, f"c{customer}")
        live = lists.personal(model, own_history(model, row), as_trained, NOTHING, 100)
        done = lists.finished(model, row)
        assert done.rows.tolist() == live.rows.tolist()
        # One product of matrices for many customers rounds the last bit otherwise than one of a vector.
        np.testing.assert_allclose(done.scores, live.scores, rtol=1e-5)
        np.testing.assert_allclose(done.reasons.shares, live.reasons.shares, rtol=1e-4)
        for name in ("generators", "codes", "cited"):
            np.testing.assert_array_equal(getattr(done.reasons, name), getattr(live.reasons, name))


@pytest.mark.parametrize("blend", [(0.5, 0, 1, 0.01), (0, 0.5, 1, 0.01)])
def test_without_the_cited_item_the_generators_score_falls(
    model: Model, all_open: Shelf, secret: bytes, blend: tuple[float, ...]
) -> None:
    model = replace(model, blend=np.array(blend, np.float32))
    score = {
        Generator.COLLABORATIVE: lambda of, some: candidates.collaborative(
            of, [candidates.half_step_of(of, one) for one in some]
        ),
        Generator.NEIGHBOURS: candidates.neighbours,
    }
    checked = 0
    for customer in range(0, 120, 5):
        history = own_history(model, _row(model, secret, f"c{customer}"))
        short = _part(history, np.arange(len(history)) < 4)  # few items, so that much is left to propose
        listed = lists.personal(model, short, all_open, NOTHING, 20)
        for row, generator, cited in zip(listed.rows, listed.reasons.generators, listed.reasons.cited, strict=True):
            if GENERATORS[generator] not in score or cited < 0:
                continue
            of = score[GENERATORS[generator]]
            without = _part(short, short.item_rows != cited)
            assert of(model, [without])[0, row] < of(model, [short])[0, row]
            checked += 1
    assert checked >= 50


def test_closed_sensitive_excluded_and_disliked_items_are_not_listed(model: Model, secret: bytes) -> None:
    history = own_history(model, _row(model, secret, "c3"))
    n = model.n_items
    best = lists.personal(model, history, Shelf(np.ones(n, bool), np.zeros(n, bool), 0), NOTHING, 8).rows
    is_open, sensitive, weights = np.ones(n, bool), np.zeros(n, bool), history.weights.copy()
    is_open[best[0]] = False
    weights[history.item_rows == best[1]] = -5
    never_bought = np.setdiff1d(np.arange(n), history.item_rows)[:1]
    sensitive[never_bought] = True
    listed = lists.personal(
        model, replace(history, weights=weights), Shelf(is_open, sensitive, 0), np.array([best[2]]), n
    )
    assert not {int(best[0]), int(best[1]), int(best[2]), int(never_bought[0])} & set(listed.rows.tolist())
    assert len(listed.rows) == n - 4


def test_a_sensitive_item_is_never_cited(model: Model, secret: bytes) -> None:
    history = own_history(model, _row(model, secret, "c3"))
    n = model.n_items
    plain = lists.personal(model, history, Shelf(np.ones(n, bool), np.zeros(n, bool), 0), NOTHING, n)
    cited = set(plain.reasons.cited.tolist()) - {-1}
    sensitive = np.zeros(n, bool)
    sensitive[list(cited)] = True
    hidden = lists.personal(model, history, Shelf(np.ones(n, bool), sensitive, 0), NOTHING, n)
    assert cited and not set(hidden.reasons.cited.tolist()) & cited


def test_the_session_brings_up_complements_of_the_cart(model: Model, all_open: Shelf, secret: bytes) -> None:
    tea_drinker = own_history(model, _row(model, secret, "c100"))
    coffee = model.rows["coffee-00"]
    session = Session(np.array([coffee], np.int32), np.array([0]), np.array([True]))
    listed = lists.personal(model, tea_drinker, all_open, NOTHING, 5, session, now=0.0)
    at = _ids(model, listed).index("coffee-01")
    assert REASONS[listed.reasons.codes[at]] is Reason.BOUGHT_TOGETHER
    assert listed.reasons.cited[at] == coffee
    day_later = lists.personal(model, tea_drinker, all_open, NOTHING, 60, session, now=4 * DAY)
    assert _ids(model, day_later).index("coffee-01") > at


def test_a_purchase_brings_up_its_complements_for_a_day(model: Model, all_open: Shelf, secret: bytes) -> None:
    tea_drinker = own_history(model, _row(model, secret, "c100"))
    coffee, one = np.array([model.rows["coffee-00"]], np.int32), np.array([True])
    bought, looked_at = (
        lists.personal(model, tea_drinker, all_open, coffee, 5, Session(coffee, np.array([0]), ~one, what), now=0.0)
        for what in (one, ~one)
    )
    at = _ids(model, bought).index("coffee-01")
    assert REASONS[bought.reasons.codes[at]] is Reason.BOUGHT_TOGETHER and bought.reasons.cited[at] == coffee[0]
    assert _ids(model, bought) != _ids(model, looked_at)


@pytest.mark.parametrize("ranked", [True, False])
def test_a_dislike_pushes_down_its_like_but_not_what_is_bought(
    model: Model, all_open: Shelf, secret: bytes, ranked: bool
) -> None:
    if not ranked:
        model = replace(model, a={name: one for name, one in model.a.items() if name != "forest_leaves"})
    newcomer = _part(own_history(model, _row(model, secret, "c100")), np.array([0, 1, 2]))
    refused = int(lists.personal(model, newcomer, all_open, newcomer.item_rows, 1).rows[0])
    session = Session(
        *(np.empty(0, one) for one in (np.int32, np.int64, bool)), refused=np.array([refused]), refused_at=np.array([0])
    )
    kept = left(model, session, newcomer, 0.0)
    assert kept is not None and 0.5 <= kept.min() < 0.7 and (kept[newcomer.item_rows] == 1.0).all()
    nearest, most = int(kept.argmin()), float(kept.min())
    without = np.array([refused])
    # All items, since what is pushed down may leave a shorter list.
    before = lists.personal(model, newcomer, all_open, without, model.n_items)
    after = lists.personal(model, newcomer, all_open, without, model.n_items, session, now=0.0)
    score = [dict(zip(one.rows.tolist(), one.scores.tolist(), strict=True)) for one in (before, after)]
    assert score[1].get(nearest, 0.0) == pytest.approx(score[0][nearest] * most, rel=1e-4)
    assert after.rows.tolist().index(nearest) >= before.rows.tolist().index(nearest)
    assert all(score[1][row] == score[0][row] for row in newcomer.item_rows.tolist() if row in score[0])
    later = left(model, session, newcomer, 2 * DAY)
    assert later is not None and later.min() == pytest.approx(1 - (1 - most) / 4)


def test_bought_together_knows_the_pair(model: Model, all_open: Shelf) -> None:
    assert _ids(model, lists.bought_together(model, model.rows["coffee-00"], all_open, 3))[0] == "coffee-01"


def test_similar_items_are_of_one_kind(model: Model, all_open: Shelf) -> None:
    found = _ids(model, lists.similar(model, model.rows["tea-05"], all_open, 10))
    assert len(found) == 10 and all(item.startswith("tea") for item in found) and "tea-05" not in found


def test_bestsellers_equal_a_count_net_of_returns(model: Model, all_open: Shelf) -> None:
    a = model.a
    newest = int(a["sale_days"][-1])
    wanted = np.zeros(model.n_items)
    for row, day, count in zip(a["sale_rows"], a["sale_days"], a["sale_orders"], strict=True):
        if newest - 13 <= day <= newest:
            wanted[row] += count
    listed = popular.bestsellers(popular.sales_of(model), all_open, None, popular.Window(1e12, 14), 5)
    assert listed.scores.tolist() == sorted(wanted, reverse=True)[:5]


def test_a_shelf_opens_and_closes_to_the_second() -> None:
    inf = float("inf")
    facts_of = Availability(
        np.array([True, True, False, True]), np.array([inf, 0, inf, 1]), np.array([10.0, -inf, -inf, -inf]),
        np.array([20.0, inf, inf, 15.0]), np.zeros(4, bool),
    )  # fmt: skip
    whole = np.ones(4, np.float32)
    assert (
        shelf(facts_of, 9.9, whole).open.tolist() == [False, False, False, True]
        and shelf(facts_of, 9.9, whole).until == 10
    )
    assert (
        shelf(facts_of, 10, whole).open.tolist() == [True, False, False, True]
        and shelf(facts_of, 10, whole).until == 15
    )
    assert (
        shelf(facts_of, 15, whole).open.tolist() == [True, False, False, False]
        and shelf(facts_of, 15, whole).until == 20
    )
    assert shelf(facts_of, 20, whole).open.tolist() == [False] * 4 and shelf(facts_of, 20, whole).until == inf
    assert not shelf(facts_of, 10, np.array([0, 1, 1, 1])).open[0]


def _part(history: History, keep: np.ndarray) -> History:
    return replace(history, **{name: getattr(history, name)[keep] for name in ENTRIES})
