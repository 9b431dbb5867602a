"""The demo shop's items: which are goods, which are delicate, and how each is titled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.demo_titles import category_name, department_name, inline, product_title, type_name

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

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

WRITE_ITEMS = """
select cast(product_id as varchar) as item_id, title, categories,
    case brand when 'Private' then 'Store brand' when 'National' then 'National brand' end as brand,
    price_cents, 'USD' as currency, active, sensitive, moved(first_sold) as created_at,
    cast(json_merge_patch('{}', json_object(
        'size', package_size, 'manufacturer', cast(manufacturer_id as varchar),
        'estimated', case when price_cents is not null then ['price_cents'] end)) as varchar) as attributes
from titled order by product_id
"""


def add_items(con: DuckDBPyConnection) -> None:
    """Create the table `titled`, one row an item, from `products`, `lines`, `sold` and `prices`."""
    con.execute(_CATALOGUE)
    _label(con)
    con.execute(_NOT_GOODS + _DELICATE + _ITEMS + _TITLES)


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
