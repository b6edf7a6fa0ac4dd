"""What pyproject.toml says agrees with what the project is installed from."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _wanted(name: str) -> list[str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith(("-", "#"))]


@pytest.mark.parametrize(
    "name, extra",
    [
        ("requirements.in", None),
        ("requirements-heif.in", "heif"),
        ("requirements-otel.in", "otel"),
        ("requirements-s3.in", "s3"),
    ],
)
def test_a_package_has_the_requirements_of_the_project(name: str, extra: str | None) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = project["optional-dependencies"][extra] if extra else project["dependencies"]
    assert found == _wanted(name)


def test_the_extra_that_only_tests_install_is_the_one_that_they_use() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(project["optional-dependencies"]["mcp"]) <= set(_wanted("requirements-dev.in"))
