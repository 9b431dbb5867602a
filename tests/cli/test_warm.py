"""`recsvc warm`: after it, the customers who come back find their lists made."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

from recsvc.store import database, facts
from tests.conftest import Place, until

# What a list of ten takes in Redis, fields and reasons in words, for the published figure of the README.
BYTES_EACH = 6000


def _warm(place: Place, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "recsvc", "warm", *arguments], text=True, capture_output=True, timeout=120, check=False,
        env={**os.environ, "RECSVC_HOME": str(place.home), **variables},
    )  # fmt: skip


def test_the_lists_of_who_was_active_lately_are_made_before_they_ask(serve: Any, place: Place) -> None:
    engine = database.connect(place.settings.sql_url, quick_seconds=10)
    before = facts.read(engine).cache_epoch
    service = serve(redis_timeout_ms=1000, workers=1)
    until(lambda: facts.read(engine).cache_epoch > before)  # a worker that starts trusts nothing cached before
    engine.dispose()
    row = {"customer_id": "c5", "kind": "view", "item_id": "tea-05"}
    assert service.ask("POST", "/v1/interactions", row)[2]["accepted"] == 1
    for customers, made, there in ((1, 1, 0), (40, 39, 1), (40, 0, 40)):
        found = _warm(place, "--customers", str(customers))
        assert found.returncode == 0, found.stderr
        assert f"{made} lists made, {there} were there" in found.stdout
        each = int(re.findall(r"([\d,]+) bytes", found.stdout)[0].replace(",", ""))
        assert 1000 < each <= BYTES_EACH
    status, headers, reply = service.ask("GET", "/v1/customers/c5/recommendations")
    assert status == 200 and headers["X-Cache"] == "hit" and reply["source"] == "live" and len(reply["items"]) == 10


def test_without_redis_or_service_it_says_so(place: Place) -> None:
    for variables in ({}, {"RECSVC_REDIS_URL": "off"}, {"RECSVC_REDIS_URL": "unix:///nowhere/s"}):
        found = _warm(place, **variables)
        assert found.returncode == 2 and "RECSVC_REDIS_URL" in found.stderr
    wrong = _warm(place, "--placement", "attic")
    assert wrong.returncode == 2 and "--placement: attic" in wrong.stderr
