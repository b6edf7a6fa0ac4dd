"""The client of S3: one for each process, and how long it waits for an answer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from ..errors import StorageNotFound, StorageUnavailable

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

# A call that nobody answers has failed for good after three attempts, in less than a minute; a
# slice then waits and is tried again, so more patience here would only hold up its other images.
CONNECT_SECONDS = 3
READ_SECONDS = 15
ATTEMPTS = 3
# The threads of a process share them: those of a web process, which are the most
# (deploy/gunicorn.conf.py), may all read at once. A connection that finds no place among those that
# are kept is closed after one answer, with a warning for each. One is made when it is needed first.
CONNECTIONS = 256

# What is raised where no answer comes, or not all of it; botocore lets some of urllib3's through.
BROKEN_OFF = (BotoCoreError, HTTPError)

_clients: dict[tuple[int, str | None], S3Client] = {}
_making = Lock()


def client_of(endpoint: str | None) -> S3Client:
    """Return this process's client; threads share it, and a fork makes its own.

    It takes half a second to make, which no web server need wait for before it starts.
    """
    process = (os.getpid(), endpoint)
    with _making:
        if process not in _clients:
            _clients[process] = _client(endpoint)
        return _clients[process]


def _client(endpoint: str | None) -> S3Client:
    config = Config(
        connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, tcp_keepalive=True,
        max_pool_connections=CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        signature_version="s3v4",
        # A bucket of MinIO's is no host name.
        s3={"addressing_style": "path" if endpoint else "auto"},
        # Amazon's newer checksums, which boto3 sends unless told otherwise, are not known to all
        # others. TLS and the lengths of bodies are checked all the same.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required")
    return boto3.session.Session().client("s3", endpoint_url=endpoint, config=config)


@contextmanager
def told_as_storage_errors(key: str) -> Iterator[None]:
    """Raise what S3 says as StorageNotFound, for a missing key, or as StorageUnavailable."""
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") == "NoSuchKey":
            raise StorageNotFound(detail=f"{key}: {error}") from error
        raise StorageUnavailable(detail=f"{key}: {error}") from error
    except (*BROKEN_OFF, OSError) as error:
        raise StorageUnavailable(detail=f"{key}: {error}") from error
