"""What events contain, in which order, and how large they may become."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from imgcompress.api.openapi import EventImageSchema, StatusEventSchema
from imgcompress.ledger.jobs import cancel_job
from imgcompress.ledger.slices import pending_images
from imgcompress.worker.payloads import MAX_PAYLOAD_BYTES

from .conftest import MakeJob
from tests.support.records import claim, events_of, failure, record, success

# The payload has what the document of the interface promises, in the same order.
FIELDS = [name for name, field in StatusEventSchema().fields.items() if field.required]
IMAGE_FIELDS = list(EventImageSchema().fields)


def _finish(request_id: UUID, *, fails: int = 0) -> None:
    claimed = claim(request_id)
    results = [
        failure(image) if image.ordinal < fails else success(image)
        for image in pending_images(claimed)
    ]
    assert record(claimed, *results)


def _payloads(request_id: UUID) -> list[dict[str, Any]]:
    return [json.loads(event.payload) for event in events_of(request_id)]


def test_the_fields_have_a_fixed_order(make_job: MakeJob) -> None:
    request_id = make_job(3)
    _finish(request_id, fails=1)
    payloads = _payloads(request_id)
    assert [list(payload) for payload in payloads] == [FIELDS, FIELDS]
    assert [list(image) for image in payloads[1]["images"]] == [IMAGE_FIELDS] * 3
    assert [StatusEventSchema().validate(payload) for payload in payloads] == [{}, {}]


def test_only_images_that_are_done_are_listed(make_job: MakeJob) -> None:
    request_id = make_job(3)
    claimed = claim(request_id)
    record(claimed, success(pending_images(claimed)[0]))
    cancel_job(request_id)
    started, cancelled = _payloads(request_id)
    assert (started["images"], started["images_truncated"]) == ([], False)
    assert len(cancelled["images"]) == 1 and cancelled["images_truncated"] is False


def test_a_thousand_images_fit(make_job: MakeJob) -> None:
    request_id = make_job(
        [f"https://cdn.shop.test/catalogue/2026/large/{n:08}.jpg" for n in range(1000)],
        slice_size=1000,
    )
    _finish(request_id)
    event = events_of(request_id)[1]
    assert len(event.payload) < MAX_PAYLOAD_BYTES
    payload = json.loads(event.payload)
    assert len(payload["images"]) == 1000 and payload["images_truncated"] is False


def test_of_more_the_first_thousand_are_listed(make_job: MakeJob) -> None:
    request_id = make_job(1001, slice_size=1001)
    _finish(request_id)
    payload = _payloads(request_id)[1]
    assert len(payload["images"]) == 1000 and payload["images_truncated"] is True


def test_long_urls_shorten_the_list_and_not_the_limit(make_job: MakeJob) -> None:
    path = "\u00fc" * 5000
    request_id = make_job([f"https://cdn.shop.test/{path}/{n}.jpg" for n in range(20)])
    _finish(request_id)
    event = events_of(request_id)[1]
    payload = json.loads(event.payload)
    assert len(event.payload) <= MAX_PAYLOAD_BYTES
    assert 0 < len(payload["images"]) < 20 and payload["images_truncated"] is True


def test_a_mail_shows_the_failures_by_reason_and_only_of_the_end(make_job: MakeJob) -> None:
    request_id = make_job(3, webhook_url=None, email="team@shop.test")
    _finish(request_id, fails=2)
    (event,) = events_of(request_id)
    assert (event.channel, event.event, event.receiver) == ("email", "job.completed", "mail server")
    payload = json.loads(event.payload)
    assert payload["failures"] == [
        {"code": "source_status", "host": "images.test", "found": "", "count": 2, "example_row": 2}
    ]
    assert (payload["source_filename"], payload["completed_images"]) == ("products.csv", 1)


def test_webhook_and_mail_are_two_deliveries(make_job: MakeJob) -> None:
    request_id = make_job(1, email="team@shop.test")
    cancel_job(request_id)
    events = events_of(request_id)
    assert {event.channel for event in events} == {"webhook", "email"}
    assert len({event.id for event in events}) == 2
