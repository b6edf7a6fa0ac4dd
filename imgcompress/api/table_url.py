"""A table that is not sent but fetched: through the guard of the images, into a file of its own."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, BinaryIO, cast
from urllib.parse import unquote, urlsplit

from werkzeug.datastructures import FileStorage
from werkzeug.http import parse_options_header

from ..errors import ImageError
from ..extensions import current_settings
from ..netguard import DialPolicy
from ..pipeline.fetch import Fetched, Fetcher, FetchLimits
from .auth import current_owner
from .faults import RequestFault
from .refusals import TooManyFetches
from .schemas.request_headers import headers_of
from .upload_form import UploadForm

log = logging.getLogger(__name__)

# An Idempotency-Key is held for a minute, and the table has to be read in it as well.
SECONDS = 40.0
# Each holds a thread of the web server, in each of its processes.
MOST_AT_ONCE = 32
MOST_OF_OWNER = 8
HEADERS = {"Accept": "text/csv,*/*;q=0.8"}
MEBIBYTE = 2**20
# A page begins with one of these, behind blanks and a byte order mark.
PAGE = (b"<!doctype html", b"<html", b"<head", b"<body", b"<!--")
PAGE_BYTES = 1024

# What is said of each fault of the fetch; for all others, that the table could not be fetched.
MESSAGES = {
    "csv_url_not_allowed": "This service may not fetch from this URL, or from one that it redirects"
                           " to. Use a public http or https URL, or ask the operator to allow the"
                           " network or the port.",
    "csv_url_too_large": "The table at this URL is larger than {limit:g} MiB, the maximum. Split"
                         " it.",
    "csv_url_not_a_table": "The URL returns a web page, not a table. Use the URL of the file"
                           " itself: for a Google sheet, the URL that ends in /export?format=csv,"
                           " with the sheet shared with anyone who has the link.",
    "csv_url_unreachable": "The table could not be fetched: {reason}. Open the URL in a private"
                           " browser window, and check that it returns the file.",
}
CODES = {"url_not_allowed": "csv_url_not_allowed", "too_large": "csv_url_too_large"}
# Of the codes of IMAGE_FAULTS; what was found is told where there is something.
REASONS = {
    "dns_failed": "the host name could not be resolved",
    "connect_failed": "could not connect to the server",
    "tls_invalid": "the server's certificate is not valid for this host",
    "source_timeout": "the server took too long to respond",
    "source_broken": "the server's response was incomplete or invalid",
    "head_too_large": "the server sent too many headers, or too long ones",
    "bad_encoding": "the server sent the table with an unsupported Content-Encoding",
    "too_many_redirects": "the URL redirects too many times",
}


@contextmanager
def with_table(form: UploadForm) -> Iterator[UploadForm]:
    """Yield the form with the table that its `csv_url` names as its file, or with a fault of it.

    A form that has a file, or no good `csv_url`, stays as it is. Raise TooManyFetches.
    """
    if form.csv_url is None:
        yield form
        return
    with TemporaryFile() as file:
        try:
            with _place(current_owner() or ""):
                fetched = _fetch(form, file)
        except ImageError as error:
            log.info("A table could not be fetched: %s", error)
            yield replace(form, faults=[*form.faults, _fault_of(error)])
            return
        if _is_page(file):
            yield replace(form, faults=[*form.faults, _fault("csv_url_not_a_table")])
            return
        yield replace(form, file=FileStorage(cast("IO[bytes]", file), _file_name(fetched)))


def _fetch(form: UploadForm, file: BinaryIO) -> Fetched:
    settings = current_settings()
    policy = DialPolicy(settings.allowed_private_networks, settings.allowed_ports)
    limits = FetchLimits(total_seconds=SECONDS, connect_seconds=settings.fetch_connect_timeout,
                         max_bytes=settings.max_upload_bytes)
    fetcher = Fetcher(policy, limits, per_host=1)
    try:
        return fetcher.fetch_to(file, form.csv_url or "",
                                headers=HEADERS | headers_of(form.values))
    finally:
        fetcher.session.close()


_lock = Lock()
_under_way: Counter[str] = Counter()


@contextmanager
def _place(owner: str) -> Iterator[None]:
    """Hold one of the places for tables that are fetched. Raise TooManyFetches."""
    with _lock:
        if _under_way.total() >= MOST_AT_ONCE or _under_way[owner] >= MOST_OF_OWNER:
            raise TooManyFetches()
        _under_way[owner] += 1
    try:
        yield
    finally:
        with _lock:
            _under_way[owner] -= 1
            if not _under_way[owner]:
                del _under_way[owner]


def _is_page(file: BinaryIO) -> bool:
    file.seek(0)
    beginning = file.read(PAGE_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    file.seek(0)
    return beginning.startswith(PAGE)


def _file_name(fetched: Fetched) -> str:
    """Return the name that the server gives to the file, or else the last part of its address."""
    _, told = parse_options_header(fetched.disposition)
    return told.get("filename") or unquote(urlsplit(fetched.final_url).path.rpartition("/")[2])


def _fault_of(error: ImageError) -> RequestFault:
    code = CODES.get(error.code, "csv_url_unreachable")
    limit = current_settings().max_upload_bytes / MEBIBYTE
    reason = error.found or REASONS.get(error.code, "the server refused to send it")
    return _fault(code, limit=limit, reason=reason)


def _fault(code: str, **found: object) -> RequestFault:
    return RequestFault("csv_url", None, None, code, MESSAGES[code].format(**found), None)
