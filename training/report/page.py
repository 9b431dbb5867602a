"""The page: one HTML file about a version, made from its artifact alone. It asks nobody for anything.

Equal artifacts give equal bytes. What a run did not measure or record is said to be so.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Final

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from recsvc.artifact import Array, Artifact
from recsvc.concepts import Reason
from training.compare import K, measured
from training.report import figures

# What a metric of the manifest means. One that is not here is shown under its name alone.
MEANING: Final = {
    "ndcg@10": "how many of the 10 were bought later, those at the top counting more; 1 is a perfect list",
    "ndcg_new@10": "the same among items the customer never bought before",
    "recall@10": "share of what the customer bought later that is in the 10",
    "map@10": "mean average precision: hits count more the earlier they stand",
    "hit@10": "share of customers with at least one of the 10 bought later",
    "coverage@10": "share of all items that are in somebody's 10",
    "ndcg_next@10": "ndcg@10 of the customer's next visit alone",
    "recall_next@10": "recall@10 of the customer's next visit alone",
    "novelty@10": "how few customers have what is in the 10: mean −log2 of their share",
    "diversity@10": "how unlike each other the 10 are: 1 − mean cosine of their factors",
    "repeat_share@10": "share of the 10 that the customer bought before",
    "regret@10": "share of the 10 that the customer later returned, disliked or complained about; less is better",
    "lead": "by how much what orders the lists is ahead in ndcg@10, paired over customers",
}
_REASONS: Final = {
    Reason.BECAUSE_BOUGHT: "bought", Reason.BECAUSE_VIEWED: "showed interest in", Reason.BOUGHT_TOGETHER: "goes with",
    Reason.DUE_AGAIN: "due again", Reason.TRENDING_IN: "popular now", Reason.NEW_IN: "new",
    Reason.OFFER_FIT: "on offer",
    Reason.FALLBACK: "popular with others",
}  # fmt: skip
_DIMENSIONS: Final = {"activity": "By activity", "category": "By category", "channel": "By channel"}
_SEGMENTS: Final = 15
_PERCENT: Final = "\N{NO-BREAK SPACE}%"


def render(one: Artifact) -> str:
    """Return the page of a version, made with this release or with an older one."""
    manifest = one.manifest
    kept = manifest.get("report") or {}
    sections = {
        "gate": manifest.get("gate"),
        "asked": manifest.get("evaluation") or {},
        "models": _models(manifest),
        "segments": _segments((manifest.get("evaluation") or {}).get("segments") or {}),
        "concentration": _concentration(one.arrays),
        "calibration": _calibration((manifest.get("evaluation") or {}).get("calibration") or []),
        "offers": _offers(manifest.get("offers") or {}),
        "quality": _quality(kept.get("quality")),
        "changes": kept.get("changes"),
        "recorded": "quality" in kept,
        "titles": kept.get("titles") or {},
        "samples": [_sample(sample) for sample in kept.get("samples") or []],
        "cost": kept.get("cost"),
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= _FILTERS
    folder = files("training.report")
    template = environment.from_string((folder / "page.html").read_text(encoding="utf-8"))
    style = Markup((folder / "page.css").read_text(encoding="utf-8"))  # noqa: S704 a file of this package
    return template.render(version=one.version, manifest=manifest, style=style, **sections) + "\n"


def _drawn(figure: str) -> Markup:
    # matplotlib escapes what a shop's names are in a drawing.
    return Markup(figure)  # noqa: S704


def _models(manifest: dict[str, Any]) -> dict[str, Any] | None:
    rows, chosen = manifest.get("metrics") or {}, manifest.get("ordering")
    if not rows:
        return None
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    metrics = [name for name in names if not name.endswith(("_low", "_high"))]
    table = [
        {
            "metric": metric,
            "meaning": MEANING.get(metric, ""),
            "cells": [measured(row, metric) for row in rows.values()],
        }
        for metric in metrics
    ]
    drawn = [
        (metric, _drawn(figures.whiskers(f"model-{at}", [
            {"name": name, "strong": name == chosen, **(measured(row, metric) or {})}
            for name, row in rows.items() if metric in row
        ])))
        for at, metric in enumerate(("ndcg@10", "ndcg_new@10")) if metric in metrics
    ]  # fmt: skip
    return {"names": list(rows), "chosen": chosen, "rows": table, "figures": drawn, "best": rows.get(chosen, {})}


def _segments(dimensions: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for at, (dimension, segments) in enumerate(dimensions.items()):
        rows = [
            {"name": name, "strong": True, "customers": row["customers"], "popularity": row.get("popularity"),
             **(measured(row, "ndcg@10") or {})}
            for name, row in segments.items() if "ndcg@10" in row
        ]  # fmt: skip
        largest = sorted(rows, key=lambda row: -row["customers"])[:_SEGMENTS]
        shown = [row for row in rows if row in largest]
        figure = _drawn(figures.whiskers(f"segment-{at}", shown, "popularity")) if rows else None
        title = _DIMENSIONS.get(dimension, f"By {dimension}")
        found.append({"title": title, "rows": rows, "figure": figure, "shown": len(shown)})
    return found


def _concentration(arrays: dict[str, Array]) -> dict[str, Any] | None:
    """Return how sales and the slots of the top 10s are spread over the items, and the figure of it."""
    n = len(arrays["item_id_offsets"]) - 1
    top = arrays["finished_rows"][:, :K]
    slots = np.bincount(top[top >= 0], minlength=n)
    sales = np.maximum(np.bincount(arrays["sale_rows"], arrays["sale_orders"], n), 0)
    if not slots.sum() or not sales.sum():
        return None
    order = np.lexsort((np.arange(n), -slots, -sales))
    sales, slots = sales[order], slots[order]
    heads = [(name, size) for name, size in (("10", 10), ("100", 100), ("1,000", 1000)) if size < n]
    return {
        "figure": _drawn(figures.concentration("concentration", sales, slots)), "known": n,
        "sold": int((sales > 0).sum()), "listed": int((slots > 0).sum()), "lists": int((top[:, 0] >= 0).sum()),
        "unsold": int((slots[sales == 0] > 0).sum()),
        "heads": [(name, sales[:size].sum() / sales.sum(), slots[:size].sum() / slots.sum()) for name, size in heads],
    }  # fmt: skip


def _calibration(bins: list[dict[str, Any]]) -> dict[str, Any] | None:
    if not bins:
        return None
    return {"bins": bins, "figure": _drawn(figures.calibration("calibration", bins))}


def _offers(judged: dict[str, Any]) -> dict[str, Any] | None:
    if not judged.get("bins"):
        return None
    return {**judged, "figure": _drawn(figures.calibration("offers", judged["bins"]))}


def _quality(kept: dict[str, Any] | None) -> dict[str, Any] | None:
    if kept is None or not kept["kinds"]:
        return None
    return {**kept, "figure": _drawn(figures.by_day("days", kept["first_day"], kept["kinds"]))}


def _sample(kept: dict[str, Any]) -> dict[str, Any]:
    """Return a sample with where each item of the new list stood before, and which of the old one are gone."""
    old = kept["old"]
    places = {row["item_id"]: place for place, row in enumerate(old or [], 1)}
    new = [{**row, "was": places.get(row["item_id"]), "why": _why(row)} for row in kept["new"]]
    stays = {row["item_id"] for row in new}
    was = None if old is None else [{**row, "gone": row["item_id"] not in stays} for row in old]
    return {**kept, "new": new, "old": was}


def _why(row: dict[str, Any]) -> str:
    words = _REASONS[Reason(row["reason"])]
    cites = row["cited"] is not None and row["reason"] != Reason.DUE_AGAIN
    return f"{words} {row['cited']}" if cites else words


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _value(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


_FILTERS: Final[dict[str, Callable[..., str]]] = {
    "number": lambda value: f"{value:,.0f}", "metric": lambda value: f"{value:.4f}".replace("-", "−"),
    "percent": lambda value: f"{value * 100:.1f}{_PERCENT}", "moment": _moment, "value": _value,
    "share": lambda value: f"{value * 100:.2f}{_PERCENT}", "whole": lambda value: f"{value * 100:.0f}{_PERCENT}",
    "signed": lambda value: f"{value * 100:+.2f}".replace("-", "−"), "seconds": lambda value: f"{value:,.1f} s",
    "gigabytes": lambda value: f"{value / 1e9:,.2f} GB",
}  # fmt: skip
