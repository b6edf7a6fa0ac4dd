"""The interface of a storage, and the keys of its files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import BinaryIO, NamedTuple, Protocol

from ..errors import StorageNotFound
from ..file_names import csv_folder, images_folder


class StoredFile(NamedTuple):
    """A key, and the UTC time at which its file was stored."""

    key: str
    modified: datetime


# Called repeatedly during a long operation, so that its caller can report progress.
Progressed = Callable[[], None]


def unheeded() -> None:
    """Ignore progress that need not be reported."""


# Returns the keys that are still in use.
Held = Callable[[Sequence[str]], Collection[str]]


def nothing_held(keys: Sequence[str]) -> Collection[str]:
    """Return no key: all files may be deleted."""
    return ()


class Storage(Protocol):
    """A flat store of bytes under keys such as `images/<request_id>/<image_id>.jpg`."""

    def write(self, key: str, data: bytes) -> None:
        """Store `data` under `key`, whole or not at all. Raise StorageUnavailable."""

    def copy_from(self, key: str, source: BinaryIO) -> None:
        """Store the rest of `source`, which is seekable, under `key`, whole or not at all.

        It is not closed. Raise StorageUnavailable.
        """

    def open(self, key: str) -> BinaryIO:
        """Open `key` for reading, seekable. Raise StorageNotFound, StorageUnavailable."""

    def list(self, folder: str = "") -> Iterator[StoredFile]:
        """Yield all that is stored below a folder such as `images`, in no particular order.

        This includes partial files of processes that died while writing. Memory does not grow
        with the number of files. Raise StorageUnavailable, also midway.
        """

    def delete(self, key: str) -> None:
        """Delete the file under `key`; a missing one is no error. Raise StorageUnavailable."""

    def delete_folder(
        self, folder: str, progressed: Progressed = unheeded, held: Held = nothing_held
    ) -> None:
        """Delete every key below a folder; an empty one is no error. Raise StorageUnavailable.

        `held` is called with some keys at a time, and returns those that stay. `progressed` is
        called between steps of less than a minute each; an error that it raises ends the deletion.
        """

    def link(self, key: str, *, seconds: int, media_type: str, cache_control: str) -> str:
        """Return a URL that serves `key` to anyone for this many seconds, with these headers.

        Whether the file exists is not checked. Raise StorageUnavailable if the storage has no
        such URLs.
        """

    def check(self) -> None:
        """Write and delete a small object. Raise StorageUnavailable when that fails."""


class JobFiles:
    """The files of jobs in a storage."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def delete_job(
        self,
        request_id: object,
        epochs: int = 1,
        held: Held = nothing_held,
        progressed: Progressed = unheeded,
    ) -> None:
        """Delete a job's CSV and the images of its epochs; missing files are no error.

        Images that are `held` stay. `progressed` is called on the way; see Storage.delete_folder().
        """
        self.storage.delete_folder(csv_folder(request_id), progressed)
        for epoch in range(1, epochs + 1):
            self.storage.delete_folder(images_folder(request_id, epoch), progressed, held)

    def delete(self, keys: Iterable[str]) -> None:
        """Delete files by their keys; missing files are no error. Raise StorageUnavailable."""
        for key in keys:
            self.storage.delete(key)


def checked(key: str) -> str:
    """Return a key that names a place below the root. Raise StorageNotFound for any other."""
    parts = key.split("/")
    if "\0" in key or any(part in ("", ".", "..") for part in parts):
        raise StorageNotFound(detail=f"{key!r} is no key")
    return key
