"""Names for files that callers save: readable, and safe on every system."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath
from urllib.parse import unquote

# File systems take names of 255 bytes; what is appended needs some of them.
STEM_BYTES = 180
# Characters with a special meaning in a path or on Windows.
RESERVED = frozenset('<>:"/\\|?*')
# Where a name begins with one of these, a command takes it for an option (-), a shell for a home
# (~), others for a list of names (@), or a spreadsheet for a formula.
LEADING = frozenset("-~@+=")
# Characters that need no encoding in a URL; some shops accept no other image names.
NOT_IN_URL = re.compile(r"[^A-Za-z0-9._-]+")
URL_STEM_CHARS = 100
# The extension of a file name.
ENDING = re.compile(r"(?<=.)\.[A-Za-z][A-Za-z0-9]{1,4}\Z")
# Windows opens a device whatever follows the first dot ("Naming Files, Paths, and Namespaces").
DEVICE = re.compile(
    r"(?:con|prn|aux|nul|(?:com|lpt)[0-9¹²³]|conin\$|conout\$|clock\$) *(?:\.|\Z)", re.IGNORECASE
)


def safe_stem(text: str) -> str:
    """Return a text as the beginning of a file name, of STEM_BYTES at most; it may be empty.

    Forbidden characters are left out, as are dots and blanks at both ends, and an underscore is
    put before a reserved name.
    """
    normal = unicodedata.normalize("NFC", text)
    plain = "".join(
        " " if char.isspace() else char
        for char in normal
        if char.isspace() or (char.isprintable() and char not in RESERVED)
    )
    short = " ".join(plain.split()).encode()[:STEM_BYTES].decode(errors="ignore").strip(" .")
    # Some systems turn a full-width sign into a plain one.
    first = unicodedata.normalize("NFKC", short[:1])
    return f"_{short}" if first[:1] in LEADING or DEVICE.match(short) else short


def output_name(source: str, ending: str) -> str:
    """Return the name of a result of a caller's file, such as `products-compressed.csv`."""
    return (safe_stem(PurePosixPath(source).stem) or "upload") + ending


def ascii_name(name: str) -> str:
    """Return an `output_name` in ASCII, for those who read no other; letters lose their marks."""
    if name.isascii():
        return name
    path = PurePosixPath(name)
    plain = unicodedata.normalize("NFKD", path.stem).encode("ascii", "ignore").decode()
    # Removed or folded characters may have changed the start of the name.
    return (safe_stem(plain) or "upload") + path.suffix


def name_in_url(source: str) -> str:
    """Return the stem of a file name, or of the path of a URL, as it can stand in any URL.

    It is plain ASCII: letters lose their marks, and what has no such form becomes a hyphen.
    """
    name = unquote(source.rstrip("/").rpartition("/")[2])
    plain = ENDING.sub("", name)
    if not plain.isascii():
        plain = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
    return NOT_IN_URL.sub("-", plain)[:URL_STEM_CHARS].strip("-._") or "image"
