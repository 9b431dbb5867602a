"""Signs: a return for a defect hurts the item, a dislike the taste; shown on a planted market, named as such."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest
import sqlalchemy as sa

from recsvc.engine import karma
from recsvc.store import interactions
from tests.market import DAY, NOW, Row, Trained, regret, row, share, shoppers, table, trained
from tests.planted import interaction
from training import karma as counting
from training import matrix as matrices
from training.config import Config, Karma
from training.sources import from_store, from_table

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
    bad, orders = np.array([0.0, 2, 9, 40, 2]), np.array([100.0, 100, 100, 100, 2])
    group, m, shop = np.array([0, 0, 0, -1, 1]), 20.0, 53 / 402
    usual = karma.category_rates(bad, orders, group, m)
    # Of the other two of the category, shrunk to the shop's; of none, and of a category of its own, the shop's.
    wanted = [(11 + m * shop) / 220, (9 + m * shop) / 220, (2 + m * shop) / 220, shop, shop]
    np.testing.assert_allclose(usual, wanted)
    rate = karma.rates(bad, orders, usual, m)
    np.testing.assert_allclose(rate, [(b + m * u) / (o + m) for b, o, u in zip(bad, orders, usual, strict=True)])
    defects = np.array([0.0, 0, 0, 0.3, 0.3])
    found = karma.multipliers(rate, usual, defects, orders, karma.Limits())
    wanted = np.clip(1 - 2 * (rate - usual), 0.5, 1.1).tolist()
    wanted[3] = 0.0  # many orders and enough defects
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert found[2] < 1 < found[0] and found[4] > 0.5
    none = np.zeros(3)
    assert karma.multipliers(none, none, none, none, karma.Limits()).tolist() == [1.0] * 3


def test_bad_karma_moves_down_below_zero_too() -> None:
    scores = karma.applied(np.array([2.0, -2, 2, 0]), np.array([0.5, 0.5, 1.1, 0.5], np.float32))
    np.testing.assert_allclose(scores, [1.0, -4.0, 2.2, 0.0], rtol=1e-6)


def _counted(*rows: Row, settings: Karma | None = None) -> dict[str, tuple[float, float]]:
    """Bad ends by weight, and orders, of each item."""
    settings = settings or Karma()
    log = from_table(table(list(rows)), {})
    matrix = matrices.build(log, CONFIG, float(NOW // 1_000_000))
    found = counting.counted(log, matrix, settings)
    bad = found.total(np.array([one.weight for one in counting.ways(settings)]))
    names = [log.item_ids[code] for code in matrix.item_codes]
    return {name: (float(b), float(o)) for name, b, o in zip(names, bad, found.orders, strict=True)}


def test_one_customer_is_no_jury() -> None:
    quarrel = [row("x", "a", NOW - n, f"x{n}") for n in range(50)]
    quarrel += [row("x", "a", NOW, f"x{n}", "return", "defective") for n in range(50)]
    quarrel += [row("x", "a", NOW - n, None, "complaint") for n in range(50)]
    assert _counted(*quarrel, row("y", "a", NOW, "y")) == {"a": (4.0, 5.0)}


def test_what_was_never_bought_cannot_be_returned() -> None:
    found = _counted(
        row("x", "a", NOW, "1"), row("y", "a", NOW, "2", "return", "defective"), row("x", "b", NOW, "1"),
        row("x", "b", NOW, None, "return", "defective"), row("x", "b", NOW, None, "return", "defective"),
        row(None, "c", NOW, "3"), row(None, "c", NOW, "3", "return", "defective"), row(None, "c", NOW, "4"),  # type: ignore[arg-type]
        row(None, "c", NOW, None, "return", "defective"), row("x", "c", NOW, "1", "return", "wrong_size"),  # type: ignore[arg-type]
    )  # fmt: skip
    assert found == {"a": (0.0, 1.0), "b": (1.0, 1.0), "c": (1.0, 2.0)}


def _said(kind: str, reason: str | None, stars: int | None = None) -> dict[str, tuple[float, float]]:
    """One of two customers who bought `a` once said this of it; the reason of a complaint is its subject."""
    said = ("x", "a", kind, NOW, stars, None if kind == "complaint" else reason, None, 1)
    rows = table([row("x", "a", NOW - 1, "1"), row("y", "a", NOW - 1, "2"), said])
    rows = rows.append_column("subject", [[None, None, reason if kind == "complaint" else None]])
    log = from_table(rows, {})
    found = counting.counted(log, matrices.build(log, CONFIG, float(NOW // 1_000_000)), Karma())
    bad = found.total(np.array([one.weight for one in counting.ways(Karma())]))
    return {"a": (float(bad[0]), float(found.orders[0]))}


@pytest.mark.parametrize(
    ("kind", "reason", "stars", "bad"),
    [
        ("return", "defective", None, 1.0), ("return", "damaged", None, 0.5), ("return", "wrong_size", None, 0.0),
        ("return", "disliked", None, 0.0), ("return", "nobody named this", None, 0.0), ("return", None, None, 0.0),
        ("complaint", "defective", None, 1.0), ("complaint", "delivery", None, 0.0), ("complaint", None, None, 0.25),
        ("complaint", "wrong_size", None, 0.0), ("review", None, 1, 0.5), ("review", None, 2, 0.25),
        ("review", None, 3, 0.0), ("review", None, None, 0.0), ("dislike", None, None, 0.0),
    ],
)  # fmt: skip
def test_each_bad_end_counts_as_the_settings_say(kind: str, reason: str | None, stars: int | None, bad: float) -> None:
    assert _said(kind, reason, stars) == {"a": (bad, 2.0)}


def test_one_thing_said_three_times_is_one_thing() -> None:
    bought = [row("x", "a", NOW - 2, "1"), row("x", "a", NOW - 1, "2")]
    said = [row("x", "a", NOW, "1", "return", "defective"), row("x", "a", NOW, None, "complaint")]
    review = ("x", "a", "review", NOW, 1, None, None, 1)
    assert _counted(*bought, *said, review) == {"a": (1.0, 2.0)}
    assert _counted(*bought, review, review) == {"a": (0.5, 2.0)}


def _sold(item: str, customers: int, bad: int, reason: str) -> list[Row]:
    rows = [row(f"c{n}", item, NOW - DAY, f"{item}-{n}") for n in range(customers)]
    return rows + [row(f"c{n}", item, NOW, f"{item}-{n}", "return", reason) for n in range(bad)]


def _karma(rows: list[Row], settings: Karma | None = None) -> dict[str, float]:
    log = from_table(table(rows), {})
    matrix = matrices.build(log, CONFIG, float(NOW // 1_000_000))
    found = counting.arrays(log, matrix, settings or Karma(), None)["karma"]
    return dict(zip([log.item_ids[code] for code in matrix.item_codes], found.tolist(), strict=True))


def test_only_defects_take_an_item_out_of_the_lists() -> None:
    rows = [
        *_sold("broken", 60, 40, "defective"),
        *_sold("misread", 60, 60, "not_as_described"),
        *_sold("fine", 200, 0, ""),
    ]
    found = _karma(rows)
    assert found["broken"] == 0.0 and 0.5 < found["misread"] < 0.6 and found["fine"] > 1.0
    # Under twenty orders, whatever their rate, nothing is taken out.
    assert _karma([*_sold("few", 19, 19, "defective"), *_sold("fine", 200, 0, "")])["few"] == 0.5


def test_a_wrong_size_changes_nothing() -> None:
    rows = [*_sold("a", 60, 0, ""), *_sold("b", 60, 0, "")]
    assert _karma([*rows, *_sold("a", 60, 60, "wrong_size")[60:]]) == _karma(rows) == {"a": 1.0, "b": 1.0}


def test_the_settings_decide() -> None:
    rows = [*_sold("broken", 60, 40, "defective"), *_sold("tight", 60, 60, "wrong_size"), *_sold("fine", 200, 0, "")]
    found = _karma(rows, Karma(returns={"wrong_size": 1.0}, defects=["wrong_size"], banned_orders=50))
    assert found["tight"] == 0.0 and found["broken"] > 1.0
    assert _karma(rows, Karma(banned_rate=0.9))["broken"] == 0.5
    assert set(_karma(rows, Karma(force=0.0, banned_rate=1.0)).values()) == {1.0}


def test_the_subject_of_a_complaint_is_read_from_either_database(engine: sa.Engine) -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    said = [
        ("defective", {"subject": "defective", "properties": {"note": "a \\u0000 b"}}),
        ("", None),
        ("", {"ref": "t"}),
    ]
    rows = []
    for n, (_, details) in enumerate(said):
        told = interaction(f"c{n}", "a", "complaint", at)
        rows.append((*told[:-1], None if details is None else json.dumps(details)))
        rows.append(interaction(f"c{n}", "a", "purchase", at, order_id=f"o{n}"))
    interactions.append_many(engine, rows)
    log = from_store(engine, {}, interactions.newest_revision(engine))
    assert log.outcomes is not None
    found = [log.outcome_names[one][1] for one in log.outcomes[np.argsort(log.customers, kind="stable")] if one >= 0]
    assert found == [subject for subject, _ in said]
