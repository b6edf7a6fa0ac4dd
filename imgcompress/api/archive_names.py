"""The names of files in an archive: readable, safe on every system, and each one once."""

from __future__ import annotations

from pathlib import PurePosixPath

from ..file_names import safe_stem
from ..ledger.queries import NamedImage


def archive_name(image: NamedImage) -> str:
    """Return `<product>-<row>-<place>.<extension>`.

    Row and place stand at the end, in numbers, so that no two images of a job share a name,
    whatever their products are called.
    """
    stem = safe_stem(image.output_name or image.product_name) or "image"
    extension = PurePosixPath(image.storage_key).suffix
    return f"{stem}-{image.row_number}-{image.position + 1}{extension}"
