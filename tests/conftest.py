"""Fixtures for all tests, and what no test may log."""

from __future__ import annotations

import gc
import logging
import signal
from collections.abc import Generator

import pytest

from tests.support.buckets import bucket, s3_endpoint  # noqa: F401
from tests.support.databases import (
    ledger_url,
    postgres_ledger,  # noqa: F401
    postgres_ledger_url,  # noqa: F401
    postgres_template,
    sqlite_template,
    sqlite_url,
)
from tests.support.routes import routes_compiled_once  # noqa: F401

# What is collected stays: the garbage collector would traverse it again and again.
gc.disable()


# A shell starts a job in the background with SIGINT ignored, and processes inherit that. The tests
# send it to their services and commands.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Run the garbage collector for the objects of the tests themselves, from now on."""
    gc.freeze()
    gc.enable()


class _FullPools(logging.Handler):
    """Counts the connections that were thrown away, since a pool had no room to keep them."""

    number = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.number += "pool is full" in record.getMessage()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """Fail a test in which more threads share a pool of connections than it has room for."""
    full = _FullPools()
    log = logging.getLogger("urllib3.connectionpool")
    log.addHandler(full)
    try:
        yield
    finally:
        log.removeHandler(full)
    assert not full.number, f"{full.number} connections found their pool full"
