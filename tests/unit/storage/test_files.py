"""What is true of files alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgcompress.errors import StorageUnavailable
from imgcompress.storage import Storage
from imgcompress.storage.files import FileStorage


def test_what_a_dying_process_left_is_listed(file_storage: Storage, tmp_path: Path) -> None:
    file_storage.write("images/one/a.jpg", b"a")
    (tmp_path / "made" / "later" / "images" / "one" / ".b.jpg.0123").write_bytes(b"half")
    assert {file.key for file in file_storage.list("images")} == {
        "images/one/a.jpg", "images/one/.b.jpg.0123"}


def test_the_check_fails_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageUnavailable):
        FileStorage(tmp_path / "file").check()
