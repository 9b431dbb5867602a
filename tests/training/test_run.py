"""A run: what is published, what is measured, what is refused; and the command line around it."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsvc import artifact
from recsvc.engine.model import customer_row, from_artifact, hash_customer, own_history
from recsvc.errors import InvalidRequest
from recsvc.store import database, facts, interactions
from tests.conftest import Place
from tests.planted import Quiet, interaction, plant, small
from training import run
from training.config import load

NOW = datetime.now(UTC)


def _store(home: Path) -> Any:
    engine = database.connect(f"sqlite:///{home / 'recsvc.db'}")
    database.migrate(engine)
    facts.ensure(engine)
    return engine


def test_the_blend_is_at_least_as_good_as_its_parts_on_the_planted_shop(tmp_path: Path) -> None:
    engine = _store(tmp_path)
    outcome = plant(engine, NOW, tmp_path / "artifacts")
    assert outcome is not None and outcome.measured_on == 120
    for name in ("collaborative", "neighbours", "repeat", "popularity"):
        assert outcome.table["blend"]["ndcg@10"] >= outcome.table[name]["ndcg@10"] - 0.01, name
    manifest = artifact.read(tmp_path / "artifacts", outcome.version).manifest
    assert manifest["ordering"] in {"blend", "ranker"} and manifest["note"] == outcome.note
    assert manifest["metrics"] == outcome.table and (manifest["ordering"] in outcome.table)
    assert manifest["counts"] == {"interactions": outcome.counts["interactions"], "customers": 120, "items": 61}


def test_the_same_data_and_seed_give_equal_arrays(planted: Place, tmp_path: Path) -> None:
    engine = database.connect(planted.settings.sql_url)
    first, second = (run.train(engine, tmp_path, small(), Quiet()).version for _ in range(2))
    a, b = (artifact.read(tmp_path, version).arrays for version in (first, second))
    assert first != second
    for name, array in a.items():
        np.testing.assert_array_equal(array, b[name], err_msg=name)


def test_an_artifact_holds_no_customer_id(tmp_path: Path) -> None:
    engine = _store(tmp_path)
    interactions.append_many(engine, [interaction("somebody-unmistakable", "an-item-of-ours", "purchase", NOW)])
    version = run.train(engine, tmp_path / "artifacts", small(), Quiet()).version
    content = b"".join(path.read_bytes() for path in (tmp_path / "artifacts" / version).iterdir())
    assert b"an-item-of-ours" in content and b"unmistakable" not in content
    model = from_artifact(artifact.read(tmp_path / "artifacts", version))
    secret = facts.read(engine).customer_secret
    assert customer_row(model, hash_customer("somebody-unmistakable", secret)) == 0
    assert customer_row(model, hash_customer("somebody-unmistakable", b"another secret")) == -1


@pytest.mark.parametrize("kinds", [[], ["store_visit"], ["view"]])
def test_too_little_to_learn_from_is_said(tmp_path: Path, kinds: list[str]) -> None:
    engine = _store(tmp_path)
    rows = [interaction("c", "i" if kind == "view" else None, kind, NOW) for kind in kinds]
    if rows:
        interactions.append_many(engine, rows)
    with pytest.raises(InvalidRequest, match="nothing to learn from"):
        run.train(engine, tmp_path / "artifacts", small(), Quiet())
    assert artifact.current(tmp_path / "artifacts") is None


def test_one_purchase_is_enough_to_publish(tmp_path: Path) -> None:
    engine = _store(tmp_path)
    interactions.append_many(engine, [interaction("c", "i", "purchase", NOW - timedelta(days=1), order_id="o")])
    outcome = run.train(engine, tmp_path / "artifacts", small(), Quiet())
    assert outcome.table == {} and outcome.measured_on == 0
    assert from_artifact(artifact.read(tmp_path / "artifacts", outcome.version)).item_ids == ["i"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("als: {factor: 3}", "als.factor: unknown, did you mean factors?"), ("sed: 1", "sed: unknown, did you mean seed?"),
        ("weights: {viw: 1}", "weights.viw: unknown, did you mean view?"), ("als: {factors: 0}", "als.factors"),
        ("blend: {repeat: 1}", "blend.collaborative: is missing"), ("a: [", "not YAML"), ("- 1", "mapping"),
        ("weights: {view: .nan}", "weights.view"), ("seed: 1\nseed: 2", "training.yaml: seed: stands twice, in lines 1 and 2"),
        ("als:\n  factors: 8\n  alpha: 1\n  factors: 8\n", "factors: stands twice, in lines 2 and 4"),
        ("blend: {collaborative: 0, neighbours: 0, repeat: 0, popularity: 0}", "blend: all are 0"),
        ("blend: {collaborative: -1, neighbours: 0, repeat: 1, popularity: 0}", "blend.collaborative"),
    ],
)  # fmt: skip
def test_a_bad_configuration_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "training.yaml"
    path.write_text(text)
    with pytest.raises(InvalidRequest) as error:
        load(path)
    assert words in error.value.message


def test_the_shipped_configuration_holds_the_defaults() -> None:
    from training.config import Config

    shipped = load(Path(__file__).parents[2] / "configs" / "training.yaml").model_dump()
    defaults = Config().model_dump()
    shipped.pop("weights")
    defaults.pop("weights")
    assert shipped == defaults


def _command(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments], env={**os.environ, "RECSVC_HOME": str(home), "COLUMNS": "200"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_exit_codes_for_cron(place: Place, tmp_path: Path) -> None:
    good = _command(place.home, "training", "train")
    assert good.returncode == 0 and "published" in good.stdout and "blend" in good.stdout
    empty = _command(tmp_path / "empty", "training", "train")
    assert empty.returncode == 2 and "there is no shop's database" in empty.stderr
    missing = _command(place.home, "training", "train", "--config", "/nowhere.yaml")
    assert missing.returncode == 2 and "/nowhere.yaml" in missing.stderr
    assert _command(place.home, "training", "train", "--confg", "x").returncode == 2


def test_import_and_keys_from_the_command_line(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = tmp_path / "items.parquet"
    pq.write_table(pa.table({"item_id": ["a", "b"], "title": ["A", "B"]}), file)
    done = _command(tmp_path / "shop", "recsvc", "import", "items", str(file))
    assert done.returncode == 0 and "items: 2 rows read" in done.stdout
    refused = _command(tmp_path / "shop", "recsvc", "import", "things", str(file))
    assert refused.returncode == 2 and "No such command 'things'" in refused.stderr
    lost = _command(tmp_path / "shop", "recsvc", "import", "items", str(tmp_path / "no.parquet"))
    assert lost.returncode == 2 and "no.parquet" in lost.stderr
    key = _command(tmp_path / "shop", "recsvc", "keys", "create", "--name", "x").stdout.strip()
    assert len(key.split("_")) == 3
    content = (tmp_path / "shop" / "recsvc.db").read_bytes() + (tmp_path / "shop" / "recsvc.db-wal").read_bytes() \
        if (tmp_path / "shop" / "recsvc.db-wal").exists() else (tmp_path / "shop" / "recsvc.db").read_bytes()  # fmt: skip
    assert key.split("_")[2].encode() not in content


def test_histories_in_the_artifact_equal_a_count_in_sql(place: Place, tmp_path: Path) -> None:
    """With dislikes, returns and bad reviews among the purchases: each must leave the others' rows where they are."""
    engine = database.connect(place.settings.sql_url)
    rows = [
        interaction(f"c{n}", f"coffee-{n % 30:02}", kind, NOW)
        for n in range(0, 120, 3)
        for kind in ("dislike", "return")
    ]
    rows += [interaction(f"c{n}", "tea-07", "review", NOW, stars=3) for n in range(60, 120)]
    interactions.append_many(engine, rows)
    version = run.train(engine, tmp_path, small(), Quiet()).version
    model = from_artifact(artifact.read(tmp_path, version))
    secret = facts.read(engine).customer_secret
    with engine.connect() as connection:
        counted = connection.exec_driver_sql(
            "SELECT customer_id, item_id, count(DISTINCT CASE kind WHEN 'purchase' THEN order_id END),"
            " sum(kind = 'dislike') FROM interactions GROUP BY 1, 2"
        ).all()
    found = {}
    for customer in {row[0] for row in counted}:
        history = own_history(model, customer_row(model, hash_customer(customer, secret)))
        for item, orders, rejected in zip(history.item_rows, history.orders, history.rejected_at, strict=True):
            found[customer, model.item_ids[item]] = (int(orders), rejected > 0)
    assert found == {(customer, item): (orders, bool(dislikes)) for customer, item, orders, dislikes in counted}


def test_of_many_customers_a_sample_is_measured_on(tmp_path: Path) -> None:
    engine = _store(tmp_path)
    plant(engine, NOW, tmp_path / "artifacts")
    config = small()
    config = config.model_copy(update={"split": config.split.model_copy(update={"customers": 50})})
    outcome = run.train(engine, tmp_path / "artifacts", config, Quiet())
    assert outcome.measured_on == 50 and outcome.table
