"""Publish tasks within a deadline, and take work from the ledger while the broker is down.

No caller waits for either: recovery does later whatever could not be done here.

A broker that is short of memory keeps its connections, but nobody can publish: once the delivered
messages are done, nothing would progress until its alarm ends. So each worker reads its work from
the ledger meanwhile.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cache
from itertools import count
from typing import Any
from uuid import UUID

from celery import current_app as celery
from celery.bootsteps import StartStopStep
from kombu.exceptions import LimitExceeded, OperationalError
from kombu.messaging import Producer

from ..errors import LedgerUnavailable
from ..ledger import deliveries, slices
from . import broker

log = logging.getLogger(__name__)

# This many unclaimed slices of one job are in the queue. Each claim publishes the next ones, so a
# job still spreads over every idle worker, and a small job waits behind a few slices only.
SLICES_AHEAD = 2
# The concurrent rounds of deliveries in a delivery worker.
ROUNDS_AT_ONCE = 6
# A connection that the broker closed meanwhile fails at once, and a new one is tried. If that fails
# too, the broker hangs.
QUICK_SECONDS = 0.5
# The pause after the broker hung, so that publishers do not wait for it each time.
AWAY_SECONDS = 5.0

_away_until: dict[str, float] = {}


def publish_slices(request_id: UUID) -> bool:
    """Publish the job's next slices; return False when some are left to recovery."""
    try:
        return _publish_slices(request_id)
    except LedgerUnavailable as error:
        log.warning("Recovery will publish the slices of job %s: %s", request_id, error)
        return False


def _publish_slices(request_id: UUID) -> bool:
    reserved = slices.reserve_slices(request_id, SLICES_AHEAD)
    for place, slice_no in enumerate(reserved):
        if not send("process_csv", str(request_id), slice_no):
            slices.release_reservations(request_id, reserved[place:])
            return False
    return True


def publish_due_deliveries() -> None:
    """Publish a round for each due delivery, up to the number of concurrent rounds.

    When the broker is down, recovery does it later.
    """
    try:
        rounds = deliveries.claimable(ROUNDS_AT_ONCE)
    except LedgerUnavailable as error:
        log.warning("Recovery will publish the deliveries: %s", error)
        return
    for _ in range(rounds):
        if not send("deliver_due"):
            return


def send(task: str, *args: object) -> bool:
    """Send a task to its queue within about 2 s; return whether the broker accepted it.

    A broker that hangs counts as down, and so does a RabbitMQ with an alarm.
    """
    error = _error_of(
        lambda producer: celery.send_task(task, args=args, producer=producer, retry=False)
    )
    if error:
        log.warning(
            "The broker did not accept %s%s; recovery will publish it: %s", task, args, error
        )
    return not error


def check_broker() -> None:
    """Raise an error that says why the broker accepts no messages, within about 2 s."""
    error = _error_of(broker.check)
    if error:
        raise error


def _error_of(use: Callable[[Producer], object]) -> BaseException | None:
    """Return the error of using a producer, or None."""
    url = str(celery.conf.broker_write_url)
    began = time.monotonic()
    if began < _away_until.get(url, 0.0):
        return TimeoutError("it did not answer a moment ago")
    error = _first_error_of(use)
    quick = time.monotonic() - began < QUICK_SECONDS
    if error and quick and not isinstance(error, broker.BrokerBlocked):
        error = _first_error_of(use)
    if error and time.monotonic() - began >= QUICK_SECONDS:
        _away_until[url] = time.monotonic() + AWAY_SECONDS
    return error


def _first_error_of(use: Callable[[Producer], object]) -> BaseException | None:
    try:
        with broker.publisher(celery) as producer:
            use(producer)
    except _broker_errors() as error:
        return error
    return None


def slices_in_queue() -> int | None:
    """Return the number of messages in the queue of slices, or None if it is unknown.

    Unacknowledged messages are not counted.
    """
    try:
        with celery.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=2)
            return _queue_length(
                connection.channel(), celery.amqp.queues[celery.conf.task_default_queue]
            )
    except _broker_errors() as error:
        log.warning("The broker's queue cannot be read: %s", error)
        return None


def _queue_length(channel: Any, queue: Any) -> int:
    """Declare the queue passively; one that does not exist is empty."""
    declared = channel.queue_declare(
        queue.name, durable=queue.durable, auto_delete=False, arguments=queue.queue_arguments
    )
    return int(declared.message_count)


@cache
def _broker_errors() -> tuple[type[BaseException], ...]:
    """Return the exceptions of the broker's client if the broker is down or full, or rejects."""
    with celery.connection_for_write() as connection:
        return (
            OperationalError,
            LimitExceeded,
            OSError,
            *connection.connection_errors,
            *connection.channel_errors,
        )


LOOK_SECONDS = 5.0
# A run that began this long ago has died with its process.
LONGEST_RUN = 600.0


class Watch(StartStopStep):  # type: ignore[misc]
    """Checks every few seconds, in a worker's main process, whether the broker accepts messages."""

    requires = {"celery.worker.components:Timer", "celery.worker.components:Pool"}

    def __init__(self, worker: Any, **_: Any) -> None:
        self._runs: dict[tuple[str, int], float] = {}
        self._numbers = count()
        self._away = False

    def start(self, worker: Any) -> None:
        """Start checking."""
        worker.timer.call_repeatedly(LOOK_SECONDS, self._look, (worker,))

    def _look(self, worker: Any) -> None:
        try:
            check_broker()
        except Exception as error:
            if not self._away:
                log.warning(
                    "The broker accepts no messages (%s): this worker takes its work from"
                    " the database",
                    error,
                )
            self._away = True
            self._begin_work(worker)
            return
        if self._away:
            log.warning("The broker accepts messages again")
        self._away = False

    def _begin_work(self, worker: Any) -> None:
        """Give the pool the tasks of its messages, each up to its limit."""
        routes = worker.app.conf.task_routes
        consumed = {queue.name for queue in worker.app.amqp.queues.consume_from.values()}
        at_once = {
            "process_waiting": worker.pool.limit,
            "recover": 1,
            "run_feeds": 1,
            "deliver_due": ROUNDS_AT_ONCE,
        }
        now = time.monotonic()
        self._runs = {run: began for run, began in self._runs.items() if now - began < LONGEST_RUN}
        for task, most in at_once.items():
            if routes[task]["queue"] in consumed:
                for _ in range(most - sum(name == task for name, _ in self._runs)):
                    self._begin(worker.pool, (task, next(self._numbers)))

    def _begin(self, pool: Any, run: tuple[str, int]) -> None:
        self._runs[run] = time.monotonic()
        pool.apply_async(run_task, (run[0],), callback=lambda _: self._runs.pop(run, None))


def run_task(name: str) -> None:
    """Run a task in this process or thread of the pool, without a message."""
    try:
        celery.tasks[name]()
    except Exception:
        log.exception("The task %s failed", name)
