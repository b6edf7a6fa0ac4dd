"""Which images of an earlier job a new one has, and which it has no more."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import update

from imgcompress.ledger import changes, intake
from imgcompress.ledger.changes import earlier_results, latest_job, list_removed
from imgcompress.ledger.deletion import soft_delete
from imgcompress.ledger.models import CompressedImage, JobRequest, utcnow
from imgcompress.ledger.session import writing
from imgcompress.ledger.slices import pending_images

from .conftest import MakeJob
from .test_sharing import complete, compressed
from tests.support.records import claim, failure, images_of, job_of, record

OPTIONS = {"compression_percentage": 50}


def url(number: int) -> str:
    return f"https://images.test/{number}.jpg"


def removed(request_id: UUID, **place: int) -> list[str]:
    """Return the URLs that a job has no more."""
    found = list_removed(job_of(request_id), **{"after": None, "skip": 0, "size": 10, **place})
    return [image.input_url for image in found.images]


@pytest.mark.parametrize("part", [2, 1000])
def test_images_are_found_by_their_urls_in_any_order(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    monkeypatch.setattr(changes, "ROWS_AT_ONCE", part)
    monkeypatch.setattr(intake, "PART_ROWS", part)
    first = make_job([url(0), url(1), url(1), url(2), url(3)])
    second = make_job([url(9), url(3), url(1), url(3)], since_id=first, removed_images=0)
    assert [image.earlier for image in images_of(second)] == [None, 4, 1, 4]
    assert job_of(second).removed_images == 2
    assert removed(second) == [url(0), url(2)]
    assert removed(second, skip=1) == removed(second, after=0) == [url(2)]
    assert removed(second, size=1) == [url(0)]
    assert removed(second, after=3) == removed(first) == []


def test_what_was_removed_is_listed_while_the_earlier_job_is_there(make_job: MakeJob) -> None:
    first = make_job(2)
    second = make_job([url(0)], since_id=first, removed_images=0)
    assert removed(second) == [url(1)]
    soft_delete(first, None)
    assert removed(second) == [] and job_of(second).removed_images == 1


def test_only_a_compressed_image_is_an_earlier_result(make_job: MakeJob) -> None:
    first = make_job(3)
    held = claim(first)
    one, two, _ = pending_images(held)
    record(held, compressed(held, one), failure(two))
    second = make_job(4, since_id=first, removed_images=0)
    again = claim(second)
    found = earlier_results(again, pending_images(again)).results
    assert list(found) == [0] and found[0].image_id == one.image_id
    assert found[0].validator == '"one"' and found[0].source_hash == "ab" * 16


def test_an_ordinal_that_a_hash_mixed_up_is_passed_over(make_job: MakeJob) -> None:
    first = complete(make_job(2))
    second = make_job(2, since_id=first, removed_images=0)
    with writing() as session:
        session.execute(
            update(CompressedImage)
            .where(CompressedImage.request_id == second)
            .values(earlier=1 - CompressedImage.ordinal)
        )
    held = claim(second)
    assert earlier_results(held, pending_images(held)).results == {}


def test_the_age_of_a_result_is_that_of_its_source(make_job: MakeJob) -> None:
    first = complete(make_job(1))
    second = make_job(1, since_id=first, removed_images=0, trust_seconds=60)
    held = claim(second)
    assert (held.trust_seconds, held.compares) == (60, True)
    (found,) = earlier_results(held, pending_images(held)).results.values()
    assert found.is_younger_than(60) and not found.is_younger_than(None)
    with writing() as session:
        session.execute(update(CompressedImage).values(seen_at=utcnow() - timedelta(minutes=2)))
    (found,) = earlier_results(held, pending_images(held)).results.values()
    assert not found.is_younger_than(60) and found.is_younger_than(180)


def test_the_latest_job_has_the_same_options_and_owner(make_job: MakeJob) -> None:
    assert latest_job(None, OPTIONS) is None
    older, newer = complete(make_job(1)), complete(make_job(1))
    make_job(1)  # It has not ended.
    assert latest_job(None, OPTIONS) == newer
    assert latest_job(None, {"compression_percentage": 60}) is None
    assert latest_job("shop", OPTIONS) is None
    foreign = complete(make_job(1, owner="shop"))
    assert latest_job("shop", OPTIONS) == foreign and latest_job(None, OPTIONS) == newer
    with writing() as session:
        session.execute(
            update(JobRequest).where(JobRequest.request_id == newer).values(completed_images=0)
        )
    assert latest_job(None, OPTIONS) == older
