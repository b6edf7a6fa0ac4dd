"""The commands that concern callers and all jobs."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import Result
from flask import Flask

from imgcompress.ledger.api_keys import owner_of
from imgcompress.ledger.intake import NewJob, create_job
from imgcompress.ledger.queries import find_job
from imgcompress.storage import csv_key, open_storage

from ..conftest import MakeApp
from tests.support.new_images import NewImage, by_columns


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """Return an application with a fresh ledger."""
    return make_app()


def _run(app: Flask, *arguments: str, answer: str | None = None) -> Result:
    return app.test_cli_runner().invoke(args=arguments, input=answer)


def test_a_key_is_shown_once_and_works(app: Flask) -> None:
    result = _run(app, "keys", "create", "shop")
    assert result.exit_code == 0
    token, _, advice = result.output.partition("\n")
    assert "cannot be shown again" in advice and "REQUIRE_API_KEY" in advice
    with app.app_context():
        assert owner_of(token) == "shop"
    listed = _run(app, "keys", "list").output
    assert "shop" in listed and token[:12] in listed and token not in listed


def test_keys_are_revoked(app: Flask) -> None:
    token = _run(app, "keys", "create", "shop").output.splitlines()[0]
    assert _run(app, "keys", "revoke", "shop").exit_code == 0
    with app.app_context():
        assert owner_of(token) is None
    assert "revoked" in _run(app, "keys", "list").output
    assert "no valid key" in _run(app, "keys", "revoke", "shop").output


def test_a_key_is_changed_with_an_overlap(app: Flask) -> None:
    old = _run(app, "keys", "create", "shop").output.splitlines()[0]
    second = _run(app, "keys", "create", "shop").output
    new, advice = second.splitlines()[0], f"imgcompress keys revoke {old[:12]}"
    assert advice in second
    third = _run(app, "keys", "create", "shop")
    assert third.exit_code == 1 and advice in third.output
    unclear = _run(app, "keys", "revoke", "shop")
    assert unclear.exit_code == 1 and f"{old[:12]} or {new[:12]}" in unclear.output
    assert _run(app, "keys", "revoke", old[:12]).exit_code == 0
    with app.app_context():
        assert (owner_of(old), owner_of(new)) == (None, "shop")
    assert _run(app, "keys", "list").output.count("active") == 1


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "é", "a\n"])
def test_a_name_is_plain(app: Flask, name: str) -> None:
    assert "A name has" in _run(app, "keys", "create", name).output


def test_without_keys_the_list_is_empty(app: Flask) -> None:
    result = _run(app, "keys", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "There are no keys." in result.stderr


def test_a_reset_asks_first_and_deletes_every_job(app: Flask) -> None:
    request_id = uuid4()
    with app.app_context():
        storage = open_storage(app.config["SETTINGS"])
        storage.write(csv_key(request_id), b"a CSV")
        create_job(
            NewJob(request_id, "a.csv", {}, "http://a", 1, 1, owner="shop"),
            by_columns([NewImage(2, 0, "1", "A", "http://a/1.jpg")]),
            slice_size=50,
        )
        assert _run(app, "ledger", "reset", answer="n\n").exit_code == 1
        assert find_job(request_id) is not None
        result = _run(app, "ledger", "reset", answer="y\n")
        assert result.exit_code == 0 and "Deleted jobs: 1\n" in result.output
        assert find_job(request_id) is None
    assert not list((Path(app.config["SETTINGS"].data_dir) / "storage").rglob("input.csv"))
