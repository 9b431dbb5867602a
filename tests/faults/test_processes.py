"""Real processes: killed while writing, swapped while answering, ended by whatever ends their parent."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from recsvc import artifact
from recsvc.store import database, keys
from tests.conftest import Place, children, free_port, until
from tests.planted import Quiet, small
from training import run

LIST = "/v1/customers/c3/recommendations"


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_new_model_is_taken_up_by_every_worker_without_a_lost_request(place: Place, serve: Any) -> None:
    service = serve()
    statuses: list[int] = []
    versions: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            status, _, reply = service.ask("GET", f"{LIST}?limit=5")
            statuses.append(status)
            versions.append(reply["model_version"] if reply else "")

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(ask)
        time.sleep(0.5)
        engine = database.connect(place.settings.sql_url)
        outcome = run.train(engine, place.settings.artifact_root, small(), Quiet())
        published = time.monotonic()
        until(lambda: set(versions[-40:]) == {outcome.version})
        took = time.monotonic() - published
        stop.set()
    assert set(statuses) == {200} and len(statuses) > 100
    assert took < 15  # 2 s, and the forty answers it takes to see it on a busy machine


def test_a_damaged_model_is_refused_and_the_service_goes_on(place: Place, serve: Any) -> None:
    service = serve()
    root = place.settings.artifact_root
    good = str(artifact.current(root))
    bad = artifact.new_version(datetime.now(UTC))
    subprocess.run(["cp", "-r", str(root / good), str(root / bad)], check=True)
    with (root / bad / "factors.npy").open("r+b") as file:
        file.seek(300)
        file.write(b"\xff\xff\xff\xff")
    artifact.point(root, bad)
    time.sleep(1.0)
    for _ in range(20):
        status, _, reply = service.ask("GET", LIST)
        assert status == 200 and reply["model_version"] == good
    # Started now, it has nothing in use to keep, and takes the newest that can be read.
    late = serve(redis_url="off")
    assert late.ask("GET", LIST)[2]["model_version"] == good


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_whatever_ends_the_supervisor_leaves_nothing_running(serve: Any, number: signal.Signals) -> None:
    service = serve()
    below = children(service.process.pid)
    assert len(below) >= 4  # gunicorn, two workers, Redis
    service.process.send_signal(number)
    service.process.wait(30)
    until(lambda: not any(_runs(pid) for pid in below))


def test_with_parent_ends_when_the_caller_is_killed(place: Place) -> None:
    port = free_port()
    variables = {"RECSVC_HOME": str(place.home), "RECSVC_PORT": str(port), "RECSVC_WORKERS": "1"}
    code = f"import subprocess; subprocess.run([{sys.executable!r}, '-m', 'recsvc', 'serve', '--with-parent'])"
    caller = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **variables}, stderr=subprocess.DEVNULL)
    until(lambda: len(children(caller.pid)) >= 4)
    time.sleep(1)
    below = children(caller.pid)
    caller.kill()
    caller.wait()
    until(lambda: not any(_runs(pid) for pid in below))


def test_a_killed_embedded_redis_is_started_again(serve: Any) -> None:
    service = serve()
    server = next(
        pid for pid in children(service.process.pid) if b"valkey" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    os.kill(server, signal.SIGKILL)
    assert service.ask("GET", LIST)[0] == 200
    until(lambda: service.ask("GET", LIST)[1].get("X-Cache") == "hit")


def test_counters_of_all_workers_are_added_up(serve: Any) -> None:
    import urllib.request

    service = serve()
    for _ in range(30):
        assert service.ask("GET", LIST)[0] == 200
    with urllib.request.urlopen(f"{service.url}/metrics") as reply:
        text = reply.read().decode()
    counted = re.findall(
        r'recsvc_requests_total\{route="/v1/customers/\{customer_id\}/recommendations",status="200"\} (\d+)', text
    )
    assert sum(int(one) for one in counted) == 30
    assert "c3" not in text


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"RECSVC_HOST": "0.0.0.0"}, "recsvc keys create"),
        ({"RECSVC_DATABASE_URL": "mysql://x/y"}, "RECSVC_DATABASE_URL"),
        ({"RECSVC_HOST": "0.0.0.0", "RECSVC_PAGES": "1"}, "RECSVC_PAGES"),
    ],
)
def test_what_is_unsafe_is_refused_by_name(tmp_path: Path, variables: dict[str, str], words: str) -> None:
    given = {"RECSVC_HOME": str(tmp_path), "RECSVC_PORT": str(free_port()), **variables}
    done = subprocess.run(
        [sys.executable, "-m", "recsvc", "serve"],
        check=False,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2 and words in " ".join(done.stderr.split())


def test_a_shop_without_a_model_or_an_item_still_answers(tmp_path: Path) -> None:
    from recsvc.app import create_app
    from recsvc.settings import Settings
    from recsvc.store import items
    from tests.planted import catalogue

    app = create_app(Settings(home=tmp_path, redis_url="off"))
    shop = app.extensions["recsvc"]
    shop.current.stop()
    key = {"X-API-Key": keys.create(shop.engine, "t", datetime.now(UTC))}
    shop.current.refresh(time.time())
    client = app.test_client()
    empty = client.get(LIST, headers=key)
    assert empty.status_code == 200 and empty.json["items"] == [] and empty.headers["X-Degraded"] == "model"
    items.put(shop.engine, catalogue(datetime.now(UTC)))
    shop.current.refresh(time.time())
    for item in ("tea-05", "tea-05", "coffee-29", "tea-03"):
        body = {"customer_id": "x", "kind": "purchase", "item_id": item, "order_id": item}
        client.post("/v1/interactions", json={**body, "interaction_id": str(time.time())}, headers=key)
    # What sells is counted at most once a minute; a service that starts now has not counted yet.
    later = create_app(Settings(home=tmp_path, redis_url="off"))
    later.extensions["recsvc"].current.stop()
    client = later.test_client()
    found = client.get(f"{LIST}?limit=5&exclude=coffee-00", headers=key).json
    shown = [one["item_id"] for one in found["items"]]
    assert shown[:2] == ["tea-05", "tea-03"] and len(shown) == 5 and "coffee-00" not in shown
    assert found["fallback"] == "bestsellers" and found["model_version"] is None
    assert client.get("/readyz").json["status"] == "degraded"


def test_a_revoked_key_is_refused_by_every_worker_within_five_seconds(place: Place, serve: Any) -> None:
    service = serve(workers=2)
    engine = database.connect(place.settings.sql_url)
    key = keys.create(engine, "shop", datetime.now(UTC))
    # Each request is a connection of its own, so both workers answer some of forty.
    until(lambda: {service.ask("GET", LIST, key=key)[0] for _ in range(40)} == {200})
    keys.revoke(engine, key.split("_")[1], datetime.now(UTC))
    revoked = time.monotonic()
    until(lambda: {service.ask("GET", LIST, key=key)[0] for _ in range(40)} == {401})
    assert time.monotonic() - revoked < 5
    assert service.ask("GET", LIST)[0] == 200


def test_an_admin_key_file_is_enough_to_bind_another_address(place: Place, serve: Any, tmp_path: Path) -> None:
    engine = database.connect(place.settings.sql_url)
    for row in keys.listing(engine):
        keys.revoke(engine, row.key_id, datetime.now(UTC))
    file = tmp_path / "admin.key"
    variables = {"RECSVC_HOME": str(place.home), "RECSVC_HOST": "0.0.0.0", "RECSVC_PORT": str(free_port())}
    for content, word in ((None, "make a key"), ("nonsense", "rk_<id>_<secret>")):
        if content is not None:
            file.write_text(content)
            variables["RECSVC_ADMIN_KEY_FILE"] = str(file)
        command = [sys.executable, "-m", "recsvc", "serve"]
        refused = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
        assert refused.returncode == 2 and word in refused.stderr.replace("\n", " ")
    file.write_text("rk_ops_" + "a" * 64)
    service = serve(host="0.0.0.0", admin_key_file=file)
    assert service.ask("GET", LIST, key="rk_ops_" + "a" * 64)[0] == 200
    assert service.ask("GET", LIST, key=place.key)[0] == 401
    file.write_text("rk_ops_" + "b" * 64)
    until(lambda: {service.ask("GET", LIST, key="rk_ops_" + "b" * 64)[0] for _ in range(40)} == {200})
    assert {service.ask("GET", LIST, key="rk_ops_" + "a" * 64)[0] for _ in range(40)} == {401}
