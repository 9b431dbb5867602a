"""`recsvc doctor`: each finding appears when its cause is there and disappears with it; the doctor changes nothing."""

from __future__ import annotations

import hashlib
import http.server
import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from typer.testing import CliRunner

from recsvc import __version__, artifact
from recsvc.cli import doctor, machine
from recsvc.cli.app import app as cli
from recsvc.flows import checks
from recsvc.flows.checks import FAIL, OK, WARN, Finding
from recsvc.settings import Settings
from recsvc.store import database, inventory, keys
from recsvc.store.customers import customers
from recsvc.store.items import items
from tests.conftest import Place, Valkey, free_port

NOW = time.time()
DAY = 86400


def _findings(place: Place, **settings: Any) -> dict[str, Finding]:
    given = Settings(home=place.home, **{"port": free_port(), **settings})
    return {one.name: one for one in doctor.examine(given, NOW)}


def _levels(found: dict[str, Finding]) -> set[str]:
    return {one.level for one in found.values()}


@pytest.fixture
def engine(place: Place) -> Iterator[sa.Engine]:
    engine = database.connect(place.settings.sql_url)
    yield engine
    engine.dispose()


def test_a_sound_installation_has_no_finding(place: Place) -> None:
    found = _findings(place)
    assert _levels(found) == {OK}, found
    assert all(not one.advice for one in found.values())
    assert len(found) >= 20


def test_the_doctor_changes_nothing(place: Place) -> None:
    def content() -> dict[str, str]:
        files = [one for one in place.home.rglob("*") if one.is_file() and not one.name.endswith(("-wal", "-shm"))]
        return {str(one): hashlib.sha256(one.read_bytes()).hexdigest() for one in files}

    before = content()
    _findings(place)
    assert content() == before
    nowhere = place.home / "nowhere"
    found = {one.name: one for one in doctor.examine(Settings(home=nowhere, port=free_port()), NOW)}
    assert not nowhere.exists()
    assert (found["database"].level, found["home folder"].level, found["model"].level) == (WARN, WARN, WARN)


def test_python_and_packages() -> None:
    assert machine.python((3, 10, 14)).level == FAIL and machine.python((3, 12, 0)).level == OK
    assert machine.packages().level == OK
    old = machine.packages(["numpy>=99.1", "redis[hiredis]>=6.4"])
    assert old.level == FAIL and "numpy" in old.found and "redis" not in old.found
    assert machine.packages(["no-such-package>=1"]).level == FAIL
    assert machine.packages(['no-such-package>=1; extra == "pages"']).level == OK


def test_home_and_disk(tmp_path: Path) -> None:
    assert machine.home(tmp_path).level == OK
    assert machine.home(tmp_path / "none").level == WARN
    (tmp_path / "file").write_text("")
    assert machine.home(tmp_path / "file").level == FAIL
    assert [machine.disk(tmp_path, free).level for free in (10**7, 5 * 10**8, 10**10)] == [FAIL, WARN, OK]
    assert machine.disk(tmp_path / "none" / "deeper").level in {OK, WARN}


def test_open_files_and_configuration(tmp_path: Path) -> None:
    assert [machine.open_files(limit).level for limit in (100, 500, 4096, -1)] == [FAIL, WARN, OK, OK]
    assert machine.configs().level == OK
    (tmp_path / "gunicorn.py").write_text("")
    missing = machine.configs(tmp_path)
    assert missing.level == FAIL and "training.yaml" in missing.found and "gunicorn" not in missing.found


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSVC_PORT", "many")
    result = CliRunner().invoke(cli, ["doctor", "--json"])
    assert result.exit_code == 1
    (found,) = json.loads(result.output)["findings"]
    assert found["name"] == "settings" and "RECSVC_PORT" in found["found"]


def test_redis(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(redis_url=valkey.url)
    assert machine.cache(settings).level == OK
    with redis.Redis.from_url(valkey.url) as direct:
        direct.config_set("maxmemory-policy", "noeviction")
        keeps = machine.cache(settings)
        assert keeps.level == WARN and "noeviction" in keeps.found
        direct.config_set("maxmemory-policy", "allkeys-lfu")
        assert machine.cache(settings).level == OK
        direct.config_set("maxmemory", 0)
        assert machine.cache(settings).level == WARN
    valkey.process.kill()
    valkey.process.wait()
    away = machine.cache(Settings(redis_url="redis://:hunter2@127.0.0.1:1/0"))
    assert away.level == FAIL and "hunter2" not in away.found + away.advice
    assert machine.cache(Settings(redis_url="off")).level == WARN
    assert machine.cache(Settings()).level == OK
    monkeypatch.setattr(machine.embedded, "binary", lambda: None)
    assert machine.cache(Settings()).level == WARN


def test_a_port_that_recsvc_answers(place: Place, serve: Any) -> None:
    service = serve(workers=1)
    settings = Settings(port=int(service.url.rsplit(":", 1)[1]))
    found = machine.port(settings, service.url, free=False)
    version = artifact.current(place.settings.artifact_root)
    assert found.level == OK and __version__ in found.found and str(version) in found.found
    shutil.rmtree(place.settings.artifact_root)
    assert _findings(place, port=settings.port)["port"].level == OK


@pytest.mark.parametrize(
    ("document", "level", "word"),
    [
        ({"info": {"title": "recsvc", "version": "0.0.1"}}, WARN, "restart"),
        ({"info": {"title": "recsvc", "version": __version__}}, WARN, "readyz"),
        ({"info": {"title": "petstore", "version": "1"}}, FAIL, "RECSVC_PORT"), ([1], FAIL, "RECSVC_PORT"),
    ],
)  # fmt: skip
def test_a_port_that_something_else_answers(document: Any, level: str, word: str) -> None:
    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state = {"status": "degraded", "model": None}
            body = json.dumps(document if self.path == "/openapi.json" else state).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings = Settings(port=server.server_port)
        assert not machine.is_free(doctor.serve.check_port, settings)
        found = machine.port(settings, f"http://127.0.0.1:{server.server_port}", free=False)
        server.shutdown()
    assert found.level == level and word in found.advice


def test_the_admin_key_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert list(machine.key_file(None)) == []
    assert [one.level for one in machine.key_file(path)] == [FAIL]
    path.write_text("rk_ops_" + "a" * 64)
    path.chmod(0o644)
    assert [one.level for one in machine.key_file(path)] == [WARN]
    path.chmod(0o600)
    assert [one.level for one in machine.key_file(path)] == [OK]
    path.write_text("nonsense")
    assert [one.level for one in machine.key_file(path)] == [FAIL]


def test_the_schema_and_a_database_that_is_none(place: Place, engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
    found = _findings(place)
    assert found["schema"].level == FAIL and "0001" in found["schema"].found and "keys" not in found
    with engine.begin() as connection:
        head = inventory.schema(engine)[1]
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :head"), {"head": head})
    assert _findings(place)["schema"].level == OK
    engine.dispose()
    assert _findings(place, database_url="oracle://x")["database"].level == FAIL
    (place.home / "recsvc.db").write_bytes(b"no database" * 100)
    for name in ("recsvc.db-wal", "recsvc.db-shm"):
        (place.home / name).unlink(missing_ok=True)
    assert _findings(place)["database"].level == FAIL


def test_integrity(place: Place, engine: sa.Engine) -> None:
    assert checks.integrity(engine).level == OK
    engine.dispose()
    with sqlite3.connect(place.home / "recsvc.db") as direct:
        direct.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        root = direct.execute("SELECT rootpage FROM sqlite_master WHERE name = 'interactions_digest'").fetchone()[0]
        size = direct.execute("PRAGMA page_size").fetchone()[0]
    direct.close()
    with (place.home / "recsvc.db").open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    assert checks.integrity(engine).level == FAIL


def test_the_write_ahead_log(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    assert checks.wal(file).level == OK
    with (tmp_path / "x.db-wal").open("wb") as log:
        log.truncate(300 * 2**20)
    assert checks.wal(file).level == WARN
    (tmp_path / "x.db-wal").unlink()
    assert checks.wal(file).level == OK


def test_the_model(place: Place) -> None:
    root, version = place.settings.artifact_root, artifact.current(place.settings.artifact_root)
    manifest = json.loads((root / str(version) / "manifest.json").read_text())
    database_id = manifest["parameters"]["database_id"]
    assert checks.model(root, database_id, NOW).level == OK
    assert checks.model(root, "another", NOW).level == FAIL
    assert checks.model(root, database_id, NOW + 8 * DAY).level == WARN
    with (root / str(version) / "factors.npy").open("r+b") as file:
        file.seek(300)
        file.write(b"\xff\xff\xff\xff")
    assert checks.model(root, database_id, NOW).level == FAIL
    (root / "current").unlink()
    assert checks.model(root, database_id, NOW).level == WARN


def test_the_catalogue_and_the_history(place: Place, engine: sa.Engine) -> None:
    counts = inventory.counts(engine)
    assert (counts.items, counts.no_category, counts.no_price, counts.unknown_items) == (61, 0, 0, 0)
    assert (counts.customers, counts.no_history, counts.never_bought) == (121, 1, 1)
    with engine.begin() as connection:
        connection.execute(
            sa.update(items).where(items.c.item_id.like("tea-0%")).values(categories=[], price_cents=None)
        )
        connection.execute(sa.delete(items).where(items.c.item_id.like("tea-1%")))
        connection.execute(
            sa.insert(customers),
            [{"customer_id": f"x{n}", "attributes": {}, "change": 1, "deleted": False} for n in range(3)],
        )
    found = _findings(place)
    for name in ("items without category", "items without price", "interactions naming unknown items"):
        assert found[name].level == WARN and found[name].advice, name
    assert found["items without price"].found.startswith("10 of 51")
    assert found["customers without history"].found.startswith("4 of 124")
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM interactions"))
    found = _findings(place)
    for name in ("active items never bought", "customers without history", "interactions"):
        assert found[name].level == WARN and found[name].advice, name
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM items"))
    assert _findings(place)["items"].level == WARN


def test_the_clock_and_the_newest_interaction(engine: sa.Engine) -> None:
    counts = inventory.counts(engine)
    assert counts.newest is not None
    newest = counts.newest / 1e6
    assert checks.events(counts, newest + 2 * DAY).level == OK
    assert checks.events(counts, newest + 4 * DAY).level == WARN
    assert checks.clock(counts.newest, newest + 60).level == OK
    assert checks.clock(counts.newest, newest - 3600).level == WARN
    assert checks.clock(None, 0.0).level == FAIL


def test_keys(engine: sa.Engine) -> None:
    now = datetime.now(UTC)

    def found(**at: Any) -> dict[str, str]:
        given = {"exposed": False, "key_file": False, "now": now.timestamp(), **at}
        return {one.name: one.level for one in checks.key_findings(keys.listing(engine), **given)}

    later = now.timestamp() + 2 * DAY
    assert found() == {"keys": OK}
    assert found(now=later) == {"keys": OK, "keys never used": WARN}
    key_id = keys.listing(engine)[0].key_id
    with database.writing(engine) as connection:
        keys.note_use(connection, [key_id], now.timestamp())
    assert found(now=later) == {"keys": OK}
    keys.create(engine, "short", now, keys.Terms(expires_at=now + timedelta(days=30)))
    assert found() == {"keys": OK}
    assert found(now=now.timestamp() + 25 * DAY)["keys about to end"] == WARN
    keys.rotate(engine, "short", now + timedelta(days=25), timedelta(hours=24))
    assert "keys about to end" not in found(now=now.timestamp() + 25 * DAY)
    for row in keys.listing(engine):
        keys.revoke(engine, row.key_id, now)
    assert found() == {"keys": WARN} and found(exposed=True) == {"keys": FAIL}
    assert found(exposed=True, key_file=True) == {"keys": OK}


def test_the_command_prints_a_table_and_ends_with_1_when_something_fails(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECSVC_HOME", str(place.home))
    monkeypatch.setenv("RECSVC_PORT", str(free_port()))
    result = CliRunner().invoke(cli, ["doctor"])
    assert result.exit_code == 0 and "0 warn, 0 fail" in result.output and "schema" in result.output
    monkeypatch.setenv("RECSVC_ADMIN_KEY_FILE", str(place.home / "none"))
    result = CliRunner().invoke(cli, ["doctor", "--json"])
    said = json.loads(result.stdout)
    assert result.exit_code == 1 and said["fail"] == 1
    assert all(one["advice"] for one in said["findings"] if one["level"] != OK)


def test_exposed_addresses() -> None:
    assert [machine.exposed(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "shop.example")] == [
        False, False, False, True, True,
    ]  # fmt: skip
