"""The sums of all metrics, which every process adds to; `metrics.py` tells what they are."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

from sqlalchemy import Double, String, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from ..extensions import Base
from ..metrics import SHARE, Sample
from .sessions import reading, writing

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
_UPSERT = ("INSERT INTO metric_value (name, labels, value) SELECT {name}, {labels}, {value}"
           " FROM {rows} ON CONFLICT (name, labels)"
           " DO UPDATE SET value = metric_value.value + excluded.value")
ADD = {
    "postgresql": text(_UPSERT.format(
        name="item->>0", labels="item->>1", value="(item->>2)::float8",
        rows="json_array_elements(CAST(:rows AS json)) AS item")),
    "sqlite": text(_UPSERT.format(
        name="json_extract(value, '$[0]')", labels="json_extract(value, '$[1]')",
        value="json_extract(value, '$[2]')", rows="json_each(:rows) WHERE true")),
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
