"""The sums of the measurements of all processes, counters, and heartbeats."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from enum import StrEnum

from sqlalchemy import BigInteger, Double, String, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from ..extensions import Base
from ..metrics import SHARE, Sample
from .clock import NOW
from .session import insert_into, reading, writing

log = logging.getLogger(__name__)


class MetricValue(Base):
    """One number of a metric, summed over all processes since the ledger was made."""

    __tablename__ = "metric_value"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    # The values of the metric's labels, as a list in JSON.
    labels: Mapped[str] = mapped_column(String(255), primary_key=True)
    value: Mapped[float] = mapped_column(Double)


# This is done with every batch of results. As one statement over a list in JSON it takes a third
# of what one with a parameter for each value takes (measured).
_UPSERT = (
    "INSERT INTO metric_value (name, labels, value) SELECT {name}, {labels}, {value}"
    " FROM {rows} ON CONFLICT (name, labels)"
    " DO UPDATE SET value = metric_value.value + excluded.value"
)
ADD = {
    "postgresql": text(
        _UPSERT.format(
            name="item->>0",
            labels="item->>1",
            value="(item->>2)::float8",
            rows="json_array_elements(CAST(:rows AS json)) AS item",
        )
    ),
    "sqlite": text(
        _UPSERT.format(
            name="json_extract(value, '$[0]')",
            labels="json_extract(value, '$[1]')",
            value="json_extract(value, '$[2]')",
            rows="json_each(:rows) WHERE true",
        )
    ),
}


def add_values(session: Session, values: Mapping[Sample, float]) -> None:
    """Add to the sums, at the end of the transaction: all others want the same rows.

    They are locked in one order by all, so that no two transactions wait for each other.
    """
    if not values:
        return
    rows = [(name, json.dumps(labels), value) for (name, labels), value in sorted(values.items())]
    session.execute(ADD[session.get_bind().dialect.name], {"rows": json.dumps(rows)})


def save_share() -> None:
    """Add what this process has measured; when that fails, it is kept for the next time."""
    values = SHARE.take()
    try:
        with writing() as session:
            add_values(session, values)
    except Exception as error:
        SHARE.add(values.items())
        log.warning("Timings are waiting for the database: %s", error)


def read_values() -> dict[Sample, float]:
    """Return the sums."""
    with reading() as session:
        rows = session.execute(select(MetricValue.name, MetricValue.labels, MetricValue.value))
        return {Sample(row.name, tuple(json.loads(row.labels))): row.value for row in rows}


class RecoveryCounter(StrEnum):
    """The counters."""

    LEASES_EXPIRED = "leases_expired"
    MESSAGES_LOST = "messages_lost"
    COUNTERS_REPAIRED = "counters_repaired"


class LedgerCounter(Base):
    """How often something has happened since the ledger was made."""

    __tablename__ = "ledger_counter"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)


def count(session: Session, counter: RecoveryCounter, by: int = 1) -> None:
    """Add to a counter. Its row is the last that a transaction locks, after all others."""
    if not by:
        return
    session.execute(
        insert_into(session, LedgerCounter)
        .values(name=counter, value=by)
        .on_conflict_do_update(index_elements=("name",), set_={"value": LedgerCounter.value + by})
    )


def read_counters() -> dict[RecoveryCounter, int]:
    """Return every counter; what never happened is 0."""
    with reading() as session:
        rows = session.execute(select(LedgerCounter.name, LedgerCounter.value)).all()
    found = {row.name: row.value for row in rows}
    return {counter: found.get(counter, 0) for counter in RecoveryCounter}


# The row holds a time, in seconds since 1970, where others hold a count.
NAME = "recovered_at"
# Recovery comes every few seconds; to write that down each time would keep an idle disk awake.
WRITTEN_EVERY = 30


def note_recovery() -> None:
    """Record a heartbeat of recovery."""
    now, noted = _read()
    if noted is not None and 0 <= now - noted < WRITTEN_EVERY:
        return
    with writing() as session:
        session.execute(
            insert_into(session, LedgerCounter)
            .values(name=NAME, value=int(now))
            .on_conflict_do_update(index_elements=("name",), set_={"value": int(now)})
        )


def recovery_age() -> float | None:
    """Return how many seconds ago recovery was at work, WRITTEN_EVERY too many at most.

    None stands for never. A time in the future was recorded before the clock was set back, and
    proves no work since: the further away it is, the longer that may be.
    """
    now, noted = _read()
    return None if noted is None else abs(now - noted)


def seconds_put_back() -> float:
    """Return by how many seconds the clock was put back since recovery was at work, about."""
    now, noted = _read()
    return 0.0 if noted is None else max(0.0, noted - now)


def _read() -> tuple[float, int | None]:
    """Return the present time and the one that was noted."""
    noted = select(LedgerCounter.value).where(LedgerCounter.name == NAME).scalar_subquery()
    with reading() as session:
        row = session.execute(select(NOW.label("now"), noted.label("noted"))).one()
    return row.now.timestamp(), row.noted
