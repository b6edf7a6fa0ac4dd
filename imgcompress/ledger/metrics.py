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


# This is done with every batch of results. One statement over a JSON list takes a third of the time
# of one with a parameter for each value (measured).
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
    """Add to the sums, at the end of the transaction, since all transactions need these rows.

    All lock them in the same order, so that there are no deadlocks.
    """
    if not values:
        return
    rows = [(name, json.dumps(labels), value) for (name, labels), value in sorted(values.items())]
    session.execute(ADD[session.get_bind().dialect.name], {"rows": json.dumps(rows)})


def save_share() -> None:
    """Add the measurements of this process; if that fails, keep them for the next time."""
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
    """Return every counter; events that never happened are 0."""
    with reading() as session:
        rows = session.execute(select(LedgerCounter.name, LedgerCounter.value)).all()
    found = {row.name: row.value for row in rows}
    return {counter: found.get(counter, 0) for counter in RecoveryCounter}


# This row has a time, in seconds since 1970, instead of a count.
NAME = "recovered_at"
# Recovery runs every few seconds; recording each run would keep an idle disk awake.
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
    """Return how many seconds ago recovery last ran, up to WRITTEN_EVERY too many.

    None stands for never. A time in the future was recorded before the clock was set back, and is
    no evidence of later work: the further away it is, the longer ago that may be.
    """
    now, noted = _read()
    return None if noted is None else abs(now - noted)


def seconds_put_back() -> float:
    """Return by about how many seconds the clock was set back since recovery last ran."""
    now, noted = _read()
    return 0.0 if noted is None else max(0.0, noted - now)


def _read() -> tuple[float, int | None]:
    """Return the present time and the recorded one."""
    noted = select(LedgerCounter.value).where(LedgerCounter.name == NAME).scalar_subquery()
    with reading() as session:
        row = session.execute(select(NOW.label("now"), noted.label("noted"))).one()
    return row.now.timestamp(), row.noted
