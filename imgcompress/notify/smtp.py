"""Send a mail: hand it to the mail server, and attempt it once."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from email.message import EmailMessage
from typing import cast

from ..config import SmtpServer
from ..netguard import Deadline, current_deadline
from .attempt import Attempt

# Seconds for each answer of the server, and for all of them and the mail together: one that
# answers letter by letter must not hold a courier.
ANSWER_SECONDS, MAIL_SECONDS = 15.0, 120.0
# An answer from here on is final (RFC 5321, section 4.2.1); one from 400 may pass, as greylisting
# does.
PERMANENT = 500
ACCEPTED, SERVICE_CLOSING = 250, 421


def send_mail(server: SmtpServer, message: EmailMessage, *, recipient: str,
              tls: ssl.SSLContext | None = None) -> Attempt:
    """Hand the message to the server once.

    What the server says of this mail decides for this mail: 4xx may pass, 5xx is final. What goes
    wrong before that, a login that is refused included, may be put right by the operator.
    """
    deadline = Deadline(MAIL_SECONDS)
    try:
        with deadline, _connected(server, tls) as connection:
            connection.send_message(message, to_addrs=[recipient])
            _take_leave(connection)
    except smtplib.SMTPRecipientsRefused as error:
        return _refused(error.recipients[recipient][0])
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        return _refused(error.smtp_code)
    except (smtplib.SMTPNotSupportedError, UnicodeError):
        # The address has letters that the server cannot take.
        return Attempt(False, error="address_not_supported", final=True)
    except (smtplib.SMTPException, OSError) as error:
        return Attempt(False, getattr(error, "smtp_code", None), _fault(error, deadline),
                       receiver_ill=True)
    return Attempt(True, ACCEPTED)


def greet_server(server: SmtpServer, *, tls: ssl.SSLContext | None = None) -> str | None:
    """Connect and log in, and send nothing; return a short code for what fails, or None."""
    deadline = Deadline(MAIL_SECONDS)
    try:
        with deadline, _connected(server, tls) as connection:
            _take_leave(connection)
    except (smtplib.SMTPException, OSError) as error:
        return _fault(error, deadline)
    return None


class _Watched(smtplib.SMTP):
    """A connection that is shut when the deadline of its thread has passed."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        # SMTP_SSL itself builds upon this method, which the type stubs do not know.
        made = super()._get_socket(host, port, timeout)  # type: ignore[misc]
        sock = cast(socket.socket, made)
        deadline = current_deadline()
        if deadline:
            deadline.watch(sock)
        return sock


class _WatchedTLS(smtplib.SMTP_SSL, _Watched):
    """The same over TLS: SMTP_SSL encrypts the socket that the next class in line has made."""


@contextmanager
def _connected(server: SmtpServer, tls: ssl.SSLContext | None) -> Iterator[smtplib.SMTP]:
    """Yield a connection that is encrypted as the settings say, and never less; logged in."""
    tls = tls or ssl.create_default_context()
    connection = (_WatchedTLS(server.host, server.port, timeout=ANSWER_SECONDS, context=tls)
                  if server.security == "tls" else
                  _Watched(server.host, server.port, timeout=ANSWER_SECONDS))
    with closing(connection):
        try:
            if server.security == "starttls":
                connection.starttls(context=tls)
            if server.user is not None:
                connection.login(server.user, server.password)
        except smtplib.SMTPNotSupportedError as error:
            raise smtplib.SMTPException("no STARTTLS or no login") from error
        yield connection


def _take_leave(connection: smtplib.SMTP) -> None:
    """Say QUIT; the mail is accepted, whatever the server says to that."""
    with suppress(smtplib.SMTPException, OSError):
        connection.quit()


def _refused(code: int) -> Attempt:
    return Attempt(False, code, f"status {code}", final=code >= PERMANENT,
                   receiver_ill=code == SERVICE_CLOSING)


def _fault(error: OSError, deadline: Deadline) -> str:
    """Return a short code of what went wrong; the exceptions of smtplib are OSErrors too."""
    # smtplib hides a timeout behind the loss of the connection.
    if deadline.passed or any(isinstance(one, TimeoutError) for one in (error, error.__context__)):
        return "timeout"
    kinds = ((ssl.SSLError, "tls_invalid"),
             (smtplib.SMTPServerDisconnected, "connection_broken"),
             (smtplib.SMTPAuthenticationError, "login_refused"),
             (smtplib.SMTPException, "server_refused"))
    return next((code for kind, code in kinds if isinstance(error, kind)), "connect_failed")
