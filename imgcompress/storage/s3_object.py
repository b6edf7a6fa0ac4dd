"""An object of S3 as a file: read while it comes, from any place."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any, TypedDict

from .s3_client import BROKEN_OFF, told_as_storage_errors

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import GetObjectOutputTypeDef


class Wanted(TypedDict):
    """The name of an object."""

    Bucket: str
    Key: str


def open_object(client: S3Client, bucket: str, name: str) -> S3Object:
    """Ask for an object. Raise StorageNotFound, StorageUnavailable."""
    wanted: Wanted = {"Bucket": bucket, "Key": name}
    with told_as_storage_errors(name):
        return S3Object(client, wanted, client.get_object(**wanted))


class S3Object(io.RawIOBase):
    """Reads an object through one answer of S3, for as long as it is read on from where it was.

    To read from another place, or when the answer breaks off, the rest is asked for anew: of the
    same version of the object, or not at all.
    """

    def __init__(self, client: S3Client, wanted: Wanted, answer: GetObjectOutputTypeDef) -> None:
        super().__init__()
        self._client = client
        self._wanted: dict[str, Any] = {**wanted, "IfMatch": answer["ETag"]}
        self._size = answer["ContentLength"]
        self._body = answer["Body"]
        self._body_at = self._position = 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can be read from any place."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to another place; S3 is asked when something is read there."""
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}
        self._position = max(0, starts[whence] + offset)
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read what comes next. Raise StorageUnavailable."""
        if self._position >= self._size:
            return 0
        view = memoryview(buffer).cast("B")
        with told_as_storage_errors(self._wanted["Key"]):
            data = self._read(len(view))
        view[:len(data)] = data
        self._position += len(data)
        self._body_at = self._position
        return len(data)

    def close(self) -> None:
        """End the answer, whether all of it was read or not."""
        if not self.closed:
            self._body.close()
        super().close()

    def _read(self, most: int) -> bytes:
        try:
            if self._body_at != self._position:
                self._ask_for_rest()
            return self._body.read(most)
        except BROKEN_OFF:
            self._ask_for_rest()
            return self._body.read(most)

    def _ask_for_rest(self) -> None:
        self._body.close()
        answer = self._client.get_object(**self._wanted, Range=f"bytes={self._position}-")
        self._body, self._body_at = answer["Body"], self._position
