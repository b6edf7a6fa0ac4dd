"""Faults from within: in processes that have this folder on PYTHONPATH.

Python imports a module of this name as it starts. An image that begins with one of the words below
kills the process that compresses it, uses up its memory, or never comes back. While the folder
that FAULT_DIR names holds a file called `triple`, each slice is published three times.

An image with GROW takes all the memory there is. Where libfaketime sets the time, sleep() is made
of select(): libfaketime 0.9.10 has clock_nanosleep() fail when the monotonic clock stays real.
"""

import os
import select
import signal
import time
from pathlib import Path

if "FAKETIME_TIMESTAMP_FILE" in os.environ:
    time.sleep = lambda seconds: select.select([], [], [], seconds) and None

from celery import Celery

from imgcompress import imaging as room
from imgcompress.imaging import compressor

HARMFUL = b"\xff\xe0HARM:"
# An origin may have put a comment before it (tests/origin/plain.py).
BEGINNING = 500
_compress = room.compress
_inspect = compressor.inspect
_send_task = Celery.send_task


def _harmful_compress(data, options):
    if HARMFUL + b"KILL" in data[:BEGINNING]:
        os.kill(os.getpid(), signal.SIGKILL)
    if HARMFUL + b"HANG" in data[:BEGINNING]:
        time.sleep(1_000_000)
    if HARMFUL + b"GROW" in data[:BEGINNING]:
        grown = []
        while True:
            grown.append(b"." * (1 << 24))
    return _compress(data, options)


def _harmful_inspect(data, options):
    if HARMFUL + b"MEMORY" in data[:BEGINNING]:
        raise MemoryError
    return _inspect(data, options)


def _send_thrice(self, name, *args, **kwargs):
    triple = name == "process_csv" and Path(os.environ["FAULT_DIR"], "triple").exists()
    for _ in range(2 if triple else 0):
        _send_task(self, name, *args, **kwargs)
    return _send_task(self, name, *args, **kwargs)


room.compress = _harmful_compress
compressor.inspect = _harmful_inspect
if "FAULT_DIR" in os.environ:
    Celery.send_task = _send_thrice
