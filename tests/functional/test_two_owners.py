"""Two owners of jobs on one installation: whatever one asks for, the other one is served."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from ..origin import PlainOrigin, SilentOrigin
from tests.support.photos import sample
from tests.support.service import ROOT, Service, wait_until

PHOTO = (200, "image/jpeg", sample("rocket.jpg"))
# A process has 32 places for calls that wait, and there are two.
POLLS = 100
JOBS, IMAGES, SLICE = 20, 12, 3


class Owner:
    """A caller with a key of its own."""

    def __init__(self, service: Service, name: str) -> None:
        self.url = service.url
        made = subprocess.run(
            [sys.executable, "-m", "flask", "keys", "create", name],
            cwd=ROOT,
            env=service.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        self.headers = {"Authorization": f"Bearer {made.stdout.split()[0]}"}

    def submit(self, urls: list[str]) -> str:
        """Upload a job of these URLs; return its id."""
        rows = "".join(f"{number},Lamp,{url}\n" for number, url in enumerate(urls))
        csv = f"S. No.,Product Name,Input Image Urls\n{rows}".encode()
        answer = requests.post(
            f"{self.url}/upload",
            files={"file": ("lamps.csv", csv)},
            headers=self.headers,
            timeout=30,
        )
        assert answer.status_code == 202, answer.text
        request_id: str = answer.json()["request_id"]
        return request_id

    def status(self, request_id: str, wait: int = 0) -> dict[str, Any]:
        """Return the status of a job, or wait for its change."""
        answer = requests.get(
            f"{self.url}/job/status/{request_id}",
            params={"wait": wait},
            headers=self.headers,
            timeout=60,
        )
        assert answer.ok, answer.text
        status: dict[str, Any] = answer.json()
        return status

    def cancel(self, request_id: str) -> None:
        """Cancel a job."""
        requests.post(f"{self.url}/job/cancel/{request_id}", headers=self.headers, timeout=30)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a running service that asks for keys, whose slices are small."""
    with Service(
        tmp_path_factory.mktemp("owners") / "var",
        REQUIRE_API_KEY="true",
        UPLOADS_PER_MINUTE="1000",
        READS_PER_MINUTE="100000",
        FETCH_CONCURRENCY="2",
        SLICE_SIZE=str(SLICE),
    ) as service:
        yield service


@pytest.fixture(scope="module")
def shop(service: Service) -> Owner:
    """Return an owner who asks for much."""
    return Owner(service, "shop")


@pytest.fixture(scope="module")
def agency(service: Service) -> Owner:
    """Return an owner who asks for little."""
    return Owner(service, "agency")


def test_an_owner_of_twenty_jobs_gets_no_more_than_an_owner_of_one(
    service: Service, shop: Owner, agency: Owner
) -> None:
    names = [f"/{number}.jpg" for number in range(IMAGES)]
    with PlainOrigin(dict.fromkeys(names, PHOTO), delay=0.4, distinct=True) as origin:
        urls = [origin.url(name) for name in names]

        def done() -> int:
            return sum(shop.status(job)["completed_images"] for job in jobs)

        jobs = [shop.submit(urls) for _ in range(JOBS)]
        wait_until(done, 60, lambda: service.log)
        before = done()
        one = agency.submit(urls)
        wait_until(lambda: agency.status(one)["status"] == "COMPLETED", 120, lambda: service.log)
        meanwhile = done() - before
        assert all(shop.status(job)["status"] != "COMPLETED" for job in jobs[JOBS // 2 :])
        for job in jobs:
            shop.cancel(job)
    # As many in turn, and what its workers had in hand. By jobs alone it would be twenty times as
    # many, which is all that there are.
    assert meanwhile <= 4 * IMAGES, meanwhile


def test_the_calls_of_one_owner_leave_places_to_wait_for_another(
    service: Service, shop: Owner, agency: Owner
) -> None:
    with SilentOrigin() as origin:
        many, one = (owner.submit([origin.url("/a.jpg")]) for owner in (shop, agency))
        wait_until(lambda: agency.status(one)["status"] == "PROCESSING", 60, lambda: service.log)
        wait_until(lambda: shop.status(many)["status"] == "PROCESSING", 60, lambda: service.log)
        polls = [threading.Thread(target=shop.status, args=(many, 20)) for _ in range(POLLS)]
        for poll in polls:
            poll.start()
        # Those for whom there is no place are answered at once; the others hold all places now.
        wait_until(lambda: sum(poll.is_alive() for poll in polls) <= 64, 15, lambda: service.log)
        noted: list[dict[str, Any]] = []
        waiting = threading.Thread(target=lambda: noted.append(agency.status(one, 20)))
        waiting.start()
        waiting.join(3)
        agency.cancel(one)
        waiting.join(30)
        shop.cancel(many)
        for poll in polls:
            poll.join(60)
    # Who was answered at once heard that nothing had changed.
    assert [status["status"] for status in noted] == ["CANCELLED"]
