"""Blocks in several processes: in order, equal to one process, and no silence when one dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time

import numpy as np
import pytest

from recsvc.artifact import read
from recsvc.engine.eligibility import Shelf
from recsvc.engine.model import Model, from_artifact, own_history
from recsvc.settings import Settings
from tests.conftest import Place
from training import fit
from training.parallel import in_blocks

forks = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="one process elsewhere")


@forks
def test_results_come_in_order_from_several_processes() -> None:
    def work(block: int) -> tuple[int, int]:
        time.sleep(0.01 if block % 3 else 0.03)
        return block, os.getpid()

    found = list(in_blocks(work, 20, 3))
    assert [block for block, _ in found] == list(range(20))
    assert len({pid for _, pid in found}) == 3 and os.getpid() not in {pid for _, pid in found}


@pytest.mark.parametrize(("count", "workers"), [(20, 1), (3, 2), (0, 2)])
def test_little_work_stays_in_this_process(count: int, workers: int) -> None:
    assert set(in_blocks(lambda _: os.getpid(), count, workers)) <= {os.getpid()}


@forks
def test_what_the_work_raises_is_raised_here() -> None:
    def work(block: int) -> int:
        if block == 11:
            raise ValueError("eleven")
        return block

    with pytest.raises(ValueError, match="eleven"):
        list(in_blocks(work, 20, 2))
    assert not multiprocessing.active_children()


@forks
def test_a_process_that_dies_is_noticed() -> None:
    def work(block: int) -> int:
        if block == 10:
            os.kill(os.getpid(), signal.SIGKILL)
        return block

    with pytest.raises(RuntimeError, match="ended before block 10 of 20"):
        list(in_blocks(work, 20, 2))


@forks
def test_who_stops_early_leaves_no_process() -> None:
    blocks = in_blocks(lambda block: np.zeros(100_000), 50, 2)
    next(blocks)
    blocks.close()  # type: ignore[attr-defined]
    assert not multiprocessing.active_children()


@forks
def test_finished_lists_do_not_depend_on_the_number_of_processes(
    planted: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "BLOCK", 8)
    root = Settings(home=planted.home).artifact_root
    model: Model = from_artifact(read(root, (root / "current").read_text().strip()))
    n, customers = model.n_items, len(model.a["customer_high"])
    shelf = Shelf(np.ones(n, bool), np.zeros(n, bool), 0)
    one, two = (
        fit.finish(model, _Own(model), np.arange(customers), shelf, lambda _: None, threads)  # type: ignore[arg-type]
        for threads in (1, 2)
    )
    assert customers >= 64 and (one["finished_rows"] >= 0).any()
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name], err_msg=name)


class _Own:
    """The histories of a model, as a matrix gives them."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def of(self, row: int) -> object:
        return own_history(self._model, row)
