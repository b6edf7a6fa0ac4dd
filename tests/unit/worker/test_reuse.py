"""A worker takes over the results of an earlier job, and of the same content in a job."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from PIL import Image
from sqlalchemy import delete, update

from imgcompress.app import create_worker_app
from imgcompress.config import load_settings
from imgcompress.errors import LedgerUnavailable
from imgcompress.extensions import current_settings, db
from imgcompress.ledger.deletion import purge_job, soft_delete
from imgcompress.ledger.intake import NewJob, create_job
from imgcompress.ledger.models import CompressedImage, JobRequest, utcnow
from imgcompress.ledger.results import Success
from imgcompress.ledger.session import writing
from imgcompress.ledger.slices import Claim
from imgcompress.storage import JobFiles
from imgcompress.worker import queue, reuse
from imgcompress.worker import tasks as task
from imgcompress.worker.pipeline import Pipeline
from imgcompress.worker.reuse import Contents, Original
from imgcompress.worker.stages import ImageStages

from ...origin import PlainOrigin
from tests.support.new_images import NewImage, by_columns
from tests.support.records import images_of, job_of

DATE = "Sun, 22 Nov 2026 08:00:00 GMT"
IMAGES = 4
Run = Callable[..., UUID]


class Forgetful(Contents):
    """Forgets what is compressed here, as if each image was compressed by another process."""

    def add(self, claim: Claim, original: Original, result: Success) -> None:
        if result.taken_from is not None:
            super().add(claim, original, result)


def picture(number: int) -> bytes:
    """Return a JPEG that differs from those of other numbers."""
    file = io.BytesIO()
    gradient = Image.linear_gradient("L").rotate(number * 7)
    Image.merge("RGB", [gradient] * 3).save(file, "JPEG", quality=95)
    return file.getvalue()


@pytest.fixture
def stages(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ImageStages]:
    """Return the stages of a worker on a fresh ledger, which hears of no broker."""
    app = create_worker_app(
        load_settings(
            None,
            database_url=sqlite_url,
            data_dir=tmp_path,
            allowed_private_networks=(ip_network("127.0.0.0/8"),),
            allowed_ports=((1024, 65535),),
        )
    )
    monkeypatch.setattr(queue, "send", lambda *message: True)
    with app.app_context():
        stages = ImageStages(current_settings())
        pipeline = Pipeline(stages, concurrency=4)
        monkeypatch.setattr(task, "worker_pipeline", lambda: pipeline)
        yield stages
        pipeline.close()
        db.engine.dispose()


@pytest.fixture
def origin() -> Iterator[PlainOrigin]:
    """Return an origin of some images with ETags."""
    files = {f"/{number}.jpg": (200, "image/jpeg", picture(number)) for number in range(IMAGES)}
    with PlainOrigin(files) as origin:
        origin.headers |= {path: {"ETag": f'"{path}"'} for path in files}
        yield origin


@pytest.fixture
def run(stages: ImageStages, origin: PlainOrigin) -> Run:
    """Return a function that compresses some of the origin's images in a job."""

    def run(*paths: str, since: UUID | None = None, slice_size: int = 50, **more: Any) -> UUID:
        paths = paths or tuple(f"/{number}.jpg" for number in range(IMAGES))
        job = NewJob(
            uuid4(),
            "products.csv",
            {"compression_percentage": 50},
            "http://service.test",
            total_rows=len(paths),
            total_images=len(paths),
            since_id=since,
            removed_images=None if since is None else 0,
            **more,
        )
        images = (NewImage(2, place, "", "", origin.url(path)) for place, path in enumerate(paths))
        create_job(job, by_columns(images), slice_size=slice_size)
        origin.hits.clear()
        origin.requests.clear()
        for slice_no in range(-(-len(paths) // slice_size)):
            task.process_csv.run(str(job.request_id), slice_no)
        assert job_of(job.request_id).status == "COMPLETED"
        return job.request_id

    return run


def changes(request_id: UUID) -> list[str | None]:
    return [image.change for image in images_of(request_id)]


def files(stages: ImageStages) -> set[str]:
    return {file.key for file in stages.storage.list("images")}


def all_are_stored(stages: ImageStages, request_id: UUID) -> bool:
    return {image.storage_key for image in images_of(request_id)} <= files(stages)


def test_unchanged_images_are_neither_fetched_nor_compressed(
    run: Run, origin: PlainOrigin, stages: ImageStages
) -> None:
    first = run()
    assert changes(first) == [None] * IMAGES
    stored = files(stages)
    second = run(since=first)
    assert origin.hits.total() == IMAGES
    assert all("if-none-match" in request.headers for request in origin.requests)
    assert changes(second) == ["unchanged"] * IMAGES and files(stages) == stored
    job = job_of(second)
    assert job.bytes_not_downloaded == job.input_bytes == job_of(first).input_bytes
    assert job.output_bytes == job_of(first).output_bytes
    third = run(since=second)
    assert changes(third) == ["unchanged"] * IMAGES


def test_changed_and_new_images_are_compressed(
    run: Run, origin: PlainOrigin, stages: ImageStages
) -> None:
    first = run("/0.jpg", "/1.jpg", "/2.jpg")
    origin.files["/1.jpg"] = (200, "image/jpeg", picture(20))
    origin.headers["/1.jpg"] = {"ETag": '"other"'}
    second = run("/0.jpg", "/1.jpg", "/3.jpg", since=first)
    assert changes(second) == ["unchanged", "changed", "new"]
    job = job_of(second)
    counts = (job.unchanged_images, job.changed_images, job.new_images, job.removed_images)
    assert counts == (1, 1, 1, 1)
    images = images_of(second)
    assert images[1].validator == '"other"' and images[1].file_ref is None
    assert all_are_stored(stages, second)


@pytest.mark.parametrize("headers", [{}, {"Last-Modified": DATE}])
def test_the_same_bytes_are_unchanged_whatever_the_origin_says(
    run: Run, origin: PlainOrigin, headers: dict[str, str]
) -> None:
    first = run()
    for path in origin.files:
        origin.headers[path] = headers
    second = run(since=first)
    assert changes(second) == ["unchanged"] * IMAGES
    assert job_of(second).bytes_not_downloaded == 0
    assert {image.validator for image in images_of(second)} == {headers.get("Last-Modified")}
    third = run(since=second)
    assert changes(third) == ["unchanged"] * IMAGES
    assert job_of(third).bytes_not_downloaded == (job_of(first).input_bytes if headers else 0)


def test_trusted_results_need_no_request(run: Run, origin: PlainOrigin) -> None:
    first = run()
    second = run(since=first, trust_seconds=3600)
    assert origin.hits.total() == 0 and changes(second) == ["unchanged"] * IMAGES
    assert job_of(second).bytes_not_downloaded == job_of(first).input_bytes
    with writing() as session:
        session.execute(
            update(CompressedImage)
            .where(CompressedImage.request_id == second)
            .values(seen_at=CompressedImage.seen_at, created_at=utcnow() + timedelta(hours=2))
        )
        session.execute(
            update(CompressedImage)
            .where(CompressedImage.request_id == second, CompressedImage.ordinal == 0)
            .values(seen_at=utcnow() - timedelta(hours=2))
        )
    run(since=second, trust_seconds=3600)
    assert dict(origin.hits) == {"/0.jpg": 1}


def test_trusted_slices_are_released_one_after_the_other_by_one_task(
    run: Run, origin: PlainOrigin
) -> None:
    first = run()
    second = run(since=first, trust_seconds=3600, slice_size=1)
    assert origin.hits.total() == 0 and changes(second) == ["unchanged"] * IMAGES


def test_a_result_of_an_earlier_version_keeps_its_similarity(run: Run) -> None:
    first = run()
    with writing() as session:
        session.execute(
            update(CompressedImage)
            .where(CompressedImage.request_id == first)
            .values(score=None, similarity=0.97, source_hash=None, validator=None, seen_at=None)
        )
    second = run(since=first, trust_seconds=3600)
    assert {(image.score, image.similarity) for image in images_of(second)} == {(None, 0.97)}
    third = run(since=second)
    assert all(image.score and image.similarity is None for image in images_of(third))


def test_an_origin_that_lies_is_overruled(run: Run, origin: PlainOrigin) -> None:
    first = run()
    origin.files["/1.jpg"] = (200, "image/jpeg", picture(20))
    believed = run(since=first)
    assert changes(believed) == ["unchanged"] * IMAGES
    second = run(since=first, fresh=True)
    assert not any("if-none-match" in request.headers for request in origin.requests)
    assert changes(second) == ["unchanged", "changed", "unchanged", "unchanged"]


def test_other_options_compress_again(run: Run, stages: ImageStages) -> None:
    first = run()
    with writing() as session:
        session.execute(update(JobRequest).values(options={"quality": 70}))
    second = run(since=first)
    assert changes(second) == ["changed"] * IMAGES
    assert len(files(stages)) == 2 * IMAGES


def test_results_outlive_the_job_that_they_come_from(run: Run, stages: ImageStages) -> None:
    first = run()
    second = run(since=first)
    for request_id in (first, second):
        assert all_are_stored(stages, second)
        erasure = soft_delete(request_id, None)
        assert erasure and purge_job(erasure, JobFiles(stages.storage))
    assert files(stages) == set()


def test_the_same_content_is_compressed_once_in_a_job(
    run: Run, origin: PlainOrigin, stages: ImageStages, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.files |= {f"/copy-{number}.jpg": origin.files["/0.jpg"] for number in range(3)}
    paths = ("/0.jpg", *(f"/copy-{number}.jpg" for number in range(3)), "/1.jpg")
    request_id = run(*paths)
    assert len(files(stages)) == 2 and origin.hits.total() == 5
    images = images_of(request_id)
    assert len({image.storage_key for image in images}) == 2
    assert len({image.image_url for image in images}) == 5
    # Another job stands for itself.
    run(*paths)
    assert len(files(stages)) == 4
    erasure = soft_delete(request_id, None)
    assert erasure and purge_job(erasure, JobFiles(stages.storage))
    assert len(files(stages)) == 2


def run_copies(run: Run, origin: PlainOrigin, copies: int = 5) -> UUID:
    """Compress the same content under several URLs, and two other ones, in a slice for each."""
    paths = [f"/copy-{number}.jpg" for number in range(copies)]
    origin.files |= dict.fromkeys(paths, origin.files["/0.jpg"])
    return run(*paths, "/1.jpg", "/2.jpg", slice_size=1)


def test_the_same_content_is_compressed_once_by_all_processes(
    run: Run, origin: PlainOrigin, stages: ImageStages, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A slice is begun when the results of the one before are written.
    monkeypatch.setattr(task, "MOST_SLICES", 1)
    monkeypatch.setattr(stages, "contents", Forgetful())
    first = run()
    request_id = run_copies(run, origin)
    images = images_of(request_id)
    assert len({image.storage_key for image in images}) == 3
    assert [image.content_ref is None for image in images] == [False, *[True] * 4, False, False]
    assert {(image.outcome, image.change) for image in images} == {(images[0].outcome, None)}
    assert len({image.image_url for image in images}) == 7
    job = job_of(request_id)
    assert job.input_bytes == sum(image.input_bytes or 0 for image in images)
    # Those of later runs are compared with the earlier job first.
    again = run(*(f"/{number}.jpg" for number in range(3)), "/copy-0.jpg", since=first)
    assert changes(again) == ["unchanged"] * 3 + ["new"]
    erasure = soft_delete(request_id, None)
    assert erasure and purge_job(erasure, JobFiles(stages.storage))
    assert all_are_stored(stages, again) and all_are_stored(stages, first)
    assert len(files(stages)) == IMAGES + 1


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("results_of_contents", LedgerUnavailable()),
        ("results_of_contents", ValueError("a row that cannot be read")),
    ],
    ids=["away", "unreadable"],
)
def test_a_ledger_that_cannot_be_read_costs_only_the_saving(
    run: Run,
    origin: PlainOrigin,
    stages: ImageStages,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    error: Exception,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(task, "MOST_SLICES", 1)
    monkeypatch.setattr(stages, "contents", Forgetful())
    monkeypatch.setattr(reuse, name, fail)
    request_id = run_copies(run, origin, 2)
    assert len({image.storage_key for image in images_of(request_id)}) == 4
    assert all_are_stored(stages, request_id)


def test_a_job_whose_result_of_a_content_is_deleted_compresses_it_again(
    run: Run, origin: PlainOrigin, stages: ImageStages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result is gone when the one that takes it over is written."""
    look_up, gone = reuse.results_of_contents, []

    def look_up_too_early(request_id: UUID, refs: set[int]) -> Any:
        found = look_up(request_id, refs)
        if found and not gone:
            gone.extend(found.values())
            with writing() as session:
                session.execute(
                    delete(CompressedImage).where(CompressedImage.image_id == gone[0].image_id)
                )
        return found

    monkeypatch.setattr(task, "MOST_SLICES", 1)
    monkeypatch.setattr(stages, "contents", Forgetful())
    monkeypatch.setattr(reuse, "results_of_contents", look_up_too_early)
    request_id = run_copies(run, origin, 3)
    assert len(gone) == 1 and len(images_of(request_id)) == 4
    assert gone[0].storage_key not in {image.storage_key for image in images_of(request_id)}
    assert all_are_stored(stages, request_id)
