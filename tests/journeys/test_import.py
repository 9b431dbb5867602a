"""A raw order export, as a shop has it: guess → import → train → list; killed and started again; validated."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from recsvc.app import create_app
from recsvc.settings import Settings
from recsvc.store import database, interactions, keys

HEADER = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]
COFFEE, TEA = [f"85{n:03}A" for n in range(12)], [f"04{n:03}" for n in range(12)]


def _export(path: Path, orders: int = 700) -> dict[str, int]:
    """Write a made-up export in the shape of UCI Online Retail and return what must come out of it."""
    r, at, number = random.Random(7), datetime(2010, 12, 1, 8, 26), 536365
    count = {"purchase": 0, "return": 0, "nobody": 0, "left": 0}
    with path.open("w", newline="", encoding="cp1252") as file:
        write = csv.writer(file).writerow
        write(HEADER)
        for n in range(orders):
            number, at = number + 1, at + timedelta(minutes=r.randrange(20, 300))
            day = f"{at.month}/{at.day}/{at.year} {at.hour}:{at.minute:02}"
            person = r.randrange(80)
            customer = "" if n % 6 == 5 else f"{17000 + person}.0"
            codes = r.sample(COFFEE if person < 40 else TEA, r.randrange(2, 6))
            rows = [
                [number, code, f"CAFÉ SET {code}", r.randrange(1, 13), day, "2.55", customer, "UK"] for code in codes
            ]
            if n % 10 == 0:
                rows.append(rows[0])  # the same line twice in one order: two
            count["purchase"] += len(rows)
            count["nobody"] += 0 if customer else len(rows)
            if n % 5 == 0:
                rows.append([number, "POST", "POSTAGE", 1, day, "18.00", customer, "France"])
                count["left"] += 1
            if n % 9 == 0 and customer:
                rows.append([f"C{number}", codes[0], f"CAFÉ SET {codes[0]}", -1, day, "2.55", customer, "UK"])
                count["return"] += 1
            if n % 50 == 7:
                rows.append([number, codes[0], "damages", -30, day, "0", "", "UK"])
                count["left"] += 1
            for row in rows:
                write(row)
    return count


def _run(home: Path, *arguments: str, stdin: bytes | None = None, exit_code: int = 0, url: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], env={**_environment(home, url), "COLUMNS": "300"},
        input=stdin, capture_output=True, timeout=300, check=False, cwd=home.parent,
    )  # fmt: skip
    assert done.returncode == exit_code, done.stderr.decode()
    return done.stdout.decode() + done.stderr.decode()


def _environment(home: Path, url: str) -> dict[str, str]:
    return {**os.environ, "RECSVC_HOME": str(home), "RECSVC_DATABASE_URL": url}


def _client(home: Path, url: str) -> Any:
    settings = Settings(home=home, redis_url="off", database_url=url, database_timeout_ms=5000)
    engine = database.connect(settings.sql_url)
    key = keys.create(engine, "test", datetime.now(UTC))
    engine.dispose()
    app = create_app(settings)
    client = app.test_client()
    client.environ_base["HTTP_X_API_KEY"] = key
    return client


def _stored(url: str) -> list[Any]:
    engine = database.connect(url)
    with engine.connect() as connection:
        found = list(connection.execute(sa.select(interactions.interactions)))
    engine.dispose()
    return found


def test_a_raw_order_export_becomes_lists(database_url: str, tmp_path: Path) -> None:
    home, orders, a_map = tmp_path / "shop", tmp_path / "orders.csv", tmp_path / "map.yaml"
    wanted, run = _export(orders), partial(_run, home, url=database_url)
    run("recsvc", "import", "guess", str(orders), "--out", str(a_map))
    asked = run("recsvc", "import", "interactions", str(orders), "--map", str(a_map), "--dry-run", exit_code=2)
    assert "--time-zone" in asked and not home.exists()
    options = ("--map", str(a_map), "--time-zone", "Europe/London")
    assert "24 different items" in run("recsvc", "import", "items", str(orders), *options)
    for again in (False, True):
        said = run("recsvc", "import", "interactions", str(orders), *options)
        assert ("were there already" in said) == again and f"{wanted['left']} left out" in said
    rows = _stored(database_url)
    kinds = {kind: [row for row in rows if row.kind == kind] for kind in ("purchase", "return")}
    assert {kind: len(found) for kind, found in kinds.items()} == {
        "purchase": wanted["purchase"],
        "return": wanted["return"],
    }
    assert sum(row.customer_id is None for row in rows) == wanted["nobody"]
    assert {row.item_id for row in rows} <= {*COFFEE, *TEA} and "." not in "".join(
        row.customer_id or "" for row in rows
    )
    assert any(row.order_id.startswith("C5") for row in kinds["return"])
    assert "PASS  rows: 0 of" in run("recsvc", "validate", str(orders), *options)
    settings = tmp_path / "training.yaml"
    settings.write_text("{als: {factors: 8, iterations: 5}, threads: 1}")
    run("training", "train", "--config", str(settings))
    client = _client(home, database_url)
    reply = client.get("/v1/customers/17003/recommendations?limit=5").json
    mine = [one["item_id"] in COFFEE for one in reply["items"]]
    assert reply["source"] == "personal" and sum(mine) >= 4
    assert reply["items"][0]["fields"]["title"].startswith("CAFÉ SET")
    assert client.get(f"/v1/items/{TEA[0]}/bought-together").json["items"]
    client.application.extensions["recsvc"].current.stop()
    time.sleep(0.3)
    client.application.extensions["recsvc"].engine.dispose()


@pytest.mark.slow
def test_an_import_that_was_killed_is_continued(database_url: str, tmp_path: Path) -> None:
    home, file = tmp_path / "shop", tmp_path / "lines.csv"
    run = partial(_run, home, url=database_url)
    with file.open("w") as out:
        out.write("customer_id,item_id,kind,occurred_at,order_id\n")
        for n in range(450_000):  # every third line of an order equals the one before
            out.write(f"c{n // 3 % 1000},i{(n - n % 3 // 2) % 3},purchase,2026-01-01T00:00:00Z,o{n // 3}\n")
    arguments = [sys.executable, "-m", "recsvc", "import", "interactions", str(file)]
    left = []
    for seconds in (1.2, 3.5, 6.0):
        process = subprocess.Popen(arguments, env=_environment(home, database_url), stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        left.append(len(_stored(database_url)))
    assert left == sorted(left)
    run("recsvc", "import", "interactions", str(file))
    assert len(_stored(database_url)) == 450_000
    assert "450,000 of them were there already" in run("recsvc", "import", "interactions", str(file))


def test_a_pipe(tmp_path: Path) -> None:
    home = tmp_path / "shop"
    said = _run(home, "recsvc", "import", "items", "-", stdin=b"item_id,title\n007,A\n,B\n")
    assert "2 rows read, 1 different items, 1 rejected" in said
    assert json.loads((tmp_path / "pipe.items.rejects.jsonl").read_text())["row"] == 2
    said = _run(
        home, "recsvc", "import", "items", "-", "--rejects", "no/where.jsonl", stdin=b"item_id,title\n,B\n", exit_code=2
    )
    assert "choose another with --rejects" in said
    assert "not from a pipe" in _run(home, "recsvc", "import", "items", "-", stdin=b"PAR1xxxx", exit_code=2)
