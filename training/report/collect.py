"""Collect: what a report needs of the store and of the version before, kept in the manifest of the artifact.

So a report can be made later from the artifact alone, when the store has moved on and the version before is gone.
"""

from __future__ import annotations

import resource
import time
from typing import Any, Final

import sqlalchemy as sa

from recsvc.artifact import Artifact
from training import compare
from training.gate.checks import Production
from training.given import Given
from training.report.quality import quality
from training.report.samples import choose

SENSITIVE: Final = "a sensitive item"


def collect(
    engine: sa.Engine, given: Given, new: Artifact, production: Production | None, seconds: dict[str, float]
) -> dict[str, Any]:
    """Return what goes into the manifest as `report`: plain values, and no customer's id or hash.

    Args:
        new: the arrays and the manifest that are about to be published.
        production: the version before.
        seconds: of each part of the run so far.

    Returns:
        quality: see `quality`. samples: see `samples.choose`. changes: see `compare.compare`, from the version before;
        None where there is none. titles: item id → title, of the items in `changes`. cost: seconds, by part, and
        peak_bytes, the largest process of the run.
    """
    start = time.perf_counter()
    rows, manifest = given.catalogue.items, new.manifest
    model = None if production is None else production.model
    old = None if model is None else Artifact(model.version, model.manifest, model.a)
    changes = None if old is None else compare.compare(old, new)

    def title(item_id: str) -> str:
        row = rows.get(item_id)
        return item_id if row is None else SENSITIVE if row.sensitive else str(row.title)

    found = {
        "quality": quality(engine, given.up_to, given.log, set(rows), manifest["published_at"]),
        "samples": choose(new, old, title, manifest["configuration"]["seed"]),
        "changes": changes,
        "titles": {item_id: str(rows[item_id].title) for item_id in _named(changes) if item_id in rows},
    }
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    spent = {**seconds, "report": time.perf_counter() - start}
    return {**found, "cost": {"seconds": spent, "peak_bytes": peak * 1024}}


def _named(changes: dict[str, Any] | None) -> list[str]:
    if changes is None:
        return []
    items = changes["items"]
    return [*(row["item_id"] for row in changes["movers"]), *items["came_ids"], *items["went_ids"]]
