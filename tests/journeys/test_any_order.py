"""In whatever order, batches and ways interactions come, the store holds the same and training learns the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from recsvc.flows.imports import Order, import_files
from recsvc.store.interactions import COLUMNS, interactions, newest_revision
from recsvc.store.maps import Map
from recsvc.store.sessions import sessions
from tests.planted import small
from training import matrix as matrices
from training.sources import from_store

START = datetime(2026, 3, 1, tzinfo=UTC)
ITEMS = [f"i{n}" for n in range(5)]
ORDERS = [None, "o1", "o2", "o3"]
# What a file can say; a session or properties only the API takes.
FILED = {"interaction_id", "customer_id", "kind", "item_id", "occurred_at", "quantity", "order_id", "stars", "reason"}
WAYS = ("one", "array", "lines", "file")

_who = st.sampled_from([{"customer_id": "a"}, {"customer_id": "b"}, {"session_id": "s1"}, {"session_id": "s2"}])
_kind = st.sampled_from([
    {"kind": "purchase"}, {"kind": "purchase"}, {"kind": "return"}, {"kind": "return", "reason": "disliked"},
    {"kind": "dislike"}, {"kind": "view"}, {"kind": "refund"}, {"kind": "review", "stars": 1},
    {"kind": "add_to_cart", "properties": {"list": "x"}},
])  # fmt: skip
# Few distinct moments, so that many interactions stand at the same one.
_at = st.integers(0, 12).map(lambda n: {"occurred_at": (START + timedelta(hours=17 * n, microseconds=n)).isoformat()})
_what = st.fixed_dictionaries({
    "item_id": st.sampled_from(ITEMS), "order_id": st.sampled_from(ORDERS), "quantity": st.sampled_from([None, 1, 2, 5]),
})  # fmt: skip
_one = st.tuples(_who, _kind, _at, _what).map(
    lambda parts: {k: v for p in parts for k, v in p.items() if v is not None}
)
_all = st.lists(_one, min_size=2, max_size=14).map(
    lambda rows: [{**row, "interaction_id": f"id-{n}"} for n, row in enumerate(rows)]
)


@st.composite
def _deliveries(draw: Any) -> tuple[list[Any], list[Any]]:
    """Two ways in which the same interactions and merges arrive: (way, rows) or ("merge", session, customer)."""
    rows = draw(_all)
    merges = [("merge", "s1", "a"), ("merge", "s2", draw(st.sampled_from(["a", "b"])))][: draw(st.integers(0, 2))]
    plain = [("array", rows), *merges]
    shuffled = draw(st.permutations([*rows, *draw(st.lists(st.sampled_from(rows), max_size=3))]))
    other: list[Any] = []
    while shuffled:
        size = draw(st.integers(1, len(shuffled)))
        other.append((draw(st.sampled_from(WAYS)), shuffled[:size]))
        shuffled = shuffled[size:]
    for merge in merges:
        other.insert(draw(st.integers(0, len(other))), merge)
    return plain, other


def _clear(engine: sa.Engine) -> None:
    with engine.connect() as connection, connection.begin():
        for table in (interactions, sessions):
            connection.execute(sa.delete(table))


def _deliver(client: Any, folder: Path, deliveries: list[Any]) -> None:
    engine = client.application.extensions["recsvc"].engine
    for way, *given_ in deliveries:
        if way == "merge":
            session, customer = given_
            assert client.post(f"/v1/customers/{customer}/merge", json={"from": session}).status_code == 200
            continue
        (rows,) = given_
        filed = [row for row in rows if way == "file" and row.keys() <= FILED]
        posted = [row for row in rows if row not in filed]
        for row in posted if way == "one" else []:
            assert client.post("/v1/interactions", json=row).status_code == 200
        if filed:
            path = folder / "rows.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in filed))
            outcome = import_files(engine, Order("interactions", [path], Map(), datetime.now(UTC)), lambda *_: None)
            assert not outcome.rejected
        if posted and way != "one":
            body, kind = json.dumps(posted), "application/json"
            if way == "lines":
                body, kind = "".join(json.dumps(row) + "\n" for row in posted), "application/x-ndjson"
            reply = client.post("/v1/interactions", data=body, content_type=kind)
            assert reply.status_code == 200 and not reply.json["rejected"], reply.json


def _state(engine: sa.Engine) -> tuple[list[Any], list[Any]]:
    """All that is stored but the commit numbers, and the moment of a merge."""
    with engine.connect() as connection:
        stored = [dict(row._mapping) for row in connection.execute(sa.select(*(interactions.c[c] for c in COLUMNS)))]
        owners = connection.execute(sa.select(sessions.c.session_id, sessions.c.customer_id)).all()
    for row in stored:
        if row["kind"] == "merge":
            row["occurred_at"] = None
    return sorted(stored, key=lambda row: row["digest"]), sorted(owners)


def _learnt(engine: sa.Engine) -> dict[str, Any]:
    """All that training makes of it before it fits a model."""
    log = from_store(engine, {}, newest_revision(engine))
    if not (log.customers >= 0).any():
        return {"customers": log.customer_ids, "items": log.item_ids}
    built = matrices.build(log, small())
    liked, baskets = matrices.liked(built), matrices.baskets(log, built)
    sparse = {"confidence": matrices.confidence(built, 10.0), "liked": liked, "baskets": baskets,
              "witnesses": matrices.witnesses(log, liked, baskets)}  # fmt: skip
    history = {name: getattr(built.history, name) for name in type(built.history).__slots__}
    arrays = {name: getattr(built, name) for name in type(built).__slots__ if name not in {"history", "decay"}}
    return {
        "customers": log.customer_ids, "items": log.item_ids, "decay": built.decay, **history, **arrays,
        **{name: one.toarray() for name, one in sparse.items()},
    }  # fmt: skip


def _same(client: Any, folder: Path, deliveries: tuple[list[Any], list[Any]]) -> None:
    engine = client.application.extensions["recsvc"].engine
    found = []
    for one in deliveries:
        _clear(engine)
        _deliver(client, folder, one)
        found.append((_state(engine), _learnt(engine)))
    (stored, learnt), (other_stored, other_learnt) = found
    assert stored == other_stored
    assert learnt.keys() == other_learnt.keys()
    for name, value in learnt.items():
        note(name)
        assert (
            np.array_equal(value, other_learnt[name]) if isinstance(value, np.ndarray) else value == other_learnt[name]
        )


# Few here: each example reads the store through a process of its own (`training.bulk`), half a second twice.
@given(_deliveries())
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_order_gives_the_same_store_and_matrix(client: Any, tmp_path: Path, deliveries: Any) -> None:
    _same(client, tmp_path, deliveries)


@pytest.mark.slow
@given(_deliveries())
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_order_gives_the_same_store_and_matrix_at_length(client: Any, tmp_path: Path, deliveries: Any) -> None:
    _same(client, tmp_path, deliveries)


def test_a_return_imported_before_its_purchase_is_matched_all_the_same(client: Any, tmp_path: Path) -> None:
    at = {"occurred_at": START.isoformat(), "customer_id": "a", "item_id": "i1"}
    buy = {**at, "interaction_id": "1", "kind": "purchase", "order_id": "o1", "quantity": 2}
    back = [
        {**at, "interaction_id": f"r{n}", "kind": "return", "order_id": f"C{n}", "quantity": 1,
         "occurred_at": (START + timedelta(days=n)).isoformat()} for n in (1, 2)
    ]  # fmt: skip
    engine = client.application.extensions["recsvc"].engine
    for deliveries in ([("file", [buy]), ("file", back)], [("file", back), ("file", [buy])], [("array", [buy, *back])]):
        _clear(engine)
        _deliver(client, tmp_path, deliveries)
        log = from_store(engine, {}, newest_revision(engine))
        assert len(set(log.events.orders.tolist())) == 1  # both came back from the one order
