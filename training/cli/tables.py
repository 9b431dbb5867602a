"""The tables of an evaluation, for people."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from training.evaluate import Evaluation

Rows = dict[str, dict[str, float]]
# What a table needs at most; where nobody looks at a terminal nothing is cut.
_COLUMNS = 120
_BESIDE = {
    "map@10": "map", "hit@10": "hit", "ndcg_next@10": "next visit", "coverage@10": "coverage", "novelty@10": "novelty",
    "diversity@10": "diversity", "repeat_share@10": "repeats", "regret@10": "regret",
}  # fmt: skip
_BESIDE_CAPTION = """@10; map: mean average precision; hit: customers with any hit; next visit: ndcg over the first
visit of the held-back days; coverage: share of all items shown to anybody; novelty: bits; diversity: 1 − mean cosine of
factors; repeats: share of what is shown that was bought before"""
_REGRET = "; regret: share of what is shown that was later returned, disliked or complained about"


def output() -> Console:
    """Return the standard output, wide enough for every table where it is no terminal."""
    return Console(width=None if sys.stdout.isatty() else _COLUMNS)


def accuracy(rows: Rows, title: str) -> Table:
    """Return recall and NDCG, all and among items never bought before, and the lead of what orders."""
    caption = (
        "@10; new: among items never bought before; lead of what orders the lists: paired; ±: half a 95 % interval"
    )
    table = _table(title, caption, ("recall", "±", "ndcg", "±", "new ndcg", "±", "lead", "±"))
    for name, row in rows.items():
        cells = []
        for metric in ("recall@10", "ndcg@10", "ndcg_new@10", "lead"):
            cells += [f"{row[metric]:.4f}", f"{half(row, metric):.4f}"] if metric in row else ["", ""]
        if not row["lead_low"] and not row["lead_high"]:
            cells[-2:] = "", ""
        table.add_row(name, *cells)
    return table


def beside(rows: Rows) -> Table:
    """Return what lists are beside accurate."""
    shown = {metric: name for metric, name in _BESIDE.items() if any(metric in row for row in rows.values())}
    caption = _BESIDE_CAPTION.replace("\n", " ") + (_REGRET if "regret@10" in shown else "")
    table = _table(None, caption, shown.values())
    for name, row in rows.items():
        table.add_row(name, *(f"{row[metric]:.4f}" if metric in row else "" for metric in shown))
    return table


def segments(found: dict[str, Rows]) -> list[Table]:
    """Return one table for each way to divide."""
    tables = []
    for title, rows in found.items():
        table = _table(f"By {title}", None, ("customers", "ndcg", "±", "popularity"))
        for name, row in rows.items():
            values = (f"{row['ndcg@10']:.4f}", f"{half(row, 'ndcg@10'):.4f}", f"{row['popularity']:.4f}")
            table.add_row(name, f"{row['customers']:,.0f}", *values)
        tables.append(table)
    return tables


def calibration(bins: list[dict[str, float]]) -> Table:
    """Return how often what customers had was bought again beside the chance that was expected."""
    table = _table("Buying again within 14 days, by p_due", None, ("pairs", "expected", "bought"))
    for one in bins:
        table.add_row("", f"{one['pairs']:,.0f}", f"{one['predicted']:.4f}", f"{one['observed']:.4f}")
    return table


def again(found: dict[str, dict[str, float]]) -> Table:
    """Return how well what each customer had was ordered by what they bought of it within 14 days."""
    table = _table("Buy again, the ten best of each customer", None, ("customers", "ndcg", "recall"))
    for name, row in found.items():
        table.add_row(f"by {name}", f"{row['customers']:,.0f}", f"{row['ndcg@10']:.4f}", f"{row['recall@10']:.4f}")
    return table


def folds(found: list[Evaluation], whole: dict[str, float], days: int) -> Table:
    """Return NDCG of what orders in each fold beside popularity and personal frequency, and over all folds."""
    caption = "ndcg@10, also of popularity and personal frequency; lead over each: paired; ±: half a 95 % interval"
    columns = ("customers", "ordered by", "ndcg", "±", "popular", "lead", "±", "personal", "lead", "±")
    table = _table(f"{len(found)} folds of {days} days", caption, columns)
    for one in found:
        cells = [f"{one.asked:,}", one.order.name]
        row = one.table[one.order.name]
        cells += [f"{row['ndcg@10']:.4f}", f"{half(row, 'ndcg@10'):.4f}"]
        for name in ("popularity", "personal frequency"):
            other = one.table[name]
            cells += [f"{other['ndcg@10']:.4f}", f"{other['lead']:.4f}", f"{half(other, 'lead'):.4f}"]
        table.add_row(f"from {one.detail['first'][:10]}", *cells)
    asked = sum(one.asked for one in found)
    table.add_row("all", f"{asked:,}", "", f"{whole['ndcg@10']:.4f}", f"{half(whole, 'ndcg@10'):.4f}")
    return table


def half(row: dict[str, float], metric: str) -> float:
    """Return half the width of a metric's interval."""
    return (row[f"{metric}_high"] - row[f"{metric}_low"]) / 2


def _table(title: str | None, caption: str | None, columns: Iterable[str]) -> Table:
    table = Table(title=title, caption=caption, box=box.SIMPLE, pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table
