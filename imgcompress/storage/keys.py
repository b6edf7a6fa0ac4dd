"""The keys under which a job's files are stored."""

from __future__ import annotations

from ..errors import StorageNotFound
from .interface import Progressed, Storage, unheeded


def csv_key(request_id: object) -> str:
    """Return the key of a job's uploaded CSV."""
    return f"csv/{request_id}/input.csv"


def image_key(request_id: object, image_id: object, extension: str, epoch: int = 1) -> str:
    """Return the key of an image that is compressed in this epoch of its job.

    Workers that come upon the same image in one epoch write the same file. One that was left behind
    in an earlier epoch has another key, so that it can be deleted at any time.
    """
    name = str(image_id) if epoch == 1 else f"{image_id}.{epoch}"
    return f"images/{request_id}/{name}.{extension}"


def delete_job_files(storage: Storage, request_id: object,
                     progressed: Progressed = unheeded) -> None:
    """Delete a job's CSV and its images; what is not there is no error.

    `progressed` is called on the way; see Storage.delete_folder().
    """
    for folder in ("csv", "images"):
        storage.delete_folder(f"{folder}/{request_id}", progressed)


def checked(key: str) -> str:
    """Return a key that names a place below the root. Raise StorageNotFound for any other."""
    parts = key.split("/")
    if "\0" in key or any(part in ("", ".", "..") for part in parts):
        raise StorageNotFound(detail=f"{key!r} is no key")
    return key
