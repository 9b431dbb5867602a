"""Opening the database: who only reads makes none, and one that does not answer is one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from recsvc.errors import InvalidRequest
from recsvc.store import database, opening
from tests.postgres import Postgres

READ = [
    ["recsvc", "keys", "list"], ["recsvc", "keys", "revoke", "k"], ["recsvc", "keys", "rotate", "k"],
    ["training", "train"],
]  # fmt: skip
ASK = [*READ, ["recsvc", "import", "items", "items.csv"], ["recsvc", "validate", "items.csv"]]


def _run(tmp_path: Path, arguments: list[str], url: str = "") -> subprocess.CompletedProcess[str]:
    (tmp_path / "items.csv").write_text("item_id,title\na,Tea\n")
    environment = {**os.environ, "RECSVC_HOME": str(tmp_path / "shop"), "RECSVC_DATABASE_URL": url}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(
        command, check=False, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("arguments", READ, ids=" ".join)
def test_a_command_that_reads_makes_no_database(tmp_path: Path, arguments: list[str]) -> None:
    done = _run(tmp_path, arguments)
    assert done.returncode == 2 and "there is no shop's database at" in done.stderr and "recsvc.db" in done.stderr
    assert not (tmp_path / "shop" / "recsvc.db").exists()


def test_files_are_validated_without_a_database(tmp_path: Path) -> None:
    done = _run(tmp_path, ["recsvc", "validate", "items.csv"])
    assert done.returncode == 0 and "PASS  rows" in done.stdout
    assert not (tmp_path / "shop" / "recsvc.db").exists()


@pytest.mark.parametrize("arguments", ASK, ids=" ".join)
def test_a_database_that_is_not_there_is_one_line(tmp_path: Path, arguments: list[str]) -> None:
    done = _run(tmp_path, arguments, "postgresql://shop:hush@127.0.0.1:9/shop")
    assert done.returncode == 2 and "Traceback" not in done.stderr and "hush" not in done.stderr
    (line,) = [one for one in done.stderr.splitlines() if "error" in one]
    assert "RECSVC_DATABASE_URL: the database at 127.0.0.1:9/shop does not answer" in line


def test_an_empty_database_is_no_shop_and_stays_empty(postgres: Postgres) -> None:
    url = postgres.url(postgres.create())
    with pytest.raises(InvalidRequest, match="there is no shop's database"):
        opening.existing(url)
    engine = database.connect(url, quick_seconds=10)
    assert sa.inspect(engine).get_table_names() == []
    engine.dispose()
    opening.made(url).dispose()
    opening.existing(url).dispose()
