"""The script that trains every night, run as the composition runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from recsvc import artifact
from tests.conftest import Place, until

SCRIPT = Path(__file__).parents[2] / "configs/deploy/nightly.sh"


def _variables(place: Place, trained: Path, when: datetime) -> dict[str, str]:
    return {
        **os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "RECSVC_HOME": str(place.home),
        "TRAIN_AT": when.strftime("%H:%M:%S"), "TZ": "UTC", "TRAINED": str(trained),
    }  # fmt: skip


@pytest.mark.slow
def test_the_hour_comes_and_a_model_is_published(place: Place, tmp_path: Path) -> None:
    before, trained = artifact.current(place.settings.artifact_root), tmp_path / "trained"
    given = _variables(place, trained, datetime.now(UTC) + timedelta(seconds=3))
    process = subprocess.Popen(["/bin/sh", str(SCRIPT)], env=given, stdout=subprocess.PIPE, text=True)
    until(trained.exists, 120)
    process.send_signal(signal.SIGTERM)
    told, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    assert trained.read_text().strip() == "0", told
    assert artifact.current(place.settings.artifact_root) != before
    # And then it waits for the next day.
    assert (
        told.rstrip().splitlines()[-1].startswith(f"next training at {datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}")
    )


def test_an_hour_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    given = {**os.environ, "TRAIN_AT": "half past two", "TRAINED": str(tmp_path / "trained")}
    done = subprocess.run(["/bin/sh", str(SCRIPT)], env=given, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 2 and "half past two" in done.stderr


def test_with_arguments_it_is_the_command(tmp_path: Path) -> None:
    given = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "RECSVC_HOME": str(tmp_path)}
    done = subprocess.run(
        ["/bin/sh", str(SCRIPT), "train", "--help"], env=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "--config" in done.stdout
