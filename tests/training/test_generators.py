"""The contract that every registered method keeps, and what is particular to one: EASE beside a matrix inverse."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from recsvc import artifact
from recsvc.artifact import Array
from recsvc.engine import candidates
from recsvc.engine.history import EMPTY, ENTRIES, Events, History
from recsvc.engine.model import Model, from_artifact
from recsvc.errors import InvalidRequest
from training import fit
from training.config import METHODS, Config, Ease, Neighbours, load
from training.matrix import Matrix
from training.models import ease, registry
from training.sources import Log

ITEMS, CUSTOMERS = 20, 40
UNLIKED = ITEMS  # has a row, but all that is known of it speaks against it
GENERATORS = {
    "collaborative": lambda model, histories: candidates.collaborative(
        model, [candidates.half_step_of(model, one) for one in histories]
    ),
    "neighbours": candidates.neighbours,
}
REGISTERED = [("collaborative", one) for one in registry.FACTORS] + [("neighbours", one) for one in registry.NEIGHBOURS]
every = pytest.mark.parametrize(("generator", "method"), REGISTERED, ids=[method for _, method in REGISTERED])


def _config(generator: str, method: str) -> Config:
    return Config.model_validate({
        "generators": {generator: method}, "threads": 1,
        "als": {"factors": 2, "iterations": 15, "regularization": 0.1, "alpha": 20},
        "ease": {"regularization": 1}, "bpr": {"factors": 4, "learning_rate": 0.1},
    })  # fmt: skip


def _checkerboard() -> Log:
    """Even customers bought even items, odd ones odd items; customer c has not seen item c mod 20. Customer 0 turned
    down one more item, and the last item of the catalogue is in nobody's history."""
    customers, items = np.nonzero(
        np.fromfunction(lambda c, i: (c % 2 == i % 2) & (i != c % ITEMS), (CUSTOMERS, ITEMS), dtype=int)
    )
    customers, items = np.append(customers, 0), np.append(items, UNLIKED)
    bought = items != UNLIKED
    events = Events(
        items.astype(np.int32), np.where(bought, 5, -5).astype(np.float32), np.full(len(items), 1_700_000_000),
        bought, ~bought, customers.astype(np.int64), np.zeros(len(items), bool),
    )  # fmt: skip
    names = ([f"c{c}" for c in range(CUSTOMERS)], [f"i{i}" for i in range(ITEMS + 2)])
    nothing = np.zeros(len(items), bool)
    return Log(*names, customers.astype(np.int32), events, nothing, nothing)


def _fitted(generator: str, method: str) -> tuple[Model, Matrix]:
    config = _config(generator, method)
    matrix, found = fit.arrays(_checkerboard(), config)
    parameters = fit.parameters(matrix, config, config.blend)
    return fit.assemble("", fit.without_customers(found, 1), parameters), matrix


def _history(item_row: int) -> History:
    one = History(*(np.zeros(1, getattr(EMPTY, name).dtype) for name in ENTRIES))
    one.item_rows[0], one.weights[0] = item_row, 5.0
    return one


def test_the_configuration_names_every_registered_method() -> None:
    assert {"collaborative": tuple(registry.FACTORS), "neighbours": tuple(registry.NEIGHBOURS)} == METHODS


@every
def test_the_checkerboard_is_completed(generator: str, method: str) -> None:
    model, matrix = _fitted(generator, method)
    histories = [matrix.of(customer) for customer in range(CUSTOMERS)]
    scores = GENERATORS[generator](model, histories)
    for customer, history in enumerate(histories):
        scores[customer, history.item_rows] = -np.inf
    assert (scores.argmax(axis=1) == np.arange(CUSTOMERS) % ITEMS).all()


@every
def test_the_same_twice(generator: str, method: str) -> None:
    first, second = (_fitted(generator, method)[0].a for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


@every
def test_a_customer_without_history_is_told_nothing(generator: str, method: str) -> None:
    model, matrix = _fitted(generator, method)
    scores = GENERATORS[generator](model, [EMPTY, matrix.of(1)])
    assert not scores[0].any() and scores[1].any()


@every
def test_an_item_without_a_row_or_without_anybody_who_likes_it_breaks_nothing(generator: str, method: str) -> None:
    model, _ = _fitted(generator, method)
    assert f"i{ITEMS + 1}" not in model.rows
    row = model.rows[f"i{UNLIKED}"]
    scores = GENERATORS[generator](model, [_history(row), _history(0)])
    assert np.isfinite(scores).all()
    if generator == "neighbours":
        assert not scores[0].any() and not scores[1, row]


@every
def test_nothing_liked_at_all_breaks_nothing(generator: str, method: str) -> None:
    config, nothing = _config(generator, method), sparse.csr_matrix((3, 4), dtype=np.float32)
    if generator == "collaborative":
        assert np.isfinite(registry.factors(nothing, config)).all()
    else:
        assert not len(registry.neighbours(nothing, config)["neighbour_rows"])


@every
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_and_named(generator: str, method: str, value: float) -> None:
    dense = np.eye(6, dtype=np.float32)
    dense[3, 2] = value
    learn = registry.factors if generator == "collaborative" else registry.neighbours
    with pytest.raises(InvalidRequest, match=f"holds {value} at customer row 3, item row 2"):
        learn(sparse.csr_matrix(dense), _config(generator, method))


@every
def test_what_is_read_back_is_what_was_published(generator: str, method: str, tmp_path: Path) -> None:
    model, matrix = _fitted(generator, method)
    version = "20261121T020000Z-3fa1"
    artifact.publish(tmp_path, version, model.a, {**model.manifest})
    read = from_artifact(artifact.read(tmp_path, version))
    assert read.a.keys() == model.a.keys()
    for name, array in model.a.items():
        np.testing.assert_array_equal(array, read.a[name], err_msg=name)
    histories = [matrix.of(customer) for customer in range(5)]
    say = GENERATORS[generator]
    np.testing.assert_array_equal(say(model, histories), say(read, histories))


@pytest.mark.parametrize("method", registry.NEIGHBOURS)
def test_neighbours_come_best_first_never_themselves_never_of_one_household(method: str) -> None:
    liked = np.zeros((60, 8), np.float32)
    liked[0, :3] = 1  # one household has 0, 1 and 2
    liked[1:13, 3:5] = 1  # twelve have 3 and 4
    liked[13:16, 4:6] = 1  # three have 4 and 5
    config = _config("neighbours", method).model_copy(update={"neighbours": Neighbours(keep=5, min_customers=3)})
    found = registry.neighbours(sparse.csr_matrix(liked), config)
    assert [_near(found, item)[0].tolist() for item in range(8)] == [[], [], [], [4], [3, 5], [4], [], []]
    assert all((np.diff(_near(found, item)[1]) <= 0).all() for item in range(8))
    narrow = config.model_copy(update={"neighbours": Neighbours(keep=1, min_customers=3)})
    assert _near(registry.neighbours(sparse.csr_matrix(liked), narrow), 4)[0].tolist() == [3]


def test_ease_is_the_inverse_cut_to_what_is_above_nought() -> None:
    liked = (np.random.default_rng(4).random((400, 600)) < 0.2).astype(np.float32)  # more items than one block
    settings = Neighbours(keep=600, min_customers=1)
    found = ease.neighbours(sparse.csr_matrix(liked), settings, Ease(regularization=7), threads=1)
    assert (liked.T @ liked > 0).all()  # no pair is cut for want of customers
    inverse = np.linalg.inv(liked.T.astype(np.float64) @ liked + 7 * np.eye(600))
    wanted = np.maximum(-inverse / np.diag(inverse), 0.0)
    np.fill_diagonal(wanted, 0)
    ours = sparse.csr_matrix(
        (found["neighbour_scores"], found["neighbour_rows"], found["neighbour_offsets"]), (600, 600)
    )
    np.testing.assert_allclose(ours.toarray(), wanted, atol=1e-6)


def test_ease_refuses_more_items_than_it_can_take() -> None:
    many = sparse.csr_matrix((2, ease.LIMIT + 1), dtype=np.float32)
    with pytest.raises(InvalidRequest, match="ease takes at most 10,000 items, here are 10,001; use graph"):
        registry.neighbours(many, _config("neighbours", "ease"))


@pytest.mark.parametrize(
    ("generator", "given", "words"),
    [
        ("collaborative", "asl", "generators.collaborative: asl: unknown, did you mean als?"),
        ("neighbours", "cosin", "generators.neighbours: cosin: unknown, did you mean cosine?"),
        ("neighbours", "xyz", "generators.neighbours: xyz: unknown, known are graph, ease, bm25, cosine"),
    ],
)
def test_an_unknown_method_is_named_with_the_nearest_known(
    tmp_path: Path, generator: str, given: str, words: str
) -> None:
    path = tmp_path / "training.yaml"
    path.write_text(f"generators: {{{generator}: {given}}}")
    with pytest.raises(InvalidRequest, match=re.escape(words)):
        load(path)
    learn = registry.factors if generator == "collaborative" else registry.neighbours
    with pytest.raises(InvalidRequest, match=re.escape(words)):
        learn(sparse.csr_matrix((2, 2), dtype=np.float32), _config(generator, given))


def _near(found: dict[str, Array], item: int) -> tuple[Array, Array]:
    start, end = found["neighbour_offsets"][item : item + 2]
    return found["neighbour_rows"][start:end], found["neighbour_scores"][start:end]
