"""The published models over the API: which there are, which is in use, and going forward or back to one."""

from __future__ import annotations

from typing import Any

from recsvc.engine.model import from_artifact
from recsvc.errors import ArtifactInvalid, Conflict, Unavailable
from recsvc.flows.replies import moment
from recsvc.flows.shop import Shop

Fields = dict[str, Any]


def listing(shop: Shop) -> Fields:
    """Return every version, newest first, and what this worker uses and refused."""
    found = shop.published.listing(shop.clock())
    model = shop.current.snapshot.model
    in_use = model.version if model else None
    return {
        "current": found.current, "in_use": in_use, "remote": found.away or None,
        "models": [
            {**one, "in_use": one["version"] == in_use,
             "published_at": None if one["published_at"] is None else moment(one["published_at"])}
            for one in found.versions
        ],
        "refused": [{"version": name, "reason": why} for name, why in sorted(shop.current.refused().items())],
    }  # fmt: skip


def use(shop: Shop, version: str) -> Fields:
    """Make a version the current one once it is verified; this worker uses it when this returns, others at their next
    look.

    Raises:
        NotFound: no such version. Conflict: it is damaged, and nothing was changed.
        Unavailable: the folder cannot be written, or the remote is away; nothing was changed.
    """
    try:
        from_artifact(shop.published.fetch(version))
        shop.published.use(version)
    except ArtifactInvalid as error:
        shop.current.refuse(version, error)
        raise Conflict(f"version: {error.message}", {"version": "is damaged and was not taken into use"}) from error
    except OSError as error:
        raise Unavailable(f"the published models cannot be written now: {error.strerror}") from error
    shop.current.settle(shop.clock())
    return listing(shop)
