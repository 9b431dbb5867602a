"""The command line `recsvc`: one file per noun."""

from __future__ import annotations

import sys

import sqlalchemy as sa
import typer
from rich.console import Console

from recsvc.cli import demo, doctor, exposures, imports, keys, serve, smoke, validate, warm
from recsvc.errors import RecsvcError
from recsvc.store import opening

BAD_INPUT = 2
app = typer.Typer(add_completion=False, no_args_is_help=True, help="Personalised products and offers for shops.")
app.command("serve")(serve.serve)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.command("smoke")(smoke.smoke)
app.command("warm")(warm.warm)
app.command("validate")(validate.validate)
app.command("exposures")(exposures.exposures)
app.add_typer(imports.app, name="import")
app.add_typer(keys.app, name="keys")


def main() -> None:
    """Run the command line; errors of the caller become one line and exit code 2."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except RecsvcError as error:
        Console(stderr=True).print(f"error: {error.message}", markup=False, style="red", soft_wrap=True)
        sys.exit(BAD_INPUT)
    except sa.exc.DBAPIError as error:
        Console(stderr=True).print(f"error: {opening.no_answer(error)}", markup=False, style="red", soft_wrap=True)
        sys.exit(BAD_INPUT)
    except typer.Abort:
        sys.exit(130)
    except Exception as error:
        # Typer's own usage errors carry the text for the user and the exit code.
        if hasattr(error, "exit_code") and hasattr(error, "show"):
            error.show()
            sys.exit(error.exit_code)
        raise
