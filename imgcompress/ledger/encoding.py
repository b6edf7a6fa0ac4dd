"""Which databases can hold every text: those in UTF-8."""

from __future__ import annotations

from sqlalchemy import Connection

ENCODING = "UTF8"
# With these locales each server takes UTF-8, whatever it was set up with.
CREATE = (f"CREATE DATABASE imgcompress ENCODING '{ENCODING}' LC_COLLATE 'C' LC_CTYPE 'C'"
          " TEMPLATE template0")


def encoding_fault(connection: Connection) -> str | None:
    """Return in words what is wrong with the encoding of a database, and what to do; or None.

    SQLite has no other than UTF-8 and UTF-16.
    """
    if connection.dialect.name == "sqlite":
        return None
    found = connection.exec_driver_sql("SHOW server_encoding").scalar()
    if found == ENCODING:
        return None
    return (f"The database has the encoding {found}, which cannot hold every URL and file name; it"
            f" must be {ENCODING}. Create another one with {CREATE}; and set DATABASE_URL to it. If"
            " this one has jobs that you need, pg_dump --encoding=UTF8 takes them along.")
