"""Fairness: where jobs wait, no other job gets ahead of them by two slices."""

from __future__ import annotations

from uuid import UUID

import pytest

from imgcompress.ledger import fairness, recovery
from imgcompress.ledger.fairness import crowds_out, next_slice
from imgcompress.ledger.jobs import cancel_job
from imgcompress.ledger.slices import claim_slice, release_slice, reserve_slices

from .conftest import MakeJob
from .records import claim


@pytest.fixture
def waiting(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> UUID:
    """Return a job whose slices stand in the queue, and count as waiting at once."""
    monkeypatch.setattr(fairness, "WAITS_AFTER", -fairness.WAITS_AFTER)
    request_id = make_job(4, slice_size=1)
    reserve_slices(request_id, 2)
    return request_id


@pytest.fixture
def large(make_job: MakeJob) -> UUID:
    """Return a job of many slices."""
    return make_job(10, slice_size=1)


def test_a_job_alone_takes_every_worker(large: UUID) -> None:
    for slice_no in range(5):
        claim(large, slice_no)
    assert not crowds_out(large)


def test_a_second_slice_is_refused_while_another_job_waits_for_its_first(
        large: UUID, waiting: UUID) -> None:
    claim(large, 0)
    reserve_slices(large, 2)
    assert claim_slice(large, 1, lease_seconds=30) is None
    assert claim(waiting, 0)
    assert claim(large, 1)


def test_a_refused_slice_is_published_again(large: UUID, waiting: UUID) -> None:
    claim(large, 0)
    assert reserve_slices(large, 2) == [1, 2]
    claim_slice(large, 1, lease_seconds=30)
    assert large in recovery.jobs_to_publish(10)
    assert reserve_slices(large, 2) == [1]


def test_a_job_that_is_two_slices_ahead_hands_one_back(
        make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    large, small = make_job(10, slice_size=1), make_job(1)
    first, _ = claim(large, 0), claim(large, 1)
    reserve_slices(small, 2)
    assert not crowds_out(large)  # The small job has only just come.
    monkeypatch.setattr(fairness, "WAITS_AFTER", -fairness.WAITS_AFTER)
    assert crowds_out(large) and not crowds_out(small)
    release_slice(first)
    assert not crowds_out(large)


def test_the_first_slice_of_a_job_is_never_refused(large: UUID, waiting: UUID) -> None:
    assert claim(large, 0)
    assert not crowds_out(large)


def test_a_job_that_has_ended_does_not_wait(large: UUID, waiting: UUID) -> None:
    cancel_job(waiting)
    assert claim(large, 0) and claim(large, 1)


def test_a_worker_that_has_nothing_to_begin_takes_the_first_slice_of_the_oldest_job(
        make_job: MakeJob) -> None:
    assert next_slice() is None
    older, newer = make_job(2, slice_size=1), make_job(2, slice_size=1)
    assert next_slice() == (older, 0)
    assert next_slice(but_not=[older]) == (newer, 0)


def test_a_worker_that_has_nothing_to_begin_serves_the_job_with_the_fewest_slices(
        make_job: MakeJob) -> None:
    older, newer = make_job(3, slice_size=1), make_job(1)
    claim(older, 0)
    assert next_slice() == (newer, 0)
    claim(newer, 0)
    assert next_slice() == (older, 1)


def test_slices_that_are_not_due_and_jobs_that_have_ended_are_left(make_job: MakeJob) -> None:
    cancelled, later = make_job(1), make_job(1)
    cancel_job(cancelled)
    release_slice(claim(later), delay_seconds=60)
    assert next_slice() is None
