"""Measure how long deliveries to a good receiver wait beside many to one that hangs.

    python -m benchmarks.webhooks [--hanging N] [--good N]

All deliveries are due when a whole service with its default settings starts. The hanging receiver
takes connections and never answers.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from uuid import uuid4

from imgcompress import create_app
from imgcompress.config import load_settings
from imgcompress.extensions import db
from imgcompress.ledger.intake import NewJob, create_job
from imgcompress.ledger.jobs import cancel_job

from tests.support.databases import migrate
from tests.support.new_images import NewImage, by_columns
from tests.support.receiver import Arrival, Receiver
from tests.support.service import Service, wait_until

LONGER_THAN_AN_ATTEMPT = 60.0
GIVE_UP_SECONDS = 600.0


class Clocked:
    """When each event arrived at a receiver first, and how many attempts there were."""

    def __init__(self, receiver: Receiver, hold_seconds: float = 0.0) -> None:
        self.first: dict[str, float] = {}
        self.attempts = 0
        self.ended = threading.Event()
        self._hold_seconds = hold_seconds
        receiver.before_answer = self._arrive

    def _arrive(self, arrival: Arrival) -> None:
        self.first.setdefault(arrival.id, time.monotonic())
        self.attempts += 1
        if self._hold_seconds:
            self.ended.wait(self._hold_seconds)


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description="Deliveries beside a receiver that hangs")
    parser.add_argument("--hanging", type=int, default=1000)
    parser.add_argument("--good", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Receiver() as hanging, Receiver() as good:
        service = Service(Path(folder) / "var", RECOVERY_INTERVAL="5")
        service.data_dir.mkdir()
        migrate(f"sqlite:///{service.data_dir}/imgcompress.sqlite3", service.data_dir)
        fill_outbox(service, {hanging.url: options.hanging, good.url: options.good})
        measure(service, Clocked(hanging, LONGER_THAN_AN_ATTEMPT), Clocked(good), options)


def fill_outbox(service: Service, numbers: dict[str, int]) -> None:
    """Put events for each URL into the service's outbox, one for each cancelled job."""
    app = create_app(load_settings(None, data_dir=service.data_dir))
    with app.app_context():
        for url, number in numbers.items():
            for _ in range(number):
                request_id = uuid4()
                create_job(
                    NewJob(
                        request_id,
                        "a.csv",
                        {"compression_percentage": 50},
                        service.url,
                        total_rows=1,
                        total_images=1,
                        webhook_url=url,
                    ),
                    by_columns([NewImage(2, 0, "1", "SKU1", "http://127.0.0.1:9/")]),
                    slice_size=50,
                )
                cancel_job(request_id)
        db.engine.dispose()


def measure(service: Service, hanging: Clocked, good: Clocked, options: argparse.Namespace) -> None:
    """Start the service, wait for the good deliveries, and print when they came."""
    try:
        with service:
            started = time.monotonic()
            wait_until(
                lambda: len(good.first) == options.good, GIVE_UP_SECONDS, lambda: service.log
            )
            waits = [arrived - started for arrived in good.first.values()]
            print("| receiver | due | delivered | attempts meanwhile | first | median | last |")
            print("|---|--:|--:|--:|--:|--:|--:|")
            print(
                f"| good | {options.good:,} | {len(waits):,} | {good.attempts:,}"
                f" | {min(waits):.1f} s | {median(waits):.1f} s | {max(waits):.1f} s |"
            )
            print(f"| hangs | {options.hanging:,} | 0 | {hanging.attempts:,} | | | |")
            hanging.ended.set()
    finally:
        hanging.ended.set()


if __name__ == "__main__":
    main()
