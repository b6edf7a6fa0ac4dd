"""Fairness: where owners or jobs wait, no other gets ahead of them by two slices."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import event

from imgcompress.extensions import db
from imgcompress.ledger import slices
from imgcompress.ledger.jobs import cancel_job
from imgcompress.ledger.slices import (
    claim_slice,
    exceeds_fair_share,
    next_slice,
    release_slice,
    reserve_slices,
)

from .conftest import MakeJob
from tests.support.records import claim


@pytest.fixture
def waiting(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> UUID:
    """Return a job whose slices stand in the queue, and count as waiting at once."""
    monkeypatch.setattr(slices, "WAITS_AFTER", -slices.WAITS_AFTER)
    request_id = make_job(4, slice_size=1)
    reserve_slices(request_id, 2)
    return request_id


@pytest.fixture
def large(make_job: MakeJob) -> UUID:
    """Return a job of many slices."""
    return make_job(10, slice_size=1)


def test_a_single_job_uses_every_worker(large: UUID) -> None:
    for slice_no in range(5):
        claim(large, slice_no)
    assert not exceeds_fair_share(large)


def test_a_second_slice_is_denied_while_another_job_waits_for_its_first(
    large: UUID, waiting: UUID
) -> None:
    claim(large, 0)
    reserve_slices(large, 2)
    assert claim_slice(large, 1, lease_seconds=30) is None
    assert claim(waiting, 0)
    assert claim(large, 1)


def test_a_denied_slice_is_published_again(large: UUID, waiting: UUID) -> None:
    claim(large, 0)
    assert reserve_slices(large, 2) == [1, 2]
    claim_slice(large, 1, lease_seconds=30)
    assert large in slices.jobs_to_publish(10)
    assert reserve_slices(large, 2) == [1]


def test_a_job_two_slices_ahead_releases_one(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    large, small = make_job(10, slice_size=1), make_job(1)
    first, _ = claim(large, 0), claim(large, 1)
    reserve_slices(small, 2)
    assert not exceeds_fair_share(large)  # The small job has only just come.
    monkeypatch.setattr(slices, "WAITS_AFTER", -slices.WAITS_AFTER)
    assert exceeds_fair_share(large) and not exceeds_fair_share(small)
    release_slice(first)
    assert not exceeds_fair_share(large)


def test_the_first_slice_of_a_job_is_never_denied(large: UUID, waiting: UUID) -> None:
    assert claim(large, 0)
    assert not exceeds_fair_share(large)


def test_a_job_that_has_ended_does_not_wait(large: UUID, waiting: UUID) -> None:
    cancel_job(waiting)
    assert claim(large, 0) and claim(large, 1)


def test_a_worker_that_has_nothing_to_begin_takes_the_first_slice_of_the_oldest_job(
    make_job: MakeJob,
) -> None:
    assert next_slice() is None
    older, newer = make_job(2, slice_size=1), make_job(2, slice_size=1)
    assert next_slice() == (older, 0)
    assert next_slice(but_not=[older]) == (newer, 0)


def test_a_worker_that_has_nothing_to_begin_serves_the_job_with_the_fewest_slices(
    make_job: MakeJob,
) -> None:
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


@pytest.fixture
def many(make_job: MakeJob) -> list[UUID]:
    """Return jobs of one owner, older than all others and more than a query should look at."""
    return [make_job(2, slice_size=1, owner="many") for _ in range(60)]


def test_an_owner_of_many_jobs_gets_no_more_than_an_owner_of_one(
    make_job: MakeJob, many: list[UUID]
) -> None:
    one = make_job(10, slice_size=1, owner="one")
    served = []
    for _ in range(8):
        found = next_slice()
        assert found is not None
        claim(*found)
        served.append(found[0] == one)
        assert abs(2 * sum(served) - len(served)) <= 1, served


def test_the_only_owner_with_work_gets_all_slices(make_job: MakeJob, many: list[UUID]) -> None:
    one = make_job(1, owner="one")
    claim(one)
    for request_id in many:
        claim(request_id, 0)
    assert not any(exceeds_fair_share(request_id) for request_id in many)
    assert next_slice() == (many[0], 1)


def test_an_owner_who_waits_is_served_before_another_gets_a_second_slice(
    make_job: MakeJob, many: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = make_job(4, slice_size=1, owner="one")
    for request_id in (*many[:3], one):
        reserve_slices(request_id, 2)
    monkeypatch.setattr(slices, "WAITS_AFTER", -slices.WAITS_AFTER)
    claim(many[0])
    # Another job of the same owner holds nothing: that is no reason to serve it first.
    assert claim_slice(many[1], 0, lease_seconds=30) is None
    assert claim(one, 0)
    assert claim(many[1], 0) and claim_slice(many[2], 0, lease_seconds=30) is None
    assert not exceeds_fair_share(many[0])


def test_an_owner_two_slices_ahead_releases_one(
    make_job: MakeJob, many: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [claim(request_id) for request_id in many[:2]]
    one = make_job(1, owner="one")
    reserve_slices(one, 2)
    monkeypatch.setattr(slices, "WAITS_AFTER", -slices.WAITS_AFTER)
    assert (
        exceeds_fair_share(many[0]) and exceeds_fair_share(many[1]) and not exceeds_fair_share(one)
    )
    release_slice(held[0])
    assert not exceeds_fair_share(many[1])


def test_jobs_of_one_owner_are_served_in_turn(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    large, small = (make_job(4, slice_size=1, owner="one") for _ in range(2))
    other = make_job(4, slice_size=1, owner="other")
    monkeypatch.setattr(slices, "WAITS_AFTER", -slices.WAITS_AFTER)
    for request_id in (large, small, other):
        reserve_slices(request_id, 2)
    for request_id, slice_no in ((other, 0), (large, 0), (other, 1)):
        claim(request_id, slice_no)
    assert claim_slice(large, 1, lease_seconds=30) is None
    assert claim(small, 0)
    assert claim_slice(small, 1, lease_seconds=30) is not None


def test_recovery_publishes_the_jobs_of_owners_in_turn(make_job: MakeJob, many: list[UUID]) -> None:
    one, nobodys = make_job(1, owner="one"), make_job(1)
    assert slices.jobs_to_publish(4) == [many[0], one, nobodys, many[1]]


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_what_waits_is_found_by_its_index(app: Flask) -> None:
    seen: list[tuple[str, Any]] = []

    def note(
        _connection: object, _cursor: object, statement: str, parameters: Any, *_: object
    ) -> None:
        if "min(job_slice.slice_no)" in statement:
            seen.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    next_slice()
    slices.jobs_to_publish(10)
    event.remove(db.engine, "before_cursor_execute", note)
    assert len(seen) == 2
    with db.engine.connect() as connection:
        for statement, parameters in seen:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            assert "ix_job_slice_request_id_slice_no" in str(plan.all())
