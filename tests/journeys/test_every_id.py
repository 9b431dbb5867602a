"""Every id the grammar admits goes the whole way: put, get, posted, trained on, and back in lists, over real HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from recsvc.intake import identifier
from tests.conftest import Service, until

ODD = [
    "a/b", "a%2Fb", "%2F", "/", "//", "a//b", "/a", "a/", "../x", "...", ".a", "a/../b", "%", "%25", "%00", "%zz", "+", "a+b", "a b",
    " ", " a", "a ", "01", "1", "1.0", "1.", "001", "1e0", "-1", "+1", "0", "true", "null", "None", "NaN", "-", "_", "~",
    "?", "a?b=c", "#", "a#b", "&", "=", ";", ":", "@", ",", "a,b", "|", "a|b", "\\", "a\\b", "'", '"', "''", "`", "$", "{x}", "<id>", "[1]",
    "*", "^", "é", "e\u0301", "É", "ß", "ss", "ＡＢ", "AB", "ab", "Ab", "ﬁ", "fi", "İ", "i", "ı", "\u03a9", "\u2126", "한", unicodedata.normalize("NFD", "한"),
    "😀", "👩‍👩‍👧", "🇷🇴", "שלום", "مرحبا", "\u202eabc", "\u200b", "a\u200db", "\ufeff", "\ufeffa", "\u2028", "\u00a0", "\u3000", "\u00ad", "\ufffd",
    "\U0010ffff", "\uffff", "\ue000", "x" * 256, "é" * 128, "😀" * 64, "a/" * 128, "%" * 256, "c3", "tea-05",
    "session:1", "recommendations", "similar", "' OR 1=1 --", "${x}", "https://x/y?z", "1;drop table items", "2026-11-21", "id\u0335",
]  # fmt: skip


def _odd(noun: str) -> list[str]:
    return [
        one for one in ODD if not (noun == "items" and one == "tea-05") and not (noun == "customers" and one == "c3")
    ]


def _ask(service: Service, method: str, path: str, body: Any = None) -> Any:
    status, _, found = service.ask(method, path, body)
    assert status == 200, (method, path, status, found)
    return found


def _every(service: Service, noun: str) -> dict[str, Any]:
    rows, cursor = {}, None
    while True:
        mark = f"&cursor={quote(cursor, safe='')}" if cursor is not None else ""
        page = _ask(service, "GET", f"/v1/{noun}?limit=37{mark}")
        rows |= {row[f"{noun[:-1]}_id"]: row for row in page[noun]}
        cursor = page["cursor"]
        if cursor is None:
            return rows


def _history(start: datetime) -> list[dict[str, Any]]:
    """Each odd customer buys the odd item of the same place and the three before it, in one order, three times."""
    customers, items = _odd("customers"), _odd("items")
    rows = []
    for n, (customer, item) in enumerate(zip(customers, items, strict=True)):
        for time in range(3):
            for bought in (item, items[n - 1], items[n - 2], items[n - 3]):
                rows.append({
                    "customer_id": customer, "item_id": bought, "kind": "purchase", "order_id": f"{customer[:60]}#{time}",
                    "occurred_at": (start - timedelta(days=30 + 20 * time)).isoformat(),
                })  # fmt: skip
    return rows


def test_the_odd_ids_are_valid_and_distinct() -> None:
    assert len(set(ODD)) == len(ODD) and all(identifier(one) == one for one in ODD)


@pytest.mark.slow
def test_every_id_goes_the_whole_way(serve: Any, place: Any, tmp_path: Path) -> None:
    service = serve(rate_per_second=0)
    items, customers = _odd("items"), _odd("customers")
    title = {one: f"The {n}th" for n, one in enumerate(items)}
    rows = [{"item_id": one, "title": title[one], "categories": ["odd"], "price_cents": 1} for one in items]
    assert _ask(service, "PUT", "/v1/items", rows)["accepted"] == len(items)
    assert _ask(service, "PUT", "/v1/customers", [{"customer_id": one, "tier": one[:9]} for one in customers])["accepted"] == len(customers)  # fmt: skip
    _found_one_by_one(service, items, customers, title)
    listed = _every(service, "items")
    assert {one: listed[one]["title"] for one in items} == title and set(customers) <= _every(
        service, "customers"
    ).keys()

    bought = _history(datetime.now(UTC))
    for start in range(0, len(bought), 500):
        part = bought[start : start + 500]
        assert _ask(service, "POST", "/v1/interactions", part)["accepted"] == len(part)
    _train(service, place.home, tmp_path)
    _lists_of_all(service, items, customers)


def _found_one_by_one(service: Service, items: list[str], customers: list[str], title: dict[str, str]) -> None:
    for one in items:
        path = f"/v1/items/{quote(one, safe='')}"
        assert _ask(service, "GET", path)["title"] == title[one]
        assert _ask(service, "PATCH", path, {"brand": one[:9]})["item_id"] == one
    for one in customers:
        found = _ask(service, "GET", f"/v1/customers/{quote(one, safe='')}")
        assert (found["customer_id"], found["tier"]) == (one, one[:9])


def _train(service: Service, home: Path, folder: Path) -> None:
    settings = folder / "training.yaml"
    settings.write_text("{als: {factors: 8, iterations: 5}, threads: 1}")
    before = service.ask("GET", "/readyz")[2]["model"]
    subprocess.run(
        [sys.executable, "-m", "training", "train", "--config", str(settings)], check=True, capture_output=True,
        env={**os.environ, "RECSVC_HOME": str(home)},
    )  # fmt: skip
    until(lambda: all(service.ask("GET", "/readyz")[2]["model"] != before for _ in range(20)))


def _lists_of_all(service: Service, items: list[str], customers: list[str]) -> None:
    seen: set[str] = set()
    for n, one in enumerate(customers):
        path = f"/v1/customers/{quote(one, safe='')}"
        personal = _ask(service, "GET", f"{path}/recommendations?limit=20")
        assert personal["customer_id"] == one and personal["source"] in {"personal", "live"}, one
        again = _ask(service, "GET", f"{path}/buy-again?limit=20")
        own = {items[n], items[n - 1], items[n - 2], items[n - 3]}
        assert {row["item_id"] for row in again["items"]} == own, (one, again)
        seen |= {row["item_id"] for row in personal["items"]}
    for n, one in enumerate(items):
        path = f"/v1/items/{quote(one, safe='')}"
        near = _ask(service, "GET", f"{path}/bought-together?limit=20&customer_id={quote(customers[n], safe='')}")
        assert near["item_id"] == one and items[n - 1] in {row["item_id"] for row in near["items"]}, (one, near)
        assert _ask(service, "GET", f"{path}/similar?limit=5")["item_id"] == one
        left = _ask(
            service,
            "GET",
            f"/v1/customers/{quote(customers[n], safe='')}/recommendations?limit=50&exclude={quote(one, safe='')}",
        )
        assert one not in {row["item_id"] for row in left["items"]}, one
    assert set(items) <= seen
