"""The same content under many URLs is compressed once by all worker processes together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..faults.installation import Installation
from ..origin import PlainOrigin
from ..origin.server import Request
from tests.support.databases import fresh_database
from tests.support.images import encoded, photo
from tests.support.service import wait_until

CONTENTS, URLS, SLICE = 5, 40, 10


class PatientOrigin(PlainOrigin):
    """Answers for all but the first images only when the first ones are `written`."""

    def __init__(self, photos: list[bytes]) -> None:
        self.written = threading.Event()
        super().__init__(
            {
                f"/{number}.jpg": (200, "image/jpeg", photos[number % len(photos)])
                for number in range(URLS)
            }
        )

    def _answer(self, request: Request) -> bytes:
        if int(request.path.strip("/.jpg")) >= CONTENTS:
            self.written.wait(60)
        return super()._answer(request)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Return the setting of an empty database."""
    if request.param == "sqlite":
        yield {}
        return
    with fresh_database() as url:
        yield {"DATABASE_URL": url}


def test_forty_urls_of_five_contents_are_compressed_five_times(
    database: dict[str, str], tmp_path: Path
) -> None:
    photos = [encoded(photo(200 + 10 * number), "JPEG") for number in range(CONTENTS)]
    with (
        PatientOrigin(photos) as origin,
        Installation(tmp_path / "var", SLICE_SIZE=str(SLICE), **database) as service,
    ):
        rows = "".join(f"{n},P,{origin.url(path)}\n" for n, path in enumerate(origin.files))
        request_id = service.submit(f"S. No.,Product Name,Input Image Urls\n{rows}".encode())
        leased = "SELECT DISTINCT holder FROM job_slice WHERE state = 'LEASED'"
        # The first images are written, and the other process has slices in hand.
        wait_until(
            lambda: (
                service.status(request_id)["completed_images"] == CONTENTS
                and len(service.query(leased)) == 2  # type: ignore[attr-defined]
            ),
            60,
            lambda: service.log,
        )
        origin.written.set()
        assert service.finished(request_id)["completed_images"] == URLS, service.log
        assert len(list((tmp_path / "var").rglob("images/*/*.jpg"))) == CONTENTS
        images = service.get(f"/job/details/{request_id}").json()["images"]
        addresses = {image["output_url"] for image in images}
        outputs = {service.get(url.removeprefix(service.url)).content for url in addresses}
        assert len(addresses) == URLS and len(outputs) == CONTENTS
