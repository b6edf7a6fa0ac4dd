"""Fresh, migrated databases: copies of one that the migrations built once per run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import flask_migrate
import psycopg2
import pytest

from imgcompress import create_app
from imgcompress.config import load_settings
from imgcompress.extensions import db

from tests.support.servers import postgres_url

MIGRATIONS = Path(__file__).parents[2] / "migrations"


def migrate(url: str, data_dir: Path) -> None:
    """Build the ledger in the database at `url`, by the migrations."""
    app = create_app(load_settings(None, database_url=url, data_dir=data_dir))
    with app.app_context():
        flask_migrate.upgrade(directory=str(MIGRATIONS))
        db.engine.dispose()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated SQLite file."""
    folder = tmp_path_factory.mktemp("template")
    migrate(f"sqlite:///{folder}/template.sqlite3", folder)
    return folder / "template.sqlite3"


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """Return the URL of a fresh SQLite ledger."""
    path = tmp_path / "ledger.sqlite3"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def postgres_template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the name of a migrated Postgres database."""
    with fresh_database() as url:
        migrate(url, tmp_path_factory.mktemp("template"))
        yield urlsplit(url).path.lstrip("/")


@pytest.fixture(scope="session")
def postgres_ledger(postgres_template: str) -> Iterator[PostgresLedger]:
    """Return the Postgres ledger that the tests of this process use one after another."""
    ledger = PostgresLedger(postgres_template)
    yield ledger
    ledger.drop()


@pytest.fixture
def postgres_ledger_url(postgres_ledger: PostgresLedger) -> Iterator[str]:
    """Return the URL of a Postgres ledger without any rows."""
    yield postgres_ledger.url()
    postgres_ledger.clear()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def ledger_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of a fresh ledger, once for each kind of database."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_ledger_url"
    url: str = request.getfixturevalue(name)
    return url


class PostgresLedger:
    """A migrated database that is emptied between tests.

    PostgreSQL takes seconds to create and drop a database on a busy disk, and milliseconds to
    delete a test's rows. A test that changed more than rows gets its database dropped.
    """

    # Whatever a test may change besides the rows of the ledger's own tables.
    FINGERPRINT = """
        SELECT encoding, datconnlimit, datallowconn,
            pg_database_size(oid) > 50000000,
            (SELECT array_agg(setconfig) FROM pg_db_role_setting WHERE setdatabase = d.oid),
            (SELECT array_agg(version_num) FROM alembic_version),
            (SELECT array_agg(oid ORDER BY oid) FROM pg_namespace WHERE oid >= 16384),
            (SELECT array_agg(oid ORDER BY oid) FROM pg_class WHERE oid >= 16384),
            (SELECT array_agg(oid ORDER BY oid) FROM pg_proc WHERE oid >= 16384),
            (SELECT array_agg(oid ORDER BY oid) FROM pg_trigger WHERE oid >= 16384),
            (SELECT array_agg(oid ORDER BY oid) FROM pg_constraint WHERE oid >= 16384),
            (SELECT array_agg((attrelid, attname, atttypid, attnotnull)::text
                ORDER BY attrelid, attnum) FROM pg_attribute WHERE attrelid >= 16384)
        FROM pg_database d WHERE datname = current_database()
        """

    def __init__(self, template: str) -> None:
        self.template = template
        self.database: ExitStack | None = None

    def url(self) -> str:
        """Return the URL of the database, which has no rows."""
        if self.database is None:
            self.database = ExitStack()
            self._url = self.database.enter_context(fresh_database(template=self.template))
            self._fresh = self._fingerprint()
        return self._url

    def clear(self) -> None:
        """End all connections, and delete all rows, or the database if more than rows changed."""
        end_connections(self._url)
        if self._fingerprint() != self._fresh:
            self.drop()
            return
        execute(
            self._url,
            "SET synchronous_commit = off",
            ";".join(f'DELETE FROM "{t.name}"' for t in reversed(db.metadata.sorted_tables)),
        )

    def drop(self) -> None:
        """Drop the database."""
        if self.database is not None:
            self.database.close()
            self.database = None

    def _fingerprint(self) -> tuple[object, ...] | None:
        with closing(psycopg2.connect(self._url)) as connection, connection.cursor() as cursor:
            cursor.execute(self.FINGERPRINT)
            return cursor.fetchone()


@contextmanager
def fresh_database(template: str = "template1", words: str = "") -> Iterator[str]:
    """Create a Postgres database and drop it at the end; yield its URL.

    `words` are further ones of CREATE DATABASE.
    """
    admin = postgres_url()
    name = f"imgcompress_test_{uuid4().hex[:12]}"
    execute(admin, f'CREATE DATABASE "{name}" TEMPLATE "{template}" {words}')
    try:
        yield urlunsplit(urlsplit(admin)._replace(path=f"/{name}"))
    finally:
        execute(admin, f'DROP DATABASE "{name}" WITH (FORCE)')


def execute(url: str, *statements: str) -> None:
    """Execute statements on a Postgres database, past the service."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


def end_connections(url: str) -> None:
    """End every other connection to a Postgres database, as a restart of the server does."""
    execute(
        url,
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )


def drop_encoding(url: str) -> None:
    """Have a Postgres database forget its encoding, so that it takes texts that are not UTF-8."""
    name = urlsplit(url).path.lstrip("/")
    execute(postgres_url(), f"UPDATE pg_database SET encoding = 0 WHERE datname = '{name}'")
    end_connections(url)


def set_read_only(url: str) -> None:
    """Have a Postgres database refuse all writes; connections there are end."""
    _set_default(url, "default_transaction_read_only = on")
    end_connections(url)


def set_writable(url: str) -> None:
    """Have a Postgres database take writes again, on new connections."""
    _set_default(url, "default_transaction_read_only = off")


def _set_default(url: str, setting: str) -> None:
    name = urlsplit(url).path.lstrip("/")
    execute(postgres_url(), f'ALTER DATABASE "{name}" SET {setting}')
