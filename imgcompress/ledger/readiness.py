"""Can the ledger be written, and not only read?"""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import insert

from .counters import LedgerCounter
from .sessions import writing


def check_writing() -> None:
    """Write a row that nobody reads, and take it back.

    Raise LedgerUnavailable when the database cannot be used: a standby and a database whose disk is
    full still answer whatever only reads.
    """
    with writing() as session:
        # A name of its own, so that no two checks wait for each other.
        session.execute(insert(LedgerCounter).values(name=uuid4().hex, value=0))
        session.rollback()
