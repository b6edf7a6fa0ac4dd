"""Rows of images that cannot be read: a text that is not UTF-8, or JSON that cannot be parsed.

The ledger writes no such rows. They come from a database with another encoding, from a file that
was damaged, and from people who write to the ledger by hand.
"""

from __future__ import annotations

import logging
from uuid import UUID

from sqlalchemy import select, update

from ..errors import LedgerUnavailable
from .models import IMAGES, ImageStatus
from .session import reading, writing

log = logging.getLogger(__name__)

# The columns that people edit in an image's row, and their replacements.
STAND_INS = {
    "input_url": "",
    "options": None,
    "output_name": None,
    "product_name": "",
    "serial_number": "",
}


def replace_unreadable_fields(request_id: UUID, ordinal: int) -> bool:
    """Replace unreadable values in an image's row; return whether that was needed.

    Otherwise no list of all images of the job could be read either: its webhooks, its details, its
    archive. An image whose row was repaired must not be compressed, but fail.
    """
    unreadable = [name for name in STAND_INS if not _is_readable(request_id, ordinal, name)]
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
            update(IMAGES)
            .where(
                IMAGES.c.request_id == request_id,
                IMAGES.c.ordinal == ordinal,
                IMAGES.c.status == ImageStatus.PENDING,
            )
            .values({name: STAND_INS[name] for name in unreadable})
        )
    return True


def _is_readable(request_id: UUID, ordinal: int, name: str) -> bool:
    try:
        with reading() as session:
            session.execute(
                select(IMAGES.c[name]).where(
                    IMAGES.c.request_id == request_id, IMAGES.c.ordinal == ordinal
                )
            ).all()
    except LedgerUnavailable:
        raise
    except Exception:
        return False
    return True
