"""Record the results of a slice's images, in short batched transactions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Boolean, ColumnElement, Integer, bindparam, case, or_, select, update
from sqlalchemy.orm import Session

from .clock import from_now_by
from .failures import add_failures
from .jobs import close_if_finished, lock_job
from .metric_values import add_values
from .models import JOBS, SLICES, CompressedImage
from .presentation import presentation
from .result_rows import Row, update_pending
from .results import Failure, Postponement, Result
from .sessions import rowcount, writing
from .slices import CLAIM_STANDS, Claim, fence_of, release
from .states import ImageStatus
from .tally import Tally

# What an image's row keeps of a Success, by the same names.
MADE = ("outcome", "input_bytes", "output_bytes", "width", "height", "output_format", "quality",
        "similarity", "storage_key")
_made = attrgetter(*MADE)


class ClaimLost(Exception):
    """Another worker has the slice, or the job is no longer running: write nothing, stop."""


class Target(NamedTuple):
    """A row to write a result to."""

    image_id: UUID
    row_number: int
    position: int
    output_name: str | None


def record_results(claim: Claim, results: Sequence[Result], *, lease_seconds: float) -> bool:
    """Write the results, move the job's counters by the rows that changed, renew the lease.

    Return whether this closed the job. Raise ClaimLost, with nothing written, when the claim no
    longer stands. The lock order is job, slice, images, here and everywhere.
    """
    with writing() as session:
        return _record(session, claim, results, lease_seconds)


def record_and_release(claim: Claim, results: Sequence[Result], *, delay_seconds: float = 0.0,
                       ) -> bool:
    """Write the last results and end the claim, as record_results() and release_slice() do."""
    with writing() as session:
        closed = _record(session, claim, results, 0.0)
        release(session, claim, delay_seconds)
        return closed


def _record(session: Session, claim: Claim, results: Sequence[Result],
            lease_seconds: float) -> bool:
    if not lock_job(session, claim.request_id):
        raise ClaimLost("the job is not running")
    _renew_lease(session, claim, lease_seconds, progressed=bool(results))
    tally = _write_images(session, claim, results)
    if not (tally.completed or tally.failed):
        return False
    _move_counters(session, claim.request_id, tally)
    add_failures(session, claim.request_id, tally.failures)
    closed = close_if_finished(session, claim.request_id)
    add_values(session, tally.measured())
    return closed


_RENEW = update(SLICES).where(*CLAIM_STANDS).values(
    lease_until=from_now_by("lease"),
    progressed=or_(SLICES.c.progressed, bindparam("done", type_=Boolean)))


def _renew_lease(session: Session, claim: Claim, seconds: float, *, progressed: bool) -> None:
    renewed = rowcount(session.execute(_RENEW, fence_of(claim) | {
        "lease": timedelta(seconds=seconds), "done": progressed}))
    if not renewed:
        raise ClaimLost("the slice was claimed by another worker")


def _write_images(session: Session, claim: Claim, results: Sequence[Result]) -> Tally:
    tally = Tally()
    if not results:
        return tally
    targets = [(target, result) for result in results
               for target in _targets(session, claim, result)]
    changed = update_pending(session, (_row(claim, *written) for written in targets))
    for target, result in targets:
        if target.image_id in changed:
            tally.add(result, target.row_number)
    return tally


def _targets(session: Session, claim: Claim, result: Result) -> list[Target]:
    """Return the image and those that repeat its URL: they share its terminal state."""
    image = result.image
    targets = [Target(image.image_id, image.row_number, image.position, image.output_name)]
    if image.has_duplicates and not isinstance(result, Postponement):
        rows = session.execute(
            select(CompressedImage.image_id, CompressedImage.row_number,
                   CompressedImage.position, CompressedImage.output_name)
            .where(CompressedImage.request_id == claim.request_id,
                   CompressedImage.duplicate_of == image.ordinal)
            .order_by(CompressedImage.ordinal))
        targets += [Target(*row) for row in rows]
    return targets


def _row(claim: Claim, target: Target, result: Result) -> Row:
    """Return what a result writes to an image."""
    row = {"image_id": target.image_id, "attempts": 1, "waits": 0}
    if isinstance(result, Postponement):
        return row | {"status": ImageStatus.PENDING, "not_before": result.rest,
                      "attempts": int(result.tried), "waits": int(not result.tried)}
    if isinstance(result, Failure):
        return row | {"status": ImageStatus.FAILED, "error_code": result.error_code,
                      "error_message": result.error_message}
    return row | dict(zip(MADE, _made(result), strict=True)) | {
        "status": ImageStatus.COMPLETED,
        "image_url": presentation().image_url(
            claim.base_url, target.image_id, input_url=result.image.input_url,
            output_name=target.output_name, position=target.position, extension=result.extension)}


def _move_counters(session: Session, request_id: UUID, tally: Tally) -> None:
    """Move the counters; 100 % is told by the closing of the job alone."""
    session.execute(_MOVE, {
        "job": request_id, "completed": tally.completed, "failed": tally.failed,
        "read": tally.input_bytes, "written": tally.output_bytes})


def _moved() -> dict[str, ColumnElement[int]]:
    job = JOBS.c
    completed, failed = bindparam("completed", type_=Integer), bindparam("failed", type_=Integer)
    done = job.completed_images + job.failed_images + completed + failed
    return {"completed_images": job.completed_images + completed,
            "failed_images": job.failed_images + failed,
            "input_bytes": job.input_bytes + bindparam("read"),
            "output_bytes": job.output_bytes + bindparam("written"),
            "completion_percentage": case((done >= job.total_images, 99),
                                          else_=done * 100 // job.total_images)}


_MOVE = update(JOBS).where(JOBS.c.request_id == bindparam("job")).values(_moved())
