from __future__ import annotations

import os
from pathlib import Path

import click
import pytest

from imgcompress.cli.local import lock_installation


def test_a_second_holder_is_told_who_is_first(tmp_path: Path) -> None:
    with lock_installation(tmp_path / "var", "http://127.0.0.1:5000"):
        with pytest.raises(click.ClickException) as told:
            lock_installation(tmp_path / "var", "http://127.0.0.1:5001")

    assert f"pid {os.getpid()}, http://127.0.0.1:5000" in told.value.message


def test_the_lock_ends_with_its_holder(tmp_path: Path) -> None:
    lock_installation(tmp_path, "http://127.0.0.1:5000").close()

    with lock_installation(tmp_path, "http://127.0.0.1:5001"):
        told = (tmp_path / "serve.lock").read_text(encoding="utf-8")
    assert told == f"pid {os.getpid()}, http://127.0.0.1:5001\n"


def test_installations_do_not_hinder_each_other(tmp_path: Path) -> None:
    with lock_installation(tmp_path / "a", "a"), lock_installation(tmp_path / "b", "b"):
        assert (tmp_path / "b" / "serve.lock").exists()
