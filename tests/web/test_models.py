"""The published models over HTTP: what there is, forward, back, and never to what is damaged."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from recsvc import artifact, metrics
from tests.conftest import Place

LIST = "/v1/customers/c3/recommendations"


def _another(root: Path, day: str = "20990101") -> str:
    """Publish a copy of what is in use as a newer version, without taking it into use."""
    found = artifact.read(root, str(artifact.current(root)))
    manifest = {**found.manifest, "published_at": time.time()}
    return artifact.write(root, f"{day}T000000Z-0000", found.arrays, manifest).name


def test_models_are_listed_newest_first(client: Any, place: Place) -> None:
    root = place.settings.artifact_root
    old = str(artifact.current(root))
    new = _another(root)
    found = client.get("/v1/models").json
    assert found["current"] == found["in_use"] == old and found["refused"] == [] and found["remote"] is None
    assert [one["version"] for one in found["models"]] == [new, old]
    assert [(one["current"], one["in_use"]) for one in found["models"]] == [(False, False), (True, True)]
    manifest = artifact.read_manifest(root, old)
    one = found["models"][1]
    assert one["metrics"]["ndcg@10"] == manifest["metrics"][manifest["ordering"]]["ndcg@10"]
    assert (one["customers"], one["items"], one["interactions"]) == tuple(
        manifest["counts"][name] for name in ("customers", "items", "interactions")
    )
    assert one["bytes"] == sum(path.stat().st_size for path in (root / old).iterdir())
    assert 0 <= one["age_seconds"] < 3600 and one["problem"] is None


def test_a_model_is_taken_into_use_and_left_again(client: Any, place: Place) -> None:
    root = place.settings.artifact_root
    old = str(artifact.current(root))
    new = _another(root)
    for version in (new, old):
        reply = client.post(f"/v1/models/{version}/use")
        assert reply.status_code == 200 and reply.json["current"] == reply.json["in_use"] == version
        assert client.get(LIST).json["model_version"] == version
    assert artifact.earlier(root) == [new]


@pytest.mark.parametrize("version", ["20990101T000000Z-0001", "x", "..%2F..%2Fetc", "current"])
def test_a_version_that_does_not_exist_is_404(client: Any, place: Place, version: str) -> None:
    current = artifact.current(place.settings.artifact_root)
    _another(place.settings.artifact_root)
    reply = client.post(f"/v1/models/{version}/use")
    assert reply.status_code == 404 and "does not exist" in reply.json["detail"]
    if version.startswith("2099"):
        assert "did you mean 20990101T000000Z-0000?" in reply.json["detail"]
    assert artifact.current(place.settings.artifact_root) == current


def test_a_damaged_model_is_not_taken_into_use(client: Any, place: Place) -> None:
    root = place.settings.artifact_root
    old = artifact.current(root)
    new = _another(root)
    whole = (root / new / "factors.npy").read_bytes()
    (root / new / "factors.npy").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    before = metrics.RELOADS.labels("refused")._value.get()
    reply = client.post(f"/v1/models/{new}/use")
    assert reply.status_code == 409 and "factors" in reply.json["detail"]
    assert artifact.current(root) == old and client.get(LIST).json["model_version"] == old
    (refused,) = client.get("/v1/models").json["refused"]
    assert refused["version"] == new and "factors" in refused["reason"]
    assert metrics.RELOADS.labels("refused")._value.get() == before + 1
    (root / new / "factors.npy").write_bytes(whole)
    assert client.post(f"/v1/models/{new}/use").json["in_use"] == new
    assert client.get("/v1/models").json["refused"] == []


def test_a_damaged_version_is_listed_as_damaged(client: Any, place: Place) -> None:
    root = place.settings.artifact_root
    new = _another(root)
    path = root / new / "factors.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    short, old = client.get("/v1/models").json["models"]
    assert "factors: the file has another size" in short["problem"] and old["problem"] is None
    assert short["metrics"] == old["metrics"]
    path.unlink()
    assert "factors.npy: No such file" in client.get("/v1/models").json["models"][0]["problem"]
    path.write_bytes(whole)
    assert client.get("/v1/models").json["models"][0]["problem"] is None


def test_what_cannot_be_read_is_listed_with_the_reason(client: Any, place: Place) -> None:
    root = place.settings.artifact_root
    new = _another(root)
    (root / new / "manifest.json").write_text("{")
    one = client.get("/v1/models").json["models"][0]
    assert one["version"] == new and "no JSON" in one["problem"] and one["ordering"] is None and one["metrics"] == {}
    (root / "current").write_text("garbage\n")
    client.application.extensions["recsvc"].current.refresh(time.time())
    found = client.get("/v1/models").json
    assert found["current"] is None and found["refused"][0]["version"] == "current" and found["in_use"]
