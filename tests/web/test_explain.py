"""Why a customer sees an item, or why not: each ground, planted, through the door."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from recsvc.store import items, rules
from tests.planted import catalogue

DAY = timedelta(days=1)


def _ask(client: Any, customer_id: str, item_id: str, **more: Any) -> Any:
    reply = client.get("/v1/explain", query_string={"customer_id": customer_id, "item_id": item_id, **more})
    assert reply.status_code == 200, reply.json
    return reply.json


def _codes(found: Any) -> list[str]:
    return [one["code"] for one in found["absent"]]


def _change(client: Any, item_id: str, **fields: Any) -> None:
    """Write an item and let this worker look."""
    shop = client.application.extensions["recsvc"]
    row = next(row for row in catalogue(datetime.now(UTC)) if row["item_id"] == item_id)
    items.put(shop.engine, [{**row, **fields}])
    shop.current.refresh(time.time())


def _post(client: Any, customer_id: str, kind: str, item_id: str, **more: Any) -> None:
    body = {"customer_id": customer_id, "kind": kind, "item_id": item_id, **more}
    assert client.post("/v1/interactions", json=body).json["accepted"] == 1


def _list(client: Any, customer_id: str, limit: int = 10) -> Any:
    return client.get(f"/v1/customers/{customer_id}/recommendations?limit={limit}").json


def _micro(at: datetime) -> int:
    return int(at.timestamp() * 1e6)


@pytest.mark.parametrize("customer_id", ["c3", "c100", "cold-tea", "nobody"])
def test_what_is_shown_is_explained_as_the_list_says_it(client: Any, customer_id: str) -> None:
    reply = _list(client, customer_id)
    for one in reply["items"]:
        found = _ask(client, customer_id, one["item_id"])
        assert found["shown"] and found["absent"] == [] and found["slot"] == found["rank"] == one["slot"]
        assert (found["score"], found["reasons"], found["made_by"]) == (one["score"], one["reasons"], one["source"])
        assert (found["source"], found["fallback"]) == (reply["source"], reply["fallback"])
        if reply["source"] == "personal":
            parts = {part["generator"]: part["part"] for part in found["parts"]}
            assert max(parts, key=lambda name: parts[name]) == one["source"]
            whole = sum(max(part, 0.0) for part in parts.values())
            if one["reasons"][0]["code"] == "due_again":
                assert one["reasons"][0]["share"] == pytest.approx(parts["repeat"] / whole, abs=1e-3)


@pytest.mark.parametrize("customer_id", ["c3", "nobody"])
def test_what_is_below_has_its_rank_and_score_beside_those_of_the_last_shown(client: Any, customer_id: str) -> None:
    deep = _list(client, customer_id, 30)["items"]
    for one in deep[10:]:
        found = _ask(client, customer_id, one["item_id"])
        assert not found["shown"] and found["slot"] is None and _codes(found) == ["below_rank"]
        assert (found["rank"], found["score"]) == (one["slot"], one["score"])
        assert found["last_score"] == deep[9]["score"]
    assert _ask(client, customer_id, deep[10]["item_id"], limit=11)["shown"]


def test_what_the_item_itself_is_kept_away_for(client: Any) -> None:
    now = datetime.now(UTC)
    assert _codes(_ask(client, "c3", "no-such-item")) == ["unknown_item", "not_in_model"]
    assert _codes(_ask(client, "c3", "coffee-29")) == ["inactive"]
    assert _codes(_ask(client, "c100", "tea-28")) == ["out_of_stock"]
    assert _codes(_ask(client, "c100", "tea-29")) == ["sensitive"]
    _change(client, "coffee-05", available_from=_micro(now + DAY))
    ahead = _ask(client, "c3", "coffee-05")
    assert _codes(ahead) == ["not_yet_available"] and ahead["absent"][0]["at"] > now.isoformat()
    _change(client, "coffee-05", available_from=None, available_to=_micro(now - DAY), stock=0, active=False)
    assert _codes(_ask(client, "c3", "coffee-05")) == ["inactive", "no_longer_available", "out_of_stock"]
    assert "coffee-05" not in {one["item_id"] for one in _list(client, "c3", 60)["items"]}


def test_an_item_that_ended_badly_too_often_says_so(client: Any) -> None:
    shop = client.application.extensions["recsvc"]
    model, row = shop.current.snapshot.model, shop.current.snapshot.model.rows["coffee-00"]
    model.a["karma"] = np.where(np.arange(model.n_items) == row, 0, model.a["karma"]).astype(np.float32)
    _change(client, "coffee-00", title="Anew")
    assert _codes(_ask(client, "c3", "coffee-00")) == ["bad_outcomes"]


def test_an_item_newer_than_the_model_says_so(client: Any) -> None:
    now = datetime.now(UTC)
    shop = client.application.extensions["recsvc"]
    items.put(shop.engine, [{**catalogue(now)[0], "item_id": "brand-new"}])
    shop.current.refresh(time.time())
    found = _ask(client, "c3", "brand-new")
    assert found["shown"] or _codes(found) == ["not_in_model"]


def test_what_the_customer_did_with_it(client: Any) -> None:
    shown = [one["item_id"] for one in _list(client, "c3")["items"]]
    _post(client, "c3", "add_to_cart", shown[0])
    _post(client, "c3", "purchase", shown[1], order_id="new")
    _post(client, "c3", "dislike", shown[2])
    _post(client, "c3", "return", shown[3], reason="disliked")
    found = {item: _ask(client, "c3", item) for item in shown[:4]}
    assert [_codes(one) for one in found.values()] == [["in_cart"], ["bought_lately"], ["disliked"], ["returned"]]
    day = datetime.now(UTC).date().isoformat()
    assert all(one["absent"][0]["at"].startswith(day) for one in found.values())
    assert found[shown[3]]["absent"][0]["detail"] == "last: return, because disliked"


def test_several_grounds_stand_in_the_order_in_which_they_decide(client: Any) -> None:
    first = _list(client, "c3")["items"][0]["item_id"]
    _post(client, "c3", "purchase", first, order_id="new")
    _post(client, "c3", "dislike", first)
    _change(client, first, stock=0, sensitive=True)
    assert _codes(_ask(client, "c3", first)) == ["out_of_stock", "sensitive", "bought_lately", "disliked"]


def test_another_variant_of_its_parent_stands_before_it(client: Any) -> None:
    first, second = (one["item_id"] for one in _list(client, "c3")["items"][:2])
    _change(client, first, parent_id="pair")
    _change(client, second, parent_id="pair")
    assert second not in {one["item_id"] for one in _list(client, "c3", 60)["items"]}
    found = _ask(client, "c3", second)
    assert _codes(found) == ["variant"] and found["absent"][0]["item_id"] == first and found["score"] > 0


def test_who_wants_no_profile_has_that_said(client: Any) -> None:
    shop = client.application.extensions["recsvc"]
    before = _list(client, "c100")["items"][0]["item_id"]
    assert client.patch("/v1/customers/c100", json={"profiling": False}).status_code == 200
    shop.current.refresh(time.time())
    found = _ask(client, "c100", before, limit=1)
    assert found["parts"] == [] and found["source"] == "fallback"
    assert found["shown"] or _codes(found) == ["below_rank", "no_profile"]


def test_parameters_are_named_and_offers_are_not_explained_yet(client: Any) -> None:
    for query, field in (
        ({"item_id": "a"}, "customer_id"), ({"customer_id": "a"}, "item_id"),
        ({"customer_id": "a", "item_id": "b", "placement": "x"}, "placement"),
        ({"customer_id": "a", "item_id": "b", "offer_id": "c"}, "offer_id"),
    ):  # fmt: skip
        reply = client.get("/v1/explain", query_string=query)
        assert reply.status_code == 400 and field in str(reply.json)


def test_explaining_changes_nothing(client: Any) -> None:
    first = _list(client, "c3")
    found = _ask(client, "c3", first["items"][0]["item_id"])
    assert {**_ask(client, "c3", first["items"][0]["item_id"]), "generated_at": found["generated_at"]} == found
    assert _list(client, "c3")["items"] == first["items"]


def test_a_reason_names_nothing_that_became_sensitive_or_was_deleted(client: Any) -> None:
    def cited() -> set[str]:
        listed = _list(client, "c3", 60)
        assert listed["source"] == "personal"
        return {one["reasons"][0]["item_id"] for one in listed["items"]} - {None}

    def others() -> set[str]:
        return {one["reasons"][0]["item_id"] for one in _list(client, "c3", 60)["items"]
                if one["reasons"][0]["item_id"] != one["item_id"]} - {None}  # fmt: skip

    first = sorted(others())[0]
    _change(client, first, sensitive=True)
    assert first not in cited() and cited()
    second = sorted(others())[0]
    assert client.delete(f"/v1/items/{second}").status_code == 200
    client.application.extensions["recsvc"].current.refresh(time.time())
    assert not {first, second} & cited() and cited()


@pytest.mark.parametrize(("locale", "begins"), [("pt-BR", "Comprou"), ("ro-RO", "Ați cumpărat"), ("de", "You bought")])
def test_a_list_speaks_the_language_it_is_asked_in(client: Any, locale: str, begins: str) -> None:
    items = client.get(f"/v1/customers/c3/recommendations?locale={locale}").json["items"]
    assert all(one["reasons"][0]["text"].startswith(begins) for one in items)


def _decide(client: Any, table: Any, **row: Any) -> None:
    shop = client.application.extensions["recsvc"]
    shop.write(lambda connection: rules.put(connection, table, row))
    shop.current.refresh(time.time())


def test_a_rule_is_named_by_its_id_and_a_placements_filter_is_told(client: Any) -> None:
    below = _list(client, "c3", 30)["items"][20]["item_id"]
    whole = {"factor": None, "slot": None, "starts_at": None, "ends_at": None, "priority": 0, "placement": "home"}
    _decide(client, rules.rules, **whole | {"rule_id": "lift", "action": "boost", "match": {"item_id": {"eq": below}},
                                            "factor": 1.0001})  # fmt: skip
    found = _ask(client, "c3", below)
    assert found["rules"] == [{"rule_id": "lift", "action": "boost"}] and _codes(found) == ["below_rank"]
    _decide(client, rules.rules, **whole | {"rule_id": "no", "action": "exclude", "match": {"item_id": {"eq": below}}})
    found = _ask(client, "c3", below)
    assert _codes(found) == ["rule"] and found["absent"][0]["rule_id"] == "no"
    assert _codes(_ask(client, "c3", below, placement="cart")) == ["below_rank"]
    _decide(
        client, rules.rules, **whole | {"rule_id": "tea", "action": "include", "match": {"category": {"eq": "tea"}}}
    )
    assert [one["rule_id"] for one in _ask(client, "c3", below)["absent"]] == ["no", "tea"]
    quiet = {
        "diversity": 0.0,
        "max_per": [],
        "min_relevance": 0.0,
        "fields": [],
        "cache_seconds": None,
        "shared": False,
    }
    _decide(client, rules.placements, **quiet | {"placement_id": "cart", "filters": {"category": {"eq": "tea"}}})
    assert _codes(_ask(client, "c3", below, placement="cart")) == ["placement_filter"]
