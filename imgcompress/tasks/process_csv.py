"""The one task for CSV jobs: process one slice under a lease, and others while that one waits."""

from __future__ import annotations

import logging
import os
import signal
from uuid import UUID

from celery import shared_task

from ..errors import LedgerUnavailable, StorageUnavailable
from ..ledger.slices import Claim
from ..logs import bind
from ..pipeline.slice_runner import CodecStuck
from .shift import Shift
from .slice_in_hand import claimed
from .workbench import workbench

log = logging.getLogger(__name__)

# A slice that met a failing storage is tried again after this long.
STORAGE_DELAY = 10.0


@shared_task(name="process_csv")
def process_csv(request_id: str, slice_no: int) -> None:
    """Process the images of one slice of a job, or of another one where a worker has it already.

    The message is only a doorbell: whatever goes wrong here, the lease runs out and recovery
    publishes the slice again.
    """
    bind(request_id=request_id, slice_no=slice_no)
    _process(claimed(UUID(request_id), slice_no))


@shared_task(name="process_waiting")
def process_waiting() -> None:
    """Process slices that the ledger names, as a worker does while the broker takes no messages."""
    _process(None)


def _process(claim: Claim | None) -> None:
    """Process a slice, if there is one, and others that are due meanwhile."""
    shift = Shift(workbench())
    try:
        if claim is not None:
            shift.take_on(claim)
        _work(shift)
    except LedgerUnavailable as error:
        log.error("Slices were abandoned; their leases will expire: %s", error)


def _work(shift: Shift) -> None:
    """Work through the shift and release its slices, however that ends."""
    delay, stuck = 0.0, False
    try:
        shift.run()
    except CodecStuck:
        stuck = True
    except StorageUnavailable as error:
        log.error("%d slices are waiting for the storage: %s", len(shift.parts), error)
        delay = STORAGE_DELAY
    shift.hand_back(delay=delay)
    if stuck:
        _end_process()


def _end_process() -> None:
    """End this pool process, whose codec thread never came back; the worker starts a new one."""
    log.error("An image never returned from the codec; this process exits")
    os.kill(os.getpid(), signal.SIGKILL)
