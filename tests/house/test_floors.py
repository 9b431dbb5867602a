"""The house: who may import whom, what must be named where, how large a file may be."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GROUND = [
    "errors",
    "concepts",
    "promotions",
    "roots",
    "verified",
    "artifact",
    "settings",
    "metrics",
    "intake",
    "strict_json",
    "foreign",
]
MAY = {
    "engine": {"engine", *GROUND}, "store": {"store", *GROUND}, "flows": {"flows", "engine", "store", *GROUND},
    "web": {"web", "flows", *GROUND}, "client": {"claiming", "outbox", *GROUND}, "outbox": set(GROUND), "claiming": set(GROUND), "embedded": set(GROUND), "logs": set(GROUND),
}  # fmt: skip
# Heavy or unsafe in a service that forks: implicit's threads hang a forked child.
NEVER_IN_SERVICE = {"training", "implicit", "scipy", "pandas", "duckdb", "threadpoolctl", "lightgbm", "sklearn"}


def _sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def _rooms(path: Path) -> set[str]:
    """The rooms of recsvc that a file imports."""
    rooms = {name.split(".")[1] for name in _imports(path) if name.startswith("recsvc.")}
    return {room for room in rooms if (ROOT / "recsvc" / room).is_dir() or (ROOT / "recsvc" / f"{room}.py").is_file()}


@pytest.mark.parametrize("path", _sources("recsvc"), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_the_floors_below(path: Path) -> None:
    parts = path.relative_to(ROOT / "recsvc").parts
    room = parts[0].removesuffix(".py")
    if room in GROUND:
        allowed = set(GROUND[: GROUND.index(room)])
    elif room in {"app", "cli", "__main__", "__init__"}:
        return
    else:
        allowed = MAY[room]
    assert _rooms(path) <= allowed | {"__init__"}


@pytest.mark.parametrize("path", _sources("recsvc"), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_service_never_imports_training(path: Path) -> None:
    assert not {name.split(".")[0] for name in _imports(path)} & NEVER_IN_SERVICE


@pytest.mark.parametrize("path", _sources("training"), ids=lambda path: str(path.relative_to(ROOT)))
def test_training_imports_neither_flows_nor_web(path: Path) -> None:
    assert _rooms(path) <= {"engine", "store", *GROUND}


def test_there_is_no_import_cycle() -> None:
    graph = {}
    for folder in ("recsvc", "training"):
        for path in _sources(folder):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            graph[name] = _imports(path)
    # `from package import module` is the module; the package's own file holds nothing.
    packages = {name for name in graph if (ROOT / name.replace(".", "/")).is_dir()}
    known = {
        name: {target for target in targets if target in graph} - {name} - packages for name, targets in graph.items()
    }
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"import cycle: {' → '.join([*trail, name])}"
        if name in done:
            return
        for target in known[name]:
            walk(target, (*trail, name))
        done.add(name)

    for name in known:
        walk(name, ())


# A migration is a list of columns, written once and never changed.
_CODE = [path for path in _sources("recsvc") + _sources("training") if "migrations" not in path.parts]


@pytest.mark.parametrize("path", _CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 320
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            doc = ast.get_docstring(node, clean=False)
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1 - (doc.count("\n") + 1 if doc else 0)
            assert length <= 45, f"{node.name} has {length} lines"


def test_top_level_folders_are_the_four() -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    assert folders - {"dist", "build"} == {"recsvc", "training", "tests", "configs"}


def test_no_module_is_named_after_nothing() -> None:
    nothing = {"utils", "util", "common", "helpers", "core", "base", "manager", "misc"}
    assert not {path.stem for folder in ("recsvc", "training") for path in _sources(folder)} & nothing


def test_the_lock_has_hashes_and_no_host() -> None:
    text = (ROOT / "requirements.lock").read_text()
    packages = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert packages and all("==" in line for line in packages)
    assert text.count("--hash=sha256:") >= len(packages)
    assert "://" not in text and "index" not in text


def test_floors_of_versions_exclude_known_holes() -> None:
    """gunicorn < 23 smuggles requests, werkzeug < 3.0.6 falls to multipart, pyarrow < 17 runs code from a file."""
    wanted = {"gunicorn": (23,), "werkzeug": (3, 0, 6), "pyarrow": (17,)}
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    floors = dict(line.split(">=") for line in declared)
    for name, lowest in wanted.items():
        assert tuple(int(part) for part in floors[name].split(".")) >= lowest
