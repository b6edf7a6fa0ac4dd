"""One attempt at a mail, against a real server on loopback."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import suppress
from email.message import EmailMessage

import pytest
import trustme

from imgcompress.notify import email
from imgcompress.notify.email import send_mail
from imgcompress.notify.webhook import Attempt
from imgcompress.setting_parsers import SmtpServer

from tests.support.mail_server import PASSWORD, USER, MailServer

TO = "team@shop.test"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return an authority that the client trusts."""
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """Return the TLS context of the server."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """Return a TLS context that trusts the server."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def _send(server: SmtpServer, tls: ssl.SSLContext | None = None, to: str = TO) -> Attempt:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = "Done", "images@service.test", to
    message.set_content("All images are done.")
    return send_mail(server, message, recipient=to, tls=tls)


def test_a_mail_is_accepted() -> None:
    with MailServer() as server:
        assert _send(SmtpServer("127.0.0.1", server.port)) == Attempt(True, 250)
    (mail,) = server.mails
    assert (mail["Subject"], server.recipients) == ("Done", [TO])
    assert "All images" in mail.get_content()


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_it_goes_encrypted_and_logged_in(
    server_tls: ssl.SSLContext, trusting: ssl.SSLContext, security: str
) -> None:
    with MailServer(security, server_tls, login=True) as server:
        place = SmtpServer("127.0.0.1", server.port, security, USER, PASSWORD)
        assert _send(place, trusting) == Attempt(True, 250)
    assert server.logged_in == [True]


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_server_with_an_unknown_certificate_is_not_trusted(
    server_tls: ssl.SSLContext, security: str
) -> None:
    with MailServer(security, server_tls) as server:
        attempt = _send(SmtpServer("127.0.0.1", server.port, security))
    assert attempt == Attempt(False, error="tls_invalid", receiver_failing=True)
    assert server.mails == []


def test_without_starttls_nothing_is_sent_in_the_clear() -> None:
    with MailServer() as server:
        attempt = _send(SmtpServer("127.0.0.1", server.port, "starttls", USER, PASSWORD))
    assert attempt == Attempt(False, error="server_refused", receiver_failing=True)
    assert server.mails == []


def test_a_rejected_login_can_be_fixed_by_the_operator(
    server_tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    with MailServer("starttls", server_tls, login=True) as server:
        attempt = _send(SmtpServer("127.0.0.1", server.port, "starttls", USER, "wrong"), trusting)
    assert attempt == Attempt(False, 535, "login_refused", receiver_failing=True)


@pytest.mark.parametrize(
    "answer, final",
    [
        ("451 4.7.1 Greylisted, try again in five minutes", False),
        ("452 4.2.2 The mailbox is full", False),
        ("550 5.1.1 No such mailbox", True),
    ],
)
@pytest.mark.parametrize("place", ["answers", "answers_to_data"])
def test_4xx_may_pass_and_5xx_is_final(answer: str, final: bool, place: str) -> None:
    with MailServer() as server:
        setattr(server, place, [answer])
        attempt = _send(SmtpServer("127.0.0.1", server.port))
        code = int(answer[:3])
        assert attempt == Attempt(False, code, f"status {code}", final=final)
        assert _send(SmtpServer("127.0.0.1", server.port)).delivered


def test_an_address_that_the_server_cannot_take_is_final() -> None:
    with MailServer(utf8=False) as server:
        attempt = _send(SmtpServer("127.0.0.1", server.port), to="gr\u00fc\u00dfe@shop.test")
    assert attempt == Attempt(False, error="address_not_supported", final=True)


def test_a_server_that_is_down_or_hangs_counts_as_failing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        hangs = _send(SmtpServer("127.0.0.1", port))
    assert hangs == Attempt(False, error="timeout", receiver_failing=True)
    assert _send(SmtpServer("127.0.0.1", port)) == Attempt(
        False, error="connect_failed", receiver_failing=True
    )


@pytest.mark.parametrize("security", ["none", "tls"])
def test_a_server_that_answers_letter_by_letter_has_an_end(
    monkeypatch: pytest.MonkeyPatch, security: str
) -> None:
    monkeypatch.setattr(email, "MAIL_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        dripping = threading.Thread(target=_drip, args=(server,))
        dripping.start()
        attempt = _send(SmtpServer("127.0.0.1", server.getsockname()[1], security))
        dripping.join(10)
    assert attempt == Attempt(False, error="timeout", receiver_failing=True)
    assert not dripping.is_alive()


def _drip(server: socket.socket) -> None:
    """Begin a greeting, or a record of TLS, that never ends."""
    connection, _ = server.accept()
    with connection, suppress(OSError):
        connection.sendall(b"\x16\x03\x03\x40\x00" if _asks_for_tls(connection) else b"220 ")
        while True:
            connection.sendall(b"x")
            time.sleep(0.02)


def _asks_for_tls(connection: socket.socket) -> bool:
    connection.settimeout(0.1)
    with suppress(TimeoutError):
        return bool(connection.recv(1))
    return False
