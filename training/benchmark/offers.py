"""The protocol *offers*: which coupons of a campaign does a household redeem, judged from what was known before it.

Of The Complete Journey, every campaign that starts after 2017-03-01 and every household that redeemed at least one of
its coupons is one ranking of all coupons of the campaign; the truth is what the household redeemed in it. History is
the purchases before the campaign's start and the redemptions of campaigns that had ended by then; whoever was sent a
campaign is known to have been. Recall@5 over min(|truth|, 5), NDCG@5, precision@1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from recsvc.artifact import Array
from training.benchmark.metrics import interval, resampled
from training.config import Config
from training.offers import calibration, mailings
from training.offers.learn import Learner, Learnt, Table, scores
from training.offers.mailings import Mailing, Past
from training.progress import Progress
from training.sources import Log, from_table

K: Final = 5
FIRST_START: Final = datetime(2017, 3, 1, tzinfo=UTC).timestamp()
SEEDS: Final = 3
METRICS: Final = (f"recall@{K}", f"ndcg@{K}", "precision@1")
CHOSEN: Final = "offer model"


@dataclass(frozen=True, slots=True)
class Case:
    """A shop's past, and the names of its coupons: offer_ids: campaign → (o,) text."""

    shop: Past
    offer_ids: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One campaign to rank. customers: (c,) codes, ascending, who redeemed of it. taken: (c, o) bool. order: row name →
    (c, o) int, positions of its offers, best first; of the offer model one for each seed."""

    mailing: Mailing
    customers: Array
    taken: Array
    order: dict[str, list[Array]]


def read(folder: Path, config: Config) -> Case:
    """Return the case of the Parquet files of The Complete Journey in a folder."""
    import duckdb

    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        for name in ("transactions", "products", "coupons", "coupon_redemptions", "campaigns", "campaign_descriptions"):
            path = str(folder / f"{name}.parquet").replace("'", "''")
            con.execute(f"create view {name} as from '{path}'")
        log = from_table(con.sql(_LINES).to_arrow_table(), config.weights)
        kinds = con.sql(_KINDS).to_arrow_table().to_pydict()
        found = {name: con.execute(query).fetchall() for name, query in _MAILINGS.items()}
    return _case(log, kinds, found, config)


_LINES: Final = """
select cast(household_id as varchar) as customer_id, cast(product_id as varchar) as item_id, 'purchase' as kind,
    cast(epoch_us(transaction_timestamp) as bigint) as occurred_at, cast(0 as bigint) as stars,
    cast(null as varchar) as reason, cast(basket_id as varchar) as order_id, quantity
from transactions where quantity > 0
"""
_KINDS: Final = """
select cast(product_id as varchar) as item_id, department || '|' || product_category || '|' || product_type as narrow,
    department || '|' || product_category as wide, cast(manufacturer_id as varchar) as maker from products
"""
_MAILINGS: Final = {
    "campaigns": """
select cast(campaign_id as varchar), epoch(start_date), epoch(end_date + interval 1 day) from campaign_descriptions
order by start_date, campaign_id""",
    "coupons": """
select distinct cast(campaign_id as varchar), cast(coupon_upc as varchar), cast(product_id as varchar) from coupons
order by 1, 2, 3""",
    "sent": "select distinct cast(campaign_id as varchar), cast(household_id as varchar) from campaigns",
    "redeemed": """
select distinct cast(campaign_id as varchar), cast(household_id as varchar), cast(coupon_upc as varchar)
from coupon_redemptions""",
}


def _case(log: Log, kinds: dict[str, list[Any]], found: dict[str, list[Any]], config: Config) -> Case:
    item = {one: code for code, one in enumerate(log.item_ids)}
    customer = {one: code for code, one in enumerate(log.customer_ids)}
    offers: dict[str, dict[str, list[int]]] = {}
    for campaign, coupon, product in found["coupons"]:
        # A product that nobody ever bought has no row; it says nothing of anybody.
        offers.setdefault(campaign, {}).setdefault(coupon, []).extend([item[product]] if product in item else [])
    sent = _grouped(found["sent"], lambda row: customer[row[1]])
    place = {campaign: {coupon: at for at, coupon in enumerate(one)} for campaign, one in offers.items()}
    taken = _grouped(found["redeemed"], lambda row: (customer[row[1]], place[row[0]][row[2]]))
    made = [
        Mailing(
            name, float(start), float(end), [np.array(sorted(one), np.int64) for one in offers[name].values()],
            np.array(sorted(sent[name]), np.int64), np.array(sorted(taken.get(name, [])), np.int64).reshape(-1, 2),
        )
        for name, start, end in found["campaigns"]
    ]  # fmt: skip
    groups = np.full((len(log.item_ids), 3), -1, np.int32)
    rows = np.array([item.get(one, -1) for one in kinds["item_id"]])
    for level, name in enumerate(("narrow", "wide", "maker")):
        _, codes = np.unique([one or "" for one in kinds[name]], return_inverse=True)
        groups[rows[rows >= 0], level] = codes[rows >= 0]
    return Case(mailings.past(log, made, groups, config), {name: list(one) for name, one in offers.items()})


def _grouped(rows: list[Any], value: Callable[[Any], Any]) -> dict[str, list[Any]]:
    out: dict[str, list[Any]] = {}
    for row in rows:
        out.setdefault(row[0], []).append(value(row))
    return out


def asked(case: Case) -> list[Asked]:
    """Return the rankings of the protocol, campaign by campaign, not ordered yet."""
    found = []
    for mailing in case.shop.mailings:
        if mailing.starts_at < FIRST_START or not len(mailing.taken):
            continue
        customers = np.unique(mailing.taken[:, 0])
        found.append(Asked(mailing, customers, mailings.labels(mailing, customers), {}))
    return found


def rank(case: Case, config: Config, progress: Progress) -> tuple[list[Asked], Learner]:
    """Return the rankings by the offer model, one for each of three seeds, and by what a shop could have without it;
    and what learnt with the first seed."""
    found = asked(case)
    tables: dict[str, Table] = {}
    learners = [Learner(case.shop, config.seed + n, config.threads, tables) for n in range(SEEDS)]
    for learner in learners:
        progress.step(f"offers, seed {learner.seed}", len(found))
        for at, one in enumerate(found):
            _ordered(one, learner, learner.learn(one.mailing.starts_at), learner.seed)
            progress.at(at + 1)
    return found, learners[0]


def _ordered(one: Asked, learner: Learner, learnt: Learnt | None, seed: int) -> None:
    table = learner.table(one.mailing)
    features = table.features[np.isin(table.customers, one.customers)]
    rng = np.random.default_rng(seed)
    chance = rng.random(one.taken.shape)
    sold, own = (features[..., calibration.COLUMN[name]] for name in ("popularity", "orders"))
    rows = {"random": chance, "sales of its products": sold, "own purchases of them": own}
    part = Table(one.customers, features, one.taken, np.ones(len(one.customers)))
    rows[CHOSEN] = own if learnt is None else scores(learnt, part)
    for name, values in rows.items():
        # The order of coupon numbers says something of them (alone: NDCG@5 0.24), so ties are drawn, not counted.
        ties = np.lexsort((chance, -sold, -values), axis=1)
        one.order.setdefault(name, []).append(ties)


def measures(found: list[Asked], name: str) -> Array:
    """Return (r, 3) float64 of a row: `METRICS` of each ranking, the mean over its seeds."""
    return np.concatenate([
        np.mean([_measured(order, one.taken) for order in one.order[name]], axis=0) for one in found
    ])  # fmt: skip


def of_seed(found: list[Asked], seed: int) -> dict[str, float]:
    """Return `METRICS` of the offer model with one of the seeds, from 0."""
    values = np.concatenate([_measured(one.order[CHOSEN][seed], one.taken) for one in found]).mean(axis=0)
    return dict(zip(METRICS, values.tolist(), strict=True))


def _measured(order: Array, taken: Array) -> Array:
    hits = np.take_along_axis(taken, order, axis=1)[:, :K].astype(np.float64)
    most = np.minimum(taken.sum(axis=1), K)
    discounts = 1.0 / np.log2(np.arange(2, K + 2))
    ideal = np.cumsum(discounts)[most - 1]
    return np.stack([hits.sum(1) / most, hits @ discounts[: hits.shape[1]] / ideal, hits[:, 0]], 1)


def table(found: list[Asked], seed: int) -> dict[str, dict[str, float]]:
    """Return for each row `METRICS` with the 95 % bootstrap interval over rankings as …_low and …_high; lead: of the
    offer model over this one in NDCG, paired."""
    names = list(found[0].order)
    values = {name: measures(found, name) for name in names}
    draws = resampled(np.concatenate(list(values.values()), axis=1), seed)
    best = 3 * names.index(CHOSEN) + 1
    out = {}
    for at, name in enumerate(names):
        out[name] = {
            **{key: one for i, metric in enumerate(METRICS)
               for key, one in interval(metric, values[name][:, i], draws[:, 3 * at + i]).items()},
            **interval("lead", values[CHOSEN][:, 1] - values[name][:, 1], draws[:, best] - draws[:, 3 * at + 1]),
        }  # fmt: skip
    return out


def predictions(case: Case, found: list[Asked]) -> pa.Table:
    """Return campaign_id, customer_id, rank from 1 and offer_id: the rankings of the first seed, whole."""
    ids = case.shop.log.customer_ids
    rows = [
        (one.mailing.name, ids[customer], rank, case.offer_ids[one.mailing.name][place])
        for one in found
        for customer, order in zip(one.customers.tolist(), one.order[CHOSEN][0].tolist(), strict=True)
        for rank, place in enumerate(order, 1)
    ]
    columns = list(zip(*rows, strict=True))
    return pa.table({
        "campaign_id": columns[0], "customer_id": columns[1], "rank": pa.array(columns[2], pa.int32()),
        "offer_id": columns[3],
    })  # fmt: skip
