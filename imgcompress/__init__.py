"""imgcompress: a self-hosted bulk image compressor."""

from __future__ import annotations

from typing import TYPE_CHECKING

# The version is only defined here; pyproject.toml, the API document and the User-Agent read it.
__version__ = "0.2.0.dev0"

if TYPE_CHECKING:
    from flask import Flask

    from .config import Settings


def create_app(settings: Settings | None = None) -> Flask:
    """Create the application. Raise SettingsError, which lists every error, if a setting is wrong."""
    # Importing a part of the package, such as the codec process, must not load all of it.
    from .app import create_app

    return create_app(settings)
