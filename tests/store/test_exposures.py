"""The spool of exposures on a real disk: one that takes everything, is full, is not there, or is stuck."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsvc import metrics
from recsvc.store import exposures
from recsvc.store.exposures import ListLine, Returned, Spool
from tests.conftest import until


def _lists_in(body: bytes) -> list[tuple[ListLine, str | None]]:
    name, _, items = body.decode().partition(":")
    return [(ListLine(name, "home", "v", "personal", None, items.split(",")), "hash")]


def _returned(name: str, list_name: str = "r", at: float | None = None, items: str = "a,b") -> Returned:
    at = time.time() if at is None else at
    return Returned(name, at, None, "hit", f"etag-{list_name}", f"{list_name}:{items}".encode())


def _counted(result: str) -> float:
    return metrics.EXPOSURES.labels(result)._value.get()


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own of 256 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(folder)], check=False)
    if made.returncode:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_list_is_written_once_a_segment_and_each_reply_names_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "x", 90, _lists_in)
    for n in range(100):
        spool.put(_returned(f"e{n}", f"r{n % 2}"))
    spool.close()
    [segment] = (tmp_path / "x").iterdir()
    lines = segment.read_bytes().splitlines()
    assert len(lines) == 102 and segment.stat().st_mode & 0o777 == 0o600
    found = list(exposures.read(tmp_path / "x"))
    assert [one.shown.exposure_id for one in found] == [f"e{n}" for n in range(100)]
    assert [one.listed.recommendation_id for one in found[:2]] == ["r0", "r1"] and found[0].listed.items == ["a", "b"]


def test_two_processes_that_return_one_list_both_say_what_is_in_it(tmp_path: Path) -> None:
    for name in ("one", "two"):
        spool = Spool(tmp_path, 90, _lists_in)
        spool.put(_returned(name))
        spool.close()
    first = min(tmp_path.iterdir())
    first.unlink()
    assert [one.listed.items for one in exposures.read(tmp_path)] == [["a", "b"]]


def test_a_line_that_is_not_whole_costs_only_itself(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 90, _lists_in)
    for n in range(3):
        spool.put(_returned(f"e{n}"))
    spool.close()
    [segment] = tmp_path.iterdir()
    segment.write_bytes(segment.read_bytes()[:-20])
    assert [one.shown.exposure_id for one in exposures.read(tmp_path)] == ["e0", "e1"]
    segment.write_bytes(segment.read_bytes().replace(b'"e0"', b'\x00"e0'))
    assert [one.shown.exposure_id for one in exposures.read(tmp_path)] == ["e1"]


def test_what_was_put_is_on_the_disk_in_a_fifth_of_a_second(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 90, _lists_in)
    took = []
    for n in range(5):
        spool.put(_returned(f"e{n}"))
        put = time.monotonic()
        until(lambda n=n: f"e{n}" in {one.shown.exposure_id for one in exposures.read(tmp_path)})
        took.append(time.monotonic() - put)
    spool.close()
    assert sorted(took)[2] < 0.2  # the median: others use the machine too


def test_segments_are_begun_anew_by_size_and_old_ones_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposures, "_SEGMENT_BYTES", 1000)
    old, recent = tmp_path / "20200101T000000Z-1-aa.ndjson", tmp_path / "20200102T000000Z-1-aa.ndjson"
    for path, days in ((old, 31), (recent, 29)):
        path.touch()
        os.utime(path, (time.time() - days * 86400,) * 2)
    spool = Spool(tmp_path, 30, _lists_in)
    for n in range(60):
        spool.put(_returned(f"e{n}"))
        if n % 20 == 19:
            until(lambda n=n: len(list(exposures.read(tmp_path))) == n + 1)
    spool.close()
    assert not old.exists() and recent.exists()
    assert len(list(tmp_path.iterdir())) == 1 + 3 and len(list(exposures.read(tmp_path))) == 60


def test_what_is_older_than_asked_for_is_not_read(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 90, _lists_in)
    now = time.time()
    spool.put(_returned("before", at=now - 60))
    spool.put(_returned("after", at=now))
    spool.close()
    assert [one.shown.exposure_id for one in exposures.read(tmp_path, now - 1)] == ["after"]
    assert not list(exposures.read(tmp_path, now + 60))


def test_a_folder_that_cannot_be_costs_exposures_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    spool = Spool(tmp_path / "file", 90, _lists_in)
    before = _counted("dropped")
    spool.put(_returned("e1"))
    until(lambda: _counted("dropped") == before + 1)
    (tmp_path / "file").unlink()

    def written() -> bool:
        spool.put(_returned("e2"))
        return (tmp_path / "file").is_dir() and bool(list(exposures.read(tmp_path / "file")))

    until(written)
    spool.close()


def test_a_full_disk_holds_whole_lines_and_is_written_again_when_there_is_room(tiny: Path) -> None:
    ballast = tiny / "ballast"
    ballast.write_bytes(bytes(200 * 1024))
    spool = Spool(tiny / "x", 90, _lists_in, keep_free=0)
    before, n = _counted("dropped"), 0
    while _counted("dropped") == before:
        spool.put(_returned(f"e{n}", f"r{n}", items="a" * 4000))
        n += 1
        time.sleep(0.001)
    for path in (tiny / "x").iterdir():
        assert path.read_bytes().endswith(b"\n") and path.stat().st_size
    ballast.unlink()
    until(lambda: spool.put(_returned("again")) or "again" in {x.shown.exposure_id for x in exposures.read(tiny / "x")})
    spool.close()


def test_room_that_the_database_may_need_is_left(tiny: Path) -> None:
    spool = Spool(tiny / "x", 90, _lists_in)
    before = _counted("dropped")
    spool.put(_returned("e1"))
    until(lambda: _counted("dropped") == before + 1)
    spool.close()
    assert not list((tiny / "x").iterdir())


def test_a_stuck_disk_holds_nobody_up_and_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposures, "_WAITING_BYTES", 100_000)
    stuck, reading = threading.Event(), threading.Event()

    def hang(body: bytes) -> list[tuple[ListLine, str | None]]:
        reading.set()
        stuck.wait()
        return _lists_in(body)

    # The writer is held where it would be held by a disk: in the middle of a batch.
    spool = Spool(tmp_path, 90, hang)
    spool.put(_returned("e0"))
    assert reading.wait(10)
    before, slowest = _counted("dropped"), 0.0
    for n in range(200):
        began = time.perf_counter()
        spool.put(_returned(f"f{n}", items="a" * 1000))
        slowest = max(slowest, time.perf_counter() - began)
    assert 90 <= _counted("dropped") - before <= 110 and slowest < 0.1
    stuck.set()
    spool.close()
    assert 90 <= len(list(exposures.read(tmp_path))) <= 111
