"""A storage that answers and does not work: S3 that is overloaded or forbids, a locked folder."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from .installation import Installation, installation
from .private import program
from .scenarios import watch
from .verdict import Verdict, Watched, through_one
from tests.support.buckets import Bucket, s3_server

AWAY = (503, "storage_unavailable")
ERROR = """<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>{code}</Code><Message>As the test asks.</Message></Error>"""
SLOW_DOWN = ("503 Slow Down", "SlowDown")
INTERNAL = ("500 Internal Server Error", "InternalError")
DENIED = ("403 Forbidden", "AccessDenied")
# One of this many requests fails while the server is overloaded.
ONE_IN = 3


class Faulty:
    """A WSGI application that answers some requests with an error instead.

    `share` is how many of them, between 0 and 1, and `errors` are the statuses and S3's codes.
    """

    def __init__(self, application: Any) -> None:
        self._application = application
        self.share = 0.0
        self.errors: tuple[tuple[str, str], ...] = ()
        self.rejected = 0

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if random.random() >= self.share:
            answer: Iterable[bytes] = self._application(environ, start_response)
            return answer
        self.rejected += 1
        # A body that is left unread would be taken for the next request.
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status, code = random.choice(self.errors)
        body = ERROR.format(code=code).encode()
        start_response(
            status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
        )
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    @contextmanager
    def failing(self, share: float, *errors: tuple[str, str]) -> Iterator[None]:
        """Fail meanwhile."""
        self.share, self.errors = share, errors
        try:
            yield
        finally:
            self.share = 0.0


def s3_overloaded(folder: Path, images: int, seconds: float, **settings: str) -> Verdict:
    """Have a third of all requests answered 503 SlowDown or 500 for a while."""

    def harm(server: Faulty, job: Watched) -> None:
        before = job.done()
        with server.failing(1 / ONE_IN, SLOW_DOWN, INTERNAL):
            watch(job, seconds)
        job.expect(job.done() > before, "the job goes on meanwhile")
        job.expect(server.rejected > 0, "some requests were refused")

    return _on_s3(folder, images, seconds, harm, settings)


def s3_down(folder: Path, images: int, seconds: float, **settings: str) -> Verdict:
    """Have every request answered 503 SlowDown or 500 for a while."""
    return _rejected(folder, images, seconds, settings, SLOW_DOWN, INTERNAL)


def s3_forbidden(folder: Path, images: int, seconds: float, **settings: str) -> Verdict:
    """Have every request answered 403 AccessDenied for a while, as a changed policy does."""
    return _rejected(folder, images, seconds, settings, DENIED)


def _rejected(
    folder: Path, images: int, seconds: float, settings: dict[str, str], *errors: tuple[str, str]
) -> Verdict:
    def harm(server: Faulty, job: Watched) -> None:
        with server.failing(1, *errors):
            job.upload_meanwhile(*AWAY)
            job.expect_readiness("storage")
            watch(job, seconds)

    return _on_s3(folder, images, seconds, harm, settings)


def _on_s3(
    folder: Path,
    images: int,
    seconds: float,
    harm: Callable[[Faulty, Watched], None],
    settings: dict[str, str],
) -> Verdict:
    with ExitStack() as stack:
        servers: list[Faulty] = []

        def faulty(application: Any) -> Faulty:
            servers.append(Faulty(application))
            return servers[0]

        bucket = Bucket(stack.enter_context(s3_server(faulty)))
        stack.callback(bucket.close)
        service = stack.enter_context(
            installation("embedded", folder, **bucket.environment, **settings)
        )
        return through_one(service, images, seconds, lambda job: harm(servers[0], job))


def locked_folder(folder: Path, images: int, seconds: float, **settings: str) -> Verdict:
    """Forbid the service to write into the folder of its files for a while."""

    def harm(job: Watched) -> None:
        with _locked(job.service):
            job.upload_meanwhile(*AWAY)
            job.expect_readiness("storage")
            watch(job, seconds)

    with installation("embedded", folder, **settings) as service:
        return through_one(service, images, seconds, harm)


@contextmanager
def _locked(service: Installation) -> Iterator[None]:
    """Let nothing be made in any folder of the storage; root is stopped by an attribute alone."""
    storage = service.data_dir / "storage"
    folders = [str(path) for path in (storage, *storage.rglob("*")) if path.is_dir()]
    locks, opens = (
        (("chattr", "+i"), ("chattr", "-i"))
        if os.geteuid() == 0
        else (("chmod", "u-w"), ("chmod", "u+w"))
    )

    def change(command: tuple[str, str]) -> None:
        subprocess.run([program(command[0]), command[1], *folders], check=True)

    change(locks)
    try:
        yield
    finally:
        change(opens)
