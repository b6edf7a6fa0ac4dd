"""Take in a table: fetch it from its URL, and make a job of its content."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import SEEK_END
from pathlib import PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit
from uuid import UUID

from werkzeug.http import parse_options_header

from ..config import Settings
from ..csvfile import (
    CatalogueLimits,
    Table,
    Validation,
    kept_layout,
    kept_output,
    read_images,
)
from ..errors import IMAGE_ERRORS, ImageError, ImgcompressError, LedgerUnavailable, NetworkError
from ..ledger.intake import Condition, NewJob, create_job
from ..net import DialPolicy, check_url
from ..net.fetcher import Fetched, Fetcher, FetchLimits, condition
from ..storage import Storage, csv_key, workbook_key

log = logging.getLogger(__name__)

# An Idempotency-Key is held for a minute, in which the table must be read as well.
SECONDS = 40.0
MEBIBYTE = 2**20
HEADERS = {"Accept": "text/csv,*/*;q=0.8"}
FILENAME_CHARS = 200
# A page begins with one of these, behind blanks and a byte order mark.
PAGE = (b"<!doctype html", b"<html", b"<head", b"<body", b"<!--")
PAGE_BYTES = 1024

# The message for each error of the fetch; all others say that the table could not be fetched.
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
# By the codes of IMAGE_ERRORS; `found` completes the message if there is one.
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


class TableNotFetched(ImgcompressError):
    """The URL did not return a table; the code and the message say why."""

    def __init__(self, code: str, *, detail: str = "", **found: object) -> None:
        self.code = code
        super().__init__(MESSAGES[code].format(**found), detail=detail)


def fetch_table(
    settings: Settings,
    url: str,
    file: BinaryIO,
    headers: Mapping[str, str],
    validator: str | None = None,
) -> Fetched:
    """Write the table at a URL to a file, and rewind it.

    With the `validator` of an earlier answer, nothing is written if the server reports that the
    table has not changed. Raise TableNotFetched.
    """
    limits = FetchLimits(
        total_seconds=SECONDS,
        connect_seconds=settings.fetch_connect_timeout,
        max_bytes=settings.max_upload_bytes,
    )
    fetcher = Fetcher(_policy(settings), limits, per_host=1)
    try:
        fetched = fetcher.fetch_to(
            file, url, headers={**HEADERS, **headers, **condition(validator)}
        )
    except ImageError as error:
        raise TableNotFetched(
            CODES.get(error.code, "csv_url_unreachable"),
            detail=str(error),
            limit=settings.max_upload_bytes / MEBIBYTE,
            reason=error.found or REASONS.get(error.code, "the server refused to send it"),
        ) from error
    finally:
        fetcher.session.close()
    if not fetched.not_modified and _is_page(file):
        raise TableNotFetched("csv_url_not_a_table")
    return fetched


def _policy(settings: Settings) -> DialPolicy:
    return DialPolicy(settings.allowed_private_networks, settings.allowed_ports)


def _is_page(file: BinaryIO) -> bool:
    file.seek(0)
    beginning = file.read(PAGE_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    file.seek(0)
    return beginning.startswith(PAGE)


def fetched_name(fetched: Fetched) -> str:
    """Return the file name that the server sends, or else the last part of the URL's path."""
    _, named = parse_options_header(fetched.disposition)
    return named.get("filename") or unquote(urlsplit(fetched.final_url).path.rpartition("/")[2])


def clean_name(name: str) -> str:
    """Return the name of a table without its folders and without control characters."""
    clean = "".join(filter(str.isprintable, re.split(r"[/\\]", name)[-1])).strip()
    return clean[-FILENAME_CHARS:] or "upload.csv"


def url_error(settings: Settings, url: str) -> str | None:
    """Return the public message about a URL that must not be connected to, or None if it may be."""
    try:
        check_url(url, _policy(settings))
    except NetworkError as error:
        return IMAGE_ERRORS[error.code].advice
    return None


def kept_reading(
    table: Table, found: Validation, output: str, columns: str | None = None
) -> dict[str, Any] | None:
    """Return the layout of the file and the form of the output, as the job keeps them."""
    if found.layout is None:
        return None
    kept = kept_layout(found.layout) | kept_output(output, table, columns)
    return kept | {"skipped_rows": found.skipped_rows}


def take_in(
    settings: Settings,
    storage: Storage,
    job: NewJob,
    table: Table,
    found: Validation,
    conditions: Sequence[Condition] = (),
) -> None:
    """Store a validated table and write its job. The caller publishes its slices.

    Raise the error of a condition in `conditions`, with nothing written. Raise StorageUnavailable
    and LedgerUnavailable.
    """
    limits = CatalogueLimits(max_images=settings.max_images_per_job)
    with _stored(storage, job.request_id, table):
        create_job(
            job,
            read_images(table.csv, limits, found.layout),
            slice_size=settings.slice_size,
            conditions=conditions,
        )
    log.info(
        "Job accepted",
        extra={
            "rows": job.total_rows,
            "images": job.total_images,
            "bytes": table.csv.seek(0, SEEK_END),
        },
    )


@contextmanager
def _stored(storage: Storage, request_id: UUID, table: Table) -> Iterator[None]:
    """Store the CSV, and the workbook it was made of; delete both if the block fails.

    A database that became unreachable may have committed the job, so then they stay.
    """
    key = csv_key(request_id)
    try:
        table.csv.seek(0)
        storage.copy_from(key, table.csv)
        if table.workbook:
            table.workbook.seek(0)
            storage.copy_from(workbook_key(request_id), table.workbook)
        yield
    except LedgerUnavailable:
        raise
    except BaseException:
        storage.delete_folder(str(PurePosixPath(key).parent))
        raise
