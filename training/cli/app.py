"""The application: every command, and one exit code per kind of error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
import typer

from recsvc.errors import RecsvcError
from recsvc.store import opening
from training.benchmark import command as benchmark
from training.cli.bars import Bars, console
from training.cli.compare import compare
from training.cli.demo import demo
from training.cli.evaluate import backtest, evaluate
from training.cli.export import export_matrix
from training.cli.report import report
from training.cli.train import train
from training.cli.tune import tune
from training.errors import Busy, Refused

if TYPE_CHECKING:
    from training.benchmark.protocols import Rankings, Task
    from training.config import Config
    from training.progress import Progress

BAD_INPUT: Final = 2
_CODES: Final[dict[type[RecsvcError], int]] = {Refused: 3, Busy: 4}

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Train recsvc's model and publish it.")


@app.callback()
def group() -> None:
    """Train recsvc's model and publish it. Exit 0: done; 2: bad input; 3: refused by the gate; 4: another run is on."""


def _recipe(task: Task, config: Config, progress: Progress) -> Rankings:
    from training.recipe import fit_and_rank

    return fit_and_rank(task, config, progress)


app.command()(train)
app.command()(evaluate)
app.command()(backtest)
app.command()(tune)
app.command()(export_matrix)
app.command()(demo)
app.command()(compare)
app.command()(report)
app.add_typer(benchmark.build(_recipe, Bars), name="benchmark")


def main() -> None:
    """Run the command line; errors of the caller become one line and exit code 2."""
    try:
        app(standalone_mode=False)
    except RecsvcError as error:
        console.print(f"error: {error.message}", markup=False, style="red", soft_wrap=True)
        sys.exit(_CODES.get(type(error), BAD_INPUT))
    except sa.exc.DBAPIError as error:
        console.print(f"error: {opening.no_answer(error)}", markup=False, style="red", soft_wrap=True)
        sys.exit(BAD_INPUT)
    except typer.Abort:
        sys.exit(130)
    except Exception as error:
        # Typer's own usage errors carry the text for the user and the exit code.
        if hasattr(error, "exit_code") and hasattr(error, "show"):
            error.show()
            sys.exit(error.exit_code)
        raise
