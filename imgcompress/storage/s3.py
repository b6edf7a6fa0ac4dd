"""Storage in a bucket of S3, Amazon's or another's."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import BinaryIO, cast
from uuid import uuid4

from ..errors import StorageUnavailable
from .interface import Progressed, StoredFile, unheeded
from .keys import checked
from .s3_client import client_of, told_as_storage_errors
from .s3_object import open_object
from .s3_upload import Rest

READ_BYTES = 256 * 1024


class S3Storage:
    """The objects of one bucket whose names begin with a prefix."""

    def __init__(self, bucket: str, prefix: str = "", *, endpoint: str | None = None,
                 public_endpoint: str | None = None) -> None:
        self.bucket = bucket
        self.root = f"{prefix}/" if prefix else ""
        self.endpoint = endpoint
        self.public_endpoint = public_endpoint

    def write(self, key: str, data: bytes) -> None:
        """See Storage."""
        name = self._name(key)
        with told_as_storage_errors(key):
            client_of(self.endpoint).put_object(Bucket=self.bucket, Key=name, Body=data)

    def copy_from(self, key: str, source: BinaryIO) -> None:
        """See Storage."""
        name = self._name(key)
        with told_as_storage_errors(key):
            # One request, up to the 5 GiB that S3 takes: whole or not at all, with no parts left.
            client_of(self.endpoint).put_object(Bucket=self.bucket, Key=name,
                                                Body=cast("BinaryIO", Rest(source)))

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
        with told_as_storage_errors(key):
            client_of(self.endpoint).delete_object(Bucket=self.bucket, Key=name)

    def delete_folder(self, folder: str, progressed: Progressed = unheeded) -> None:
        """See Storage."""
        checked(folder)
        for page in self._pages(folder):
            progressed()
            self._delete_page(folder, [name for name, _ in page])
            progressed()

    def link(self, key: str, *, seconds: int, media_type: str, cache_control: str) -> str:
        """See Storage."""
        wanted = {"Bucket": self.bucket, "Key": self._name(key),
                  "ResponseContentType": media_type, "ResponseCacheControl": cache_control}
        with told_as_storage_errors(key):
            return client_of(self.public_endpoint).generate_presigned_url(
                "get_object", Params=wanted, ExpiresIn=seconds)

    def check(self) -> None:
        """See Storage."""
        key = f"check/{uuid4().hex}"
        self.write(key, b"ok")
        self.delete(key)

    def _pages(self, folder: str) -> Iterator[Sequence[tuple[str, datetime]]]:
        """Yield the names of the objects below a folder, and their times, up to 1,000 at once."""
        start = f"{self._name(folder)}/" if folder else self.root
        pages = client_of(self.endpoint).get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=start)
        with told_as_storage_errors(folder):
            for page in pages:
                yield [(found["Key"], found["LastModified"]) for found in page.get("Contents", ())]

    def _delete_page(self, folder: str, names: Sequence[str]) -> None:
        """Delete up to 1,000 objects. Raise StorageUnavailable when some of them stay."""
        if not names:
            return
        with told_as_storage_errors(folder):
            answer = client_of(self.endpoint).delete_objects(
                Bucket=self.bucket,
                Delete={"Objects": [{"Key": name} for name in names], "Quiet": True})
        if errors := answer.get("Errors"):
            raise StorageUnavailable(detail=f"{folder}: {len(errors)} stay, such as {errors[0]}")

    def _name(self, key: str) -> str:
        return self.root + checked(key)
