"""What can become of an image: a success, a failure, or another attempt later."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .slices import PendingImage


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
    """An image is tried again after `not_before`; `tried` tells whether it was tried now."""

    image: PendingImage
    not_before: datetime
    tried: bool = True


Result = Success | Failure | Postponement
