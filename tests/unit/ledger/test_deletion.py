"""Deletion: a job is hidden at once, and all of it goes, however often that is cut off."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from imgcompress.ledger import clock, deletion, queries
from imgcompress.ledger.deletion import (
    HEARD_EVERY,
    TAKEN_UP_AFTER,
    Purge,
    PurgeTaken,
    count_old_jobs,
    purge_due_jobs,
    purge_job,
    purge_old_jobs,
    soft_delete,
    soft_delete_all,
)
from imgcompress.ledger.jobs import retry_job
from imgcompress.ledger.models import (
    CompressedImage,
    JobDeletion,
    JobFailure,
    JobRequest,
    JobSlice,
    WebhookDelivery,
    utcnow,
)
from imgcompress.ledger.results import ClaimLost
from imgcompress.ledger.session import reading, writing
from imgcompress.ledger.slices import claim_slice, pending_images

from .conftest import MakeJob
from tests.support.parallel import in_parallel
from tests.support.records import Files, claim, failure, images_of, job_of, record, success

OF_A_JOB = (JobRequest, CompressedImage, JobSlice, JobFailure, WebhookDelivery)


def _rows(request_id: UUID) -> int:
    with reading() as session:
        return sum(
            session.scalar(
                select(func.count()).select_from(table).where(table.request_id == request_id)
            )
            or 0
            for table in OF_A_JOB
        )


def _marks() -> list[tuple[UUID, bool]]:
    with reading() as session:
        return [(row.request_id, row.erased) for row in session.scalars(select(JobDeletion))]


def _marked(request_id: UUID) -> Purge:
    erasure = soft_delete(request_id, None)
    assert erasure is not None
    return erasure


def _let_time_pass() -> None:
    with writing() as session:
        session.execute(update(JobDeletion).values(due_at=utcnow() - timedelta(seconds=1)))


@pytest.fixture
def ended(make_job: MakeJob) -> UUID:
    """Return a job with something in each table."""
    request_id = make_job(3)
    claimed = claim(request_id)
    one, two, three = pending_images(claimed)
    record(claimed, success(one), failure(two), success(three))
    return request_id


def test_a_marked_job_is_seen_no_more(ended: UUID, make_job: MakeJob) -> None:
    other = make_job(1)
    with writing() as session:
        session.execute(update(CompressedImage).values(output_format="jpeg", storage_key="a"))
    image_id = images_of(ended)[0].image_id
    assert queries.find_stored_image(image_id) is not None
    assert soft_delete(ended, None) is not None
    assert queries.find_job(ended) is None
    assert queries.find_stored_image(image_id) is None
    listed = queries.list_jobs(status=None, skip=0, limit=10)
    assert [job.request_id for job in listed] == [other]


def test_a_running_job_is_stopped(make_job: MakeJob) -> None:
    request_id = make_job(2)
    claimed = claim(request_id)
    soft_delete(request_id, None)
    assert job_of(request_id).status == "CANCELLED"
    with pytest.raises(ClaimLost):
        record(claimed, success(pending_images(claimed)[0]))
    assert claim_slice(request_id, 0, lease_seconds=30) is None


def test_a_job_is_deleted_once(ended: UUID) -> None:
    assert soft_delete(ended, None) is not None
    assert soft_delete(ended, None) is None
    assert soft_delete(uuid4(), None) is None


def test_rows_and_files_are_purged(
    ended: UUID, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "DELETE_BATCH", 2)
    other, files = make_job(3), Files()
    before = _rows(other)
    assert purge_job(_marked(ended), files)
    assert _rows(ended) == 0 and files.deleted == [ended]
    assert _rows(other) == before


def test_the_files_of_every_epoch_go(ended: UUID) -> None:
    assert retry_job(ended)
    files = Files()
    assert purge_job(_marked(ended), files)
    assert (files.deleted, files.epochs) == ([ended], 2)


def test_an_erasure_that_was_cut_off_is_taken_up(ended: UUID) -> None:
    def fail(_: object) -> None:
        raise OSError("the disk is away")

    with pytest.raises(OSError):
        purge_job(_marked(ended), Files(fail))
    files = Files()
    assert purge_due_jobs(files) == 0
    _let_time_pass()
    assert purge_due_jobs(files) == 1
    assert _rows(ended) == 0 and files.deleted == [ended]
    assert _marks() == [(ended, True)]


def test_files_that_came_late_go_in_a_last_round(ended: UUID) -> None:
    files = Files()
    assert purge_job(_marked(ended), files)
    assert purge_due_jobs(files) == 0
    _let_time_pass()
    assert purge_due_jobs(files) == 1
    assert files.deleted == [ended, ended] and _marks() == []
    assert purge_due_jobs(files) == 0


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Return a function that lets so much time pass."""
    passed = timedelta()

    def pass_by(more: timedelta) -> None:
        nonlocal passed
        passed += more
        monkeypatch.setattr(clock, "ADVANCED", passed)

    began = time.monotonic()
    monkeypatch.setattr(
        deletion, "time", SimpleNamespace(monotonic=lambda: began + passed.total_seconds())
    )
    return pass_by


def test_a_long_erasure_is_joined_by_nobody(
    ended: UUID, later: Callable[[timedelta], None]
) -> None:
    joined: list[int] = []

    def delete_slowly(progressed: Callable[[], None]) -> None:
        for _ in range(5):
            later(TAKEN_UP_AFTER - HEARD_EVERY)
            progressed()
            joined.append(purge_due_jobs(Files()))

    assert purge_job(_marked(ended), Files(delete_slowly))
    assert joined == [0] * 5 and _marks() == [(ended, True)]
    later(deletion.LAST_ROUND_AFTER)
    assert purge_due_jobs(Files(delete_slowly)) == 1
    assert joined == [0] * 10 and _marks() == []


def test_a_purge_presumed_dead_stops(ended: UUID, later: Callable[[timedelta], None]) -> None:
    erasure, files = _marked(ended), Files()

    def outlast(progressed: Callable[[], None]) -> None:
        later(2 * TAKEN_UP_AFTER)
        assert purge_due_jobs(files) == 1
        progressed()
        raise AssertionError("it went on")

    assert purge_job(erasure, Files(outlast)) is False
    assert files.deleted == [ended] and _marks() == [(ended, True)]
    with pytest.raises(PurgeTaken), writing() as session:
        erasure.end(session)
    assert purge_job(erasure, files) is False and files.deleted == [ended]


def test_of_two_deletions_of_a_job_one_purges_it(app: Flask, ended: UUID) -> None:
    def mark(_: int) -> Purge | None:
        with app.app_context():
            return soft_delete(ended, None)

    assert sum(found is not None for found in in_parallel(mark, 4)) == 1


def test_an_owner_deletes_only_its_own_jobs(make_job: MakeJob) -> None:
    mine, also_mine, foreign = make_job(1), make_job(1), make_job(1)
    with writing() as session:
        session.execute(update(JobRequest).values(owner="me"))
        session.execute(
            update(JobRequest).where(JobRequest.request_id == foreign).values(owner="other")
        )
    assert soft_delete(foreign, "me") is None
    assert {found.request_id for found in soft_delete_all("me")} == {mine, also_mine}
    assert queries.find_job(foreign) is not None
    assert [found.request_id for found in soft_delete_all(None)] == [foreign]
    assert soft_delete_all(None) == []


LONG_AGO = timedelta(days=40)


def _age(request_id: UUID, age: timedelta = LONG_AGO) -> None:
    """Make a job look as if it had begun, and ended if it did, so long ago."""
    then = utcnow() - age
    with writing() as session:
        session.execute(
            update(JobRequest).where(JobRequest.request_id == request_id).values(created_at=then)
        )
        session.execute(
            update(JobRequest)
            .where(JobRequest.request_id == request_id, JobRequest.finished_at.is_not(None))
            .values(finished_at=then)
        )


def test_old_jobs_are_pruned_and_others_stay(make_job: MakeJob, ended: UUID) -> None:
    active, young = make_job(), make_job()
    soft_delete(young, None)
    for request_id in (ended, active):
        _age(request_id)
    before, files = utcnow() - timedelta(days=30), Files()

    assert count_old_jobs(before) == 1
    assert purge_old_jobs(before, files) == 1
    assert files.deleted == [ended] and _rows(ended) == 0 and _rows(active) > 0
    assert count_old_jobs(before) == purge_old_jobs(before, files) == 0


def test_a_job_that_ended_lately_stays_however_old_it_is(ended: UUID) -> None:
    with writing() as session:
        session.execute(update(JobRequest).values(created_at=utcnow() - LONG_AGO))
    assert purge_old_jobs(utcnow() - timedelta(days=1), Files()) == 0


def test_pruning_that_was_cut_off_is_ended_by_recovery(ended: UUID) -> None:
    def die(_: object) -> None:
        raise KeyboardInterrupt

    _age(ended)
    before = utcnow() - timedelta(days=30)
    with pytest.raises(KeyboardInterrupt):
        purge_old_jobs(before, Files(die))
    # It is hidden, so no new work begins with it.
    assert queries.find_job(ended) is None and count_old_jobs(before) == 0
    _let_time_pass()
    files = Files()
    assert purge_due_jobs(files) == 1
    assert files.deleted == [ended] and _rows(ended) == 0


def test_pruning_stops_between_jobs(ended: UUID) -> None:
    assert purge_old_jobs(utcnow() + timedelta(days=1), Files(), lambda: True) == 0
    assert queries.find_job(ended) is not None


def test_two_simultaneous_prunings_both_finish(app: Flask, make_job: MakeJob) -> None:
    for _ in range(4):
        request_id = make_job(1)
        held = claim(request_id)
        record(held, *(success(image) for image in pending_images(held)))
    later = utcnow() + timedelta(days=1)

    def prune(_: int) -> int:
        with app.app_context():
            return purge_old_jobs(later, Files())

    assert sum(in_parallel(prune, 3)) >= 4
    assert {erased for _, erased in _marks()} == {True}
