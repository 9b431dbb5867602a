"""The offer model of a shop: learnt from its own campaigns that have ended, as the store tells of them.

A campaign is the offers with one `campaign` in their attributes, or an offer by itself. Who was shown any offer of it
(`offer_shown`) was sent it; what they redeemed of it (`offer_redeemed`) while it ran was taken up.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa

from recsvc.artifact import Array
from recsvc.engine import redemption
from recsvc.store import interactions, live
from recsvc.store.database import MICROSECONDS
from training.config import Config
from training.offers import calibration, mailings
from training.offers.learn import Learner, Learnt
from training.offers.mailings import Mailing, Past
from training.progress import Progress
from training.sources import Log


@dataclass(frozen=True, slots=True)
class OfferModel:
    """What was learnt. past: the shop's. learnt: None where too little was taken up. judged: see `calibration.judge`,
    of campaigns judged by the model of their start."""

    past: Past
    learnt: Learnt | None
    judged: dict[str, Any]
    at: float

    def arrays(self, item_codes: Array, customer_codes: Array) -> dict[str, Array]:
        """Return the arrays of the artifact.

        Args:
            item_codes: (n,) code in the log of each item of the model. customer_codes: (c,) the same of customers.
        """
        theirs = takings(self.past, self.at, customer_codes)
        found = {"offer_groups": self.past.groups[item_codes], "customer_offers": theirs}
        return found if self.learnt is None else found | self.learnt.arrays

    @property
    def parameters(self) -> dict[str, Any]:
        """What the engine needs beside the arrays, and how much was learnt from."""
        ended = mailings.ended(self.past, self.at)
        return {
            "base": 0.0 if self.learnt is None else self.learnt.base, "learnt": self.learnt is not None,
            "campaigns": len(ended), "redeemed": int(sum(len(one.taken) for one in ended)),
        }  # fmt: skip


def learnt(
    engine: sa.Engine, log: Log, catalogue: live.Catalogue, up_to: int, config: Config, progress: Progress
) -> OfferModel:
    """Return the offer model of a shop as of the newest event of its log."""
    progress.step("learning from campaigns that have ended", None)
    at = moment(log)
    past = past_of(engine, log, catalogue, up_to, config)
    learner = Learner(past, config.seed, config.threads)
    found = learner.learn(at)
    judged = calibration.walked(learner, [one for one in mailings.ended(past, at) if len(one.audience)])
    return OfferModel(past, found, judged if found is not None else {}, at)


def past_of(engine: sa.Engine, log: Log, catalogue: live.Catalogue, up_to: int, config: Config) -> Past:
    """Return the shop's past with the campaigns of its store."""
    made = _mailings(catalogue.offers, interactions.of_offers(engine, up_to), log)
    return mailings.past(log, made, _groups(log.item_ids, catalogue.items), config)


def moment(log: Log) -> float:
    """Return the moment (epoch seconds) from which a log looks back: a campaign that ended by then has ended."""
    return float(log.events.at.max(initial=0)) + 1.0


def takings(past: Past, at: float, customer_codes: Array) -> Array:
    """Return (c, TAKEN) float32 of customers in any order: what of the campaigns that had ended was theirs."""
    order = np.argsort(customer_codes)
    found = np.zeros((len(customer_codes), redemption.TAKEN), np.float32)
    found[order] = mailings.takings(mailings.ended(past, at), customer_codes[order])
    return found


def _mailings(rows: list[Any], told: Iterable[Any], log: Log) -> list[Mailing]:
    item = {one: code for code, one in enumerate(log.item_ids)}
    customer = {one: code for code, one in enumerate(log.customer_ids)}
    campaigns: dict[str, list[Any]] = {}
    for row in rows:
        if row.starts_at is not None and row.ends_at is not None:
            campaigns.setdefault(redemption.campaign(row.offer_id, row.attributes), []).append(row)
    shown: dict[str, set[int]] = {}
    taken: dict[str, list[tuple[int, int]]] = {}
    place = {row.offer_id: (name, at) for name, some in campaigns.items() for at, row in enumerate(some)}
    spans = {name: (min(row.starts_at for row in some), max(row.ends_at for row in some))
             for name, some in campaigns.items()}  # fmt: skip
    for one in told:
        if one.offer_id not in place or one.customer_id not in customer:
            continue
        name, at = place[one.offer_id]
        code = customer[one.customer_id]
        shown.setdefault(name, set()).add(code)
        start, end = spans[name]
        if one.kind == "offer_redeemed" and start <= one.occurred_at <= end:
            taken.setdefault(name, []).append((code, at))
    found = []
    for name, some in campaigns.items():
        start, end = spans[name]
        found.append(Mailing(
            name, start / MICROSECONDS, end / MICROSECONDS,
            [np.array(sorted({item[one] for one in row.items if one in item}), np.int64) for row in some],
            np.array(sorted(shown.get(name, ())), np.int64),
            np.array(sorted(set(taken.get(name, ()))), np.int64).reshape(-1, 2),
        ))  # fmt: skip
    return found


def _groups(item_ids: list[str], rows: dict[str, Any]) -> Array:
    """Return (n, LEVELS) int32: of each item its narrowest category, the one above it, and its brand."""
    names = np.full((len(item_ids), redemption.LEVELS), "", object)
    for code, item_id in enumerate(item_ids):
        row = rows.get(item_id)
        if row is None:
            continue
        path = list(row.categories or [])
        names[code] = json.dumps(path) if path else "", json.dumps(path[:-1]) if path[:-1] else "", row.brand or ""
    found = np.full(names.shape, -1, np.int32)
    for level in range(redemption.LEVELS):
        texts, codes = np.unique(names[:, level].astype(str), return_inverse=True)
        known = texts != ""
        found[:, level] = np.where(known[codes], codes, -1)
    return found
