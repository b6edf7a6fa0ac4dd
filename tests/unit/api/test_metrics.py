from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

from imgcompress import create_app
from imgcompress.config import Settings
from imgcompress.ledger.api_keys import create_key
from imgcompress.ledger.jobs import cancel_job
from imgcompress.ledger.metrics import RecoveryCounter, count, note_recovery, save_share
from imgcompress.ledger.models import JobRequest, JobSlice, utcnow
from imgcompress.ledger.session import writing
from imgcompress.metrics import COUNTERS, HISTOGRAMS, SHARE

from .conftest import Upload
from tests.support.work import process


def _samples(client: FlaskClient) -> dict[tuple[str, str], float]:
    """Return the numbers by name, and by the values of the labels in the order of their names."""
    answer = client.get("/metrics")
    assert answer.status_code == 200 and answer.content_type.startswith("text/plain")
    return {
        (sample.name.removeprefix("imgcompress_"), ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


@pytest.fixture(autouse=True)
def _clean_share() -> Iterator[None]:
    SHARE.take()
    yield
    SHARE.take()


def _age(app: Flask, request_id: str, seconds: float) -> None:
    """Make a job look as if nothing had moved for this long."""
    then = utcnow() - timedelta(seconds=seconds)
    with app.app_context(), writing() as session:
        session.execute(
            update(JobRequest)
            .where(JobRequest.request_id == UUID(request_id))
            .values(updated_at=then)
        )
        session.execute(
            update(JobSlice)
            .where(JobSlice.request_id == UUID(request_id))
            .values(published_at=then)
        )


def test_an_idle_service_has_nothing_that_waits(client: FlaskClient) -> None:
    samples = _samples(client)
    assert samples["jobs", "PROCESSING"] == 0
    assert samples["oldest_slice_seconds", ""] == samples["oldest_delivery_seconds", ""] == 0
    assert samples["leases_expired_total", ""] == samples["counters_repaired_total", ""] == 0


def test_jobs_are_counted_by_status(app: Flask, client: FlaskClient, request_id: str) -> None:
    assert _samples(client)["jobs", "PENDING"] == 1
    process(app, request_id)
    samples = _samples(client)
    assert (samples["jobs", "PENDING"], samples["jobs", "COMPLETED"]) == (0, 1)


def test_stalled_work_is_reported_everywhere(
    app: Flask, client: FlaskClient, request_id: str
) -> None:
    status = f"/job/status/{request_id}"
    assert client.get(status).json["stalled_since"] is None
    _age(app, request_id, 500)
    answer = client.get(status).json
    assert answer["stalled_since"] == answer["updated_at"]
    assert 500 <= _samples(client)["oldest_slice_seconds", ""] < 560
    assert 500 <= client.get("/readyz").json["oldest_slice_seconds"] < 560


def test_an_ended_job_is_not_stalled(app: Flask, client: FlaskClient, request_id: str) -> None:
    process(app, request_id)
    _age(app, request_id, 500)
    assert client.get(f"/job/status/{request_id}").json["stalled_since"] is None
    assert _samples(client)["oldest_slice_seconds", ""] == 0


def test_repairs_by_recovery_are_counted(app: Flask, client: FlaskClient) -> None:
    with app.app_context(), writing() as session:
        count(session, RecoveryCounter.LEASES_EXPIRED, 2)
        count(session, RecoveryCounter.LEASES_EXPIRED)
    assert _samples(client)["leases_expired_total", ""] == 3


def test_images_are_counted_by_how_they_ended(
    app: Flask, client: FlaskClient, request_id: str
) -> None:
    process(app, request_id, fails={2})

    samples = _samples(client)
    assert samples["images_total", ",target_met"] == 2
    assert samples["images_total", "source_status,failed"] == 1
    assert samples["image_input_bytes_total", ""] == 2 * 4096
    assert samples["image_output_bytes_total", ""] == 2 * 1024


def test_jobs_are_counted_as_they_come_and_end(
    app: Flask, client: FlaskClient, upload: Upload
) -> None:
    request_id = upload().json["request_id"]
    assert _samples(client)["slices", "waiting"] == 1
    process(app, request_id)
    with app.app_context():
        cancel_job(UUID(upload().json["request_id"]))
    upload()
    assert client.delete("/job?all=true").status_code == 200

    samples = _samples(client)
    assert samples["jobs_accepted_total", ""] == 3
    assert samples["jobs_ended_total", "COMPLETED"] == 1
    assert samples["jobs_ended_total", "CANCELLED"] == 2
    assert samples["slices", "waiting"] == 0


def test_calls_are_timed_by_route_and_status(
    app: Flask, client: FlaskClient, request_id: str
) -> None:
    SHARE.take()
    client.get(f"/job/status/{request_id}")
    client.get("/job/status/none")
    client.get("/no/such/path")
    client.open("/healthz", method="SPELL")
    with app.app_context():
        save_share()

    samples = _samples(client)
    route = "/job/status/<request_id>"
    assert samples["http_request_seconds_count", f"GET,{route},200"] == 1
    assert samples["http_request_seconds_count", f"GET,{route},404"] == 1
    assert samples["http_request_seconds_count", "GET,none,404"] == 1
    assert samples["http_request_seconds_count", "other,none,405"] == 1
    assert samples["http_request_seconds_bucket", f"+Inf,GET,{route},200"] == 1
    assert 0 < samples["http_request_seconds_sum", f"GET,{route},200"] < 60


def test_buckets_are_cumulative(app: Flask, client: FlaskClient) -> None:
    for seconds in (0.001, 0.2, 0.2, 99):
        HISTOGRAMS[1].observe(seconds, "ok")
    with app.app_context():
        save_share()

    samples = _samples(client)
    counts = [
        samples["fetch_seconds_bucket", f"{bound},ok"]
        for bound in ("0.01", "0.1", "0.25", "60.0", "+Inf")
    ]
    assert counts == [1, 1, 3, 3, 4]
    assert samples["fetch_seconds_count", "ok"] == 4


def test_recovery_reports_that_it_is_at_work(app: Flask, client: FlaskClient) -> None:
    assert ("recovery_age_seconds", "") not in _samples(client)
    with app.app_context():
        note_recovery()
    assert 0 <= _samples(client)["recovery_age_seconds", ""] < 60


def test_every_metric_is_there_before_anything_has_happened(client: FlaskClient) -> None:
    answer = client.get("/metrics").text
    for metric in (*COUNTERS, *HISTOGRAMS):
        assert f"# HELP {metric.name}" in answer


@pytest.mark.parametrize(
    "path", ["/metrics/", "/metrics//", "/metrics/.", "/METRICS", "/metrics;a"]
)
def test_no_other_spelling_leads_to_the_metrics(client: FlaskClient, path: str) -> None:
    """A rule of a proxy for /metrics would not hold for them."""
    answer = client.get(path, follow_redirects=True)
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
    result = (
        "Leave the slash out: GET /metrics" if path.endswith("/") else "nothing at this address"
    )
    assert result in answer.json["detail"]


KEY = "operator-" + "k" * 32


def _status(client: FlaskClient, token: str | None, scheme: str = "Bearer") -> int:
    headers = {"Authorization": f"{scheme} {token}"} if token is not None else {}
    answer = client.get("/metrics", headers=headers)
    assert "imgcompress_jobs" not in answer.text or answer.status_code == 200
    return answer.status_code


@pytest.mark.parametrize("keys", [False, True])
def test_metrics_are_only_for_the_operator(settings: Settings, keys: bool) -> None:
    app = create_app(replace(settings, metrics_key=KEY, require_api_key=keys))
    with app.app_context():
        tenant = create_key("shop")
    client = app.test_client()
    assert _status(client, KEY) == 200
    for wrong in (tenant, KEY[:-1], KEY + "k", "", "é", None):
        assert _status(client, wrong) == 401, wrong
    assert _status(client, KEY, "Basic") == 401
    answer = client.get("/metrics", headers={"X-API-Key": tenant or ""})
    assert (answer.status_code, answer.json["code"]) == (401, "operator_key_required")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "METRICS_KEY" in answer.json["detail"]


def test_the_key_of_the_operator_opens_no_job(settings: Settings) -> None:
    app = create_app(replace(settings, metrics_key=KEY, require_api_key=True))
    answer = app.test_client().get("/job", headers={"Authorization": f"Bearer {KEY}"})
    assert (answer.status_code, answer.json["code"]) == (401, "invalid_api_key")


def test_without_an_operator_key_no_caller_reads_metrics(settings: Settings) -> None:
    app = create_app(replace(settings, require_api_key=True))
    with app.app_context():
        tenant = create_key("shop")
    client = app.test_client()
    for token in (tenant, "", "None", None):
        assert _status(client, token) == 401
    client.post("/session", data={"key": tenant})
    assert client.get("/job").status_code == 200 and _status(client, None) == 401
