"""Tests that hold the house together: who may import whom, who may change a state."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "imgcompress"

# The rooms that each room may import, beside itself.
ROOMS = {
    "errors": set(),
    "file_names": set(),
    "config": {"errors"},
    "key_files": set(),
    "lifeline": set(),
    "logs": set(),
    "metrics": set(),
    "serving": set(),
    "netguard": {"errors", "config"},
    "storage": {"errors", "config"},
    "catalogue": {"errors", "config"},
    "pipeline": {"errors", "config", "lifeline", "storage", "netguard"},
    "notify": {"errors", "config", "file_names", "key_files", "netguard"},
    "extensions": {"errors", "config"},
    "links": {"config", "file_names", "extensions"},
    "ledger": {"errors", "config", "key_files", "metrics", "extensions"},
    "tasks": {"errors", "config", "logs", "metrics", "lifeline", "netguard", "storage",
              "catalogue", "pipeline", "notify", "extensions", "links", "ledger"},
    "api": {"errors", "config", "file_names", "logs", "metrics", "netguard", "storage", "catalogue",
            "pipeline", "extensions", "links", "ledger", "tasks"},
    "cli": {"errors", "config", "logs", "lifeline", "storage", "catalogue", "extensions", "ledger",
            "tasks", "notify", "pipeline"},
    "web": {"errors", "config", "catalogue", "extensions", "ledger", "api"},
    "application": {"errors", "config", "extensions", "links", "ledger", "tasks", "api", "cli",
                    "web"},
    "__init__": {"config", "application"},
}
# Of the tasks, the upper rooms may import what enqueues, and the application.
TASKS_FOR_ALL = {"tasks.publish", "tasks.app"}

FORBIDDEN = {
    "netguard": {"flask", "celery", "kombu", "sqlalchemy"},
    "storage": {"flask", "celery", "kombu", "sqlalchemy"},
    "catalogue": {"flask", "celery", "kombu", "sqlalchemy", "requests", "PIL"},
    "pipeline": {"flask", "celery", "kombu", "sqlalchemy"},
    "notify": {"flask", "celery", "kombu", "sqlalchemy"},
    "ledger": {"flask", "celery", "kombu", "requests", "urllib3", "PIL"},
    "tasks": {"sqlalchemy", "PIL"},
    "api": {"sqlalchemy", "requests", "PIL"},
    "web": {"sqlalchemy", "requests", "PIL"},
}

MODULES = sorted(PACKAGE.rglob("*.py"))


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def _imports(path: Path) -> set[str]:
    """Return the full dotted names of all that a module imports."""
    names: set[str] = set()
    package = path.relative_to(PACKAGE.parent).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def _own(names: set[str]) -> set[str]:
    return {name.removeprefix("imgcompress.") for name in names if name.startswith("imgcompress.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_rooms_below_its_own(path: Path) -> None:
    room = _room(path)
    assert room in ROOMS, f"{room} has no place in the house: add it to ROOMS and ARCHITECTURE.md"
    allowed = ROOMS[room] | {room}
    # `__init__` is the package itself: `from . import create_app`.
    strange = {name for name in _own(_imports(path)) if name.split(".")[0] not in allowed
               and name.split(".")[0] in ROOMS}
    assert strange == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_no_library_of_another_room(path: Path) -> None:
    used = {name.split(".")[0] for name in _imports(path)}
    used |= {"flask" for name in used if name.startswith("flask_")}
    assert used & FORBIDDEN.get(_room(path), set()) == set()


@pytest.mark.parametrize("room", ["api", "cli"])
def test_the_upper_rooms_use_tasks_only_to_enqueue(room: str) -> None:
    for path in (PACKAGE / room).rglob("*.py"):
        for name in _own(_imports(path)):
            if name.startswith("tasks."):
                assert ".".join(name.split(".")[:2]) in TASKS_FOR_ALL, f"{path}: {name}"


@pytest.mark.parametrize("path", [path for path in MODULES if _room(path) != "ledger"],
                         ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_state_is_changed_outside_the_ledger(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr != "commit", f"line {node.lineno} commits"
        if isinstance(node, ast.Assign):
            targets = [target.attr for target in node.targets if isinstance(target, ast.Attribute)]
            assert "status" not in targets or _room(path) == "api", f"line {node.lineno}"


def test_only_the_pipeline_and_the_worker_know_errors_of_images() -> None:
    """Receivers and callers are no images: the network has an error of its own."""
    for path in MODULES:
        if _room(path) in {"netguard", "notify", "storage", "catalogue", "ledger", "web"}:
            assert "errors.ImageError" not in _own(_imports(path)), path


# What callers see is made above the ledger: addresses, headers, bodies.
WORDS_OF_CALLERS = re.compile(r"/job/|/image/|Idempotency-Key|application/json"
                              r"|webhook-(id|timestamp|signature)")


def test_the_ledger_knows_no_addresses_and_no_headers() -> None:
    for path in (PACKAGE / "ledger").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not WORDS_OF_CALLERS.search(node.value), f"{path}: line {node.lineno}"


def test_only_the_extensions_and_the_api_ask_flask_for_the_application() -> None:
    above = {"api", "web", "cli", "extensions"}
    for path in MODULES:
        if _room(path) not in above:
            assert "flask.current_app" not in _imports(path), path
