"""Databases that cannot hold every text are rejected, in words that say how to make another one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy import text

from imgcompress.extensions import db
from imgcompress.ledger.health import encoding_error
from imgcompress.ledger.session import reading

from ..conftest import MakeApp
from .conftest import MakeJob
from tests.support.databases import drop_encoding, execute, fresh_database, migrate
from tests.support.records import images_of, job_of
from tests.support.servers import postgres_url

WORDS = "LC_COLLATE 'C' LC_CTYPE 'C' ENCODING"
postgres = pytest.mark.postgres
on_postgres = pytest.mark.parametrize("ledger_url", ["postgres"], indirect=True)


@pytest.fixture(params=["SQL_ASCII", "LATIN1"])
def narrow_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the URL of an empty database that cannot hold every text."""
    with fresh_database("template0", f"{WORDS} '{request.param}'") as url:
        yield url


@pytest.fixture
def runner(narrow_url: str, make_app: MakeApp) -> FlaskCliRunner:
    """Return what runs the commands of an installation with such a database."""
    return make_app(database_url=narrow_url).test_cli_runner()


@postgres
@pytest.mark.parametrize("command", [["db", "upgrade"], ["serve"], ["doctor"]])
def test_a_database_in_another_encoding_is_rejected_with_advice(
    runner: FlaskCliRunner, command: list[str]
) -> None:
    result = runner.invoke(args=command)
    assert result.exit_code == 1 and isinstance(result.exception, SystemExit)
    assert re.search("has the encoding (SQL_ASCII|LATIN1)", result.output), result.output
    assert "ENCODING 'UTF8'" in result.output and "TEMPLATE template0" in result.output
    assert "Traceback" not in result.output


@postgres
def test_the_advice_makes_a_database_that_is_accepted(narrow_url: str, tmp_path: Path) -> None:
    with pytest.raises(click.ClickException) as rejection:
        migrate(narrow_url, tmp_path)
    advised = re.search(r"CREATE DATABASE imgcompress (.+?);", str(rejection.value))
    assert advised
    words, template = advised[1].split(" TEMPLATE ")
    with fresh_database(template, words) as url:
        migrate(url, tmp_path)


def test_the_databases_of_the_tests_are_accepted(app: Flask) -> None:
    with db.engine.connect() as connection:
        assert encoding_error(connection) is None


@postgres
@on_postgres
def test_each_connection_speaks_utf8(app: Flask, make_job: MakeJob, ledger_url: str) -> None:
    execute(
        postgres_url(),
        f"ALTER DATABASE \"{db.engine.url.database}\" SET client_encoding = 'LATIN1'",
    )
    drop_encoding(ledger_url)
    with reading() as session:
        assert session.scalar(text("SHOW client_encoding")) == "UTF8"
    request_id = make_job(["https://images.test/ä€.jpg"])
    assert images_of(request_id)[0].input_url == "https://images.test/ä€.jpg"
    assert job_of(request_id).status == "PENDING"
