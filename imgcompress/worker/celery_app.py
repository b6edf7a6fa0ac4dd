"""The Celery application: its tasks, queues and schedule."""

from __future__ import annotations

import gc
import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import Celery, Task
from celery.beat import Scheduler
from celery.schedules import schedule
from celery.signals import beat_init, setup_logging, worker_process_init, worker_ready
from flask import Flask
from kombu.entity import Queue

from ..config import Settings
from ..errors import LedgerUnavailable
from ..extensions import db
from ..logs import begin
from . import celeryconfig
from .broker import PublishingCelery, limit_waits_for_rabbitmq
from .process import begin_process
from .queue import Watch

log = logging.getLogger(__name__)

IMAGES, DELIVERIES, RECOVERY = "images", "deliveries", "recovery"
QUEUES = (IMAGES, DELIVERIES, RECOVERY)
# The modules of the tasks are loaded by workers only: the web process sends tasks by name.
TASK_MODULES = (
    "imgcompress.worker.tasks",
    "imgcompress.worker.deliver",
    "imgcompress.worker.maintenance",
    "imgcompress.worker.feeds",
)
ROUTES = {
    "process_csv": IMAGES,
    "process_waiting": IMAGES,
    "deliver_due": DELIVERIES,
    "recover": RECOVERY,
    "run_feeds": RECOVERY,
    "prune": RECOVERY,
    "sweep": RECOVERY,
    "reseal": RECOVERY,
}
HOUR = 3600.0

_BEGAN, _BEGAN_AT = time.monotonic(), datetime.now(UTC)


def make_celery(app: Flask, settings: Settings) -> Celery:
    """Return the Celery application whose tasks run inside the context of `app`."""

    class ContextTask(Task):  # type: ignore[misc]
        """A task with an application context; without a ledger it does nothing."""

        def __call__(self, *args: object, **kwargs: object) -> Any:
            begin(task=self.name)
            with app.app_context():
                try:
                    return self.run(*args, **kwargs)
                except LedgerUnavailable as error:
                    log.warning("The task was skipped; a later one does its work: %s", error)
                    return None

    def prepare(**_: Any) -> None:
        begin_process(settings)
        with app.app_context():
            # The sockets of inherited connections belong to the parent process.
            for engine in db.engines.values():
                engine.dispose(close=False)

    celery = PublishingCelery(app.name, task_cls=ContextTask, set_as_current=True)
    celery.config_from_object(celeryconfig)
    celery.conf.update(_installation(settings))
    celery.set_default()
    celery.steps["worker"].add(Watch)
    limit_waits_for_rabbitmq()
    # The signal itself does not keep it: an application that nobody uses any more is freed.
    worker_process_init.connect(prepare)
    celery.prepare = prepare
    return celery


@setup_logging.connect
def _keep_logs_as_they_are(**_: Any) -> None:
    """Keep Celery from configuring the logs: wsgi.py has done so for all processes."""


@worker_ready.connect
@beat_init.connect
def _freeze(**_: Any) -> None:
    """Exclude what Celery has loaded meanwhile from garbage collection, as wsgi.py does."""
    gc.freeze()


def _installation(settings: Settings) -> dict[str, Any]:
    """Return the Celery settings that differ between installations."""
    prefix = settings.queue_prefix
    amqp = settings.celery_broker_url.startswith("amqp")
    transport = (
        dict(celeryconfig.AMQP_TRANSPORT)
        if amqp
        else celeryconfig.REDIS_TRANSPORT | {"global_keyprefix": f"{prefix}:"}
    )
    # Quorum queues survive the loss of a RabbitMQ node; other brokers ignore the argument.
    arguments = {"x-queue-type": "quorum"} if amqp else None
    return {
        "broker_url": settings.celery_broker_url,
        "broker_transport_options": transport,
        "imports": TASK_MODULES,
        "worker_consumer": "imgcompress.worker.consumer:Consumer",
        "task_queues": [
            # With this alias, workers are started with -Q images whatever the prefix is.
            Queue(
                f"{prefix}.{name}",
                alias=name,
                routing_key=f"{prefix}.{name}",
                queue_arguments=arguments,
            )
            for name in QUEUES
        ],
        "task_default_queue": f"{prefix}.{IMAGES}",
        "task_default_exchange": prefix,
        "task_routes": {task: {"queue": f"{prefix}.{queue}"} for task, queue in ROUTES.items()},
        "beat_scheduler": "imgcompress.worker.celery_app:SteadyScheduler",
        # On RabbitMQ, late messages are worthless and expire by the broker's clock: an absolute
        # expiry would be compared with the clock of the worker's machine.
        "beat_schedule": {
            task: {
                "task": task,
                "schedule": every(seconds),
                "options": {"expiration": max(seconds, 1)},
            }
            for task, seconds in (
                ("recover", settings.recovery_interval),
                ("run_feeds", settings.recovery_interval),
                ("prune", HOUR),
                ("sweep", HOUR),
                ("reseal", HOUR),
            )
        },
    }


def every(seconds: float) -> schedule:
    """Return a schedule that is due every `seconds`, for the first time `seconds` after the start."""
    return schedule(timedelta(seconds=seconds), nowfun=steady_now)


def steady_now() -> datetime:
    """Return the time as if the clock had not been set since this process began."""
    return _BEGAN_AT + timedelta(seconds=time.monotonic() - _BEGAN)


class SteadyScheduler(Scheduler):  # type: ignore[misc]
    """A schedule that is only in memory. Rare tasks record by themselves when they last ran.

    Celery's default keeps the times of the last messages in a file. If the clock is set back, these
    are in the future, and nothing is sent until then, even after a restart.
    """

    _away = False

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Send the message of an entry; skip it if it cannot be sent."""
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except Exception as error:
            if not self._away:
                log.warning("The broker accepts no messages: %s", error)
            self._away = True
            return
        if self._away:
            log.warning("The broker accepts messages again")
        self._away = False
