"""Karma over the API: a customer's follows what is told at once, an item's says what it was made from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recsvc.engine import karma


def _of(client: Any, customer_id: str) -> Any:
    reply = client.get(f"/v1/customers/{customer_id}/karma")
    assert reply.status_code == 200 and reply.headers["Cache-Control"] == "private, no-cache"
    return reply.json


def _told(client: Any, **fields: Any) -> None:
    assert client.post("/v1/interactions", json={"customer_id": "c3", **fields}).json["accepted"] == 1


def test_a_customers_karma_follows_what_is_told(client: Any) -> None:
    assert _of(client, "nobody")["karma"] == _of(client, "c3")["karma"] == 0
    _told(client, kind="complaint", ref="t1", subject="delivery")
    _told(client, kind="return", item_id="coffee-03", reason="wrong_size")
    found = _of(client, "c3")
    assert (found["karma"], found["open_complaint"], found["promotions_paused"]) == (-4.0, True, True)
    client.post("/v1/surveys", json={"customer_id": "c3", "kind": "ces", "score": 7, "about": "o1"})
    _told(client, kind="complaint_resolved", ref="t1")
    found = _of(client, "c3")
    assert found["karma"] == pytest.approx(-3.0, abs=0.01) and not found["open_complaint"]
    assert [(one["code"], one["ref"], one["resolved_at"] is not None) for one in found["parts"]] == [
        ("hard_effort", "o1", False), ("complaint", "t1", True),
    ]  # fmt: skip


def test_an_item_says_what_its_karma_was_made_from(client: Any) -> None:
    shop = client.application.extensions["recsvc"]
    model = shop.current.snapshot.model
    row = model.rows["coffee-03"]
    # As if a fifth of its orders had come back for a defect.
    orders = float(model.a["karma_orders"][row])
    told = model.manifest["parameters"]["karma"]["outcomes"]
    code = [(one["kind"], one["reason"]) for one in told].index(("return", "defective"))
    model.a["karma_rows"], model.a["karma_reasons"] = np.array([row], np.int32), np.array([code], np.int16)
    model.a["karma_counts"] = np.array([orders / 5], np.float32)
    model.a["karma_bad"] = np.where(np.arange(model.n_items) == row, orders / 5, 0).astype(np.float32)
    found = client.get("/v1/items/coffee-03/karma").json
    parts = found["parts"]
    (outcome,) = parts["outcomes"]
    assert (outcome["kind"], outcome["reason"], outcome["weight"], outcome["defect"]) == (
        "return",
        "defective",
        1.0,
        True,
    )
    bad = sum(one["count"] * one["weight"] for one in parts["outcomes"])
    rate = (bad + parts["shrink"] * parts["category_rate"]) / (parts["orders"] + parts["shrink"])
    assert found["karma"] == pytest.approx(rate, abs=1e-4)
    assert parts["category"] == "coffee" and found["proposed"] and found["code"] is None


def test_an_item_that_is_in_no_list_says_so(client: Any) -> None:
    model = client.application.extensions["recsvc"].current.snapshot.model
    row = model.rows["coffee-03"]
    model.a["karma"] = np.where(np.arange(model.n_items) == row, 0, model.a["karma"]).astype(np.float32)
    found = client.get("/v1/items/coffee-03/karma").json
    assert (found["multiplier"], found["proposed"], found["code"]) == (0.0, False, "bad_outcomes")


def test_a_version_of_before_says_only_what_scores_are_multiplied_by(client: Any) -> None:
    model = client.application.extensions["recsvc"].current.snapshot.model
    for name in karma.ARRAYS:
        del model.a[name]
    found = client.get("/v1/items/coffee-03/karma").json
    assert (found["multiplier"], found["karma"], found["parts"]) == (1.0, None, None)


def test_an_item_that_nobody_has_is_not_found_and_a_new_one_has_nothing_against_it(client: Any) -> None:
    assert client.get("/v1/items/none/karma").status_code == 404
    assert client.put("/v1/items", json={"item_id": "brand-new", "title": "New"}).json["accepted"] == 1
    found = client.get("/v1/items/brand-new/karma").json
    assert (found["multiplier"], found["proposed"], found["karma"]) == (1.0, True, None)
