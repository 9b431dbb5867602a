"""schemathesis over the whole OpenAPI document, with all its checks, against a served shop: what the document allows is
taken, what it forbids is refused, every answer is one it describes, and none is a 5xx."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
COVERAGE = os.environ.get("RECSVC_TEST_COVERAGE", "1") == "1"
EXAMPLES = int(os.environ.get("RECSVC_TEST_EXAMPLES", "30"))
SEEDS = range(2, 2 + int(os.environ.get("RECSVC_TEST_SEEDS", "4")))


def _run(serve: Any, folder: Path, *options: str) -> str:
    # One worker: another hears of a deletion a moment later, and the checks do not wait.
    service = serve(rate_per_second=0, workers=1)
    command = [
        str(Path(sys.executable).parent / "st"), "--config-file", str(HERE / "schemathesis.toml"), "run",
        f"{service.url}/openapi.json", "--no-color", "--checks", "all", "--continue-on-failure",
        "-H", f"X-API-Key: {service.key}", *options,
    ]  # fmt: skip
    variables = {"SCHEMATHESIS_HOOKS": "tests.contracts.hooks", "PYTHONPATH": str(HERE.parents[1])}
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    assert "only 401/403" not in done.stdout  # it was let in, so it saw more than the door
    return done.stdout


def test_the_service_keeps_to_its_document(serve: Any, tmp_path: Path) -> None:
    said = _run(serve, tmp_path, "--seed", "1", "--phases", "fuzzing,stateful", "--max-examples", "1")
    for phase in ("Fuzzing", "Stateful"):
        assert f"✅ {phase}" in said


@pytest.mark.slow
@pytest.mark.skipif(not COVERAGE, reason="RECSVC_TEST_COVERAGE=0")
def test_every_part_of_the_document_holds(serve: Any, tmp_path: Path) -> None:
    """Each keyword of each schema, kept and broken: some 40,000 requests."""
    assert "✅ Coverage" in _run(serve, tmp_path, "--seed", "1", "--phases", "coverage")


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_service_keeps_to_its_document_at_length(serve: Any, tmp_path: Path, seed: int) -> None:
    _run(serve, tmp_path, "--seed", str(seed), "--phases", "fuzzing,stateful", "--max-examples", str(EXAMPLES))


@pytest.mark.slow
def test_what_the_document_forbids_is_refused(serve: Any, tmp_path: Path) -> None:
    _run(
        serve, tmp_path, "--seed", "7", "--max-examples", str(2 * EXAMPLES), "--mode", "negative", "--phases", "fuzzing"
    )
