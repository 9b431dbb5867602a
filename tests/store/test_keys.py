"""Keys: made, followed by another, ended; only a hash is at rest."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from recsvc.errors import InvalidRequest, NotFound
from recsvc.store import database, facts, keys
from recsvc.store.keyfile import KeyFile

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def _find(engine: sa.Engine, key: str, at: datetime = NOW) -> keys.Key | None:
    return keys.find(keys.load(engine), None, key, at.timestamp())


def test_a_key_is_found_by_its_secret_and_nothing_else(engine: sa.Engine) -> None:
    key = keys.create(engine, "shop", NOW)
    found = _find(engine, key)
    assert found is not None and found.scopes == ("storefront",) and found.grants == {"storefront"}
    _, key_id, secret = key.split("_")
    wrong = secret[:-1] + ("0" if secret[-1] != "0" else "1")
    for other in (
        f"rk_{key_id}_{wrong}",
        f"rk_{key_id}_",
        f"rk__{secret}",
        f"xx_{key_id}_{secret}",
        secret,
        "",
        key + "_",
    ):
        assert _find(engine, other) is None


def test_the_secret_is_nowhere_in_the_file(engine: sa.Engine, tmp_path: Path) -> None:
    key = keys.create(engine, "shop", NOW)
    keys.rotate(engine, "shop", NOW, timedelta(hours=1))
    secret = key.split("_")[2]
    for file in tmp_path.iterdir():
        assert secret.encode() not in file.read_bytes()
        assert bytes.fromhex(secret) not in file.read_bytes()
    assert "secret_hash" not in keys.listing(engine)[0]._fields


def test_a_key_ends_by_its_days_and_by_being_revoked(engine: sa.Engine) -> None:
    key = keys.create(engine, "shop", NOW, keys.Terms(("admin",), NOW + timedelta(days=3)))
    assert _find(engine, key, NOW + timedelta(days=2)) is not None
    assert _find(engine, key, NOW + timedelta(days=3)) is None
    before = facts.read(engine).keys
    keys.revoke(engine, key.split("_")[1], NOW)
    assert _find(engine, key) is None and facts.read(engine).keys == before + 1
    with pytest.raises(NotFound):
        keys.revoke(engine, key.split("_")[1], NOW)


def test_rotation_keeps_the_terms_and_lets_the_old_one_end(engine: sa.Engine) -> None:
    old = keys.create(engine, "shop", NOW, keys.Terms(("catalog", "campaign"), NOW + timedelta(days=90), 7))
    later = NOW + timedelta(days=80)
    new = keys.rotate(engine, "shop", later, timedelta(hours=24))
    for moment, live in ((later, (True, True)), (later + timedelta(hours=25), (False, True)),
                         (later + timedelta(days=91), (False, False))):  # fmt: skip
        assert (_find(engine, old, moment) is not None, _find(engine, new, moment) is not None) == live
    found = _find(engine, new, later)
    assert found is not None and found.scopes == ("campaign", "catalog") and found.per_second == 7
    with pytest.raises(InvalidRequest, match="live keys"):
        keys.rotate(engine, "shop", later, timedelta(hours=24))
    keys.rotate(engine, "shop", later + timedelta(hours=25), timedelta(0))
    with pytest.raises(NotFound):
        keys.rotate(engine, "nobody", NOW, timedelta(0))


def test_rotation_never_lengthens_the_life_of_the_old_one(engine: sa.Engine) -> None:
    old = keys.create(engine, "shop", NOW, keys.Terms(expires_at=NOW + timedelta(hours=2)))
    keys.rotate(engine, "shop", NOW, timedelta(hours=24))
    assert _find(engine, old, NOW + timedelta(hours=3)) is None


def test_an_unknown_scope_and_a_third_live_key_are_refused(engine: sa.Engine) -> None:
    for scopes in (("root",), (), ("admin", "root")):
        with pytest.raises(InvalidRequest, match="scope"):
            keys.create(engine, "shop", NOW, keys.Terms(scopes))
    keys.create(engine, "shop", NOW)
    keys.create(engine, "shop", NOW)
    with pytest.raises(InvalidRequest, match="live keys"):
        keys.create(engine, "shop", NOW)


def test_keys_from_before_scopes_are_storefront_keys(tmp_path: Path) -> None:
    import alembic.command
    import alembic.config

    engine = database.connect(f"sqlite:///{tmp_path / 'old.db'}")
    database.make_file(engine)
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    with engine.connect().execution_options(immediate=True) as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "0001")
        connection.commit()
    engine.dispose()
    with sqlite3.connect(tmp_path / "old.db") as direct:
        direct.execute("INSERT INTO keys VALUES ('abc', ?, 'old', 1)", (keys.hashed("s" * 64),))
    direct.close()
    database.migrate(engine)
    found = _find(engine, f"rk_abc_{'s' * 64}")
    assert found is not None and found.scopes == ("storefront",) and found.per_second is None


def test_the_day_of_last_use_is_written_without_telling_the_workers(engine: sa.Engine) -> None:
    key_id = keys.create(engine, "shop", NOW).split("_")[1]
    before = facts.read(engine)
    with database.writing(engine) as connection:
        keys.note_use(connection, [key_id], NOW.timestamp())
    assert keys.listing(engine)[0].last_used_at == datetime(2026, 11, 21, tzinfo=UTC).timestamp() * 1_000_000
    assert facts.read(engine) == before


def test_the_key_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "key"
    file = KeyFile(path)
    assert file.read() is None and "cannot be read" in file.problem
    for secret in ("a" * 64, "b" * 64):  # as long, perhaps within one tick of the file's clock
        path.write_text(f"rk_ops_{secret}\n")
        found = file.read()
        assert found is not None and found.grants >= {"admin", "storefront", "catalog"} and not file.problem
        assert keys.find({}, found, f"rk_ops_{secret}", 0.0) is found
        assert keys.find({}, found, f"rk_ops_{'c' * 64}", 0.0) is None
    for content in (b"", b"rk_ops_short", b"\xff\xfe", b"rk_ops_" + b"d" * 2000, b"rk_a_b_" + b"e" * 64):
        path.write_bytes(content)
        assert file.read() is None and "rk_<id>_<secret>" in file.problem
    path.unlink()
    assert file.read() is None
    assert KeyFile(None).read() is None
