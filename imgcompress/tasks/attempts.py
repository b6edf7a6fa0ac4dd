"""What a fault of an image means for the ledger: a failure, or another attempt later."""

from __future__ import annotations

import logging
import random

from ..errors import IMAGE_FAULTS, ImageError
from ..ledger.results import LONGEST_POSTPONEMENT, Failure, Postponement
from ..ledger.slices import PendingImage
from ..pipeline.fetch_hosts import NotTried

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
# So often an image is put off untried, since its host is busy or left alone, before it fails.
MAX_WAITS = 50


def judge(image: PendingImage, error: ImageError) -> Failure | Postponement:
    """Postpone an image whose fault may pass, up to MAX_ATTEMPTS attempts; else let it fail."""
    log.info("Image %s failed in attempt %d: %s", image.image_id, image.attempts + 1, error)
    if _may_pass(image, error):
        delay = min(error.retry_after or _backoff(image.attempts), LONGEST_POSTPONEMENT)
        return Postponement(image, delay, tried=not isinstance(error, NotTried))
    found = error.found if IMAGE_FAULTS[error.code].grouped_by_found else ""
    return Failure(image, error.code, error.message, found)


def _may_pass(image: PendingImage, error: ImageError) -> bool:
    if isinstance(error, NotTried):
        return image.waits < MAX_WAITS
    return error.retryable and image.attempts + 1 < MAX_ATTEMPTS


def _backoff(attempts: int) -> float:
    """Return 1 s, 4 s, 16 s … with a jitter of a quarter, so that images do not return in step."""
    return float(4 ** attempts) * random.uniform(0.75, 1.25)
