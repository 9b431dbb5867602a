"""The record of exposures while workers are killed and the disk is not there: real processes, a checker that reads files."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from recsvc.flows import exposures
from tests.conftest import Place, children, until

LIST = "/v1/customers/c{}/recommendations?limit=5"


def _workers(pid: int) -> list[int]:
    """Processes of gunicorn but the first, which started the others."""
    found = [p for p in children(pid) if b"gunicorn" in Path(f"/proc/{p}/cmdline").read_bytes()]
    return sorted(found)[1:]


@pytest.mark.slow
def test_a_killed_worker_loses_the_exposures_of_the_last_fifth_of_a_second_at_most(place: Place, serve: Any) -> None:
    service = serve()
    answered: list[tuple[float, str]] = []
    stop = threading.Event()

    def ask(n: int) -> None:
        while not stop.is_set():
            status, headers, _ = service.ask("GET", LIST.format(n % 40))
            n += 1
            if status == 200:
                answered.append((time.monotonic(), headers["X-Exposure-Id"]))

    kills: list[float] = []
    with ThreadPoolExecutor(4) as pool:
        for n in range(4):
            pool.submit(ask, 10 * n)
        for _ in range(4):
            count = len(answered)
            until(lambda count=count: len(answered) > count + 100)
            os.kill(_workers(service.process.pid)[0], signal.SIGKILL)
            kills.append(time.monotonic())
            until(lambda: len(_workers(service.process.pid)) == 2)
        count = len(answered)
        until(lambda: len(answered) > count + 100)
        stop.set()
    service.process.send_signal(signal.SIGTERM)
    service.process.wait(30)
    shown = [row["exposure_id"] for row in exposures.rows(place.home / "exposures", 0) if row["slot"] == 1]
    assert len(shown) == len(set(shown))
    lost = [at for at, exposure_id in answered if exposure_id not in set(shown)]
    # 0.2 s, and as much again for threads that wait for a busy machine.
    assert all(any(kill - 0.4 <= at <= kill + 0.2 for kill in kills) for at in lost), (kills, lost)
    assert len(shown) > 300


def test_a_service_that_cannot_record_answers_all_the_same(place: Place, serve: Any) -> None:
    (place.home / "in-the-way").write_text("a file")
    service = serve(exposures=place.home / "in-the-way" / "below")
    replies = [service.ask("GET", LIST.format(n % 20)) for n in range(100)]
    assert {status for status, _, _ in replies} == {200}
    assert all(headers["X-Exposure-Id"] and reply["items"] for _, headers, reply in replies)
