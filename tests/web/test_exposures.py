"""What a reply returned is recorded, with nothing that names a person."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from typer.testing import CliRunner

from recsvc.cli.app import app
from recsvc.flows import exposures
from tests.conftest import Place, Valkey, worker

LIST = "/v1/customers/c3/recommendations"
LISTS = [
    LIST, "/v1/customers/c3/buy-again", "/v1/items/coffee-00/similar?customer_id=c3",
    "/v1/items/coffee-00/bought-together", "/v1/trending", "/v1/bestsellers", "/v1/new",
]  # fmt: skip


def _recorded(client: Any) -> list[dict[str, Any]]:
    """Everything recorded so far; the worker records no more after this."""
    shop = client.application.extensions["recsvc"]
    shop.exposures.close()
    return list(exposures.rows(shop.settings.exposures_folder, 0))


@pytest.mark.parametrize("path", LISTS)
def test_every_list_records_what_it_returned(client: Any, path: str) -> None:
    reply = client.get(path)
    rows = _recorded(client)
    assert [(row["item_id"], row["slot"], row["propensity"]) for row in rows] == [
        (one["item_id"], one["slot"], one["propensity"]) for one in reply.json["items"]
    ]
    for row in rows:
        assert row["exposure_id"] == reply.headers["X-Exposure-Id"]
        assert row["recommendation_id"] == reply.json["recommendation_id"]
        assert (row["placement"], row["version"]) == (reply.json["placement"], reply.json["model_version"])
        assert (row["source"], row["fallback"]) == (reply.json["source"], reply.json["fallback"])
        assert row["cache"] == "miss"


def test_a_page_records_each_of_its_lists_a_ranking_its_order_and_a_batch_each_line(client: Any) -> None:
    blocks = [{"placement": "home", "limit": 3}, {"placement": "cart", "limit": 2}]
    page = client.post("/v1/pages", json={"customer_id": "c3", "blocks": blocks})
    rank = client.post("/v1/rank", json={"customer_id": "c3", "items": ["coffee-03", "tea-01"]})
    batch = client.post("/v1/batch/recommendations?limit=2&channel=email", json=["c3", "c4"])
    lists = [*page.json["blocks"], rank.json, *(json.loads(line) for line in batch.data.splitlines())]
    rows = _recorded(client)
    assert [(row["recommendation_id"], row["slot"], row["item_id"]) for row in rows] == [
        (one["recommendation_id"], item["slot"], item["item_id"]) for one in lists for item in one["items"]
    ]
    assert [row["placement"] for row in rows] == ["home"] * 3 + ["cart"] * 2 + ["rank"] * 2 + ["home"] * 4
    assert {row["exposure_id"] for row in rows[:5]} == {page.headers["X-Exposure-Id"]}
    assert [row["channel"] for row in rows] == [None] * 7 + ["email"] * 4


def test_chance_and_a_second_page_are_recorded_as_they_were(client: Any) -> None:
    reply = client.get(f"{LIST}?limit=10&offset=5&explore=0.5")
    items = [(one["item_id"], one["slot"], one["propensity"]) for one in reply.json["items"]]
    assert items[0][1] == 6 and any(propensity < 1 for _, _, propensity in items)
    assert [(row["item_id"], row["slot"], row["propensity"]) for row in _recorded(client)] == items


def test_a_hit_and_a_304_are_exposures_of_the_same_list(place: Place, valkey: Valkey) -> None:
    client = worker(place, redis_url=valkey.url, redis_timeout_ms=2000)
    made = client.get(LIST)
    hit = client.get(LIST)
    unchanged = client.get(LIST, headers={"If-None-Match": made.headers["ETag"]})
    assert (hit.headers["X-Cache"], unchanged.status_code) == ("hit", 304)
    rows = [row for row in _recorded(client) if row["slot"] == 1]
    assert [(row["exposure_id"], row["cache"]) for row in rows] == [
        (made.headers["X-Exposure-Id"], "miss"), (hit.headers["X-Exposure-Id"], "hit"),
        (unchanged.headers["X-Exposure-Id"], "hit"),
    ]  # fmt: skip
    assert {row["recommendation_id"] for row in rows} == {made.json["recommendation_id"]}


def test_customers_are_hashes_and_who_wants_no_profile_is_nobody(client: Any, place: Place) -> None:
    client.put("/v1/customers", json={"customer_id": "c100", "profiling": False})
    client.get(LIST), client.get(f"{LIST}?limit=3"), client.get("/v1/customers/c100/recommendations")
    customers = [row["customer"] for row in _recorded(client) if row["slot"] == 1]
    assert len(customers[0]) == 32 and customers[0] == customers[1] and customers[2] is None
    held = b"".join(path.read_bytes() for path in (place.home / "exposures").iterdir())
    assert b'"c3"' not in held and b'"c100"' not in held


def test_they_can_be_switched_off(place: Place) -> None:
    client = worker(place, exposures="off")
    assert client.get(LIST).headers["X-Exposure-Id"]
    client.application.extensions["recsvc"].exposures.close()
    assert not (place.home / "exposures").exists()


def test_the_command_writes_a_row_for_each_slot(
    client: Any, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.get(f"{LIST}?limit=5")
    rows = _recorded(client)
    monkeypatch.setenv("RECSVC_HOME", str(place.home))
    run = CliRunner().invoke
    told = run(app, ["exposures"], catch_exceptions=False)
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert [(one["slot"], one["item_id"]) for one in lines] == [(row["slot"], row["item_id"]) for row in rows]
    out = tmp_path / "out.parquet"
    assert "5 rows" in run(app, ["exposures", "--out", str(out)], catch_exceptions=False).stdout
    table = parquet.read_table(out)
    assert table.column("item_id").to_pylist() == [row["item_id"] for row in rows]
    assert abs(table.column("at")[0].as_py().timestamp() - rows[0]["at"]) < 0.002
    later = run(app, ["exposures", "--since", "2020-01-01"], catch_exceptions=False)
    assert len(later.stdout.splitlines()) == 5
    for wrong in (["--since", "yesterday"], ["--out", "x.csv"], ["--out", str(tmp_path / "no" / "x.ndjson")]):
        assert wrong[0] in str(run(app, ["exposures", *wrong]).exception)
