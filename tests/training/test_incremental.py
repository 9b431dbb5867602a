"""Incremental training: what happened since is in the next version, and nothing was learnt anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsvc import artifact
from recsvc.engine.model import Model, customer_row, from_artifact, hash_customer, own_history
from recsvc.errors import InvalidRequest
from recsvc.store import database, facts, interactions
from tests.conftest import Place
from tests.planted import Quiet, interaction, small
from training import incremental, run

NOW = datetime.now(UTC)
LEARNT = ("factors", "gram", "inverse", "neighbour_rows", "neighbour_scores", "together_rows", "item_id_bytes")


def _buys(customer: str, item: str, hours: float) -> tuple[Any, ...]:
    at = NOW - timedelta(hours=hours)
    return interaction(customer, item, "purchase", at, order_id=f"{customer}-{hours}", quantity=1)


def _model(root: Path, version: str) -> Model:
    return from_artifact(artifact.read(root, version))


def _first(model: Model, secret: bytes, customer: str) -> list[str]:
    rows = model.a["finished_rows"][customer_row(model, hash_customer(customer, secret))][:10]
    return [model.item_ids[row] for row in rows if row >= 0]


def test_new_customers_have_lists_and_nothing_is_learnt_anew(place: Place) -> None:
    root, engine = place.settings.artifact_root, database.connect(place.settings.sql_url)
    secret, before = facts.read(engine).customer_secret, artifact.current(root)
    assert before is not None
    rows = [_buys("newcomer", f"tea-0{n}", hours) for n in (2, 3, 4) for hours in (1, 30, 60)]
    rows += [_buys(f"c{n}", "coffee-20", 0.5) for n in range(50)] + [_buys("newcomer", "unheard-of", 2)]
    interactions.append_many(engine, rows)
    outcome = incremental.train(engine, root, small(), Quiet())
    old, new = _model(root, before), _model(root, outcome.version)
    for name in LEARNT:
        np.testing.assert_array_equal(old.a[name], new.a[name], err_msg=name)
    assert customer_row(old, hash_customer("newcomer", secret)) == -1
    assert {"tea-02", "tea-03", "tea-04"} <= set(_first(new, secret, "newcomer"))
    assert sum(item.startswith("tea") for item in _first(new, secret, "newcomer")) >= 8
    row = new.rows["coffee-20"]
    assert new.a["popularity"][row] >= old.a["popularity"][row] + 40
    assert "unheard-of" not in new.rows and new.last_revision > old.last_revision
    assert new.manifest["incremental_on"] == before and new.manifest["metrics"] == old.manifest["metrics"]
    again = _model(root, incremental.train(engine, root, small(), Quiet()).version)
    assert again.manifest["incremental_on"] == before


def test_histories_and_counts_equal_those_of_a_full_run(place: Place, tmp_path: Path) -> None:
    root, engine = place.settings.artifact_root, database.connect(place.settings.sql_url)
    interactions.append_many(engine, [_buys(f"c{n}", f"coffee-{n % 29:02}", 1) for n in range(120)])
    secret = facts.read(engine).customer_secret
    hourly = _model(root, incremental.train(engine, root, small(), Quiet()).version)
    full = _model(tmp_path, run.train(engine, tmp_path, small(), Quiet()).version)
    assert hourly.item_ids == full.item_ids
    for name in ("popularity", "karma", "sale_orders", "own_orders", "own_item_rows", "own_last_at"):
        np.testing.assert_array_equal(hourly.a[name], full.a[name], err_msg=name)
    for customer in ("c3", "c77"):
        histories = [own_history(one, customer_row(one, hash_customer(customer, secret))) for one in (hourly, full)]
        np.testing.assert_array_equal(histories[0].repeats, histories[1].repeats)


def test_what_a_forced_version_failed_is_carried_and_not_judged_again(place: Place) -> None:
    root, engine = place.settings.artifact_root, database.connect(place.settings.sql_url)
    base = artifact.read(root, artifact.current(root) or "")
    failed = {
        "code": "worse_than_production", "passed": False, "message": "worse", "warning": False, "figure": None,
    }  # fmt: skip
    forced = {"passed": False, "forced": True, "checks": [failed, *base.manifest["gate"]["checks"]]}
    version = artifact.new_version(datetime.now(UTC))
    artifact.publish(root, version, base.arrays, {**base.manifest, "gate": forced})
    outcome = incremental.train(engine, root, small(), Quiet())
    assert outcome.gate["passed"] and not outcome.gate["forced"]
    assert failed in outcome.gate["checks"]
    again = incremental.train(engine, root, small(), Quiet())
    assert again.gate["checks"].count(failed) == 1


def test_without_a_version_in_use_there_is_nothing_to_start_from(place: Place, tmp_path: Path) -> None:
    engine = database.connect(place.settings.sql_url)
    with pytest.raises(InvalidRequest, match="train without --incremental first"):
        incremental.train(engine, tmp_path, small(), Quiet())
