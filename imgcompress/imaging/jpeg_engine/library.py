"""The engine's library: found, loaded and called.

It is called by ctypes, which releases the interpreter lock meanwhile. The library does not depend
on Python: any C compiler can build it, and one build serves every Python.
"""

from __future__ import annotations

import ctypes
import logging
from ctypes import (
    POINTER,
    byref,
    c_char_p,
    c_double,
    c_int,
    c_int32,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

log = logging.getLogger(__name__)

VERSION = 4
NOT_BUILT = "not_built"


class Rejected(Exception):
    """The engine cannot process an image; `reason` is one word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Span(ctypes.Structure):
    """A range of bytes of a file; its size is 0 if the file has no such part."""

    _fields_ = [("offset", c_uint32), ("size", c_uint32)]

    def of(self, data: bytes) -> bytes:
        """Return the bytes of the range."""
        offset: int = self.offset
        size: int = self.size
        return data[offset : offset + size]


class Facts(ctypes.Structure):
    """The facts in the headers of a JPEG; core/engine.h explains each field."""

    width: int
    height: int
    components: int
    progressive: int
    luma_sum: int
    profile_parts: int
    exif: Span
    xmp: Span
    profile: Span
    _fields_ = [
        ("width", c_int32),
        ("height", c_int32),
        ("components", c_int32),
        ("progressive", c_int32),
        ("sampling", c_int32 * 3),
        ("restart_interval", c_int32),
        ("luma_sum", c_int32),
        ("profile_parts", c_int32),
        ("exif", Span),
        ("xmp", Span),
        ("profile", Span),
    ]


class _Request(ctypes.Structure):
    _fields_ = [
        ("step", c_double),
        ("budget", c_uint64),
        ("orientation", c_int32),
        ("at_once", c_int32),
    ]


class _Result(ctypes.Structure):
    _fields_ = [
        ("data", c_void_p),
        ("size", c_uint64),
        ("step", c_double),
        ("pixel_bytes", c_uint64),
        ("lossless", c_int32),
        ("own_tables", c_int32),
        ("samplings", c_int32),
        ("countings", c_int32),
    ]


class Requantised:
    """A JPEG of coarser steps, and how it was made; core/engine.h explains each field."""

    def __init__(self, data: bytes, result: _Result) -> None:
        self.data = data
        self.step: float = result.step
        self.lossless = bool(result.lossless)
        self.own_tables = bool(result.own_tables)
        self.pixel_bytes: int = result.pixel_bytes
        self.passes: tuple[int, int] = (result.samplings, result.countings)


@cache
def library() -> ctypes.CDLL | str:
    """Return the engine's library, or a sentence that says why it is unavailable."""
    for suffix in EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(f"_core{suffix}")
        if not path.is_file():
            continue
        try:
            loaded = ctypes.CDLL(str(path))
            if loaded.engine_version() == VERSION:
                return _declared(loaded)
            return "The JPEG engine was built for another version."
        except (OSError, AttributeError) as error:
            return f"The JPEG engine cannot be loaded ({error})."
    return "The JPEG engine is not built."


def missing_engine() -> str | None:
    """Return a sentence that says why there is no engine; None if there is one."""
    found = library()
    return found if isinstance(found, str) else None


def _declared(loaded: ctypes.CDLL) -> ctypes.CDLL:
    loaded.engine_inspect.argtypes = [c_char_p, c_size_t, POINTER(Facts)]
    loaded.engine_requantise.argtypes = [c_char_p, c_size_t, POINTER(_Request), POINTER(_Result)]
    loaded.engine_coefficients.argtypes = [
        c_char_p,
        c_size_t,
        c_void_p,
        c_size_t,
        POINTER(c_size_t),
    ]
    loaded.engine_free.argtypes = [c_void_p]
    loaded.engine_free.restype = None
    loaded.engine_reason.argtypes = [c_int]
    loaded.engine_reason.restype = c_char_p
    return loaded


def inspect(data: bytes) -> Facts:
    """Return the facts in the headers of a JPEG. Raise Rejected if the engine cannot process it."""
    engine, facts = _loaded(), Facts()
    _check(engine, engine.engine_inspect(data, len(data), byref(facts)))
    return facts


def requantise(
    data: bytes, step: float, budget: int = 0, orientation: int = 1, *, at_once: bool = False
) -> Requantised:
    """Return a JPEG with this step of quantisation, in per cent of the engine's table.

    With a budget in bytes, the step is the finest that fits it, and `step` the coarsest that
    may be used: the result is larger than the budget if not even that fits. `orientation` is
    EXIF's, by which the image is turned upright. Without a budget, `at_once` writes the result while
    the image is decoded, which takes less time and a few more bytes, unless they make it no smaller
    than its source. Raise Rejected.
    """
    engine, result = _loaded(), _Result()
    request = _Request(step, budget, orientation, at_once)
    _check(engine, engine.engine_requantise(data, len(data), byref(request), byref(result)))
    try:
        return Requantised(ctypes.string_at(result.data, result.size), result)
    finally:
        engine.engine_free(result.data)


def coefficients(data: bytes) -> list[int]:
    """Return all coefficients as they are scanned, 64 for each block. Raise Rejected."""
    engine, count = _loaded(), c_size_t()
    facts = inspect(data)
    # Each side may be filled up to two blocks of 8 pixels, for three components of full size.
    room = 3 * (facts.width + 32) * (facts.height + 32)
    values = (ctypes.c_int16 * room)()
    _check(engine, engine.engine_coefficients(data, len(data), values, room, byref(count)))
    return values[: count.value]


def _loaded() -> ctypes.CDLL:
    engine = library()
    if isinstance(engine, str):
        _complain(engine)
        raise Rejected(NOT_BUILT)
    return engine


@cache
def _complain(sentence: str) -> None:
    """Log once that JPEGs are compressed the slower way."""
    log.warning(
        "%s JPEGs take longer to compress and look slightly worse; install a C"
        " compiler and run `make setup`.",
        sentence,
    )


def _check(engine: ctypes.CDLL, verdict: int) -> None:
    if verdict:
        raise Rejected(engine.engine_reason(verdict).decode())
