"""Say in the words of the error tree what went wrong with an image, whatever was raised."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from ...errors import ImageError

_TRUNCATED = re.compile(r"truncated|not enough|ended|end of file|premature|unexpected eof",
                        re.IGNORECASE)


@contextmanager
def reading_faults() -> Iterator[None]:
    """Turn every exception of the block, which reads the caller's file, into an ImageError.

    Decoders raise whatever their parsing runs into: OSError, ValueError, SyntaxError, KeyError,
    struct.error. What it was goes to the detail, for the log.
    """
    try:
        yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError("too_many_pixels", detail=_told(error)) from error
    except MemoryError as error:
        raise ImageError("out_of_memory", detail=_told(error)) from error
    except Exception as error:
        cut = isinstance(error, EOFError) or _TRUNCATED.search(str(error))
        raise ImageError("truncated_image" if cut else "corrupt_image",
                         detail=_told(error)) from error


@contextmanager
def writing_faults() -> Iterator[None]:
    """Turn every exception of the block, which encodes sound pixels, into an ImageError.

    A MemoryError that left a task would end the worker's main process.
    """
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError("out_of_memory", detail=_told(error)) from error
    except Exception as error:
        raise ImageError("internal_error", detail=_told(error)) from error


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
