"""Webhooks and e-mails of the whole service, and the trace of a job from its upload to them.

They are repeated and fair, and keep their id whatever dies.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
import requests
import trustme
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from imgcompress import create_app
from imgcompress.config import load_settings
from imgcompress.extensions import db
from imgcompress.ledger.intake import NewJob, create_job
from imgcompress.ledger.jobs import cancel_job

from ..origin import PlainOrigin
from tests.support.documents import samples
from tests.support.mail_server import PASSWORD, USER, MailServer
from tests.support.new_images import NewImage, by_columns
from tests.support.photos import sample
from tests.support.receiver import Arrival, Receiver
from tests.support.service import ROOT, Service, free_port, wait_until

SECONDS = 60
TIMEOUT = 3


@pytest.fixture(scope="module")
def mail_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MailServer, Path]]:
    """Return a mail server and the file of the authority that vouches for it."""
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    with MailServer("starttls", tls, login=True) as server:
        yield server, path


class Collector:
    """A collector of OpenTelemetry that keeps spans."""

    def __init__(self) -> None:
        spans: list[Span] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    for scope in resource.scope_spans:
                        spans.extend(scope.spans)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.spans = spans
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """Return a collector of spans."""
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def service(
    mail_server: tuple[MailServer, Path],
    collector: Collector,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    """Return a service that repeats deliveries soon, sends mail and exports its spans."""
    server, authority = mail_server
    login = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}"
    with Service(
        tmp_path_factory.mktemp("deliveries") / "var",
        WEBHOOK_TIMEOUT=str(TIMEOUT),
        WEBHOOK_RETRY_PAUSES="0.1,0.1,0.1,0.1",
        ALLOWED_PORTS="9,1024-65535",
        SMTP_URL=f"smtp+starttls://{login}@127.0.0.1:{server.port}",
        MAIL_FROM="Images <images@service.test>",
        SSL_CERT_FILE=str(authority),
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_BSP_SCHEDULE_DELAY="200",
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
        text.replace("8080", str(port)) for text in samples("docs/webhooks.md", "sh")
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


def test_the_end_of_a_job_is_reported_by_mail_with_the_csv(
    service: Service, mail_server: tuple[MailServer, Path]
) -> None:
    server, _ = mail_server
    server.answers = ["451 4.7.1 Greylisted, try again later"]
    with PlainOrigin({"/rocket.jpg": (200, "image/jpeg", sample("rocket.jpg"))}) as origin:
        content = (
            f"S. No.,Product Name,Input Image Urls\n1,Rocket,{origin.url('/rocket.jpg')}\n"
            f"2,Lost,{origin.url('/missing.jpg')}\n"
        )
        request_id = service.submit(content.encode(), email="team@shop.test")
        assert service.finished(request_id)["status"] == "COMPLETED"
        wait_until(lambda: server.mails, SECONDS, lambda: service.log)
    (mail,) = server.mails
    assert (server.recipients, server.logged_in) == (["team@shop.test"], [True])
    assert mail["Subject"] == "products.csv: 1 of 2 images compressed"
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None and "1 failed" in plain.get_content()
    assert html is not None and "1 failed" in html.get_content()
    (attachment,) = mail.iter_attachments()
    assert attachment.get_filename() == "products-compressed.csv"
    sent = attachment.get_payload(decode=True)
    assert sent == service.get(f"/job/download/{request_id}").content
    rows = list(csv.DictReader(io.StringIO(sent.decode())))
    assert rows[0]["Output Image Urls"].startswith(service.url)
    assert "source_status" in rows[1]["Image Errors"]
    wait_until(lambda: service.status(request_id)["last_delivery"]["state"] == "DELIVERED", SECONDS)
    (log,) = service.get(f"/job/webhooks/{request_id}").json()["deliveries"]
    assert [attempt["response_status"] for attempt in log["attempts"]] == [451, 250]


def test_the_password_is_in_no_log(service: Service) -> None:
    assert PASSWORD not in service.log and quote(PASSWORD, safe="") not in service.log


def test_a_job_is_one_trace_from_upload_to_delivery(
    service: Service, collector: Collector, receiver: Receiver
) -> None:
    spans = collector.spans
    with PlainOrigin({"/rocket.jpg": (200, "image/jpeg", sample("rocket.jpg"))}) as origin:
        content = (
            "S. No.,Product Name,Input Image Urls\n"
            f"1,Rocket,{origin.url('/rocket.jpg')}\n2,Lost,{origin.url('/lost.jpg')}\n"
        )
        job = UUID(service.submit(content.encode(), webhook_url=receiver.url))
        service.finished(str(job))
        expected = ["compress", "delivery", "fetch", "fetch", "slice", "store", "upload"]
        trace = job.bytes
        wait_until(
            lambda: {span.name for span in spans if span.trace_id == trace} >= set(expected), 30
        )

    of_job = [span for span in spans if span.trace_id == trace]
    # There is a delivery for each event of the job.
    assert sorted({span.name for span in of_job}) == sorted(set(expected))
    assert [span.name for span in of_job].count("fetch") == 2
    (upload,) = (span for span in of_job if span.name == "upload")
    assert not upload.parent_span_id
    assert {span.parent_span_id for span in of_job if span is not upload} == {upload.span_id}
    failed = [span for span in of_job if span.status.code == Status.STATUS_CODE_ERROR]
    assert [(span.name, span.status.message) for span in failed] == [("fetch", "source_status")]
