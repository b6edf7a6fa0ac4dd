"""A ZIP of many entries: whole, and written in memory that does not grow with their number."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from zipfile import ZipFile, ZipInfo

from imgcompress.api.downloads import Outlet, StreamedZip


def _written(entries: int) -> Iterator[bytes]:
    with closing(Outlet()) as outlet:
        with StreamedZip(outlet) as target:
            for number in range(entries):
                name = f"A product with a long name-{number}-1.jpg"
                with target.open(ZipInfo(name, (2026, 1, 1, 0, 0, 0)), "w") as member:
                    member.write(b"%d" % number)
                yield from outlet.drain()
        yield from outlet.drain()


def _peak(entries: int) -> int:
    tracemalloc.start()
    try:
        for _ in _written(entries):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_every_entry_is_in_the_directory() -> None:
    with ZipFile(io.BytesIO(b"".join(_written(3000)))) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 3000
        assert archive.read("A product with a long name-2999-1.jpg") == b"2999"


def test_an_empty_archive_is_valid() -> None:
    with ZipFile(io.BytesIO(b"".join(_written(0)))) as archive:
        assert archive.namelist() == []


def test_memory_does_not_grow_with_the_entries() -> None:
    few, many = _peak(3000), _peak(12_000)
    assert many < few + 200_000  # zipfile itself takes over three megabytes more.


def test_an_archive_that_is_given_up_leaves_nothing_open() -> None:
    chunks = _written(10)
    next(chunks)
    chunks.close()
