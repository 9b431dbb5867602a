"""`compare`: two published versions side by side."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from recsvc.settings import load as load_settings

Version = Annotated[str, typer.Argument(help="A published version, or `current`.")]


def compare(
    a: Version,
    b: Version,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """Show two published versions side by side: metrics, configuration, lists, items and customers."""
    from recsvc.store import published
    from training import compare as versions

    store = published.opened(load_settings())
    found = versions.compare(*(store.fetch(versions.resolve(store, name)) for name in (a, b)))
    if as_json:
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False))
        return
    out = Console()
    for table in _tables(found):
        out.print(table)
    out.print(_lists(found["lists"]), markup=False)


def _tables(found: dict[str, Any]) -> list[Table]:
    metrics = _table(found, "Held-back days, of what orders the lists; 95 % bootstrap intervals")
    for row in found["metrics"]:
        metrics.add_row(row["metric"], _measured(row["a"]), _measured(row["b"]))
    about = _table(found, "Counts and windows")
    for field in ("counts", "window"):
        sides = [found[side][field] or {} for side in ("a", "b")]
        for name in {**sides[0], **sides[1]}:
            about.add_row(name, *(_value(side.get(name, "")) for side in sides))
    tables = [metrics, about]
    for field, title in (("configuration", "Configuration, where it differs"), ("learnt", "Learnt, where it differs")):
        table = _table(found, title)
        for row in found[field]:
            table.add_row(row["field"], *(_value(row.get(side, "absent")) for side in ("a", "b")))
        tables.append(table)
    came = Table("", "came", "went", "stayed", title="Items and customers", box=box.SIMPLE, pad_edge=False)
    for name in ("items", "customers"):
        came.add_row(name, *(f"{found[name][column]:,}" for column in ("came", "went", "stayed")))
    movers = _table(found, "Items whose share of the slots in top 10s changed most")
    for row in found["movers"]:
        movers.add_row(row["item_id"], f"{row['a']:.2%}", f"{row['b']:.2%}")
    return [table for table in (*tables, came, movers) if table.row_count]


def _table(found: dict[str, Any], title: str) -> Table:
    table = Table(title=title, box=box.SIMPLE, pad_edge=False)
    table.add_column("", overflow="fold")
    for side in ("a", "b"):
        table.add_column(found[side]["version"], justify="right", no_wrap=True)
    return table


def _lists(found: dict[str, Any]) -> str:
    if not found["customers"]:
        return "No customer has a list in both."
    return (
        f"{found['customers']:,} customers have a list in both: {found['overlap']:.1%} of a top 10 is the same, "
        f"{found['first_changed']:.1%} have another first item."
    )


def _measured(side: dict[str, float | None] | None) -> str:
    if side is None:
        return "not measured"
    between = "" if side["low"] is None else f" [{side['low']:.4f}, {side['high']:.4f}]"
    return f"{side['value']:.4f}{between}"


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
