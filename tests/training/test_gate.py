"""The gate: a sabotaged shop or model is refused, and the reason names the sabotage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from recsvc import artifact
from recsvc.engine.model import from_artifact, hash_customer
from recsvc.store import database, facts, interactions, items
from tests.planted import CUSTOMERS, Quiet, catalogue, history, interaction, small
from training import fit, given, run
from training.config import Config
from training.errors import Refused
from training.gate import arrays
from training.gate.checks import Check, Production
from training.matrix import Matrix

NOW = datetime.now(UTC)
CUSTOMER, ITEM, AT = (interactions.COLUMNS.index(name) for name in ("customer_id", "item_id", "occurred_at"))


@dataclass(frozen=True, slots=True)
class Learnt:
    """matrix, found: of a fit. published: the version in use. secret: the shop's."""

    matrix: Matrix
    found: dict[str, Any]
    published: artifact.Artifact
    secret: bytes
    customer_ids: list[str]


def _shop(home: Path, rows: list[tuple[Any, ...]]) -> sa.Engine:
    home.mkdir()
    engine = database.connect(f"sqlite:///{home / 'recsvc.db'}")
    database.migrate(engine)
    facts.ensure(engine)
    items.put(engine, catalogue(NOW))
    interactions.append_many(engine, rows)
    return engine


def _with(row: tuple[Any, ...], **values: Any) -> tuple[Any, ...]:
    return tuple(values.get(name, value) for name, value in zip(interactions.COLUMNS, row, strict=True))


def _shuffled(rows: list[tuple[Any, ...]], column: int) -> list[tuple[Any, ...]]:
    values = [row[column] for row in rows]
    order = np.random.default_rng(5).permutation(len(rows))
    return [_with(row, **{interactions.COLUMNS[column]: values[at]}) for row, at in zip(rows, order, strict=True)]


def _viewed() -> list[tuple[Any, ...]]:
    """The planted history and one view, so that something is liked even where purchases count against items."""
    return [*history(NOW), interaction("c0", "coffee-00", "view", NOW - timedelta(days=1))]


def _renamed(rows: list[tuple[Any, ...]], column: int) -> list[tuple[Any, ...]]:
    """Every id becomes another one of them, the same everywhere: as from a wrong join."""
    ids = sorted({row[column] for row in rows if row[column]})
    names = dict(zip(ids, np.random.default_rng(3).permutation(ids).tolist(), strict=True))
    return [_with(row, **{interactions.COLUMNS[column]: names.get(row[column], row[column])}) for row in rows]


Sabotage = Callable[[list[tuple[Any, ...]]], list[tuple[Any, ...]]]
SABOTAGES: dict[str, Sabotage] = {
    "shuffled_ids": lambda rows: _shuffled(rows, ITEM),
    "shuffled_ids: ": lambda rows: _shuffled(rows, CUSTOMER),
    "swapped_sides": lambda rows: [_with(row, customer_id=row[ITEM], item_id=row[CUSTOMER]) for row in rows],
    "items_shrank": lambda rows: [row for row in rows if row[ITEM] < "coffee-15"],
    "customers_shrank": lambda rows: [row for row in rows if row[CUSTOMER] < "c5"],
    "item_ids": lambda rows: _renamed(rows, ITEM),
    "newest_day": lambda rows: [_with(row, occurred_at=row[AT] - 20 * 86_400_000_000) for row in rows],
}


def test_a_first_import_with_columns_swapped_is_refused(tmp_path: Path) -> None:
    engine = _shop(tmp_path / "shop", SABOTAGES["swapped_sides"](history(NOW)))
    with pytest.raises(Refused, match="swapped_sides: 100% of the customer ids are items of the catalogue"):
        run.train(engine, tmp_path / "artifacts", small(), Quiet())
    assert artifact.versions(tmp_path / "artifacts") == []


def test_a_shop_without_tastes_is_warned_of_and_served(tmp_path: Path) -> None:
    """Random purchases look like shuffled ones: where no model was any better there is nothing to protect."""
    engine = _shop(tmp_path / "shop", _shuffled(history(NOW), ITEM))
    for _ in range(2):
        outcome = run.train(engine, tmp_path / "artifacts", small(), Quiet())
        warned = [one["code"] for one in outcome.gate["checks"] if one["warning"]]
        assert warned == ["worse_than_popularity", "shuffled_ids"]
        assert outcome.table["popularity"]["lead_high"] >= 0
        assert outcome.note.startswith("popularity: what was learnt is behind it")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[sa.Engine, Path]]:
    """A shop with a version in use."""
    home = tmp_path_factory.mktemp("gate")
    engine = _shop(home / "shop", _viewed())
    run.train(engine, home / "artifacts", small(), Quiet())
    yield engine, home / "artifacts"
    engine.dispose()


def test_a_version_that_recorded_fewer_fields_of_its_checks_is_compared_with(
    trained: tuple[sa.Engine, Path], tmp_path: Path
) -> None:
    engine, root = trained
    base = artifact.read(root, artifact.current(root) or "")
    checks = [{name: one[name] for name in ("code", "passed", "message")} for one in base.manifest["gate"]["checks"]]
    older = {**base.manifest, "gate": {**base.manifest["gate"], "checks": checks}}
    artifact.publish(tmp_path, base.version, base.arrays, older)
    outcome = run.train(engine, tmp_path, small(), Quiet())
    assert outcome.gate["passed"] and {"shuffled_ids", "fell"} <= {one["code"] for one in outcome.gate["checks"]}


def _refused(engine: sa.Engine, root: Path, config: Config) -> str:
    """The reason; nothing was published meanwhile."""
    before, versions = artifact.current(root), artifact.versions(root)
    with pytest.raises(Refused) as error:
        run.train(engine, root, config, Quiet())
    assert artifact.current(root) == before and artifact.versions(root) == versions
    return error.value.message


@pytest.mark.parametrize("cause", SABOTAGES)
def test_sabotaged_data_leave_the_version_in_use(trained: tuple[sa.Engine, Path], tmp_path: Path, cause: str) -> None:
    engine, root = trained
    with database.writing(engine) as connection:
        connection.execute(sa.delete(interactions.interactions))
    interactions.append_many(engine, SABOTAGES[cause](history(NOW)))
    assert cause.strip(": ") in _refused(engine, root, small())
    with database.writing(engine) as connection:
        connection.execute(sa.delete(interactions.interactions))
    interactions.append_many(engine, _viewed())


def test_a_worse_recipe_is_refused_beside_the_one_in_use(trained: tuple[sa.Engine, Path]) -> None:
    engine, root = trained
    upside_down = small().model_copy(update={"weights": {"purchase": -5.0}})
    said = _refused(engine, root, upside_down)
    assert "worse_than_production" in said and artifact.current(root) in said
    outcome = run.train(engine, root, upside_down, Quiet(), force=True)
    assert outcome.gate["forced"] and outcome.table["in use"]["lead_high"] < 0
    assert artifact.read(root, outcome.version).manifest["gate"] == outcome.gate
    artifact.point(root, artifact.versions(root)[-1])


def _republished(root: Path, into: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """The version in use, with another manifest, in a folder of its own."""
    published = artifact.read(root, artifact.versions(root)[-1])
    manifest = json.loads(json.dumps(published.manifest))
    change(manifest)
    artifact.publish(into, artifact.new_version(NOW), dict(published.arrays), manifest)


def test_the_same_recipe_that_reaches_much_less_than_it_did_is_warned_of(
    trained: tuple[sa.Engine, Path], tmp_path: Path
) -> None:
    def better(manifest: dict[str, Any]) -> None:
        row = manifest["metrics"][manifest["ordering"]]
        row.update({name: value * 1.5 for name, value in row.items() if name.startswith("ndcg@10")})

    engine, root = trained
    _republished(root, tmp_path, better)
    outcome = run.train(engine, tmp_path, small(), Quiet())
    assert [one["code"] for one in outcome.gate["checks"] if one["warning"]] == ["fell"]


def test_what_cannot_be_measured_does_not_follow_what_was(trained: tuple[sa.Engine, Path]) -> None:
    engine, root = trained
    config = small().model_copy(update={"split": small().split.model_copy(update={"test_days": 365})})
    assert "not_measured: only 0 customers to measure on, 120 of version" in _refused(engine, root, config)


def test_a_damaged_version_in_use_is_said_and_the_one_before_compared_with(
    trained: tuple[sa.Engine, Path], tmp_path: Path
) -> None:
    engine, root = trained
    for _ in range(2):
        _republished(root, tmp_path, lambda manifest: None)
    new = artifact.current(tmp_path)
    assert new is not None
    (old,) = set(artifact.versions(tmp_path)) - {new}
    (tmp_path / new / "factors.npy").unlink()
    outcome = run.train(engine, tmp_path, small(), Quiet())
    said = next(one for one in outcome.gate["checks"] if one["code"] == "in_use")
    assert said["warning"] and new in said["message"] and f"compared with {old}" in said["message"]


def test_an_ordinary_shop_is_not_refused_week_after_week(tmp_path: Path) -> None:
    """Few customers, a long tail, no taste: what a first look at a new shop is like."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        engine = _shop(tmp_path / f"shop{seed}", [])
        for week in range(8):
            items = np.minimum(rng.zipf(1.5, 240) - 1, 59)
            rows = [
                interaction(
                    f"c{rng.integers(80)}", f"{'coffee' if n < 30 else 'tea'}-{n % 30:02}", "purchase",
                    NOW - timedelta(days=7.0 * (7 - week) + float(rng.random()) * 6 + 0.1), order_id=f"{week}-{k}",
                )
                for k, n in enumerate(items.tolist())
            ]  # fmt: skip
            interactions.append_many(engine, rows)
            if week >= 5:
                run.train(engine, tmp_path / f"artifacts{seed}", small(), Quiet())


@pytest.fixture(scope="module")
def learnt(trained: tuple[sa.Engine, Path]) -> Learnt:
    """What a run learns from the shop, and the version that was published of it."""
    engine, root = trained
    read = given.read(engine, small(), Quiet())
    matrix, found = fit.arrays(read.log, small())
    published = artifact.read(root, artifact.versions(root)[-1])
    return Learnt(matrix, found, published, facts.read(engine).customer_secret, read.log.customer_ids)


def _failed(checks: list[Check]) -> list[str]:
    return [one.code for one in checks if not one.passed]


@pytest.mark.parametrize(
    ("cause", "broken"),
    [
        ("not_finite", lambda factors: np.where(np.arange(factors.shape[1]) == 7, np.nan, factors)),
        ("norms", lambda factors: factors * 1e9),
        ("norms", lambda factors: factors * 1e-4),
        ("swapped_sides", lambda factors: np.ones((len(factors), CUSTOMERS), np.float32)),
    ],
)
def test_broken_factors_are_refused(learnt: Learnt, cause: str, broken: Callable[[Any], Any]) -> None:
    production = Production(from_artifact(learnt.published), learnt.secret)
    assert _failed(arrays.of_arrays(learnt.found, learnt.matrix.shape, production)) == []
    sabotaged = learnt.found | {"factors": broken(learnt.found["factors"])}
    assert _failed(arrays.of_arrays(sabotaged, learnt.matrix.shape, production)) == [cause]


def test_a_model_that_does_not_know_its_customers_is_refused(learnt: Learnt) -> None:
    model = from_artifact(learnt.published)
    rows = {hash_customer(one, learnt.secret): row for row, one in enumerate(learnt.customer_ids)}
    hashes = zip(model.a["customer_high"].tolist(), model.a["customer_low"].tolist(), strict=True)
    order = np.array([rows[one] for one in hashes])
    assert _failed(arrays.of_model(model, learnt.matrix, order, 1)) == []
    columns = np.random.default_rng(4).permutation(model.n_items)
    moved = replace(model, a=model.a | {"factors": np.ascontiguousarray(model.a["factors"][:, columns])})
    assert _failed(arrays.of_model(moved, learnt.matrix, order, 1)) == ["out_of_step"]
    flat = replace(model, a=model.a | {"finished_scores": np.ones_like(model.a["finished_scores"])})
    assert _failed(arrays.of_model(flat, learnt.matrix, order, 1)) == ["constant_scores"]


def test_a_history_that_was_always_old_is_warned_of(tmp_path: Path) -> None:
    rows = [_with(row, occurred_at=row[AT] - 400 * 86_400_000_000) for row in history(NOW)]
    engine = _shop(tmp_path / "shop", rows)
    for _ in range(2):
        outcome = run.train(engine, tmp_path / "artifacts", small(), Quiet())
        old = next(one for one in outcome.gate["checks"] if one["code"] == "newest_day")
        assert old["warning"] and "days old" in old["message"]


def test_the_command_says_why_and_ends_with_three(trained: tuple[sa.Engine, Path], tmp_path: Path) -> None:
    _, root = trained
    config = tmp_path / "training.yaml"
    config.write_text("als: {factors: 8, iterations: 5, regularization: 1.0, alpha: 5.0}\nweights: {purchase: -5}\n")
    environment = {**os.environ, "RECSVC_HOME": str(root.parent / "shop"), "RECSVC_ARTIFACTS": str(root)}
    for command, code in (("train", 3), ("evaluate", 3), ("backtest --folds 1", 0)):
        done = subprocess.run(
            [sys.executable, "-m", "training", *command.split(), "--config", str(config), "--json"],
            env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert code == 0 or "worse_than_production" in done.stderr
        assert command == "train" or json.loads(done.stdout)
