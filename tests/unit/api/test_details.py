from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from .conftest import Upload
from tests.support.work import process


@pytest.fixture
def database_url(ledger_url: str) -> str:
    """Return the URL of a fresh ledger, once for each kind of database."""
    return ledger_url


@pytest.fixture
def seven(upload: Upload) -> str:
    """Upload seven images, and return the id of the job."""
    rows = [f"{number},SKU{number},http://a.test/{number}.jpg" for number in range(7)]
    content = "\n".join(["S. No.,Product Name,Input Image Urls", *rows]).encode()
    request_id: str = upload(content).json["request_id"]
    return request_id


def test_every_field_of_a_compressed_image_is_reported(
    app: Flask, client: FlaskClient, request_id: str
) -> None:
    process(app, request_id)
    answer = client.get(f"/job/details/{request_id}").json
    assert (answer["request_id"], answer["total"], answer["page"]) == (request_id, 3, 1)
    image = answer["images"][1]
    assert image == {
        "image_id": image["image_id"],
        "row_number": 2,
        "serial_number": "1",
        "product_name": "SKU1",
        "position": 1,
        "input_url": "https://shop.test/2.jpg",
        "output_url": f"http://localhost/image/{image['image_id']}/2.jpg",
        "status": "COMPLETED",
        "outcome": "target_met",
        "error": None,
        "input_bytes": 4096,
        "output_bytes": 1024,
        "width": 20,
        "height": 10,
        "output_format": "jpeg",
        "quality": 60,
        "score": 78.4,
        "rating": "high",
        "advice": None,
        "similarity": 0.784,
        "change": None,
    }


def test_every_field_of_a_failed_image_is_reported(
    app: Flask, client: FlaskClient, request_id: str
) -> None:
    process(app, request_id, fails={0})
    image = client.get(f"/job/details/{request_id}?status=FAILED").json["images"][0]
    assert image["status"] == "FAILED"
    assert image["error"] == {
        "code": "source_status",
        "message": "HTTP 404. The server did not give the image.",
    }
    assert {
        image[name]
        for name in (
            "output_url",
            "outcome",
            "input_bytes",
            "output_bytes",
            "width",
            "height",
            "output_format",
            "quality",
            "score",
            "rating",
            "advice",
            "similarity",
        )
    } == {None}


def _walk(client: FlaskClient, path: str) -> list[list[str]]:
    """Follow the links of `next`, and return the serial numbers of each page."""
    pages = []
    url: str | None = path
    while url:
        answer = client.get(url).json
        pages.append([image["serial_number"] for image in answer["images"]])
        url = answer["next"]
    return pages


def test_pages_follow_the_file(client: FlaskClient, seven: str) -> None:
    assert _walk(client, f"/job/details/{seven}?per_page=3") == [
        ["0", "1", "2"],
        ["3", "4", "5"],
        ["6"],
    ]


def test_a_page_is_found_by_its_number(client: FlaskClient, seven: str) -> None:
    answer = client.get(f"/job/details/{seven}?per_page=3&page=2").json
    assert [image["serial_number"] for image in answer["images"]] == ["3", "4", "5"]
    assert client.get(answer["prev"]).json["page"] == 1
    assert client.get(answer["next"]).json["page"] == 3


def test_behind_the_last_page_there_is_nothing(client: FlaskClient, seven: str) -> None:
    answer = client.get(f"/job/details/{seven}?page=1000000000&per_page=1000").json
    assert answer["images"] == [] and answer["next"] is None and answer["total"] == 7


@pytest.mark.parametrize(
    ("status", "pages"),
    [("COMPLETED", [["0", "2"], ["6"]]), ("FAILED", [["1", "5"]]), ("PENDING", [["3", "4"]])],
)
def test_images_are_filtered_by_status(
    app: Flask, client: FlaskClient, seven: str, status: str, pages: list[list[str]]
) -> None:
    process(app, seven, only={0, 1, 2, 5, 6}, fails={1, 5})
    path = f"/job/details/{seven}?status={status}&per_page=2"
    assert _walk(client, path) == pages
    assert client.get(path).json["total"] == sum(map(len, pages))
    for number, serial_numbers in enumerate(pages, 1):
        answer = client.get(f"{path}&page={number}").json
        assert [image["serial_number"] for image in answer["images"]] == serial_numbers
    assert client.get(f"{path}&page={len(pages) + 1}").json["images"] == []


def test_following_the_links_misses_nothing_while_the_job_runs(
    app: Flask, client: FlaskClient, seven: str
) -> None:
    first = client.get(f"/job/details/{seven}?status=PENDING&per_page=2").json
    assert [image["serial_number"] for image in first["images"]] == ["0", "1"]
    process(app, seven, only={0, 1, 2})
    second = client.get(first["next"]).json
    assert [image["serial_number"] for image in second["images"]] == ["3", "4"]
    assert client.get(second["prev"]).json["images"][0]["serial_number"] == "3"


@pytest.mark.parametrize(
    "query", ["status=LOST", "page=-1", "per_page=0", "after=-1", "after=2147483648"]
)
def test_a_bad_query_is_rejected_by_name(client: FlaskClient, request_id: str, query: str) -> None:
    answer = client.get(f"/job/details/{request_id}?{query}")
    assert answer.status_code == 400
    assert [issue["field"] for issue in answer.json["errors"]] == [query.split("=")[0]]
