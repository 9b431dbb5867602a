"""The demo shop's offers: the coupons of each campaign, what they are worth, who was sent them and redeemed them.

Five offers of other kinds are made up, so that there is more to see than coupons; `attributes.invented` says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

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

# Face value: the usual coupon discount on the offer's products, to the next quarter dollar; a fifth of their
# price where no coupon was ever used on them; at most half of what the usual take costs.  Margin: a quarter
# of the usual visit on which a coupon is used; a coupon brings the customer in, and its own products alone would
# leave less than its face.
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
create table visit as
select median(worth) as cents from (
    select sum(sales_value) * 100 as worth from lines group by basket_id having max(coupon_disc) > 0);
"""

WRITE_OFFERS = """
select 'c' || campaign_id || '-' || coupon_upc as offer_id, 'Coupon on ' || what as name, 'discount' as kind,
    printf('$%d.%02d off %s', face_cents // 100, face_cents % 100, what) as benefit,
    cast(round(0.25 * (select cents from visit)) as bigint) as value_cents, face_cents as cost_cents, 'USD' as currency,
    moved(start_date) as starts_at, moved(end_date + interval 1 day) as ends_at, true as active, items,
    cast(json_object('campaign', cast(campaign_id as varchar), 'campaign_type', campaign_type,
        'estimated', ['value_cents', 'cost_cents', 'benefit']) as varchar) as attributes,
    null::bigint as capacity, null::bigint as max_per_customer, null::bigint as cooldown_days,
    0 as priority, null::varchar as eligibility
from offered join campaign_descriptions using (campaign_id)
union all by name
select offer_id, name, kind, benefit, value_cents, cost_cents, 'USD' as currency,
    moved((select max(sold_at) from lines) - interval 14 day) as starts_at,
    moved((select max(sold_at) from lines) + interval 60 day) as ends_at, true as active, []::varchar[] as items,
    '{"invented": true, "estimated": ["value_cents", "cost_cents", "benefit"]}' as attributes,
    capacity, max_per_customer, cooldown_days, priority, eligibility
from (values
    ('cooking-evening', 'Cooking evening in the store', 'event', 'A seat at the cooking evening', 1500, 800,
     40, 1, null, 0, null),
    ('free-delivery', 'Free delivery', 'service', 'The next order delivered free', 600, 400, null, 1, 14, 0, null),
    ('call-back', 'A call from customer care', 'service', 'We call and put it right', 0, 0, null, null, null, 10,
     '{"field": "karma.customer", "op": "lt", "value": 0}'),
    ('dinners', 'Seven dinners', 'content', 'A week of recipes', 60, 0, null, null, 30, 0, null),
    ('thank-you-points', 'Points for regulars', 'points', '500 points', 400, 250, null, 1, null, 0,
     '{"field": "history.orders", "op": "gte", "value": 100}')
) as invented(offer_id, name, kind, benefit, value_cents, cost_cents, capacity, max_per_customer, cooldown_days,
              priority, eligibility)
order by offer_id
"""


def add_redemptions(con: DuckDBPyConnection) -> None:
    """Create the table `redeemed` from `coupon_redemptions`, `coupons` and `lines`."""
    con.execute(_REDEMPTIONS)


def add_offers(con: DuckDBPyConnection) -> None:
    """Create the table `offered`, one row a coupon of a campaign, from `coupons`, `titled`, `sold` and `lines`."""
    con.execute(_OFFERS)
