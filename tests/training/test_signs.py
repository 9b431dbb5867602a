"""Signs: a return for a defect hurts the item, a dislike the taste; shown on a planted market, named as such."""

from __future__ import annotations

import numpy as np
import pytest

from recsvc.engine import karma
from tests.market import DAY, NOW, Row, Trained, regret, row, share, shoppers, table, trained
from training import karma as counting
from training import matrix as matrices
from training.config import Config
from training.sources import from_table

CONFIG = Config.model_validate({"als": {"factors": 16, "iterations": 4}, "threads": 1})
NAMES = [f"c{n}" for n in range(300)]
FAULTY = {f"i{department * 20 + 1}" for department in range(8)}


def _with_signs(rows: list[Row], seed: int) -> list[Row]:
    """Half of what is bought of the faulty items comes back; every third customer dislikes what is far from home."""
    rng = np.random.default_rng(seed)
    found = list(rows)
    for customer, item, _, at, _, _, order, _ in rows:
        if item in FAULTY and rng.random() < 0.5:
            found.append(row(customer, item, at + 2 * DAY, order, "return", "defective"))
        elif int(customer[1:]) % 3 == 0 and int(item[1:]) % 20 < 4 and rng.random() < 0.3:
            found.append(row(customer, item, at + DAY, None, "dislike"))
    return found


def test_regret_falls_when_signs_are_heard() -> None:
    rows = _with_signs(shoppers(NAMES, 160, 3), 4)
    split = NOW - 20 * DAY
    before, later = ([one for one in rows if (one[3] < split) == early] for early in (True, False))
    known = {one[0] for one in before if one[2] == "purchase"}
    later = [one for one in later if one[0] in known]
    heard = regret(trained(before, CONFIG), later)
    deaf = regret(trained([one for one in before if one[2] == "purchase"], CONFIG), later)
    assert heard < 0.6 * deaf


@pytest.fixture(scope="module")
def plain() -> Trained:
    return trained(shoppers(NAMES, 160, 3), CONFIG)


def _said_of(item: str, kind: str, reason: str | None, fifths: int) -> tuple[Trained, list[str]]:
    """The market in which some fifths of an item's buyers said something, and the customers who did not."""
    rows = shoppers(NAMES, 160, 3)
    told = [one for one in rows if one[1] == item and int(one[0][1:]) % 5 < fifths]
    said = [row(one[0], item, one[3] + DAY, one[6], kind, reason) for one in told]
    silent = set(NAMES) - {one[0] for one in told}
    return trained(rows + said, CONFIG), sorted(silent)


def test_a_defect_takes_the_item_out_of_other_peoples_lists(plain: Trained) -> None:
    heard, others = _said_of("i0", "return", "defective", 3)
    assert share(plain, "i0", others) > 0.05
    assert heard.model.a["karma"][heard.model.rows["i0"]] == 0.0
    assert share(heard, "i0", NAMES) == 0.0


def test_a_dislike_is_the_word_of_who_said_it_and_not_of_the_item(plain: Trained) -> None:
    heard, others = _said_of("i0", "dislike", None, 1)
    told = sorted(set(NAMES) - set(others))
    assert heard.model.a["karma"].tolist() == [1.0] * heard.model.n_items
    assert share(heard, "i0", others) > 0.8 * share(plain, "i0", others)
    # Some of them bought it again after they said so.
    assert share(heard, "i0", told) < 0.5 * share(plain, "i0", told)


def test_karma_is_the_formula() -> None:
    found = karma.multipliers(np.array([0.0, 2, 9, 40, 2]), np.array([100.0, 100, 100, 100, 2]))
    shop = 53 / 402
    rate = (np.array([0.0, 2, 9, 40, 2]) + 20 * shop) / np.array([120.0, 120, 120, 120, 22])
    wanted = np.clip(1 - 2 * (rate - shop), 0.5, 1.1)
    wanted[3] = 0.0  # many orders and a rate over 0.3
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert found[0] == np.float32(1.1) and found[4] > 0.5
    assert karma.multipliers(np.zeros(3), np.zeros(3)).tolist() == [1.0] * 3


def test_bad_karma_moves_down_below_zero_too() -> None:
    scores = karma.applied(np.array([2.0, -2, 2, 0]), np.array([0.5, 0.5, 1.1, 0.5], np.float32))
    np.testing.assert_allclose(scores, [1.0, -4.0, 2.2, 0.0], rtol=1e-6)


def _counted(*rows: Row) -> dict[str, tuple[float, float]]:
    log = from_table(table(list(rows)), {})
    matrix = matrices.build(log, CONFIG, float(NOW // 1_000_000))
    bad, orders = counting._counted(log, matrix)
    names = [log.item_ids[code] for code in matrix.item_codes]
    return {name: (float(b), float(o)) for name, b, o in zip(names, bad, orders, strict=True)}


def test_one_customer_is_no_jury() -> None:
    quarrel = [row("x", "a", NOW - n, f"x{n}") for n in range(50)]
    quarrel += [row("x", "a", NOW, f"x{n}", "return", "defective") for n in range(50)]
    assert _counted(*quarrel, row("y", "a", NOW, "y")) == {"a": (4.0, 5.0)}


def test_what_was_never_bought_cannot_be_returned() -> None:
    found = _counted(
        row("x", "a", NOW, "1"), row("y", "a", NOW, "2", "return", "defective"), row("x", "b", NOW, "1"),
        row("x", "b", NOW, None, "return", "defective"), row("x", "b", NOW, None, "return", "defective"),
        row(None, "c", NOW, "3"), row(None, "c", NOW, "3", "return", "defective"), row(None, "c", NOW, "4"),  # type: ignore[arg-type]
        row(None, "c", NOW, None, "return", "defective"), row("x", "c", NOW, "1", "return", "wrong_size"),  # type: ignore[arg-type]
    )  # fmt: skip
    assert found == {"a": (0.0, 1.0), "b": (1.0, 1.0), "c": (1.0, 2.0)}
