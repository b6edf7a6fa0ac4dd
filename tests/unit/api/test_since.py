"""An upload that is compared with an earlier job."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient

from imgcompress.ledger.jobs import cancel_job
from imgcompress.ledger.models import Change
from imgcompress.ledger.slices import pending_images

from ..ledger.test_sharing import complete, compressed, taken_over
from .conftest import CATALOGUE, Upload
from tests.support.records import claim, events_of, job_of, record

COMPARED = (
    "since_request_id",
    "unchanged_images",
    "changed_images",
    "new_images",
    "removed_images",
    "bytes_not_downloaded",
)
ONE_LESS = CATALOGUE.replace(b"https://shop.test/3.png", b"https://shop.test/4.png")


def counts(client: FlaskClient, request_id: str) -> list[Any]:
    """Return what the status says of the comparison."""
    status = client.get(f"/job/status/{request_id}").json
    return [status[name] for name in COMPARED]


@pytest.fixture
def first(app: Flask, request_id: str) -> str:
    """Return a job that has ended."""
    with app.app_context():
        complete(UUID(request_id))
    return request_id


def test_a_job_without_since_compares_nothing(client: FlaskClient, first: str) -> None:
    assert counts(client, first) == [None] * 6


@pytest.mark.parametrize("named", ["latest", "its id"])
def test_the_status_counts_what_changed(
    app: Flask, client: FlaskClient, upload: Upload, first: str, named: str
) -> None:
    since = first if named == "its id" else named
    answer = upload(since=since, trust="12h", webhook_url="https://hooks.test/")
    second = answer.json["request_id"]
    assert counts(client, second) == [first, 0, 0, 0, 0, 0]
    with app.app_context():
        complete(UUID(second))
        assert job_of(UUID(second)).trust_seconds == 12 * 3600
        payload = json.loads(events_of(UUID(second))[-1].payload)
    assert counts(client, second) == [first, 3, 0, 0, 0, 3000]
    assert [payload[name] for name in COMPARED] == counts(client, second)


def test_removed_images_are_counted(client: FlaskClient, upload: Upload, first: str) -> None:
    second = upload(ONE_LESS, since=first).json["request_id"]
    assert counts(client, second) == [first, 0, 0, 0, 1, 0]


def test_the_latest_job_may_not_exist(client: FlaskClient, upload: Upload) -> None:
    request_id = upload(since="latest").json["request_id"]
    assert counts(client, request_id) == [None, 0, 0, 0, 0, 0]


def test_the_latest_job_has_the_same_options(
    client: FlaskClient, upload: Upload, first: str
) -> None:
    request_id = upload(since="latest", format="webp").json["request_id"]
    assert counts(client, request_id)[0] is None


def test_a_job_that_compressed_nothing_is_not_the_latest(
    app: Flask, client: FlaskClient, upload: Upload, first: str
) -> None:
    cancelled = upload().json["request_id"]
    with app.app_context():
        cancel_job(UUID(cancelled))
    assert counts(client, upload(since="latest").json["request_id"])[0] == first


@pytest.mark.parametrize(
    ("options", "field", "code"),
    [
        ({"since": "yesterday"}, "since", "invalid_since"),
        ({"since": str(uuid4())}, "since", "invalid_since"),
        ({"since": "latest", "trust": "30"}, "trust", "invalid_trust"),
        ({"since": "latest", "trust": "366d"}, "trust", "invalid_trust"),
        ({"since": "latest", "trust": "30d", "fresh": "true"}, "trust", "invalid_trust"),
        ({"trust": "30d"}, "trust", "invalid_trust"),
        ({"fresh": "true"}, "fresh", "invalid_fresh"),
    ],
)
def test_invalid_uses_of_since_are_rejected(
    upload: Upload, options: dict[str, str], field: str, code: str
) -> None:
    answer = upload(**options)
    assert answer.status_code == 400
    (issue,) = answer.json["errors"]
    assert (issue["field"], issue["code"]) == (field, code)


def images(client: FlaskClient, request_id: str, change: str) -> tuple[int, list[tuple[str, str]]]:
    """Return how many images a job has with this change, and those of the first page."""
    page = client.get(f"/job/details/{request_id}?change={change}").json
    return page["total"], [(image["input_url"], image["change"]) for image in page["images"]]


def test_images_are_listed_by_their_change(
    app: Flask, client: FlaskClient, upload: Upload, first: str
) -> None:
    second = upload(ONE_LESS, since=first).json["request_id"]
    with app.app_context():
        held = claim(UUID(second))
        same, also_same, other = pending_images(held)
        new = replace(compressed(held, other), change=Change.NEW)
        record(held, taken_over(held, same), taken_over(held, also_same), new)
    assert images(client, second, "unchanged") == (
        2,
        [(f"https://shop.test/{number}.jpg", "unchanged") for number in (1, 2)],
    )
    assert images(client, second, "new") == (1, [("https://shop.test/4.png", "new")])
    assert images(client, second, "changed") == (0, [])
    assert images(client, second, "removed") == (1, [("https://shop.test/3.png", "removed")])
    assert images(client, first, "removed") == images(client, first, "unchanged") == (0, [])


def test_the_output_has_a_column_with_what_changed(
    app: Flask, client: FlaskClient, upload: Upload, first: str
) -> None:
    second = upload(since=first).json["request_id"]
    with app.app_context():
        complete(UUID(second))
    with client.get(f"/job/download/{second}") as answer:
        header, row, _ = answer.text.splitlines()
    assert header.endswith("Image Errors,Change") and row.endswith(',"unchanged,unchanged"')
    with client.get(f"/job/download/{first}") as answer:
        assert "Change" not in answer.text


def test_a_report_lists_what_changed_where_the_output_replaces_urls(
    app: Flask, client: FlaskClient, upload: Upload, first: str
) -> None:
    second = upload(since=first, output="replace").json["request_id"]
    with app.app_context():
        complete(UUID(second))
    with client.get(f"/job/download/{second}") as answer:
        assert "Change" not in answer.text
    with client.get(f"/job/download/{second}?report=true") as answer:
        header, *rows = answer.text.splitlines()
        assert "filename=products-report.csv" in answer.headers["Content-Disposition"]
    assert header == "Row,Column,URL,Code,Message,Change"
    assert rows == [
        f"{row},Input Image Urls,https://shop.test/{name},,,unchanged"
        for row, name in ((2, "1.jpg"), (2, "2.jpg"), (3, "3.png"))
    ]


def test_the_change_filter_stands_alone(client: FlaskClient, first: str) -> None:
    for query in ("change=new&page=2", "change=new&outcome=target_met", "change=old"):
        assert client.get(f"/job/details/{first}?{query}").status_code == 400


def test_removed_images_are_read_page_by_page(
    client: FlaskClient, upload: Upload, first: str
) -> None:
    none_left = CATALOGUE.replace(b"shop.test", b"other.test")
    second = upload(none_left, since=first).json["request_id"]
    url, found = f"/job/details/{second}?change=removed&per_page=2", []
    while url:
        page = client.get(url).json
        found += [image["input_url"] for image in page["images"]]
        url = page["next"]
    assert found == [f"https://shop.test/{name}" for name in ("1.jpg", "2.jpg", "3.png")]
