"""Cut off one of two hosts in the midst of a job, and let it come back; print a table.

It comes back when the job has ended, or later; a second job, a fifth as large, begins at once.

    python -m benchmarks.hosts                  # 1,000 images on each broker: about five minutes
    python -m benchmarks.hosts redis --images 300

It needs PostgreSQL, Redis and RabbitMQ as the tests do (see tests/support/servers.py), Linux, and the right
to make network namespaces.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from tests.hosts.cluster import HOSTS, cluster
from tests.hosts.ordeal import Ordeal, cut_one_off

COLUMNS = (
    "broker",
    "images",
    *(f"fetched by {host}" for host in HOSTS),
    "lost",
    "doubled",
    "drift",
    "stuck",
    "webhook ids",
    "longest standstill, s",
    "job, s",
    *(f"second job: by {host}" for host in HOSTS),
    "its end after the return, s",
)
BROKERS = ("redis", "rabbitmq")
# The settings of a new installation: nothing is made quick for the test.
DEFAULTS = {"LEASE_SECONDS": "30", "RECOVERY_INTERVAL": "5"}


def main() -> None:
    """Run what the command line asks for."""
    choices = _arguments()
    print(" | ".join(COLUMNS))
    for broker in choices.brokers:
        with (
            tempfile.TemporaryDirectory(prefix="hosts-") as folder,
            cluster(broker, Path(folder), **DEFAULTS) as service,
        ):
            ordeal = cut_one_off(service, choices.images, delay=choices.delay, away=choices.away)
            _print_row(broker, ordeal)
            if choices.log:
                shutil.copy(service.log_file, choices.log / f"{broker}.log")


def _print_row(broker: str, ordeal: Ordeal) -> None:
    verdict = ordeal.verdict
    print(
        " | ".join(
            map(
                str,
                (
                    broker,
                    verdict.images,
                    *ordeal.fetched.values(),
                    verdict.lost,
                    verdict.doubled,
                    verdict.drift,
                    verdict.stuck,
                    verdict.webhook_ids,
                    verdict.standstill,
                    verdict.seconds,
                    *ordeal.fetched_again.values(),
                    ordeal.back_after,
                ),
            )
        ),
        flush=True,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("brokers", nargs="*", metavar="BROKER", help=f"of {', '.join(BROKERS)}")
    parser.add_argument("--images", type=int, default=1000, help="images of the job")
    parser.add_argument("--delay", type=float, default=0.3, help="seconds that an answer takes")
    parser.add_argument("--away", type=float, default=0, help="seconds without a link at least")
    parser.add_argument("--log", type=Path, help="a folder to keep the service's log in")
    choices = parser.parse_args()
    if unknown := set(choices.brokers) - set(BROKERS):
        parser.error(f"there is no broker called {', '.join(unknown)}")
    choices.brokers = choices.brokers or BROKERS
    return choices


if __name__ == "__main__":
    main()
