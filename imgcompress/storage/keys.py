"""The keys under which a job's files are stored."""

from __future__ import annotations

from ..errors import StorageNotFound
from .interface import Storage


def csv_key(request_id: object) -> str:
    """Return the key of a job's uploaded CSV."""
    return f"csv/{request_id}/input.csv"


def image_key(request_id: object, image_id: object, extension: str) -> str:
    """Return the key of a compressed image."""
    return f"images/{request_id}/{image_id}.{extension}"


def delete_job_files(storage: Storage, request_id: object) -> None:
    """Delete a job's CSV and its images; what is not there is no error."""
    for folder in ("csv", "images"):
        storage.delete_folder(f"{folder}/{request_id}")


def checked(key: str) -> str:
    """Return a key that names a place below the root. Raise StorageNotFound for any other."""
    parts = key.split("/")
    if "\0" in key or any(part in ("", ".", "..") for part in parts):
        raise StorageNotFound(detail=f"{key!r} is no key")
    return key
