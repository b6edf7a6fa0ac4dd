"""A ZIP of any number of entries in constant memory: its directory waits on the disk."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from typing import BinaryIO, cast
from zipfile import ZIP_STORED, ZipFile, ZipInfo

# Of what waits for the disk or for the caller, so much is in memory.
SPOOL_BYTES = 256 * 1024


class Outlet:
    """A file that cannot seek: what is written waits here until it is sent."""

    def __init__(self) -> None:
        self._written = spool()

    def write(self, data: bytes) -> int:
        """Take what is to be sent."""
        return self._written.write(data)

    def flush(self) -> None:
        """Do nothing: what is written is taken by `drain`."""

    def drain(self) -> Iterator[bytes]:
        """Yield what was written since the last time."""
        self._written.seek(0)
        while chunk := self._written.read(SPOOL_BYTES):
            yield chunk
        self._written.seek(0)
        self._written.truncate()

    def close(self) -> None:
        """Forget what was not sent."""
        self._written.close()


class StreamedZip(ZipFile):
    """A ZIP that is written to an outlet and remembers nothing of its entries in memory.

    zipfile keeps about half a kilobyte of every entry for the directory at the end. It asks its
    list of them for their number and, once, for all of them in order; the names it keeps only to
    warn of a name that comes twice, and whoever adds entries here sees to that.
    """

    def __init__(self, outlet: Outlet) -> None:
        super().__init__(cast("BinaryIO", outlet), "w", ZIP_STORED)
        self.filelist = cast("list[ZipInfo]", _Entries())
        self.NameToInfo = _NoNames()

    def close(self) -> None:
        """Write the directory."""
        super().close()
        cast("_Entries", self.filelist).close()


class _Entries:
    """The entries so far, in their order, in a file that nobody else can see."""

    def __init__(self) -> None:
        self._file = spool()
        self._number = 0

    def append(self, entry: ZipInfo) -> None:
        pickle.dump(entry, self._file)
        self._number += 1

    def __len__(self) -> int:
        return self._number

    def __iter__(self) -> Iterator[ZipInfo]:
        self._file.seek(0)
        for _ in range(self._number):
            yield pickle.load(self._file)

    def close(self) -> None:
        self._file.close()


class _NoNames(dict[str, ZipInfo]):
    def __setitem__(self, name: str, entry: ZipInfo) -> None:
        """Keep nothing."""


def spool() -> tempfile.SpooledTemporaryFile[bytes]:
    """Return a temporary file of which SPOOL_BYTES at most are in memory."""
    return tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)
