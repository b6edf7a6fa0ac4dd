"""The interface that every storage has, the files of jobs in one, and storage in local files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol
from uuid import uuid4

from ..errors import StorageNotFound, StorageUnavailable
from ..file_names import check_key, csv_folder, images_folder


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
        raise StorageNotFound(detail=f"{key!r} is not a valid key")
    return key


COPY_BYTES = 1 << 20
FILES_AT_ONCE = 500
# The attempts to write a file if its folder is deleted meanwhile, which happens once or twice.
WRITES = 5
# The errors of the system for a key without a file.
NOTHING_THERE = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class FileStorage:
    """Files under one folder, each written to a temporary name, synced and renamed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, key: str, data: bytes) -> None:
        """See Storage."""
        self._replace(key, lambda file: file.write(data))

    def copy_from(self, key: str, source: BinaryIO) -> None:
        """See Storage."""
        start = source.tell()

        def fill(file: BinaryIO) -> None:
            source.seek(start)
            shutil.copyfileobj(source, file, COPY_BYTES)

        self._replace(key, fill)

    def open(self, key: str) -> BinaryIO:
        """See Storage."""
        with _raising_storage_errors(key):
            return self._path(key).open("rb")

    def list(self, folder: str = "") -> Iterator[StoredFile]:
        """See Storage."""
        top = self._path(folder) if folder else self.root
        with _raising_unavailable(folder):
            for path, seconds in _files_below(top):
                yield StoredFile(
                    path.relative_to(self.root).as_posix(), datetime.fromtimestamp(seconds, UTC)
                )

    def delete(self, key: str) -> None:
        """See Storage."""
        with _raising_unavailable(key), suppress(*NOTHING_THERE):
            self._path(key).unlink()

    def delete_folder(
        self, folder: str, progressed: Progressed = unheeded, held: Held = nothing_held
    ) -> None:
        """See Storage."""
        top = self._path(folder)
        some_stay = False
        with _raising_unavailable(folder):
            paths = (path for path, _ in _files_below(top))
            while some := list(islice(paths, FILES_AT_ONCE)):
                keys = [path.relative_to(self.root).as_posix() for path in some]
                stay = held(keys)
                some_stay |= bool(stay)
                for key, path in zip(keys, some, strict=True):
                    if key not in stay:
                        with suppress(OSError):
                            path.unlink()
                    progressed()
            if not some_stay:
                shutil.rmtree(top, ignore_errors=True)

    def link(self, key: str, *, seconds: int, media_type: str, cache_control: str) -> str:
        """See Storage."""
        raise StorageUnavailable(detail=f"{key}: a file has no address of its own")

    def check(self) -> None:
        """See Storage."""
        key = check_key()
        self.write(key, b"ok")
        self.delete(key)

    def _replace(self, key: str, fill: Callable[[BinaryIO], object]) -> None:
        """Store a file that `fill` writes under `key`.

        Its job may be deleted meanwhile, and the folder with it. That does not mean that the
        storage fails, which would delay the images of other jobs: the file is written again.
        """
        path = self._path(key)
        with _raising_unavailable(key):
            for _ in range(WRITES - 1):
                with suppress(FileNotFoundError):
                    return _write(path, fill)
            _write(path, fill)

    def _path(self, key: str) -> Path:
        """Return the path of `key`, which is below the root whatever the key contains."""
        return self.root / checked(key)


def _write(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with _created(temporary) as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _created(path: Path) -> BinaryIO:
    """Open a new file; create its folder if it is missing, which is rare."""
    try:
        return path.open("wb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb")


def _files_below(folder: Path) -> Iterator[tuple[Path, float]]:
    """Yield the files and the times of writing; files deleted meanwhile are skipped."""
    with suppress(*NOTHING_THERE), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files_below(Path(entry.path))
            else:
                with suppress(FileNotFoundError):
                    yield Path(entry.path), entry.stat(follow_symlinks=False).st_mtime


@contextmanager
def _raising_storage_errors(key: str) -> Iterator[None]:
    with _raising_unavailable(key):
        try:
            yield
        except NOTHING_THERE as error:
            raise StorageNotFound(detail=f"{key}: {error}") from error


@contextmanager
def _raising_unavailable(key: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageUnavailable(detail=f"{key}: {error}") from error
