"""Traces of jobs, from upload to delivery, by OpenTelemetry. Off unless a collector is named.

All spans of a job are in one trace, whose id is the job's own. So processes need not propagate it,
and a `request_id` without its dashes is the id of its trace. The spans of workers are children of
the upload's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from . import __version__

SERVICE = "imgcompress"
UPLOAD = "upload"
# A span's id has 64 bits. The last ones of a job's id are random (RFC 9562, "UUID Version 7").
SPAN_ID = 2**64 - 1

# The tracer of this process, and the job whose upload the thread is recording.
_tracer: Any = None
_uploaded = threading.local()


def start_tracing(exporter: Any = None) -> None:
    """Send the spans of this process, and of those that it forks, to the collector.

    They go by OTLP over HTTP to OTEL_EXPORTER_OTLP_ENDPOINT, unless an `exporter` takes them. The
    other variables of OpenTelemetry count too, such as OTEL_EXPORTER_OTLP_HEADERS.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class JobIds(RandomIdGenerator):
        """Derives the ids of an upload's span, and of its trace, from its job."""

        def generate_trace_id(self) -> int:
            job: UUID | None = getattr(_uploaded, "job", None)
            return job.int if job else super().generate_trace_id()

        def generate_span_id(self) -> int:
            job: UUID | None = getattr(_uploaded, "job", None)
            return job.int & SPAN_ID if job else super().generate_span_id()

    global _tracer
    provider = TracerProvider(
        resource=Resource.create({"service.name": SERVICE, "service.version": __version__}),
        id_generator=JobIds(),
    )
    provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
    _tracer = provider.get_tracer(SERVICE, __version__)


@contextmanager
def traced(name: str, job: UUID, **attributes: str | int | float) -> Iterator[None]:
    """Record the block as a span of the job's trace; an error marks it."""
    if _tracer is None:
        yield
        return
    began = time.time_ns()
    try:
        yield
    except BaseException as error:
        _record(name, job, began, attributes, getattr(error, "code", type(error).__name__))
        raise
    _record(name, job, began, attributes)


def record(
    name: str,
    job: UUID,
    seconds: float,
    *,
    error: str | None = None,
    **attributes: str | int | float,
) -> None:
    """Record a span that ends now and took `seconds`."""
    if _tracer is not None:
        _record(name, job, time.time_ns() - int(seconds * 1e9), attributes, error)


def _record(
    name: str, job: UUID, began: int, attributes: dict[str, Any], error: str | None = None
) -> None:
    from opentelemetry.context import Context
    from opentelemetry.trace import (
        NonRecordingSpan,
        SpanContext,
        Status,
        StatusCode,
        TraceFlags,
        set_span_in_context,
    )

    if name == UPLOAD:
        _uploaded.job, parent = job, Context()
    else:
        upload = SpanContext(job.int, job.int & SPAN_ID, True, TraceFlags(TraceFlags.SAMPLED))
        parent = set_span_in_context(NonRecordingSpan(upload), Context())
    try:
        span = _tracer.start_span(name, parent, attributes=attributes, start_time=began)
    finally:
        _uploaded.job = None
    if error:
        span.set_status(Status(StatusCode.ERROR, error))
    span.end()
