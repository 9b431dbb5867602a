"""What an incremental run loses against a full one, on the shop in RECSVC_HOME.

    python -m tests.benchmarks.incremental [--days 7]

The newest 14 days are held back. Three models are asked for them, ordered alike (what was learnt before the oldest of
them): one fitted `--days` before the held-back days, as an hourly feed would find it if nothing were done; the same
brought up to date as `train --incremental` does it; and one fitted up to the held-back days. All know each customer's
history up to the held-back days, as the service does: the incremental one differs from the old in what is counted, the
full one in what is learnt. ± is half a 95 % interval, paired over customers.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from recsvc.artifact import Array
from recsvc.engine.history import DAY
from recsvc.settings import configs_folder
from recsvc.settings import load as load_settings
from recsvc.store import opening
from training import cases, evaluate, fit, given, learn, matrix, metrics
from training.cases import Case
from training.cli.bars import Bars, console
from training.config import Config, load
from training.given import Given
from training.incremental import counted, of_items
from training.sources import Log


def main() -> None:
    """Print NDCG@10 of the three and the paired differences."""
    import training.__main__  # noqa: F401  it sets the threads of the linear algebra, before numpy loads

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=7.0, help="how old the full run is (7)")
    days = parser.parse_args().days
    config = load(configs_folder() / "training.yaml")
    with Bars() as bars:
        read = given.read(opening.existing(load_settings().sql_url), config, bars)
        end = float(read.log.events.at.max()) + 1.0
        test = end - config.split.test_days * DAY
        known, later = read.log.between(0, test), read.log.between(test, end)
        then = known.between(0, test - days * DAY)
        order = learn.order(then, config, bars)
        found = {name: _asked(name, then, known, later, order, read, bars) for name in ("old", "incremental", "full")}
    full = _ndcg(found["full"][0], order)
    draws = metrics.drawn(len(full), config.seed)
    for name, (asked, seconds) in found.items():
        lead = metrics.interval("lead", full - _ndcg(asked, order), draws)
        half = (lead["lead_high"] - lead["lead_low"]) / 2
        behind = f"behind full by {lead['lead']:.4f} ± {half:.4f}"
        console.print(f"{name:<12} ndcg@10 {full.mean() - lead['lead']:.4f}, {behind}; made in {seconds:.1f} s")


def _ndcg(asked: list[Case], order: learn.Order) -> Array:
    """NDCG@10 of each customer."""
    return cases.score(asked, order.scorer()).ndcg


def _asked(
    name: str, then: Log, known: Log, later: Log, order: learn.Order, read: Given, bars: Bars
) -> tuple[list[Case], float]:
    """The cases of one of the models, and the seconds it took to make it."""
    config: Config = order.config
    bars.step(name)
    started = time.perf_counter()
    built_of, arrays = fit.arrays(known if name == "full" else then, config)
    log, bought = known, evaluate.happened(later, config).bought
    if name == "incremental":
        started = time.perf_counter()
        item_ids = [then.item_ids[code] for code in built_of.item_codes]
        log = of_items(known, item_ids, read)
        built_of, arrays = counted(arrays, log, config)
        # What the model has no row for keeps a code, of nothing: it was bought, and cannot be found.
        rows = {item_id: row for row, item_id in enumerate(item_ids)}
        codes = np.array([rows.get(one, len(item_ids) + code) for code, one in enumerate(later.item_ids)])
        bought = np.stack([bought[:, 0], codes[bought[:, 1]]], axis=1)
    seconds = time.perf_counter() - started
    parameters = fit.parameters(built_of, config, dict(config.blend))
    model = fit.assemble("", fit.without_customers(arrays, 1) | order.trees, parameters)
    histories = matrix.histories(log, built_of)
    asked = cases.ask(model, histories, cases.Truth(bought), lambda *_: None, order.masked, config.threads)
    return asked, seconds


if __name__ == "__main__":
    main()
