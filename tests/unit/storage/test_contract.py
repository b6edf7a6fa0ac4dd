"""What holds for every storage: whole files or none, and never a key outside its root."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from imgcompress.errors import StorageNotFound, StorageUnavailable
from imgcompress.storage import JobFiles, Storage, csv_key, image_key

LARGE = os.urandom(1 << 20)


def _keys(storage: Storage, folder: str = "") -> set[str]:
    return {file.key for file in storage.list(folder)}


def _read(storage: Storage, key: str) -> bytes:
    with storage.open(key) as file:
        return file.read()


def test_a_written_file_is_read_back(storage: Storage) -> None:
    storage.write(image_key("job", "image", "jpg"), b"bytes")
    assert _read(storage, "images/job/image.jpg") == b"bytes"


def test_an_empty_file_is_a_file(storage: Storage) -> None:
    storage.write("a/b", b"")
    with storage.open("a/b") as file:
        assert file.seek(0, os.SEEK_END) == 0 and file.read() == b""


def test_a_stream_is_copied_from_where_it_stands(storage: Storage) -> None:
    source = io.BytesIO(b"a,b\n" * 1000)
    source.seek(400)
    storage.copy_from(csv_key("job"), source)
    assert not source.closed
    assert _read(storage, "csv/job/input.csv") == b"a,b\n" * 900


def test_a_second_write_replaces_the_first(storage: Storage) -> None:
    storage.write("a/b", b"first")
    storage.write("a/b", b"second")
    assert _read(storage, "a/b") == b"second"


def test_a_write_that_breaks_off_leaves_nothing(storage: Storage) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("the disk is gone")

    with pytest.raises(StorageUnavailable):
        storage.copy_from("a/b", Broken(b"content"))
    assert _keys(storage) == set()


def test_a_file_is_read_from_any_place(storage: Storage) -> None:
    storage.write("a/b", LARGE)
    with storage.open("a/b") as file:
        assert file.seekable()
        assert file.seek(0, os.SEEK_END) == len(LARGE)
        assert file.seek(5) == 5 and file.read(10) == LARGE[5:15] and file.tell() == 15
        assert file.seek(-7, os.SEEK_END) and file.read(100) == LARGE[-7:]
        assert file.read(100) == b""
        assert file.seek(0) == 0 and file.read() == LARGE


def test_a_file_that_is_open_stays_whole_when_it_is_replaced(storage: Storage) -> None:
    storage.write("a/b", LARGE)
    with storage.open("a/b") as file:
        begin = file.read(10)
        storage.write("a/b", b"another")
        assert begin + file.read() == LARGE


@pytest.mark.parametrize(
    "key", ["missing", "images", "images/job", "images/job/none.jpg", "images/job/image.jpg/below"]
)
def test_an_unknown_job_or_delivery_is_not_found(storage: Storage, key: str) -> None:
    storage.write("images/job/image.jpg", b"")
    with pytest.raises(StorageNotFound):
        storage.open(key)
    storage.delete(key)
    assert _keys(storage) == {"images/job/image.jpg"}


@pytest.mark.parametrize(
    "key",
    [
        "../secret",
        "a/../../secret",
        "/etc/passwd",
        "",
        ".",
        "a\0b",
        "images/../..",
        "images/../../later2/x",
        "a//b",
        "a/",
        "./a",
    ],
)
def test_no_key_leaves_the_root(storage: Storage, key: str) -> None:
    for act in (
        storage.open,
        storage.delete,
        storage.delete_folder,
        lambda key: storage.write(key, b""),
    ):
        with pytest.raises(StorageNotFound):
            act(key)


def test_a_job_is_deleted_with_all_its_files(storage: Storage) -> None:
    for job in ("one", "one2"):
        storage.write(csv_key(job), b"a")
        storage.write(image_key(job, "image", "jpg"), b"a")
    JobFiles(storage).delete_job("one")
    JobFiles(storage).delete_job("one")
    assert _keys(storage) == {"csv/one2/input.csv", "images/one2/image.jpg"}


def test_a_job_is_deleted_with_the_images_of_its_epochs(storage: Storage) -> None:
    job, other = uuid4(), uuid4()
    keys = {image_key(of, "image", "jpg", epoch) for of in (job, other) for epoch in (1, 2, 3)}
    assert len(keys) == 6
    for key in keys:
        storage.write(key, b"a")
    JobFiles(storage).delete_job(job, 3)
    assert _keys(storage) == {image_key(other, "image", "jpg", epoch) for epoch in (1, 2, 3)}


def test_files_that_other_jobs_use_stay(storage: Storage) -> None:
    keys = {f"images/one/{name}.jpg" for name in "abc"}
    for key in keys:
        storage.write(key, b"a")
    asked: set[str] = set()

    def held(some: Sequence[str]) -> set[str]:
        asked.update(some)
        return {"images/one/b.jpg"} & set(some)

    JobFiles(storage).delete_job("one", held=held)
    assert _keys(storage) == {"images/one/b.jpg"} and asked >= keys
    JobFiles(storage).delete(["images/one/b.jpg", "images/one/b.jpg"])
    assert _keys(storage) == set()


def test_one_file_is_deleted(storage: Storage) -> None:
    storage.write("images/one/a.jpg", b"a")
    storage.write("images/one/b.jpg", b"b")
    storage.delete("images/one/a.jpg")
    storage.delete("images/one/a.jpg")
    assert _keys(storage) == {"images/one/b.jpg"}


def test_stored_files_are_listed_with_their_times(storage: Storage) -> None:
    assert list(storage.list()) == list(storage.list("images")) == []
    storage.write("images/one/a.jpg", b"a")
    storage.write("images2/b.jpg", b"b")
    storage.write("csv/one/input.csv", b"c")
    assert _keys(storage) == {"images/one/a.jpg", "images2/b.jpg", "csv/one/input.csv"}
    (file,) = storage.list("images")
    assert file.key == "images/one/a.jpg" and file.modified.tzinfo is not None
    # S3 knows whole seconds alone.
    assert abs(datetime.now(UTC) - file.modified) < timedelta(seconds=60)


def test_files_may_be_deleted_while_they_are_listed(storage: Storage) -> None:
    for number in range(20):
        storage.write(f"images/{number}/a.jpg", b"")
    for file in storage.list("images"):
        storage.delete(file.key)
    assert _keys(storage) == set()


def test_the_check_leaves_nothing(storage: Storage) -> None:
    storage.check()
    assert _keys(storage) == set()


def test_the_deletion_of_a_folder_reports_its_progress(storage: Storage) -> None:
    class Enough(Exception):
        pass

    def stop() -> None:
        raise Enough

    for name in "abc":
        storage.write(f"images/one/{name}.jpg", b"a")
    noted: list[None] = []
    with pytest.raises(Enough):
        storage.delete_folder("images/one", stop)
    assert _keys(storage)
    storage.delete_folder("images/one", lambda: noted.append(None))
    assert noted and _keys(storage) == set()
