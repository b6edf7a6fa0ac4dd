"""Who may import whom, and who may change a state. ARCHITECTURE.md explains the packages."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "imgcompress"

# The packages and modules that each may import, beside itself. Imports point down only.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "process": set(),
    "logs": set(),
    "metrics": set(),
    "gunicorn_worker": set(),
    "file_names": set(),
    "catalogue": set(),
    "key_files": set(),
    "shipped": set(),
    "tracing": {"__init__"},
    "client": set(),
    "setting_parsers": {"catalogue"},
    "config": {"catalogue", "errors", "setting_parsers"},
    "env_file": {"config"},
    "extensions": {"errors", "config", "shipped"},
    "links": {"config", "extensions", "file_names"},
    "net": {"catalogue", "errors", "setting_parsers", "shipped"},
    "storage": {"file_names", "errors", "config"},
    "csvfile": {"catalogue", "errors", "config"},
    "imaging": {"catalogue", "errors", "config", "process"},
    "notify": {"errors", "setting_parsers", "file_names", "key_files", "net"},
    "ledger": {
        "catalogue",
        "file_names",
        "errors",
        "setting_parsers",
        "config",
        "key_files",
        "metrics",
        "extensions",
    },
    "worker": {
        "catalogue",
        "file_names",
        "errors",
        "links",
        "config",
        "logs",
        "metrics",
        "process",
        "tracing",
        "extensions",
        "net",
        "storage",
        "csvfile",
        "imaging",
        "notify",
        "ledger",
    },
    "api": {
        "catalogue",
        "file_names",
        "errors",
        "links",
        "setting_parsers",
        "config",
        "logs",
        "metrics",
        "tracing",
        "extensions",
        "net",
        "storage",
        "csvfile",
        "ledger",
        "worker",
    },
    "web": {
        "catalogue",
        "errors",
        "config",
        "links",
        "extensions",
        "shipped",
        "csvfile",
        "ledger",
        "api",
    },
    "cli": {
        "__init__",
        "client",
        "errors",
        "file_names",
        "catalogue",
        "imaging",
        "setting_parsers",
        "config",
        "env_file",
        "logs",
        "process",
        "shipped",
        "extensions",
        "storage",
        "csvfile",
        "notify",
        "ledger",
        "worker",
    },
    "app": {"errors", "links", "config", "extensions", "ledger", "worker", "api", "web"},
    "wsgi": {"app", "errors", "config", "env_file", "logs", "metrics", "tracing", "ledger"},
    "__init__": {"config", "app"},
    "__main__": {"__init__", "errors", "wsgi", "cli"},
}
# What the packages above the worker may import of it: what enqueues, what makes a job of a
# table, the Celery application, and the preview of one image, which leaves the codecs to a process of
# its own.
WORKER_FOR_ALL = {
    "worker.queue",
    "worker.intake",
    "worker.celery_app",
    "worker.celeryconfig",
    "worker.preview",
}

FORBIDDEN: dict[str, set[str]] = {
    "net": {"flask", "celery", "kombu", "sqlalchemy"},
    "storage": {"flask", "celery", "kombu", "sqlalchemy"},
    "csvfile": {"flask", "celery", "kombu", "sqlalchemy", "requests", "PIL"},
    "imaging": {"flask", "celery", "kombu", "sqlalchemy", "requests", "urllib3"},
    "notify": {"flask", "celery", "kombu", "sqlalchemy"},
    "ledger": {"flask", "celery", "kombu", "requests", "urllib3", "PIL"},
    "worker": {"sqlalchemy", "PIL"},
    "api": {"sqlalchemy", "requests", "PIL"},
    "web": {"sqlalchemy", "requests", "PIL"},
}


def test_imports_point_down_only() -> None:
    wrong = [
        f"{path}: {name}"
        for path, name in _imports()
        if name.startswith("imgcompress.")
        and _package_of(name) not in MAY_IMPORT[_package(path)] | {_package(path)}
        and _package_of(name) in MAY_IMPORT
    ]
    assert not wrong, wrong


def test_every_package_has_its_place() -> None:
    assert {_package(path) for path in _modules()} == set(MAY_IMPORT)


def test_a_library_is_used_only_where_it_belongs() -> None:
    wrong = [
        f"{path}: {name}"
        for path, name in _imports()
        if _library(name) in FORBIDDEN.get(_package(path), set())
    ]
    assert not wrong, wrong


def test_packages_above_the_worker_only_enqueue() -> None:
    wrong = [
        f"{path}: {name}"
        for path, name in _imports()
        if _package(path) in ("api", "web", "cli")
        and name.startswith("imgcompress.worker.")
        and ".".join(name.split(".")[1:3]) not in WORKER_FOR_ALL
    ]
    assert not wrong, wrong


def test_only_the_ledger_changes_a_state() -> None:
    wrong = []
    for path in _modules():
        if _package(path) == "ledger":
            continue
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr == "commit":
                    wrong.append(f"{path}:{node.lineno} commits")
            if isinstance(node, ast.Assign) and _package(path) not in ("api", "client"):
                if any(
                    isinstance(target, ast.Attribute) and target.attr == "status"
                    for target in node.targets
                ):
                    wrong.append(f"{path}:{node.lineno} sets a status")
    assert not wrong, wrong


# Errors of images belong to the fetch of images, to what compresses them, and to the worker.
# Receivers of webhooks and mail servers are no images: their errors are those of the network.
IMAGE_ERRORS = {
    "imaging",
    "worker",
    "cli/photos.py",
    "net/body.py",
    "net/fetcher.py",
}


def test_only_packages_that_handle_images_know_their_errors() -> None:
    wrong = [
        f"{path}: {name}"
        for path, name in _imports()
        if name == "imgcompress.errors.ImageError"
        and not {_package(path), path.as_posix()} & IMAGE_ERRORS
    ]
    assert not wrong, wrong


# What callers see is made above the ledger: addresses, headers and bodies.
WORDS_OF_CALLERS = re.compile(
    r"/job/|/image/|Idempotency-Key|application/json|webhook-(id|timestamp|signature)"
)


def test_the_ledger_knows_no_addresses_and_no_headers() -> None:
    wrong = [
        f"{path}:{node.lineno} says {node.value!r}"
        for path in _modules()
        if _package(path) == "ledger"
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and WORDS_OF_CALLERS.search(node.value)
    ]
    assert not wrong, wrong


# The Celery application runs its tasks in the context of the Flask application that it is given.
KNOW_FLASK = {
    "__init__",
    "__main__",
    "wsgi",
    "app",
    "api",
    "cli",
    "web",
    "extensions",
    "worker/celery_app.py",
}


def test_below_the_interface_only_the_extensions_know_flask() -> None:
    wrong = [
        f"{path}: {name}"
        for path, name in _imports()
        if _library(name) == "flask" and not {_package(path), path.as_posix()} & KNOW_FLASK
    ]
    wrong += [
        f"{path}: {name}"
        for path, name in _imports()
        if name == "flask.current_app" and _package(path) in ("worker", "app")
    ]
    assert not wrong, wrong


def _modules() -> list[Path]:
    """Return the paths of all modules, relative to the package."""
    return sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse((PACKAGE / path).read_text(encoding="utf-8"))


def _package(path: Path) -> str:
    return path.with_suffix("").parts[0]


def _package_of(name: str) -> str:
    return name.split(".")[1]


def _library(name: str) -> str:
    library = name.split(".")[0]
    return "flask" if library.startswith("flask_") else library


@cache
def _imports() -> list[tuple[Path, str]]:
    """Return each module with the full dotted name of everything that it imports."""
    found = []
    for path in _modules():
        package = ("imgcompress", *path.parent.parts)
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Import):
                found += [(path, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else ()
                module = ".".join([*base, *([node.module] if node.module else [])])
                found += [(path, f"{module}.{alias.name}") for alias in node.names]
    return found
