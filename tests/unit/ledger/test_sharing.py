"""A file that several images share goes with the last of them, whoever deletes and takes over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from threading import Thread
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import update

from imgcompress.extensions import db
from imgcompress.ledger import deletion
from imgcompress.ledger.changes import (
    EarlierResult,
    content_ref,
    earlier_results,
    results_of_contents,
)
from imgcompress.ledger.deletion import held_keys, left_behind, purge_job, soft_delete
from imgcompress.ledger.jobs import retry_job
from imgcompress.ledger.models import Change, CompressedImage, JobRequest
from imgcompress.ledger.results import Success, _lock_files
from imgcompress.ledger.session import writing
from imgcompress.ledger.slices import Claim, PendingImage, pending_images, release_slice
from imgcompress.storage import image_key

from .conftest import MakeJob
from tests.support.records import Files, claim, failure, images_of, job_of, record, success


def compressed(claimed: Claim, image: PendingImage) -> Success:
    """Return the result of an image that was compressed, under the key that it would have."""
    key = image_key(claimed.request_id, image.image_id, "jpg", claimed.epoch)
    return replace(success(image), storage_key=key, source_hash="ab" * 16, validator='"one"')


def taken_over(claimed: Claim, image: PendingImage) -> Success:
    """Return the result of an image whose source has not changed since the earlier job."""
    earlier = earlier_results(claimed, [image]).results[image.ordinal]
    return replace(
        success(image, input_bytes=earlier.input_bytes),
        storage_key=earlier.storage_key,
        source_hash=earlier.source_hash,
        validator=earlier.validator,
        taken_from=earlier.image_id,
        change=Change.UNCHANGED,
        not_downloaded=True,
    )


def complete(request_id: UUID) -> UUID:
    """Compress all images of a job, or take them over where the job has an earlier one."""
    held = claim(request_id)
    make = taken_over if held.since_id else compressed
    record(held, *(make(held, image) for image in pending_images(held)))
    return request_id


@pytest.fixture
def first(make_job: MakeJob) -> UUID:
    """Return a job whose images are compressed."""
    return complete(make_job(3))


@pytest.fixture
def second(make_job: MakeJob, first: UUID) -> UUID:
    """Return a job that took all of them over."""
    return complete(make_job(3, since_id=first, removed_images=0))


def keys_of(request_id: UUID) -> set[str]:
    """Return the keys of a job's images."""
    return {image.storage_key or "" for image in images_of(request_id)}


def purge(request_id: UUID) -> Files:
    """Delete a job; return which files that were not its own went with it."""
    marked, files = soft_delete(request_id, None), Files()
    assert marked is not None and purge_job(marked, files)
    return files


def test_a_result_that_is_taken_over_has_an_address_of_its_own(first: UUID, second: UUID) -> None:
    images = images_of(second)
    assert keys_of(second) == keys_of(first)
    assert {image.change for image in images} == {Change.UNCHANGED}
    assert not {image.image_url for image in images} & {i.image_url for i in images_of(first)}
    assert all(str(image.image_id) in (image.image_url or "") for image in images)
    job = job_of(second)
    assert (job.unchanged_images, job.changed_images, job.new_images) == (3, 0, 0)
    assert (job.removed_images, job.bytes_not_downloaded) == (0, 3000)


def test_a_shared_file_goes_with_its_last_image(
    first: UUID, second: UUID, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "DELETE_BATCH", 2)
    keys = keys_of(first)
    third = complete(make_job(3, since_id=second, removed_images=0))
    assert purge(first).keys == set() and held_keys(keys) == keys
    assert purge(third).keys == set() and held_keys(keys) == keys
    assert purge(second).keys == keys and held_keys(keys) == set()


def test_a_job_whose_results_were_taken_over_can_go_last(first: UUID, second: UUID) -> None:
    keys = keys_of(first)
    assert purge(second).keys == set() and held_keys(keys) == keys
    assert purge(first).keys == set() and held_keys(keys) == set()


def test_no_sweep_takes_a_shared_file(first: UUID, second: UUID) -> None:
    keys = keys_of(first)
    purge(first)
    assert deletion._orphans(sorted(keys)) == []
    # A worker that lost its claim asks likewise what it may take away.
    assert left_behind(second, 1, keys) == []


def test_images_that_repeat_one_share_the_file_too(first: UUID, make_job: MakeJob) -> None:
    url = images_of(first)[0].input_url
    request_id = complete(make_job([url, url], since_id=first, removed_images=0))
    key = images_of(first)[0].storage_key
    assert keys_of(request_id) == {key}
    job = job_of(request_id)
    assert (job.unchanged_images, job.bytes_not_downloaded) == (2, 1000)
    purge(first)
    assert held_keys([key or ""]) == {key}
    assert purge(request_id).keys == {key}


def test_nothing_is_taken_over_from_an_image_that_is_gone(first: UUID, make_job: MakeJob) -> None:
    request_id = make_job(3, since_id=first, removed_images=0)
    held = claim(request_id)
    images = pending_images(held)
    results = [taken_over(held, image) for image in images]
    purge(first)
    record(held, *results)
    assert [image.status for image in images_of(request_id)] == ["PENDING"] * 3
    assert release_slice(held)
    again = claim(request_id)
    images = pending_images(again)
    assert earlier_results(again, images).results == {}
    record(again, *(compressed(again, image) for image in images))
    assert job_of(request_id).status == "COMPLETED"


def test_nothing_is_taken_over_from_an_image_with_another_file(
    first: UUID, make_job: MakeJob
) -> None:
    request_id = make_job(3, since_id=first, removed_images=0)
    held = claim(request_id)
    result = taken_over(held, pending_images(held)[0])
    with writing() as session:
        session.execute(update(CompressedImage).values(storage_key="images/other.jpg"))
    record(held, result)
    assert images_of(request_id)[0].status == "PENDING"


def test_an_image_can_take_over_one_that_is_written_with_it(make_job: MakeJob) -> None:
    request_id = make_job(2)
    held = claim(request_id)
    one, two = pending_images(held)
    original = compressed(held, one)
    copy = replace(original, image=two, taken_from=one.image_id)
    assert record(held, copy, original)
    assert len(keys_of(request_id)) == 1
    key = keys_of(request_id)
    assert purge(request_id).keys == key and held_keys(key) == set()


HASH = "ab" * 16


def with_content(claimed: Claim, image: PendingImage) -> Success:
    """Return the result of an image that was compressed from the source with HASH."""
    ref = content_ref(claimed, image, HASH)
    return replace(compressed(claimed, image), source_hash=HASH, content_ref=ref)


def same_content(claimed: Claim, image: PendingImage) -> EarlierResult | None:
    """Return what the ledger has for an image whose source has HASH."""
    ref = content_ref(claimed, image, HASH)
    return results_of_contents(claimed.request_id, [ref, ref + 1]).get((ref, HASH))


def test_the_result_of_a_content_is_found_from_another_slice(make_job: MakeJob) -> None:
    request_id = make_job(2, slice_size=1)
    here, there = claim(request_id, 0), claim(request_id, 1)
    (one,), (two,) = pending_images(here), pending_images(there)
    assert same_content(there, two) is None
    record(here, with_content(here, one))
    found = same_content(there, two)
    assert found is not None and found.image_id == one.image_id
    copy = replace(
        with_content(there, two),
        storage_key=found.storage_key,
        taken_from=found.image_id,
    )
    assert record(there, copy)
    first, second = images_of(request_id)
    assert first.storage_key == second.storage_key
    # One of them is enough to be found.
    assert first.content_ref is not None and second.content_ref is None
    key = keys_of(request_id)
    assert purge(request_id).keys == key and held_keys(key) == set()


def test_a_content_is_that_of_a_job_and_of_options(make_job: MakeJob) -> None:
    request_id, other_id = make_job(2), make_job(1)
    held, other = claim(request_id), claim(other_id)
    one, two = pending_images(held)
    record(held, with_content(held, one))
    assert same_content(held, two) is not None
    assert same_content(held, two._replace(options={"quality": 70})) is None
    assert same_content(other, pending_images(other)[0]) is None


def test_images_that_repeat_a_url_are_found_once(make_job: MakeJob) -> None:
    request_id = make_job(["https://a.test/1.jpg"] * 3)
    held = claim(request_id)
    record(held, *(with_content(held, image) for image in pending_images(held)))
    assert [image.content_ref is None for image in images_of(request_id)] == [False, True, True]


@pytest.mark.parametrize(
    "changed", [{"status": "PENDING"}, {"storage_key": "images/other.jpg"}], ids=str
)
def test_a_result_of_a_content_that_is_gone_is_not_taken_over(
    make_job: MakeJob, changed: dict[str, str]
) -> None:
    request_id = make_job(2)
    held = claim(request_id)
    one, two = pending_images(held)
    record(held, with_content(held, one))
    found = same_content(held, two)
    assert found is not None
    with writing() as session:
        session.execute(
            update(CompressedImage)
            .where(CompressedImage.image_id == one.image_id)
            .values(**changed)
        )
    copy = replace(
        with_content(held, two), storage_key=found.storage_key, taken_from=found.image_id
    )
    record(held, copy)
    assert images_of(request_id)[1].status == "PENDING"


def test_a_retry_keeps_results_that_were_taken_over(first: UUID, make_job: MakeJob) -> None:
    request_id = make_job(3, since_id=first, removed_images=0)
    held = claim(request_id)
    one, two, three = pending_images(held)
    record(held, taken_over(held, one), failure(two), taken_over(held, three))
    purge(first)
    assert retry_job(request_id)
    again = claim(request_id)
    (left,) = pending_images(again)
    record(again, compressed(again, left))
    assert job_of(request_id).status == "COMPLETED"
    assert held_keys(keys_of(request_id)) == keys_of(request_id)


@pytest.fixture
def deleting(app: Flask, first: UUID) -> Iterator[Thread]:
    """Return a thread that deletes the first job."""

    def delete() -> None:
        with app.app_context():
            purge(first)
            db.engine.dispose()

    thread = Thread(target=delete)
    yield thread
    thread.join()


def test_a_deletion_waits_for_a_transaction_that_takes_over(
    first: UUID, make_job: MakeJob, deleting: Thread
) -> None:
    request_id = make_job(3, since_id=first, removed_images=0)
    held = claim(request_id)
    results = [taken_over(held, image) for image in pending_images(held)]
    with writing() as session:
        locked = _lock_files(session, {result.taken_from for result in results})
        assert len(locked) == 3
        deleting.start()
        deleting.join(0.3)
        assert deleting.is_alive()
    deleting.join()
    record(held, *results)
    assert {image.status for image in images_of(request_id)} == {"PENDING"}


def test_other_options_take_over_nothing(first: UUID, make_job: MakeJob) -> None:
    request_id = make_job(3, since_id=first, removed_images=0)
    with writing() as session:
        session.execute(
            update(JobRequest)
            .where(JobRequest.request_id == first)
            .values(options={"compression_percentage": 60})
        )
    held = claim(request_id)
    found = earlier_results(held, pending_images(held))
    assert found.results == {} and set(found.differing) == {0, 1, 2}
