"""Build: a model of all days with everybody's finished list, ready to be published."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from recsvc.artifact import Array
from recsvc.concepts import BLENDED
from recsvc.engine import eligibility
from recsvc.engine.model import Model
from recsvc.store import customers, facts, live
from training import fit, repeats
from training.config import Config
from training.given import Given
from training.learn import Order
from training.matrix import Matrix
from training.models import registry
from training.offers.of_store import OfferModel
from training.progress import Progress


@dataclass(frozen=True, slots=True)
class Built:
    """A model of all days. rows: matrix row of each customer row of the model."""

    matrix: Matrix
    found: dict[str, Array]
    parameters: dict[str, Any]
    rows: Array
    model: Model


def fitted(
    read: Given, order: Order, offers: OfferModel, version: str, engine: sa.Engine, shop: facts.Facts,
    progress: Progress,
) -> Built:  # fmt: skip
    """Return the model, fitted to all days and ordered as was learnt, with a list of nobody yet."""
    config = order.config
    progress.step("fitting on all days", registry.iterations(config))
    matrix, found = fit.arrays(read.log, config, progress.at)
    found |= repeats.learnt(read.log, matrix, config)
    found |= order.trees | offers.arrays(matrix.item_codes, matrix.customer_codes)
    learnt = {"blend": dict(zip(BLENDED, order.blend.tolist(), strict=True)), "offers": offers.parameters}
    return of_arrays(read, config, matrix, found, learnt, version, engine, shop)


def of_arrays(
    read: Given,
    config: Config,
    matrix: Matrix,
    found: dict[str, Array],
    learnt: dict[str, Any],
    version: str,
    engine: sa.Engine,
    shop: facts.Facts,
) -> Built:
    """Return the model of item arrays, with the customers of the matrix and a list of nobody yet.

    Args:
        found: with the arrays of the offer model, its customers in the order of the matrix.
        learnt: `blend` and `offers`, the parameters of both.
    """
    segments = customers.segments(engine)
    found, names, rows = fit.with_customers(found, matrix, read.log, shop.customer_secret, segments, config.lists.depth)
    parameters = {
        **fit.parameters(matrix, config, learnt["blend"]), "offers": learnt["offers"],
        "segments": names, "database_id": shop.database_id, "last_revision": read.up_to,
    }  # fmt: skip
    return Built(matrix, found, parameters, rows, fit.assemble(version, found, parameters))


def finished(built: Built, read: Given, config: Config, progress: Progress) -> Built:
    """Return it with the finished lists of all customers."""
    progress.step("finishing lists", len(built.rows))
    available = eligibility.Availability(*live.columns(read.catalogue, built.model.item_ids))
    shelf = eligibility.shelf(available, time.time(), built.found["karma"])
    lists = fit.finish(built.model, built.matrix, built.rows, shelf, progress.at, config.threads)
    found = built.found | lists
    return replace(built, found=found, model=fit.assemble(built.model.version, found, built.parameters))


def manifest(built: Built, read: Given) -> dict[str, Any]:
    """Return what every manifest says of what a model was made from."""
    at = read.log.events.at
    first, last = (datetime.fromtimestamp(int(one), UTC).isoformat() for one in (at.min(), at.max()))
    people, items = built.matrix.shape
    counts = {"interactions": len(read.log), "customers": people, "items": items}
    return {
        "engine": "local", "published_at": time.time(), "parameters": built.parameters, "counts": counts,
        "window": {"first": first, "last": last},
    }  # fmt: skip
