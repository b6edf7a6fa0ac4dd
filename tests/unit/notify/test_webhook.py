"""One attempt at a webhook, against a real receiver on loopback."""

from __future__ import annotations

import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from ipaddress import ip_network

import pytest
from standardwebhooks import WebhookVerificationError

from imgcompress.net import DialPolicy, Session
from imgcompress.notify.webhook import Attempt, send_webhook, signed_headers

from tests.support.receiver import Arrival, Receiver

SECRET = "whsec_" + b64encode(b"k" * 32).decode()
PAYLOAD = '{"request_id": "1", "status": "COMPLETED", "product": "Caf\u00e9"}'
LOOPBACK = DialPolicy((ip_network("127.0.0.0/8"),), ((1024, 65535),))


@pytest.fixture
def session() -> Iterator[Session]:
    """Return a session that may dial loopback."""
    with closing(Session(LOOPBACK, pool_size=1, connect_timeout=2)) as session:
        yield session


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Return a receiver."""
    with Receiver() as receiver:
        yield receiver


def _send(
    session: Session, url: str, timeout: float = 5, secrets: tuple[str, ...] = (SECRET,)
) -> Attempt:
    return send_webhook(
        session,
        url,
        secrets=secrets,
        event_id="msg_1",
        payload=PAYLOAD,
        now=datetime.now(UTC),
        timeout=timeout,
    )


def test_a_received_webhook_verifies(session: Session, receiver: Receiver) -> None:
    assert _send(session, receiver.url) == Attempt(True, 200)
    (arrival,) = receiver.arrivals
    assert arrival.body == PAYLOAD.encode()
    assert arrival.verified(SECRET)["status"] == "COMPLETED"
    assert arrival.id == "msg_1"


def test_during_a_rotation_both_secrets_verify(session: Session, receiver: Receiver) -> None:
    old = "whsec_" + b64encode(b"o" * 24).decode()
    _send(session, receiver.url, secrets=(SECRET, old))
    (arrival,) = receiver.arrivals
    assert arrival.headers["webhook-signature"].count("v1,") == 2
    assert arrival.verified(SECRET) == arrival.verified(old)


def test_the_signature_is_the_one_of_the_specification() -> None:
    # The example of the Standard Webhooks specification, "Signature scheme".
    headers = signed_headers(
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",),
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        '{"test": 2432232314}',
        datetime.fromtimestamp(1614265330, UTC),
    )
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("changed", ["webhook-id", "webhook-timestamp", "body"])
def test_one_changed_byte_is_rejected(session: Session, receiver: Receiver, changed: str) -> None:
    _send(session, receiver.url)
    headers, body = dict(receiver.arrivals[0].headers), receiver.arrivals[0].body
    if changed == "body":
        body = body.replace(b"COMPLETED", b"COMPLETEE")
    else:
        headers[changed] = headers[changed][:-1] + str((int(headers[changed][-1]) + 1) % 10)
    with pytest.raises(WebhookVerificationError):
        Arrival(headers, body).verified(SECRET)


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_another_status_is_a_temporary_failure(
    session: Session, receiver: Receiver, status: int
) -> None:
    receiver.answers = [status]
    assert _send(session, receiver.url) == Attempt(
        False, status, f"status {status}", receiver_failing=status >= 500 or status == 429
    )


def test_a_receiver_that_is_gone_is_final(session: Session, receiver: Receiver) -> None:
    receiver.answers = [410]
    assert _send(session, receiver.url).final


def test_a_redirect_is_a_failure_and_is_not_followed(session: Session, receiver: Receiver) -> None:
    with Receiver() as other:
        receiver.answers = [(302, {"Location": other.url})]
        attempt = _send(session, receiver.url)
        assert (attempt.delivered, attempt.status, attempt.final) == (False, 302, False)
        assert other.arrivals == []


def test_the_receiver_can_ask_for_a_pause(session: Session, receiver: Receiver) -> None:
    receiver.answers = [(429, {"Retry-After": "120"})]
    assert _send(session, receiver.url).retry_after == 120


def test_a_receiver_that_hangs_is_given_up(session: Session) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        attempt = _send(session, f"http://127.0.0.1:{port}/", timeout=0.3)
    assert attempt == Attempt(False, error="timeout", receiver_failing=True, unanswered=True)


def test_a_private_address_is_never_dialled(receiver: Receiver) -> None:
    with closing(Session(DialPolicy(), pool_size=1, connect_timeout=2)) as strict:
        attempt = _send(strict, receiver.url)
    assert attempt == Attempt(False, error="url_not_allowed", final=True)
    assert receiver.arrivals == []
