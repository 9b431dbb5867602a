"""Faults around what is published: training killed at any moment, and artifacts damaged in every way."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsvc import artifact
from recsvc.engine.model import from_artifact
from tests.conftest import Place

LIST = "/v1/customers/c3/recommendations"
KILLS = int(os.environ.get("RECSVC_TEST_RUN_KILLS", "200"))
DAMAGES = int(os.environ.get("RECSVC_TEST_DAMAGES", "500"))
# Small, so that much of the run is publishing.
SMALL = """{als: {factors: 4, iterations: 1}, neighbours: {keep: 10}, lists: {depth: 10}, split: {customers: 30},
            holdout: {customers: 30, visits: 1}, threads: 1, publish: {keep: 3}}"""


def _train(home: Path, config: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "training", "train", "--config", str(config)]
    environment = {**os.environ, "RECSVC_HOME": str(home)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _train_to_the_end(home: Path, config: Path) -> None:
    child = _train(home, config)
    _, said = child.communicate()
    assert child.returncode == 0, said


def _beside(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.name.startswith(".") and path.suffix[1:].isdigit()]


def _all_whole(root: Path) -> str:
    """Return the version in use; it and every other that is published can be read."""
    version = artifact.current(root)
    assert version is not None
    for one in {version, *artifact.versions(root)}:
        from_artifact(artifact.read(root, one))
    return version


def _wait_for_publishing(child: subprocess.Popen[bytes], root: Path) -> None:
    left = {path.name for path in _beside(root)}
    while child.poll() is None and {path.name for path in _beside(root)} <= left:
        time.sleep(0.001)


@pytest.mark.slow
def test_a_training_killed_at_any_moment_leaves_the_model_in_use_whole(place: Place, tmp_path: Path) -> None:
    """Half of the kills anywhere in the run, half while it publishes: with nothing between them but a look."""
    root, config = place.settings.artifact_root, tmp_path / "training.yaml"
    config.write_text(SMALL)
    started = time.monotonic()
    _train_to_the_end(place.home, config)
    lasts = time.monotonic() - started
    rng = random.Random(11)
    found: Counter[str] = Counter()
    for turn in itertools.count():
        if found["killed"] == KILLS:
            break
        before, started = _all_whole(root), time.monotonic()
        child = _train(place.home, config)
        if turn % 2:
            _wait_for_publishing(child, root)
            time.sleep(rng.random() ** 3 * 0.15)  # most while files are being written
        else:
            time.sleep(rng.random() * lasts)
        child.send_signal(signal.SIGKILL)
        _, said = child.communicate()
        assert b"held by" not in said, said  # the lock of the one killed before is gone
        after = _all_whole(root)
        found["another in use" if after != before else "the same in use"] += 1
        found["orphans"] += len(_beside(root)) > 0
        ended = child.returncode == 0
        found["had ended" if ended else "killed"] += 1
        lasts = min(lasts, time.monotonic() - started) if ended else lasts
    _train_to_the_end(place.home, config)
    assert _all_whole(root) == artifact.versions(root)[0]
    assert _beside(root) == [] and len(artifact.versions(root)) <= 3 + 2
    print(f"kills of a run of {lasts:.1f} s: {dict(found)}")  # pytest -rP shows it
    assert found["orphans"]


def _flip(folder: Path, rng: random.Random) -> None:
    path = _some(folder, rng)
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def _truncate(folder: Path, rng: random.Random) -> None:
    path = _some(folder, rng)
    os.truncate(path, rng.randrange(path.stat().st_size))


def _append(folder: Path, rng: random.Random) -> None:
    with _array(folder, rng).open("ab") as file:
        file.write(rng.randbytes(rng.randrange(1, 100)))


def _delete(folder: Path, rng: random.Random) -> None:
    _some(folder, rng).unlink()


def _foreign(folder: Path, rng: random.Random) -> None:
    path = _some(folder, rng)
    kind = rng.choice(["bytes", "link", "folder", "pickle", "array"])
    path.unlink()
    match kind:
        case "bytes":
            path.write_bytes(rng.randbytes(rng.randrange(5000)))
        case "link":
            path.symlink_to("/etc/hostname")
        case "folder":
            path.mkdir()
        case "pickle":
            np.save(path.with_suffix(".npy"), np.array([{}], object), allow_pickle=True)
            path.with_suffix(".npy").rename(path)
        case "array":
            with path.open("wb") as file:
                np.save(file, np.arange(7.0))


def _swap(folder: Path, rng: random.Random) -> None:
    while True:
        one, other = rng.sample(_arrays(folder), 2)
        if one.read_bytes() != other.read_bytes():
            break
    one.rename(folder / "between")
    other.rename(one)
    (folder / "between").rename(other)


def _newer(folder: Path, rng: random.Random) -> None:
    _reseal(folder, {"format": artifact.FORMAT + rng.randrange(1, 9)})


def _another(folder: Path, rng: random.Random) -> None:
    _reseal(folder, {"version": f"2026010{rng.randrange(1, 9)}T000000Z-0000"})


def _nan(folder: Path, rng: random.Random) -> None:
    """NaN or infinity, under a manifest that fits."""
    path = rng.choice([one for one in _arrays(folder) if np.load(one).dtype.kind == "f" and np.load(one).size])
    array = np.load(path)
    array.flat[rng.randrange(array.size)] = rng.choice([np.nan, np.inf, -np.inf])
    _resave(folder, path, array)


def _shape(folder: Path, rng: random.Random) -> None:
    """An array of another shape or type, under a manifest that fits; the other arrays do not."""
    name = rng.choice(["factors", "own_offsets", "finished_rows", "neighbour_offsets", "customer_low", "popularity"])
    path = folder / f"{name}.npy"
    array = np.load(path)
    _resave(folder, path, rng.choice([array[:-1], array[None], np.concatenate([array, array])]))


def _edit(folder: Path, rng: random.Random) -> None:
    """A line of the manifest taken out, or a digit in it changed, by hand."""
    path = folder / "manifest.json"
    text = path.read_text()
    if rng.random() < 0.5:
        lines = text.splitlines(keepends=True)
        del lines[rng.randrange(len(lines))]
        path.write_text("".join(lines))
    else:
        places = [i for i, letter in enumerate(text) if letter.isdigit()]
        at = rng.choice(places)
        path.write_text(text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :])


DAMAGE: list[Callable[[Path, random.Random], None]] = [
    _flip, _flip, _truncate, _append, _delete, _foreign, _swap, _newer, _another, _nan, _shape, _edit, _edit,
]  # fmt: skip


def _arrays(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.npy"))


def _array(folder: Path, rng: random.Random) -> Path:
    return rng.choice(_arrays(folder))


def _some(folder: Path, rng: random.Random) -> Path:
    """An array, or in one of eight cases the manifest."""
    return folder / "manifest.json" if rng.random() < 0.125 else _array(folder, rng)


def _resave(folder: Path, path: Path, array: Any) -> None:
    np.save(path, array)
    entries = json.loads((folder / "manifest.json").read_text())["arrays"]
    sha256 = artifact._hash(path)
    entries[path.stem] = {
        "shape": list(array.shape), "dtype": array.dtype.name, "bytes": path.stat().st_size, "sha256": sha256,
    }  # fmt: skip
    _reseal(folder, {"arrays": entries})


def _reseal(folder: Path, change: dict[str, Any]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(artifact.sealed({**manifest, **change}), indent=1))


@pytest.mark.slow
def test_no_damaged_model_is_taken_into_use_and_the_service_is_unharmed(place: Place, client: Any) -> None:
    """Each by the pointer and by the API; half of them after the whole one was verified, so that a marker is there."""
    root, shop = place.settings.artifact_root, client.application.extensions["recsvc"]
    good = str(artifact.current(root))
    whole = client.get(LIST).json["items"]
    rng = random.Random(3)
    for number in range(DAMAGES):
        damage = DAMAGE[number % len(DAMAGE)]
        bad = f"20990101T{number // 3600:02}{number // 60 % 60:02}{number % 60:02}Z-0000"
        folder = root / bad
        shutil.copytree(root / good, folder)
        _reseal(folder, {"version": bad})
        if number % 2:
            artifact.read(root, bad)
        damage(folder, rng)
        reply = client.post(f"/v1/models/{bad}/use")
        assert reply.status_code == 409, (damage.__name__, reply.json)
        assert artifact.current(root) == good
        artifact.point(root, bad)
        shop.current.refresh(time.time())
        assert shop.current.snapshot.version == good and bad in shop.current.refused(), damage.__name__
        found = client.get(LIST)
        assert found.status_code == 200 and found.json["items"] == whole and found.json["model_version"] == good
        assert client.get("/v1/models").status_code == 200
        artifact.point(root, good)
        shutil.rmtree(folder)
