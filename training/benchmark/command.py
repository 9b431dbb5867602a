"""The sub-commands `benchmark top-n`, `benchmark next-basket` and `benchmark offers`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from recsvc.settings import configs_folder
from training.config import Config, load
from training.progress import Progress

if TYPE_CHECKING:  # numpy and pyarrow load only when something is measured
    from training.benchmark.protocols import Case, Recipe

_COLUMNS = 110
_Bars = Callable[[], AbstractContextManager[Progress]]
Out = Annotated[Path, typer.Option(help="Folder for metrics.json and predictions.parquet; made where there is none.")]
Configuration = Annotated[Path | None, typer.Option("--config", help="Configuration; default: configs/training.yaml.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed; default: the configuration's.")]


def build(recipe: Recipe, bars: _Bars) -> typer.Typer:
    """Return the sub-application.

    Args:
        recipe: the one that is measured.
        bars: makes the progress bars of a run.
    """
    app = typer.Typer(no_args_is_help=True, help="Measure the default recipe on your own data.")

    @app.command("top-n")
    def top_n(
        train: Annotated[Path, typer.Option(help="customer_id, item_id; Parquet or CSV.")],
        test: Annotated[Path, typer.Option(help="The same columns: what is to be found.")],
        out: Out,
        config: Configuration = None,
        seed: Seed = None,
    ) -> None:
        """Rank all items for every test customer, training items masked: Recall@20 and NDCG@20."""
        from training.benchmark import protocols

        _measure(lambda: protocols.top_n(train, test), out, config, seed, recipe, bars)

    @app.command("next-basket")
    def next_basket(
        baskets: Annotated[Path, typer.Option(help="customer_id, basket, item_id, perhaps occurred_at.")],
        out: Out,
        config: Configuration = None,
        seed: Seed = None,
    ) -> None:
        """Rank all items for each customer's last basket, nothing masked: Recall@10, NDCG@10 and PHR@10."""
        from training.benchmark import protocols

        _measure(lambda: protocols.next_basket(baskets), out, config, seed, recipe, bars)

    @app.command("offers")
    def offers(out: Out, config: Configuration = None, seed: Seed = None) -> None:
        """Rank the coupons of each campaign of The Complete Journey for who redeemed one: Recall@5, NDCG@5, P@1."""
        from training.benchmark import offers_run, report

        report.prepare(out)
        with bars() as progress:
            outcome = offers_run.run(_configured(config, seed), progress)
        offers_run.write(out, outcome)
        console = Console(width=max(Console().width, _COLUMNS))
        console.print(offers_run.table(outcome))
        console.print(offers_run.calibration_table(outcome))
        for line in offers_run.lines(outcome, out):
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    return app


def _configured(config: Path | None, seed: int | None) -> Config:
    chosen = load(config or configs_folder() / "training.yaml")
    return chosen if seed is None else chosen.model_copy(update={"seed": seed})


def _measure(
    read: Callable[[], Case], out: Path, config: Path | None, seed: int | None, recipe: Recipe, bars: _Bars
) -> None:
    from training.benchmark import report
    from training.benchmark.run import run

    report.prepare(out)
    with bars() as progress:
        progress.step("reading")
        case = read()
        outcome = run(case, recipe, _configured(config, seed), progress)
    report.write(out, outcome, case)
    # What is no terminal counts as 80 columns, in which the numbers would be cut.
    console = Console(width=max(Console().width, _COLUMNS))
    console.print(report.table(outcome, case))
    for line in report.lines(outcome, case, out):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
