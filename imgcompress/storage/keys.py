"""The keys under which a job's files are stored."""

from __future__ import annotations

from uuid import UUID, uuid5

from ..errors import StorageNotFound
from .interface import Progressed, Storage, unheeded


def csv_key(request_id: object) -> str:
    """Return the key of a job's uploaded CSV."""
    return f"csv/{request_id}/input.csv"


def image_key(request_id: object, image_id: object, extension: str, epoch: int = 1) -> str:
    """Return the key of an image that is compressed in this epoch of its job.

    Workers that come upon the same image in one epoch write the same file. What was left behind in
    an earlier epoch has another key, so it can be deleted at any time.
    """
    return f"{_images_folder(request_id, epoch)}/{image_id}.{extension}"


def _images_folder(request_id: object, epoch: int) -> str:
    """Return the folder of the images that are compressed in an epoch; later ones are seldom.

    Its name is always a UUID: what is named otherwise, the sweep of version 0.1.0 takes for a file
    that belongs to nothing, and somebody may go back to that.
    """
    name = request_id if epoch == 1 else uuid5(UUID(str(request_id)), str(epoch))
    return f"images/{name}"


def delete_job_files(storage: Storage, request_id: object, epochs: int = 1,
                     progressed: Progressed = unheeded) -> None:
    """Delete a job's CSV and the images of its epochs; what is not there is no error.

    `progressed` is called on the way; see Storage.delete_folder().
    """
    storage.delete_folder(f"csv/{request_id}", progressed)
    for epoch in range(1, epochs + 1):
        storage.delete_folder(_images_folder(request_id, epoch), progressed)


def checked(key: str) -> str:
    """Return a key that names a place below the root. Raise StorageNotFound for any other."""
    parts = key.split("/")
    if "\0" in key or any(part in ("", ".", "..") for part in parts):
        raise StorageNotFound(detail=f"{key!r} is no key")
    return key
