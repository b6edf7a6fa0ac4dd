"""Counters of what recovery made good, kept in the ledger so that every process adds to them."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import BigInteger, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from ..extensions import Base
from .sessions import insert_into, reading


class Counter(StrEnum):
    """What is counted."""

    LEASES_EXPIRED = "leases_expired"
    MESSAGES_LOST = "messages_lost"
    COUNTERS_REPAIRED = "counters_repaired"


class LedgerCounter(Base):
    """How often something has happened since the ledger was made."""

    __tablename__ = "ledger_counter"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)


def count(session: Session, counter: Counter, by: int = 1) -> None:
    """Add to a counter. Its row is the last that a transaction locks, after all others."""
    if not by:
        return
    session.execute(
        insert_into(session, LedgerCounter).values(name=counter, value=by)
        .on_conflict_do_update(index_elements=("name",), set_={"value": LedgerCounter.value + by}))


def read_counters() -> dict[Counter, int]:
    """Return every counter; what never happened is 0."""
    with reading() as session:
        rows = session.execute(select(LedgerCounter.name, LedgerCounter.value)).all()
    found = {row.name: row.value for row in rows}
    return {counter: found.get(counter, 0) for counter in Counter}
