"""recsvc beside the libraries a shop could install instead, in one table.

    python -m tests.benchmarks.rivals top-n --train FILE --test FILE --environments DIR --out DIR
    python -m tests.benchmarks.rivals next-basket --baskets FILE --environments DIR --out DIR

recsvc is run first, by `python -m training benchmark`, into `--out`/recsvc; `--predictions` names the
`predictions.parquet` of a run that is already there (`customer_id, rank, item_id`). It has its default configuration.

Each library gets a virtual environment of its own under `--environments`, made once, and each of its models a process
that tunes it a little on a hold-out of the history (`rivals_tuning.py`) and writes the same kind of file to
`--out`: `NAME.parquet`, beside it `NAME.told.json` with what was chosen and every trial, and `NAME.log`. Files of an
earlier run on the same data are used again; `--again` makes them anew. All files are scored by the same code.

The protocols: top-n ranks all items, masks the train data, Recall@20 and NDCG@20 as LightGCN computes them. next-basket
takes all baskets but the last as history, masks nothing, Recall@10 and NDCG@10. Brackets are 95 % bootstrap intervals
over customers; `recsvc -` is the difference on the same customers, with the interval of a paired bootstrap: "ahead" or
"behind" where it leaves out zero, otherwise "tie". One run of tuning and training each: the intervals say how much
depends on who the customers are, not on the seed of a model. `CPU s` is all that each spent: the libraries on tuning,
training and lists, recsvc on these (it chooses its order on a hold-out) and on the baselines of its own table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.benchmarks.rivals_data import Ids, Task, fingerprint, next_basket, read_lists, score, top_n
from tests.benchmarks.rivals_tuning import RIVALS

# What each library installs; what these need in turn is told in NAME.told.json. RecTools asks for numpy 1, which newer
# pyarrow refuses. similaripy is what cornac's UP-CF computes with.
PACKAGES = {
    "irspack": ["irspack==0.5.2", "numpy==2.4.6", "scipy==1.17.1", "pandas==3.1.1", "optuna==5.0.0", "pyarrow==26.0.1"],
    "rectools": ["rectools==0.19.0", "numpy==1.26.4", "scipy==1.15.3", "pandas==2.3.3", "pyarrow==20.0.0"],
    "cornac": ["cornac==3.0.1", "similaripy==0.7.0", "numpy==2.4.6", "scipy==1.17.1", "pyarrow==26.0.1"],
    "implicit": ["implicit==0.7.3", "numpy==2.4.6", "scipy==1.17.1", "pyarrow==26.0.1"],
}
_ROOT = Path(__file__).parents[2]
_RESAMPLES = 2_000


def main() -> None:
    """Run what is missing, compare, print the table and write `rivals.json`."""
    given = _arguments()
    data = [one.resolve() for one in ([given.train, given.test] if given.protocol == "top-n" else [given.baskets])]
    console = Console(width=None if sys.stdout.isatty() else 150)
    given.out.mkdir(parents=True, exist_ok=True)
    task = top_n(*data) if given.protocol == "top-n" else next_basket(*data)
    mark = fingerprint(data)
    files = {"recsvc": given.predictions or _ours(given.protocol, data, given.out / "recsvc", console)}
    names = [name for name in given.only or RIVALS if not (task.masked and RIVALS[name].only_baskets)]
    for name in names:
        files[name] = given.out / f"{name}.parquet"
        if given.again or not _made_from(files[name], mark):
            console.print(f"{name}: tuning and training, see {files[name].with_suffix('.log')}", soft_wrap=True)
            _make(name, files[name].resolve(), data, given.environments, given.minutes)
    results = compare(task, {name: read_lists(path, task) for name, path in files.items()})
    metrics = files["recsvc"].with_name("metrics.json")
    if metrics.exists():
        results["recsvc"]["cpu_seconds"] = json.loads(metrics.read_text())["cpu_seconds"]
    for name in names:
        told = json.loads(files[name].with_suffix(".told.json").read_text())
        results[name] |= {key: value for key, value in told.items() if key != "trials"}
    (given.out / "rivals.json").write_text(
        json.dumps({"protocol": given.protocol, "data": mark, "results": results}, indent=1)
    )
    console.print(_table(task, results))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    protocols = parser.add_subparsers(dest="protocol", required=True)
    for name, files in (("top-n", ("--train", "--test")), ("next-basket", ("--baskets",))):
        one = protocols.add_parser(name)
        for file in files:
            one.add_argument(file, type=Path, required=True, help="Parquet or CSV")
        one.add_argument("--environments", type=Path, required=True, help="folder of the libraries' environments")
        one.add_argument("--out", type=Path, required=True, help="folder of the prediction files and rivals.json")
        one.add_argument("--predictions", type=Path, help="what recsvc predicted for the same data, if it did")
        one.add_argument("--minutes", type=float, default=10.0, help="no model's tuning begins a trial after this (10)")
        one.add_argument("--only", nargs="+", choices=RIVALS, metavar="NAME", help=", ".join(RIVALS))
        one.add_argument("--again", action="store_true", help="make the libraries' predictions anew")
    return parser.parse_args()


def _made_from(predictions: Path, mark: str) -> bool:
    told = predictions.with_suffix(".told.json")
    return predictions.exists() and told.exists() and json.loads(told.read_text())["data"] == mark


def _ours(protocol: str, data: Sequence[Path], out: Path, console: Console) -> Path:
    """Have recsvc write its predictions to a folder and return the file."""
    console.print("recsvc: its default configuration", soft_wrap=True)
    names = ("--train", "--test") if protocol == "top-n" else ("--baskets",)
    options = [word for name, path in zip(names, data, strict=True) for word in (name, str(path))]
    command = [sys.executable, "-m", "training", "benchmark", protocol, *options, "--out", str(out.resolve())]
    subprocess.run(command, cwd=_ROOT, check=True)
    return out / "predictions.parquet"


def _make(name: str, out: Path, data: Sequence[Path], environments: Path, minutes: float) -> None:
    """Have one rival write its predictions to `out`, in a process and an environment of its own.

    Raises:
        SystemExit: it failed; its last lines are in the message.
    """
    # Not resolved: the interpreter of an environment is a link, and by its own name it finds its packages.
    python = environment(environments, RIVALS[name].library).absolute()
    log = out.with_suffix(".log")
    command: list[str | Path] = [python, "-m", "tests.benchmarks.rivals_tuning", name, out, *data]
    command += ["--minutes", str(minutes)]
    with log.open("w") as file:
        # The libraries have threads of their own; those of the linear algebra would contend with them.
        settings = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
        ended = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=settings, cwd=_ROOT, check=False)
    if ended.returncode:
        raise SystemExit(f"{name} ended with {ended.returncode}:\n" + "\n".join(log.read_text().splitlines()[-15:]))


def environment(folder: Path, library: str) -> Path:
    """Return the interpreter of a library's virtual environment, made and filled if it is not there as wanted."""
    home = folder / library
    python, ready, wanted = home / "bin" / "python", home / "ready", "\n".join(PACKAGES[library])
    if not ready.exists() or ready.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        subprocess.run(
            [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES[library]], check=True
        )
        ready.write_text(wanted)
    return python


def compare(task: Task, lists: dict[str, Ids]) -> dict[str, dict[str, Any]]:
    """Return for each name flat figures: `recall@k` and `ndcg@k`, and beside recsvc's also the lead of recsvc.

    `…_low`, `…_high`: the 95 % interval. `…_lead`: recsvc minus this one, with its own interval. `…_verdict`: how recsvc
    stands.
    """
    scores = np.stack([score(task, one) for one in lists.values()], 1)
    means = resampled(scores.reshape(len(scores), -1)).reshape(_RESAMPLES, len(lists), 2)
    results: dict[str, dict[str, Any]] = {}
    for place, name in enumerate(lists):
        figures = results[name] = {"customers": len(scores)}
        for column, metric in enumerate((f"recall@{task.k}", f"ndcg@{task.k}")):
            figures |= _figure(metric, scores[:, place, column].mean(), means[:, place, column])
            if "recsvc" in lists and name != "recsvc":
                lead = (scores[:, 0, column] - scores[:, place, column]).mean()
                figures |= _figure(f"{metric}_lead", lead, means[:, 0, column] - means[:, place, column])
                low, high = figures[f"{metric}_lead_low"], figures[f"{metric}_lead_high"]
                figures[f"{metric}_verdict"] = "ahead" if low > 0 else "behind" if high < 0 else "tie"
    return results


def resampled(values: Ids) -> Ids:
    """Return the means (resamples, m) of the columns of values (n, m), each over n rows drawn with replacement.

    All columns see the same draws, so differences of columns are paired.
    """
    rng, n = np.random.default_rng(1), len(values)
    means = np.empty((_RESAMPLES, values.shape[1]))
    for one in range(_RESAMPLES):
        means[one] = np.bincount(rng.integers(0, n, n), minlength=n) @ values / n
    return means


def _figure(name: str, value: float, means: Ids) -> dict[str, float]:
    low, high = np.quantile(means, [0.025, 0.975])
    return {name: round(float(value), 5), f"{name}_low": round(float(low), 5), f"{name}_high": round(float(high), 5)}


def _table(task: Task, results: dict[str, dict[str, Any]]) -> Table:
    metrics = f"recall@{task.k}", f"ndcg@{task.k}"
    table = Table(title=f"{len(task.asked):,} customers, all {len(task.items):,} items ranked", box=None)
    table.add_column("", no_wrap=True)
    for metric in metrics:
        table.add_column(metric, justify="right", no_wrap=True)
        table.add_column("recsvc -", justify="right", no_wrap=True)
        table.add_column("is", no_wrap=True)
    table.add_column("CPU s", justify="right")
    for name, one in results.items():
        cells = [name]
        for metric in metrics:
            cells.append(f"{one[metric]:.4f} [{one[f'{metric}_low']:.4f}, {one[f'{metric}_high']:.4f}]")
            verdict = one.get(f"{metric}_verdict", "")
            low, high = one.get(f"{metric}_lead_low", 0), one.get(f"{metric}_lead_high", 0)
            cells += [f"{one[f'{metric}_lead']:+.4f} [{low:+.4f}, {high:+.4f}]" if verdict else "", verdict]
        table.add_row(*cells, f"{one['cpu_seconds']:.0f}" if "cpu_seconds" in one else "")
    return table


if __name__ == "__main__":
    main()
