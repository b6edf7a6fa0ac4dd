"""The signing secret."""

from __future__ import annotations

from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from imgcompress.notify.webhook import retire, rotate, signing_secrets


def test_a_configured_secret_is_taken_as_it_is(tmp_path: Path) -> None:
    assert signing_secrets(("whsec_new", "whsec_old"), tmp_path) == ("whsec_new", "whsec_old")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_secret_is_made_once_and_kept_private(tmp_path: Path) -> None:
    data_dir = tmp_path / "var"
    (secret,) = signing_secrets((), data_dir)
    assert len(b64decode(secret.removeprefix("whsec_"))) == 32
    assert signing_secrets((), data_dir) == (secret,)
    assert (data_dir / "webhook_secret").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in data_dir.iterdir()] == ["webhook_secret"]


def test_processes_that_start_together_agree_on_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: signing_secrets((), tmp_path), range(32)))
    assert len(made) == 1


def test_a_new_secret_signs_beside_the_newest_one_until_that_is_retired(tmp_path: Path) -> None:
    (first,) = signing_secrets((), tmp_path)
    second, still = rotate(tmp_path)
    assert still == first != second
    assert signing_secrets((), tmp_path) == (second, first)
    third, kept = rotate(tmp_path)
    assert kept == second
    assert retire(tmp_path) == signing_secrets((), tmp_path) == (third,)
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600]
