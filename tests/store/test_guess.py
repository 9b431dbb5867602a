"""Guess: an unknown file's map, with the evidence beside each decision, is one that `maps.load` takes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from recsvc.errors import InvalidRequest
from recsvc.flows.imports import read
from recsvc.store import maps
from recsvc.store.columns import COLUMNS
from recsvc.store.guess import guess_map
from recsvc.store.samples import date_order

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("texts", "order", "why"),
    [
        (["2010-12-01"], "ymd", "the year is first"), (["1.2.2010", "13.2.2010"], "dmy", "13.2.2010"),
        (["1/2/2010", "1/13/2010"], "mdy", "1/13/2010"), (["1291191960"], "ymd", "no calendar dates"),
        (["1/12/2010", "2/12/2010", "1/1/2011"], "dmy", "NOT SURE"),
        (["11/1/2010", "11/2/2010", "12/1/2010", "12/2/2010"], "mdy", "NOT SURE"),
    ],
)  # fmt: skip
def test_the_order_of_a_date_comes_with_its_evidence(texts: list[str], order: str, why: str) -> None:
    found = date_order(texts)
    assert found[0] == order and why in found[1]


def _guess(tmp_path: Path, text: str, encoding: str = "utf-8") -> tuple[maps.Map, str]:
    file, out = tmp_path / "file.csv", tmp_path / "map.yaml"
    file.write_text(text, encoding=encoding)
    out.write_text(guess_map(file), encoding="utf-8")
    return maps.load(out, COLUMNS), out.read_text("utf-8")


def test_a_romanian_export(tmp_path: Path) -> None:
    found, text = _guess(
        tmp_path,
        "Nr. comandă;Cod produs;Denumire;Cantitate;Preț;Data;Client\n"
        "1;0071;Cafea;2;1.234,50;13.12.2010 08:26;17\n2;0072;Ceai;-1;4,20;14.12.2010 08:27;18\n",
    )
    assert (found.file.delimiter, found.file.decimal, found.file.thousands, found.dates.order) == (";", ",", ".", "dmy")
    assert found.interactions["item_id"].column == "Cod produs" and found.interactions["quantity"].column == "Cantitate"
    assert found.interactions["value_cents"].times == "Cantitate" and found.returns is not None
    assert "13.12.2010" in text and "says no zone" in text and found.dates.time_zone is None


def test_an_event_log_keeps_its_kinds(tmp_path: Path) -> None:
    found, text = _guess(
        tmp_path, "timestamp,visitorid,event,itemid\n1433221332117,257597,view,355908\n1433221332118,1,addtocart,2\n1433221332119,1,transaction,2\n"
    )  # fmt: skip
    kind = found.interactions["kind"]
    assert kind.column == "event" and kind.names == {"addtocart": "add_to_cart", "transaction": "purchase"}
    assert found.interactions["customer_id"].column == "visitorid" and "time_zone" not in text


def test_a_catalogue_and_a_list_of_customers(tmp_path: Path) -> None:
    found, _ = _guess(tmp_path, "SKU,Name,Category,Price\n01,Tea,Drinks,2.55\n")
    assert {name: one.column for name, one in found.items.items()} == {
        "item_id": "SKU", "title": "Name", "categories": "Category", "price_cents": "Price",
    }  # fmt: skip
    assert not found.interactions and found.items["price_cents"].unit == "major"
    found, _ = _guess(tmp_path, "Customer ID,Segment\n17850.0,gold\n")
    assert found.customers["customer_id"].whole == "text" and found.customers["segment"].column == "Segment"


@pytest.mark.parametrize(
    ("text", "words"), [("a,b\n1,2\n", "no column looks like"), ("sku,b\n", "no rows"), ("", "is empty")]
)
def test_what_cannot_be_guessed_is_said(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        _guess(tmp_path, text)


def test_the_map_is_plain_yaml_whatever_the_names(tmp_path: Path) -> None:
    _, text = _guess(tmp_path, 'order id,"sku: #1",sku,"product, name",date\n1,x,01,"a: b # c",2020-01-01T00:00:00Z\n')
    assert yaml.safe_load(text)["items"] == {"item_id": "sku", "title": "product, name"}


def test_a_year_first_is_no_evidence_for_the_others() -> None:
    assert date_order(["2026-06-01", "6/1/2026", "6/13/2026"])[0] == "mdy"
    assert "NOT SURE" in date_order(["2026-06-01", "1/2/2026"])[1]


def test_whole_numbers_and_nobody_in_one_column(tmp_path: Path) -> None:
    found, _ = _guess(tmp_path, "Customer ID,Segment\n25.0,gold\nN/A,gold\n17851.0,x\n")
    assert (found.customers["customer_id"].whole, found.customers["customer_id"].empty) == ("text", ("N/A",))


def test_thousands_are_seen_behind_a_currency(tmp_path: Path) -> None:
    found, _ = _guess(tmp_path, 'sku,name,price\n1,Tea,"$1,010.00"\n2,Pot,$3.50\n')
    assert (found.file.thousands, found.file.decimal) == (",", ".")
    assert _guess(tmp_path, "sku;name;preis\n1;Tee;1.010,00 €\n2;Pot;3,50 €\n")[0].file.thousands == "."


def test_a_german_export_with_much_postage(tmp_path: Path) -> None:
    rows = "".join(f"{n};17;A{n};1;2,50;1{n}.12.2025\n{n};17;VERSAND;1;4,90;1{n}.12.2025\n" for n in range(1, 9))
    found, _ = _guess(tmp_path, "Bestellnr;Kunde Nr;Art.-Nr.;Menge;Preis;Datum\n" + rows)
    assert found.interactions["customer_id"].column == "Kunde Nr"
    assert found.interactions["item_id"].column == "Art.-Nr." and "VERSAND" in found.skip["Art.-Nr."]


def test_a_marketplace_and_a_till_with_the_time_of_day_apart(tmp_path: Path) -> None:
    found, _ = _guess(
        tmp_path,
        "order-id\torder-item-id\tpurchase-date\tbuyer-email\tsku\tproduct-name\tquantity-purchased\titem-price\n"
        "1\t11\t2025-01-01T00:00:00-08:00\ta@shop.example\tA1\tMug\t1\t9.95\n",
    )
    columns = {name: one.column for name, one in found.interactions.items()}
    assert (columns["interaction_id"], columns["customer_id"]) == ("order-item-id", "buyer-email")
    till = (
        "Date,Time,Item,Qty,SKU,Net Sales,Transaction ID,Event Type,Customer ID\n"
        "03/13/2025,08:05:00,Tea,1,P1,$4.50,T1,Payment,C1\n03/14/2025,9:00,Tea,-1,P1,-$4.50,T2,Refund,C1\n"
    )
    found, _ = _guess(tmp_path, till)
    assert (found.interactions["occurred_at"].column, found.interactions["occurred_at"].clock) == ("Date", "Time")
    outcome = [*read("interactions", tmp_path / "file.csv", found.in_zone("UTC"), NOW)]
    ((checked,),) = [outcome]
    assert not checked.wrong.rows and checked.columns["kind"].to_pylist() == ["purchase", "refund"]
    assert checked.columns["value_cents"].to_pylist() == [450, 450]
    moments = [datetime.fromtimestamp(one / 1e6, UTC) for one in checked.columns["occurred_at"].to_pylist()]
    assert moments == [datetime(2025, 3, 13, 8, 5, tzinfo=UTC), datetime(2025, 3, 14, 9, tzinfo=UTC)]


def test_an_id_that_repeats_is_no_lines_and_no_customer_is_said(tmp_path: Path) -> None:
    found, text = _guess(tmp_path, "order,line id,sku,date\n1,1,a,2025-01-01Z\n2,1,b,2025-01-02Z\n")
    assert "interaction_id" not in found.interactions and "it stands on several" in text
    assert "LOOK: no column looks like one" in text


def test_an_item_column_that_numbers_the_lines_gives_way_to_one_that_does_not(tmp_path: Path) -> None:
    lines = "".join(f"{n // 2},{n},S{n % 7},2026-01-{n % 28 + 1:02}T10:00:00Z,u{n % 5}\n" for n in range(60))
    found, _ = _guess(tmp_path, f"increment_id,item_id,sku,created,customer_id\n{lines}")
    assert found.interactions["item_id"].column == "sku"


def test_blank_lines_above_the_header_and_empty_columns_are_passed_over(tmp_path: Path) -> None:
    found, _ = _guess(tmp_path, "\n\norder id,sku,listing id,sale date,buyer\n1,,77,01/13/26,ann\n2,,78,01/14/26,bob\n")
    assert found.interactions["item_id"].column == "listing id"
    outcome = next(iter(read("interactions", tmp_path / "file.csv", found.in_zone("UTC"), NOW)))
    assert outcome.keep.all() and outcome.columns["item_id"].to_pylist() == ["77", "78"]


def test_a_midnight_on_every_day_is_a_day(tmp_path: Path) -> None:
    found, _ = _guess(
        tmp_path, "order,sku,order_date,order_time\n1,a,2026-01-05 00:00:00,10:05\n2,b,2026-01-06 00:00:00,11:05\n"
    )
    (checked,) = read("interactions", tmp_path / "file.csv", found.in_zone("UTC"), NOW)
    first = datetime.fromtimestamp(checked.columns["occurred_at"][0].as_py() / 1e6, UTC)
    assert first == datetime(2026, 1, 5, 10, 5, tzinfo=UTC)
    _, text = _guess(tmp_path, "order,sku,datum,Uhrzeit\n1,a,05.01.2026,10.05\n")
    assert "LOOK: the time of day, as 10.05, is not read" in text


def test_refunds_that_a_type_tells_and_what_is_missing_is_said(tmp_path: Path) -> None:
    found, _ = _guess(tmp_path, "order,sku,date,transaction_type\n1,a,2026-01-05Z,SALE\n2,a,2026-01-06Z,REFUND\n")
    assert found.interactions["kind"].names == {"SALE": "purchase", "REFUND": "refund"}
    _, text = _guess(tmp_path, "sku,title\na,b\n")
    assert "No interactions: no column looks like occurred_at nor customer_id or order_id, among sku, title." in text


@pytest.mark.parametrize(
    ("price", "decimal", "words"), [("1,990000", ",", "end like 1,50"), ("2,250", ".", "NOT SURE")]
)
def test_many_decimals_and_an_unclear_comma(tmp_path: Path, price: str, decimal: str, words: str) -> None:
    found, text = _guess(tmp_path, f"order;sku;date;price;quantity\n1;a;2026-01-05Z;{price};1\n")
    assert found.file.decimal == decimal and words in text
