"""The ledger under random orders of everything that can happen to a job."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import update

from imgcompress.app import create_worker_app
from imgcompress.config import load_settings
from imgcompress.extensions import db
from imgcompress.ledger import slices
from imgcompress.ledger.intake import NewJob, create_job
from imgcompress.ledger.jobs import cancel_job, retry_job
from imgcompress.ledger.models import CompressedImage, JobSlice, utcnow
from imgcompress.ledger.results import ClaimLost, Postponement, Result, record_results
from imgcompress.ledger.session import writing
from imgcompress.ledger.slices import (
    Claim,
    claim_slice,
    expire_leases,
    pending_images,
    release_slice,
    reserve_slices,
)

from tests.support.new_images import NewImage, by_columns
from tests.support.records import events_of, failure, images_of, job_of, success

IMAGES, SLICE_SIZE = 7, 2
SLICES = -(-IMAGES // SLICE_SIZE)
TERMINAL = {"COMPLETED", "FAILED", "CANCELLED"}
slice_numbers = st.integers(0, SLICES - 1)
urls = st.lists(
    st.sampled_from([f"https://a.test/{n}.jpg" for n in range(5)]), min_size=IMAGES, max_size=IMAGES
)


class Ledger(RuleBasedStateMachine):
    """One job, workers that claim, work, die and come back late, and recovery in between."""

    request_id: UUID

    def __init__(self) -> None:
        super().__init__()
        self.claims: list[Claim] = []
        self.seen: tuple[int, int] = (1, 0)

    @initialize(urls=urls)
    def upload(self, urls: list[str]) -> None:
        self.request_id = uuid4()
        create_job(
            NewJob(
                self.request_id,
                "products.csv",
                {},
                "http://service.test",
                total_rows=IMAGES,
                total_images=IMAGES,
                webhook_url="https://h.test/",
            ),
            by_columns(NewImage(row + 2, 0, "", "", url) for row, url in enumerate(urls)),
            slice_size=SLICE_SIZE,
        )

    @rule(slice_no=slice_numbers)
    def deliver(self, slice_no: int) -> None:
        """A message arrives: the first one, a copy, or one that is late."""
        claim = claim_slice(self.request_id, slice_no, lease_seconds=60)
        if claim is not None:
            self.claims.append(claim)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), kinds=st.lists(st.sampled_from("sfp"), min_size=1, max_size=3))
    def work(self, data: st.DataObject, kinds: list[str]) -> None:
        """A worker records some images, perhaps one that has lost its claim long ago."""
        claim = data.draw(st.sampled_from(self.claims))
        results = [
            _result(kind, image) for kind, image in zip(kinds, pending_images(claim), strict=False)
        ]
        try:
            record_results(claim, results, lease_seconds=60)
        except ClaimLost:
            self.claims.remove(claim)

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def hand_back(self, data: st.DataObject) -> None:
        """A worker releases its slice, whatever is left of it."""
        claim = data.draw(st.sampled_from(self.claims))
        self.claims.remove(claim)
        release_slice(claim)

    @rule(slice_no=slice_numbers)
    def expire(self, slice_no: int) -> None:
        """A worker falls silent for longer than its lease; it may still wake up."""
        with writing() as session:
            session.execute(
                update(JobSlice)
                .where(JobSlice.slice_no == slice_no, JobSlice.lease_until.is_not(None))
                .values(lease_until=utcnow())
            )

    @rule()
    def wait(self) -> None:
        """The pauses of postponed images pass."""
        with writing() as session:
            for table in (CompressedImage, JobSlice):
                session.execute(update(table).values(not_before=None))

    @rule(in_queue=st.integers(0, SLICES))
    def recover(self, in_queue: int) -> None:
        expire_leases()
        slices.republish_lost_slices(in_queue, older_than=-1)
        slices.close_finished_jobs()
        for request_id in slices.jobs_to_publish(10):
            reserve_slices(request_id, 2)

    @rule()
    def retry(self) -> None:
        retry_job(self.request_id)

    @precondition(lambda self: len(self.claims) > 1)
    @rule()
    def cancel(self) -> None:
        cancel_job(self.request_id)

    @invariant()
    def the_counters_are_what_the_images_say(self) -> None:
        job, images = job_of(self.request_id), images_of(self.request_id)
        statuses = [image.status for image in images]
        assert job.completed_images == statuses.count("COMPLETED")
        assert job.failed_images == statuses.count("FAILED")
        assert len(images) == job.total_images == IMAGES
        assert job.output_bytes == sum(
            image.output_bytes or 0 for image in images if image.status == "COMPLETED"
        )

    @invariant()
    def the_percentage_never_falls_and_100_means_the_end(self) -> None:
        job = job_of(self.request_id)
        if job.epoch == self.seen[0]:
            assert job.completion_percentage >= self.seen[1]
        self.seen = (job.epoch, job.completion_percentage)
        assert job.completion_percentage < 100 or job.status in TERMINAL
        if job.status in ("COMPLETED", "FAILED"):
            assert job.completion_percentage == 100
            assert job.completed_images + job.failed_images == IMAGES

    @invariant()
    def each_epoch_ends_once_at_most(self) -> None:
        ends = [
            event.epoch
            for event in events_of(self.request_id)
            if event.event.removeprefix("job.").upper() in TERMINAL
        ]
        assert len(ends) == len(set(ends))

    def teardown(self) -> None:
        """Left alone with workers that work, every job that was not cancelled comes to its end."""
        if not hasattr(self, "request_id"):
            return
        for _ in range(2 * SLICES):
            self.wait()
            for slice_no in range(SLICES):
                self.expire(slice_no)
            expire_leases()
            self._work_through()
        assert job_of(self.request_id).status in TERMINAL

    def _work_through(self) -> None:
        for slice_no in range(SLICES):
            claim = claim_slice(self.request_id, slice_no, lease_seconds=60)
            if claim is not None:
                record_results(
                    claim, [success(image) for image in pending_images(claim)], lease_seconds=60
                )
                release_slice(claim)
        slices.close_finished_jobs()


def _result(kind: str, image: Any) -> Result:
    if kind == "p":
        return Postponement(image, 0)
    return success(image) if kind == "s" else failure(image)


@pytest.fixture
def ledger(sqlite_template: Path, tmp_path: Path) -> Iterator[None]:
    """Open a ledger for the machine: one for all of its runs."""
    url = f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'ledger.sqlite3')}"
    app = create_worker_app(load_settings(None, database_url=url, data_dir=tmp_path))
    with app.app_context():
        yield
        db.engine.dispose()


def test_the_promises_hold_in_every_order(ledger: None) -> None:
    run_state_machine_as_test(
        Ledger,
        settings=settings(
            max_examples=20,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
