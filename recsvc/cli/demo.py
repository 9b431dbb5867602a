"""`recsvc demo`: The Complete Journey prepared, served and shown, with the same commands a shop would use."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer
from rich.console import Console

from recsvc import __version__, embedded
from recsvc.app import create_shop
from recsvc.cli import serve, smoke
from recsvc.errors import InvalidRequest
from recsvc.flows import showcase
from recsvc.settings import Settings, load
from recsvc.store import database, keys

console = Console(stderr=True)
_NOUNS = ("items", "customers", "offers", "interactions")
_FRESH = timedelta(days=7)


def demo(
    smoke_test: Annotated[
        bool, typer.Option("--smoke", help="Ask every endpoint once, check the answers, exit.")
    ] = False,
    with_parent: Annotated[bool, typer.Option("--with-parent", help="End when the calling process ends.")] = False,
) -> None:
    """Prepare the demo shop when it is missing or old, serve it on loopback and say what to look at."""
    if with_parent:
        embedded.bind_to_parent()
    settings = load().model_copy(update={"pages": True, "host": "127.0.0.1", "drain_seconds": 0})
    serve.check_port(settings)
    home = settings.home.absolute()
    if not _is_fresh(home):
        _prepare(home)
    key = (home / "demo.key").read_text().strip()
    sys.exit(
        serve.run(
            settings, lambda: smoke.check(serve.address(settings), key) if smoke_test else _welcome(settings, key)
        )
    )


def _is_fresh(home: Path) -> bool:
    """Whether a whole demo stands here, of this program, whose newest day is within the last seven."""
    try:
        stamp = json.loads((home / "ready.json").read_text())
        newest = datetime.fromisoformat(stamp["newest_event"])
    except (OSError, ValueError, KeyError):
        return False
    old = datetime.now(UTC) - newest > _FRESH
    if old:
        console.print(f"The demo's newest day is {newest.date()}, more than a week ago: starting a fresh store.")
    elif stamp.get("program") != __version__:
        console.print("The demo was made by another version of the program: starting a fresh store.")
        return False
    return not old


def _prepare(home: Path) -> None:
    """Make the demo shop: files, import, training, a key. The stamp is written last, so a half demo is made again.

    Raises:
        InvalidRequest: the folder holds something that is not a demo.
    """
    if home.exists() and any(home.iterdir()) and not (home / "demo").is_dir():
        raise InvalidRequest(f"RECSVC_HOME: {home} holds something that is not the demo; name an empty folder")
    shutil.rmtree(home, ignore_errors=True)
    files = home / "demo"
    files.mkdir(parents=True)
    laps = {}
    started = time.perf_counter()
    _run(home, "training", "demo", "--out", str(files))
    for noun in _NOUNS:
        _run(home, "recsvc", "import", noun, str(files / f"{noun}.parquet"))
    laps["import"], started = time.perf_counter() - started, time.perf_counter()
    _run(home, "training", "train")
    laps["training"] = time.perf_counter() - started
    engine = database.connect(Settings(home=home).sql_url)
    descriptor = os.open(home / "demo.key", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(keys.create(engine, "demo", datetime.now(UTC), keys.Terms(("admin",))))
    newest = json.loads((files / "demo.json").read_text())["newest_event"]
    shutil.rmtree(files)
    files.mkdir()
    (home / "ready.json").write_text(json.dumps({"newest_event": newest, "program": __version__}))
    console.print("prepared: " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in laps.items()))


def _run(home: Path, module: str, *arguments: str) -> None:
    """Run one of the program's own commands as a shop would; it ends when this process does."""
    command = [sys.executable, "-m", module, *arguments]
    environment = {**os.environ, "RECSVC_HOME": str(home)}
    child = subprocess.run(command, env=environment, check=False, preexec_fn=embedded.die_with_parent(signal.SIGKILL))
    if child.returncode:
        raise InvalidRequest(f"`{' '.join([module, *arguments])}` ended with {child.returncode}; see above")


def _welcome(settings: Settings, key: str) -> None:
    out = Console(highlight=False)
    where = serve.address(settings)
    out.print("\nThe Complete Journey: a grocer's history, published as simulated; coupons are open to every customer.")
    out.print(f"\n  page   {where}/\n  API    {where}/docs\n  key    {key}\n", soft_wrap=True)
    shop = create_shop(settings)
    chosen = showcase.customers(shop)
    for one in chosen:
        out.print(f"  {where}/?customer_id={one.customer_id:<6} {one.description}", soft_wrap=True)
    first = quote(chosen[0].customer_id, safe="") if chosen else "42"
    path = f"{where}/v1/customers/{first}/recommendations?limit=3"
    out.print(f"\n  curl -H 'X-API-Key: {key}' '{path}'\n\nCtrl-C ends it.", soft_wrap=True)
