"""`models`, `promote`, `rollback`: what is published, and going forward or back by hand."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from recsvc import promotions
from recsvc.errors import ArtifactInvalid, InvalidRequest
from recsvc.settings import load
from training.cli.bars import console
from training.lock import held

if TYPE_CHECKING:
    from recsvc.store.published import Published

_Json = Annotated[bool, typer.Option("--json", help="For machines.")]


_WIDTH: Final = 140


def models(as_json: _Json = False) -> None:
    """Show what is published, newest first."""
    found = _opened().listing(time.time())
    if as_json:
        typer.echo(json.dumps({"current": found.current, "remote": found.away or None, "models": found.versions}))
        return
    if found.away:
        console.print(f"{found.away}; this is what is here", markup=False, style="yellow", soft_wrap=True)
    table = Table(box=box.SIMPLE, pad_edge=False, caption="ndcg@10 of what orders the lists, and its 95 % interval")
    for name in ("version", "in use", "published", "age", "ordering", "ndcg@10", "customers", "items", "MB"):
        table.add_column(name, justify="left" if name in {"version", "in use", "ordering"} else "right", no_wrap=True)
    for one in found.versions:
        table.add_row(*_cells(one))
    # Wider than some terminals: a version that is cut cannot be promoted.
    Console(highlight=False, width=max(Console().width, _WIDTH)).print(table)
    for one in found.versions:
        if one["problem"]:
            console.print(one["problem"], markup=False, style="red", soft_wrap=True)


def promote(version: Annotated[str, typer.Argument(help="A version, as `models` shows it.")]) -> None:
    """Take a version into use once it is verified. Services do so at their next look."""
    store = _opened()
    if version == "current":
        in_use = store.names()[0]
        told = f"{in_use} is in use already" if in_use else "nothing is in use"
        raise InvalidRequest(f"current: {told}; name a version, as `models` shows it")
    with held(store.root):
        _verified(store, version)
        store.use(version)
    typer.echo(f"{version}: in use")


def rollback(as_json: _Json = False) -> None:
    """Go back to the version that was in use before; again: further back. A damaged one is passed over."""
    store = _opened()
    with held(store.root):
        left = store.listing(time.time()).current
        for version in store.earlier():
            try:
                _verified(store, version)
            except ArtifactInvalid as error:
                console.print(f"passed over: {version}: {error.message}", markup=False, style="yellow", soft_wrap=True)
                continue
            store.use(version, promotions.ROLLED_BACK)
            break
        else:
            raise InvalidRequest("nothing to go back to: no version that was in use before is still there and whole")
    typer.echo(json.dumps({"from": left, "to": version}) if as_json else f"{version}: in use, in place of {left}")


def _opened() -> Published:
    from recsvc.store import published

    return published.opened(load())


def _verified(store: Published, version: str) -> None:
    from recsvc.engine.model import from_artifact

    from_artifact(store.fetch(version))


def _cells(one: dict[str, Any]) -> list[str]:
    at, age, metrics = one["published_at"], one["age_seconds"], one["metrics"]
    ndcg = metrics.get("ndcg@10")
    low, high = metrics.get("ndcg@10_low"), metrics.get("ndcg@10_high")
    return [
        one["version"],
        ", ".join([*(["yes"] if one["current"] else []), *(["damaged"] if one["problem"] else [])]),
        "–" if at is None else time.strftime("%Y-%m-%d %H:%M", time.gmtime(at)),
        "–" if age is None else _age(age),
        one["ordering"] or "–",
        "–" if ndcg is None else f"{ndcg:.4f}" + (f" [{low:.4f}, {high:.4f}]" if low is not None and high else ""),
        *("–" if one[name] is None else f"{one[name]:,}" for name in ("customers", "items")),
        "–" if one["bytes"] is None else f"{one['bytes'] / 1e6:,.1f}",
    ]


def _age(seconds: float) -> str:
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.0f} s"
