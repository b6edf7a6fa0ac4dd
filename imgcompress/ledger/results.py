"""What can become of an image: a success, a failure, or another attempt later."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import timedelta

from .slices import PendingImage

# No image is put off for more seconds at a time.
LONGEST_POSTPONEMENT = 300.0


@dataclass(frozen=True)
class Success:
    """An image was compressed and stored."""

    image: PendingImage
    outcome: str
    input_bytes: int
    output_bytes: int
    width: int
    height: int
    output_format: str
    extension: str
    quality: int | None
    similarity: float | None
    storage_key: str


@dataclass(frozen=True)
class Failure:
    """An image failed for good; `found` tells its failures apart from others with this code."""

    image: PendingImage
    error_code: str
    error_message: str
    found: str = ""


@dataclass(frozen=True)
class Postponement:
    """An image is tried again after a `delay`; `tried` tells whether it was tried now."""

    image: PendingImage
    delay: float
    tried: bool = True
    _began: float = field(default_factory=time.monotonic)

    @property
    def rest(self) -> timedelta:
        """Return what is left of the delay, whatever happened to the clock since it began."""
        return timedelta(seconds=max(0.0, self.delay - (time.monotonic() - self._began)))


Result = Success | Failure | Postponement
