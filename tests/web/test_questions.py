"""What a list can be asked, through the door."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.web.test_lists import _change, _ids, _post

LIST = "/v1/customers/c3/recommendations"


def _get(client: Any, query: str = "", path: str = LIST) -> Any:
    reply = client.get(f"{path}?{query}")
    assert reply.status_code == 200, reply.data
    return reply


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("offset=-1", "offset"), ("offset=901", "offset"), ("offset=x", "offset"), ("category=", "category"),
        ("diversity=2", "diversity: '2', must be a number from 0 to 1"), ("diversity=NaN", "diversity"),
        ("diversity=-0.1", "diversity"), ("diversity=１", "diversity"), ("min_relevance=x", "min_relevance"),
        ("explore=1e9", "explore"), ("explore=1_0", "explore"), ("max_per=brand", "max_per"), ("max_per=colour:2", "max_per"),
        ("max_per=brand:0", "max_per"), ("max_per=brand:101", "max_per"), ("fields=title,colour", "'colour'"),
        ("fields=", "fields"), ("explain=1", "explain"), ("locale=", "locale"), ("locale=x_", "locale"), ("channel=pigeon", "channel"),
    ],
)  # fmt: skip
def test_a_bad_parameter_is_named(client: Any, query: str, field: str) -> None:
    reply = client.get(f"{LIST}?{query}")
    assert reply.status_code == 400 and field in reply.json["detail"], reply.json


@pytest.mark.parametrize("customer", ["c3", "nobody", "fresh"])
@pytest.mark.parametrize("more", ["", "&diversity=0.5", "&max_per=category:7", "&category=tea", "&explore=0.3"])
def test_pages_continue_each_other(client: Any, customer: str, more: str) -> None:
    if customer == "fresh":
        _post(client, customer, "view", "tea-05")
    path = f"/v1/customers/{customer}/recommendations"
    whole = _ids(_get(client, "limit=40" + more, path))
    pages = [_ids(_get(client, f"limit=8&offset={offset}{more}", path)) for offset in range(0, 40, 8)]
    assert [one for page in pages for one in page] == whole and len(set(whole)) == len(whole) > 5


def test_a_category_holds_for_every_item_and_several_are_either(client: Any) -> None:
    tea = _get(client, "category=tea&limit=20")
    assert len(_ids(tea)) == 20 and all(one.startswith("tea") for one in _ids(tea))
    both = _ids(_get(client, "category=tea&category=coffee&limit=50"))
    # `new-00` is of coffee too, and the last of all where nobody bought it.
    assert {"tea", "coffee"} <= {one.split("-")[0] for one in both} <= {"tea", "coffee", "new"}
    assert _ids(_get(client, "category=wine")) == []


def test_at_most_so_many_of_a_brand(client: Any) -> None:
    found = [one["fields"]["brand"] for one in _get(client, "max_per=brand:2&limit=20").json["items"]]
    assert sorted(found) == ["coffee", "coffee", "tea", "tea"]


def test_only_the_fields_asked_for_are_told(client: Any) -> None:
    for query in ("fields=title,price_cents", "fields=title&fields=price_cents"):
        assert _get(client, query).json["items"][0]["fields"].keys() == {"title", "price_cents"}


def test_a_high_minimum_shortens_the_list(client: Any) -> None:
    items = _get(client, "limit=60&min_relevance=0.5").json["items"]
    assert 0 < len(items) < 58
    assert all(one["score"] >= 0.5 * items[0]["score"] - 1e-6 for one in items)


def test_variants_share_one_slot(client: Any) -> None:
    best, second = _ids(_get(client))[:2]
    _change(client, second, parent_id=best)
    after = _ids(_get(client))
    assert after[0] == best and second not in after and len(after) == 10


def test_a_little_chance_is_told_by_its_propensity_and_reason(client: Any) -> None:
    plain = _get(client, "limit=20")
    found = _get(client, "limit=20&explore=0.5").json["items"]
    by_chance = [one for one in found if one["reasons"][0]["code"] == "exploration"]
    assert by_chance and all(0 < one["propensity"] < 1 for one in found)
    assert all(one["propensity"] == 1.0 for one in plain.json["items"])
    assert "tea-29" not in {one["item_id"] for one in _get(client, "limit=60&explore=1").json["items"]}  # sensitive


def test_each_item_tells_what_every_generator_gave_when_asked(client: Any) -> None:
    items = _get(client, "explain=true").json["items"]
    assert items[0]["parts"].keys() == {"collaborative", "neighbours", "repeat", "popularity"}
    # Without a ranker the score is their sum, but for the karma of the item, which is 1.1 at most.
    assert all(0.5 * one["score"] <= sum(one["parts"].values()) <= 2 * one["score"] for one in items)
    assert items == _ask(client, customer_id="c3", explain=True).json["items"]
    assert "parts" not in _get(client, "explain=false").json["items"][0]


def test_the_reasons_speak_the_language_asked_for(client: Any) -> None:
    assert "Comprou" in _get(client, "locale=pt-BR").json["items"][0]["reasons"][0]["text"]


def _ask(client: Any, **body: Any) -> Any:
    reply = client.post("/v1/recommendations", json=body)
    assert reply.status_code == 200, reply.data
    return reply


@pytest.mark.parametrize("customer", ["c3", "nobody"])
def test_a_filter_holds_for_every_item(client: Any, customer: str) -> None:
    wanted = '{"category": {"in": ["tea"]}, "not": {"item_id": {"in": ["tea-05", "tea-06"]}}}'
    found = _ids(_get(client, "limit=100&filter=" + quote(wanted), f"/v1/customers/{customer}/recommendations"))
    assert len(found) == 26 and all(one.startswith("tea") for one in found) and not {"tea-05", "tea-06"} & set(found)


@pytest.mark.parametrize("path", [LIST, "/v1/items/tea-05/similar", "/v1/items/tea-05/bought-together"])
@pytest.mark.parametrize("wanted", ["", "x", "[]", '{"colour": {"eq": 1}}', '{"brand": {"lt": "a"}}', '{"all": {}}'])
def test_what_is_no_filter_is_a_400_that_names_it(client: Any, path: str, wanted: str) -> None:
    reply = client.get(f"{path}?filter={quote(wanted)}")
    assert reply.status_code == 400 and "filter" in reply.json["detail"]


@pytest.mark.parametrize("path", ["/v1/items/tea-05/similar", "/v1/items/coffee-00/bought-together"])
def test_lists_around_an_item_are_narrowed_too(client: Any, path: str) -> None:
    best = _ids(_get(client, "limit=20", path))
    assert best[0] not in _ids(_get(client, f"limit=20&exclude={best[0]},{best[1]}", path))
    wanted = quote(json.dumps({"item_id": {"in": best[2:4]}}))
    found = _get(client, f"filter={wanted}&fields=title&locale=ro", path)
    assert set(_ids(found)) == set(best[2:4]) and found.json["items"][0]["fields"].keys() == {"title"}


def test_a_question_as_an_object_has_the_answer_of_the_query_string(client: Any) -> None:
    _post(client, "c3", "view", "tea-05")
    one = _get(client, "limit=7&offset=3&max_per=category:8&diversity=0.3&exclude=coffee-00,coffee-01&category=coffee")
    two = _ask(
        client, customer_id="c3", limit=7, offset=3, max_per=["category:8"], diversity=0.3, category=["coffee"],
        exclude=["coffee-00", "coffee-01"],
    )  # fmt: skip
    assert one.json["items"] == two.json["items"] and one.json["source"] == two.json["source"] == "live"
    assert [item["slot"] for item in two.json["items"]] == [4, 5, 6, 7, 8]


def test_a_session_without_a_name_gets_what_goes_with_it(client: Any) -> None:
    found = _ask(client, session=[{"kind": "view", "item_id": "tea-05"}, {"kind": "view", "item_id": "tea-07"}])
    assert found.json["source"] == "session" and found.json["customer_id"] is None
    assert all(one.startswith("tea") for one in _ids(found)[:6])
    cart = _ask(client, items=["coffee-00"], limit=3)
    assert cart.json["source"] == "session" and _ids(cart)[0] == "coffee-01" and "coffee-00" not in _ids(cart)
    # The first is the most bought of all, so that may say more for it than the cart does.
    assert "coffee-00" in [one["reasons"][0]["item_id"] for one in cart.json["items"]]
    nothing = _ask(client)
    assert (nothing.json["source"], nothing.json["fallback"]) == ("fallback", "bestsellers")
    assert _ask(client, items=["nix"], session=[]).json["source"] == "fallback"


def test_what_is_told_with_a_question_is_not_stored(client: Any) -> None:
    before = _get(client).json["items"]
    told = _ask(client, customer_id="c3", session=[{"kind": "dislike", "item_id": before[0]["item_id"]}])
    assert told.json["source"] == "live" and before[0]["item_id"] not in _ids(told)
    assert _get(client).json["items"] == before


def test_the_item_of_the_page_is_not_proposed_beside_itself(client: Any) -> None:
    found = _ask(client, context={"item_id": "tea-05"}, placement="item_page", limit=60)
    assert found.json["source"] == "session" and "tea-05" not in _ids(found) and _ids(found)[0].startswith("tea")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"limit": 0}, "limit"), ({"limit": "5"}, "limit"), ({"limit": True}, "limit"), ({"colour": 1}, "colour"),
        ({"offset": -1}, "offset"), ({"explore": "x"}, "explore"), ({"explore": True}, "explore"), ({"explore": "0.5"}, "explore"),
        ({"explain": {}}, "explain"), ({"explain": "true"}, "explain"), ({"diversity": None}, "diversity"),
        ({"max_per": {"brand": 2}}, "max_per"), ({"max_per": ["brand"]}, "max_per.0"), ({"fields": ["colour"]}, "fields.0"),
        ({"filter": "{}"}, "filter"), ({"filter": {"x": 1}}, "filter"), ({"session": [{"kind": "look"}]}, "session.0.kind"),
        ({"session": {}}, "session"), ({"items": [1]}, "items.0"), ({"items": ["x"] * 1001}, "items"),
        ({"context": {"page": 1}}, "context.page"), ({"customer_id": ""}, "customer_id"), ({"exclude": [""]}, "exclude.0"),
    ],
)  # fmt: skip
def test_a_bad_field_of_a_question_is_named(client: Any, body: dict[str, Any], field: str) -> None:
    reply = client.post("/v1/recommendations", json=body)
    assert reply.status_code == 400 and field in reply.json["detail"], reply.json
