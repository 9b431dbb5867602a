"""The figures of a report. Each is also a table on the page, so a drawing says nothing that is not there in words."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

import numpy as np
from matplotlib import dates as mdates
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recsvc.artifact import Array
from training.report import svg

_ROW: Final = 26
_FRAME: Final = 44
_KINDS: Final = 6
_POINTS: Final = 120
_STEPS: Final = [1, 2, 2.5, 5, 10]
_PERCENT: Final = "\N{NO-BREAK SPACE}%"


def whiskers(name: str, rows: list[dict[str, Any]], beside: str | None = None) -> str:
    """Return dots with their 95 % intervals, one row each.

    Args:
        rows: {name, value, low, high, strong}, low and high perhaps None; `beside` perhaps in them: a second value.
        beside: the key of that second value, drawn hollow. Without one the figure is small.
    """

    def draw(figure: Figure, wide: bool) -> None:
        """Draw the rows from the top down."""
        axes = figure.add_subplot()
        for at, row in enumerate(rows):
            colour = svg.ACCENT if row["strong"] else svg.SOFT
            if row["low"] is not None:
                axes.plot([row["low"], row["high"]], [at, at], color=colour, lw=2.2, solid_capstyle="round")
            axes.plot(row["value"], at, "o", color=colour, ms=7.5)
            if beside and row.get(beside) is not None:
                axes.plot(row[beside], at, "o", mfc="none", mec=svg.SECOND, mew=1.6, ms=7.5)
        longest = 26 if wide else 13
        axes.set_yticks(range(len(rows)), [_short(row["name"], longest) for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(False, axis="y")
        axes.margins(x=0.03)
        axes.xaxis.set_major_locator(ticker.MaxNLocator(6 if wide else 4, steps=_STEPS))
        if min(row["low"] if row["low"] is not None else row["value"] for row in rows) >= 0:
            axes.set_xlim(left=-0.02 * axes.get_xlim()[1])  # room for a dot at 0

    return (svg.both if beside else svg.small)(name, _FRAME + _ROW * len(rows), draw)


def concentration(name: str, sales: Array, slots: Array) -> str:
    """Return the cumulative shares of sales and of slots over the items in the order of their sales.

    Args:
        sales, slots: (n,) per item, the best seller first; each adds up to more than 0.
    """
    ranks = np.unique(np.geomspace(1, len(sales), _POINTS).round().astype(np.int64))
    shares = [(np.cumsum(values) / values.sum())[ranks - 1] for values in (sales, slots)]

    def draw(figure: Figure, wide: bool) -> None:
        """Draw both curves on a scale of ranks that shows the head and the tail."""
        axes = figure.add_subplot()
        for values, colour, style in zip(shares, (svg.SECOND, svg.ACCENT), ("--", "-"), strict=True):
            axes.plot(ranks, values, style, color=colour, lw=2.2)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda rank, _: f"{rank:,.0f}"))
        axes.xaxis.set_minor_locator(ticker.NullLocator())
        axes.set_xlim(1, max(len(sales), 2))
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(ticker.PercentFormatter(1.0, decimals=0, symbol=_PERCENT))
        axes.set_xlabel("items, best sellers first")

    return svg.both(name, (300, 250), draw)


def calibration(name: str, bins: list[dict[str, Any]]) -> str:
    """Return what was predicted against what came, with the diagonal. bins: {predicted, observed, pairs}."""
    predicted, observed = (np.array([one[key] for one in bins], float) for key in ("predicted", "observed"))
    most = max(float(predicted.max()), float(observed.max()), 1e-9) * 1.08

    def draw(figure: Figure, wide: bool) -> None:
        """Draw the bins as dots on the way they rise."""
        axes = figure.add_subplot()
        axes.plot([0, most], [0, most], "--", color=svg.SOFT, lw=1.2)
        axes.plot(predicted, observed, "o-", color=svg.ACCENT, lw=1.4, ms=7, clip_on=False)
        axes.set_xlim(0, most)
        axes.set_ylim(0, most)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(ticker.MaxNLocator(6 if wide else 4, steps=_STEPS))
            axis.set_major_formatter(ticker.PercentFormatter(1.0, symbol=_PERCENT))
        axes.set_xlabel("predicted")

    return svg.small(name, 290, draw)


def by_day(name: str, first_day: str, kinds: dict[str, dict[str, Any]]) -> str:
    """Return events a day, a panel for each of the six most frequent kinds, each on a scale of its own.

    Args:
        kinds: kind → {by_day, …}, see `quality`.
    """
    shown = list(kinds.items())[:_KINDS]
    start = date.fromisoformat(first_day)
    days = [start + timedelta(days=n) for n in range(len(shown[0][1]["by_day"]) + 1)]

    def draw(figure: Figure, wide: bool) -> None:
        """Draw the panels one below the other, over the same days."""
        panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (kind, about) in zip(panels, shown, strict=True):
            _panel(axes, days, kind, about["by_day"])
        locator = mdates.AutoDateLocator(minticks=3, maxticks=9 if wide else 4)
        panels[-1].xaxis.set_major_locator(locator)
        panels[-1].xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator, show_offset=False))

    return svg.both(name, _FRAME + 84 * len(shown), draw)


def _panel(axes: Axes, days: list[date], kind: str, counts: list[int]) -> None:
    axes.stairs(counts, mdates.date2num(days), fill=True, color=svg.ACCENT, lw=0)
    axes.set_title(kind, color=svg.INK)
    axes.set_ylim(0, max([*counts, 1]) * 1.05)
    axes.set_xlim(mdates.date2num(days[0]), mdates.date2num(days[-1]))
    axes.yaxis.set_major_locator(ticker.MaxNLocator(2, integer=True))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.tick_params(axis="y", labelcolor=svg.SOFT)
    axes.grid(False, axis="x")


def _short(name: str, longest: int) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
