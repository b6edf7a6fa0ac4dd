"""Rows of images and jobs that cannot be read: text that is not UTF-8, or JSON that does not parse.

The ledger writes no such rows. They come from a database with another encoding, from a damaged
file, or from people who edit the ledger by hand.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Table, select, update

from ..errors import ImgcompressError, LedgerUnavailable
from .models import ACTIVE_JOB, IMAGES, JOBS, ImageStatus
from .session import reading, writing

log = logging.getLogger(__name__)

# The columns of an image's row that people edit, and their replacements.
STAND_INS = {
    "input_url": "",
    "options": None,
    "output_name": None,
    "product_name": "",
    "serial_number": "",
}


# Among the options of a job: marks that they, or another field of its row, could not be read.
UNREADABLE = "unreadable"
# The same for a job's row. Whatever the field, the options of the upload are not certain any more,
# so the job's images must not be compressed.
JOB_STAND_INS: dict[str, Any] = {
    "base_url": "",
    "source_filename": "",
    "reading": None,
    "webhook_url": None,
    "email": None,
    "owner": "",
    "error_message": None,
}


class JobUnreadable(ImgcompressError):
    """The row of a job was damaged after the job had ended."""

    code = "job_unreadable"
    message = (
        "The record of this job is damaged, so it cannot be shown. Upload its catalogue again; the"
        " service's log names the damaged fields."
    )


def check_readable(request_id: UUID) -> None:
    """Raise JobUnreadable if a field of a job's row cannot be read; log it once per process."""
    columns = dict.fromkeys(JOBS.c.keys())
    unreadable = _unreadable(JOBS, columns, JOBS.c.request_id == request_id)
    if unreadable:
        names = ", ".join(unreadable)
        _log_unreadable(request_id, names)
        raise JobUnreadable(detail=names)


@lru_cache(maxsize=1000)
def _log_unreadable(request_id: UUID, names: str) -> None:
    log.error("The row of job %s cannot be read: %s", request_id, names)


def replace_unreadable_fields(request_id: UUID, ordinal: int) -> bool:
    """Replace unreadable values in an image's row; return whether that was needed.

    Otherwise no list of all images of the job could be read either, for its webhooks, its details
    or its archive. An image whose row was repaired must not be compressed, but fail.
    """
    row = (IMAGES.c.request_id == request_id, IMAGES.c.ordinal == ordinal)
    unreadable = _unreadable(IMAGES, STAND_INS, *row)
    if not unreadable:
        return False
    log.error(
        "The row of image %d of job %s cannot be read (%s), so the image fails",
        ordinal,
        request_id,
        ", ".join(unreadable),
    )
    with writing() as session:
        session.execute(
            update(IMAGES).where(*row, IMAGES.c.status == ImageStatus.PENDING).values(unreadable)
        )
    return True


def replace_unreadable_job_fields(request_id: UUID) -> bool:
    """Replace unreadable values in an active job's row; return whether that was needed.

    Its options then contain UNREADABLE, so that each of its images fails.
    """
    row = JOBS.c.request_id == request_id
    options = {"options": {UNREADABLE: True}}
    unreadable = _unreadable(JOBS, JOB_STAND_INS | options, row)
    if not unreadable:
        return False
    log.error(
        "The row of job %s cannot be read (%s), so its images fail",
        request_id,
        ", ".join(unreadable),
    )
    with writing() as session:
        session.execute(
            update(JOBS).where(row, JOBS.c.status.in_(ACTIVE_JOB)).values(unreadable | options)
        )
    return True


def _unreadable(
    table: Table, stand_ins: Mapping[str, Any], *row: ColumnElement[bool]
) -> dict[str, Any]:
    """Return the columns of a row that cannot be read, with their replacements."""
    found = {}
    for name, value in stand_ins.items():
        try:
            with reading() as session:
                session.execute(select(table.c[name]).where(*row)).all()
        except LedgerUnavailable:
            raise
        except Exception:
            found[name] = value
    return found
