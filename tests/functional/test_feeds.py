"""A feed fetches its catalogue by itself, and compresses only what changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from ..origin.plain import PlainOrigin
from tests.support.photos import sample
from tests.support.service import Service, wait_until

JPEG = (200, "image/jpeg", sample("rocket.jpg"))
PHOTOS = {"/rocket.jpg": JPEG, "/again.jpg": JPEG}


@pytest.fixture
def origin() -> Iterator[PlainOrigin]:
    with PlainOrigin(PHOTOS, distinct=True) as origin:
        origin.headers |= {path: {"ETag": f'"{path}"'} for path in PHOTOS}
        yield origin


def _publish(origin: PlainOrigin, *photos: str) -> None:
    rows = [f"{number},Photo,{origin.url(photo)}" for number, photo in enumerate(photos, 1)]
    table = "\n".join(["S. No.,Product Name,Input Image Urls", *rows, ""])
    origin.files["/products.csv"] = (200, "text/csv", table.encode())
    origin.headers["/products.csv"] = {"ETag": f'"{len(photos)}"'}


def _feed(service: Service, feed_id: str) -> dict[str, Any]:
    feed: dict[str, Any] = service.get(f"/feeds/{feed_id}").json()
    return feed


def _run(service: Service, feed_id: str) -> dict[str, Any]:
    """Make a run now, and return the feed once it has ended."""
    before = _feed(service, feed_id)["last_run"]
    requests.post(f"{service.url}/feeds/{feed_id}/run", timeout=30).raise_for_status()
    wait_until(lambda: _feed(service, feed_id)["last_run"] != before, 60, lambda: service.log)
    return _feed(service, feed_id)


def test_a_feed_makes_jobs_of_changed_images(
    embedded_service: Service, origin: PlainOrigin
) -> None:
    service = embedded_service
    _publish(origin, "/rocket.jpg")
    answer = requests.post(
        f"{service.url}/feeds",
        files={"csv_url": (None, origin.url("/products.csv")), "every": (None, "1d")},
        timeout=30,
    )
    assert answer.status_code == 201, answer.text
    feed_id = answer.json()["feed_id"]
    wait_until(lambda: _feed(service, feed_id)["last_run"], 60, lambda: service.log)
    feed = _feed(service, feed_id)
    assert feed["last_run"]["outcome"] == "job", feed
    first = service.finished(feed["status_url"].rpartition("/")[2])
    assert (first["status"], first["completed_images"]) == ("COMPLETED", 1)

    feed = _run(service, feed_id)
    assert feed["last_run"]["outcome"] == "not_modified", feed
    assert feed["status_url"].endswith(first["request_id"])

    _publish(origin, "/rocket.jpg", "/again.jpg")
    feed = _run(service, feed_id)
    assert feed["last_run"]["outcome"] == "job", feed
    second = service.finished(feed["status_url"].rpartition("/")[2])
    assert second["since_request_id"] == first["request_id"]
    assert (second["unchanged_images"], second["new_images"]) == (1, 1)

    assert requests.delete(f"{service.url}/feeds/{feed_id}", timeout=30).status_code == 204
    assert service.get(f"/job/status/{second['request_id']}").status_code == 200
