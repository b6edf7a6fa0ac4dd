"""The summary of a job's failures by code, host and what was met, kept as they happen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy.orm import Session

from .models import FOUND_CHARS, JobFailure
from .sessions import insert_into


class FailureKind(NamedTuple):
    """Failures that a person would treat alike."""

    code: str
    host: str
    found: str


class FailureCount(NamedTuple):
    """How many images failed in one way, and the first spreadsheet row among them."""

    images: int
    example_row: int


def kind_of(error_code: str, url: str, found: str) -> FailureKind:
    """Return the kind of a failure: its code, the host of the image's URL, and what was met."""
    return FailureKind(error_code, _host_of(url)[:255], found[:FOUND_CHARS])


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def add_failures(session: Session, request_id: UUID,
                 failures: Mapping[FailureKind, FailureCount]) -> None:
    """Add these failures to the job's summary; the caller holds the lock of the job's row."""
    for kind, found in failures.items():
        session.execute(_upsert(session, request_id, kind, found))


def _upsert(session: Session, request_id: UUID, kind: FailureKind, found: FailureCount) -> Any:
    key = ("request_id", *FailureKind._fields)
    return insert_into(session, JobFailure).values(
        request_id=request_id, **kind._asdict(), **found._asdict(),
    ).on_conflict_do_update(
        index_elements=key, set_={"images": JobFailure.images + found.images})
