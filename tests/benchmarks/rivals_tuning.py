"""One library's model on one task, in a process and an environment of its own; `rivals.py` starts it.

Every model is tuned the same way, on the same hold-out of the history: from its first settings on, one stage after the
other, the values of a stage are tried and the best kept, by recall plus NDCG. The best settings are then fitted on
the whole history.

The values tried come from each library's own documentation (irspack: the models' `default_tune_range`; implicit and
RecTools: confidence `alpha`, regularisation and K), from Rendle et al. 2021, "Revisiting the Performance of iALS on
Item Recommendation Benchmarks", and for UP-CF from Faggioli et al. 2020, section 4.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks import rivals_models as models
from tests.benchmarks.rivals_data import Recommend, Task, fingerprint, hold_out, next_basket, score, top_n, write_lists
from tests.benchmarks.rivals_models import Settings


@dataclass(frozen=True, slots=True)
class Rival:
    """fit: returns what recommends. first: settings to start from. stages: the changes tried, stage by stage.

    basket_stages: those of a next basket, where they differ. most: customers asked of the hold-out.
    """

    library: str
    fit: Callable[[Task, Settings], Recommend]
    first: Settings
    stages: list[list[Settings]]
    basket_stages: list[list[Settings]]
    most: int = 2_000
    only_baskets: bool = False


def _steps(name: str, *values: Any) -> list[Settings]:
    return [{name: value} for value in values]


_WEIGHTS = _steps("weight", "count", "log")
_ALS = [{"alpha": a, "regularization": r} for a, r in ((10, 10), (50, 100), (200, 30), (200, 100))]
_ALS_FIRST = {"weight": "binary", "factors": 128, "alpha": 50, "regularization": 30}
_ALS_STAGES = [_ALS, _steps("factors", 512)]
_ALS_BASKETS = [_WEIGHTS, _ALS, _steps("factors", 256, 512)]
_BM25 = [
    {"kind": "bm25", "K": k, "K1": k1, "B": b}
    for k, k1, b in ((20, 1.2, 0.75), (100, 1.2, 0.75), (100, 1.2, 0.2), (100, 100, 0.5))
]
_COSINE = [{"kind": "cosine", "K": k} for k in (10, 50, 100, 200, 500)]
_TFIDF = [{"kind": "tfidf", "K": k} for k in (5, 10, 50, 100, 200, 500)]
_RP3 = [
    [{"beta": beta, "normalize_weight": normal} for beta in (0.05, 0.1, 0.2, 0.4, 0.6) for normal in (True, False)],
    _steps("top_k", 100, 200, 350, 1000, None),
]
_IALS = [
    {"alpha0": a, "reg": r}
    for a, r in ((0.01, 1e-3), (0.03, 3e-4), (0.03, 1e-3), (0.03, 3e-3), (0.1, 1e-2), (0.3, 3e-3))
]

RIVALS = {
    "irspack-rp3beta": Rival(
        "irspack",
        models.rp3beta,
        {"weight": "binary", "beta": 0.4, "top_k": 500, "normalize_weight": False},
        _RP3,
        [_WEIGHTS, *_RP3],
    ),
    "irspack-ials": Rival(
        "irspack",
        models.ials,
        {"weight": "binary", "n_components": 128, "alpha0": 0.1, "reg": 3e-3},
        [_IALS, _steps("n_components", 512)],
        [_WEIGHTS, _IALS, _steps("n_components", 256, 512)],
    ),
    "rectools-als": Rival("rectools", models.rectools_als, _ALS_FIRST, _ALS_STAGES, _ALS_BASKETS),
    "rectools-knn": Rival(
        "rectools",
        models.rectools_knn,
        {"weight": "binary", "kind": "tfidf", "K": 20},
        [_TFIDF + _BM25],
        [_TFIDF + _BM25, _WEIGHTS],
    ),
    "cornac-upcf": Rival(
        "cornac",
        models.up_cf,
        {"recency": 0, "locality": 5, "asymmetry": 0.25},
        [],
        [_steps("recency", 5, 25), _steps("locality", 1, 10, 25), _steps("asymmetry", 0.0, 0.5)],
        most=300,
        only_baskets=True,
    ),
    "cornac-gptop": Rival("cornac", models.gp_top, {}, [], [], most=300, only_baskets=True),
    "implicit-als": Rival("implicit", models.implicit_als, _ALS_FIRST, _ALS_STAGES, _ALS_BASKETS),
    "implicit-knn": Rival(
        "implicit",
        models.implicit_knn,
        {"weight": "binary", "kind": "cosine", "K": 20},
        [_COSINE + _BM25],
        [_COSINE + _BM25, _WEIGHTS],
    ),
}


def tune(rival: Rival, task: Task, until: float) -> tuple[Settings, list[dict[str, Any]], bool]:
    """Return the best settings on the hold-out, every trial with its recall and NDCG, and whether all were tried:
    none begins after `until` (epoch seconds)."""
    part = hold_out(task, rival.most)
    trials: list[dict[str, Any]] = []

    def value(settings: Settings) -> float:
        recall, ndcg = score(part, rival.fit(part, settings)(part.asked)).mean(0)
        trials.append({**settings, "recall": round(float(recall), 4), "ndcg": round(float(ndcg), 4)})
        print(json.dumps(trials[-1]), flush=True)
        return float(recall + ndcg)

    chosen = rival.first
    stages = rival.stages if task.masked else rival.basket_stages
    highest = value(chosen) if stages else 0.0
    for stage in stages:
        start = chosen
        for change in stage:
            if time.time() > until:
                return chosen, trials, False
            found = value({**start, **change})
            if found > highest:
                highest, chosen = found, {**start, **change}
    return chosen, trials, True


def main() -> None:
    """Tune and train the model named on the command line, and write its lists."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rival", choices=RIVALS)
    parser.add_argument("out", type=Path, help="the prediction file to write; what was chosen is written beside it")
    parser.add_argument("data", type=Path, nargs="+", help="train and test, or one file of baskets")
    parser.add_argument("--minutes", type=float, default=10.0, help="no trial begins after this")
    given = parser.parse_args()
    rival, began = RIVALS[given.rival], time.time()
    task = top_n(*given.data) if len(given.data) == 2 else next_basket(*given.data)
    settings, trials, whole = tune(rival, task, began + given.minutes * 60)
    tuned = time.process_time()
    asked = task.asked
    lists = np.full((len(asked), task.k), -1)
    warm = np.isin(asked, task.history.customer)
    lists[warm] = rival.fit(task, settings)(asked[warm])
    write_lists(given.out, task, lists)
    told = {
        "data": fingerprint(given.data),
        "settings": settings,
        "trials": trials,
        "all_tried": whole,
        "cpu_seconds": round(time.process_time(), 1),
        "cpu_seconds_without_tuning": round(time.process_time() - tuned, 1),
        "wall_seconds": round(time.time() - began, 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "packages": sorted({f"{one.metadata['Name']}=={one.version}" for one in distributions()}),
    }
    given.out.with_suffix(".told.json").write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
