"""What is true of S3 alone: who does not answer, who is asked, and what nobody may see."""

from __future__ import annotations

import io
import logging
import os
import runpy
from collections.abc import Callable, Iterator
from threading import Barrier, get_ident
from typing import BinaryIO
from urllib.parse import urlsplit

import pytest
import requests

from imgcompress.config import load_settings
from imgcompress.errors import StorageUnavailable
from imgcompress.shipped import GUNICORN_SETTINGS
from imgcompress.storage import Storage, open_storage
from imgcompress.storage.s3 import CONNECTIONS, client_of

from ...faults.proxy import Proxy
from tests.support.buckets import CREDENTIALS, Bucket
from tests.support.parallel import in_parallel

LARGE = os.urandom(8 << 20)
ACTS: dict[str, Callable[[Storage], object]] = {
    "write": lambda storage: storage.write("a/b", b""),
    "open": lambda storage: storage.open("a/b"),
    "list": lambda storage: list(storage.list()),
    "delete": lambda storage: storage.delete("a/b"),
    "delete_folder": lambda storage: storage.delete_folder("a"),
    "check": lambda storage: storage.check(),
}


@pytest.mark.parametrize("act", ACTS)
def test_a_bucket_that_is_gone_is_no_missing_file(
    s3_storage: Storage, bucket: Bucket, act: str
) -> None:
    s3_storage.write("a/b", b"kept")
    with bucket.taken_away(), pytest.raises(StorageUnavailable):
        ACTS[act](s3_storage)
    with s3_storage.open("a/b") as file:
        assert file.read() == b"kept"


def test_a_server_that_is_away_is_reported_without_secrets(
    bucket: Bucket, s3_storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    away = open_storage(
        load_settings(None, storage_url=bucket.url, storage_endpoint="http://127.0.0.1:1")
    )
    with caplog.at_level(logging.INFO), pytest.raises(StorageUnavailable) as raised:
        away.write("a/b", b"")
    assert "a/b" in raised.value.detail
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in raised.value.detail + caplog.text


def test_without_credentials_the_storage_is_unavailable(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_EC2_METADATA_DISABLED", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, CREDENTIALS[name])
    # Of an endpoint of its own, since a client keeps its credentials.
    storage = open_storage(
        load_settings(None, storage_url=bucket.url, storage_endpoint=f"{bucket.endpoint}/")
    )
    for act in (storage.check, lambda: _link(storage)):
        with pytest.raises(StorageUnavailable):
            act()


def _link(storage: Storage) -> str:
    return storage.link(
        "images/1/a b.jpg", seconds=60, media_type="image/jpeg", cache_control="public, max-age=99"
    )


def test_a_link_brings_the_file_with_its_headers(s3_storage: Storage) -> None:
    s3_storage.write("images/1/a b.jpg", b"photo")
    link = _link(s3_storage)
    answer = requests.get(link, timeout=10)
    assert answer.status_code == 200 and answer.content == b"photo"
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.headers["Cache-Control"] == "public, max-age=99"
    assert "X-Amz-Expires=60" in link and CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in link


def test_a_link_leads_to_the_public_endpoint(bucket: Bucket, s3_storage: Storage) -> None:
    public = open_storage(
        load_settings(
            None,
            storage_url=bucket.url,
            storage_endpoint=bucket.endpoint,
            storage_public_endpoint="https://files.example.com",
        )
    )
    parts = urlsplit(_link(public))
    assert (parts.scheme, parts.netloc) == ("https", "files.example.com")
    assert parts.path == f"/{bucket.name}/some/prefix/images/1/a%20b.jpg"


class TestAnAnswerThatBreaksOff:
    @pytest.fixture
    def begun(self, bucket: Bucket, s3_storage: Storage) -> Iterator[tuple[bytes, BinaryIO]]:
        """Yield a file of which a part was read, and break off the answer."""
        s3_storage.write("a/b", LARGE)
        parts = urlsplit(bucket.endpoint)
        with Proxy(parts.hostname or "", parts.port or 0) as proxy:
            through = open_storage(
                load_settings(None, storage_url=bucket.url, storage_endpoint=proxy.url(""))
            )
            with through.open("a/b") as file:
                begin = file.read(1000)
                proxy.cut()
                proxy.restore()
                yield begin, file

    def test_the_rest_of_a_broken_download_is_requested(
        self, begun: tuple[bytes, BinaryIO]
    ) -> None:
        begin, file = begun
        assert begin + file.read() == LARGE

    def test_the_rest_of_another_version_is_not_requested(
        self, begun: tuple[bytes, BinaryIO], s3_storage: Storage
    ) -> None:
        s3_storage.write("a/b", LARGE[::-1])
        with pytest.raises(StorageUnavailable):
            begun[1].read()


def test_an_upload_that_breaks_off_begins_again(bucket: Bucket, s3_storage: Storage) -> None:
    """The source is read twice: for its signature, and to be sent."""
    parts = urlsplit(bucket.endpoint)
    with Proxy(parts.hostname or "", parts.port or 0) as proxy:

        class Cutting(io.BytesIO):
            passes = 0

            def read(self, size: int | None = -1) -> bytes:
                before, data = self.tell(), super().read(size)
                self.passes += before < len(LARGE) // 2 <= self.tell()
                if self.passes == 2:
                    self.passes += 1
                    proxy.cut()
                    proxy.restore()
                return data

        source = Cutting(LARGE)
        source.seek(1000)
        open_storage(
            load_settings(None, storage_url=bucket.url, storage_endpoint=proxy.url(""))
        ).copy_from("a/b", source)
    assert source.passes > 3
    with s3_storage.open("a/b") as file:
        assert file.read() == LARGE[1000:]


def test_all_threads_that_read_at_once_keep_their_connections(
    s3_storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    s3_storage.write("a/b", b"photo")
    all_open = Barrier(THREADS)

    def read(_: int) -> bytes:
        with s3_storage.open("a/b") as file:
            all_open.wait(20)
            return file.read()

    assert in_parallel(read, THREADS) == [b"photo"] * THREADS
    assert "pool is full" not in caplog.text


THREADS = 24


def test_a_web_process_has_no_more_threads_than_connections() -> None:
    settings = runpy.run_path(str(GUNICORN_SETTINGS))
    assert settings["threads"] <= CONNECTIONS


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Of Python 3.12, for threads.
def test_threads_share_a_client_and_a_fork_makes_its_own(
    s3_endpoint: str, s3_storage: Storage
) -> None:
    found = in_parallel(lambda _: (get_ident(), client_of(s3_endpoint)), 4)
    assert len({id(client) for _, client in found}) == 1 < len({thread for thread, _ in found})
    child = os.fork()
    if not child:
        os._exit(client_of(s3_endpoint) is found[0][1])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
