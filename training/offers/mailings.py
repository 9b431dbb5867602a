"""Mailings: what was offered to whom and when, and what was taken up of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from recsvc.artifact import Array
from recsvc.engine import redemption
from recsvc.engine.history import DAY, Decay, History, collect
from recsvc.engine.redemption import About, Goods
from training import matrix as matrices
from training.config import VISIT_DECAY, Config
from training.sources import Log, of


@dataclass(frozen=True, slots=True)
class Mailing:
    """One campaign. name: of it. starts_at, ends_at: epoch seconds. items: of each offer, item codes of the log, each
    once. audience: (a,) int customer codes, ascending, who were shown it. taken: (t, 2) int, customer code and offer,
    each pair once, sorted; all by somebody of the audience."""

    name: str
    starts_at: float
    ends_at: float
    items: list[Array]
    audience: Array
    taken: Array

    @property
    def days(self) -> float:
        """How long it is valid."""
        return (self.ends_at - self.starts_at) / DAY


@dataclass(frozen=True, slots=True)
class Past:
    """A shop as it can be asked about at any moment of its past. sales: (rows, days, orders) of `matrix.sales`, groups:
    (items, LEVELS) int32."""

    log: Log
    mailings: list[Mailing]
    groups: Array
    sales: tuple[Array, Array, Array]
    config: Config


def past(log: Log, mailings: list[Mailing], groups: Array, config: Config) -> Past:
    """Return the past of a log and its mailings, sorted by their start, then name."""
    ordered = sorted(mailings, key=lambda one: (one.starts_at, one.name))
    return Past(log, ordered, groups, matrices.sales(log.events.item_rows, log), config)


def goods(shop: Past, at: float) -> Goods:
    """Return the goods as they were at a moment: nothing later counts."""
    rows, days, orders = shop.sales
    newest = int(at // DAY) - 1  # the day itself is not over
    recent = (days > newest - shop.config.popularity.window_days) & (days <= newest)
    return Goods(np.maximum(np.bincount(rows[recent], orders[recent], len(shop.groups)), 0.0), shop.groups)


def known(shop: Past, at: float, mailing: Mailing, offers: Array | None = None) -> tuple[Goods, About]:
    """Return the goods at a moment, and what a mailing's offers (or some of them) are about."""
    there = goods(shop, at)
    chosen = np.arange(len(mailing.items)) if offers is None else offers
    days = np.full(len(chosen), mailing.days)
    about = redemption.about(there, [mailing.items[one] for one in chosen], np.zeros(len(chosen), np.int64), days)
    return there, replace(about, campaign_size=np.full(len(chosen), float(len(mailing.items))))


def histories(shop: Past, customers: Array, at: float) -> tuple[Array, History]:
    """Return the offsets (c + 1,) and the histories of some customers (codes ascending), of events before a moment."""
    log, settings = shop.log, shop.config.history
    part = (log.events.at < at) & np.isin(log.customers, customers)
    decay = Decay(
        at, settings.taste_half_life_days, settings.repeat_half_life_days, settings.visit_decay or VISIT_DECAY
    )
    groups, history = collect(np.searchsorted(customers, log.customers[part]), of(log.events, part), decay)
    return np.searchsorted(groups, np.arange(len(customers) + 1)), history


def ended(shop: Past, at: float) -> list[Mailing]:
    """Return the mailings that had ended at a moment."""
    return [one for one in shop.mailings if one.ends_at <= at]


def takings(mailings: list[Mailing], customers: Array) -> Array:
    """Return (c, redemption.TAKEN) float32 of some customers (codes ascending): see `redemption.TAKEN`."""
    out = np.zeros((len(customers), redemption.TAKEN), np.float32)
    for mailing in mailings:
        shown = np.isin(customers, mailing.audience)
        out[shown, 2] += 1.0
        out[shown, 3] += len(mailing.items)
        of_them = mailing.taken[np.isin(mailing.taken[:, 0], customers), 0]
        counts = np.bincount(np.searchsorted(customers, of_them), minlength=len(customers))
        out[:, 0] += counts
        out[:, 1] += counts > 0
    return out


def tables(shop: Past, mailing: Mailing, at: float, customers: Array, offers: Array | None = None) -> Array:
    """Return (c, o, f) float32: `redemption.features` of some customers (codes ascending) and a mailing's offers, from
    what was known at a moment."""
    there, about = known(shop, at, mailing, offers)
    offsets, entries = histories(shop, customers, at)
    taken = takings(ended(shop, at), customers)
    out = np.empty((len(customers), len(about.size), len(redemption.FEATURES)), np.float32)
    for place in range(len(customers)):
        part = slice(int(offsets[place]), int(offsets[place + 1]))
        history = History(*(getattr(entries, name)[part] for name in History.__slots__))
        out[place] = redemption.features(about, there, history, taken[place], at)
    return out


def labels(mailing: Mailing, customers: Array) -> Array:
    """Return (c, o) bool: what was taken up, of some customers (codes ascending)."""
    out = np.zeros((len(customers), len(mailing.items)), bool)
    theirs = mailing.taken[np.isin(mailing.taken[:, 0], customers)]
    out[np.searchsorted(customers, theirs[:, 0]), theirs[:, 1]] = True
    return out
