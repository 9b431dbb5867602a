"""The service behind a real nginx with the configuration of `configs/deploy`: slow clients, paths, ids, limits."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.conftest import Service, free_port, until

ROOT = Path(__file__).parents[2]
LIST = "/v1/customers/c3/recommendations?limit=5"
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
SLOW = 64

pytestmark = pytest.mark.skipif(NGINX is None, reason="no nginx on this machine")


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[Any]:
    """Start nginx before a service; returns what asks through it."""
    started: list[subprocess.Popen[bytes]] = []

    def start(service: Service) -> Service:
        port = free_port()
        text = (ROOT / "configs/deploy/nginx.conf").read_text()
        for old, new in (
            ("server service:8000 resolve;", f"server {urlsplit(service.url).netloc};"),
            ("listen 8080;", f"listen 127.0.0.1:{port};"),
            ("/tmp/", f"{tmp_path}/"),
        ):
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "nginx.conf").write_text(text)
        # A root's workers would be nobody, whom pytest's folders keep out.
        user = " user root root;" if os.getuid() == 0 else ""
        command = [str(NGINX), "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-g", f"daemon off;{user}"]
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        proxied = Service(f"http://127.0.0.1:{port}", service.key, started[-1])
        proxied.wait()
        return proxied

    yield start
    for one in started:
        one.terminate()
        one.wait(30)


def _raw(
    service: Service, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Ask with the path byte for byte."""
    parts = urlsplit(service.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"X-API-Key": service.key, **given})
        reply = connection.getresponse()
        return reply.status, dict(reply.headers), reply.read()
    finally:
        connection.close()


def _slow(service: Service) -> tuple[list[socket.socket], bytes]:
    """Clients that have sent half a request, and the other half."""
    body = json.dumps({"customer_id": "c3", "kind": "view", "item_id": "tea-05"}).encode()
    head = (
        f"POST /v1/interactions HTTP/1.1\r\nHost: x\r\nX-API-Key: {service.key}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    parts = urlsplit(service.url)
    found = []
    for _ in range(SLOW):
        one = socket.create_connection((parts.hostname or "", parts.port or 0), 30)
        one.sendall(head + body[:10])
        found.append(one)
    return found, body[10:]


def _answers_within(service: Service, seconds: float) -> bool:
    parts = urlsplit(service.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)
    try:
        connection.request("GET", LIST, headers={"X-API-Key": service.key})
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def test_slow_clients_stall_nobody_behind_the_proxy(serve: Any, behind: Any) -> None:
    service = serve(workers=1, threads=4)
    proxy = behind(service)
    sockets, rest = _slow(service)
    time.sleep(0.5)  # until its threads have them all there is nothing to see
    assert not _answers_within(service, 2)
    for one in sockets:
        one.close()
    until(lambda: _answers_within(service, 10))
    sockets, rest = _slow(proxy)
    assert all(_answers_within(proxy, 5) for _ in range(100))
    for one in sockets:
        one.sendall(rest)
    assert {one.makefile("rb").readline().split()[1] for one in sockets} == {b"200"}
    for one in sockets:
        one.close()


def test_what_is_for_the_inside_stays_inside(serve: Any, behind: Any) -> None:
    proxy = behind(serve())
    for path in (
        "/metrics", "/", "/docs", "//metrics", "/v1/../metrics", "/v1/%2e%2e/metrics", "/v1/..%2fmetrics", "/METRICS",
        "/metrics?x", "/metrics/../v1/items", "/metrics%3f/../v1/items", "/v1/items/../../metrics", "/metrics#/../v1/",
    ):  # fmt: skip
        status, _, body = _raw(proxy, "GET", path)
        assert status in {400, 404} and b"recsvc_requests_total" not in body, path
    for path in ("/healthz", "/readyz", "/openapi.json"):
        assert _raw(proxy, "GET", path)[0] == 200
    status, headers, body = _raw(proxy, "GET", "/metrics")
    assert (status, headers["Content-Type"]) == (404, "application/problem+json") and json.loads(body)["status"] == 404


def test_an_id_goes_through_the_proxy_as_it_was_sent(served: tuple[Service, Service]) -> None:
    direct, proxy = served
    for given in ("a%2Fb", "%2e%2e%2e", "%252F", "a%20b", "%F0%9F%8D%8B", "a+b", "a;b", "%E2%82%AC" * 85):
        put = json.dumps([{"customer_id": unquote(given)}])
        assert _raw(proxy, "PUT", "/v1/customers", put, Content_Type="application/json")[0] == 200
        ours, theirs = (_raw(one, "GET", f"/v1/customers/{given}") for one in (proxy, direct))
        assert (ours[0], ours[2]) == (theirs[0], theirs[2]) == (200, theirs[2]), given


def test_a_survey_opens_through_the_proxy(served: tuple[Service, Service]) -> None:
    _, proxy = served
    asked = json.dumps({"customer_id": "c3", "kind": "csat"})
    path = json.loads(_raw(proxy, "POST", "/v1/surveys/links", asked, Content_Type="application/json")[2])["path"]
    status, headers, body = _raw(proxy, "GET", f"{path}?score=4")
    assert status == 200 and headers["Content-Type"].startswith("text/html") and b"<form" in body
    assert headers["Referrer-Policy"] == "no-referrer"
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert b"Thank you" in _raw(proxy, "POST", path, "score=4", **form)[2]
    status, headers, _ = _raw(proxy, "GET", "/s/none")
    assert status == 404 and headers["Content-Type"].startswith("text/html")


def test_a_request_has_one_id_from_end_to_end(served: tuple[Service, Service]) -> None:
    _, proxy = served
    assert _raw(proxy, "GET", LIST, X_Request_Id="caller-1")[1]["X-Request-Id"] == "caller-1"
    for odd in ("", "a b", "x" * 129):
        made = _raw(proxy, "GET", LIST, X_Request_Id=odd)[1]["X-Request-Id"]
        assert made not in {"", odd} and "," not in made
    # The service names it in the body of an error: both have the same.
    status, headers, body = _raw(proxy, "GET", "/v1/customers/c3/recommendations?limit=0")
    assert status == 400 and json.loads(body)["request_id"] == headers["X-Request-Id"]


def test_bodies_have_the_limits_of_the_service(served: tuple[Service, Service]) -> None:
    _, proxy = served
    line = json.dumps({"customer_id": "c3", "kind": "view", "item_id": "tea-05", "properties": {"x": "y" * 200}})
    lines = (line + "\n").encode() * 8000  # 2 MB
    status, _, body = _raw(proxy, "POST", "/v1/interactions", lines, Content_Type="application/x-ndjson")
    assert status == 200 and json.loads(body)["accepted"] == 8000
    whole = b'{"x": "' + b"y" * 2**20 + b'"}'
    for method, path, words in (
        ("POST", "/v1/interactions", b"at most 1048576"),
        ("PATCH", "/v1/items/tea-05", b"at most 1 MiB"),
    ):
        status, headers, body = _raw(proxy, method, path, whole, Content_Type="application/json")
        assert status == 413 and words in body and headers["Content-Type"] == "application/problem+json"


def test_the_proxy_says_that_the_service_is_away(serve: Any, behind: Any) -> None:
    service = serve(workers=1)
    proxy = behind(service)
    service.process.terminate()
    service.process.wait(60)
    status, headers, body = _raw(proxy, "GET", LIST)
    assert status == 503 and headers["Retry-After"] == "2" and json.loads(body)["title"] == "Unavailable"
    assert headers["X-Request-Id"]


@pytest.fixture
def served(serve: Any, behind: Any) -> tuple[Service, Service]:
    """A service, and the same behind the proxy."""
    service = serve(workers=1)
    return service, behind(service)
