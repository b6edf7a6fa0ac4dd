"""Copy a whole ledger to another database, such as from SQLite to Postgres.

Both have the newest schema, and no process may use either meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, Engine, create_engine, func, inspect, select, text
from sqlalchemy.exc import DBAPIError

from ..errors import ImgcompressError
from ..extensions import db
from .clock import NOW
from .metrics import NAME as RECOVERED
from .metrics import LedgerCounter
from .models import JobSlice, SliceState
from .session import adapt, engine_options

BATCH = 2_000
VERSION = "alembic_version"
# Recovery records a heartbeat at most every half a minute.
STOPPED_SECONDS = 60.0


class CopyRefused(ImgcompressError):
    """The ledger cannot be copied in its present state."""

    code = "copy_refused"


def copy_ledger(source_url: str, target_url: str, show: Callable[[str, int], None]) -> int:
    """Copy all rows in one transaction; return their number. `show` reports each table.

    Raise CopyRefused, and change nothing, when a process is at work, the schemas differ, the target
    has rows, or the counts differ at the end.
    """
    source_engine, target_engine = _engine(source_url), _engine(target_url)
    try:
        # Nobody else writes to a SQLite file meanwhile; on Postgres, all tables are read as of now.
        with (
            source_engine.connect() as source,
            target_engine.connect() as target,
            source.begin(),
            target.begin(),
        ):
            _check(source, target)
            return sum(_copy(source, target, show).values())
    except DBAPIError as error:
        raise CopyRefused(
            f"The database cannot be used: {str(error.orig).strip()}. Nothing was copied."
        ) from error
    finally:
        source_engine.dispose()
        target_engine.dispose()


def _engine(url: str) -> Engine:
    isolation = {} if url.startswith("sqlite") else {"isolation_level": "REPEATABLE READ"}
    engine = create_engine(url, **engine_options(url) | isolation)
    adapt(engine)
    return engine.execution_options(write=True)


def _check(source: Connection, target: Connection) -> None:
    """Raise CopyRefused if the ledger must not be copied now, or not to this target."""
    versions = [_version(connection) for connection in (source, target)]
    if None in versions or versions[0] != versions[1]:
        raise CopyRefused(
            f"The schemas differ: {versions[0] or 'none'} and {versions[1] or 'none'}. Bring both"
            " databases to the newest one with this version's: imgcompress db upgrade"
        )
    noted = select(LedgerCounter.value).where(LedgerCounter.name == RECOVERED).scalar_subquery()
    now, recovered = source.execute(select(NOW, noted)).one()
    working = source.scalar(
        select(func.count())
        .select_from(JobSlice)
        .where(JobSlice.state == SliceState.LEASED, JobSlice.lease_until > now)
    )
    recent = recovered is not None and abs(now.timestamp() - recovered) < STOPPED_SECONDS
    if working or recent:
        raise CopyRefused(
            "The service is running, or was a minute ago. Stop all of its processes, and try again"
            " in a minute."
        )
    for table in db.metadata.sorted_tables:
        if target.scalar(select(func.count()).select_from(table)):
            raise CopyRefused(
                f"The target is in use: its table {table.name} has rows. Give an empty database."
            )


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION):
        return None
    version: str | None = connection.scalar(text(f"SELECT version_num FROM {VERSION}"))
    return version


def _copy(
    source: Connection, target: Connection, show: Callable[[str, int], None]
) -> dict[str, int]:
    counts = {}
    for table in db.metadata.sorted_tables:
        rows = source.execution_options(yield_per=BATCH).execute(select(table)).mappings()
        for batch in rows.partitions(BATCH):
            target.execute(table.insert(), [dict(row) for row in batch])
        counts[table.name], copied = (
            connection.scalar(select(func.count()).select_from(table)) or 0
            for connection in (source, target)
        )
        if counts[table.name] != copied:
            raise CopyRefused(
                f"{table.name} has {counts[table.name]:,} rows, and {copied:,} were copied."
                " Nothing was changed; please report this."
            )
        show(table.name, copied)
    return counts
