"""The commands around what is published, as somebody types them: one at a time, forward, back, and what stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from recsvc import artifact
from tests.conftest import Place, until
from training import lock
from training.errors import Busy

SMALL = "{als: {factors: 8, iterations: 3, regularization: 1.0, alpha: 5.0}, threads: 1, publish: {keep: 2}}"
LIST = "/v1/customers/c3/recommendations"


def _run(place: Place, *arguments: str) -> Any:
    command = [sys.executable, "-m", "training", *arguments]
    environment = {**os.environ, "RECSVC_HOME": str(place.home), "COLUMNS": "60"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def _copies(root: Path, count: int) -> list[str]:
    """Publish copies of what is in use, each newer than the one before, and take each into use."""
    found = artifact.read(root, str(artifact.current(root)))
    return [
        artifact.publish(root, f"2099010{n}T000000Z-0000", found.arrays, found.manifest).name
        for n in range(1, count + 1)
    ]


def test_models_shows_what_is_published(place: Place) -> None:
    root = place.settings.artifact_root
    old, (new,) = artifact.current(root), _copies(root, 1)
    (root / "20990109T000000Z-0000").mkdir()
    shown = _run(place, "models")
    assert shown.returncode == 0 and "manifest.json: No such file" in shown.stderr
    (row,) = [line for line in shown.stdout.splitlines() if new in line]
    assert " yes " in row and "[" in row and "MB" in shown.stdout
    found = json.loads(_run(place, "models", "--json").stdout)
    assert found["current"] == new and [one["version"] for one in found["models"]][1:] == [new, old]


def test_a_version_is_promoted_once_it_is_verified(place: Place) -> None:
    root = place.settings.artifact_root
    old, (new,) = artifact.current(root), _copies(root, 1)
    assert _run(place, "promote", str(old)).returncode == 0 and artifact.current(root) == old
    unknown = _run(place, "promote", new[:-1] + "1")
    assert unknown.returncode == 2 and f"did you mean {new}?" in unknown.stderr
    already = _run(place, "promote", "current")
    assert already.returncode == 2 and f"{old} is in use already" in already.stderr
    (root / new / "factors.npy").unlink()
    damaged = _run(place, "promote", new)
    assert damaged.returncode == 2 and "factors" in damaged.stderr and artifact.current(root) == old


def test_rollback_passes_over_what_is_damaged_and_ends_at_the_first(place: Place) -> None:
    root = place.settings.artifact_root
    old = artifact.current(root)
    first, second = _copies(root, 2)
    (root / first / "factors.npy").unlink()
    back = _run(place, "rollback", "--json")
    assert json.loads(back.stdout) == {"from": second, "to": old} and f"passed over: {first}" in back.stderr
    again = _run(place, "rollback")
    assert again.returncode == 2 and "nothing to go back to" in again.stderr and artifact.current(root) == old


def test_going_back_takes_effect_in_every_worker_within_a_second(place: Place, serve: Any) -> None:
    root = place.settings.artifact_root
    old, (new,) = artifact.current(root), _copies(root, 1)
    service = serve(workers=2)

    def versions() -> set[str]:  # each request is a connection of its own, so both workers answer some
        return {service.ask("GET", LIST)[2]["model_version"] for _ in range(20)}

    assert versions() == {new}
    assert _run(place, "rollback").returncode == 0
    ended = time.monotonic()
    until(lambda: versions() == {old})
    assert time.monotonic() - ended < 2  # a second, and the answers it takes to see it on a busy machine


@pytest.mark.parametrize("arguments", [("train",), ("promote", "20990101T000000Z-0000"), ("rollback",)])
def test_while_one_run_is_on_another_ends_with_4(place: Place, arguments: tuple[str, ...]) -> None:
    with lock.held(place.settings.artifact_root):
        busy = _run(place, *arguments)
    assert busy.returncode == 4 and f"pid {os.getpid()}" in busy.stderr and " since 20" in busy.stderr


def test_a_lock_ends_with_its_process_and_not_with_the_last_of_its_children(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; from pathlib import Path; from training import lock\n"
        "with lock.held(Path(sys.argv[1])):\n"
        "    child = os.fork()\n"
        "    print(child, flush=True) if child else None\n"
        "    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    try:
        with pytest.raises(Busy, match=f"held by pid {holder.pid}"), lock.held(tmp_path):
            pass
        holder.kill()
        holder.wait()
        with lock.held(tmp_path):
            assert Path(f"/proc/{child}").exists()
    finally:
        os.kill(child, 9)
        holder.stdout.close()


def test_training_keeps_as_many_as_it_is_told_and_may_leave_the_version_in_use(place: Place, tmp_path: Path) -> None:
    (tmp_path / "training.yaml").write_text(SMALL)
    root = place.settings.artifact_root
    old = artifact.current(root)
    copies = _copies(root, 3)
    for one in copies[:2]:
        artifact.point(root, one)
    train = ("train", "--config", str(tmp_path / "training.yaml"))
    assert _run(place, *train, "--no-promote").returncode == 0
    # The two newest by name, the one in use and the one before it.
    assert artifact.current(root) == copies[1] and artifact.versions(root) == copies[::-1] and old not in copies
