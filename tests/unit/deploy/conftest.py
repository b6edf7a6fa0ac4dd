from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from imgcompress.api import operations
from imgcompress.api.operations import LedgerCollector
from imgcompress.ledger.gauges import Backlog, Gauges
from imgcompress.ledger.metrics import RecoveryCounter
from imgcompress.ledger.models import Channel, JobStatus
from imgcompress.metrics import COUNTERS, HISTOGRAMS, Sample


@pytest.fixture
def samples(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Return the labels of each sample of `/metrics` once everything has happened."""
    values: dict[Sample, float] = {}
    for counter in COUNTERS:
        values[counter.sample(*("x" for _ in counter.labels))] = 1
    for histogram in HISTOGRAMS:
        values[histogram.sum(*("x" for _ in histogram.labels))] = 1
    gauges = Gauges(
        dict.fromkeys(JobStatus, 1),
        dict.fromkeys(Backlog, 1),
        dict.fromkeys(Channel, 1),
        1,
        1,
        1,
        1,
        1,
        1,
    )
    monkeypatch.setattr(operations, "read_values", lambda: values)
    monkeypatch.setattr(operations, "read_gauges", lambda: gauges)
    monkeypatch.setattr(operations, "read_counters", lambda: dict.fromkeys(RecoveryCounter, 1))
    registry = CollectorRegistry()
    registry.register(LedgerCollector())
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}
