"""Files that the package ships with but that are no code of its own: migrations, samples …"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent


def shipped(name: str) -> Path:
    """Return the path of a shipped file or folder: in an installed package, or in a checkout.

    setup.py installs them inside the package; a checkout has them beside it.
    """
    installed = PACKAGE / name
    return installed if installed.exists() else PACKAGE.parent / name


MIGRATIONS = shipped("migrations")
SAMPLES = shipped("samples")
GUNICORN_SETTINGS = shipped("deploy/gunicorn.conf.py")
