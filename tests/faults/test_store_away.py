"""The database locked, moved or written behind the cache: what must hold."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import redis as redis_client

from recsvc import artifact
from recsvc.app import create_app
from recsvc.flows.imports import Order, import_files
from recsvc.store import facts
from recsvc.store.maps import Map
from tests.conftest import Place, Valkey, free_port, until, worker

LIST = "/v1/customers/c3/recommendations"
VIEW = {"customer_id": "c3", "kind": "view", "item_id": "tea-05"}


def _workers(service: Any) -> list[int]:
    master = next(pid for pid in _children(service.process.pid) if b"gunicorn" in _command(pid))
    return _children(master)


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(one) for one in text.split()]


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_worker_starts_while_the_database_is_locked(place: Place, serve: Any) -> None:
    service = serve()
    locker = sqlite3.connect(place.home / "recsvc.db", isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    try:
        victim = _workers(service)[0]
        os.kill(victim, signal.SIGKILL)
        until(lambda: victim not in _workers(service) and len(_workers(service)) == 2)
        end = time.monotonic() + 6.5
        while time.monotonic() < end:
            status, _, reply = service.ask("GET", LIST)
            assert status == 200 and reply["items"]
            time.sleep(0.1)
        assert len(_workers(service)) == 2
    finally:
        locker.execute("ROLLBACK")
    assert service.ask("POST", "/v1/interactions", VIEW)[0] == 200


def test_a_moved_database_is_away_and_no_empty_one_begins(place: Place, serve: Any) -> None:
    service = serve()
    assert service.ask("GET", LIST)[0] == 200
    aside = place.home / "aside"
    aside.mkdir()
    files = [one for one in place.home.glob("recsvc.db*")]
    for one in files:
        one.rename(aside / one.name)
    assert service.ask("POST", "/v1/interactions", VIEW)[0] == 503
    status, headers, reply = service.ask("GET", f"{LIST}?limit=7")
    assert status == 200 and len(reply["items"]) == 7 and "database" in headers["X-Degraded"]
    assert not (place.home / "recsvc.db").exists()
    for one in files:
        (aside / one.name).rename(one)
    assert service.ask("POST", "/v1/interactions", VIEW)[0] == 200
    until(lambda: "X-Degraded" not in service.ask("GET", f"{LIST}?limit=8")[1])


def test_a_second_service_with_a_redis_of_its_own_is_refused(place: Place, serve: Any) -> None:
    serve()
    variables = {"RECSVC_HOME": str(place.home), "RECSVC_PORT": str(free_port())}
    done = subprocess.run(
        [sys.executable, "-m", "recsvc", "serve"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "RECSVC_REDIS_URL" in done.stderr


def test_an_import_behind_a_cached_list_is_seen(place: Place, valkey: Valkey, tmp_path: Path) -> None:
    client = worker(place, redis_url=valkey.url)
    app = client.application
    client.get(LIST)
    first = client.get(LIST)
    assert first.headers["X-Cache"] == "hit"
    disliked = first.json["items"][0]["item_id"]
    row = {
        "interaction_id": "x",
        "customer_id": "c3",
        "item_id": disliked,
        "kind": "dislike",
        "occurred_at": datetime.now(UTC),
    }
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "i.parquet")
    order = Order("interactions", [tmp_path / "i.parquet"], Map(), datetime.now(UTC))
    import_files(app.extensions["recsvc"].engine, order, lambda rows, done, total: None)
    until(lambda: disliked not in [one["item_id"] for one in client.get(LIST).json["items"]])
    app.extensions["recsvc"].current.stop()


def test_sent_again_after_a_crash_it_is_announced(place: Place, valkey: Valkey) -> None:
    """Committed, and ended before Redis heard of it: the caller's retry must not leave the old list."""
    client = worker(place, redis_url=valkey.url)
    client.application.extensions["recsvc"].current.stop()
    first = client.get(LIST).json["items"][0]["item_id"]
    body = {"customer_id": "c3", "kind": "dislike", "item_id": first, "interaction_id": "once"}
    with redis_client.Redis.from_url(valkey.url) as direct:
        lists = [key for key in direct.scan_iter() if not key.startswith(b"recsvc:rate:")]
        before = {key: direct.get(key) for key in lists}
        client.post("/v1/interactions", json=body)
        for key, value in before.items():
            direct.set(key, value, ex=60)
        for key in set(direct.scan_iter()) - set(before):
            direct.delete(key)
    memory = client.application.extensions["recsvc"].memory
    memory.entries.clear()
    memory._heard.clear()  # the process that took it has ended
    assert client.get(LIST).headers["X-Cache"] == "hit"  # as it was before the interaction
    assert client.post("/v1/interactions", json=body).json["duplicates"] == 1
    assert first not in [one["item_id"] for one in client.get(LIST).json["items"]]


def test_one_slow_answer_of_redis_costs_nobody_their_cache(place: Place, valkey: Valkey) -> None:
    client = worker(place, redis_url=valkey.url)
    shop = client.application.extensions["recsvc"]
    until(lambda: client.get("/v1/customers/c4/recommendations").headers["X-Cache"] == "hit")
    epoch = facts.read(shop.engine).cache_epoch
    os.kill(valkey.process.pid, signal.SIGSTOP)
    client.post("/v1/interactions", json=VIEW)
    os.kill(valkey.process.pid, signal.SIGCONT)
    assert client.get(LIST).json["source"] == "live"
    until(lambda: client.get(LIST).headers["X-Cache"] == "hit")
    assert client.get(LIST).json["source"] == "live" and facts.read(shop.engine).cache_epoch == epoch
    assert client.get("/v1/customers/c4/recommendations").headers["X-Cache"] == "hit"
    shop.current.stop()


def test_a_corrupt_pointer_at_start_leaves_the_newest_model(place: Place) -> None:
    root = place.settings.artifact_root
    good = artifact.current(root)
    (root / "current").write_text("garbage\n")
    app = create_app(place.settings)
    assert app.extensions["recsvc"].current.snapshot.version == good
    app.extensions["recsvc"].current.stop()


def test_questions_that_look_alike_have_answers_of_their_own(place: Place, valkey: Valkey) -> None:
    client = worker(place, redis_url=valkey.url)
    client.application.extensions["recsvc"].current.stop()
    assert client.get("/v1/bestsellers?limit=7&category=").status_code == 400
    joined = client.get(f"{LIST}?exclude=coffee-00%7Ccoffee-01&limit=30").json["items"]
    both = client.get(f"{LIST}?exclude=coffee-00,coffee-01&limit=30").json["items"]
    shown = {one["item_id"] for one in both}
    assert {"coffee-00", "coffee-01"} & {one["item_id"] for one in joined} and not {"coffee-00", "coffee-01"} & shown


def test_logs_hold_no_ids_whatever_is_sent(place: Place, tmp_path: Path) -> None:
    port = free_port()
    variables = {
        "RECSVC_HOME": str(place.home),
        "RECSVC_PORT": str(port),
        "RECSVC_WORKERS": "1",
        "RECSVC_REDIS_URL": "off",
    }
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "recsvc", "serve"], env={**os.environ, **variables}, stderr=log, stdout=log
        )

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as reply:
                return reply.status == 200
        except OSError:
            return False

    until(answers)
    secret = "somebody-unmistakable"
    sent = [
        f"GET /v1/customers/{secret}/é HTTP/1.1\r\nHost: x\r\n\r\n", f"GET /v1/customers/{secret} HTTP/9\r\n\r\n", f"nonsense {secret}\r\n\r\n",
        f"POST /v1/interactions HTTP/1.1\r\nHost: x\r\nX-API-Key: {place.key}\r\nContent-Type: application/json\r\n"
        f"Transfer-Encoding: chunked\r\n\r\nzz\r\n{secret}",
        f"POST /v1/interactions HTTP/1.1\r\nHost: x\r\nX-API-Key: {place.key}\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{secret}",
        f"GET /v1/customers/{secret}/recommendations?limit={secret} HTTP/1.1\r\nHost: x\r\nX-API-Key: {place.key}\r\nConnection: close\r\n\r\n",
    ]  # fmt: skip
    for text in sent:
        with socket.create_connection(("127.0.0.1", port), timeout=3) as raw:
            raw.sendall(text.encode())
            raw.shutdown(socket.SHUT_WR)
            try:
                reply = raw.recv(4000)
            except OSError:
                reply = b""
        assert b" 500 " not in reply.split(b"\r\n")[0], (text, reply)
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    content = (tmp_path / "log").read_text()
    assert "gunicorn" in content and secret not in content and place.key.split("_")[2] not in content


def test_old_news_of_a_merge_reaches_the_list(client: Any) -> None:
    """A session of long ago, merged today: its interactions are older than the model and still count."""
    at = (datetime.now(UTC) - timedelta(days=300)).isoformat()
    client.post(
        "/v1/interactions", json={"session_id": "s", "kind": "wishlist", "item_id": "coffee-05", "occurred_at": at}
    )
    client.post("/v1/customers/x/merge", json={"from": "s"})
    assert client.get("/v1/customers/x/recommendations").json["source"] == "live"
