"""What is answered in front of Flask is what the view answers, byte for byte, and under the same conditions."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
from werkzeug.test import Client, EnvironBuilder, run_wsgi_app

from recsvc.store import database, keys
from recsvc.web import hot
from tests.conftest import Place, Valkey, worker

REQUESTS = int(os.environ.get("RECSVC_TEST_HOT", "1000"))
LIST = "/v1/customers/c3/recommendations"
NAMED = {"X-Exposure-Id", "X-Request-Id"}
IDS = [*(f"c{n}" for n in range(12)), "nobody", "cold-tea", "a%2Fb", "%63%33", "%ff", "%00", "..", ".", "a b", "😀", "x" * 300, "", "c3/c4", "c3;v=1"]  # fmt: skip
QUERIES = [
    "", "limit=5", "limit=05", "limit=%35", "limit=5&placement=cart", "placement=cart&limit=5", "placement=home",
    "limit=10&limit=10", "limit=0", "limit=x", "limit=5&", "&", "=", "nonsense=1", "limit=5&exclude=coffee-00",
    "exclude=coffee-00,coffee-01", "%65xclude=coffee-00", "explore=0.5", "locale=pt", "locale=ro&limit=3", "limit=%ff",
    "fields=title", "channel=app", "placement=nowhere", "limit=5#x",
]  # fmt: skip


class Doors:
    """The app with the layer and without it, and how often the layer had to ask further in."""

    def __init__(self, client: Any) -> None:
        self.layer: hot.Hot = client.application.wsgi_app
        assert isinstance(self.layer, hot.Hot)
        self.view, self.passed = self.layer.app, 0
        self.layer.app = self._pass

    def _pass(self, environ: Any, start_response: Any) -> Any:
        self.passed += 1
        return self.view(environ, start_response)

    def ask(self, app: Any, path: str, headers: dict[str, str], method: str) -> tuple[str, list[Any], bytes]:
        """Return the status line, the headers but for the two names made for each reply, and the body."""
        environ = EnvironBuilder(path="/", method=method, headers=headers).get_environ()
        environ["RAW_URI"] = environ["REQUEST_URI"] = path
        environ["QUERY_STRING"] = path.partition("?")[2]
        body, status, found = run_wsgi_app(app, environ)
        for name in NAMED:
            assert found.get(name) or (name == "X-Exposure-Id" and "ETag" not in found), (path, headers)
        given = headers.get("X-Request-Id", "")
        if given == "mine":
            assert found["X-Request-Id"] == given
        text = b"".join(body)
        named = found["X-Request-Id"].encode()
        return status, [one for one in found if one[0] not in NAMED], text.replace(named, b"NAME")


@pytest.fixture
def client(place: Place, valkey: Valkey) -> Any:
    client = worker(place, redis_url=valkey.url, rate_per_second=0, redis_timeout_ms=1000)
    yield client
    client.application.extensions["recsvc"].current.stop()


def _keys(place: Place) -> dict[str, str]:
    from datetime import UTC, datetime

    engine = database.connect(place.settings.sql_url)
    found = {
        scope: keys.create(engine, f"hot {scope}", datetime.now(UTC), keys.Terms((scope,)))
        for scope in ("storefront", "catalog")
    }
    engine.dispose()
    return found


def _headers(rng: random.Random, known: dict[str, str], etags: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    key = rng.choice([known["storefront"]] * 12 + [known["catalog"], "", "rk_x_y", "rk_ü_y", known["storefront"] + "0"])
    if rng.random() < 0.2:
        found["Authorization"] = rng.choice(["Bearer ", "bearer ", "Basic "]) + key
    else:
        found["X-API-Key"] = key
    if rng.random() < 0.3:
        etag = rng.choice(etags[-8:] or ["x"])
        found["If-None-Match"] = rng.choice([etag, f"W/{etag}", "*", f'"a", {etag}', "junk", "", etag.strip('"')])
    if rng.random() < 0.3:
        found["X-Request-Id"] = rng.choice(["mine", "a b", "", "x" * 129])
    return found


def _change(rng: random.Random, client: Any) -> None:
    """Something happens to the shop."""
    item = f"{rng.choice(['tea', 'coffee'])}-{rng.randrange(28):02}"
    what = rng.randrange(3)
    if what == 0:
        row = {"customer_id": f"c{rng.randrange(12)}", "kind": "view", "item_id": item}
        assert client.post("/v1/interactions", json=row).status_code == 200
    elif what == 1:
        assert client.patch(f"/v1/items/{item}", json={"stock": rng.choice([0, 5])}).status_code == 200
    else:
        assert client.patch(f"/v1/items/{item}", json={"price_cents": rng.randrange(1000)}).status_code == 200


def test_it_answers_what_the_view_answers(client: Any, place: Place) -> None:
    rng, known, etags = random.Random(6), _keys(place), [""]
    client.application.extensions["recsvc"].current.refresh(0.0)
    doors = Doors(client)
    hot_ones = 0
    for n in range(REQUESTS):
        if n % 25 == 0:
            _change(rng, client)
        customer = rng.choice(IDS[:12]) if rng.random() < 0.7 else rng.choice(IDS)
        query = rng.choice(QUERIES[:5]) if rng.random() < 0.7 else rng.choice(QUERIES)
        path = f"/v1/customers/{customer}/recommendations" + (f"?{query}" if query or rng.random() < 0.1 else "")
        headers, method = _headers(rng, known, etags), rng.choice(["GET"] * 12 + ["HEAD", "POST", "OPTIONS"])
        doors.ask(doors.view, path, headers, method)  # fills the cache
        before = doors.passed
        ours = doors.ask(doors.layer, path, headers, method)
        hot_ones += doors.passed == before
        theirs = doors.ask(doors.view, path, headers, method)
        if "explore" not in path:
            assert ours == theirs, (n, path, headers, method)
        etags += [value for name, value in ours[1] if name == "ETag"]
    assert hot_ones > 0.3 * REQUESTS  # or there was nothing to compare


def test_a_miss_costs_one_look_and_one_admission(client: Any, place: Place) -> None:
    shop = client.application.extensions["recsvc"]
    client.get(LIST)
    asked: list[str] = []
    fetch, wait = shop.cache.fetch, shop.limiter.wait
    shop.cache.fetch = lambda prefix, name: asked.append("fetch") or fetch(prefix, name)
    shop.limiter.wait = lambda name, rate: asked.append("token") or wait(name, rate)
    object.__setattr__(shop, "settings", shop.settings.model_copy(update={"rate_per_second": 1000}))
    assert client.get("/v1/customers/c5/recommendations").headers["X-Cache"] == "miss"
    assert asked == ["token", "fetch"]


def test_a_rate_that_is_used_up_counts_here_too(place: Place, valkey: Valkey) -> None:
    client = worker(place, redis_url=valkey.url, rate_per_second=5, redis_timeout_ms=1000)
    doors, client.environ_base["HTTP_X_API_KEY"] = Doors(client), place.key
    replies = [client.get(LIST) for _ in range(12)]
    assert doors.passed < 12
    refused = [one for one in replies if one.status_code == 429]
    assert refused and all(int(one.headers["Retry-After"]) >= 1 for one in refused)
    assert all(one.headers["Content-Type"] == "application/problem+json" for one in refused)
    client.application.extensions["recsvc"].current.stop()


def test_every_answer_is_recorded_counted_and_the_newest_of_its_customer(client: Any) -> None:
    shop, path = client.application.extensions["recsvc"], LIST
    put: list[Any] = []
    keep = shop.exposures.put
    shop.exposures.put = lambda one: put.append(one) or keep(one)
    for _ in range(3):
        client.get(path)
    doors = Doors(client)
    reply = client.get(path)
    assert doors.passed == 0 and put[-1].exposure_id == reply.headers["X-Exposure-Id"] and put[-1].body == reply.data
    first = reply.json["items"][0]["item_id"]
    client.post("/v1/interactions", json={"customer_id": "c3", "kind": "dislike", "item_id": first})
    assert first not in [one["item_id"] for one in client.get(path).json["items"]]


def test_what_was_learnt_is_bounded(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hot, "_QUERIES", 20)
    layer = client.application.wsgi_app
    other = Client(layer)
    for n in range(1, 60):
        other.get(f"{LIST}?limit={n}", headers={"X-API-Key": client.environ_base["HTTP_X_API_KEY"]})
        assert len(layer._questions) <= 20
    assert layer._questions
