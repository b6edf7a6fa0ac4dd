"""A job is taken in whole or not at all, however many rows it has."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from datetime import timedelta
from itertools import pairwise
from uuid import RFC_4122, UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import select, update

from imgcompress.errors import LedgerUnavailable
from imgcompress.extensions import db
from imgcompress.ledger import bulk, intake
from imgcompress.ledger.bulk import IMAGE_COLUMNS, Deduplicator, time_ordered_ids
from imgcompress.ledger.deletion import purge_due_jobs
from imgcompress.ledger.intake import NewJob, create_job
from imgcompress.ledger.models import CompressedImage, JobDeletion, JobRequest, JobSlice, utcnow
from imgcompress.ledger.queries import find_job, list_jobs
from imgcompress.ledger.session import reading, writing
from imgcompress.ledger.slices import pending_images

from .conftest import MakeJob
from tests.support.new_images import NewImage, by_columns
from tests.support.records import Files, claim, images_of, job_of

URL = "https://images.test/1.jpg"
ODD_TEXTS = [
    "",
    " ",
    "\\N",
    "\\.",
    "NULL",
    "a,b;c\td|e",
    'the "big" one',
    "'",
    "a\nb",
    "a\r\nb",
    "\r",
    "a\n\\.\nb",
    "\\\\x",
    "Größe 42 ☕ 商品",
    "\u2028",
    "%s %(a)s :b ?",
    "\x01",
]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a SQLite ledger take jobs of more than three images in parts."""
    monkeypatch.setattr(intake, "PART_ROWS", 3)
    monkeypatch.setattr(bulk, "BLOCK_ROWS", 2)
    monkeypatch.setattr(bulk, "STATEMENT_ROWS", 2)


def new_job(images: int) -> NewJob:
    return NewJob(
        uuid4(),
        "products.csv",
        {"compression_percentage": 50},
        "http://service.test",
        total_rows=images,
        total_images=images,
    )


def some(count: int) -> Iterator[NewImage]:
    for number in range(count):
        yield NewImage(number + 2, 0, str(number), "Lamp", f"https://images.test/{number}.jpg")


def rows_in_the_ledger() -> dict[str, int]:
    with reading() as session:
        return {
            table.__tablename__: len(session.scalars(select(table)).all())
            for table in (JobRequest, CompressedImage, JobSlice, JobDeletion)
        }


def test_every_text_comes_back_as_it_was(app: Flask) -> None:
    job = new_job(len(ODD_TEXTS))
    images = [
        NewImage(row, row % 3, text, text, f"{URL}?{text}") for row, text in enumerate(ODD_TEXTS)
    ]
    create_job(job, by_columns(images), slice_size=5)
    assert [
        (image.row_number, image.position, image.serial_number, image.product_name, image.input_url)
        for image in images_of(job.request_id)
    ] == [image[:5] for image in images]


def test_an_image_is_written_as_the_models_would(app: Flask) -> None:
    job = new_job(1)
    create_job(job, by_columns(some(1)), slice_size=5)
    (image,) = images_of(job.request_id)
    assert abs(image.created_at - job_of(job.request_id).created_at) < timedelta(seconds=60)
    assert (image.request_id, image.ordinal, image.status, image.attempts) == (
        job.request_id,
        0,
        "PENDING",
        0,
    )
    assert {
        column.name for column in CompressedImage.__table__.columns if not column.nullable
    } <= set(IMAGE_COLUMNS)
    assert all(
        getattr(image, column.name) is None
        for column in CompressedImage.__table__.columns
        if column.nullable
    )


def test_options_and_name_of_a_row_reach_the_worker(app: Flask) -> None:
    job = new_job(2)
    own = {"quality": 80, "format": "webp"}
    images = [
        NewImage(2, 0, "1", "Lamp", URL, own, "front; view"),
        NewImage(3, 0, "2", "Sofa", URL + "?2"),
    ]
    create_job(job, by_columns(images), slice_size=5)
    first, second = pending_images(claim(job.request_id))
    assert (first.options, second.options) == (own, None)
    assert [image.output_name for image in images_of(job.request_id)] == ["front; view", None]


def test_images_with_one_url_but_other_options_are_no_duplicates(app: Flask) -> None:
    wanted: list[dict[str, object] | None] = [
        None,
        {"quality": 80},
        None,
        {"quality": 80},
        {"quality": 70},
        {"max_width": 9, "quality": 80},
        {"quality": 80, "max_width": 9},
    ]
    job = new_job(len(wanted))
    create_job(
        job,
        by_columns(NewImage(2, 0, "1", "Lamp", URL, options) for options in wanted),
        slice_size=5,
    )
    assert [image.duplicate_of for image in images_of(job.request_id)] == [
        None,
        None,
        0,
        1,
        None,
        None,
        5,
    ]


@pytest.mark.parametrize("count", [1, 3, 4, 6, 7, 2500])
def test_a_job_is_whole_whatever_its_size(app: Flask, count: int) -> None:
    job = new_job(count)
    create_job(job, by_columns(some(count)), slice_size=2)
    assert [image.ordinal for image in images_of(job.request_id)] == list(range(count))
    assert find_job(job.request_id) is not None
    assert rows_in_the_ledger() == {
        "job_request": 1,
        "compressed_images": count,
        "job_slice": (count + 1) // 2,
        "job_deletion": 0,
    }


def test_nobody_sees_a_job_of_which_rows_are_missing(app: Flask) -> None:
    job = new_job(10)
    seen = []

    def watched() -> Iterator[NewImage]:
        for image in some(10):
            seen.append(find_job(job.request_id))
            seen.extend(list_jobs(status=None, skip=0, limit=10))
            yield image

    create_job(job, by_columns(watched()), slice_size=5)
    assert seen == [None] * 10
    assert [found.request_id for found in list_jobs(status=None, skip=0, limit=10)] == [
        job.request_id
    ]


def test_a_job_that_broke_off_stays_hidden_and_is_due_for_deletion(app: Flask) -> None:
    job = new_job(10)

    def broken() -> Iterator[NewImage]:
        yield from some(7)
        raise KeyError("the file went away")

    with pytest.raises(KeyError, match="the file went away"):
        create_job(job, by_columns(broken()), slice_size=5)
    assert find_job(job.request_id) is None
    in_parts = db.engine.dialect.name == "sqlite"
    assert rows_in_the_ledger() == {
        "job_request": in_parts,
        "compressed_images": 6 * in_parts,
        "job_slice": 0,
        "job_deletion": in_parts,
    }


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_a_writer_presumed_dead_writes_nothing_more(app: Flask) -> None:
    job = new_job(10)

    def stalled() -> Iterator[NewImage]:
        yield from some(5)
        with writing() as session:
            session.execute(update(JobDeletion).values(due_at=utcnow()))
        yield from list(some(10))[5:]

    with pytest.raises(LedgerUnavailable):
        create_job(job, by_columns(stalled()), slice_size=5)
    assert find_job(job.request_id) is None


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_recovery_removes_the_rows_of_a_dead_writer(app: Flask) -> None:
    job = new_job(10)
    files = Files()

    def broken() -> Iterator[NewImage]:
        yield from some(7)
        raise KeyError("killed")

    with pytest.raises(KeyError):
        create_job(job, by_columns(broken()), slice_size=5)
    purge_due_jobs(files)
    assert files.deleted == []
    with writing() as session:
        session.execute(update(JobDeletion).values(due_at=utcnow()))
    purge_due_jobs(files)
    assert files.deleted == [job.request_id]
    assert rows_in_the_ledger() == {
        "job_request": 0,
        "compressed_images": 0,
        "job_slice": 0,
        "job_deletion": 1,
    }


def test_ids_are_ascending_uuids_of_version_7() -> None:
    ids = [UUID(text) for text in time_ordered_ids(2000)]
    assert all(first < second for first, second in pairwise(ids))
    assert {(one.version, one.variant) for one in ids} == {(7, RFC_4122)}
    assert len({one.int & (1 << 62) - 1 for one in ids}) == 2000


def test_duplicates_are_found_across_parts(make_job: MakeJob) -> None:
    request_id = make_job([URL, "http://a/2", "http://a/3", "http://a/4", URL])
    assert [image.duplicate_of for image in images_of(request_id)] == [None, None, None, None, 0]


def test_urls_that_only_share_a_hash_are_fetched_separately(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "Deduplicator", OneHashForAll)
    job = new_job(3)
    images = [*some(2), NewImage(4, 0, "", "", "https://images.test/0.jpg")]
    create_job(job, by_columns(images), slice_size=5)
    assert [image.duplicate_of for image in images_of(job.request_id)] == [None, None, 0]


class OneHashForAll(Deduplicator):
    """Takes every image for a repetition of the first."""

    def firsts(self, keys: Iterable[Hashable]) -> list[int | None]:
        return super().firsts("always the same" for _ in keys)


@pytest.mark.parametrize(("images", "largest"), [(20, 2), (40, 5), (100, 8)])
def test_slices_are_larger_with_an_earlier_job_while_there_are_enough(
    make_job: MakeJob, images: int, largest: int
) -> None:
    first = make_job(images, slice_size=2)
    second = make_job(images, slice_size=2, since_id=first, removed_images=0)
    assert _slice_sizes(first) == {2}
    assert max(_slice_sizes(second)) == largest


def _slice_sizes(request_id: UUID) -> set[int]:
    part = JobSlice
    with reading() as session:
        slices = session.execute(
            select(part.first_ordinal, part.last_ordinal).where(part.request_id == request_id)
        )
        return {last - first + 1 for first, last in slices}


def test_repetitions_name_the_first_of_their_kind() -> None:
    repeats = Deduplicator(7)
    assert repeats.firsts(["a", "b", "a", ("a", None)]) == [None, None, 0, None]
    assert repeats.firsts([]) == []
    assert repeats.firsts(["c", "b", ("a", None)]) == [None, 1, 3]


def test_many_images_are_kept_apart() -> None:
    repeats = Deduplicator(20_000)
    assert repeats.firsts(range(10_000)) == [None] * 10_000
    assert repeats.firsts(map(float, range(10_000))) == list(range(10_000))
