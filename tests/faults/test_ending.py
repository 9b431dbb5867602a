"""The end of a service: announced before it happens, and nothing accepted is lost."""

from __future__ import annotations

import http.client
import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from tests.conftest import Service, until

LIST = "/v1/customers/c3/recommendations?limit=5"
# What gunicorn and the supervisor need to end once nothing is asked any more, on however slow a machine.
SLACK = 15


def _connect(service: Service) -> http.client.HTTPConnection:
    parts = urlsplit(service.url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)


def _end(service: Service, number: signal.Signals = signal.SIGTERM) -> float:
    service.process.send_signal(number)
    return time.monotonic()


def _lane(service: Service, kept: bool, statuses: list[int], stop: threading.Event) -> None:
    """Ask until told to stop, over one connection or a new one each time; 0 for an answer that did not come."""
    connection = _connect(service)
    while not stop.is_set():
        try:
            connection.request("GET", LIST, headers={"X-API-Key": service.key})
            reply = connection.getresponse()
            reply.read()
            statuses.append(reply.status)
        except (OSError, http.client.HTTPException):
            statuses.append(0)
            connection.close()
        if not kept:
            connection.close()
    connection.close()


def test_a_client_that_heeds_readiness_loses_no_request_to_a_sigterm(serve: Any) -> None:
    service = serve(drain_seconds=600)
    statuses: list[int] = []
    stop = threading.Event()
    with ThreadPoolExecutor(4) as pool:
        for kept in (True, True, False, False):
            pool.submit(_lane, service, kept, statuses, stop)
        until(lambda: len(statuses) > 50)
        _end(service)
        until(lambda: service.ask("GET", "/readyz")[0] == 503)
        before = len(statuses)
        # Every worker says so; each of these is a connection of its own.
        told = [service.ask("GET", "/readyz") for _ in range(10)]
        assert {(status, reply["status"]) for status, _, reply in told} == {(503, "draining")}
        until(lambda: len(statuses) > before + 50)
        stop.set()
    assert set(statuses) == {200}
    assert service.process.poll() is None
    second = _end(service)
    assert service.process.wait(60) == 0
    assert time.monotonic() - second < SLACK


def test_a_request_half_sent_when_the_wait_is_over_is_answered(serve: Any) -> None:
    service = serve(drain_seconds=1)
    body = json.dumps({"interaction_id": "late", "customer_id": "c3", "kind": "view", "item_id": "tea-05"}).encode()
    connection = _connect(service)
    connection.putrequest("POST", "/v1/interactions")
    for name, value in (
        ("X-API-Key", service.key),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
    ):
        connection.putheader(name, value)
    connection.endheaders(body[:10])
    until(lambda: service.ask("GET", "/healthz")[0] == 200)
    told = _end(service)
    until(lambda: service.ask("GET", "/healthz")[0] == 0)  # gunicorn has closed its door
    connection.send(body[10:])
    reply = connection.getresponse()
    assert reply.status == 200 and json.loads(reply.read())["accepted"] == 1
    connection.close()
    assert service.process.wait(60) == 0
    assert 1 <= time.monotonic() - told < 1 + SLACK


def test_nobody_at_a_keyboard_is_made_to_wait(serve: Any) -> None:
    service = serve(drain_seconds=600)
    told = _end(service, signal.SIGINT)
    assert service.process.wait(60) == 0
    assert time.monotonic() - told < SLACK


def test_two_services_over_one_home_end_one_by_one(serve: Any, valkey: Any) -> None:
    old = serve(drain_seconds=600, redis_url=valkey.url)
    new = serve(drain_seconds=0, redis_url=valkey.url)
    _end(old)
    until(lambda: old.ask("GET", "/readyz")[0] == 503)
    assert new.ask("GET", "/readyz")[0] == 200
    _end(old, signal.SIGINT)  # a second signal ends the wait
    assert old.process.wait(60) == 0
    assert new.ask("GET", LIST)[0] == 200
