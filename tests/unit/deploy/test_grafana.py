"""The dashboard asks for metrics, and for labels of them, that `/metrics` has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

DASHBOARD = Path(__file__).parents[3] / "deploy" / "grafana" / "imgcompress.json"
# Words of PromQL that are neither a metric nor a label.
WORDS = {"sum", "rate", "increase", "by", "histogram_quantile"}


def _queries() -> Iterator[tuple[str, str, str]]:
    """Yield the panel, the query and the legend of each line in it."""
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]


def _asked_labels(query: str) -> set[str]:
    selected = re.findall(r"(\w+)(?:=~|!~|!=|=)\"", query)
    grouped = re.findall(r"by \(([^)]*)\)", query)
    return {*selected, *(name.strip() for group in grouped for name in group.split(","))}


@pytest.mark.parametrize("panel, query, legend", list(_queries()))
def test_queries_use_existing_metrics(
    samples: dict[str, set[str]], panel: str, query: str, legend: str
) -> None:
    names = set(re.findall(r"imgcompress_\w+", query))
    assert names and names <= samples.keys()
    labels = set.intersection(*(samples[name] for name in names))
    assert _asked_labels(query) | set(re.findall(r"{{(\w+)}}", legend)) <= labels


@pytest.mark.parametrize("panel, query, legend", list(_queries()))
def test_queries_use_known_labels_and_functions(panel: str, query: str, legend: str) -> None:
    """Whatever the expressions above overlook would be found here."""
    without_texts = re.sub(r'"[^"]*"|\[\d+m\]', "", query)
    words = set(re.findall(r"[a-z_]\w*", without_texts))
    assert {word for word in words if not word.startswith("imgcompress_")} <= (
        WORDS | _asked_labels(query)
    )


def test_every_metric_but_details_is_on_the_dashboard(samples: dict[str, set[str]]) -> None:
    asked = {name for _, query, _ in _queries() for name in re.findall(r"imgcompress_\w+", query)}
    families = {re.sub("_(bucket|sum|count)$", "", name) for name in samples}
    shown = {re.sub("_(bucket|sum|count)$", "", name) for name in asked}
    assert families - shown == {
        "imgcompress_delivery_seconds",
        "imgcompress_jobs_accepted_total",
        "imgcompress_jobs_ended_total",
    }
