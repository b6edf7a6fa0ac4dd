"""One request and its answer, under a deadline and without redirects."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError, ReadTimeoutError

from ..errors import ImgcompressError, NetworkError
from .deadline import Deadline
from .session import Session

# The most that is read at once, and so the most that a limit can be overrun by.
CHUNK_BYTES = 128 * 1024
# A peer that sends nothing for so many seconds has gone.
STALL_SECONDS = 10.0


@dataclass(frozen=True)
class Answer:
    """What a server said: the body is cut at the limit that the caller set."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def post(session: Session, url: str, body: bytes, headers: Mapping[str, str], *,
         seconds: float, max_answer_bytes: int = 4096) -> Answer:
    """Send a POST on a connection of its own and return the answer, a redirect as it is.

    `seconds` is the limit for everything, from DNS to the last byte. Raise NetworkError where no
    answer comes in time; one whose body breaks off is an answer all the same.
    """
    with Deadline(seconds) as deadline:
        with exchange(session, "POST", url, deadline, headers={**headers, "Connection": "close"},
                      body=body, stall_seconds=seconds) as response:
            told = _beginning(response, deadline, max_answer_bytes)
            return Answer(response.status, response.headers, told)


@contextmanager
def exchange(session: Session, method: str, url: str, deadline: Deadline, *,
             headers: Mapping[str, str] | None = None, body: bytes | None = None,
             stall_seconds: float = STALL_SECONDS) -> Iterator[BaseHTTPResponse]:
    """Send a request inside `deadline` and yield the answer, its body unread.

    A peer that sends nothing for `stall_seconds` is given up earlier than the deadline. The
    connection is kept for the next request if the body was read to its end, and closed if
    not. Raise NetworkError; when the deadline has passed, always `timeout`. Its `answered`
    says whether the peer had answered by then, whatever came of the body.
    """
    answered = False
    try:
        with _explained(deadline):
            response = session.ask(method, url, headers=headers or {}, body=body,
                                   stall_seconds=stall_seconds)
            answered = True
            try:
                yield response
            finally:
                response.close()
    except NetworkError as error:
        error.answered = error.answered or answered
        raise


def wire_chunks(response: BaseHTTPResponse) -> Iterator[bytes]:
    """Yield the body as it comes, undecoded. Raise NetworkError if it stalls or breaks off."""
    read = response.read1
    try:
        while chunk := read(CHUNK_BYTES, decode_content=False):
            yield chunk
    except ReadTimeoutError as error:
        raise NetworkError("timeout", detail=f"body: {error}") from error
    except (HTTPError, OSError, http.client.HTTPException, ValueError) as error:
        raise NetworkError("connection_broken", detail=f"body: {error!r}") from error


@contextmanager
def _explained(deadline: Deadline) -> Iterator[None]:
    """Turn what urllib3 raises into NetworkError, and believe nothing after the deadline."""
    try:
        yield
    except ImgcompressError:
        deadline.check()
        raise
    except (HTTPError, OSError) as error:
        deadline.check()
        raise NetworkError("connection_broken", detail=repr(error)) from error
    deadline.check()


def _beginning(response: BaseHTTPResponse, deadline: Deadline, limit: int) -> bytes:
    """Return the first bytes of the body, as far as they come."""
    told = bytearray()
    try:
        for chunk in wire_chunks(response):
            told += chunk
            if len(told) >= limit:
                break
    except NetworkError:
        deadline.check()
    return bytes(told[:limit])
