"""OpenMP on a machine that has none: the loader is shown an empty file under its name, which is as good as none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere OpenMP comes another way")


def _run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "libgomp.so.1").touch()
    return subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=ROOT, timeout=120,
        env={**os.environ, "LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(folder), "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.parametrize("library", ["implicit.cpu.als", "lightgbm"])
def test_the_libraries_alone_do_not_load(library: str, tmp_path: Path) -> None:
    done = _run(f"import {library}", tmp_path)
    assert done.returncode and "libgomp.so.1" in done.stderr


def test_training_brings_its_own(tmp_path: Path) -> None:
    done = _run(
        """
import numpy as np
from scipy import sparse
from training import openmp
from training.config import Als
from training.models import als
assert als.fit(sparse.eye(20, format="csr", dtype=np.float32), Als(factors=2, iterations=2), 1, 2).shape == (20, 2)
import lightgbm
data = lightgbm.Dataset(np.arange(200.0)[:, None], np.arange(200.0))
assert lightgbm.train({"verbosity": -1, "num_threads": 2}, data, 3).num_trees() == 3
assert "memfd:libgomp.so.1" in open("/proc/self/maps").read()
""",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr


def test_where_there_is_none_at_all_training_goes_on_and_says_so(tmp_path: Path) -> None:
    # Another package under the name of the one that carries it.
    (tmp_path / "sklearn").mkdir()
    (tmp_path / "sklearn" / "__init__.py").touch()
    done = _run(
        """
import numpy as np
from training import openmp, ranker
assert not openmp.load()
assert ranker.train(np.eye(2, dtype=np.float32), np.array([0, 1]), np.array([2]), 1, 1, ["a", "b"]) is None
print(ranker.unavailable())
""",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "libgomp.so.1" in done.stdout and "without a ranker" in done.stdout
