"""Rounds of deliveries over a real ledger, to real receivers on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from itertools import count
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from standardwebhooks import Webhook

from imgcompress import create_app
from imgcompress.config import load_settings
from imgcompress.errors import LedgerUnavailable
from imgcompress.extensions import db
from imgcompress.ledger import clock as ledger_clock
from imgcompress.ledger import deliveries, receivers
from imgcompress.ledger.jobs import cancel_job
from imgcompress.ledger.models import WebhookDelivery, utcnow
from imgcompress.ledger.webhook_secret import signing_secrets
from imgcompress.setting_parsers import SmtpServer
from imgcompress.worker import deliver, process
from imgcompress.worker import deliver as rounds
from imgcompress.worker.deliver import deliver_due

from ..ledger.conftest import make_job  # noqa: F401  Its app is the one below.
from tests.support.mail_server import MailServer
from tests.support.parallel import in_parallel
from tests.support.receiver import Receiver
from tests.support.records import attempts_of, events_of

MakeJob = Callable[..., UUID]


class Clock:
    """The time that the outbox goes by; it stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    """Return a mail server."""
    with MailServer() as server:
        yield server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Return a webhook receiver."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def app(sqlite_url: str, tmp_path: Path, mail_server: MailServer) -> Iterator[Flask]:
    """Return an application that may dial loopback and sends mail; its context is open."""
    deliver._session.cache_clear()
    app = create_app(
        load_settings(
            None,
            database_url=sqlite_url,
            data_dir=tmp_path,
            webhook_timeout=2.0,
            allowed_private_networks=(ip_network("127.0.0.0/8"),),
            allowed_ports=((1024, 65535),),
            smtp_server=SmtpServer("127.0.0.1", mail_server.port),
            mail_from="images@service.test",
        )
    )
    with app.app_context():
        yield app
        db.engine.dispose()
    deliver._session.cache_clear()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Let the outbox go by a clock of the test's."""
    clock = Clock()
    for module in (ledger_clock, deliver):
        monkeypatch.setattr(module, "utcnow", clock)
    return clock


@pytest.fixture
def event(make_job: MakeJob, receiver: Receiver) -> Callable[[], WebhookDelivery]:  # noqa: F811
    """Return a function that reads the one delivery of a job, which is due from the start."""
    request_id = make_job(1, webhook_url=receiver.url)
    assert cancel_job(request_id)
    return lambda: events_of(request_id)[0]


def _make_due(clock: Clock, delivery: WebhookDelivery) -> None:
    clock.now = max(clock.now, delivery.next_attempt_at or clock.now)


def test_the_whole_schedule_is_walked(
    app: Flask, clock: Clock, receiver: Receiver, event: Callable[[], WebhookDelivery]
) -> None:
    clock.now = utcnow()
    receiver.answers = [500] * 20
    (secret,) = signing_secrets()
    times = []
    while event().state == "PENDING":
        clock.now = event().next_attempt_at - timedelta(milliseconds=1)
        deliver_due()
        assert len(receiver.arrivals) == len(times), "too early"
        clock.now += timedelta(milliseconds=1)
        times.append(clock.now)
        deliver_due()
    assert event().state == "FAILED" and event().next_attempt_at is None
    pauses = [later - sooner for sooner, later in zip(times, times[1:])]
    for pause, hours in zip(pauses, [5 / 3600, 1 / 12, 0.5, 2, 5, 10, 14, 20, 24], strict=True):
        assert 0.8 * timedelta(hours=hours) <= pause <= 1.2 * timedelta(hours=hours)
    assert {arrival.id for arrival in receiver.arrivals} == {event().id}
    for time, arrival in zip(times, receiver.arrivals, strict=True):
        assert arrival.headers["webhook-timestamp"] == str(int(time.timestamp()))
        assert arrival.headers["webhook-signature"] == Webhook(secret).sign(
            event().id, time, arrival.body.decode()
        )
    assert len({arrival.headers["webhook-signature"] for arrival in receiver.arrivals}) == 10
    assert [(attempt.response_status, attempt.error) for attempt in attempts_of(event().id)] == [
        (500, "status 500")
    ] * 10


def test_failures_and_a_redirect_are_repeated_until_it_is_taken(
    clock: Clock, receiver: Receiver, event: Callable[[], WebhookDelivery]
) -> None:
    clock.now = utcnow()
    with Receiver() as elsewhere:
        receiver.answers = [500, 500, (302, {"Location": elsewhere.url}), 200]
        for _ in range(4):
            deliver_due()
            _make_due(clock, event())
        assert elsewhere.arrivals == []
    assert event().state == "DELIVERED"
    assert len(receiver.arrivals) == 4 and len({arrival.id for arrival in receiver.arrivals}) == 1
    assert [attempt.response_status for attempt in attempts_of(event().id)] == [500, 500, 302, 200]


def test_a_receiver_that_is_gone_ends_it(
    receiver: Receiver, event: Callable[[], WebhookDelivery]
) -> None:
    receiver.answers = [410]
    deliver_due()
    assert (event().state, attempts_of(event().id)[-1].response_status) == ("FAILED", 410)


def test_a_pause_that_is_asked_for_is_kept_up_to_a_day(
    clock: Clock, receiver: Receiver, event: Callable[[], WebhookDelivery]
) -> None:
    clock.now = utcnow()
    receiver.answers = [(503, {"Retry-After": "3600"}), (429, {"Retry-After": "9999999"})]
    deliver_due()
    assert event().next_attempt_at == clock.now + timedelta(hours=1)
    _make_due(clock, event())
    deliver_due()
    assert event().next_attempt_at == clock.now + timedelta(days=1)


def test_an_internal_error_is_retried_like_any_other(
    event: Callable[[], WebhookDelivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(rounds, "attempt_webhook", fail)
    deliver_due()
    assert (event().state, attempts_of(event().id)[-1].error) == ("PENDING", "internal_error")
    assert event().next_attempt_at > utcnow()


def test_a_round_delivers_all_that_is_due(make_job: MakeJob, receiver: Receiver) -> None:  # noqa: F811
    for _ in range(5):
        assert cancel_job(make_job(1, webhook_url=receiver.url))
    deliver_due()
    assert len({arrival.id for arrival in receiver.arrivals}) == 5


def test_the_last_threads_are_left_to_recovery(
    receiver: Receiver, event: Callable[[], WebhookDelivery]
) -> None:
    for _ in range(rounds.ROUNDS_AT_ONCE):
        assert rounds._rounds.acquire(blocking=False)
    try:
        deliver_due()
    finally:
        rounds._rounds.release(rounds.ROUNDS_AT_ONCE)
    assert (event().state, event().attempts, receiver.arrivals) == ("PENDING", 0, [])


def test_attempts_at_once_at_one_receiver_have_a_connection_each(
    app: Flask,
    make_job: MakeJob,
    receiver: Receiver,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(receivers.AT_ONCE):
        cancel_job(make_job(1, webhook_url=receiver.url))
    deliver._session()  # Two threads that ask first at the same time would make two.
    both_arrived = Barrier(receivers.AT_ONCE)
    receiver.before_answer = lambda _: both_arrived.wait(1.5) and None

    def deliver_once(_: int) -> None:
        with app.app_context():
            deliver_due()

    in_parallel(deliver_once, receivers.AT_ONCE)
    assert len(receiver.arrivals) == receivers.AT_ONCE and not both_arrived.broken
    assert "pool is full" not in caplog.text


def test_all_rounds_at_once_have_a_connection_each_at_one_host(
    app: Flask,
    make_job: MakeJob,
    receiver: Receiver,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    for number in range(rounds.ROUNDS_AT_ONCE):
        cancel_job(make_job(1, webhook_url=f"{receiver.url}/{number}", owner=f"owner-{number}"))
    deliver._session()
    all_arrived = Barrier(rounds.ROUNDS_AT_ONCE)
    receiver.before_answer = lambda _: all_arrived.wait(1.5) and None

    def deliver_once(_: int) -> None:
        with app.app_context():
            deliver_due()

    in_parallel(deliver_once, rounds.ROUNDS_AT_ONCE)
    assert len(receiver.arrivals) == rounds.ROUNDS_AT_ONCE and not all_arrived.broken
    assert "pool is full" not in caplog.text


def test_only_the_uploads_own_secret_signs(make_job: MakeJob, receiver: Receiver) -> None:  # noqa: F811
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    cancel_job(make_job(1, webhook_url=receiver.url, webhook_secret=secret))
    deliver_due()
    (arrival,) = receiver.arrivals
    assert arrival.verified(secret)["status"] == "CANCELLED"
    assert arrival.headers["webhook-signature"].count("v1,") == 1


def test_a_secret_that_cannot_be_read_waits_for_its_key(
    app: Flask, make_job: MakeJob, receiver: Receiver, clock: Clock
) -> None:  # noqa: F811
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    request_id = make_job(1, webhook_url=receiver.url, webhook_secret=secret)
    cancel_job(request_id)
    clock.now = utcnow()
    key = app.config["SETTINGS"].data_dir / "secrets_key"
    away = key.rename(key.with_name("away"))
    deliver_due()
    (event,) = events_of(request_id)
    assert (event.state, attempts_of(event.id)[-1].error) == ("PENDING", "secret_unreadable")
    assert receiver.arrivals == []
    away.replace(key)
    clock.now += timedelta(seconds=10)
    deliver_due()
    (arrival,) = receiver.arrivals
    assert arrival.verified(secret)["status"] == "CANCELLED"


class TestMail:
    @pytest.fixture
    def request_id(self, make_job: MakeJob) -> UUID:  # noqa: F811
        """Cancel a job whose end is reported by mail."""
        request_id = make_job(1, webhook_url=None, email="team@shop.test")
        assert cancel_job(request_id)
        return request_id

    def test_greylisting_is_waited_out(
        self, clock: Clock, mail_server: MailServer, request_id: UUID
    ) -> None:
        clock.now = utcnow()
        mail_server.answers = ["451 4.7.1 Greylisted"]
        deliver_due()
        (event,) = events_of(request_id)
        assert (event.state, attempts_of(event.id)[-1].response_status) == ("PENDING", 451)
        _make_due(clock, event)
        deliver_due()
        assert events_of(request_id)[0].state == "DELIVERED"
        assert mail_server.recipients == ["team@shop.test"]

    def test_a_rejected_recipient_is_final(self, mail_server: MailServer, request_id: UUID) -> None:
        mail_server.answers = ["550 5.1.1 No such mailbox"]
        deliver_due()
        (event,) = events_of(request_id)
        assert (event.state, attempts_of(event.id)[-1].response_status) == ("FAILED", 550)

    def test_the_csv_is_attached_up_to_the_limit(
        self, app: Flask, mail_server: MailServer, request_id: UUID
    ) -> None:
        csv = b"S. No.,Product Name,Input Image Urls\n1,SKU1,https://images.test/0.jpg\n"
        app.extensions["storage"].write(f"csv/{request_id}/input.csv", csv)
        deliver_due()
        (attachment,) = mail_server.mails[0].iter_attachments()
        assert attachment.get_payload(decode=True).splitlines() == [
            b"S. No.,Product Name,Input Image Urls,Output Image Urls,Image Errors",
            b"1,SKU1,https://images.test/0.jpg,,",
        ]

    def test_a_larger_csv_is_not_attached(
        self, app: Flask, mail_server: MailServer, request_id: UUID
    ) -> None:
        app.config["SETTINGS"] = replace(app.config["SETTINGS"], mail_max_attachment_bytes=80)
        csv = b"S. No.,Product Name,Input Image Urls\n1,SKU1,https://images.test/0.jpg\n"
        app.extensions["storage"].write(f"csv/{request_id}/input.csv", csv)
        deliver_due()
        assert list(mail_server.mails[0].iter_attachments()) == []

    def test_without_the_csv_the_mail_has_a_link(
        self, mail_server: MailServer, request_id: UUID
    ) -> None:
        deliver_due()
        assert list(mail_server.mails[0].iter_attachments()) == []
        body = mail_server.mails[0].get_body(("plain",))
        assert body is not None and f"/job/download/{request_id}" in body.get_content()


def test_no_mail_goes_out_without_a_mail_server(sqlite_url: str, tmp_path: Path) -> None:
    app = create_app(load_settings(None, database_url=sqlite_url, data_dir=tmp_path))
    delivery = deliveries.DueDelivery(
        "msg_1",
        uuid4(),
        deliveries.Channel.EMAIL,
        "mail server",
        "team@shop.test",
        "{}",
        1,
        1,
        None,
    )
    with app.app_context():
        attempt = rounds.attempt_email(delivery)
    assert (attempt.delivered, attempt.error, attempt.final) == (False, "no_mail_server", False)


def test_deliveries_are_recorded_once_the_ledger_is_back(
    receiver: Receiver, event: Callable[[], WebhookDelivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    record, times = rounds.record_delivered, count(1)

    def record_at_last(*arguments: Any, **options: Any) -> bool:
        if next(times) < 3:
            raise LedgerUnavailable()
        return record(*arguments, **options)

    monkeypatch.setattr(process, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(rounds, "record_delivered", record_at_last)
    deliver_due()
    assert event().state == "DELIVERED" and len(receiver.arrivals) == 1
