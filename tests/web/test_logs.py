"""What the service says of itself: a log without ids, keys and query strings; counters with route templates."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import structlog

from recsvc import logs, metrics
from recsvc.app import create_app
from tests.conftest import Place, Service, free_port, worker

CUSTOMER, ITEM, QUERY = "customer-4711-xyz", "item-0815-abc", "query-words-9999"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def logged(place: Place, capfd: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """A client of a service that logs every request, and a function that reads the lines so far."""
    client = worker(place, log_sample=1.0, poll_ms=5000)
    app = client.application
    app.extensions["recsvc"].current.stop()
    capfd.readouterr()

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capfd.readouterr().err.splitlines()]

    yield client, lines
    app.extensions["recsvc"].engine.dispose()


def test_a_request_is_one_line_with_its_template(logged: Any, place: Place) -> None:
    client, lines = logged
    client.get("/v1/customers/c3/recommendations?limit=3", headers={"X-Request-Id": "r-1"})
    (line,) = lines()
    assert line["route"] == "/v1/customers/{customer_id}/recommendations" and line["method"] == "GET"
    assert line["status"] == 200 and line["request_id"] == "r-1" and line["key_id"] == place.key.split("_")[1]
    assert line["source"] == "personal" and line["cache"] == "miss" and line["degraded"] is None
    assert 0 < line["ms"] < 60_000 and line["event"] == "request"


def test_every_error_is_logged_and_of_the_rest_a_sample(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    app = create_app(place.settings.model_copy(update={"log_sample": 0.0}))
    app.extensions["recsvc"].current.stop()
    client = app.test_client()
    capfd.readouterr()
    client.get("/healthz")
    assert capfd.readouterr().err == ""
    for path, status in (("/v1/new", 401), ("/nowhere", 404), ("/v1/customers/%ff/offers", 400)):
        client.get(path)
        (line,) = capfd.readouterr().err.splitlines()
        assert json.loads(line)["status"] == status
    client.open("/healthz", method="SECRETMETHOD")
    assert json.loads(capfd.readouterr().err)["method"] == "other"
    app.extensions["recsvc"].engine.dispose()


def test_an_unexpected_error_is_logged_without_its_values(logged: Any) -> None:
    client, lines = logged
    shop = client.application.extensions["recsvc"]
    shop.current.snapshot = None  # whatever breaks, breaks here
    body = {"customer_id": CUSTOMER, "kind": "view", "item_id": ITEM}
    reply = client.post("/v1/interactions", json=body, headers={"X-Request-Id": "r-2"})
    assert reply.status_code == 500
    found = lines()
    assert found[0]["event"] == "unexpected error" and found[0]["request_id"] == "r-2"
    chain = found[0]["exception"]
    assert chain[0]["type"] == "AttributeError" and any("flows/access.py" in one for one in chain[0]["frames"])
    assert CUSTOMER not in json.dumps(found) and ITEM not in json.dumps(found)


def test_the_message_and_the_cause_of_an_exception_are_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    try:
        try:
            raise KeyError(CUSTOMER)
        except KeyError as error:
            raise RuntimeError(f"no {ITEM}") from error
    except RuntimeError:
        structlog.get_logger("test").exception("went wrong")
    text = capfd.readouterr().err
    assert [one["type"] for one in json.loads(text)["exception"]] == ["RuntimeError", "KeyError"]
    assert CUSTOMER not in text and ITEM not in text


def test_nothing_a_caller_sent_is_in_the_log_of_a_real_service(place: Place, tmp_path: Path) -> None:
    """Good and bad requests, a broken request line, a header that is none: then every byte that was logged is searched."""
    port, log = free_port(), tmp_path / "log"
    variables = {"RECSVC_HOME": place.home, "RECSVC_PORT": port, "RECSVC_WORKERS": 1, "RECSVC_LOG_SAMPLE": 1}
    import os

    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "recsvc", "serve"], stderr=file, stdout=file,
            env={**os.environ, **{name: str(value) for name, value in variables.items()}},
        )  # fmt: skip
        service = Service(f"http://127.0.0.1:{port}", place.key, process)
        try:
            service.wait()
            _session(service, place)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    text = log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert sum(line["event"] == "request" for line in lines) >= 12
    assert any(line["event"] == "Invalid request" for line in lines), "gunicorn's own lines are JSON too"
    for word in (CUSTOMER, ITEM, QUERY, *place.key.split("_")[2:], "c3/", "coffee-00", "127.0.0.1:", place.key):
        assert word not in text.replace(f"http://127.0.0.1:{port}", ""), word


def _session(service: Service, place: Place) -> None:
    body = {"customer_id": CUSTOMER, "kind": "view", "item_id": ITEM}
    for method, path, given in (
        ("GET", f"/v1/customers/{CUSTOMER}/recommendations?exclude={QUERY}", None),
        ("GET", "/v1/customers/c3/recommendations", None), ("GET", "/v1/customers/c3/recommendations", None),
        ("GET", f"/v1/customers/{CUSTOMER}/offers?{QUERY}=1", None), ("GET", f"/v1/customers/{CUSTOMER}%ff/offers", None),
        ("GET", f"/v1/items/{ITEM}/similar?customer_id={CUSTOMER}", None), ("GET", "/v1/items/coffee-00/similar", None),
        ("GET", f"/v1/bestsellers?category={QUERY}&limit=0", None), ("GET", f"/{QUERY}?key={place.key}", None),
        ("DELETE", f"/v1/customers/{CUSTOMER}/offers", None), ("POST", "/v1/interactions", body),
        ("POST", "/v1/interactions", {**body, QUERY: CUSTOMER}), ("POST", "/v1/interactions", [QUERY]),
    ):  # fmt: skip
        assert service.ask(method, path, given)[0] > 0
    assert service.ask("GET", "/v1/new", key=f"rk_{QUERY}_x")[0] == 401
    where = urlsplit(service.url)
    assert where.hostname and where.port
    for raw in (
        f"GET /v1/customers/{CUSTOMER} {QUERY} HTTP/1.1\r\n\r\n", f"GET /{CUSTOMER} HTTP/1.1\r\n{QUERY} x: {place.key}\r\n\r\n",
        f"GET /{CUSTOMER}?{QUERY} NONSENSE\r\n\r\n", f"POST /v1/interactions HTTP/1.1\r\nContent-Length: {QUERY}\r\n\r\n",
    ):  # fmt: skip
        with socket.create_connection((where.hostname, where.port), timeout=5) as direct:
            direct.sendall(raw.encode())
            direct.recv(4096)


def test_counters_name_templates_and_every_one_is_in_the_readme(client: Any) -> None:
    client.get("/v1/customers/c3/recommendations")
    client.post("/v1/interactions", json={"customer_id": "c3", "kind": "view", "item_id": "tea-05"})
    text = client.get("/metrics").text
    assert 'route="/v1/customers/{customer_id}/recommendations"' in text and "c3" not in re.sub(
        r"\{customer_id\}", "", text
    )
    readme = (ROOT / "README.md").read_text()
    ours = re.findall(r"^# HELP (recsvc_\w+)", text, re.MULTILINE)
    named = {name for name in ours if not name.endswith("_created")}
    assert len(named) >= 11 and not [name for name in named if f"`{name}`" not in readme]


def test_the_writer_and_the_live_state_are_measured(client: Any) -> None:
    before = metrics.WRITER_GROUP._sum.get()
    for _ in range(3):
        client.post("/v1/interactions", json={"customer_id": "c3", "kind": "view", "item_id": "tea-05"})
    assert metrics.WRITER_GROUP._sum.get() >= before + 3
    shop = client.application.extensions["recsvc"]
    shop.current.refresh(shop.clock())
    assert abs(metrics.LIVE._value.get() - shop.clock()) < 60
