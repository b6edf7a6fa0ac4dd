"""An S3 server of the tests' own, and fresh buckets on it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import boto3
import pytest

from imgcompress.config import Settings

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-tests",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


class Bucket:
    """A bucket that a test may look into, and take away for a while."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.name = f"test-{uuid4().hex[:12]}"
        self.url = f"s3://{self.name}/some/prefix"
        self._client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )
        self._client.create_bucket(Bucket=self.name)

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment of a service that stores here."""
        return CREDENTIALS | {"STORAGE_URL": self.url, "STORAGE_ENDPOINT": self.endpoint}

    def use(self, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Settings:
        """Return the settings of an installation in this process that stores here."""
        for name, value in CREDENTIALS.items():
            monkeypatch.setenv(name, value)
        return replace(settings, storage_url=self.url, storage_endpoint=self.endpoint)

    def objects(self) -> list[str]:
        """Return the names of all objects."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return [found["Key"] for page in pages for found in page.get("Contents", ())]

    def put(self, name: str, data: bytes) -> None:
        """Store an object below the prefix."""
        self._client.put_object(Bucket=self.name, Key=f"some/prefix/{name}", Body=data)

    @contextmanager
    def taken_away(self) -> Iterator[None]:
        """Have the server say meanwhile that there is no such bucket; it comes back as it was."""
        from moto.core.models import DEFAULT_ACCOUNT_ID
        from moto.s3.models import s3_backends

        buckets = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets
        bucket = buckets.pop(self.name)
        try:
            yield
        finally:
            buckets[self.name] = bucket

    def close(self) -> None:
        """Forget the client."""
        self._client.close()


@contextmanager
def s3_server(wrapped: Callable[[Any], Any] | None = None) -> Iterator[str]:
    """Run an S3 server on a free port of loopback; yield its endpoint.

    `wrapped` returns the WSGI application that stands before the server's own.
    """
    # It takes a second to load, for which no other test need wait.
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        if wrapped is not None:
            server._server.app = wrapped(server._server.app)
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Return the endpoint of an S3 server."""
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3_endpoint: str) -> Iterator[Bucket]:
    """Return an empty bucket."""
    bucket = Bucket(s3_endpoint)
    yield bucket
    bucket.close()
