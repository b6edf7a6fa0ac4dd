"""A client of the service: `Client("https://images.example.com", key).submit("products.csv")`.

It needs only the address of the service. Calls that fail for a temporary reason are sent
again, for up to `patience` seconds; an upload has an idempotency key, so that it makes one job.
"""

from __future__ import annotations

import ipaddress
import os
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import requests

JSON = Mapping[str, Any]
DEFAULT_SERVER = "http://127.0.0.1:5000"
# The longest time that the service holds a status request, and the additional time for an answer.
WAIT_SECONDS, ANSWER_SECONDS = 30, 60.0
CONNECT_SECONDS = 10.0
# Statuses of temporary failures: too many calls, or the service is unavailable.
RETRIED = frozenset((429, 502, 503, 504))
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
PAGE = 1000
CHUNK = 64 * 1024

ENDED = frozenset(("COMPLETED", "FAILED", "CANCELLED"))

Answer = TypeVar("Answer", bound="_Answer")
Sent = Callable[[], requests.Response]


class ClientError(Exception):
    """A call failed.

    `code` is stable (docs/errors.md and the API document list the codes of the service), `message`
    says what to do, and `status` is the HTTP status, or 0 if there was no answer. `issues` are the
    first 100 of the `issue_count` issues that the service found in a file or a field.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 0,
        retryable: bool = False,
        issues: tuple[Issue, ...] = (),
        issue_count: int = 0,
    ) -> None:
        self.code = code
        self.message = message
        self.status = status
        self.retryable = retryable
        self.issues = issues
        self.issue_count = issue_count
        super().__init__(f"{code}: {message}")


class JobUnfinished(ClientError):
    """The job had not ended when the wait timed out; `job` is its last status."""

    def __init__(self, job: Job, seconds: float) -> None:
        self.job = job
        super().__init__(
            "job_unfinished",
            f"The job has not ended within {seconds:g} s; it is at {job.completion_percentage} %.",
            retryable=True,
        )


class _Answer:
    """A part of an answer as a dataclass; fields that this version does not know are left out."""

    @classmethod
    def of(cls: type[Answer], data: JSON) -> Answer:
        """Return the part, with times as aware datetimes."""
        known = {part.name: part for part in fields(cls)}  # type: ignore[arg-type]
        values = {name: value for name, value in data.items() if name in known}
        for name, value in values.items():
            if value is not None and "datetime" in str(known[name].type):
                values[name] = datetime.fromisoformat(value)
        return cls(**values)


@dataclass(frozen=True)
class Issue(_Answer):
    """One issue of a file or a field of an upload."""

    code: str
    message: str
    field: str = ""
    row: int | None = None
    column: str | None = None
    value: str | None = None


@dataclass(frozen=True)
class FailureGroup(_Answer):
    """Images of a job that failed for one reason; `found` is its detail, such as a status."""

    code: str
    host: str
    count: int
    example_row: int
    found: str | None = None


@dataclass(frozen=True)
class Submission(_Answer):
    """An accepted upload, or a dry run, which has no `request_id`."""

    total_rows: int
    total_images: int
    message: str
    request_id: str = ""
    status_url: str = ""
    layout: str | None = None
    warnings: tuple[Issue, ...] = ()
    error_count: int = 0
    errors: tuple[Issue, ...] = ()

    @classmethod
    def of(cls, data: JSON) -> Submission:
        """Return the answer to an upload."""
        return super().of(
            {
                **data,
                "warnings": tuple(map(Issue.of, data.get("warnings", ()))),
                "errors": tuple(map(Issue.of, data.get("errors", ()))),
            }
        )


@dataclass(frozen=True)
class Job(_Answer):
    """A job, from its status or from the list of jobs, which has no `errors`."""

    request_id: str
    status: str
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    completion_percentage: int
    error_message: str | None
    source_filename: str
    total_rows: int
    total_images: int
    completed_images: int
    failed_images: int
    input_bytes: int
    output_bytes: int
    stalled_since: datetime | None = None
    eta_seconds: int | None = None
    errors: tuple[FailureGroup, ...] = field(default=())
    scores: dict[str, Any] | None = None
    advice: tuple[dict[str, Any], ...] = ()
    download_format: str = "csv"

    @classmethod
    def of(cls, data: JSON) -> Job:
        """Return a job."""
        errors = tuple(map(FailureGroup.of, data.get("errors", ())))
        return super().of({**data, "errors": errors, "advice": tuple(data.get("advice") or ())})

    @property
    def ended(self) -> bool:
        """Return whether the job has ended."""
        return self.status in ENDED


@dataclass(frozen=True)
class ImageFailure(_Answer):
    """The reason why an image failed, with advice."""

    code: str
    message: str


@dataclass(frozen=True)
class Image(_Answer):
    """An image of a job: where it comes from, and its result."""

    image_id: str
    row_number: int
    serial_number: str
    product_name: str
    position: int
    input_url: str
    output_url: str | None
    status: str
    outcome: str | None
    error: ImageFailure | None
    input_bytes: int | None
    output_bytes: int | None
    width: int | None
    height: int | None
    output_format: str | None
    quality: int | None
    score: float | None
    rating: str | None
    similarity: float | None
    advice: dict[str, Any] | None = None

    @classmethod
    def of(cls, data: JSON) -> Image:
        """Return an image."""
        error = data.get("error")
        return super().of({**data, "error": ImageFailure.of(error) if error else None})


class Client:
    """The calls of a service at `server`, with an API key if it requires one.

    Every call raises ClientError. A client may be used by one thread at a time.
    """

    def __init__(
        self, server: str = DEFAULT_SERVER, key: str | None = None, *, patience: float = 120.0
    ) -> None:
        self.server = server.rstrip("/")
        self.patience = patience
        self._key = (key or "").strip()
        if not re.fullmatch("[!-~]*", self._key):
            raise ClientError(
                "invalid_api_key",
                "The API key has characters that are not allowed in keys. Copy it again.",
            )
        self._session = requests.Session()
        # A login in .netrc must not replace the key.
        self._session.auth = self._authorize
        if _is_loopback(self.server):
            self._session.trust_env = False  # Requests to this machine bypass proxies.

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def submit(
        self,
        file: str | os.PathLike[str] | bytes,
        *,
        filename: str | None = None,
        idempotency_key: str | None = None,
        **options: Any,
    ) -> Submission:
        """Upload a catalogue, from a path or as bytes, and return its job.

        `options` are the fields of docs/api.md, such as `format="webp"`. Repeated with the same
        `idempotency_key`, even by another process, an upload makes only one job.
        """
        form = {name: _written(value) for name, value in options.items() if value is not None}
        headers = {"Idempotency-Key": idempotency_key or str(uuid4())}

        def send() -> requests.Response:
            if isinstance(file, bytes):
                return self._send(
                    "POST",
                    "/upload",
                    data=form,
                    headers=headers,
                    files={"file": (filename or "catalogue.csv", file)},
                )
            with open(file, "rb") as content:
                name = filename or Path(file).name
                return self._send(
                    "POST",
                    "/upload",
                    data=form,
                    headers=headers,
                    files={"file": (name, content)},
                )

        return Submission.of(self._answered(send).json())

    def status(self, request_id: str) -> Job:
        """Return a job."""
        return Job.of(self._get(f"/job/status/{_id(request_id)}").json())

    def wait(
        self,
        request_id: str,
        *,
        timeout: float | None = None,
        on_change: Callable[[Job], None] | None = None,
    ) -> Job:
        """Return a job once it has ended; call `on_change` with each status until then.

        Raise JobUnfinished after `timeout` seconds.
        """
        path = f"/job/status/{_id(request_id)}"
        end = None if timeout is None else time.monotonic() + timeout
        answer = self._get(path)
        job = Job.of(answer.json())
        while True:
            if on_change is not None:
                on_change(job)
            if job.ended:
                return job
            left = WAIT_SECONDS if end is None else min(WAIT_SECONDS, end - time.monotonic())
            if timeout is not None and left <= 0:
                raise JobUnfinished(job, timeout)
            query = {"wait": max(1, int(left)), "wait_for": "change" if on_change else "end"}
            asked = time.monotonic()
            etag = {"If-None-Match": answer.headers.get("ETag", "")}
            found = self._get(path, params=query, headers=etag)
            if found.status_code != 304:
                answer = found
                job = Job.of(answer.json())
            # If the service has no free place for a waiting call, it answers at once.
            if not job.ended and time.monotonic() - asked < FIRST_PAUSE:
                time.sleep(FIRST_PAUSE)

    def results(self, request_id: str, *, status: str | None = None) -> Iterator[Image]:
        """Yield the images of a job in the order of the file, or only those with a status."""
        path: str | None = f"/job/details/{_id(request_id)}"
        query: dict[str, Any] = {"per_page": PAGE} | ({"status": status} if status else {})
        while path:
            page = self._get(path, params=query).json()
            yield from map(Image.of, page["images"])
            path, query = self._next(page), {}

    def jobs(self, *, status: str | None = None) -> Iterator[Job]:
        """Yield the jobs, the newest first, or only those with a status."""
        path: str | None = "/job"
        query: dict[str, Any] = {"per_page": 100} | ({"status": status} if status else {})
        while path:
            page = self._get(path, params=query).json()
            yield from map(Job.of, page["jobs"])
            path, query = self._next(page), {}

    def download(
        self,
        request_id: str,
        to: str | os.PathLike[str],
        *,
        partial: bool = False,
        errors: bool = False,
        report: bool = False,
        delimiter: str | None = None,
    ) -> Path:
        """Save the output, or a list of images, and return its path.

        The output is a CSV, or a workbook like the upload (`download_format` of the job). With a
        `delimiter` (comma, semicolon, tab or pipe), it is always a CSV with added columns.

        With `errors`, the list of failed images; with `report`, the list of all images and their
        changes since the earlier job. The file appears once it is complete. With `partial`, the job
        need not have ended.
        """
        query = {"partial": _written(partial), "errors": _written(errors)}
        if report:  # Services before 0.2 reject the parameter.
            query["report"] = _written(report)
        if delimiter:
            query |= {"delimiter": delimiter, "output": "append"}
        return self._save(f"/job/download/{_id(request_id)}", query, Path(to))

    def archive(
        self, request_id: str, to: str | os.PathLike[str], *, partial: bool = False
    ) -> Path:
        """Save a ZIP of the compressed images, and return its path."""
        query = {"partial": _written(partial)}
        return self._save(f"/job/archive/{_id(request_id)}", query, Path(to))

    def save_image(self, image: Image, to: str | os.PathLike[str]) -> Path:
        """Save the compressed file of an image that has one, and return its path."""
        if image.output_url is None:
            raise ClientError("image_not_found", f"{image.input_url} was not compressed.")
        parts = urlsplit(image.output_url)
        path = parts.path.removeprefix(urlsplit(self.server).path)
        return self._save(path, dict(parse_qsl(parts.query)), Path(to))

    def retry(self, request_id: str, codes: Iterable[str] = ()) -> Job:
        """Retry the failed images, or only those that failed with these codes."""
        query = {"codes": ",".join(codes)} if codes else {}
        path = f"/job/retry/{_id(request_id)}"
        sent = count()

        def send() -> requests.Response:
            next(sent)
            return self._send("POST", path, params=query)

        try:
            return Job.of(self._answered(send).json())
        except ClientError as error:
            # The answer to the first call was lost, but it had restarted the job.
            if error.code == "job_running" and next(sent) > 1:
                return self.status(request_id)
            raise

    def cancel(self, request_id: str) -> Job:
        """Stop a job; its finished images stay."""
        path = f"/job/cancel/{_id(request_id)}"
        return Job.of(self._answered(lambda: self._send("POST", path)).json())

    def delete(self, request_id: str) -> None:
        """Delete a job with its images and files."""
        path = f"/job/{_id(request_id)}"
        sent = count()

        def send() -> requests.Response:
            next(sent)
            return self._send("DELETE", path)

        try:
            self._answered(send)
        except ClientError as error:
            # The answer to the first call was lost, but it had deleted the job.
            if error.status != 404 or next(sent) == 1:
                raise

    def _next(self, page: JSON) -> str | None:
        """Return the path of the next page; behind a proxy its host may differ from `server`."""
        if not page["next"]:
            return None
        parts = urlsplit(page["next"])
        return f"{parts.path.removeprefix(urlsplit(self.server).path)}?{parts.query}"

    def _save(self, path: str, query: dict[str, str], to: Path) -> Path:
        part = to.with_name(f".{to.name}.{uuid4().hex[:8]}.part")

        def fetch() -> requests.Response:
            answer = self._send("GET", path, params=query, stream=True)
            with answer:
                if answer.ok:
                    with part.open("wb") as file:
                        for chunk in answer.iter_content(CHUNK):
                            file.write(chunk)
                else:
                    _ = answer.content  # Read before the connection is closed.
            return answer

        try:
            self._answered(fetch)
            part.replace(to)
        finally:
            part.unlink(missing_ok=True)
        return to

    def _get(self, path: str, **options: Any) -> requests.Response:
        return self._answered(lambda: self._send("GET", path, **options))

    def _send(self, method: str, path: str, **options: Any) -> requests.Response:
        # A redirect would turn an upload into a GET.
        return self._session.request(
            method,
            self.server + path,
            timeout=(CONNECT_SECONDS, WAIT_SECONDS + ANSWER_SECONDS),
            allow_redirects=method == "GET",
            **options,
        )

    def _answered(self, send: Sent) -> requests.Response:
        """Return the answer to a call, which is repeated while it fails for a temporary reason."""
        end = time.monotonic() + self.patience
        pause = FIRST_PAUSE
        while True:
            try:
                answer = send()
            except requests.RequestException as error:
                failure = ClientError(
                    "unreachable",
                    f"{self.server} cannot be reached: {_cause(error)}. Check the address, and"
                    " that the service runs.",
                    retryable=isinstance(error, (requests.ConnectionError, requests.Timeout))
                    or "Chunked" in type(error).__name__,
                )
                wait = pause
            else:
                if answer.ok and not answer.is_redirect:
                    return answer
                failure = _error_of(answer)
                wait = max(pause, _retry_after(answer))
            wait *= 1 + random.random() / 4
            again = failure.retryable and failure.status in RETRIED | {0}
            if not again or time.monotonic() + wait > end:
                raise failure
            time.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def _error_of(answer: requests.Response) -> ClientError:
    """Return the error for an unsuccessful answer."""
    status = answer.status_code
    if answer.is_redirect:
        place = answer.headers.get("Location", "elsewhere")
        return ClientError(
            "redirected", f"The service is at {place}: use that address.", status=status
        )
    try:
        problem = answer.json()
        return ClientError(
            problem["code"],
            problem["detail"],
            status=status,
            retryable=problem["retryable"],
            issues=tuple(map(Issue.of, problem.get("errors", ()))),
            issue_count=problem.get("error_count", 0),
        )
    except (ValueError, KeyError, TypeError):
        return ClientError(
            "no_service",
            f"{answer.url} answered {status} {answer.reason}, but is not imgcompress. Check the"
            " address.",
            status=status,
            retryable=status in RETRIED,
        )


def _retry_after(answer: requests.Response) -> float:
    """Return the seconds that the service asks to wait for, or 0."""
    try:
        return min(float(answer.headers.get("Retry-After", "0")), 3600.0)
    except ValueError:
        return 0.0


def _cause(error: Exception) -> str:
    """Return the innermost reason of a failed call, which is the most readable one."""
    reason: Any = error
    while True:
        inner = getattr(reason, "reason", None) or (
            reason.args[0] if reason.args and isinstance(reason.args[0], Exception) else None
        )
        if not isinstance(inner, Exception):
            break
        reason = inner
    return str(reason).rpartition(": ")[2].rstrip(".") or type(reason).__name__


def _is_loopback(server: str) -> bool:
    host = urlsplit(server).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _id(request_id: str) -> str:
    """Return an id as a part of a path; other text cannot change the path."""
    text = str(request_id)
    if not text or not all(char.isalnum() or char == "-" for char in text):
        raise ClientError("job_not_found", f"{text!r} is not the id of a job.", status=404)
    return text


def _written(value: Any) -> str:
    """Return an option in the form of a form field."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return str(value)
