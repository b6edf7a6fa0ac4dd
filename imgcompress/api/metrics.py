"""`/metrics` for Prometheus: all is read from the ledger, so any process can answer for all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any

from flask import Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from ..ledger.counters import Counter, read_counters
from ..ledger.gauges import Gauges, read_gauges
from ..ledger.metric_values import read_values
from ..metrics import COUNTERS, HISTOGRAMS, Histogram, Sample
from .blueprint import Blueprint

blueprint = Blueprint("metrics", __name__, description="Monitor the service.")

COUNTED = {
    Counter.LEASES_EXPIRED: "Leases that expired because their worker died or stopped responding.",
    Counter.MESSAGES_LOST: "Messages that the broker lost and that were sent again.",
    Counter.COUNTERS_REPAIRED: "Jobs whose counters did not match their images.",
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
    yield _labelled("slices", "Unfinished slices of active jobs: waiting for their turn, published"
                    " to the workers, or leased by one.", "state", gauges.slices)
    yield _labelled("deliveries_pending", "Webhooks and e-mails that are still to be delivered.",
                    "channel", gauges.deliveries)
    for name, meaning, value in (
            ("queue_lag_seconds", "Age of the oldest published slice that no worker has taken.",
             gauges.queue_lag),
            ("oldest_slice_seconds", "Time since the slice that has waited longest made progress.",
             gauges.oldest_slice),
            ("oldest_delivery_seconds", "Time since the most overdue delivery became due.",
             gauges.oldest_delivery),
            ("suspended_hosts", "Image hosts that failed too often and are suspended.",
             gauges.suspended_hosts),
            ("suspended_receivers", "Receivers of webhooks and e-mails that failed too often and"
                                    " are suspended.",
             gauges.suspended_receivers),
            ("recovery_age_seconds", "Time since recovery last ran, to within half a minute.",
             gauges.recovery_age)):
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
    """Return a histogram as Prometheus counts: each bucket with what is in those below it."""
    family = HistogramMetricFamily(histogram.name, histogram.help, labels=histogram.labels)
    bounds = [str(float(bound)) for bound in histogram.bounds] + ["+Inf"]
    for labels in _labels_of(f"{histogram.name}_sum", values, len(histogram.labels)):
        counts = (values.get(histogram.bucket(place, *labels), 0) for place in range(len(bounds)))
        family.add_metric(labels, list(zip(bounds, accumulate(counts))),
                          values[histogram.sum(*labels)])
    return family


def _labels_of(name: str, values: Mapping[Sample, float], number: int) -> Iterable[tuple[str, ...]]:
    """Return the labels under which there are values; those of another version are left out."""
    return sorted(sample.labels for sample in values
                  if sample.name == name and len(sample.labels) == number)


# Rules of proxies are for this very path, so no other spelling leads here.
@blueprint.route("/metrics", strict_slashes=True)
@blueprint.doc(operationId="getMetrics")
@blueprint.response(200, {"type": "string"}, content_type="text/plain")
@blueprint.problems(503)
def metrics() -> Response:
    """Get the metrics for Prometheus

    They cover all processes on all machines, so scrape one address, not each machine. Where API
    keys are required or METRICS_KEY is set, only the operator has access.
    """
    registry = CollectorRegistry()
    registry.register(LedgerCollector())
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)
