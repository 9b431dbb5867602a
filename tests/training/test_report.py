"""The report: what is collected in a run, compared with counting by hand, and the page made of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from recsvc import artifact
from recsvc.artifact import Artifact
from recsvc.engine.model import from_artifact
from recsvc.errors import InvalidRequest
from recsvc.store import database, facts, interactions
from tests.planted import Quiet, interaction, plant, small
from training import run
from training.cli.report import report
from training.report import page
from training.report.collect import SENSITIVE

NOW = datetime.now(UTC)
ODD = """</figure><script>alert("x")</script> $a_1 & 汉字"""


def shop(home: Path) -> Path:
    """A planted shop whose customers' ids cannot be missed, trained twice; returns its artifacts."""
    engine = database.connect(f"sqlite:///{home / 'recsvc.db'}")
    database.migrate(engine)
    facts.ensure(engine)
    plant(engine, NOW, None)
    with engine.begin() as connection:
        for table in ("interactions", "customers"):
            connection.execute(sa.text(f"UPDATE {table} SET customer_id = 'unmistakable-' || customer_id"))
    run.train(engine, home / "artifacts", small(), Quiet())
    ago = NOW - timedelta(hours=1)
    # So often that it is among what each of them bought most, whoever is sampled.
    rows = [
        interaction(
            f"unmistakable-c{n}", "tea-29", "purchase", ago - k * timedelta(days=9), order_id=f"x{n}-{k}", quantity=1
        )
        for n in range(60)
        for k in range(20)
    ]
    rows += [
        interaction("unmistakable-c1", "nowhere", "view", ago), interaction(None, "tea-01", "view", ago),
        interaction("unmistakable-c2", None, "store_visit", ago - timedelta(days=280)),
        interaction("unmistakable-c2", "tea-01", "view", NOW + timedelta(days=3)),
    ]  # fmt: skip
    interactions.append_many(engine, rows)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE items SET title = :odd WHERE item_id = 'coffee-00'"), {"odd": ODD})
    run.train(engine, home / "artifacts", small(), Quiet())
    engine.dispose()
    return home / "artifacts"


def measured(one: Artifact) -> Artifact:
    """The version with everything that a run may measure."""
    value = {"customers": 40, "ndcg@10": 0.3, "ndcg@10_low": 0.2, "ndcg@10_high": 0.4, "popularity": 0.1}
    few = {"customers": 2, "ndcg@10": 0.5, "ndcg@10_low": 0.1, "ndcg@10_high": 0.9, "popularity": 0.6}
    evaluation = {
        "segments": {"activity": {"few": few, "many": value}, "category": {ODD: value, "tea": few}, "channel": {}},
        "calibration": [{"predicted": p, "observed": p * 0.9, "pairs": n} for p, n in ((0.05, 900), (0.2, 90), (0.5, 9))],
    }  # fmt: skip
    offers = {
        "pairs": 1000, "redeemed": 9, "expected": 10.0, "log_loss": 0.01, "log_loss_prior": 0.02,
        "bins": [{"predicted": 0.02, "observed": 0.018, "ratio": 1.1}, {"predicted": 0.001, "observed": 0.0, "ratio": None}],
    }  # fmt: skip
    checks = [
        {"code": "ndcg", "passed": False, "message": "lower by 0.2"},
        {"code": "items", "passed": True, "message": "61", "warning": True},
    ]
    gate = {"passed": False, "forced": True, "checks": checks}
    return Artifact(one.version, {**one.manifest, "evaluation": evaluation, "offers": offers, "gate": gate}, one.arrays)


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifacts of one shop for all tests that only read."""
    return shop(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def newest(artifacts: Path) -> Artifact:
    """The newest version."""
    return artifact.read(artifacts, artifact.versions(artifacts)[0])


def test_events_are_counted_by_day_and_kind(newest: Artifact, artifacts: Path) -> None:
    engine = database.connect(f"sqlite:///{artifacts.parent / 'recsvc.db'}")
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT kind, occurred_at FROM interactions")).all()
    engine.dispose()
    found = newest.manifest["report"]["quality"]
    first = datetime.fromisoformat(found["first_day"]).replace(tzinfo=UTC)
    by_hand = Counter((kind, (datetime.fromtimestamp(at / 1e6, UTC) - first).days) for kind, at in rows)
    today = (NOW - first).days
    counted = {
        (kind, day): events
        for kind, about in found["kinds"].items()
        for day, events in enumerate(about["by_day"])
        if events
    }
    assert counted == {key: events for key, events in by_hand.items() if key[1] <= today}
    assert found["later"] == 1 and found["newest_day"] == (NOW - timedelta(hours=1)).date().isoformat()
    assert [*found["kinds"]] == ["purchase", "view", "store_visit"] and found["kinds"]["store_visit"]["events"] == 1
    days = {day for _, day in counted}
    assert found["empty_days"] == max(days) + 1 - len(days) > 20
    assert found["gaps"][0][0] == (first + timedelta(days=1)).date().isoformat()


def test_unknown_items_and_events_without_a_customer_are_shares(newest: Artifact) -> None:
    found = newest.manifest["report"]["quality"]
    events = newest.manifest["counts"]["interactions"]
    assert found["learnt_from"] == events and found["unknown_item_ids"] == 1
    assert found["unknown_items"] == pytest.approx(1 / events)
    assert found["without_customer"] == pytest.approx(1 / events)


def test_samples_are_customers_of_every_activity_with_their_own_lists(newest: Artifact) -> None:
    samples = newest.manifest["report"]["samples"]
    orders = [sample["orders"] for sample in samples]
    assert len(samples) == 10 and orders == sorted(orders) and orders[0] < orders[-1]
    model = from_artifact(newest)
    lists = [[model.item_ids[row] for row in rows[:10]] for rows in newest.arrays["finished_rows"]]
    for sample in samples:
        new, old = ([one["item_id"] for one in sample[side]] for side in ("new", "old"))
        assert new in lists and len(old) == 10
        assert sum(one["orders"] for one in sample["history"]) >= len(sample["history"]) == 8
        assert all(0 <= one["share"] <= 1 for one in sample["new"])


def test_a_sample_does_not_say_which_sensitive_item_somebody_bought(newest: Artifact, artifacts: Path) -> None:
    shown = str(newest.manifest["report"]["samples"])
    assert SENSITIVE in shown and "The tea-29" not in shown


def test_a_run_compares_itself_with_the_version_before(newest: Artifact, artifacts: Path) -> None:
    before, after = reversed(artifact.versions(artifacts))
    changes = newest.manifest["report"]["changes"]
    assert changes["a"]["version"] == before and changes["b"]["version"] == after == newest.version
    assert "nowhere" in changes["items"]["came_ids"] and changes["lists"]["customers"] == 120
    first = artifact.read(artifacts, before).manifest["report"]
    assert first["changes"] is None and all(sample["old"] is None for sample in first["samples"])


def test_what_the_parts_of_a_run_cost_is_kept(newest: Artifact) -> None:
    cost = newest.manifest["report"]["cost"]
    assert {"read", "fit", "lists", "report"} <= cost["seconds"].keys()
    assert 0 < cost["seconds"]["report"] < 20 and 10**7 < cost["peak_bytes"] < 10**11


def test_equal_artifacts_give_equal_bytes_and_no_customer_id(artifacts: Path, tmp_path: Path) -> None:
    texts = []
    for seed in ("1", "2"):
        out = tmp_path / f"{seed}.html"
        variables = {**os.environ, "RECSVC_ARTIFACTS": str(artifacts), "PYTHONHASHSEED": seed}
        command = [sys.executable, "-m", "training", "report", "--out", str(out)]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
        assert str(out) in done.stdout
        texts.append(out.read_bytes())
    assert texts[0] == texts[1] and b"unmistakable" not in texts[0] and b"The coffee-01" in texts[0]
    newest = artifact.versions(artifacts)[0]
    assert b"unmistakable" not in (artifacts / newest / "manifest.json").read_bytes()


def test_everything_that_was_measured_is_on_the_page(newest: Artifact) -> None:
    text = page.render(measured(newest))
    assert len(re.findall("<figure>", text)) == 8  # two of models, two of segments, spread, calibration, offers, days
    assert "published by force" in text and "lower by 0.2" in text
    for metric in newest.manifest["metrics"]["blend"]:
        assert metric.removesuffix("_low").removesuffix("_high") in text
    assert all(f"Customer {n}" in text for n in range(1, 11)) and "Customer 11" not in text


def test_names_of_a_shop_are_text(newest: Artifact) -> None:
    text = page.render(measured(newest))
    assert "<script" not in text and "&lt;script&gt;" in text and "汉字" in text


@pytest.mark.parametrize(
    ("left", "said", "figures"),
    [(["evaluation", "gate"], 3, 4), (["evaluation", "gate", "report"], 7, 3), (["evaluation", "metrics"], 3, 2)],
)
def test_what_was_not_measured_is_said(newest: Artifact, left: list[str], said: int, figures: int) -> None:
    manifest = {name: value for name, value in newest.manifest.items() if name not in left}
    text = page.render(Artifact(newest.version, manifest, newest.arrays))
    assert text.count('class="none">Not ') == said
    assert len(re.findall("<figure>", text)) == figures


def test_a_version_without_sales_or_lists_has_no_plot_of_them(newest: Artifact) -> None:
    arrays = {**newest.arrays, "finished_rows": newest.arrays["finished_rows"] * 0 - 1}
    assert "there are no sales or no lists" in page.render(Artifact(newest.version, newest.manifest, arrays))


def test_a_file_that_cannot_be_written_is_refused(
    artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSVC_ARTIFACTS", str(artifacts))
    with pytest.raises(InvalidRequest, match="Is a directory"):
        report("current", tmp_path)


def test_matplotlib_is_imported_only_to_draw() -> None:
    code = "import sys, training.run, training.cli.app; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
