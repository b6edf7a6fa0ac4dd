"""Files that belong to nothing in the ledger.

A worker whose job is cancelled or deleted has stored images that nobody will ask for; it takes them
away itself. What is left by a worker that dies, or cannot reach the ledger or the storage at that
moment, goes with the daily sweep.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import exists, select

from ..errors import ImgcompressError
from .models import CompressedImage, JobRequest
from .sessions import reading
from .states import ACTIVE_JOB

# A file is written before the ledger knows of it; nothing that is still to be told is as old.
SPARED = timedelta(days=1)
# The folders that the service writes to; whatever else lies in the storage is not ours.
FOLDERS = ("csv", "images", "check")
# So few orphans are deleted without further thought, and any number that is the smaller part.
FEW = 100
BATCH = 500

_UUID = "([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_CSV = re.compile(f"csv/{_UUID}/input\\.csv")
# The second name is the image's; the first one that of its job, or of a later epoch of it.
_IMAGE = re.compile(f"images/{_UUID}/{_UUID}\\.[a-z]+")

# What a storage lists in a folder: keys, and when their files were written.
ListFiles = Callable[[str], Iterable[tuple[str, datetime]]]


class StrangeFiles(ImgcompressError):
    """Most files belong to no job: another installation may use the storage as well."""

    code = "strange_files"
    message = ("Most of the stored files belong to no job of this ledger, so none is deleted. Does"
               " another installation use the same STORAGE_URL, or is the database an old one?")


@dataclass
class Sweep:
    """The files that are old enough to be judged, and those of them that belong to nothing."""

    files: int = 0
    orphans: int = 0

    @property
    def is_strange(self) -> bool:
        """Tell whether so many belong to nothing that something else must be wrong."""
        return self.orphans > max(FEW, self.files / 2)


def count_orphans(list_files: ListFiles, before: datetime) -> Sweep:
    """Count the files written before a time, and those of them that belong to nothing."""
    sweep = Sweep()
    for keys in _old_files(list_files, before):
        sweep.files += len(keys)
        sweep.orphans += len(_orphans(keys))
    return sweep


def delete_orphans(list_files: ListFiles, delete: Callable[[str], None],
                   before: datetime, *, even_strange: bool = False) -> int:
    """Delete the files that belong to nothing; return how many there were.

    Raise StrangeFiles, with nothing deleted, when they are the most.
    """
    if count_orphans(list_files, before).is_strange and not even_strange:
        raise StrangeFiles()
    deleted = 0
    for keys in _old_files(list_files, before):
        for key in _orphans(keys):
            delete(key)
            deleted += 1
    return deleted


def left_behind(request_id: UUID, epoch: int, keys: Collection[str]) -> list[str]:
    """Return the keys of an epoch's stored images that the ledger does not know and never will.

    While the epoch goes on there are none: another worker may store the same image under the same
    key. When it has ended nothing more is written for it, and a retry uses other keys.
    """
    goes_on = exists().where(JobRequest.request_id == request_id, JobRequest.epoch == epoch,
                             JobRequest.status.in_(ACTIVE_JOB))
    with reading() as session:
        if session.scalar(select(goes_on)):
            return []
    known = _known_images(keys)
    return [key for key in keys if key not in known]


def _old_files(list_files: ListFiles, before: datetime) -> Iterator[list[str]]:
    for folder in FOLDERS:
        old = (key for key, modified in list_files(folder) if modified < before)
        while keys := list(islice(old, BATCH)):
            yield keys


def _orphans(keys: list[str]) -> list[str]:
    """Return the keys that the ledger does not know; what is no whole file is none of its."""
    known = _known_csvs(keys) | _known_images(keys)
    return [key for key in keys if key not in known]


def _known_csvs(keys: list[str]) -> set[str]:
    named = {UUID(match[1]): key for key in keys if (match := _CSV.fullmatch(key))}
    return {named[job] for job in _select(JobRequest.request_id, JobRequest.request_id, named)}


def _known_images(keys: Collection[str]) -> set[str]:
    named = [UUID(match[2]) for key in keys if (match := _IMAGE.fullmatch(key))]
    return set(_select(CompressedImage.storage_key, CompressedImage.image_id, named))


def _select(column: Any, key: Any, values: Iterable[UUID]) -> list[Any]:
    with reading() as session:
        return list(session.scalars(select(column).where(key.in_(list(values)))))
