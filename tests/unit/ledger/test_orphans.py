"""Files that belong to nothing are found, and no other file is taken for one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from imgcompress.ledger import deletion
from imgcompress.ledger.deletion import (
    TooManyOrphans,
    count_orphans,
    delete_orphans,
    left_behind,
    purge_job,
    soft_delete,
)
from imgcompress.ledger.jobs import cancel_job, retry_job
from imgcompress.ledger.models import utcnow
from imgcompress.ledger.slices import pending_images
from imgcompress.storage import csv_key, image_key, workbook_key

from .conftest import MakeJob
from tests.support.records import Files as JobFiles
from tests.support.records import claim, failure, images_of, record, success

BEFORE = utcnow() - timedelta(days=1)
OLD, YOUNG = BEFORE - timedelta(hours=1), BEFORE + timedelta(hours=1)


class Files:
    """Files in a storage, and when they were written."""

    def __init__(self, **_: object) -> None:
        self.written: dict[str, datetime] = {}

    def add(self, *keys: str, at: datetime = OLD) -> None:
        self.written |= dict.fromkeys(keys, at)

    def list(self, folder: str) -> Iterator[tuple[str, datetime]]:
        return iter([item for item in self.written.items() if item[0].startswith(f"{folder}/")])

    def delete(self, key: str) -> None:
        del self.written[key]


@pytest.fixture
def files() -> Files:
    """Return an empty storage."""
    return Files()


def _done_job(make_job: MakeJob) -> tuple[UUID, list[str]]:
    """Make a job of two images, one of which is done; return it and the keys of its files."""
    request_id = make_job(2)
    held = claim(request_id)
    image = pending_images(held)[0]
    key = image_key(request_id, image.image_id, "jpg")
    record(held, replace(success(image), storage_key=key))
    return request_id, [csv_key(request_id), workbook_key(request_id), key]


def test_files_of_a_job_stay(make_job: MakeJob, files: Files) -> None:
    _, keys = _done_job(make_job)
    files.add(*keys)

    assert delete_orphans(files.list, files.delete, BEFORE) == 0
    assert set(files.written) == set(keys)


def test_orphaned_files_are_deleted(make_job: MakeJob, files: Files) -> None:
    request_id, keys = _done_job(make_job)
    done, pending = images_of(request_id)
    files.add(*keys)
    files.add(
        csv_key(uuid4()),
        workbook_key(uuid4()),
        image_key(uuid4(), uuid4(), "jpg"),
        image_key(request_id, done.image_id, "webp"),  # Its job asked for another format since.
        image_key(
            request_id, pending.image_id, "jpg"
        ),  # Its worker died before it recorded the result.
        f"images/{request_id}/.{done.image_id}.jpg.0a1b",
        "check/0a1b",
    )

    assert count_orphans(files.list, BEFORE).orphans == 7
    assert delete_orphans(files.list, files.delete, BEFORE) == 7
    assert set(files.written) == set(keys)


def test_an_image_of_a_retry_stays(make_job: MakeJob, files: Files) -> None:
    request_id = make_job(1)
    held = claim(request_id)
    record(held, failure(*pending_images(held)))
    retry_job(request_id)
    again = claim(request_id)
    assert (held.epoch, again.epoch) == (1, 2)
    (image,) = pending_images(again)
    key, old = (image_key(request_id, image.image_id, "jpg", epoch) for epoch in (2, 1))
    record(again, replace(success(image), storage_key=key))
    files.add(key, old)
    assert delete_orphans(files.list, files.delete, BEFORE) == 1
    assert set(files.written) == {key}


def test_while_an_epoch_goes_on_nothing_of_it_is_left_behind(make_job: MakeJob) -> None:
    request_id = make_job(3)
    held = claim(request_id)
    one, two, three = pending_images(held)
    keys = [image_key(request_id, image.image_id, "jpg") for image in (one, two, three)]
    record(held, replace(success(one), storage_key=keys[0]))
    assert left_behind(request_id, 1, keys) == []
    cancel_job(request_id)
    assert left_behind(request_id, 1, keys) == keys[1:]
    retry_job(request_id)
    assert left_behind(request_id, 2, [image_key(request_id, two.image_id, "jpg", 2)]) == []
    assert left_behind(request_id, 1, keys) == keys[1:]


def test_of_a_deleted_job_everything_is_left_behind(make_job: MakeJob) -> None:
    request_id = make_job(1)
    key = image_key(request_id, pending_images(claim(request_id))[0].image_id, "jpg")
    erasure = soft_delete(request_id, None)
    assert erasure and left_behind(request_id, 1, [key]) == [key]
    purge_job(erasure, JobFiles())
    assert left_behind(request_id, 1, [key]) == [key]


def test_recent_files_stay_since_they_may_still_be_recorded(app: object, files: Files) -> None:
    files.add(csv_key(uuid4()), image_key(uuid4(), uuid4(), "jpg"), at=YOUNG)
    assert delete_orphans(files.list, files.delete, BEFORE) == 0


def test_foreign_files_are_ignored(app: object, files: Files) -> None:
    files.add("backup/all.sql", "README")
    assert count_orphans(files.list, BEFORE).files == 0


def test_files_of_another_installation_are_not_deleted(
    make_job: MakeJob, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "BATCH", 7)
    _, keys = _done_job(make_job)
    files.add(*keys, *(csv_key(uuid4()) for _ in range(deletion.FEW + 1)))
    number = len(files.written)

    with pytest.raises(TooManyOrphans):
        delete_orphans(files.list, files.delete, BEFORE)
    assert len(files.written) == number
    assert delete_orphans(files.list, files.delete, BEFORE, force=True) == number - len(keys)
