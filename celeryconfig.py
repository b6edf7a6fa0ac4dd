"""Celery's settings, for `celery` commands in a checkout; the package holds them."""

from imgcompress.worker.celeryconfig import *  # noqa: F403
