"""A file on its way to S3."""

from __future__ import annotations

import os
from typing import BinaryIO


class Rest:
    """What a file still holds, as a file that begins there.

    An attempt that is repeated goes back to its beginning. boto3's own uploads close their source.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start = file.tell()

    def read(self, size: int = -1) -> bytes:
        """Read up to so many bytes, or all."""
        return self._file.read(size)

    def tell(self) -> int:
        """Return where the next byte is read."""
        return self._file.tell() - self._start

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to another place."""
        self._file.seek(offset + (self._start if whence == os.SEEK_SET else 0), whence)
        return self.tell()
