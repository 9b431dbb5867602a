"""The artifact root over time: what was in use before, what stays, what goes, and who verifies."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recsvc import artifact, promotions, roots, verified
from recsvc.errors import ArtifactInvalid

DAY = datetime(2026, 11, 21, 2, tzinfo=UTC)
ROUNDS = int(os.environ.get("RECSVC_TEST_ROUNDS", "20"))


def _publish(root: Path, second: int, write: Any = artifact.publish) -> str:
    """Publish version number `second`."""
    folder = write(root, artifact.new_version(DAY.replace(second=second)), {"a": np.arange(9, dtype=np.float32)}, {})
    assert isinstance(folder, Path)
    return folder.name


def _hidden(root: Path) -> set[str]:
    return {path.name for path in root.iterdir() if path.name.startswith(".")} - {".lock"}


def test_what_is_written_without_being_promoted_leaves_the_version_in_use(tmp_path: Path) -> None:
    first = _publish(tmp_path, 1)
    second = _publish(tmp_path, 2, artifact.write)
    assert artifact.current(tmp_path) == first and artifact.versions(tmp_path) == [second, first]
    assert len((tmp_path / "promotions").read_text().splitlines()) == 1


def test_going_back_leads_through_the_versions_that_were_in_use(tmp_path: Path) -> None:
    a, b, never, c = (_publish(tmp_path, n, artifact.write if n == 3 else artifact.publish) for n in (1, 2, 3, 4))
    assert artifact.earlier(tmp_path) == [b, a]
    artifact.point(tmp_path, b, promotions.ROLLED_BACK)
    assert artifact.earlier(tmp_path) == [a]  # not c, which was gone back from
    artifact.point(tmp_path, never)
    assert artifact.earlier(tmp_path) == [b, a]
    artifact.point(tmp_path, c)
    assert artifact.earlier(tmp_path) == [never, b, a]
    lines = [line.split()[1:] for line in (tmp_path / "promotions").read_text().splitlines()]
    words = [
        (a, "promoted"),
        (b, "promoted"),
        (c, "promoted"),
        (b, "rolled-back"),
        (never, "promoted"),
        (c, "promoted"),
    ]
    assert lines == [list(one) for one in words]


def test_a_promotion_that_a_kill_cut_short_does_not_count(tmp_path: Path) -> None:
    a, b, c = (_publish(tmp_path, n) for n in (1, 2, 3))
    artifact.point(tmp_path, b, promotions.ROLLED_BACK)
    with (tmp_path / "promotions").open("a") as file:  # recorded, and killed before the pointer was replaced
        file.write(f"2026-11-21T02:00:00.000000Z {c} promoted\n2026-11-21T02:0")
    assert artifact.current(tmp_path) == b and artifact.earlier(tmp_path) == [a]
    d = _publish(tmp_path, 4)
    assert artifact.earlier(tmp_path) == [b, a] and artifact.current(tmp_path) == d


def test_a_pointer_written_by_hand_counts(tmp_path: Path) -> None:
    a, b, c = (_publish(tmp_path, n, artifact.write) for n in (1, 2, 3))
    (tmp_path / "current").write_text(f"{a}\n")
    artifact.point(tmp_path, b)
    assert artifact.earlier(tmp_path) == [a]
    (tmp_path / "current").write_text(f"{c}\n")
    assert artifact.earlier(tmp_path) == [b, a]


def test_the_newest_stay_and_the_one_in_use_and_the_one_before_it(tmp_path: Path) -> None:
    names = [_publish(tmp_path, n) for n in range(9)]
    artifact.read(tmp_path, names[2])
    artifact.point(tmp_path, names[1])
    artifact.point(tmp_path, names[0])
    gone = artifact.retain(tmp_path, 3)
    assert gone == [names[n] for n in (5, 4, 3, 2)]
    assert artifact.versions(tmp_path) == [names[n] for n in (8, 7, 6, 1, 0)] and _hidden(tmp_path) == set()
    assert artifact.current(tmp_path) == names[0] and artifact.earlier(tmp_path)[0] == names[1]


def test_nothing_is_removed_while_nobody_knows_what_is_in_use(tmp_path: Path) -> None:
    names = [_publish(tmp_path, n) for n in range(3)]
    (tmp_path / "current").write_text("garbage\n")
    assert artifact.retain(tmp_path, 1) == [] and artifact.versions(tmp_path) == names[::-1]


def test_what_killed_processes_left_goes_and_what_is_being_written_stays(tmp_path: Path) -> None:
    _publish(tmp_path, 1)
    # The id of a process that lives: an orphan all the same, as nobody holds it. In containers ids come again.
    (tmp_path / f".20261121T000000Z-0000.{os.getpid()}").mkdir()
    (tmp_path / f".20261121T000000Z-0000.{os.getpid()}" / "a.npy").write_bytes(b"half")
    (tmp_path / ".current.7").write_text("half")
    (tmp_path / ".20261121T000000Z-0001.verified").write_text("{}")
    with roots.beside(tmp_path, "20261121T000000Z-0002") as (folder, _):
        assert _hidden(tmp_path) == {folder.name}
        _publish(tmp_path, 2)
        assert _hidden(tmp_path) == {folder.name}


def _round(root: Path, barrier: Any, answers: Any) -> None:
    version = "20261121T020000Z-fffe"  # all want the same name
    barrier.wait()
    for _ in range(3):
        answers.put(artifact.publish(root, version, {"a": np.full(1000, os.getpid())}, {"pid": os.getpid()}).name)
        artifact.retain(root, 100)


@pytest.mark.slow
def test_eight_processes_that_publish_at_once_never_collide(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    for turn in range(ROUNDS):
        root = tmp_path / str(turn)
        barrier, answers = context.Barrier(8), context.Queue()
        children = [context.Process(target=_round, args=(root, barrier, answers)) for _ in range(8)]
        for child in children:
            child.start()
        names = [answers.get(timeout=60) for _ in range(24)]
        for child in children:
            child.join()
        assert [child.exitcode for child in children] == [0] * 8
        assert len(set(names)) == 24 and set(names) == set(artifact.versions(root))
        for name in names:
            found = artifact.read(root, name)
            assert (found.arrays["a"] == found.manifest["pid"]).all()
        lines = [line.split() for line in (root / "promotions").read_text().splitlines()]
        assert sorted(line[1] for line in lines) == sorted(names) and lines[-1][1] == artifact.current(root)
        assert {name for name in _hidden(root) if not name.endswith(".verified")} == set()


def _needed(root: Path, version: str) -> bool:
    content = (root / version / "manifest.json").read_bytes()
    with verified.once(root, version, artifact.files(artifact.parse_manifest(content, version)), content) as needed:
        return needed


def test_a_version_is_verified_once(tmp_path: Path) -> None:
    version = _publish(tmp_path, 1)
    inside = sorted(path.name for path in (tmp_path / version).iterdir())
    artifact.read(tmp_path, version)
    assert not _needed(tmp_path, version)
    assert sorted(path.name for path in (tmp_path / version).iterdir()) == inside


def test_of_processes_that_start_together_one_verifies(tmp_path: Path) -> None:
    version = _publish(tmp_path, 1)
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(8), context.Queue()

    def ask() -> None:
        barrier.wait()
        answers.put(_needed(tmp_path, version))

    children = [context.Process(target=ask) for _ in range(8)]
    for child in children:
        child.start()
    assert sorted(answers.get(timeout=60) for _ in children) == [False] * 7 + [True]
    for child in children:
        child.join()


@pytest.mark.parametrize("change", ["content", "time", "inode", "manifest", "boot", "torn"])
def test_a_marker_that_does_not_fit_means_verifying_again(tmp_path: Path, change: str) -> None:
    version = _publish(tmp_path, 1)
    artifact.read(tmp_path, version)
    path, marker = tmp_path / version / "a.npy", tmp_path / f".{version}.verified"
    content, stat = path.read_bytes(), path.stat()
    match change:
        case "content":  # of the same size, its time set back
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        case "time":
            os.utime(path)
        case "inode":
            path.rename(tmp_path / "old")
            path.write_bytes(content)
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        case "manifest":
            manifest = json.loads((tmp_path / version / "manifest.json").read_text())
            (tmp_path / version / "manifest.json").write_text(json.dumps(artifact.sealed({**manifest, "x": 1})))
        case "boot":
            marker.write_text(json.dumps({**json.loads(marker.read_text()), "boot": "another"}))
        case "torn":
            marker.write_text(marker.read_text()[:-9])
    if change == "content":
        for _ in range(2):
            with pytest.raises(ArtifactInvalid, match="checksum"):
                artifact.read(tmp_path, version)
        path.write_bytes(content)
    assert _needed(tmp_path, version)
    artifact.read(tmp_path, version)
    assert not _needed(tmp_path, version)


def test_what_fails_leaves_no_marker(tmp_path: Path) -> None:
    version = _publish(tmp_path, 1)
    (tmp_path / version / "a.npy").write_bytes(b"x" * (tmp_path / version / "a.npy").stat().st_size)
    with pytest.raises(ArtifactInvalid):
        artifact.read(tmp_path, version)
    assert _needed(tmp_path, version)


def test_the_time_of_a_promotion_is_in_the_record(tmp_path: Path) -> None:
    before = time.time()
    version = _publish(tmp_path, 1)
    at, name, how = (tmp_path / "promotions").read_text().split()
    assert before - 1 <= datetime.fromisoformat(at).timestamp() <= time.time() and (name, how) == (version, "promoted")
