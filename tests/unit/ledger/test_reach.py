"""Every way in which the database can be unavailable raises one error; other errors pass through."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import create_engine, event, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from imgcompress.app import create_worker_app
from imgcompress.config import load_settings
from imgcompress.errors import LedgerUnavailable
from imgcompress.extensions import db
from imgcompress.ledger import session as reach
from imgcompress.ledger import session as sessions
from imgcompress.ledger.health import check_writing
from imgcompress.ledger.metrics import read_counters
from imgcompress.ledger.models import JobRequest
from imgcompress.ledger.session import met_trouble, reading, writing

from ...faults.proxy import Proxy
from .conftest import MakeJob
from tests.support.databases import end_connections, execute, set_read_only, set_writable
from tests.support.records import job_of
from tests.support.servers import postgres_url

on_sqlite = pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)


def on_postgres(test: object) -> object:
    """Run a test on Postgres alone."""
    return pytest.mark.postgres(
        pytest.mark.parametrize("ledger_url", ["postgres"], indirect=True)(test)
    )


def _write(session: Session) -> None:
    session.execute(update(JobRequest).values(base_url="http://lost.test"))


@on_postgres
def test_a_read_only_postgres_is_unavailable_for_writers(
    ledger_url: str, make_job: MakeJob
) -> None:
    request_id = make_job()
    set_read_only(ledger_url)
    assert job_of(request_id).base_url == "http://service.test"
    with pytest.raises(LedgerUnavailable), writing() as session:
        _write(session)
    with pytest.raises(LedgerUnavailable):
        make_job()  # By COPY, past SQLAlchemy.
    with pytest.raises(LedgerUnavailable):
        check_writing()
    set_writable(ledger_url)
    check_writing()
    make_job()


@on_postgres
def test_a_connection_that_ends_in_a_readers_hands_makes_one_error(
    ledger_url: str, make_job: MakeJob
) -> None:
    request_id = make_job()
    with pytest.raises(LedgerUnavailable), reading() as session:
        session.execute(text("SELECT 1"))
        end_connections(ledger_url)
        session.execute(text("SELECT 1"))
    with reading() as session:
        session.execute(text("SELECT 1"))
        end_connections(ledger_url)  # Nothing is asked any more; it is given back broken.
    assert job_of(request_id).request_id == request_id


@on_postgres
def test_a_connection_that_ends_in_a_writers_hands_makes_one_error(
    ledger_url: str, make_job: MakeJob
) -> None:
    request_id = make_job()
    for again in range(2):
        with pytest.raises(LedgerUnavailable), writing() as session:
            _write(session)
            end_connections(ledger_url)
            if again:
                _write(session)
    assert job_of(request_id).base_url == "http://service.test"


@on_postgres
def test_another_error_does_not_hide_a_lost_connection(ledger_url: str, make_job: MakeJob) -> None:
    make_job()
    with pytest.raises(LedgerUnavailable), writing() as session:
        _write(session)
        end_connections(ledger_url)
        raise KeyError
    with writing() as session:
        _write(session)


@contextmanager
def _role() -> Iterator[str]:
    """Yield the name of a role that may have no connection."""
    name = f"imgcompress_test_{uuid4().hex[:12]}"
    execute(postgres_url(), f'CREATE ROLE "{name}" LOGIN CONNECTION LIMIT 0')
    try:
        yield name
    finally:
        execute(postgres_url(), f'DROP ROLE "{name}"')


@on_postgres
def test_too_many_connections_are_a_database_that_is_away(ledger_url: str, tmp_path: Path) -> None:
    with _role() as role:
        parts = urlsplit(ledger_url)
        address = parts.netloc.rpartition("@")[2]
        url = parts._replace(netloc=f"{role}@{address}").geturl()
        app = create_worker_app(load_settings(None, database_url=url, data_dir=tmp_path))
        with app.app_context():
            for session in (reading, writing):
                with pytest.raises(LedgerUnavailable), session() as opened:
                    opened.execute(text("SELECT 1"))


@on_postgres
def test_rights_that_were_taken_away_are_a_database_that_is_away(
    app: Flask, make_job: MakeJob
) -> None:
    make_job()
    with pytest.raises(LedgerUnavailable), writing() as session:
        session.execute(text("SET LOCAL ROLE pg_monitor"))
        _write(session)


@pytest.mark.parametrize(
    "state, away",
    [
        ("57P01", True),
        ("57P03", True),
        ("08006", True),
        ("53100", True),
        ("53300", True),
        ("58030", True),
        ("40P01", True),
        ("55P03", True),
        ("25P03", True),
        ("42P01", True),
        ("22P05", False),
        ("23505", False),
        ("42703", False),
        ("XX001", False),
        ("54000", False),
    ],
)
@on_postgres
def test_the_message_of_postgres_shows_whether_it_is_away(
    make_job: MakeJob, state: str, away: bool
) -> None:
    raised = text(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$")
    with pytest.raises(LedgerUnavailable if away else DBAPIError), writing() as session:
        session.execute(raised)


def test_a_server_that_is_not_there_is_away(app: Flask, tmp_path: Path) -> None:
    away = create_worker_app(
        load_settings(
            None, database_url="postgresql://postgres@127.0.0.1:1/none", data_dir=tmp_path
        )
    )
    with away.app_context():
        for session in (reading, writing):
            with pytest.raises(LedgerUnavailable), session() as opened:
                opened.execute(text("SELECT 1"))
        assert met_trouble(within=60)


@on_sqlite
def test_a_read_only_sqlite_is_unavailable_for_writers(app: Flask, make_job: MakeJob) -> None:
    request_id = make_job()
    event.listen(
        db.engine, "checkout", lambda connection, *_: connection.execute("PRAGMA query_only = ON")
    )
    with pytest.raises(LedgerUnavailable), writing() as session:
        _write(session)
    with pytest.raises(LedgerUnavailable):
        check_writing()
    assert job_of(request_id).base_url == "http://service.test"


@on_sqlite
def test_a_full_sqlite_is_away(app: Flask, make_job: MakeJob) -> None:
    event.listen(
        db.engine,
        "checkout",
        lambda connection, *_: connection.execute("PRAGMA max_page_count = 1"),
    )
    with pytest.raises(LedgerUnavailable, match="full"):
        make_job(5000)


@on_sqlite
def test_a_disk_that_fails_is_a_database_that_is_away(app: Flask, make_job: MakeJob) -> None:
    make_job()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.raises(LedgerUnavailable, match="disk I/O error"):
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
            with writing() as session:
                _write(session)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a lock only shortly."""
    monkeypatch.setattr(sessions, "BUSY_SECONDS", 0)


@on_sqlite
def test_a_locked_sqlite_is_away(hurry: None, app: Flask, make_job: MakeJob) -> None:
    make_job()
    with writing() as session:
        _write(session)
        with pytest.raises(LedgerUnavailable, match="locked"), writing() as second:
            _write(second)


def test_a_ledger_without_its_tables_is_away(app: Flask) -> None:
    for session in (reading, writing):
        with pytest.raises(LedgerUnavailable), session() as opened:
            opened.execute(text("SELECT 1 FROM nowhere"))


def test_other_errors_pass_through_unchanged(app: Flask) -> None:
    for session in (reading, writing):
        with pytest.raises(DBAPIError), session() as opened:
            opened.execute(text("SELECT missing FROM job_request"))
        with pytest.raises(KeyError), session():
            raise KeyError
    assert not reach.means_unavailable(ValueError())


def test_the_check_of_writing_changes_nothing(app: Flask) -> None:
    check_writing()
    with reading() as session:
        assert session.scalar(text("SELECT count(*) FROM ledger_counter")) == 0
    assert not any(read_counters().values())


class _Counting(Proxy):
    """Counts the statements that go through it."""

    def __init__(self, host: str, port: int) -> None:
        self.statements: list[str] = []
        super().__init__(host, port)

    def passing(self, data: bytes) -> None:
        """Note the simple queries of a piece, which clients send whole: `Q`, length, text."""
        if data[:1] == b"Q":
            self.statements.append(data[5:-1].decode())


@on_postgres
def test_a_read_costs_its_statement_and_a_probe(ledger_url: str, tmp_path: Path) -> None:
    parts = urlsplit(ledger_url)
    with _Counting(parts.hostname or "127.0.0.1", parts.port or 5432) as proxy:
        login = parts.netloc.rpartition("@")[0]
        url = parts._replace(netloc=f"{login}@127.0.0.1:{proxy.port}").geturl()
        app = create_worker_app(load_settings(None, database_url=url, data_dir=tmp_path))
        with app.app_context():
            for _ in range(2):  # The first ones connect.
                with reading() as session:
                    session.execute(text("SELECT 2"))
                with writing() as session:
                    session.execute(text("SELECT 3"))
            proxy.statements.clear()
            with reading() as session:
                session.execute(text("SELECT 2"))
            assert proxy.statements == ["SELECT 1", "SELECT 2"]
            for engine in db.engines.values():
                engine.dispose()


def test_a_read_after_an_error_sees_the_newest_state(make_job: MakeJob) -> None:
    jobs = [make_job(), make_job()]
    rows = []
    with pytest.raises(ValueError, match="unreadable"), reading() as session:
        # Whoever holds the result holds its cursor too, as a traceback does.
        rows.append(session.connection().connection.cursor())
        rows[0].execute("SELECT request_id FROM job_request")
        rows[0].fetchone()
        raise ValueError("unreadable")
    with create_engine(db.engine.url, poolclass=NullPool).begin() as other:
        other.execute(update(JobRequest).values(base_url="http://new.test"))
    assert {job_of(job).base_url for job in jobs * 5} == {"http://new.test"}
