"""Check that the address of an image was told by us, and not too long ago."""

from __future__ import annotations

import time

from flask import request

from ..extensions import current_settings
from ..links import is_signed
from .refusals import ImageLinkExpired, InvalidImageLink

# No image is kept by a cache for longer.
A_YEAR = 31_536_000


def check_link(name: str) -> int:
    """Return for how many seconds the address of an image may be kept; `name` is its id and kind.

    Raise InvalidImageLink and ImageLinkExpired where addresses are signed.
    """
    if not current_settings().signed_image_urls:
        return A_YEAR
    expires, signature = request.args.get("expires", ""), request.args.get("signature", "")
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 12
            and is_signed(name, int(expires), signature)):
        raise InvalidImageLink()
    left = int(expires) - int(time.time())
    if left <= 0:
        raise ImageLinkExpired()
    return min(left, A_YEAR)
