"""`.env.example`, and the misspelt names in `.env`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imgcompress.config import variables
from imgcompress.env_file import env_example, misspelt_settings

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in variables():
        monkeypatch.delenv(name, raising=False)


def test_the_example_matches_the_settings() -> None:
    found = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert found == env_example(), "write it again: python -m imgcompress.env_file > .env.example"
    assert re.findall(r"^(?:# )?([A-Z_]+)=", found, re.M) == variables()


def test_misspelt_settings_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("RETENTON_DAYS=3\nAWS_REGION=eu\nMIN_QUALITY=40\n")
    monkeypatch.setenv("ALLOWED_HOST", "images.example.com")
    monkeypatch.setenv("SUPPORTED_HOST", "images")
    assert misspelt_settings(tmp_path / ".env") == {
        "ALLOWED_HOST": "ALLOWED_HOSTS",
        "RETENTON_DAYS": "RETENTION_DAYS",
    }
