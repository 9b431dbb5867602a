"""Fold-in equals implicit's own half-step; the generators say what a brute-force loop says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from implicit.cpu.als import AlternatingLeastSquares
from scipy import sparse

from recsvc.artifact import read
from recsvc.engine import candidates
from recsvc.engine.history import DAY, Events, collect
from recsvc.engine.model import Model, from_artifact, own_history
from recsvc.settings import Settings
from tests.conftest import Place


@pytest.fixture(scope="module")
def model(planted: Place) -> Model:
    root = Settings(home=planted.home).artifact_root
    version = (root / "current").read_text().strip()
    return from_artifact(read(root, version))


@pytest.mark.parametrize("factors", [6, 20], ids=["more items than factors", "more factors than items"])
@pytest.mark.parametrize("negative", [False, True])
def test_fold_in_equals_implicits_recalculate_user_and_the_evidence_adds_up(negative: bool, factors: int) -> None:
    rng = np.random.default_rng(3)
    dense = rng.random((40, 25)) * (rng.random((40, 25)) < 0.3) * 9 + 0.0
    if negative:
        dense *= np.where(rng.random(dense.shape) < 0.2, -1, 1)
    matrix = sparse.csr_matrix(dense.astype(np.float32))
    als = AlternatingLeastSquares(
        factors=factors, regularization=0.7, alpha=1.0, iterations=4, random_state=1, num_threads=1
    )
    als.fit(matrix, show_progress=False)
    gram = als.item_factors.T @ als.item_factors
    inverse = np.linalg.inv(gram.astype(np.float64) + 0.7 * np.eye(factors))
    for customer in range(10):
        row = matrix[customer]
        step = candidates.half_step(gram, inverse, als.item_factors[row.indices], row.data, 0.7)
        ours = candidates.fold_in(step)
        np.testing.assert_allclose(ours, als.recalculate_user(0, row), rtol=2e-3, atol=2e-4)
        targets = als.item_factors[:7].T
        parts = candidates.evidence(step, targets)
        np.testing.assert_allclose(parts.sum(axis=0), ours @ targets, rtol=1e-4, atol=1e-5)


def test_fold_in_of_nothing_prefers_nothing() -> None:
    step = candidates.half_step(np.eye(4), np.eye(4), np.empty((0, 4), np.float32), np.empty(0, np.float32), 1.0)
    factor = candidates.fold_in(step)
    assert factor.tolist() == [0, 0, 0, 0]


def test_neighbours_equal_a_loop(model: Model) -> None:
    history = own_history(model, 5)
    wanted = np.zeros(model.n_items)
    offsets, scale = model.a["neighbour_offsets"], model.a["neighbour_scale"]
    for row, weight in zip(history.item_rows, history.weights, strict=True):
        for at in range(offsets[row], offsets[row + 1]):
            near, score = model.a["neighbour_rows"][at], model.a["neighbour_scores"][at]
            wanted[near] += np.log1p(max(weight, 0)) * score * scale[near] / scale[row]
    np.testing.assert_allclose(candidates.neighbours(model, [history])[0], wanted, rtol=1e-4)


def test_repeat_speaks_only_of_what_was_ordered(model: Model) -> None:
    history = own_history(model, 5)
    scores = candidates.repeat(model, history)
    assert ((scores > 0) == (history.orders > 0)).all()
    assert (scores > 0).any()


def test_the_rate_is_the_mean_of_gamma_and_poisson_with_older_visits_counting_less(model: Model) -> None:
    visits = [{0, 1}, {0}, {1}, {0}]  # items bought by visit, oldest first
    lines = [(row, visit) for visit, rows in enumerate(visits) for row in rows]
    rows, at = np.array(lines).T
    events = Events(
        rows.astype(np.int32),
        np.ones(5, np.float32),
        at * int(DAY),
        np.ones(5, bool),
        np.zeros(5, bool),
        at,
        np.zeros(5, bool),
    )
    _, history = collect(np.zeros(5, np.int64), events, model.decay)
    decay, prior = model.decay.visit_decay, model.prior_visits
    for row, bought in ((0, [1, 0, 1]), (1, [0, 1, 0])):  # what each visit after the first with it did
        ages = decay ** np.array([2, 1, 0])
        wanted = (ages @ np.array(bought) + prior * model.a["item_traits"][row, candidates.REPEAT_RATE]) / (
            ages.sum() + prior
        )
        assert candidates.rate(model, history)[row] == pytest.approx(wanted, rel=1e-5)


def test_orders_of_one_visit_are_one_visit(model: Model) -> None:
    five = np.zeros(5, np.int32)
    lines = Events(five, np.ones(5, np.float32), np.full(5, int(DAY)), five == 0, five > 0, np.arange(5), five > 0)
    _, history = collect(five, lines, model.decay)
    assert (history.orders[0], history.bought_visits[0], history.recent[0]) == (5, 1, 1.0)
    everybodys = model.a["item_traits"][0, candidates.REPEAT_RATE]
    assert candidates.rate(model, history)[0] == pytest.approx(everybodys)
    assert (model.a["item_traits"][:, candidates.REPEAT_RATE] <= 1).all()


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_confidence_keeps_sign_and_order(weights: list[float]) -> None:
    values = candidates.confidence_of(np.array(weights, np.float32), 5.0)
    assert (np.sign(values) == np.sign(np.array(weights, np.float32))).all()
    order = np.argsort(weights, kind="stable")
    assert (np.diff(values[order]) >= -1e-4).all()


@pytest.mark.parametrize("size", [3, 30])
def test_an_entry_pulls_where_the_scores_it_speaks_for_would_fall_without_it(size: int) -> None:
    seen = set()
    for seed in range(8):
        rng = np.random.default_rng(seed)
        factors = np.abs(rng.normal(size=(60, 6))).astype(np.float32)
        gram, regularization = factors.T @ factors, 1.0
        inverse = np.linalg.inv(gram.astype(np.float64) + regularization * np.eye(6))
        own, confidence = factors[:size], rng.uniform(5, 200, size).astype(np.float32)

        def step(keep: np.ndarray) -> candidates.HalfStep:
            return candidates.half_step(gram, inverse, own[keep], confidence[keep], regularization)  # noqa: B023

        whole = step(np.ones(size, bool))
        said, evidence = factors @ candidates.fold_in(whole), candidates.evidence(whole, factors.T)
        pulling = candidates.pulling(whole, own.T)
        for entry in range(size):
            without = factors @ candidates.fold_in(step(np.arange(size) != entry))
            clear = np.flatnonzero((evidence[entry] > 1e-3) & (np.abs(said - without) > 1e-5))
            assert ((without < said)[clear] == pulling[entry]).all()
            if len(clear):
                seen.add(bool(pulling[entry]))
    assert seen == {True, False} or size == 3
