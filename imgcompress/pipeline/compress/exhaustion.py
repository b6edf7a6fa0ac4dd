"""Tell an image that is damaged from one for which the memory did not suffice.

Not every decoder says so when it gets no memory: libwebp "could not create decoder object", libavif
"Decoding of color planes failed", libjpeg-turbo only that the data stream is broken.
"""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

# No format takes more for each pixel that it decodes or encodes: the worst, a PNG of many
# translucent colours, was measured at 30.
BYTES_PER_PIXEL = 32

_SAID = re.compile(r"out of memory|memory allocation|insufficient memory|cannot allocate",
                   re.IGNORECASE)


def exhausted(error: Exception, pixels: int) -> bool:
    """Tell whether an error was, or may have been, for lack of memory for so many pixels.

    It may where this process has a ceiling, and less below it than such an image can take.
    """
    if isinstance(error, MemoryError) or _SAID.search(str(error)):
        return True
    room = _room()
    return room is not None and room < pixels * BYTES_PER_PIXEL


def _room() -> int | None:
    """Return how many bytes this process may still have; None where nothing limits it."""
    if sys.platform != "linux":
        return None
    most, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if most == resource.RLIM_INFINITY:
        return None
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    taken = next(int(line.split()[1]) for line in lines if line.startswith("VmData:"))
    return most - taken * 1024
