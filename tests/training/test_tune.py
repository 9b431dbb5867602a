"""Tuning: a study that goes on after a kill, prunes, measures honestly and writes a configuration that loads."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from recsvc.errors import InvalidRequest
from recsvc.store import database, interactions
from tests.conftest import Place, until
from tests.planted import Quiet, small
from training import space, tune, tuned
from training.config import Config, load
from training.errors import Busy
from training.metrics import Measures
from training.sources import Log, from_store


@pytest.fixture(scope="module")
def log(planted: Place) -> Iterator[Log]:
    engine = database.connect(planted.settings.sql_url)
    yield from_store(engine, {}, interactions.newest_revision(engine))
    engine.dispose()


def _search(home: Path, log: Log, base: Config, trials: int) -> list[optuna.trial.FrozenTrial]:
    known = tuned.before(log, base)
    with tune.opened(home, tune.name(known, base), base) as study:
        asked = tune.questions(known, base)
        tune.search(study, asked, base, tune.Limits(600, trials), Quiet(), lambda _: None)
        return study.get_trials()


def test_the_first_trial_is_the_base_and_a_second_call_goes_on(tmp_path: Path, log: Log) -> None:
    base = small()
    first = _search(tmp_path, log, base, 2)
    both = _search(tmp_path, log, base, 1)
    assert tune.configuration(first[0]) == base and [one.value for one in both[:2]] == [one.value for one in first]
    assert len(both) == 3 and both[1].params != both[2].params != both[0].params


def test_the_held_back_days_take_no_part(log: Log) -> None:
    base = small()
    end = float(log.events.at.max()) + 1.0
    known = tuned.before(log, base)
    assert len(known) < len(log) and float(known.events.at.max()) < end - base.split.test_days * 86400
    assert tune.questions(known, base).as_of == float(known.events.at.max())


def test_another_base_or_other_data_begin_another_study(log: Log) -> None:
    base, known = small(), tuned.before(log, small())
    name = tune.name(known, base)
    assert name == tune.name(known, base.model_copy(update={"threads": 2}))
    assert name != tune.name(known, base.model_copy(update={"seed": 2}))
    assert name != tune.name(known.part(np.arange(len(known)) > 0), base)


def test_a_trial_under_the_median_of_those_before_ends_early(tmp_path: Path, log: Log) -> None:
    base, known = small(), tuned.before(log, small())
    asked = tune.questions(known, base)
    with tune.opened(tmp_path, "s", base) as study:
        for _ in range(4):  # far better than anything that can be reached
            study.add_trial(
                optuna.create_trial(value=9.0, intermediate_values=dict.fromkeys(range(tune.SHARES), 9.0))
            )  # fmt: skip
        tune.search(study, asked, base, tune.Limits(600, 1), Quiet(), lambda _: None)
        last = study.get_trials()[0]
    assert last.state is optuna.trial.TrialState.PRUNED and len(last.intermediate_values) == 1
    assert len(asked.shares) == tune.SHARES


def test_no_trial_begins_when_less_time_is_left_than_the_median_trial_took(tmp_path: Path, log: Log) -> None:
    base, known = small(), tuned.before(log, small())
    with tune.opened(tmp_path, "s", base) as study:
        asked = tune.questions(known, base)
        assert tune.search(study, asked, base, tune.Limits(600, 1), Quiet(), lambda _: None) == 1
        taken = study.trials[0].duration
        assert taken is not None
        assert tune.search(study, asked, base, tune.Limits(taken.total_seconds() / 2), Quiet(), lambda _: None) == 0


def test_two_runs_do_not_tune_in_one_home(tmp_path: Path) -> None:
    with (tmp_path / "tuning.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Busy, match="another run"), tune.opened(tmp_path, "s", small()):
            pass


@pytest.mark.slow
def test_a_killed_run_loses_the_trial_it_was_in_and_no_other(place: Place, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("als: {factors: 8, iterations: 5}\nthreads: 1\n")
    home = {**os.environ, "RECSVC_HOME": str(place.home)}
    command = [sys.executable, "-m", "training", "tune", "--config", str(config), "--out", str(tmp_path / "t.yaml")]
    child = subprocess.Popen(command, env=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: _states(place.home) == ["COMPLETE", "COMPLETE", "RUNNING"])
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert subprocess.run([*command, "--trials", "0"], check=False, env=home, capture_output=True).returncode == 0
    assert _states(place.home) == ["COMPLETE", "COMPLETE", "FAIL"]
    assert load(tmp_path / "t.yaml").threads == 1


def _states(home: Path) -> list[str]:
    try:
        with sqlite3.connect(f"file:{home / 'tuning.db'}?mode=ro", uri=True) as connection:
            found = [state for (state,) in connection.execute("SELECT state FROM trials ORDER BY number")]
        connection.close()
    except sqlite3.OperationalError:
        return []
    return found


def test_the_written_file_is_the_tuned_configuration_whole(tmp_path: Path) -> None:
    base = Config.model_validate({"weights": {"view": 0}, "als": {"alpha": 5.0}, "seed": 3})
    content: dict[str, Any] = base.model_dump()
    content["als"]["factors"], content["history"]["prior_visits"] = 100, 12.5
    best = Config.model_validate(content)
    path = tmp_path / "tuned.yaml"
    path.write_text(tuned.written(base, best, ["what it gains"]))
    assert load(path) == best
    text = path.read_text()
    assert text.startswith("# what it gains\n") and "factors: 100  # in the base: 256" in text
    assert "alpha: 5.0  # as in the base" in text and "depth" not in text


def test_a_base_that_differs_in_nothing_gives_a_file_that_loads(tmp_path: Path) -> None:
    path = tmp_path / "tuned.yaml"
    path.write_text(tuned.written(Config(), Config(), ["nothing"]))
    assert load(path) == Config()


def test_ranges_hold_the_base_and_stay_within_the_bounds_of_the_configuration() -> None:
    base = Config.model_validate(
        {"als": {"factors": 1000}, "neighbours": {"exponent": 0.9}, "popularity": {"window_days": 1}}
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    seen = [space.suggested(study.ask(), base) for _ in range(200)]
    assert {one.als.factors for one in seen} <= set(range(500, 1025))
    assert max(one.neighbours.exponent for one in seen) <= 1.0 and len({one.als.alpha for one in seen}) > 100
    study.enqueue_trial(space.values(base))
    assert space.suggested(study.ask(), base) == base


def test_only_what_the_chosen_generators_use_is_searched() -> None:
    other = Config.model_validate({"generators": {"neighbours": "ease", "collaborative": "bpr"}})
    assert {"ease.regularization", "bpr.factors"} < space.values(other).keys()
    assert not {"neighbours.exponent", "als.factors", "bm25.k1"} & space.values(other).keys()


def _scores(ndcg: Any, new: Any) -> Measures:
    other = dict.fromkeys(Measures.__slots__, np.zeros(len(ndcg)))
    return Measures(**{**other, "ndcg": np.asarray(ndcg, float), "ndcg_new": np.asarray(new, float)})


def test_a_gain_is_paired_and_a_tie_where_the_interval_holds_nought() -> None:
    rng = np.random.default_rng(1)
    ndcg, new = rng.random(500), np.where(rng.random(500) < 0.5, np.nan, rng.random(500))
    # Far less than what the customers differ by among each other: only a paired comparison sees it.
    gains = tuned._gains(_scores(ndcg, new), _scores(ndcg + 0.01 + rng.normal(0, 0.01, 500), new), 1)
    assert gains["ndcg@10"].verdict == gains["both"].verdict == "gain" and gains["ndcg_new@10"].mean == 0.0
    noise = rng.normal(0, 0.1, 500)
    assert tuned._gains(_scores(ndcg, new), _scores(ndcg + noise - noise.mean(), new), 1)["both"].verdict == "tie"
    assert tuned._gains(_scores(ndcg, new), _scores(ndcg - 0.1, new), 1)["both"].verdict == "loss"


def test_too_few_customers_to_tune_on_says_how_many(log: Log) -> None:
    base = small()
    with pytest.raises(InvalidRequest, match=r"nothing to tune on: 0 customers .* 20 \(split.min_customers\)"):
        tune.questions(log.part(log.customers < 3), base)
