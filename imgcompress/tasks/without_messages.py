"""What workers do by themselves while the broker takes no messages.

A broker that is short of memory still has its connections, and nobody can publish: once the
messages in hand are done, nothing would move until its alarm ends. The truth is in the ledger, so
each worker looks there meanwhile.
"""

from __future__ import annotations

import logging
import time
from itertools import count
from typing import Any

from celery import current_app as celery
from celery.bootsteps import StartStopStep

from .publish import ROUNDS_AT_ONCE, check_broker

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
# A run that was begun so long ago has died with its process.
LONGEST_RUN = 600.0


class Watch(StartStopStep):  # type: ignore[misc]
    """Looks from a worker's main process whether the broker takes messages, every few seconds."""

    requires = {"celery.worker.components:Timer", "celery.worker.components:Pool"}

    def __init__(self, worker: Any, **_: Any) -> None:
        self._runs: dict[tuple[str, int], float] = {}
        self._numbers = count()
        self._away = False

    def start(self, worker: Any) -> None:
        """Look from now on."""
        worker.timer.call_repeatedly(LOOK_SECONDS, self._look, (worker,))

    def _look(self, worker: Any) -> None:
        try:
            check_broker()
        except Exception as error:
            if not self._away:
                log.warning("The broker accepts no messages (%s): this worker takes its work from"
                            " the database", error)
            self._away = True
            self._begin_work(worker)
            return
        if self._away:
            log.warning("The broker accepts messages again")
        self._away = False

    def _begin_work(self, worker: Any) -> None:
        """Have the pool do what its messages would ask for, each task as often as it may."""
        routes, consumed = worker.app.conf.task_routes, worker.app.amqp.queues.consume_from
        at_once = {"process_waiting": worker.pool.limit, "recover": 1,
                   "deliver_due": ROUNDS_AT_ONCE}
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
