"""Webhooks of the whole service: repeated, fair, and the same id whatever dies."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests

from imgcompress import create_app
from imgcompress.config import load_settings
from imgcompress.extensions import db
from imgcompress.ledger.intake import NewJob, create_job
from imgcompress.ledger.jobs import cancel_job

from ..origin import PlainOrigin
from tests.support.documents import samples
from tests.support.new_images import NewImage, by_columns
from tests.support.receiver import Arrival, Receiver
from tests.support.service import ROOT, Service, free_port, wait_until

SECONDS = 60
TIMEOUT = 3


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service that repeats deliveries soon."""
    data_dir = tmp_path_factory.mktemp("webhooks") / "var"
    with Service(
        data_dir,
        WEBHOOK_TIMEOUT=str(TIMEOUT),
        WEBHOOK_RETRY_PAUSES="0.1,0.1,0.1,0.1",
        ALLOWED_PORTS="9,1024-65535",
    ) as service:
        yield service


@pytest.fixture
def catalogue(origin: PlainOrigin) -> bytes:
    """Return a CSV whose one image is not there, so that its job ends soon."""
    return f"S. No.,Product Name,Input Image Urls\n1,SKU1,{origin.url('/1.jpg')}\n".encode()


def _log(service: Service, request_id: str) -> list[dict[str, Any]]:
    answer = service.get(f"/job/webhooks/{request_id}")
    assert answer.ok, answer.text
    deliveries: list[dict[str, Any]] = answer.json()["deliveries"]
    return deliveries


def _settled(service: Service, request_id: str) -> list[dict[str, Any]]:
    """Wait until none of the job's deliveries is PENDING; return them."""
    service.finished(request_id)
    wait_until(
        lambda: all(entry["state"] != "PENDING" for entry in _log(service, request_id)),
        SECONDS,
        lambda: service.log,
    )
    return _log(service, request_id)


def _events(service: Service, url: str, number: int) -> set[str]:
    """Put `number` events for `url` into the service's outbox; return the ids of their jobs."""
    app = create_app(load_settings(None, data_dir=service.data_dir))
    ids = [uuid4() for _ in range(number)]
    with app.app_context():
        for request_id in ids:
            job = NewJob(
                request_id,
                "a.csv",
                {"compression_percentage": 50},
                service.url,
                total_rows=1,
                total_images=1,
                webhook_url=url,
            )
            create_job(
                job, by_columns([NewImage(2, 0, "1", "SKU1", "http://127.0.0.1:9/")]), slice_size=50
            )
            assert cancel_job(request_id)
        db.engine.dispose()
    return {str(request_id) for request_id in ids}


def test_a_failed_delivery_is_repeated_with_its_id_until_it_is_accepted(
    service: Service, receiver: Receiver, catalogue: bytes
) -> None:
    with Receiver() as elsewhere:
        receiver.answers = [500, 500, (302, {"Location": elsewhere.url}), 200]
        request_id = service.submit(catalogue, webhook_url=receiver.url)
        deliveries = _settled(service, request_id)
        assert elsewhere.arrivals == []
    assert [entry["event"] for entry in deliveries] == ["job.processing", "job.failed"]
    attempts = [
        [attempt["response_status"] for attempt in entry["attempts"]] for entry in deliveries
    ]
    assert sorted(status for answer in attempts for status in answer) == [200, 200, 302, 500, 500]
    assert all(answer[-1] == 200 for answer in attempts)
    arrived = [arrival.id for arrival in receiver.of(request_id)]
    assert sorted(arrived) == sorted(entry["id"] for entry in deliveries for _ in entry["attempts"])
    last = service.status(request_id)["last_delivery"]
    assert (last["id"], last["state"]) == (deliveries[1]["id"], "DELIVERED")


def test_the_response_of_a_receiver_is_never_shown(
    service: Service, receiver: Receiver, catalogue: bytes
) -> None:
    receiver.answers = [(400, {"X-Secret": "swordfish"}), (400, {"X-Secret": "swordfish"})]
    request_id = service.submit(catalogue, webhook_url=receiver.url)
    _settled(service, request_id)
    assert "swordfish" not in service.get(f"/job/webhooks/{request_id}").text + service.log


def test_gone_ends_a_delivery_and_it_can_be_resent_with_its_id(
    service: Service, receiver: Receiver, catalogue: bytes
) -> None:
    receiver.answers = [410, 410]
    request_id = service.submit(catalogue, webhook_url=receiver.url)
    first, last = _settled(service, request_id)
    assert (first["state"], last["state"]) == ("FAILED", "FAILED")
    assert len(receiver.of(request_id)) == 2
    answer = requests.post(f"{service.url}/job/webhooks/{request_id}/redeliver", timeout=10)
    assert answer.status_code == 202
    _, again = _settled(service, request_id)
    assert (again["id"], again["state"]) == (last["id"], "DELIVERED")
    assert receiver.of(request_id)[-1].id == last["id"]


def test_a_receiver_that_hangs_holds_up_nobody_else(
    service: Service, receiver: Receiver, catalogue: bytes
) -> None:
    present, most = [0], [0]
    lock, end = threading.Lock(), threading.Event()

    def hang(_: Arrival) -> None:
        with lock:
            present[0] += 1
            most[0] = max(most[0], present[0])
        end.wait(TIMEOUT - 0.5)
        with lock:
            present[0] -= 1

    with Receiver() as hanging:
        hanging.before_answer = hang
        hanging.answers = [500] * 1000
        waiting = _events(service, hanging.url, 60)
        wait_until(lambda: hanging.arrivals, SECONDS, lambda: service.log)
        good = _events(service, receiver.url, 20)
        job = service.submit(catalogue, webhook_url=receiver.url)
        wait_until(
            lambda: {arrival.event["request_id"] for arrival in receiver.arrivals} >= good | {job},
            SECONDS,
            lambda: service.log,
        )
        service.finished(job)
        # Each attempt there takes seconds: what is left shows that the others did not wait for it.
        seen = {arrival.event["request_id"] for arrival in hanging.arrivals}
        assert len(waiting - seen) > len(waiting) / 2
        assert most[0] <= 2
        end.set()


def test_a_delivery_worker_that_dies_before_the_record_sends_the_same_id_again(
    service: Service, receiver: Receiver
) -> None:
    killed = threading.Event()

    def kill(_: Arrival) -> None:
        if not killed.is_set():
            killed.set()
            for worker in _delivery_workers(service):
                os.kill(worker, signal.SIGKILL)

    receiver.before_answer = kill
    request_id = _events(service, receiver.url, 1).pop()
    wait_until(lambda: len(receiver.of(request_id)) == 2, SECONDS, lambda: service.log)
    (delivery,) = _settled(service, request_id)
    assert [arrival.id for arrival in receiver.of(request_id)] == [delivery["id"]] * 2
    assert [
        (attempt["attempt"], attempt["response_status"], attempt["seconds"] is None)
        for attempt in delivery["attempts"]
    ] == [(1, None, True), (2, 200, False)]


def _delivery_workers(service: Service) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes()
        except OSError:  # It has ended meanwhile.
            continue
        if f"DATA_DIR={service.data_dir}".encode() in environment and b"deliveries@" in command:
            found.append(int(folder.name))
    return found


def test_the_documented_receiver_prints_and_verifies_what_arrives(
    service: Service, catalogue: bytes, tmp_path: Path
) -> None:
    port = free_port()
    serve, listen, upload = (
        sample.replace("8080", str(port)) for sample in samples("docs/webhooks.md", "sh")
    )
    assert serve.split()[-2:] == ["imgcompress", "serve"]
    listener = subprocess.Popen(
        [sys.executable, "-m", *listen.split()],
        cwd=ROOT,
        text=True,
        stdin=subprocess.DEVNULL,
        env=service.environment | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        assert listener.stdout is not None
        assert f"webhook_url=http://127.0.0.1:{port}/" in listener.stdout.readline()
        (tmp_path / "products.csv").write_bytes(catalogue)
        command = upload.replace("http://127.0.0.1:5000", service.url).split()
        answer = subprocess.run([*command, "-sS"], cwd=tmp_path, check=True, capture_output=True)
        request_id = json.loads(answer.stdout)["request_id"]
        assert [entry["state"] for entry in _settled(service, request_id)] == ["DELIVERED"] * 2
        forged = requests.post(f"http://127.0.0.1:{port}/", json={"status": "COMPLETED"}, timeout=5)
        assert forged.status_code == 401
    finally:
        listener.send_signal(signal.SIGINT)
        result, _ = listener.communicate(timeout=10)
    assert len(re.findall(r"'msg_[0-9a-f]{32}': valid signature", result)) == 2
    assert "'': INVALID SIGNATURE" in result and request_id in result
