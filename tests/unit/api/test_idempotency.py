from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from imgcompress.ledger.idempotency import claim_key
from imgcompress.ledger.models import IdempotencyKey, utcnow
from imgcompress.ledger.session import writing
from imgcompress.worker import intake

from .conftest import CATALOGUE
from tests.support.parallel import in_parallel

OTHER = CATALOGUE + b"3,SKU3,https://shop.test/4.png\r\n"
Send = Callable[..., TestResponse]


@pytest.fixture
def database_url(ledger_url: str) -> str:
    """Return the URL of a fresh ledger, once for each kind of database."""
    return ledger_url


@pytest.fixture
def send(client: FlaskClient) -> Send:
    """Return a function that uploads a CSV with an Idempotency-Key."""

    def send(
        key: str = "order-1",
        content: bytes = CATALOGUE,
        filename: str = "products.csv",
        **options: str,
    ) -> TestResponse:
        return client.post(
            "/upload",
            headers={"Idempotency-Key": key},
            data={"file": (io.BytesIO(content), filename), **options},
        )

    return send


def _jobs(client: FlaskClient) -> list[str]:
    return [job["request_id"] for job in client.get("/job").json["jobs"]]


def test_an_upload_that_is_sent_again_gets_the_same_answer(client: FlaskClient, send: Send) -> None:
    first = send()
    assert first.status_code == 202 and "Idempotency-Replayed" not in first.headers
    for _ in range(2):
        again = send()
        assert (again.status_code, again.json) == (202, first.json)
        assert again.headers["Location"] == first.headers["Location"]
        assert again.headers["Idempotency-Replayed"] == "true"
    assert _jobs(client) == [first.json["request_id"]]


def test_the_answer_stays_while_the_job_goes_on(client: FlaskClient, send: Send) -> None:
    first = send()
    client.delete(f"/job/{first.json['request_id']}")
    assert send().json == first.json and _jobs(client) == []


@pytest.mark.parametrize(
    "change", [{"content": OTHER}, {"quality": "60"}, {"webhook_url": "https://hooks.test/"}]
)
def test_another_upload_with_the_key_is_rejected(
    client: FlaskClient, send: Send, change: dict[str, str]
) -> None:
    send()
    answer = send(**change)
    assert (answer.status_code, answer.json["code"]) == (422, "idempotency_key_reused")
    assert len(_jobs(client)) == 1


def test_the_same_options_in_other_words_are_the_same(client: FlaskClient, send: Send) -> None:
    first = send(quality="60", filename="a.csv")
    assert send(quality="060", filename="b.csv").json == first.json


def test_other_keys_make_other_jobs(client: FlaskClient, send: Send) -> None:
    assert send("order-1").json["request_id"] != send("order-2").json["request_id"]


def test_without_a_key_each_upload_is_a_job(client: FlaskClient, send: Send) -> None:
    send()
    client.post("/upload", data={"file": (io.BytesIO(CATALOGUE), "products.csv")})
    assert len(_jobs(client)) == 2


def test_an_invalid_upload_leaves_its_key_free(client: FlaskClient, send: Send) -> None:
    assert send(content=b"S. No.,Product Name,Input Image Urls\n1,a,nothing\n").status_code == 400
    assert send(content=CATALOGUE).status_code == 202


def test_a_dry_run_takes_no_key(client: FlaskClient, send: Send) -> None:
    assert send(dry_run="true").status_code == 200
    assert send(content=OTHER).status_code == 202


def test_an_upload_that_failed_leaves_its_key_free(
    client: FlaskClient, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(intake, "create_job", fail)
        assert send().status_code == 500
    assert send(content=OTHER).status_code == 202


def test_a_key_in_use_is_a_retryable_error(
    app: Flask, client: FlaskClient, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes: list[tuple[int, str]] = []
    create = intake.create_job

    def send_again_meanwhile(*args: object, **options: object) -> None:
        answer = app.test_client().post(
            "/upload",
            headers={"Idempotency-Key": "order-1"},
            data={"file": (io.BytesIO(CATALOGUE), "products.csv")},
        )
        codes.append((answer.status_code, answer.json["code"]))
        create(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(intake, "create_job", send_again_meanwhile)
    assert send().status_code == 202
    assert codes == [(409, "idempotency_key_in_use")]


def test_an_upload_that_lost_its_key_makes_no_job(
    app: Flask,
    client: FlaskClient,
    send: Send,
    stored_files: Callable[[], list[Path]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A request that hangs for longer than its lease finds that another one has answered."""
    create = intake.create_job

    def lose_the_key_first(*args: object, **options: object) -> None:
        with writing() as session:
            session.execute(
                update(IdempotencyKey).values(lease_until=utcnow() - timedelta(seconds=1))
            )
        claim_key(None, "order-1", "another")
        create(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(intake, "create_job", lose_the_key_first)
    assert send().json["code"] == "idempotency_key_in_use"
    assert _jobs(client) == [] and stored_files() == []


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel", "a\tb"])
def test_a_bad_key_is_rejected_by_name(client: FlaskClient, send: Send, key: str) -> None:
    answer = send(key)
    assert answer.status_code == 400
    (issue,) = answer.json["errors"]
    assert (issue["field"], issue["code"]) == ("Idempotency-Key", "invalid_idempotency_key")
    assert _jobs(client) == []


def test_twenty_at_the_same_time_make_one_job(app: Flask, client: FlaskClient) -> None:
    def post(_: int) -> TestResponse:
        return app.test_client().post(
            "/upload",
            headers={"Idempotency-Key": "order-1"},
            data={"file": (io.BytesIO(CATALOGUE), "products.csv")},
        )

    answers = in_parallel(post, 20)
    assert {answer.status_code for answer in answers} <= {202, 409}
    result = {answer.json["request_id"] for answer in answers if answer.status_code == 202}
    assert list(result) == _jobs(client)
