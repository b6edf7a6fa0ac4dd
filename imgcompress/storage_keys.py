"""The keys under which files are stored."""

from __future__ import annotations

import re
from uuid import UUID, uuid4, uuid5

# The folders that the service writes to; whatever else lies in the storage is not ours.
CSVS, IMAGES, CHECK = FOLDERS = ("csv", "images", "check")

_UUID = "([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_UPLOAD = re.compile(f"{CSVS}/{_UUID}/input\\.(?:csv|xlsx)")
# The second name is the image's; the first one that of its job, or of a later epoch of it.
_IMAGE = re.compile(f"{IMAGES}/{_UUID}/{_UUID}\\.[a-z]+")


def csv_folder(request_id: object) -> str:
    """Return the folder of what a job was made of."""
    return f"{CSVS}/{request_id}"


def csv_key(request_id: object) -> str:
    """Return the key of a job's uploaded CSV."""
    return f"{csv_folder(request_id)}/input.csv"


def workbook_key(request_id: object) -> str:
    """Return the key of a job's uploaded workbook, which is stored beside the CSV of its sheet."""
    return f"{csv_folder(request_id)}/input.xlsx"


def images_folder(request_id: object, epoch: int) -> str:
    """Return the folder of the images that are compressed in an epoch; later ones are seldom.

    Its name is always a UUID: what is named otherwise, the sweep of version 0.1.0 takes for a file
    that belongs to nothing, and somebody may go back to that.
    """
    name = request_id if epoch == 1 else uuid5(UUID(str(request_id)), str(epoch))
    return f"{IMAGES}/{name}"


def image_key(request_id: object, image_id: object, extension: str, epoch: int = 1) -> str:
    """Return the key of an image that is compressed in this epoch of its job.

    Workers that come upon the same image in one epoch write the same file. What was left behind in
    an earlier epoch has another key, so it can be deleted at any time.
    """
    return f"{images_folder(request_id, epoch)}/{image_id}.{extension}"


def file_ref(image_id: UUID) -> int:
    """Return the number by which the files named after this image are found, in 63 bits.

    Some images share one: it narrows a search, and the key decides. The time comes first in an id,
    so that the files of a job lie side by side in an index.
    """
    return (image_id.int >> 64) & (1 << 63) - 1


def check_key() -> str:
    """Return a new key for a file by which the storage itself is tried."""
    return f"{CHECK}/{uuid4().hex}"


def job_of_upload(key: str) -> UUID | None:
    """Return the job whose CSV or workbook has this key, or None when it is no key of either."""
    match = _UPLOAD.fullmatch(key)
    return UUID(match[1]) if match else None


def id_of_image(key: str) -> UUID | None:
    """Return the id of the image with this key, or None when it is no key of an image."""
    match = _IMAGE.fullmatch(key)
    return UUID(match[2]) if match else None
