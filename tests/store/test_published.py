"""Models in a remote store: whole or not there, followed when it can be, kept when it is away. On three kinds of store."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import fsspec
import numpy as np
import pytest
from moto.server import ThreadedMotoServer

from recsvc import artifact, promotions
from recsvc.errors import ArtifactInvalid, InvalidRequest, NotFound, Unavailable
from recsvc.settings import Settings
from recsvc.store import published
from recsvc.store.published import Published
from tests.conftest import Place, until

LIST = "/v1/customers/c3/recommendations"


@dataclass
class Store:
    """A remote and how to reach it. `variables`: what a process needs in its environment."""

    url: str
    home: Path
    server: ThreadedMotoServer | None = None
    variables: dict[str, str] = field(default_factory=dict)

    def host(self, name: str) -> Published:
        """Return what a host of this name sees."""
        return published.opened(Settings(home=self.home / name, artifacts=self.url))

    def write(self, path: str, content: bytes) -> None:
        """Put bytes there, past everything."""
        fs, base = fsspec.core.url_to_fs(self.url, skip_instance_cache=True)
        if not self.server:
            fs.makedirs(f"{base}/{path}".rpartition("/")[0], exist_ok=True)
        fs.pipe_file(f"{base}/{path}", content)


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A real S3 server on loopback, with a bucket of this test's own."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    variables = {
        "AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    bucket = tmp_path.name.replace("_", "-").lower()[-40:].strip("-")
    boto3.client("s3").create_bucket(Bucket=bucket)
    yield Store(f"s3://{bucket}/models", tmp_path, server, variables)
    server.stop()


@pytest.fixture(params=["file", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty remote of each kind."""
    if request.param == "s3":
        found = request.getfixturevalue("s3")
        assert isinstance(found, Store)
        return found
    return Store(f"file://{tmp_path}/remote" if request.param == "file" else f"memory://{tmp_path.name}", tmp_path)


def _publish(host: Published, second: int = 0, use: bool = True) -> str:
    version = artifact.new_version(datetime(2026, 11, 21, 2, 0, second, tzinfo=UTC))
    arrays = {"a": np.arange(50, dtype=np.float32), "b": np.full(9, second)}
    name = artifact.write(host.root, version, arrays, {"published_at": time.time()}).name
    host.upload(name)
    if use:
        host.use(name)
    return name


def test_what_one_host_publishes_the_others_follow(store: Store) -> None:
    trains, serves = store.host("trains"), store.host("serves")
    assert serves.listing(0).versions == [] and serves.follow() is None and serves.earlier() == []
    first = _publish(trains, 1)
    assert serves.follow() == first and serves.follow() is None
    assert artifact.current(serves.root) == first
    assert artifact.read(serves.root, first).arrays["b"].tolist() == [1] * 9
    waits = _publish(trains, 2, use=False)
    assert serves.follow() is None and artifact.versions(serves.root) == [first]
    seen = serves.listing(time.time())
    assert [one["version"] for one in seen.versions] == [waits, first] and seen.current == first and not seen.away
    assert all(one["problem"] is None and one["bytes"] > 500 for one in seen.versions)


def test_what_is_cut_short_in_the_remote_is_listed_as_damaged(tmp_path: Path) -> None:
    store = Store(f"file://{tmp_path}/remote", tmp_path)
    trains, serves = store.host("trains"), store.host("serves")
    version = _publish(trains)
    assert serves.names() == (version, [version]) and serves.listing(0).versions[0]["problem"] is None
    path = tmp_path / "remote" / version / "b.npy"
    path.write_bytes(path.read_bytes()[:-1])
    assert "cut short" in serves.listing(0).versions[0]["problem"]


def test_any_host_goes_forward_and_back_and_all_follow(store: Store) -> None:
    trains, serves = store.host("trains"), store.host("serves")
    a, b, c = (_publish(trains, n) for n in (1, 2, 3))
    assert serves.follow() == c and serves.earlier() == [b, a]
    serves.fetch(b)
    serves.use(b, promotions.ROLLED_BACK)
    assert trains.follow() == b and trains.earlier() == [a]
    with pytest.raises(NotFound, match=f"did you mean {c}"):
        serves.fetch(f"{c[:-1]}{'0' if c[-1] != '0' else '1'}")
    trains.retain(1)
    assert [one["version"] for one in trains.listing(0).versions] == [c, b, a]  # newest, in use, before it


def test_old_versions_go_in_the_store_and_on_every_host(store: Store) -> None:
    trains, serves = store.host("trains"), store.host("serves")
    names = []
    for n in range(5):
        names.append(_publish(trains, n))
        trains.retain(2)
        assert serves.follow() == names[-1]
    assert artifact.versions(trains.root) == artifact.versions(serves.root) == names[:2:-1]
    assert [one["version"] for one in store.host("another").listing(0).versions] == names[:2:-1]


def test_half_a_version_is_not_there(store: Store) -> None:
    trains, serves = store.host("trains"), store.host("serves")
    good = _publish(trains, 1)
    # Killed before the manifest: long ago, and just now.
    store.write("20260101T000000Z-0000/a.npy", b"half")
    young = artifact.new_version(datetime.now(UTC))
    store.write(f"{young}/a.npy", b"half")
    assert [one["version"] for one in serves.listing(0).versions] == [good]
    with pytest.raises(NotFound):
        serves.fetch(young)
    trains.retain(5)
    assert serves.remote is not None
    assert {version for version, _ in serves.remote._files()} == {good, young}


@pytest.mark.parametrize("damage", ["array", "manifest", "missing", "pointer", "nowhere"])
def test_what_is_damaged_in_the_store_is_not_taken_into_use(store: Store, damage: str) -> None:
    trains, serves = store.host("trains"), store.host("serves")
    good = _publish(trains, 1)
    serves.follow()
    bad = _publish(trains, 2)
    match damage:
        case "array":
            store.write(f"{bad}/a.npy", b"x" * 328)
        case "manifest":
            store.write(f"{bad}/manifest.json", b"{}")
        case "missing":
            fs, base = fsspec.core.url_to_fs(store.url, skip_instance_cache=True)
            fs.rm_file(f"{base}/{bad}/a.npy")
        case "pointer":
            store.write("current", b"../../etc")
        case "nowhere":
            store.write("current", b"20990101T000000Z-0000\n")
    with pytest.raises(ArtifactInvalid):
        serves.follow()
    assert artifact.current(serves.root) == good and artifact.versions(serves.root) == [good]
    assert not [path for path in serves.root.iterdir() if path.suffix[1:].isdigit()]
    trains.use(good)
    assert serves.follow() is None and artifact.read(serves.root, good)


def test_what_is_damaged_here_is_brought_again(store: Store) -> None:
    trains, serves = store.host("trains"), store.host("serves")
    version = _publish(trains, 1)
    serves.follow()
    (serves.root / version / "a.npy").write_bytes(b"")
    assert serves.fetch(version).arrays["a"].shape == (50,)


def test_one_of_many_brings_a_version_here(store: Store) -> None:
    version = _publish(store.host("trains"), 1)
    fetched: list[str] = []
    threads = [
        threading.Thread(target=lambda: fetched.append(store.host("serves").fetch(version).version)) for _ in "1234"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fetched == [version] * 4


def test_a_store_that_is_away_is_said_and_leaves_what_is_here(s3: Store) -> None:
    trains, serves = s3.host("trains"), s3.host("serves")
    version = _publish(trains, 1)
    serves.follow()
    assert s3.server is not None
    s3.server.stop()
    for ask in (serves.follow, lambda: serves.use(version), lambda: serves.fetch("20990101T000000Z-0000")):
        with pytest.raises(Unavailable, match=r"RECSVC_ARTIFACTS: s3://.* cannot be used now"):
            ask()
    found = serves.listing(time.time())
    assert found.away and found.current == version and [one["version"] for one in found.versions] == [version]
    assert serves.fetch(version).version == version


@pytest.mark.parametrize(("url", "words"), [("nothing://x", "nothing"), ("gs://x/y", "install")])
def test_a_url_that_cannot_be_used_is_named(tmp_path: Path, url: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=f"RECSVC_ARTIFACTS: .*{words}"):
        published.opened(Settings(home=tmp_path, artifacts=url))


def test_a_path_stays_a_path(tmp_path: Path) -> None:
    here = published.opened(Settings(home=tmp_path, artifacts=str(tmp_path / "x")))
    assert here.remote is None and here.root == tmp_path / "x"
    assert Settings(home=tmp_path).artifact_root == tmp_path / "artifacts"


@pytest.mark.slow
def test_a_shop_trains_into_s3_and_serves_from_it(place: Place, serve: Any, s3: Store, tmp_path: Path) -> None:
    """Two hosts, real commands: one trains, the other serves, goes back, and serves on while the store is away."""
    (tmp_path / "training.yaml").write_text("{als: {factors: 8, iterations: 3}, threads: 1}")
    trains = {**os.environ, "RECSVC_HOME": str(place.home), "RECSVC_ARTIFACTS": s3.url}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "training", *arguments]
        return subprocess.run(command, env=trains, check=True, capture_output=True, text=True, timeout=120).stdout

    shutil.rmtree(place.home / "artifacts")
    serves = tmp_path / "serves"
    serves.mkdir()
    shutil.copy(place.home / "recsvc.db", serves / "recsvc.db")
    service = serve(home=serves, artifacts=s3.url, redis_url="off")

    def versions() -> set[str]:
        return {service.ask("GET", LIST)[2]["model_version"] for _ in range(20)}

    assert versions() == {None}
    for _ in range(2):
        run("train", "--config", str(tmp_path / "training.yaml"))
    new, old = (one["version"] for one in json.loads(run("models", "--json"))["models"])
    until(lambda: versions() == {new})
    run("rollback")
    until(lambda: versions() == {old})
    assert service.ask("POST", f"/v1/models/{new}/use")[0] == 200
    until(lambda: versions() == {new})
    assert s3.server is not None
    s3.server.stop()
    status, _, found = service.ask("GET", "/v1/models")
    assert status == 200 and found["remote"] and found["in_use"] == new
    status, _, problem = service.ask("POST", f"/v1/models/{old}/use")
    assert status == 503 and "s3://" in problem["detail"]
    assert versions() == {new} and service.ask("GET", "/readyz")[0] == 200
    late = serve(home=serves, artifacts=s3.url, redis_url="off")
    assert late.ask("GET", LIST)[2]["model_version"] == new
