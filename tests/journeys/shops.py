"""Made-up exports in the forms real shops have. One history behind all: 90 customers of two tastes, 24 items, 300 orders."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ITEMS = [(f"KF-{n:03d}", f"{'Café façon' if n < 12 else 'Thé vert'} n°{n}", 350 + 115 * n) for n in range(24)]
Line = tuple[str, str, int, int]
"""code, title, cents of one, how many."""


def orders() -> Iterator[tuple[int, int, datetime, list[Line]]]:
    """Yield number, customer, moment and lines, oldest first."""
    rng, start = random.Random(5), datetime.now(UTC).replace(tzinfo=None, microsecond=0) - timedelta(days=305)
    for number in range(300):
        customer = rng.randrange(90)
        taste = ITEMS[:12] if customer < 45 else ITEMS[12:]
        at = start + timedelta(days=number, minutes=rng.randrange(600))
        yield (
            10000 + number,
            customer,
            at,
            [(*item, rng.randint(1, 3)) for item in rng.sample(taste, rng.randint(1, 4))],
        )


def _write(path: Path, encoding: str, delimiter: str, rows: list[list[Any]]) -> None:
    with path.open("w", encoding=encoding, newline="") as out:
        csv.writer(out, delimiter=delimiter).writerows(rows)


def _german(cents: int) -> str:
    return f"{cents / 100:,.2f}".translate(str.maketrans(",.", ".,"))


def woocommerce(path: Path) -> dict[str, int]:
    """cp1252 and semicolons, decimal commas, states of orders, guests as 0. Every tenth order is cancelled."""
    rows: list[list[Any]] = [["Order Number", "Order Status", "Order Date", "Customer User", "SKU", "Item Name", "Quantity",
                              "Item Cost", "Order Line Total"]]  # fmt: skip
    kept = nobody = 0
    for number, customer, at, lines in orders():
        sold, guest = number % 10 != 0, number % 7 == 0
        for code, title, cents, count in lines:
            rows.append([number, "completed" if sold else "cancelled", at.strftime("%Y-%m-%d %H:%M"), 0 if guest else customer + 1,
                         code, title, count, _german(cents), _german(cents * count)])  # fmt: skip
            kept, nobody = kept + sold, nobody + (sold and guest)
    _write(path, "cp1252", ";", rows)
    return {"purchases": kept, "nobody": nobody, "cents": _cents(lambda number: number % 10 != 0)}


def retail(path: Path) -> dict[str, int]:
    """US dates, customers as 17000.0, postage lines, credit notes with C, corrections of the stock."""
    rows: list[list[Any]] = [
        ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"]
    ]
    kept = back = nobody = 0
    for number, customer, at, lines in orders():
        who, when = "" if number % 5 == 0 else f"{17000 + customer}.0", f"{at.month}/{at.day}/{at.year} {at:%H:%M}"
        for code, title, cents, count in lines:
            rows.append([number, f"2{code[3:]}A", title.upper(), count, when, cents / 100, who])
            kept, nobody = kept + 1, nobody + (who == "")
        if number % 6 == 0:
            rows.append([number, "POST", "POSTAGE", 1, when, "18.00", who])
        if number % 11 == 0 and who:
            code, title, cents, _ = lines[0]
            rows.append([f"C{number}", f"2{code[3:]}A", title.upper(), -1, when, cents / 100, who])
            back += 1
        if number % 50 == 0:
            rows.append([90000 + number, "20005A", "damaged?", -30, when, "0", ""])
    _write(path, "cp1252", ",", rows)
    return {"purchases": kept, "returns": back, "nobody": nobody, "cents": _cents()}


def shopify(path: Path) -> dict[str, int]:
    """Newest first; only an order's first line says who, when and in what currency; the total is the order's."""
    rows: list[list[Any]] = [["Name", "Email", "Financial Status", "Currency", "Total", "Created at", "Lineitem quantity",
                              "Lineitem name", "Lineitem price", "Lineitem sku"]]  # fmt: skip
    for number, customer, at, lines in reversed(list(orders())):
        total = sum(cents * count for _, _, cents, count in lines) / 100
        first = [f"c{customer}@shop.example", "paid", "EUR", f"{total:.2f}", f"{at:%Y-%m-%d %H:%M:%S} +0200"]
        for n, (code, title, cents, count) in enumerate(lines):
            said = first if n == 0 else [""] * 5
            rows.append([f"#{number}", *said, count, title, f"{cents / 100:.2f}", code])
    _write(path, "utf-8", ",", rows)
    return {"purchases": len(rows) - 1, "nobody": 0, "cents": _cents()}


def ledger(path: Path) -> dict[str, int]:
    """A number, a customer and a day on an order's first line only; some orders have no customer."""
    rows: list[list[Any]] = [["Order", "Customer", "Date", "Product code", "Product", "Qty", "Price"]]
    nobody = 0
    for number, customer, at, lines in orders():
        guest = number % 4 == 0
        for n, (code, title, cents, count) in enumerate(lines):
            said = [number, "" if guest else f"K{customer}", at.strftime("%d/%m/%Y")] if n == 0 else [""] * 3
            rows.append([*said, code, title, count, f"{cents / 100:.2f}"])
            nobody += guest
    _write(path, "utf-8", ",", rows)
    return {"purchases": len(rows) - 1, "nobody": nobody, "cents": _cents()}


def excel(path: Path) -> dict[str, int]:
    """A German sheet: a byte order mark, dd.mm.yyyy, thousands with points, codes with zeros, freight, a sum at the end."""
    rows: list[list[Any]] = [["Belegnr.", "Belegdatum", "Kundennr.", "Artikelnr.", "Artikelbezeichnung", "Menge", "Einzelpreis",
                              "Gesamtpreis"]]  # fmt: skip
    kept = 0
    for number, customer, at, lines in orders():
        head = [f"RE{number}", at.strftime("%d.%m.%Y"), f"{customer:05d}"]
        for code, title, cents, count in lines:
            rows.append([*head, f"0{code[3:]}", title, count, _german(100 * cents), _german(100 * cents * count)])
            kept += 1
        if number % 9 == 0:
            rows.append([*head, "VERSAND", "Versandkosten", 1, "4,90", "4,90"])
    rows.append(["", "", "", "", "Summe", "", "", "123.456,00"])
    _write(path, "utf-8-sig", ";", rows)
    return {"purchases": kept, "nobody": 0, "refused": 1, "cents": 100 * _cents()}


def till(path: Path) -> dict[str, int]:
    """JSON lines, a receipt each, its lines inside; one in five has no card."""
    kept = nobody = 0
    with path.open("w", encoding="utf-8") as out:
        for number, customer, at, lines in orders():
            card = None if number % 5 == 0 else f"L{customer:04d}"
            inner = [
                {"sku": code, "name": title, "qty": n, "unit_price": cents / 100} for code, title, cents, n in lines
            ]
            receipt = {
                "receipt_id": f"R{number}",
                "timestamp": at.isoformat(),
                "loyalty_card": card,
                "currency": "EUR",
                "lines": inner,
            }
            out.write(json.dumps(receipt) + "\n")
            kept, nobody = kept + len(lines), nobody + (len(lines) if card is None else 0)
    return {"purchases": kept, "nobody": nobody, "cents": _cents()}


def _cents(sold: Any = lambda number: True) -> int:
    return sum(cents * count for number, _, _, lines in orders() if sold(number) for _, _, cents, count in lines)


EXPORTS = (woocommerce, retail, shopify, ledger, excel, till)
