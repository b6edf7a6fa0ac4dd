"""How many jobs one caller may have going on."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ..errors import ImgcompressError
from .models import ApiKey, JobRequest
from .queries import visible_to
from .sessions import reading
from .states import ACTIVE_JOB


class TooManyJobs(ImgcompressError):
    """The key has as many jobs going on as one key may have."""

    code = "too_many_active_jobs"
    message = ("Your API key has reached its limit of active jobs. Wait until one of them has"
               " ended, or cancel one.")
    retryable = True
    retry_after = 30.0


def check_room(owner: str | None, most: int) -> None:
    """Raise TooManyJobs when one more job would be too many, before anything is done for it.

    For None, who may have as many as there are, raise LedgerUnavailable at most.
    """
    with reading() as session:
        if _active_jobs(session, owner) >= most and owner is not None:
            raise TooManyJobs()


def check_quota(session: Session, owner: str, most: int) -> None:
    """Raise TooManyJobs when the job that this transaction makes is one too many.

    Uploads with one key wait for each other here, so that together they stay within the quota.
    """
    session.execute(select(ApiKey.name).where(ApiKey.name == owner).with_for_update())
    if _active_jobs(session, owner) > most:
        raise TooManyJobs()


def _active_jobs(session: Session, owner: str | None) -> int:
    return session.scalar(
        select(func.count()).select_from(JobRequest)
        .where(*visible_to(owner), JobRequest.status.in_(ACTIVE_JOB))) or 0
