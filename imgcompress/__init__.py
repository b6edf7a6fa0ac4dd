"""imgcompress: a self-hosted bulk image compressor."""

from __future__ import annotations

from typing import TYPE_CHECKING

# The one place of the version: pyproject.toml, the API document and the User-Agent take it from here.
__version__ = "0.2.0.dev0"

if TYPE_CHECKING:
    from flask import Flask

    from .config import Settings


def create_app(settings: Settings | None = None) -> Flask:
    """Create the application. Raise SettingsError, with every fault, when a setting is wrong."""
    # Who needs one room of the package, such as a quarantine, must not load the whole house.
    from .app import create_app

    return create_app(settings)
