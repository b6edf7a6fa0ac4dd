"""Sessions to read and to write with do the same on every database."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from imgcompress.ledger.jobs import cancel_job
from imgcompress.ledger.models import JobRequest
from imgcompress.ledger.session import reading, writing

from .conftest import MakeJob
from tests.support.records import job_of


def test_each_statement_of_a_reader_sees_the_newest_state(make_job: MakeJob) -> None:
    request_id = make_job()
    status = select(JobRequest.status).where(JobRequest.request_id == request_id)
    with reading() as session:
        assert session.scalar(status) == "PENDING"
        cancel_job(request_id)
        assert session.scalar(status) == "CANCELLED"


def test_nothing_of_a_writer_that_fails_is_kept(make_job: MakeJob) -> None:
    request_id = make_job()
    with pytest.raises(RuntimeError), writing() as session:
        session.execute(update(JobRequest).values(base_url="http://lost.test"))
        raise RuntimeError
    assert job_of(request_id).base_url == "http://service.test"
