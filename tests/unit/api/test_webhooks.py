"""The log of deliveries, sending again, and what an upload may ask for."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from marshmallow import RAISE

from imgcompress.api.openapi import EXAMPLE, StatusEventSchema
from imgcompress.config import Settings
from imgcompress.ledger.deliveries import (
    DueDelivery,
    claim_due,
    record_delivered,
    record_undelivered,
)
from imgcompress.ledger.models import Channel
from imgcompress.ledger.seals import unseal
from imgcompress.setting_parsers import SmtpServer

from .conftest import CATALOGUE, Upload
from tests.support.records import events_of
from tests.support.work import job, process

HOLD = {Channel.WEBHOOK: 60.0, Channel.EMAIL: 60.0}
HOOK = "https://shop.test/hook"
SECRET = "whsec_" + b64encode(b"s" * 32).decode()


@pytest.fixture
def hooked(app: Flask, upload: Upload) -> Iterator[str]:
    """Return the id of a completed job with a webhook; the application's context is open."""
    request_id: str = upload(webhook_url=HOOK).json["request_id"]
    process(app, request_id)
    with app.app_context():
        yield request_id


def _claimed() -> DueDelivery:
    delivery = claim_due(HOLD)
    assert delivery is not None
    return delivery


def _log(client: FlaskClient, request_id: str) -> list[dict[str, Any]]:
    answer = client.get(f"/job/webhooks/{request_id}")
    assert answer.status_code == 200 and answer.json["request_id"] == request_id
    deliveries: list[dict[str, Any]] = answer.json["deliveries"]
    return deliveries


class TestLog:
    def test_a_new_delivery_waits(self, client: FlaskClient, hooked: str) -> None:
        first, second = _log(client, hooked)
        assert [entry["event"] for entry in (first, second)] == ["job.processing", "job.completed"]
        assert first["id"].startswith("msg_") and first["next_attempt_at"].endswith("Z")
        assert (first["channel"], first["target"], first["state"], first["attempts"]) == (
            "webhook",
            HOOK,
            "PENDING",
            [],
        )
        assert first["circuit"] == {
            "receiver": "https://shop.test:443",
            "failures": 0,
            "open_until": None,
        }

    def test_attempts_show_time_answer_and_error(self, client: FlaskClient, hooked: str) -> None:
        delivery = _claimed()
        record_undelivered(
            delivery,
            seconds=1.5,
            status=500,
            error="status 500",
            next_in=None,
            receiver_failing=True,
        )
        entry, _ = _log(client, hooked)
        assert (entry["state"], entry["next_attempt_at"]) == ("FAILED", None)
        assert entry["circuit"]["failures"] == 1
        (attempt,) = entry["attempts"]
        assert attempt.pop("started_at").endswith("Z")
        assert attempt == {
            "attempt": 1,
            "seconds": 1.5,
            "response_status": 500,
            "error": "status 500",
        }

    def test_a_job_without_deliveries_has_an_empty_log(
        self, client: FlaskClient, request_id: str
    ) -> None:
        assert _log(client, request_id) == []


class TestRedeliver:
    def test_without_an_id_the_last_webhook_is_sent_again_with_the_same_id(
        self, client: FlaskClient, hooked: str
    ) -> None:
        for _ in range(2):
            record_delivered(_claimed(), seconds=0.1, status=200)
        answer = client.post(f"/job/webhooks/{hooked}/redeliver")
        assert answer.status_code == 202
        first, last = answer.json["deliveries"]
        assert (first["state"], last["state"]) == ("DELIVERED", "PENDING")
        assert _claimed().id == last["id"]

    def test_a_delivery_is_chosen_by_its_id(self, client: FlaskClient, hooked: str) -> None:
        record_delivered(delivery := _claimed(), seconds=0.1, status=200)
        answer = client.post(f"/job/webhooks/{hooked}/redeliver?id={delivery.id}")
        assert answer.status_code == 202
        assert _claimed().id == delivery.id

    @pytest.mark.parametrize("query", ["", "?id=msg_unknown"])
    def test_an_unknown_job_or_delivery_is_not_found(
        self, client: FlaskClient, request_id: str, query: str
    ) -> None:
        answer = client.post(f"/job/webhooks/{request_id}/redeliver{query}")
        assert answer.status_code == 404 and answer.json["code"] == "delivery_not_found"

    def test_a_delivery_of_another_job_is_not_found(
        self, client: FlaskClient, hooked: str, upload: Upload
    ) -> None:
        delivery_id = events_of(UUID(hooked))[0].id
        other = upload().json["request_id"]
        answer = client.post(f"/job/webhooks/{other}/redeliver?id={delivery_id}")
        assert answer.status_code == 404 and answer.json["code"] == "delivery_not_found"


def test_the_status_shows_the_last_delivery(client: FlaskClient, hooked: str) -> None:
    answer = client.get(f"/job/status/{hooked}").json["last_delivery"]
    assert answer.pop("id").startswith("msg_") and answer.pop("next_attempt_at")
    assert answer == {
        "event": "job.completed",
        "channel": "webhook",
        "state": "PENDING",
        "attempts": 0,
    }


def test_the_status_of_a_job_without_deliveries_shows_none(
    client: FlaskClient, request_id: str
) -> None:
    assert client.get(f"/job/status/{request_id}").json["last_delivery"] is None


class TestSecret:
    def test_it_is_kept_for_the_job_and_shown_nowhere(
        self, app: Flask, client: FlaskClient, upload: Upload
    ) -> None:
        request_id = upload(webhook_url=HOOK, webhook_secret=SECRET).json["request_id"]
        found = job(app, request_id)
        with app.app_context():
            assert (found.webhook_secret, unseal(found.sealed_secret or "")) == (None, SECRET)
        for call in ("status", "details", "webhooks"):
            assert SECRET not in client.get(f"/job/{call}/{request_id}").text

    @pytest.mark.parametrize(
        "secret",
        ["short", "whsec_", "whsec_c2hvcnQ=", "whsec_" + "!" * 44, SECRET.removeprefix("whsec_")],
    )
    def test_a_bad_secret_is_rejected_and_not_repeated(self, upload: Upload, secret: str) -> None:
        answer = upload(webhook_url=HOOK, webhook_secret=secret)
        (issue,) = answer.json["errors"]
        assert (issue["code"], issue["value"]) == ("invalid_webhook_secret", None)
        assert "openssl" in issue["message"]

    def test_a_secret_in_the_url_is_rejected_because_it_would_be_logged(
        self, client: FlaskClient
    ) -> None:
        answer = client.post(
            "/upload",
            query_string={"webhook_secret": SECRET},
            data={"file": (io.BytesIO(CATALOGUE), "a.csv"), "webhook_url": HOOK},
        )
        (issue,) = answer.json["errors"]
        assert issue["code"] == "exposed_webhook_secret" and SECRET not in answer.text

    def test_a_secret_without_a_webhook_is_rejected(self, upload: Upload) -> None:
        (issue,) = upload(webhook_secret=SECRET).json["errors"]
        assert issue["code"] == "invalid_webhook_secret" and "webhook_url" in issue["message"]


class TestEmail:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(
            settings, smtp_server=SmtpServer("127.0.0.1", 25), mail_from="images@service.test"
        )

    def test_the_end_of_a_job_is_reported_by_mail(
        self, app: Flask, client: FlaskClient, upload: Upload
    ) -> None:
        request_id = upload(email="team@shop.test").json["request_id"]
        process(app, request_id)
        (mail,) = _log(client, request_id)
        assert (mail["channel"], mail["target"], mail["event"]) == (
            "email",
            "team@shop.test",
            "job.completed",
        )
        assert mail["circuit"]["receiver"] == "mail server"

    @pytest.mark.parametrize(
        "email",
        [
            "nobody",
            "a@shop.test\r\nBcc: b@shop.test",
            "a@shop.test\nb",
            "a@shop.test, b@shop.test",
            "<a@shop.test>",
            "A <a@shop.test>",
            '"a\x01b"@shop.test',
            f"{'a' * 400}@shop.test",
        ],
    )
    def test_anything_but_a_single_address_is_rejected(self, upload: Upload, email: str) -> None:
        (issue,) = upload(email=email).json["errors"]
        assert (issue["field"], issue["code"]) == ("email", "invalid_email")


def test_the_document_describes_the_webhook(client: FlaskClient) -> None:
    document = client.get("/openapi.json").json
    call = document["webhooks"]["jobStatus"]["post"]
    content = call["requestBody"]["content"]["application/json"]
    assert content["schema"] == {"$ref": "#/components/schemas/StatusEvent"}
    schema = document["components"]["schemas"]["StatusEvent"]
    assert [name for name in schema["properties"] if name in schema["required"]] == list(EXAMPLE)
    # These are sent for an upload with `since` alone.
    assert schema["properties"].keys() - schema["required"] == {
        "since_request_id",
        "unchanged_images",
        "changed_images",
        "new_images",
        "removed_images",
        "bytes_not_downloaded",
    }
    assert content["example"] == EXAMPLE
    assert StatusEventSchema(unknown=RAISE).load(EXAMPLE)["status"] == "COMPLETED"
