"""The worker's pool processes: their start, their end, and the word that the worker shuts down."""

from __future__ import annotations

import gc
import mmap
import os
from typing import Any

from celery.signals import worker_process_init, worker_process_shutdown, worker_shutting_down
from flask import Flask

from ..config import Settings
from ..extensions import db
from ..lifeline import die_with_parent
from ..metrics import SHARE
from ..pipeline.ceiling import limit_memory
from .memory import give_back_memory

# One byte that is shared with the pool processes, which are forked later: they do not hear the
# signal that ends the worker, and must hand back their slices.
_stopping = mmap.mmap(-1, 1)
# Images keep all cores busy for hours; who asks for a status meanwhile shall not wait for them.
BEHIND_CALLERS = 5


def stopping() -> bool:
    """Tell whether this worker is shutting down."""
    return _stopping[0] != 0


@worker_shutting_down.connect
def _announce(**_: Any) -> None:
    _stopping[0] = 1


@worker_process_shutdown.connect
def _save_measured(**_: Any) -> None:
    SHARE.save_now()


def prepare_processes(app: Flask) -> None:
    """Prepare each pool process of a worker as it starts."""

    def start(**_: Any) -> None:
        die_with_parent(os.getppid())
        os.nice(BEHIND_CALLERS)
        give_back_memory()
        settings: Settings = app.config["SETTINGS"]
        limit_memory(settings.max_process_memory, settings.fetch_concurrency)
        gc.freeze()  # What is loaded by now stays for ever: no search for garbage must look at it.
        with app.app_context():
            # The sockets of inherited connections belong to the parent process.
            for engine in db.engines.values():
                engine.dispose(close=False)

    worker_process_init.connect(start, weak=False)
