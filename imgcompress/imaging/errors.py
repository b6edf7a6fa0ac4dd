"""Convert what decoders raise and print into errors of images.

Not every decoder reports that it got no memory: libwebp "could not create decoder object", libavif
"Decoding of color planes failed", libjpeg-turbo only that the data stream is broken.
"""

from __future__ import annotations

import re
import resource
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from PIL import Image

from ..errors import ImageError

# No format takes more for each pixel that it decodes or encodes: the worst, a PNG of many
# translucent colours, was measured at 30.
BYTES_PER_PIXEL = 32

_SAID = re.compile(
    r"out of memory|memory allocation|insufficient memory|cannot allocate", re.IGNORECASE
)


def exhausted(error: Exception, pixels: int) -> bool:
    """Return whether an error was, or may have been, caused by a lack of memory for these pixels.

    It may if this process has a memory limit, and less memory left than such an image can take.
    """
    if isinstance(error, MemoryError) or _SAID.search(str(error)):
        return True
    room = memory_left()
    return room is not None and room < pixels * BYTES_PER_PIXEL


def memory_left() -> int | None:
    """Return how many bytes this process may still allocate; None if there is no limit."""
    if sys.platform != "linux":
        return None
    most, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if most == resource.RLIM_INFINITY:
        return None
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    taken = next(int(line.split()[1]) for line in lines if line.startswith("VmData:"))
    return most - taken * 1024


_SILENCE = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
_lock = threading.Lock()
_users = 0
_filters: list[Any] = []


@contextmanager
def suppress_pillow_warnings() -> Iterator[None]:
    """Ignore the warnings of Pillow's modules; the first user sets the filter, the last removes it.

    `warnings.catch_warnings` copies all filters and clears Python's record of past warnings, which
    takes longer; and if two threads left it in the wrong order, the filter would stay.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _users, _filters
    with _lock:
        _users += 1
        if _users == 1:
            # The filter has to be removed from this list, even if another is in force by then.
            _filters = cast(list[Any], warnings.filters)
            _filters.insert(0, _SILENCE)


def _leave() -> None:
    global _users
    with _lock:
        _users -= 1
        if _users == 0 and _SILENCE in _filters:
            _filters.remove(_SILENCE)


_TRUNCATED = re.compile(
    r"truncated|not enough|ended|end of file|premature|unexpected eof", re.IGNORECASE
)


@contextmanager
def decoder_errors(pixels: int = 0) -> Iterator[None]:
    """Turn every exception of the block, which reads the caller's file, into an ImageError.

    `pixels` is how many are decoded in it, if that is known.

    Decoders raise whatever their parsing runs into: OSError, ValueError, SyntaxError, KeyError,
    struct.error. The original error goes into the detail, for the log.
    """
    try:
        yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError("too_many_pixels", detail=_detail_of(error)) from error
    except Exception as error:
        if exhausted(error, pixels):
            raise ImageError("out_of_memory", detail=_detail_of(error)) from error
        cut = isinstance(error, EOFError) or _TRUNCATED.search(str(error))
        raise ImageError(
            "truncated_image" if cut else "corrupt_image", detail=_detail_of(error)
        ) from error


@contextmanager
def encoder_errors(pixels: int = 0) -> Iterator[None]:
    """Turn every exception of the block, which encodes `pixels` sound pixels, into an ImageError.

    A MemoryError that left a task would end the worker's main process.
    """
    try:
        yield
    except ImageError:
        raise
    except Exception as error:
        code = "out_of_memory" if exhausted(error, pixels) else "internal_error"
        raise ImageError(code, detail=_detail_of(error)) from error


def let_go(error: BaseException) -> None:
    """Free the pixels that an error keeps in memory through its traceback and its causes.

    The handler of the error may keep it for a while, and other images need the memory.
    """
    current: BaseException | None = error
    while current is not None:
        traceback.clear_frames(current.__traceback__)
        current = current.__cause__ or current.__context__


def _detail_of(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
