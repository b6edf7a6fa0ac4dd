"""Files shipped with the package that are not part of its code: migrations, samples …"""

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
# Catalogues name the sample photos under this host. The name does not resolve (RFC 6761, section
# 6.4); the service reads the photos from its own files, so that they need no network and no open
# port.
SAMPLE_HOST = "samples.imgcompress.invalid"
SAMPLE_CATALOGUE = "products.csv"


def sample_file(name: str) -> Path | None:
    """Return the path of a sample photo, or of the catalogue of them; None for any other name."""
    return next((path for path in SAMPLES.glob("*.*") if path.name == name), None)
