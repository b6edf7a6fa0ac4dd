"""Files in an S3 bucket."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO, TypedDict, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from ..errors import StorageNotFound, StorageUnavailable
from ..file_names import check_key
from .files import Held, Progressed, StoredFile, checked, nothing_held, unheeded

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import GetObjectOutputTypeDef


# An unanswered call fails for good after three attempts, in less than a minute; the slice is then
# retried later, so more attempts here would only delay its other images.
CONNECT_SECONDS = 3
READ_SECONDS = 15
ATTEMPTS = 3
# Shared by the threads of a process: all threads of a web process, which has the most
# (deploy/gunicorn.conf.py), may read at once. Connections beyond this number are closed after one
# answer, with a warning for each. Connections are opened on demand.
CONNECTIONS = 256

# Errors for a missing or incomplete answer; botocore lets some of urllib3's through.
BROKEN_OFF = (BotoCoreError, HTTPError)

_clients: dict[tuple[int, str | None], S3Client] = {}
_making = Lock()


def client_of(endpoint: str | None) -> S3Client:
    """Return this process's client; threads share it, and a fork makes its own.

    Creating it takes half a second, which a web server need not wait for at its start.
    """
    process = (os.getpid(), endpoint)
    with _making:
        if process not in _clients:
            _clients[process] = _client(endpoint)
        return _clients[process]


def _client(endpoint: str | None) -> S3Client:
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        tcp_keepalive=True,
        max_pool_connections=CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        signature_version="s3v4",
        # MinIO's buckets are not host names.
        s3={"addressing_style": "path" if endpoint else "auto"},
        # Amazon's newer checksums, which boto3 sends by default, are not supported by all
        # other servers. TLS and the lengths of bodies are checked anyway.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.session.Session().client("s3", endpoint_url=endpoint, config=config)


@contextmanager
def storage_errors(key: str) -> Iterator[None]:
    """Turn errors of S3 into StorageNotFound, for a missing key, or StorageUnavailable."""
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "NoSuchKey":
            raise StorageNotFound(detail=f"{key}: {error}") from error
        raise StorageUnavailable(detail=f"{key}: {error}") from error
    except (*BROKEN_OFF, OSError) as error:
        raise StorageUnavailable(detail=f"{key}: {error}") from error


class Wanted(TypedDict):
    """The name of an object."""

    Bucket: str
    Key: str


def open_object(client: S3Client, bucket: str, name: str) -> S3Object:
    """Ask for an object. Raise StorageNotFound, StorageUnavailable."""
    wanted: Wanted = {"Bucket": bucket, "Key": name}
    with storage_errors(name):
        return S3Object(client, wanted, client.get_object(**wanted))


class S3Object(io.RawIOBase):
    """Reads an object from one answer of S3, as long as the reads are sequential.

    For another position, or if the answer breaks off, the rest is requested, of the same version of
    the object or not at all.
    """

    def __init__(self, client: S3Client, wanted: Wanted, answer: GetObjectOutputTypeDef) -> None:
        super().__init__()
        self._client = client
        self._wanted: dict[str, Any] = {**wanted, "IfMatch": answer["ETag"]}
        self._size = answer["ContentLength"]
        self._body = answer["Body"]
        self._body_at = self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to another position; the request is sent at the next read."""
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}
        self._position = max(0, starts[whence] + offset)
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read the next bytes. Raise StorageUnavailable."""
        if self._position >= self._size:
            return 0
        view = memoryview(buffer).cast("B")
        with storage_errors(self._wanted["Key"]):
            data = self._read(len(view))
        view[: len(data)] = data
        self._position += len(data)
        self._body_at = self._position
        return len(data)

    def close(self) -> None:
        """Close the answer, whether all of it was read or not."""
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


class Rest:
    """The rest of a file, as a file that begins at its current position.

    A repeated attempt goes back to its beginning. boto3's own uploads would close their source.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start = file.tell()

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes, or all."""
        return self._file.read(size)

    def tell(self) -> int:
        """Return the current position."""
        return self._file.tell() - self._start

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to another position."""
        self._file.seek(offset + (self._start if whence == os.SEEK_SET else 0), whence)
        return self.tell()


READ_BYTES = 256 * 1024


class S3Storage:
    """The objects of one bucket whose names begin with a prefix."""

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint: str | None = None,
        public_endpoint: str | None = None,
    ) -> None:
        self.bucket = bucket
        self.root = f"{prefix}/" if prefix else ""
        self.endpoint = endpoint
        self.public_endpoint = public_endpoint

    def write(self, key: str, data: bytes) -> None:
        """See Storage."""
        name = self._name(key)
        with storage_errors(key):
            client_of(self.endpoint).put_object(Bucket=self.bucket, Key=name, Body=data)

    def copy_from(self, key: str, source: BinaryIO) -> None:
        """See Storage."""
        name = self._name(key)
        with storage_errors(key):
            # One request, up to S3's limit of 5 GiB: whole or not at all, with no parts left.
            client_of(self.endpoint).put_object(
                Bucket=self.bucket, Key=name, Body=cast("BinaryIO", Rest(source))
            )

    def open(self, key: str) -> BinaryIO:
        """See Storage."""
        found = open_object(client_of(self.endpoint), self.bucket, self._name(key))
        return io.BufferedReader(found, READ_BYTES)

    def list(self, folder: str = "") -> Iterator[StoredFile]:
        """See Storage."""
        for page in self._pages(folder):
            for name, modified in page:
                yield StoredFile(name.removeprefix(self.root), modified)

    def delete(self, key: str) -> None:
        """See Storage."""
        name = self._name(key)
        with storage_errors(key):
            client_of(self.endpoint).delete_object(Bucket=self.bucket, Key=name)

    def delete_folder(
        self, folder: str, progressed: Progressed = unheeded, held: Held = nothing_held
    ) -> None:
        """See Storage."""
        checked(folder)
        for page in self._pages(folder):
            progressed()
            names = [name for name, _ in page]
            stay = {self.root + key for key in held([name[len(self.root) :] for name in names])}
            self._delete_page(folder, [name for name in names if name not in stay])
            progressed()

    def link(self, key: str, *, seconds: int, media_type: str, cache_control: str) -> str:
        """See Storage."""
        wanted = {
            "Bucket": self.bucket,
            "Key": self._name(key),
            "ResponseContentType": media_type,
            "ResponseCacheControl": cache_control,
        }
        with storage_errors(key):
            return client_of(self.public_endpoint).generate_presigned_url(
                "get_object", Params=wanted, ExpiresIn=seconds
            )

    def check(self) -> None:
        """See Storage."""
        key = check_key()
        self.write(key, b"ok")
        self.delete(key)

    def _pages(self, folder: str) -> Iterator[Sequence[tuple[str, datetime]]]:
        """Yield the names of the objects below a folder, and their times, up to 1,000 at once."""
        start = f"{self._name(folder)}/" if folder else self.root
        pages = (
            client_of(self.endpoint)
            .get_paginator("list_objects_v2")
            .paginate(Bucket=self.bucket, Prefix=start)
        )
        with storage_errors(folder):
            for page in pages:
                yield [(found["Key"], found["LastModified"]) for found in page.get("Contents", ())]

    def _delete_page(self, folder: str, names: Sequence[str]) -> None:
        """Delete up to 1,000 objects. Raise StorageUnavailable if some of them remain."""
        if not names:
            return
        with storage_errors(folder):
            answer = client_of(self.endpoint).delete_objects(
                Bucket=self.bucket,
                Delete={"Objects": [{"Key": name} for name in names], "Quiet": True},
            )
        if errors := answer.get("Errors"):
            raise StorageUnavailable(detail=f"{folder}: {len(errors)} stay, such as {errors[0]}")

    def _name(self, key: str) -> str:
        return self.root + checked(key)
