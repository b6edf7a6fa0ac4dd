"""Where encoders write to."""

from __future__ import annotations

import io
import os
from contextlib import ExitStack
from typing import Any, BinaryIO

from PIL import Image


def saved(image: Image.Image, format: str, **settings: Any) -> bytes:
    """Return the image encoded by Pillow.

    The bytes go through a file in memory where the system has such (Linux): Pillow's JPEG encoder
    releases the interpreter lock while it writes to a file and holds it while it writes to a
    BytesIO, and other threads download meanwhile.
    """
    with ExitStack() as stack:
        file: BinaryIO = io.BytesIO()
        if format == "JPEG" and hasattr(os, "memfd_create"):
            file = stack.enter_context(open(os.memfd_create("image"), "w+b"))
        image.save(file, format, **settings)
        file.seek(0)
        return file.read()
