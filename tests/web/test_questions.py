"""What a list can be asked, through the door."""

from __future__ import annotations

from typing import Any

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
        ("fields=", "fields"), ("locale=", "locale"), ("locale=x_", "locale"), ("channel=pigeon", "channel"),
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
    assert {one.split("-")[0] for one in both} == {"tea", "coffee", "new"}
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


def test_the_reasons_speak_the_language_asked_for(client: Any) -> None:
    assert "Comprou" in _get(client, "locale=pt-BR").json["items"][0]["reasons"][0]["text"]
