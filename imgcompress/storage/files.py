"""Storage in local files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from ..errors import StorageNotFound, StorageUnavailable
from ..file_names import check_key
from .base import Held, Progressed, StoredFile, checked, nothing_held, unheeded

COPY_BYTES = 1 << 20
FILES_AT_ONCE = 500
# The attempts to write a file whose folder is deleted meanwhile, which happens once or twice.
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
        """Put a file that `fill` writes under `key`.

        Its job may be deleted meanwhile, and the folder with it. That is not a failing storage,
        which would make the images of other jobs wait: the file is written again.
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
