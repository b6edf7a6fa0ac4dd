"""What a batch of results changes in the counters of its job, and in the metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ..metrics import IMAGES, INPUT_BYTES, OUTPUT_BYTES, Sample
from .failures import FailureCount, FailureKind, kind_of
from .results import Failure, Result, Success


@dataclass
class Tally:
    """What a batch changed, counted by the rows that did change."""

    completed: int = 0
    failed: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    failures: dict[FailureKind, FailureCount] = field(default_factory=dict)
    ends: Counter[Sample] = field(default_factory=Counter)

    def add(self, result: Result, row_number: int) -> None:
        """Count one row that changed."""
        if isinstance(result, Success):
            self.completed += 1
            self.input_bytes += result.input_bytes
            self.output_bytes += result.output_bytes
            self.ends[IMAGES.sample(result.outcome, "")] += 1
        elif isinstance(result, Failure):
            self.failed += 1
            kind = kind_of(result.error_code, result.image.input_url, result.found)
            images, example_row = self.failures.get(kind, FailureCount(0, row_number))
            self.failures[kind] = FailureCount(images + 1, example_row)
            self.ends[IMAGES.sample("failed", result.error_code)] += 1

    def measured(self) -> dict[Sample, float]:
        """Return what this adds to the metrics."""
        return {**self.ends, INPUT_BYTES.sample(): self.input_bytes,
                OUTPUT_BYTES.sample(): self.output_bytes}
