"""The README cannot lie by omission: every command, setting, endpoint and make target is named there."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from recsvc import __version__
from recsvc.cli.app import app as recsvc_cli
from recsvc.settings import Settings
from recsvc.web.openapi import ROUTES
from training.__main__ import app as training_cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def _commands(app: typer.Typer, prefix: str) -> list[str]:
    found = [
        f"{prefix} {one.name or one.callback.__name__.replace('_', '-')}"
        for one in app.registered_commands
        if one.callback
    ]
    for group in app.registered_groups:
        assert group.typer_instance is not None
        found += _commands(group.typer_instance, f"{prefix} {group.name}")
    return found


def test_every_endpoint_is_named() -> None:
    missing = [f"{route.method} {route.path}" for route in ROUTES if f"`{route.method} {route.path}`" not in README]
    assert not missing


def test_every_setting_is_named() -> None:
    assert not [name for name in Settings.model_fields if f"`RECSVC_{name.upper()}`" not in README]


def test_every_command_is_named() -> None:
    commands = _commands(recsvc_cli, "recsvc") + _commands(training_cli, "python -m training")
    assert len(commands) >= 6
    assert not [command for command in commands if command not in README]


def test_every_make_target_is_named() -> None:
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert len(targets) >= 6
    assert not [target for target in targets if target != "help" and f"make {target}" not in README]


def test_what_the_readme_names_exists() -> None:
    paths = {f"{route.method} {route.path}" for route in ROUTES}
    named = set(re.findall(r"`((?:GET|POST|PUT|DELETE|PATCH) /[^`?]*)`", README))
    assert named - paths <= {"GET /", "GET /docs"}
    settings = {f"RECSVC_{name.upper()}" for name in Settings.model_fields} | {"RECSVC_KEY"}
    assert set(re.findall(r"`(RECSVC_[A-Z_]+)`", README)) <= settings


def test_the_changelog_names_the_version() -> None:
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_no_placeholder_is_left() -> None:
    assert not re.findall(r"\b[A-Z]+_(?:SECONDS|TABLE)\b|\bANSWER\b", re.sub(r"`RECSVC_[A-Z_]+`", "", README))
