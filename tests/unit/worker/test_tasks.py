"""A task's slices: begun while others hang, each recorded and released by itself."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask, current_app
from sqlalchemy import event, update
from sqlalchemy.exc import DBAPIError

from imgcompress import __version__
from imgcompress.app import create_worker_app
from imgcompress.config import load_settings
from imgcompress.errors import LedgerUnavailable, StorageUnavailable
from imgcompress.extensions import current_settings, db
from imgcompress.imaging import missing_engine
from imgcompress.ledger.deletion import purge_job, soft_delete
from imgcompress.ledger.intake import NewJob, create_job
from imgcompress.ledger.jobs import cancel_job
from imgcompress.ledger.models import JobSlice
from imgcompress.ledger.results import Success
from imgcompress.ledger.session import writing
from imgcompress.metrics import JPEG_ENGINE, SHARE
from imgcompress.storage import JobFiles
from imgcompress.worker import queue, slices
from imgcompress.worker import tasks as task
from imgcompress.worker.pipeline import Pipeline
from imgcompress.worker.slices import SliceImage
from imgcompress.worker.stages import Encoded, ImageStages

from ...faults.verdict import photo
from ...origin import PlainOrigin, SilentOrigin
from tests.support.databases import drop_encoding, execute, set_read_only, set_writable
from tests.support.new_images import NewImage, by_columns
from tests.support.records import claim, images_of, job_of, slices_of
from tests.support.service import wait_until


@pytest.fixture
def stages(
    ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ImageStages]:
    """Return the stages of a worker on a fresh ledger, which hears of no broker."""
    app = _app(ledger_url, tmp_path)
    monkeypatch.setattr(queue, "send", lambda *message: True)
    with app.app_context():
        stages = ImageStages(current_settings())
        pipeline = Pipeline(stages, concurrency=current_settings().fetch_concurrency)
        monkeypatch.setattr(task, "worker_pipeline", lambda: pipeline)
        yield stages
        pipeline.close()
        db.engine.dispose()


def _app(ledger_url: str, folder: Path) -> Flask:
    return create_worker_app(
        load_settings(
            None,
            database_url=ledger_url,
            data_dir=folder,
            fetch_timeout=4.0,
            allowed_private_networks=(ip_network("127.0.0.0/8"),),
            allowed_ports=((1024, 65535),),
        )
    )


@pytest.fixture
def origin() -> Iterator[PlainOrigin]:
    """Return an origin of 200 photos."""
    answer = (200, "image/jpeg", photo())
    files = {f"/{number}.jpg": answer for number in range(200)}
    with PlainOrigin(files, distinct=True) as origin:
        yield origin


def _job(urls: list[str], slice_size: int, **options: Any) -> UUID:
    job = NewJob(
        uuid4(),
        "products.csv",
        options,
        "http://service.test",
        total_rows=len(urls),
        total_images=len(urls),
        webhook_url=None,
    )
    create_job(
        job,
        by_columns(NewImage(2, place, "", "", url) for place, url in enumerate(urls)),
        slice_size=slice_size,
    )
    return job.request_id


def _photos(origin: PlainOrigin, images: int) -> list[str]:
    return [origin.url(f"/{number}.jpg") for number in range(images)]


def _process(request_id: UUID, slice_no: int = 0) -> None:
    task.process_csv.run(str(request_id), slice_no)


def test_a_task_goes_on_with_the_next_slices(stages: ImageStages, origin: PlainOrigin) -> None:
    request_id = _job(_photos(origin, 12), slice_size=5)
    _process(request_id)
    job = job_of(request_id)
    assert (job.status, job.completed_images) == ("COMPLETED", 12)
    assert {part.state for part in slices_of(request_id)} == {"DONE"}
    assert all(image.attempts == 1 for image in images_of(request_id))


def test_images_are_requested_with_the_headers_of_their_job(
    stages: ImageStages, origin: PlainOrigin
) -> None:
    plain = _job(_photos(origin, 1), slice_size=1)
    asking = _job(
        _photos(origin, 2),
        slice_size=2,
        quality=60,
        request_headers={
            "User-Agent": "ShopBot/1.0",
            "Referer": "https://shop.test/",
            "Accept-Language": "de",
        },
    )
    _process(plain)
    _process(asking)
    assert [job_of(request_id).completed_images for request_id in (plain, asking)] == [1, 2]
    assert [
        [request.headers.get(name) for name in ("user-agent", "referer", "accept-language")]
        for request in origin.requests
    ] == [
        [f"imgcompress/{__version__}", None, None],
        *[["ShopBot/1.0", "https://shop.test/", "de"]] * 2,
    ]


def test_verdicts_of_the_jpeg_engine_are_counted(stages: ImageStages, origin: PlainOrigin) -> None:
    SHARE.take()
    _process(_job(_photos(origin, 3), slice_size=5))
    verdict = "not_built" if missing_engine() else "used"
    assert SHARE.take()[JPEG_ENGINE.sample(verdict)] == 3


def test_a_late_message_still_starts_work(stages: ImageStages, origin: PlainOrigin) -> None:
    request_id = _job(_photos(origin, 4), slice_size=2)
    held = claim(request_id, 0)
    _process(request_id, 0)
    assert [image.status for image in images_of(request_id)] == [
        "PENDING",
        "PENDING",
        "COMPLETED",
        "COMPLETED",
    ]
    assert slices_of(request_id)[0].attempt == held.attempt


def test_an_image_that_hangs_holds_up_neither_its_job_nor_another(
    stages: ImageStages, origin: PlainOrigin
) -> None:
    with SilentOrigin() as silent:
        hanging = _job([silent.url("/0.jpg"), *_photos(origin, 5)], slice_size=2)
        healthy = _job(_photos(origin, 5), slice_size=2)
        _process(hanging)
        assert silent.hits.total() == 0 and silent.connections == 1
    assert job_of(healthy).status == "COMPLETED"
    stuck, *others = images_of(hanging)
    assert stuck.status == "PENDING" and stuck.attempts == 1
    assert {image.status for image in others} == {"COMPLETED"}
    finished = max(part.lease_until is None for part in slices_of(hanging))
    assert finished and job_of(hanging).status == "PROCESSING"


def test_a_cancelled_job_is_given_up_and_the_others_go_on(
    stages: ImageStages, origin: PlainOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelled, other = _job(_photos(origin, 60), 60), _job(_photos(origin, 60), 60)
    note = stages.circuits.note

    def cancel(*given: Any) -> None:
        cancel_job(cancelled)
        note(*given)

    monkeypatch.setattr(stages.circuits, "note", cancel)
    _process(cancelled)
    assert {image.status for image in images_of(cancelled)} == {"PENDING"}
    assert job_of(other).status == "COMPLETED"


def _keys(stages: ImageStages) -> set[str]:
    return {file.key for file in stages.storage.list("images")}


def _cancel(stages: ImageStages, request_id: UUID) -> None:
    cancel_job(request_id)


def _delete(stages: ImageStages, request_id: UUID) -> None:
    erasure = soft_delete(request_id, None)
    if erasure is not None:
        purge_job(erasure, JobFiles(stages.storage))


@pytest.mark.parametrize("end", [_cancel, _delete])
def test_a_cancelled_or_deleted_job_leaves_no_files(
    stages: ImageStages,
    origin: PlainOrigin,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[ImageStages, UUID], None],
) -> None:
    ended, other = _job(_photos(origin, 60), 60), _job(_photos(origin, 20), 10)
    store, compress = stages.store, stages.compress

    def store_many(item: SliceImage, encoded: Encoded) -> Success:
        if item.slice.claim.request_id == ended and item.image.ordinal == 10:
            end(stages, ended)
        return store(item, encoded)

    def slowly(item: SliceImage, data: bytes) -> Encoded:
        time.sleep(0.05)
        return compress(item, data)

    monkeypatch.setattr(stages, "store", _in_context(store_many))
    monkeypatch.setattr(stages, "compress", slowly)
    _process(ended)
    assert job_of(other).status == "COMPLETED"
    assert {part.not_before for part in slices_of(other)} == {None}
    found = {
        image.storage_key for job in (ended, other) for image in images_of(job) if image.storage_key
    }
    wait_until(lambda: _keys(stages) == found, 10)


def _in_context(act: Callable[..., Any]) -> Callable[..., Any]:
    """Let a thread of the runner use the ledger."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]

    def acting(*given: Any) -> Any:
        with app.app_context():
            return act(*given)

    return acting


def test_a_failing_storage_delays_every_slice(
    stages: ImageStages, origin: PlainOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(key: str, data: bytes) -> None:
        raise StorageUnavailable()

    request_id = _job(_photos(origin, 4), slice_size=2)
    monkeypatch.setattr(stages.storage, "write", refuse)
    _process(request_id)
    assert {image.status for image in images_of(request_id)} == {"PENDING"}
    first = slices_of(request_id)[0]
    assert first.state == "QUEUED" and first.not_before is not None


def test_an_image_costs_the_ledger_less_than_one_and_a_half_statements(
    stages: ImageStages, origin: PlainOrigin
) -> None:
    images, statements = 200, 0
    request_id = _job(_photos(origin, images), current_settings().slice_size)

    def count(*arguments: object) -> None:
        nonlocal statements
        statements += 1

    for engine in db.engines.values():
        event.listen(engine, "before_cursor_execute", count)
    _process(request_id)
    assert job_of(request_id).status == "COMPLETED"
    assert statements < 1.5 * images, statements


@pytest.fixture
def little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the time of every slice be up soon."""
    monkeypatch.setattr(slices, "slice_seconds", lambda fetch_timeout: 0.3)


@pytest.mark.usefixtures("little_time")
def test_an_image_that_outlasts_the_time_of_its_slice_is_waited_for(
    stages: ImageStages, origin: PlainOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    compress, taken = stages.compress, Counter[int]()

    def slowly(item: SliceImage, data: bytes) -> Encoded:
        taken[item.image.ordinal] += 1
        time.sleep(0.5)
        return compress(item, data)

    monkeypatch.setattr(stages, "compress", slowly)
    request_id = _job(_photos(origin, 3), slice_size=3)
    for _ in range(3):
        _process(request_id)
    assert job_of(request_id).status == "COMPLETED"
    assert taken == {0: 1, 1: 1, 2: 1}
    assert slices_of(request_id)[0].attempt > 1


@pytest.mark.usefixtures("little_time")
def test_an_image_that_hangs_fails_when_the_time_of_its_slice_is_up(
    stages: ImageStages, origin: PlainOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, ended = threading.Event(), []
    monkeypatch.setattr(stages, "compress", lambda *given: released.wait())
    monkeypatch.setattr(stages, "compress_seconds", lambda item: 0.8)
    monkeypatch.setattr(task.os, "kill", lambda *given: ended.append(given))
    request_id = _job(_photos(origin, 3), slice_size=3)
    _process(request_id)
    released.set()
    assert ended == [(os.getpid(), signal.SIGKILL)]
    assert sorted(image.error_code or "" for image in images_of(request_id)) == [
        "",
        "",
        "compress_timeout",
    ]


NOT_UTF8 = {"sqlite": "CAST(x'68ff' AS TEXT)", "postgresql": "E'h\\xff'"}
NO_JSON = {"sqlite": "'{broken'"}
NO_HOST = dict.fromkeys(NOT_UTF8, "'http://['")


@pytest.mark.parametrize(
    "column, values, code",
    [
        ("input_url", NOT_UTF8, "internal_error"),
        ("options", NO_JSON, "internal_error"),
        ("input_url", NO_HOST, "url_not_allowed"),
    ],
)
def test_an_image_whose_row_cannot_be_read_fails_alone(
    stages: ImageStages,
    origin: PlainOrigin,
    ledger_url: str,
    column: str,
    values: dict[str, str],
    code: str,
) -> None:
    dialect = db.engine.dialect.name
    if dialect not in values:
        pytest.skip("This database refuses such a value.")
    request_id = _job(_photos(origin, 5), slice_size=5)
    _spoil(
        ledger_url, f"UPDATE compressed_images SET {column} = {values[dialect]} WHERE ordinal = 2"
    )

    _process(request_id)
    job = job_of(request_id)
    assert (job.status, job.completed_images, job.failed_images) == ("COMPLETED", 4, 1)
    failed = [image for image in images_of(request_id) if image.status == "FAILED"]
    assert [(image.ordinal, image.error_code) for image in failed] == [(2, code)]
    assert {part.state for part in slices_of(request_id)} == {"DONE"}


def _spoil(ledger_url: str, statement: str) -> None:
    """Write what cannot be read."""
    if db.engine.dialect.name == "postgresql":
        drop_encoding(ledger_url)
        execute(ledger_url, "SET client_encoding = 'SQL_ASCII'", statement)
    else:
        with db.engine.begin() as connection:
            connection.exec_driver_sql(statement)


UNREADABLE_JOBS = [
    ("options", NO_JSON),
    ("reading", NO_JSON),
    ("base_url", NOT_UTF8),
    ("source_filename", NOT_UTF8),
    ("owner", NOT_UTF8),
]


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("column, values", UNREADABLE_JOBS)
def test_a_job_whose_row_cannot_be_read_fails_and_ends(
    stages: ImageStages,
    origin: PlainOrigin,
    ledger_url: str,
    caplog: pytest.LogCaptureFixture,
    column: str,
    values: dict[str, str],
    started: bool,
) -> None:
    dialect = db.engine.dialect.name
    if dialect not in values:
        pytest.skip("This database refuses such a value.")
    request_id = _job(_photos(origin, 5), slice_size=2)
    # The event of its end has the file's name in it.
    spoil = f"UPDATE job_request SET {column} = {values[dialect]}, webhook_url = 'http://r.test'"
    _spoil(ledger_url, spoil + (", status = 'PROCESSING'" if started else ""))

    for number in (0, 1, 2, 0, 1, 2):
        with suppress(DBAPIError, ValueError, UnicodeError):
            _process(request_id, number)
        with writing() as session:
            session.execute(update(JobSlice).values(lease_until=datetime(2000, 1, 1, tzinfo=UTC)))
    job, images = job_of(request_id), images_of(request_id)
    assert job.status in ("COMPLETED", "FAILED") and job.failed_images > 0
    assert job.completed_images + job.failed_images == 5
    assert {image.error_code for image in images} <= {None, "internal_error"}
    assert {part.state for part in slices_of(request_id)} == {"DONE"}
    assert caplog.text.count(f"The row of job {request_id} cannot be read ({column})") == 1


@pytest.mark.postgres
@pytest.mark.parametrize("ledger_url", ["postgres"], indirect=True)
def test_results_are_kept_while_the_ledger_is_read_only(
    stages: ImageStages, origin: PlainOrigin, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id, rejected = _job(_photos(origin, 6), slice_size=6), threading.Event()
    store, record = stages.store, slices.record_and_release

    def store_and_harm(item: SliceImage, encoded: Encoded) -> Success:
        if item.image.ordinal == 5:
            set_read_only(ledger_url)
        return store(item, encoded)

    def record_or_mend(*arguments: Any, **options: Any) -> bool:
        try:
            return record(*arguments, **options)
        except LedgerUnavailable:
            rejected.set()
            set_writable(ledger_url)
            raise

    monkeypatch.setattr(stages, "store", store_and_harm)
    monkeypatch.setattr(slices, "record_and_release", record_or_mend)
    _process(request_id)
    assert rejected.is_set()
    assert job_of(request_id).status == "COMPLETED"
    assert [(part.state, part.attempt) for part in slices_of(request_id)] == [("DONE", 1)]
    assert set(origin.hits.values()) == {1}
