"""However a request is bent, the answer is no 5xx, and an error is a problem document. As many as RECSVC_TEST_BODIES says."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from recsvc.app import create_app
from tests.web import bodies

BODIES = int(os.environ.get("RECSVC_TEST_BODIES", "1500"))
SEED = int(os.environ.get("RECSVC_TEST_SEED", "20261122"))


@pytest.fixture
def unhurried(place: Any) -> Iterator[Any]:
    """A client whose key has no rate."""
    app = create_app(place.settings.model_copy(update={"rate_per_second": 0}))
    client = app.test_client()
    client.environ_base["HTTP_X_API_KEY"] = place.key
    yield client
    app.extensions["recsvc"].current.stop()
    app.extensions["recsvc"].engine.dispose()


def test_no_bent_request_makes_a_5xx(unhurried: Any) -> None:
    print(f"seed {SEED}, {BODIES} requests")
    statuses: Counter[int] = Counter()
    wrong = []
    for number in range(BODIES):
        method, path, data, headers = bodies.make(random.Random(f"{SEED}-{number}"))
        # The layer that routes on the raw path reads it from here, as a server gives it.
        reply = unhurried.open(
            path.partition("?")[0] or "/", method=method, data=data, headers=headers,
            query_string=path.partition("?")[2], environ_overrides={"RAW_URI": path},
        )  # fmt: skip
        statuses[reply.status_code] += 1
        problem = reply.status_code < 400 or reply.content_type == "application/problem+json"
        if reply.status_code >= 500 or not problem or (reply.status_code >= 400 and not reply.json["detail"]):
            wrong.append((number, method, path[:200], data[:300], headers, reply.status_code, reply.data[:300]))
    print(dict(sorted(statuses.items())))
    assert not wrong, f"seed {SEED}: {len(wrong)} of {BODIES}, first {wrong[:3]}"
    # Enough of them got past the first check that the ones behind it were reached.
    assert statuses[200] > BODIES * 0.15 and statuses[400] > BODIES * 0.15
    assert unhurried.get("/v1/customers/c3/recommendations").status_code == 200
