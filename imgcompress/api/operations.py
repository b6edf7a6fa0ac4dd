"""Liveness, readiness, and Prometheus metrics."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from threading import Lock
from time import monotonic
from typing import Any

from flask import Response, current_app
from marshmallow import Schema, fields, validate
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from ..extensions import current_extension
from ..ledger.clock import clock_difference
from ..ledger.gauges import Gauges, oldest_slice_seconds, read_gauges
from ..ledger.health import check_writing
from ..ledger.metrics import RecoveryCounter, read_counters, read_values
from ..metrics import COUNTERS, HISTOGRAMS, Histogram, Sample
from ..worker.queue import check_broker
from .openapi import PUBLIC_CALL, Blueprint

log = logging.getLogger(__name__)

OK, DEGRADED, UNAVAILABLE = "ok", "degraded", "unavailable"
# Cached because anyone may call it, and each check writes a file, queries the database and opens a
# connection.
KEPT_SECONDS = 3.0


class Readiness:
    """The last result of the checks in one process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._found: dict[str, Any] = {}
        self._until = 0.0

    def look(self) -> dict[str, Any]:
        """Return the last result if it is recent, or check again.

        Of concurrent callers one runs the checks, and the others wait for its result.
        """
        with self._lock:
            if not self._found or monotonic() >= self._until:
                self._found = _look_at_all()
                self._until = monotonic() + KEPT_SECONDS
            return self._found


def _look_at_all() -> dict[str, Any]:
    """Run all checks and catch their errors."""
    ledger: dict[str, float | None] = {"oldest_slice_seconds": None, "clock_ahead_seconds": None}
    checks = {
        "database": _check("database", lambda: ledger.update(_ask_ledger())),
        "storage": _check("storage", lambda: current_extension("storage").check()),
        "broker": _check("broker", check_broker),
    }
    if UNAVAILABLE in (checks["database"], checks["storage"]):
        status = UNAVAILABLE
    else:
        # Without a broker an upload is safe in the ledger, and recovery publishes it later.
        status = OK if checks["broker"] == OK else DEGRADED
    return {"status": status, "checks": checks, **ledger}


def _ask_ledger() -> dict[str, float]:
    """Return the ledger's figures on work and clocks."""
    check_writing()
    return {
        "oldest_slice_seconds": round(oldest_slice_seconds()),
        "clock_ahead_seconds": round(clock_difference(), 1),
    }


def _check(name: str, attempt: Callable[[], None]) -> str:
    """Return the result of a check: any error means that its dependency is unusable."""
    try:
        attempt()
    except Exception as error:
        log.warning("Not ready: the %s is unavailable: %s", name, error)
        return UNAVAILABLE
    return OK


class HealthSchema(Schema):
    """The process answers."""

    status = fields.String(required=True, validate=validate.OneOf(["ok"]))


class ChecksSchema(Schema):
    """The dependencies of the service."""

    database = fields.String(required=True, validate=validate.OneOf(["ok", "unavailable"]))
    storage = fields.String(required=True, validate=validate.OneOf(["ok", "unavailable"]))
    broker = fields.String(required=True, validate=validate.OneOf(["ok", "unavailable"]))


class ReadinessSchema(Schema):
    """Whether uploads are accepted, and whether they are processed at once."""

    status = fields.String(
        required=True,
        validate=validate.OneOf(["ok", "degraded", "unavailable"]),
        metadata={
            "description": "degraded: uploads are accepted, and processed when the message"
            " broker works again. unavailable: uploads are not accepted."
        },
    )
    checks = fields.Nested(ChecksSchema, required=True)
    oldest_slice_seconds = fields.Integer(
        required=True,
        allow_none=True,
        metadata={
            "description": "Seconds since the work that has waited longest made progress; 0 if nothing"
            " waits, null when the database cannot be read.",
            "example": 0,
        },
    )
    clock_ahead_seconds = fields.Float(
        required=True,
        allow_none=True,
        metadata={
            "description": "Seconds by which the clock of the responding machine is ahead of the"
            " database's clock, or behind it if negative; null when the database cannot"
            " be read. The database's clock decides when work is due, so a difference"
            " does not harm jobs; synchronise the clocks anyway if it exceeds 2 s.",
            "example": 0.0,
        },
    )


health_blueprint = Blueprint("health", __name__, description="Monitor the service.")

# The key of the application's last result.
READINESS = "readiness"


@health_blueprint.route("/healthz")
@health_blueprint.doc(operationId="getHealth", **PUBLIC_CALL)
@health_blueprint.response(200, HealthSchema)
@health_blueprint.problems()
def healthz() -> Any:
    """Check that the process responds"""
    return {"status": "ok"}


@health_blueprint.route("/readyz")
@health_blueprint.doc(operationId="getReadiness", **PUBLIC_CALL)
@health_blueprint.response(200, ReadinessSchema)
@health_blueprint.alt_response(503, schema=ReadinessSchema, description="Uploads are not accepted.")
@health_blueprint.problems()
def readyz() -> Any:
    """Check that uploads can be accepted

    The result is kept for three seconds.
    """
    readiness: Readiness = current_app.extensions[READINESS]
    found = readiness.look()
    return found if found["status"] != UNAVAILABLE else (found, 503)


metrics_blueprint = Blueprint("metrics", __name__, description="Monitor the service.")

COUNTED = {
    RecoveryCounter.LEASES_EXPIRED: "Leases that expired because their worker died or stopped responding.",
    RecoveryCounter.MESSAGES_LOST: "Messages that the broker lost and that were sent again.",
    RecoveryCounter.COUNTERS_REPAIRED: "Jobs whose counters did not match their images.",
}


class LedgerCollector(Collector):
    """Reads the ledger when it is scraped."""

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        yield from _gauges(read_gauges())
        for counter, value in read_counters().items():
            yield CounterMetricFamily(f"imgcompress_{counter}", COUNTED[counter], value)
        values = read_values()
        yield from _sums(values)
        yield from (_times(histogram, values) for histogram in HISTOGRAMS)


def _gauges(gauges: Gauges) -> Iterator[Metric]:
    yield _labelled("jobs", "Jobs by status.", "status", gauges.jobs)
    yield _labelled(
        "slices",
        "Unfinished slices of active jobs: waiting for their turn, published"
        " to the workers, or leased by one.",
        "state",
        gauges.slices,
    )
    yield _labelled(
        "deliveries_pending",
        "Webhooks and e-mails that are still to be delivered.",
        "channel",
        gauges.deliveries,
    )
    for name, meaning, value in (
        (
            "queue_lag_seconds",
            "Age of the oldest published slice that no worker has taken.",
            gauges.queue_lag,
        ),
        (
            "oldest_slice_seconds",
            "Time since the slice that has waited longest made progress.",
            gauges.oldest_slice,
        ),
        (
            "oldest_delivery_seconds",
            "Time since the most overdue delivery became due.",
            gauges.oldest_delivery,
        ),
        (
            "suspended_hosts",
            "Image hosts that failed too often and are suspended.",
            gauges.suspended_hosts,
        ),
        (
            "suspended_receivers",
            "Receivers of webhooks and e-mails that failed too often and are suspended.",
            gauges.suspended_receivers,
        ),
        (
            "recovery_age_seconds",
            "Time since recovery last ran, to within half a minute.",
            gauges.recovery_age,
        ),
    ):
        if value is not None:
            yield GaugeMetricFamily(f"imgcompress_{name}", meaning, value)


def _labelled(name: str, meaning: str, label: str, numbers: Mapping[Any, int]) -> Metric:
    family = GaugeMetricFamily(f"imgcompress_{name}", meaning, labels=[label])
    for value, number in numbers.items():
        family.add_metric([value], number)
    return family


def _sums(values: Mapping[Sample, float]) -> Iterator[Metric]:
    for counter in COUNTERS:
        family = CounterMetricFamily(counter.name, counter.help, labels=counter.labels)
        for labels in _labels_of(counter.name, values, len(counter.labels)):
            family.add_metric(labels, values[counter.sample(*labels)])
        if not counter.labels and not family.samples:
            family.add_metric([], 0)
        yield family


def _times(histogram: Histogram, values: Mapping[Sample, float]) -> Metric:
    """Return a histogram as Prometheus counts: each bucket includes those below it."""
    family = HistogramMetricFamily(histogram.name, histogram.help, labels=histogram.labels)
    bounds = [str(float(bound)) for bound in histogram.bounds] + ["+Inf"]
    for labels in _labels_of(f"{histogram.name}_sum", values, len(histogram.labels)):
        counts = (values.get(histogram.bucket(place, *labels), 0) for place in range(len(bounds)))
        family.add_metric(
            labels, list(zip(bounds, accumulate(counts))), values[histogram.sum(*labels)]
        )
    return family


def _labels_of(name: str, values: Mapping[Sample, float], number: int) -> Iterable[tuple[str, ...]]:
    """Return the label sets that have values; those of another version are left out."""
    return sorted(
        sample.labels for sample in values if sample.name == name and len(sample.labels) == number
    )


# Proxies have rules for this exact path, so no other spelling is accepted.
@metrics_blueprint.route("/metrics", strict_slashes=True)
@metrics_blueprint.doc(operationId="getMetrics")
@metrics_blueprint.response(200, {"type": "string"}, content_type="text/plain")
@metrics_blueprint.problems(503)
def metrics() -> Response:
    """Get the metrics for Prometheus

    They cover all processes on all machines, so scrape one address, not each machine. If API keys
    are required or METRICS_KEY is set, only the operator has access.
    """
    registry = CollectorRegistry()
    registry.register(LedgerCollector())
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)
