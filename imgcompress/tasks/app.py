"""The Celery application, bound to the Flask application."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import Celery, Task
from celery.schedules import schedule
from celery.signals import setup_logging
from flask import Flask
from kombu.entity import Queue

import celeryconfig

from ..config import Settings
from ..errors import LedgerUnavailable
from ..logs import begin
from .broker import PublishingCelery, limit_waits_for_rabbitmq
from .processes import prepare_processes
from .redis_slots import free_slots_of_lost_messages
from .without_messages import Watch

log = logging.getLogger(__name__)

IMAGES, DELIVERIES, RECOVERY = "images", "deliveries", "recovery"
QUEUES = (IMAGES, DELIVERIES, RECOVERY)
# The modules of the tasks are loaded by workers only: the web process sends tasks by name.
TASK_MODULES = tuple(f"imgcompress.tasks.{name}" for name in
                     ("process_csv", "deliver_due", "recover", "prune"))
ROUTES = {"process_csv": IMAGES, "process_waiting": IMAGES, "deliver_due": DELIVERIES,
          "recover": RECOVERY, "prune": RECOVERY, "sweep": RECOVERY,
          "reseal": RECOVERY}
HOUR = 3600.0

_BEGAN, _BEGAN_AT = time.monotonic(), datetime.now(UTC)


def make_celery(app: Flask, settings: Settings) -> Celery:
    """Return the Celery application whose tasks run inside the context of `app`."""

    class ContextTask(Task):  # type: ignore[misc]
        """A task with an application context; where there is no ledger, there is no work."""

        def __call__(self, *args: object, **kwargs: object) -> Any:
            begin(task=self.name)
            with app.app_context():
                try:
                    return self.run(*args, **kwargs)
                except LedgerUnavailable as error:
                    log.warning("The task was skipped; a later one does its work: %s", error)
                    return None

    celery = PublishingCelery(app.name, task_cls=ContextTask, set_as_current=True)
    celery.config_from_object(celeryconfig)
    celery.conf.update(_installation(settings))
    celery.set_default()
    celery.steps["worker"].add(Watch)
    prepare_processes(app)
    free_slots_of_lost_messages()
    limit_waits_for_rabbitmq()
    return celery


@setup_logging.connect
def _keep_logs_as_they_are(**_: Any) -> None:
    """Keep Celery from setting up logs of its own: wsgi.py has set up those of all processes."""


def _installation(settings: Settings) -> dict[str, Any]:
    """Return the Celery settings that differ between installations."""
    prefix = settings.queue_prefix
    amqp = settings.celery_broker_url.startswith("amqp")
    transport = (dict(celeryconfig.AMQP_TRANSPORT) if amqp else
                 celeryconfig.REDIS_TRANSPORT | {"global_keyprefix": f"{prefix}:"})
    # Quorum queues survive the loss of a RabbitMQ node; other brokers take no notice of the word.
    arguments = {"x-queue-type": "quorum"} if amqp else None
    return {
        "broker_url": settings.celery_broker_url,
        "broker_transport_options": transport,
        "imports": TASK_MODULES,
        "worker_consumer": "imgcompress.tasks.strange_messages:Consumer",
        "task_queues": [Queue(f"{prefix}.{name}", routing_key=f"{prefix}.{name}",
                              queue_arguments=arguments) for name in QUEUES],
        "task_default_queue": f"{prefix}.{IMAGES}",
        "task_default_exchange": prefix,
        "task_routes": {task: {"queue": f"{prefix}.{queue}"} for task, queue in ROUTES.items()},
        "beat_scheduler": "imgcompress.tasks.beat:SteadyScheduler",
        # Where RabbitMQ takes them, messages that come late are worth nothing. They expire by its
        # clock: a time to expire at would be compared with that of the worker's machine.
        "beat_schedule": {
            task: {"task": task, "schedule": every(seconds),
                   "options": {"expiration": max(seconds, 1)}}
            for task, seconds in (("recover", settings.recovery_interval), ("prune", HOUR),
                                  ("sweep", HOUR), ("reseal", HOUR))},
    }


def every(seconds: float) -> schedule:
    """Return a schedule that is due every so many seconds, the first time after as many."""
    return schedule(timedelta(seconds=seconds), nowfun=steady_now)


def steady_now() -> datetime:
    """Return the time as it would be if nobody had put the clock since this process began."""
    return _BEGAN_AT + timedelta(seconds=time.monotonic() - _BEGAN)
