"""What is true of files alone."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from imgcompress.errors import StorageUnavailable
from imgcompress.storage import Storage
from imgcompress.storage.files import FileStorage


def test_leftovers_of_a_dead_process_are_listed(file_storage: Storage, tmp_path: Path) -> None:
    file_storage.write("images/one/a.jpg", b"a")
    (tmp_path / "made" / "later" / "images" / "one" / ".b.jpg.0123").write_bytes(b"half")
    assert {file.key for file in file_storage.list("images")} == {
        "images/one/a.jpg",
        "images/one/.b.jpg.0123",
    }


def test_the_check_fails_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageUnavailable):
        FileStorage(tmp_path / "file").check()


def test_a_file_is_stored_though_its_folder_is_deleted_meanwhile(file_storage: Storage) -> None:
    class Overtaken(io.BytesIO):
        deletions = 2

        def read(self, size: int | None = -1) -> bytes:
            if self.deletions:
                self.deletions -= 1
                file_storage.delete_folder("images/one")
            return super().read(size)

    source = Overtaken(b"a,b\n" * 10)
    source.seek(4)
    file_storage.copy_from("images/one/a.jpg", source)
    with file_storage.open("images/one/a.jpg") as file:
        assert file.read() == b"a,b\n" * 9
    assert [file.key for file in file_storage.list()] == ["images/one/a.jpg"]


def test_a_folder_may_go_before_its_first_file_is_there(
    file_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, mkdir = [], Path.mkdir

    def overtaken(path: Path, *given: Any, **more: Any) -> None:
        mkdir(path, *given, **more)
        made.append(path)
        if len(made) == 1:
            path.rmdir()

    monkeypatch.setattr(Path, "mkdir", overtaken)
    file_storage.write("images/one/a.jpg", b"a")
    assert [file.key for file in file_storage.list()] == ["images/one/a.jpg"]
