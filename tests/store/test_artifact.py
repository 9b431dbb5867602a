"""The artifact: what is published is read back, what is damaged is refused, and `current` is always whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from recsvc import artifact
from recsvc.engine.model import from_artifact
from recsvc.errors import ArtifactInvalid
from tests.conftest import Place, until

NOW = datetime(2026, 11, 21, 2, tzinfo=UTC)
ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array([1, 2], np.int32),
    "c": np.empty((0, 4), np.int32),
}


def _publish(root: Path) -> str:
    version = artifact.new_version(NOW)
    artifact.publish(root, version, ARRAYS, {"who": "test"})
    return version


def _beside(root: Path) -> list[str]:
    return [path.name for path in root.iterdir() if path.name.startswith(".") and path.suffix[1:].isdigit()]


def test_what_is_published_is_read_back(tmp_path: Path) -> None:
    version = _publish(tmp_path / "artifacts")
    assert artifact.current(tmp_path / "artifacts") == version and version.startswith("20261121T020000Z-")
    found = artifact.read(tmp_path / "artifacts", version)
    assert found.manifest["who"] == "test"
    for name, array in ARRAYS.items():
        assert found.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays[name], array)
    assert isinstance(found.arrays["a"].base, np.memmap) and not found.arrays["a"].flags.writeable


def test_nothing_published_is_no_error(tmp_path: Path) -> None:
    assert artifact.current(tmp_path / "nowhere") is None


def test_a_version_is_never_overwritten(tmp_path: Path) -> None:
    version = _publish(tmp_path)
    before = (tmp_path / version / "manifest.json").read_bytes()
    folder = artifact.publish(tmp_path, version, {"a": np.zeros(1, np.int32)}, {})
    assert folder.name != version and folder.name[:-4] == version[:-4]
    assert (tmp_path / version / "manifest.json").read_bytes() == before
    assert artifact.current(tmp_path) == folder.name and _beside(tmp_path) == []


@pytest.mark.parametrize("bad", [np.array([np.nan], np.float32), np.array(["x"]), np.array([None])])
def test_what_the_reader_would_refuse_is_not_published(tmp_path: Path, bad: np.ndarray) -> None:
    with pytest.raises(ArtifactInvalid, match="a:"):
        artifact.publish(tmp_path, artifact.new_version(NOW), {"a": bad}, {})
    assert artifact.current(tmp_path) is None and artifact.versions(tmp_path) == [] and _beside(tmp_path) == []


def test_every_flipped_byte_is_refused(tmp_path: Path) -> None:
    version = _publish(tmp_path)
    path = tmp_path / version / "a.npy"
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(ArtifactInvalid, match="a: "):
            artifact.read(tmp_path, version)
    path.write_bytes(whole)
    artifact.read(tmp_path, version)


@pytest.mark.parametrize(
    "damage", ["truncate", "missing", "extra", "newer", "shape", "dtype", "manifest", "other", "link"]
)
def test_damage_is_refused(tmp_path: Path, damage: str) -> None:
    version = _publish(tmp_path)
    folder = tmp_path / version
    manifest = json.loads((folder / "manifest.json").read_text())
    array = folder / "a.npy"
    match damage:
        case "truncate":
            array.write_bytes(array.read_bytes()[:-1])
        case "missing":
            array.unlink()
        case "extra":
            manifest["arrays"]["../b"] = manifest["arrays"]["b"]
        case "newer":
            manifest["format"] = artifact.FORMAT + 1
        case "shape":
            manifest["arrays"]["a"]["shape"] = [3, 2]
        case "dtype":
            manifest["arrays"]["a"]["dtype"] = "int32"
        case "other":
            manifest["version"] = "20260101T000000Z-0000"
        case "link":
            array.rename(tmp_path / "elsewhere")
            array.symlink_to(tmp_path / "elsewhere")
    text = "{" if damage == "manifest" else json.dumps(artifact.sealed(manifest))
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ArtifactInvalid):
        artifact.read(tmp_path, version)


def test_a_pointer_to_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "current").write_text("../../etc\n")
    with pytest.raises(ArtifactInvalid, match="does not hold a version name"):
        artifact.current(tmp_path)


@pytest.mark.parametrize("name", ["factors", "own_offsets", "finished_rows", "neighbour_rows", "customer_low"])
def test_arrays_that_do_not_fit_each_other_are_refused(planted: Place, tmp_path: Path, name: str) -> None:
    root = planted.settings.artifact_root
    good = artifact.read(root, str(artifact.current(root)))
    from_artifact(good)
    for bad in (good.arrays[name][:-1], good.arrays[name][None]):
        with pytest.raises(ArtifactInvalid, match=name if bad.ndim != good.arrays[name].ndim else "shape|outside"):
            from_artifact(artifact.Artifact(good.version, good.manifest, {**good.arrays, name: bad}))


_FOREVER = """
import sys, numpy as np
from datetime import UTC, datetime
from pathlib import Path
from recsvc import artifact
while True:
    arrays = {name: np.random.default_rng(1).random((200, 200)).astype(np.float32) for name in "abcdef"}
    artifact.publish(Path(sys.argv[1]), artifact.new_version(datetime.now(UTC)), arrays, {})
"""


def test_a_publisher_killed_at_any_moment_leaves_a_whole_current(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for _ in range(12):
        child = subprocess.Popen([sys.executable, "-c", _FOREVER, str(tmp_path)], cwd=Path(__file__).parents[2])
        until((tmp_path / "current").exists)
        time.sleep(float(rng.random()) * 0.3)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        version = artifact.current(tmp_path)
        assert version is not None
        assert len(artifact.read(tmp_path, version).arrays) == 6
