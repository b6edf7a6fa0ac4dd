"""Whether the ledger's database can be used: its encoding, and whether it can be written."""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import Connection, insert

from .metrics import LedgerCounter
from .session import writing

ENCODING = "UTF8"
# With these locales every server accepts UTF-8, whatever its own locale.
CREATE = (
    f"CREATE DATABASE imgcompress ENCODING '{ENCODING}' LC_COLLATE 'C' LC_CTYPE 'C'"
    " TEMPLATE template0"
)


def encoding_error(connection: Connection) -> str | None:
    """Return the problem with the encoding of a database, with advice, or None.

    SQLite has only UTF-8 and UTF-16.
    """
    if connection.dialect.name == "sqlite":
        return None
    found = connection.exec_driver_sql("SHOW server_encoding").scalar()
    if found == ENCODING:
        return None
    return (
        f"The database has the encoding {found}, which cannot hold every URL and file name; it"
        f" must be {ENCODING}. Create another one with {CREATE}; and set DATABASE_URL to it. If"
        " this one has jobs that you need, pg_dump --encoding=UTF8 exports them."
    )


def check_writing() -> None:
    """Write a row that nobody reads, and roll it back.

    Raise LedgerUnavailable when the database cannot be used: a standby, or a database whose disk is
    full, still answers reads.
    """
    with writing() as session:
        # A unique name, so that no two checks wait for each other.
        session.execute(insert(LedgerCounter).values(name=uuid4().hex, value=0))
        session.rollback()
