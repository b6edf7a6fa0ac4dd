"""The entry point of every process: `app` for the web server, `celery_app` for the workers.

Each is created on first access, as is `command_app` for the commands: a process with the API and
the pages starts slowly.
"""

from __future__ import annotations

import gc

# What is imported stays to the end, and the garbage collector would traverse it again and again.
# Without it, the imports take a fifth less time. See _begin().
gc.disable()

import logging
import os
from collections.abc import Callable
from functools import cache
from typing import Any

from flask import Flask

from .app import create_app, create_command_app, create_worker_app
from .config import Settings, load_settings
from .env_file import misspelt_settings
from .errors import SettingsError
from .ledger.metrics import save_share
from .logs import write_logs
from .metrics import SHARE
from .tracing import start_tracing

log = logging.getLogger(__package__)

# Files written by any process of the service are private to its user: ledger, catalogues, images,
# logs.
OTHERS_MAY_NOT = 0o077


def __getattr__(name: str) -> Any:
    """Return `app`, `command_app` or `celery_app`, created on first access."""
    if name == "app":
        return _begin(create_app)
    if name == "command_app":
        return _begin(create_command_app)
    if name == "celery_app":
        return _begin(create_worker_app).extensions["celery"]
    raise AttributeError(name)


@cache
def _begin(create: Callable[[Settings], Flask]) -> Flask:
    os.umask(OTHERS_MAY_NOT)
    try:
        settings = load_settings()
        write_logs(settings.log_format, settings.log_level)
        if settings.otlp_endpoint:
            start_tracing()
        app = create(settings)
        # Workers inherit these settings from the process that starts them.
        if create is not create_worker_app:
            for name, meant in misspelt_settings().items():
                log.warning("%s is not a setting of imgcompress; did you mean %s?", name, meant)
    except SettingsError as error:
        raise SystemExit(error.message) from error

    def save() -> None:
        with app.app_context():
            save_share()

    SHARE.save_by(save)
    # Frozen objects are not traversed, neither later nor at the end of the process, which takes a
    # third less CPU time from start to end. See docs.python.org/3/library/gc.html#gc.freeze.
    gc.freeze()
    gc.enable()
    return app
