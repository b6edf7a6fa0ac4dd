"""The names of files in an archive: readable, safe on every system, and each one once."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

from ..ledger.queries import NamedImage

# File systems take names of 255 bytes; the numbers and the extension need some of them.
STEM_BYTES = 180
# What Windows or a path would take for something else.
RESERVED = frozenset('<>:"/\\|?*')


def archive_name(image: NamedImage) -> str:
    """Return `<product>-<row>-<place>.<extension>`.

    Row and place stand at the end, in numbers, so that no two images of a job share a name,
    whatever their products are called.
    """
    stem = _safe(image.output_name or image.product_name) or "image"
    extension = PurePosixPath(image.storage_key).suffix
    return f"{stem}-{image.row_number}-{image.position + 1}{extension}"


def _safe(text: str) -> str:
    """Return the text without what a file name cannot have, no longer than STEM_BYTES."""
    normal = unicodedata.normalize("NFC", text)
    plain = "".join(" " if char.isspace() else char for char in normal
                    if char.isspace() or (char.isprintable() and char not in RESERVED))
    short = " ".join(plain.split()).encode()[:STEM_BYTES].decode(errors="ignore")
    return short.strip(" .")
