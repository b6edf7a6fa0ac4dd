"""The calls that integrators rely on, against the whole service."""

from __future__ import annotations

import http.client
import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import requests

from ..origin import PlainOrigin
from tests.support.parallel import in_parallel
from tests.support.photos import sample
from tests.support.receiver import Receiver
from tests.support.service import ROOT, Service, wait_until

PHOTO = (200, "image/jpeg", sample("rocket.jpg"))
BROKEN = (404, "text/plain", b"Not yet.\n")
KEPT_ON_DISK = ("csv", "images")


def _csv(*urls: str) -> bytes:
    rows = [f"{number},Größe {number},{url}" for number, url in enumerate(urls)]
    return "\n".join(["S. No.,Product Name,Input Image Urls", *rows]).encode()


def _files_of(service: Service, request_id: str) -> list[Path]:
    storage = service.data_dir / "storage"
    return [path for kind in KEPT_ON_DISK for path in (storage / kind / request_id).rglob("*")]


def test_failed_images_complete_when_their_origin_has_recovered(service: Service) -> None:
    with PlainOrigin({"/a.jpg": PHOTO, "/b.jpg": BROKEN}) as origin, Receiver() as receiver:
        url = origin.url("")
        request_id = service.submit(
            _csv(f"{url}/a.jpg", f"{url}/b.jpg", f"{url}/b.jpg"), webhook_url=receiver.url
        )
        first = service.finished(request_id)
        assert (first["completed_images"], first["failed_images"]) == (1, 2)
        done = service.details(request_id)[0]["output_url"]
        origin.files["/b.jpg"] = PHOTO
        answer = requests.post(
            f"{service.url}/job/retry/{request_id}?codes=source_status", timeout=30
        )
        assert answer.status_code == 202, answer.text
        last = service.finished(request_id)
        assert (last["status"], last["completed_images"], last["failed_images"]) == (
            "COMPLETED",
            3,
            0,
        )
        assert last["errors"] == [] and origin.hits["/a.jpg"] == 1 and origin.hits["/b.jpg"] == 2
        assert service.details(request_id)[0]["output_url"] == done
        wait_until(lambda: len(receiver.of(request_id)) == 5, 30, lambda: service.log)
    result = sorted(arrival.event["status"] for arrival in receiver.of(request_id))
    assert result == ["COMPLETED", "COMPLETED", "PENDING", "PROCESSING", "PROCESSING"]


def test_the_archive_holds_the_images(
    service: Service, origin: PlainOrigin, tmp_path: Path
) -> None:
    origin.files["/a.jpg"] = PHOTO
    request_id = service.submit(_csv(origin.url("/a.jpg"), origin.url("/lost.jpg")))
    service.finished(request_id)
    answer = service.get(f"/job/archive/{request_id}")
    archive = ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None and archive.namelist() == ["Größe 0-2-1.jpg"]
    stored = service.details(request_id)[0]["output_url"]
    assert archive.read("Größe 0-2-1.jpg") == requests.get(stored, timeout=30).content


def test_a_deleted_job_leaves_nothing(service: Service, origin: PlainOrigin) -> None:
    origin.files["/a.jpg"] = PHOTO
    request_id = service.submit(_csv(origin.url("/a.jpg")))
    service.finished(request_id)
    image = service.details(request_id)[0]["output_url"]
    assert len(_files_of(service, request_id)) == 2
    assert requests.delete(f"{service.url}/job/{request_id}", timeout=30).status_code == 204
    assert service.get(f"/job/status/{request_id}").status_code == 404
    assert requests.get(image, timeout=30).status_code == 404
    assert _files_of(service, request_id) == []


def test_a_job_can_be_deleted_while_it_runs(service: Service) -> None:
    with PlainOrigin({f"/{number}.jpg": PHOTO for number in range(30)}, delay=0.3) as origin:
        request_id = service.submit(_csv(*(origin.url(f"/{number}.jpg") for number in range(30))))
        wait_until(lambda: service.status(request_id)["status"] == "PROCESSING", 30)
        assert requests.delete(f"{service.url}/job/{request_id}", timeout=30).status_code == 204
        assert service.get(f"/job/status/{request_id}").status_code == 404
    assert "Traceback" not in service.log


def test_jobs_that_end_while_they_run_leave_no_files(embedded_service: Service) -> None:
    service, names = embedded_service, [f"/{number}.jpg" for number in range(200)]
    jobs: dict[str, int] = {}
    with PlainOrigin(dict.fromkeys(names, PHOTO), delay=0.05, distinct=True) as origin:
        csv = _csv(*map(origin.url, names))
        for end in ("cancel", "delete") * 2:
            request_id = service.submit(csv)
            wait_until(lambda job=request_id: service.status(job)["completed_images"] > 5, 60)
            if end == "cancel":
                answer = requests.post(f"{service.url}/job/cancel/{request_id}", timeout=30)
                # The CSV, and the images that it named.
                jobs[request_id] = 1 + answer.json()["completed_images"]
            else:
                answer = requests.delete(f"{service.url}/job/{request_id}", timeout=30)
                jobs[request_id] = 0
            assert answer.ok, answer.text
    wait_until(
        lambda: {job: len(_files_of(service, job)) for job in jobs} == jobs,
        20,
        lambda: f"{jobs} {[len(_files_of(service, job)) for job in jobs]}",
    )
    assert "are waiting for the storage" not in service.log


def test_one_key_makes_one_job(service: Service, origin: PlainOrigin) -> None:
    origin.files["/a.jpg"] = PHOTO
    content, key = _csv(origin.url("/a.jpg")), f"order-{time.time_ns()}"

    def post(_: int) -> requests.Response:
        return requests.post(
            f"{service.url}/upload",
            headers={"Idempotency-Key": key},
            files={"file": ("products.csv", content)},
            timeout=60,
        )

    answers = in_parallel(post, 20)
    assert {answer.status_code for answer in answers} <= {202, 409}, answers[0].text
    (request_id,) = {answer.json()["request_id"] for answer in answers if answer.ok}
    again = post(0)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (202, "true")
    assert again.json()["request_id"] == request_id
    assert service.finished(request_id)["completed_images"] == 1
    assert origin.hits["/a.jpg"] == 1


def test_a_status_waits_for_a_change(service: Service) -> None:
    with PlainOrigin({"/a.jpg": PHOTO}, delay=1) as origin:
        request_id = service.submit(_csv(origin.url("/a.jpg")))
        polls = 0
        while service.get(f"/job/status/{request_id}", wait=30).json()["status"] != "COMPLETED":
            polls += 1
            assert polls < 5


def test_long_polls_leave_room_for_other_calls(service: Service) -> None:
    with PlainOrigin({"/a.jpg": PHOTO}, delay=4) as origin:
        request_id = service.submit(_csv(origin.url("/a.jpg")))
        waiting = [
            threading.Thread(
                target=service.get, args=(f"/job/status/{request_id}",), kwargs={"wait": 3}
            )
            for _ in range(24)
        ]
        for thread in waiting:
            thread.start()
        assert all(service.get("/healthz").ok for _ in range(10))
        for thread in waiting:
            thread.join()
        service.finished(request_id)


def _chunked_upload(
    service: Service, key: dict[str, str], megabytes: int
) -> tuple[int, dict[str, Any]]:
    """Upload a file of some MB in a body without a length; return the response."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    pieces = [head, *[b"1,a,http://a.test/1.jpg\n" * 40_000] * megabytes, b"\r\n--x--\r\n"]
    # When the server has heard enough, it may close its ear; its answer can be read all the same.
    with suppress(ConnectionError):
        headers = key | {
            "Content-Type": "multipart/form-data; boundary=x",
            "Transfer-Encoding": "chunked",
        }
        connection.request("POST", "/upload", iter(pieces), headers, encode_chunked=True)
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    return answer.status, body


def _web_memory(service: Service) -> int:
    """Return the most bytes that the web server's processes have held, together."""
    peaks = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            environment = (status.parent / "environ").read_bytes()
            command = (status.parent / "cmdline").read_bytes()
            if str(service.data_dir).encode() in environment and b"gunicorn" in command:
                peaks.append(int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024)
    assert peaks
    return sum(peaks)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service that asks for keys, signs the addresses of images, and takes little."""
    with Service(
        tmp_path_factory.mktemp("guarded") / "var",
        REQUIRE_API_KEY="true",
        SIGNED_IMAGE_URLS="true",
        IMAGE_URL_SECRET="s" * 32,
        IMAGE_URL_SECONDS="60",
        UPLOADS_PER_MINUTE="5",
        MAX_UPLOAD_BYTES=str(2 * 2**20),
    ) as service:
        yield service


def _key(service: Service, name: str) -> dict[str, str]:
    made = subprocess.run(
        [sys.executable, "-m", "flask", "keys", "create", name],
        cwd=ROOT,
        env=service.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return {"Authorization": f"Bearer {made.stdout.split()[0]}"}


def test_with_keys_each_caller_sees_its_own(guarded: Service, origin: PlainOrigin) -> None:
    origin.files["/a.jpg"] = PHOTO
    shop, agency = _key(guarded, "shop"), _key(guarded, "agency")
    upload = {"file": ("products.csv", _csv(origin.url("/a.jpg")))}
    assert requests.post(f"{guarded.url}/upload", files=upload, timeout=30).status_code == 401
    answer = requests.post(f"{guarded.url}/upload", files=upload, headers=shop, timeout=30)
    status_url = answer.json()["status_url"]
    wait_until(
        lambda: requests.get(status_url, headers=shop, timeout=30).json()["status"] == "COMPLETED",
        60,
        lambda: guarded.log,
    )
    assert requests.get(status_url, headers=agency, timeout=30).status_code == 404
    assert requests.get(status_url, timeout=30).status_code == 401
    details = requests.get(status_url.replace("status", "details"), headers=shop, timeout=30)
    image = details.json()["images"][0]["output_url"]
    assert requests.get(image, timeout=30).headers["Content-Type"] == "image/jpeg"
    assert requests.get(image.partition("?")[0], timeout=30).status_code == 403


def test_a_caller_that_uploads_too_often_has_to_wait(guarded: Service) -> None:
    key = _key(guarded, "hasty")
    answers = [requests.post(f"{guarded.url}/upload", headers=key, timeout=30) for _ in range(6)]
    # A minute may end between two of them.
    assert [answer.status_code for answer in answers[:5]] == [400] * 5
    limited = answers[5]
    assert limited.status_code in (400, 429)
    if limited.status_code == 429:
        assert limited.json()["code"] == "too_many_requests" and limited.headers["Retry-After"]


def test_a_body_without_a_length_ends_at_the_limit(guarded: Service) -> None:
    key = _key(guarded, "endless")
    _chunked_upload(guarded, key, 1)
    before = _web_memory(guarded)
    status, body = _chunked_upload(guarded, key, 60)
    assert (status, body["code"]) == (413, "too_large")
    assert _web_memory(guarded) - before < 20 * 2**20


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_form_of_many_fields_takes_no_memory(embedded_service: Service, chunked: bool) -> None:
    pieces = [b"a&" * 2**19] * 20
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if not chunked:
        headers["Content-Length"] = str(sum(map(len, pieces)))
    embedded_service.get("/job")
    before = _web_memory(embedded_service)
    with closing(
        http.client.HTTPConnection("127.0.0.1", embedded_service.port, timeout=120)
    ) as connection:
        # The server answers before it has read all.
        with suppress(ConnectionError):
            connection.request("POST", "/session", iter(pieces), headers, encode_chunked=chunked)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["code"]) == (413, "too_large")
    assert _web_memory(embedded_service) - before < 20 * 2**20


@pytest.mark.parametrize(
    "path",
    [
        "/image/../../../../etc/passwd",
        "/image/..%2f..%2f..%2fetc%2fpasswd",
        "/../../etc/passwd",
        "/job/download/..%2f..%2fwebhook_secret",
        "//etc/passwd",
        "/image/%00.jpg",
        "/image/%2e%2e%2fimgcompress.sqlite3",
    ],
)
def test_no_raw_path_leads_out(service: Service, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.status == 404 and b"root:" not in answer.read()
    connection.close()
