"""The magic bytes by which images, tables and archives are recognised."""

from __future__ import annotations

import re

SIGNATURES = {
    "jpeg": re.compile(rb"\xff\xd8\xff"),
    "png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "gif": re.compile(rb"GIF8[79]a"),
    "tiff": re.compile(rb"II\*\x00|MM\x00\*"),
    "pdf": re.compile(rb"%PDF-"),
    "zip": re.compile(rb"PK\x03\x04"),
    "gzip": re.compile(rb"\x1f\x8b"),
}
