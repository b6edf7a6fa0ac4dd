"""Names of files: those for callers, readable and safe on every system, and keys in the storage."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath
from urllib.parse import unquote
from uuid import UUID, uuid4, uuid5

# File systems allow names of 255 bytes; suffixes need some of them.
STEM_BYTES = 180
# Characters with a special meaning in a path or on Windows.
RESERVED = frozenset('<>:"/\\|?*')
# A name that begins with one of these is read as an option by commands (-), as a home by shells
# (~), as a list of names by others (@), or as a formula by spreadsheets.
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
    """Return a text as the stem of a file name, at most STEM_BYTES long; it may be empty.

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
    """Return an `output_name` in ASCII, for clients that need it; letters lose their accents."""
    if name.isascii():
        return name
    path = PurePosixPath(name)
    plain = unicodedata.normalize("NFKD", path.stem).encode("ascii", "ignore").decode()
    # Removed or folded characters may have changed the start of the name.
    return (safe_stem(plain) or "upload") + path.suffix


def name_in_url(source: str) -> str:
    """Return the stem of a file name, or of a URL's path, in a form that is safe in URLs.

    It is plain ASCII: letters lose their accents, and other characters become hyphens.
    """
    name = unquote(source.rstrip("/").rpartition("/")[2])
    plain = ENDING.sub("", name)
    if not plain.isascii():
        plain = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
    return NOT_IN_URL.sub("-", plain)[:URL_STEM_CHARS].strip("-._") or "image"


# The folders that the service writes to; everything else in the storage belongs to others.
CSVS, IMAGES, CHECK = FOLDERS = ("csv", "images", "check")

_UUID = "([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_UPLOAD = re.compile(f"{CSVS}/{_UUID}/input\\.(?:csv|xlsx)")
# The second part is the image's id; the first is that of its job, or of a later epoch.
_IMAGE = re.compile(f"{IMAGES}/{_UUID}/{_UUID}\\.[a-z]+")


def csv_folder(request_id: object) -> str:
    """Return the folder of a job's uploaded files."""
    return f"{CSVS}/{request_id}"


def csv_key(request_id: object) -> str:
    """Return the key of a job's uploaded CSV."""
    return f"{csv_folder(request_id)}/input.csv"


def workbook_key(request_id: object) -> str:
    """Return the key of a job's uploaded workbook, which is stored beside the CSV of its sheet."""
    return f"{csv_folder(request_id)}/input.xlsx"


def images_folder(request_id: object, epoch: int) -> str:
    """Return the folder of the images that are compressed in an epoch; later ones are seldom.

    Its name is always a UUID: the sweep of version 0.1.0 treats any other name as an orphan, and a
    downgrade must be possible.
    """
    name = request_id if epoch == 1 else uuid5(UUID(str(request_id)), str(epoch))
    return f"{IMAGES}/{name}"


def image_key(request_id: object, image_id: object, extension: str, epoch: int = 1) -> str:
    """Return the key of an image that is compressed in this epoch of its job.

    Workers that process the same image in one epoch write the same file. Leftovers of an earlier
    epoch have other keys, so they can be deleted at any time.
    """
    return f"{images_folder(request_id, epoch)}/{image_id}.{extension}"


def file_ref(image_id: UUID) -> int:
    """Return a 63-bit number by which the files named after this image are found.

    Some images share one: it narrows a search, and the key decides. Ids begin with the time, so
    that the files of a job are adjacent in an index.
    """
    return (image_id.int >> 64) & (1 << 63) - 1


def check_key() -> str:
    """Return a new key for a file that tests the storage."""
    return f"{CHECK}/{uuid4().hex}"


def job_of_upload(key: str) -> UUID | None:
    """Return the job whose CSV or workbook has this key, or None for any other key."""
    match = _UPLOAD.fullmatch(key)
    return UUID(match[1]) if match else None


def id_of_image(key: str) -> UUID | None:
    """Return the id of the image with this key, or None for any other key."""
    match = _IMAGE.fullmatch(key)
    return UUID(match[2]) if match else None
