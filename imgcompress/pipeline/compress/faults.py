"""Say in the words of the error tree what went wrong with an image, whatever was raised."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from ...errors import ImageError
from .exhaustion import exhausted

_TRUNCATED = re.compile(r"truncated|not enough|ended|end of file|premature|unexpected eof",
                        re.IGNORECASE)


@contextmanager
def reading_faults(pixels: int = 0) -> Iterator[None]:
    """Turn every exception of the block, which reads the caller's file, into an ImageError.

    So many `pixels` are decoded in it, where they are known.

    Decoders raise whatever their parsing runs into: OSError, ValueError, SyntaxError, KeyError,
    struct.error. What it was goes to the detail, for the log.
    """
    try:
        yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError("too_many_pixels", detail=_told(error)) from error
    except Exception as error:
        if exhausted(error, pixels):
            raise ImageError("out_of_memory", detail=_told(error)) from error
        cut = isinstance(error, EOFError) or _TRUNCATED.search(str(error))
        raise ImageError("truncated_image" if cut else "corrupt_image",
                         detail=_told(error)) from error


@contextmanager
def writing_faults(pixels: int = 0) -> Iterator[None]:
    """Turn every exception of the block, which encodes so many sound pixels, into an ImageError.

    A MemoryError that left a task would end the worker's main process.
    """
    try:
        yield
    except ImageError:
        raise
    except Exception as error:
        code = "out_of_memory" if exhausted(error, pixels) else "internal_error"
        raise ImageError(code, detail=_told(error)) from error


def let_go(error: BaseException) -> None:
    """Forget the pixels that an error holds on to by its traceback, and by what it came from.

    Who is told of the error may keep it for a while, and other images need the memory.
    """
    told: BaseException | None = error
    while told is not None:
        traceback.clear_frames(told.__traceback__)
        told = told.__cause__ or told.__context__


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
