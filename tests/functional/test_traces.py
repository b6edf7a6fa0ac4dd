"""A job is one trace in an OpenTelemetry collector, from its upload to its deliveries."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from uuid import UUID

import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from ..origin.plain import PlainOrigin
from tests.support.photos import sample
from tests.support.receiver import Receiver
from tests.support.service import Service, wait_until

PHOTOS = {"/rocket.jpg": (200, "image/jpeg", sample("rocket.jpg"))}


@contextmanager
def _collector(spans: list[Span]) -> Iterator[str]:
    """Run a collector that keeps spans; yield its address."""

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

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_a_job_is_one_trace_from_upload_to_delivery(tmp_path: Path) -> None:
    spans: list[Span] = []
    with (
        _collector(spans) as endpoint,
        PlainOrigin(PHOTOS) as origin,
        Receiver() as receiver,
        Service(
            tmp_path / "var", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_BSP_SCHEDULE_DELAY="200"
        ) as service,
    ):
        csv = (
            "S. No.,Product Name,Input Image Urls\n"
            f"1,Rocket,{origin.url('/rocket.jpg')}\n2,Lost,{origin.url('/lost.jpg')}\n"
        )
        answer = requests.post(
            f"{service.url}/upload",
            files={"file": ("products.csv", csv)},
            data={"webhook_url": receiver.url},
            timeout=30,
        )
        job = UUID(answer.json()["request_id"])
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
