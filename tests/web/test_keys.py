"""Keys at the door: expiry, revocation, rates, the key file, the day of last use."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from recsvc.app import create_app
from recsvc.cli.app import app as cli
from recsvc.errors import InvalidRequest
from recsvc.flows import access
from recsvc.store import keys
from tests.conftest import Place

LIST = "/v1/customers/c3/recommendations"


def _shop(client: Any) -> Any:
    return client.application.extensions["recsvc"]


def _key(client: Any, **terms: Any) -> str:
    shop = _shop(client)
    key = keys.create(shop.engine, "test", datetime.now(UTC), keys.Terms(**terms))
    shop.current.refresh(shop.clock())
    return key


def _status(client: Any, key: str) -> int:
    return int(client.get(LIST, headers={"X-API-Key": key}).status_code)


def test_a_revoked_and_an_expired_key_are_401(client: Any) -> None:
    shop = _shop(client)
    key, short = _key(client), _key(client, expires_at=datetime.now(UTC) + timedelta(hours=1))
    assert _status(client, key) == _status(client, short) == 200
    keys.revoke(shop.engine, key.split("_")[1], datetime.now(UTC))
    shop.current.refresh(shop.clock())
    assert (_status(client, key), _status(client, short)) == (401, 200)
    object.__setattr__(shop, "clock", lambda: datetime.now(UTC).timestamp() + 3601)
    assert _status(client, short) == 401


def test_a_key_over_its_rate_is_429_with_retry_after(client: Any) -> None:
    key = _key(client, per_second=3)
    _shop(client).limiter.clock = lambda: 100.0
    assert [_status(client, key) for _ in range(4)] == [200, 200, 200, 429]
    reply = client.get(LIST, headers={"X-API-Key": key})
    assert reply.content_type == "application/problem+json" and reply.json["status"] == 429
    assert reply.headers["Retry-After"] == "1" and "3 requests a second" in reply.json["detail"]
    assert client.get(LIST).status_code == 200, "another key has a rate of its own"
    _shop(client).limiter.clock = lambda: 101.0
    assert _status(client, key) == 200
    assert "recsvc_rate_limited_total" in client.get("/metrics").text


def test_the_setting_limits_keys_that_say_nothing(place: Place) -> None:
    for rate, last in ((2, 429), (0, 200)):
        app = create_app(place.settings.model_copy(update={"rate_per_second": rate}))
        shop = app.extensions["recsvc"]
        shop.current.stop()
        shop.limiter.clock = lambda: 100.0
        statuses = [app.test_client().get(LIST, headers={"X-API-Key": place.key}).status_code for _ in range(3)]
        assert statuses == [200, 200, last]
        shop.engine.dispose()


def test_the_key_file_opens_every_route_and_is_read_again(place: Place, tmp_path: Any) -> None:
    path = tmp_path / "admin.key"
    path.write_text("rk_ops_" + "a" * 64)
    app = create_app(place.settings.model_copy(update={"admin_key_file": path}))
    shop, client = app.extensions["recsvc"], app.test_client()
    shop.current.stop()
    assert _status(client, "rk_ops_" + "a" * 64) == 200
    path.write_text("rk_ops_" + "b" * 64)
    shop.current.refresh(shop.clock())
    assert _status(client, "rk_ops_" + "a" * 64) == 401
    assert _status(client, "rk_ops_" + "b" * 64) == 200
    path.unlink()
    shop.current.refresh(shop.clock())
    assert _status(client, "rk_ops_" + "b" * 64) == 401
    shop.engine.dispose()


def test_last_use_is_written_once_a_day_and_not_by_the_request(client: Any) -> None:
    shop, key = _shop(client), _key(client)
    key_id = key.split("_")[1]

    def last() -> Any:
        return next(row.last_used_at for row in keys.listing(shop.engine) if row.key_id == key_id)

    written: dict[str, float] = {}
    _status(client, key)
    assert last() is None
    access.write_use(shop, written)
    day = last()
    assert day == int(shop.clock() // 86400) * 86400 * 1_000_000
    with shop.engine.begin() as connection:
        connection.execute(keys.keys.update().values(last_used_at=1))
    _status(client, key)
    access.write_use(shop, written)
    assert last() == 1, "the same day is not written again"
    shop.used[key_id] += 86400
    access.write_use(shop, written)
    assert last() == day + 86400 * 1_000_000


@pytest.fixture
def run(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("RECSVC_HOME", str(tmp_path / "home"))

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(cli, ["keys", *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return str(result.output).strip()

    return run


def test_the_command_line_makes_shows_follows_and_ends_keys(run: Any) -> None:
    key = run("create", "--name", "shop", "--scope", "catalog", "--scope", "storefront", "--days", "30",
              "--per-second", "50")  # fmt: skip
    assert re.fullmatch(r"rk_[0-9a-f]{12}_[0-9a-f]{64}", key)
    follower = run("rotate", "shop", "--overlap-hours", "2")
    listed = json.loads(run("list", "--json"))
    assert [one["key_id"] for one in listed] == [key.split("_")[1], follower.split("_")[1]]
    assert listed[0]["scopes"] == listed[1]["scopes"] == ["catalog", "storefront"]
    assert listed[0]["per_second"] == listed[1]["per_second"] == 50
    assert listed[0]["expires"] < listed[1]["expires"] and listed[0]["last_used"] is None
    assert follower.split("_")[1] in run("list")  # an id that is cut to the window cannot be revoked
    shown = run("list", "--all") + json.dumps(listed)
    assert key.split("_")[2] not in shown and follower.split("_")[2] not in shown
    run("revoke", key.split("_")[1])
    assert len(json.loads(run("list", "--json"))) == 1
    assert {one["state"] for one in json.loads(run("list", "--json", "--all"))} == {"live", "revoked"}
    with pytest.raises(InvalidRequest, match="--name"):
        run("create", "--name", " ")
