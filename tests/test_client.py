"""The client for shops, against a real service: stopped, killed, asked too often, or never there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from recsvc.claiming import ClaimRefused
from recsvc.client import Client
from recsvc.store import database, keys
from recsvc.store.interactions import interactions
from tests.conftest import Place, children, free_port, until


@pytest.fixture
def shop_of(serve: Any) -> Iterator[Any]:
    """Make a client of a service of this test's own."""
    made: list[Client] = []

    def make(service: Any, **given: Any) -> Client:
        made.append(Client(service.url, service.key, **{"deadline_seconds": 5.0, **given}))
        return made[-1]

    yield make
    for client in made:
        client.close(0.1)


def _stored(place: Place) -> list[str]:
    engine = database.connect(place.settings.sql_url)
    with engine.connect() as connection:
        found = list(connection.execute(sa.select(interactions.c.details)).scalars())
    engine.dispose()
    return [one["properties"]["n"] for one in found if one and "properties" in one]


def _everybody(service: Any, number: signal.Signals) -> None:
    for pid in [*children(service.process.pid)]:
        os.kill(pid, number)


def test_offers_are_claimed_redeemed_and_given_back(serve: Any, shop_of: Any) -> None:
    client = shop_of(serve())
    offered = client.offers("c3", limit=5)
    assert "on-coffee" in [one["offer_id"] for one in offered.items] and not offered.stale
    claim = client.claims.reserve("on-coffee", "c3", "web")
    assert claim["state"] == "reserved" and client.claims.release(claim["claim_id"])["state"] == "released"
    claim = client.claims.reserve("on-coffee", "c3")
    assert client.claims.redeem(claim["claim_id"], "o-1", 500)["state"] == "redeemed"
    for wrong, status in ((lambda: client.claims.reserve("nothing", "c3"), 404),
                          (lambda: client.claims.release(claim["claim_id"]), 409)):  # fmt: skip
        with pytest.raises(ClaimRefused) as error:
            wrong()
        assert error.value.status == status and error.value.detail


def test_a_claim_without_an_answer_raises(shop_of: Any) -> None:
    client = Client(f"http://127.0.0.1:{free_port()}", "key")
    with pytest.raises(OSError):
        client.claims.reserve("on-coffee", "c3")
    client.close(0)


def test_lists_come_with_what_was_asked(serve: Any, shop_of: Any) -> None:
    client = shop_of(serve())
    home = client.recommendations("c3", limit=4, exclude=["coffee-00", "coffee-01"])
    assert len(home.items) == 4 and home.exposure_id and not home.stale and home.reply["customer_id"] == "c3"
    assert not {"coffee-00", "coffee-01"} & {one["item_id"] for one in home.items}
    assert client.similar("coffee-00", customer_id=None).items and client.bought_together("coffee-00").items
    assert client.buy_again("c3").reply["placement"] == "buy_again" and client.get("/v1/bestsellers").items
    assert {one["item_id"] for one in client.rank("c3", ["tea-01", "coffee-05"]).items} == {"tea-01", "coffee-05"}
    asked = {"customer_id": "c3", "items": ["coffee-00"], "limit": 2}
    assert len(client.post("/v1/recommendations", asked).items) == 2
    assert client.recommendations("a/b %").reply["customer_id"] == "a/b %"
    again = client.recommendations("c3", limit=4, exclude=["coffee-00", "coffee-01"])
    assert again.items == home.items and again.exposure_id != home.exposure_id


def test_a_service_that_hangs_costs_the_deadline_and_the_last_good_list_is_shown(serve: Any, shop_of: Any) -> None:
    service = serve(redis_url="off")
    client = shop_of(service, default=[{"item_id": "gift-card"}])
    good = client.recommendations("c3")
    client._deadline = 0.2
    _everybody(service, signal.SIGSTOP)
    try:
        began = time.monotonic()
        stale, unknown = client.recommendations("c3"), client.recommendations("c4")
        took = time.monotonic() - began
    finally:
        _everybody(service, signal.SIGCONT)
    assert stale.stale and stale.items == good.items and stale.problem and not stale.exposure_id
    assert unknown.stale and unknown.items == [{"item_id": "gift-card"}]
    assert 0.35 < took < 0.4 + 0.4
    client._deadline = 5.0
    assert not client.recommendations("c3").stale


def test_nobody_there_is_no_exception_and_takes_no_time(shop_of: Any) -> None:
    client = Client(f"http://127.0.0.1:{free_port()}", "rk_x")
    began = time.monotonic()
    assert client.recommendations("c3").items == [] and client.recommendations("c3").problem
    assert [one["item_id"] for one in client.rank("c3", ["b", "a", "c"], limit=2).items] == ["b", "a"]
    assert time.monotonic() - began < 1


def test_what_is_refused_is_said_and_not_asked_twice(place: Place, serve: Any, shop_of: Any) -> None:
    service = serve()
    client = shop_of(service)
    assert "400: limit: " in client.recommendations("c3", limit=1000).problem
    # Another's id may be a number; a filter is an object. And what is no more has no last good list.
    assert not client.recommendations(3, filter={"brand": {"in": ["tea"]}}).problem  # type: ignore[arg-type]
    assert client.similar("new-00").items
    assert service.ask("DELETE", "/v1/items/new-00")[0] == 200
    until(lambda: "404" in client.similar("new-00").problem)
    assert client.similar("new-00").items == []
    stranger = Client(service.url, "rk_no_key")
    assert "401" in stranger.recommendations("c3").problem


def test_a_key_that_asks_too_often_leaves_the_service_alone_as_long_as_it_is_told(place: Place, serve: Any) -> None:
    engine = database.connect(place.settings.sql_url)
    key = keys.create(engine, "slow", datetime.now(UTC), keys.Terms(("storefront",), None, 1))
    engine.dispose()
    service = serve(workers=1)
    until(lambda: service.ask("GET", "/v1/bestsellers", key=key)[0] in {200, 429})
    client = Client(service.url, key, deadline_seconds=0.5)
    until(lambda: "429" in client.get("/v1/bestsellers").problem)
    began = time.monotonic()
    assert "left alone" in client.get("/v1/bestsellers").problem
    assert time.monotonic() - began < 0.2
    until(lambda: not client.get("/v1/bestsellers").stale)


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_no_list(serve: Any, shop_of: Any) -> None:
    service = serve(workers=3)
    client = shop_of(service)
    stop, found = threading.Event(), []

    def ask(n: int) -> None:
        while not stop.is_set():
            found.append(client.recommendations(f"c{n}", limit=3))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(2):  # one worker is never killed: a new one takes its time
        count = len(found)
        until(lambda count=count: len(found) > count + 60)
        gunicorn = min(pid for pid in children(service.process.pid) if b"gunicorn" in _words(pid))
        os.kill(next(pid for pid in sorted(children(gunicorn))), signal.SIGKILL)
        until(lambda gunicorn=gunicorn: len(children(gunicorn)) == 3)
    stop.set()
    for thread in threads:
        thread.join()
    assert len(found) > 120
    # A second try may meet a connection of the dying worker again; then the last good list is shown.
    assert all(one.items for one in found) and sum(one.stale for one in found) <= 2


def _words(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.slow
def test_interactions_arrive_once_each_through_kills_and_halts(place: Place, serve: Any, shop_of: Any) -> None:
    service = serve()
    client = shop_of(service)
    for n in range(1500):
        one = {"customer_id": f"c{n % 50}", "kind": "view", "item_id": "coffee-00", "properties": {"n": f"n{n}"}}
        assert client.track(one)
        if n % 500 == 250:
            gunicorn = min(pid for pid in children(service.process.pid) if b"gunicorn" in _words(pid))
            os.kill(max(children(gunicorn)), signal.SIGKILL)
            time.sleep(0.2)
    assert client.flush(60)
    assert sorted(_stored(place)) == sorted(f"n{n}" for n in range(1500))
    assert not client.outbox.dropped and not client.outbox.rejected


def test_interactions_wait_for_a_service_that_is_not_there_yet(place: Place, serve: Any) -> None:
    service = serve(ready=False)
    client = Client(service.url, place.key, queue=5)
    view = {"customer_id": "c1", "kind": "view", "item_id": "coffee-00"}
    told = [client.track({**view, "properties": {"n": f"n{n}"}}) for n in range(8)]
    assert all(told[:5]) and told[5:] == [None] * 3 and client.outbox.dropped == 3
    assert not client.flush(0.1)
    assert client.flush(60) and sorted(_stored(place)) == [f"n{n}" for n in range(5)]
    assert client.close()


def test_one_bad_interaction_does_not_hold_up_the_others(place: Place, serve: Any, shop_of: Any) -> None:
    client = shop_of(serve())
    view = {"customer_id": "c1", "item_id": "coffee-00"}
    client.track({**view, "kind": "view", "properties": {"n": "good"}})
    client.track({**view, "kind": "nonsense"})
    assert client.flush(30) and client.outbox.rejected == 1 and _stored(place) == ["good"]


def test_a_process_that_ends_has_sent_what_it_tracked_and_a_fork_sends_its_own(place: Place, serve: Any) -> None:
    service = serve()
    code = f"""
import os
from recsvc.client import Client
client = Client({service.url!r}, {service.key!r}, deadline_seconds=5)
view = {{"customer_id": "c1", "kind": "view", "item_id": "coffee-00"}}
assert client.recommendations("c1").items
client.track({{**view, "properties": {{"n": "parent"}}}})
child = os.fork()
if not child:
    assert client.recommendations("c2").items
    client.track({{**view, "properties": {{"n": "child"}}}})
    assert client.flush()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0 and client.recommendations("c3").items
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)
    assert sorted(_stored(place)) == ["child", "parent"]


def test_the_example_of_the_readme_runs(place: Place, serve: Any) -> None:
    service = serve()
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    code = readme.split("## Client")[1].split("```python\n")[1].split("```")[0]
    for old, new in (
        ("http://127.0.0.1:8000", service.url),
        ("1082185", "coffee-00"),
        ("1070820", "coffee-01"),
        ("0.2", "5"),
    ):
        assert old in code
        code = code.replace(old, new)
    variables = {**os.environ, "RECSVC_KEY": place.key}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 5 and not done.stderr
    # The view counted; another worker may answer from before it for half a second.
    until(lambda: service.ask("GET", "/v1/customers/42/recommendations")[2]["source"] == "live")


def test_the_client_brings_nothing_of_the_service_with_it() -> None:
    code = "import sys, recsvc.client; print({'numpy', 'flask', 'sqlalchemy', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
