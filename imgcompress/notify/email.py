"""Write and send an e-mail."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from html import escape
from typing import Any, NamedTuple, cast

from ..errors import IMAGE_ERRORS
from ..file_names import output_name
from ..net import Deadline, current_deadline
from ..setting_parsers import SmtpServer
from .webhook import Attempt

# Seconds for each answer of the server, and for the whole e-mail: a server that answers byte by
# byte must not block a delivery worker.
ANSWER_SECONDS, MAIL_SECONDS = 15.0, 120.0
# Answers from this code on are final (RFC 5321, section 4.2.1); those from 400 may be temporary, as
# with greylisting.
PERMANENT = 500
ACCEPTED, SERVICE_CLOSING = 250, 421


def send_mail(
    server: SmtpServer, message: EmailMessage, *, recipient: str, tls: ssl.SSLContext | None = None
) -> Attempt:
    """Send the message to the server once.

    The server's answer to this e-mail decides: 4xx is temporary, 5xx is final. Earlier errors, such
    as a rejected login, are temporary, since the operator may fix them.
    """
    deadline = Deadline(MAIL_SECONDS)
    try:
        with deadline, _connected(server, tls) as connection:
            connection.send_message(message, to_addrs=[recipient])
            _take_leave(connection)
    except smtplib.SMTPRecipientsRefused as error:
        return _rejected(error.recipients[recipient][0])
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        return _rejected(error.smtp_code)
    except (smtplib.SMTPNotSupportedError, UnicodeError):
        # The address has characters that the server does not support.
        return Attempt(False, error="address_not_supported", final=True)
    except (smtplib.SMTPException, OSError) as error:
        return Attempt(
            False,
            getattr(error, "smtp_code", None),
            _error_code(error, deadline),
            receiver_failing=True,
        )
    return Attempt(True, ACCEPTED)


def greet_server(server: SmtpServer, *, tls: ssl.SSLContext | None = None) -> str | None:
    """Connect and log in without sending anything; return a short error code, or None."""
    deadline = Deadline(MAIL_SECONDS)
    try:
        with deadline, _connected(server, tls) as connection:
            _take_leave(connection)
    except (smtplib.SMTPException, OSError) as error:
        return _error_code(error, deadline)
    return None


class _Watched(smtplib.SMTP):
    """A connection that is shut when the deadline of its thread has passed."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        # SMTP_SSL itself calls this method, which the type stubs do not declare.
        made = super()._get_socket(host, port, timeout)  # type: ignore[misc]
        sock = cast(socket.socket, made)
        deadline = current_deadline()
        if deadline:
            deadline.watch(sock)
        return sock


class _WatchedTLS(smtplib.SMTP_SSL, _Watched):
    """The same over TLS: SMTP_SSL encrypts the socket that the next class in the MRO opens."""


@contextmanager
def _connected(server: SmtpServer, tls: ssl.SSLContext | None) -> Iterator[smtplib.SMTP]:
    """Yield a logged-in connection, encrypted as the settings require, never less."""
    tls = tls or ssl.create_default_context()
    connection = (
        _WatchedTLS(server.host, server.port, timeout=ANSWER_SECONDS, context=tls)
        if server.security == "tls"
        else _Watched(server.host, server.port, timeout=ANSWER_SECONDS)
    )
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
    """Send QUIT; the e-mail is accepted, whatever the server answers."""
    with suppress(smtplib.SMTPException, OSError):
        connection.quit()


def _rejected(code: int) -> Attempt:
    return Attempt(
        False,
        code,
        f"status {code}",
        final=code >= PERMANENT,
        receiver_failing=code == SERVICE_CLOSING,
    )


def _error_code(error: OSError, deadline: Deadline) -> str:
    """Return a short code for an error; the exceptions of smtplib are OSErrors too."""
    # smtplib reports a timeout as a lost connection.
    if deadline.passed or any(isinstance(one, TimeoutError) for one in (error, error.__context__)):
        return "timeout"
    kinds = (
        (ssl.SSLError, "tls_invalid"),
        (smtplib.SMTPServerDisconnected, "connection_broken"),
        (smtplib.SMTPAuthenticationError, "login_refused"),
        (smtplib.SMTPException, "server_refused"),
    )
    return next((code for kind, code in kinds if isinstance(error, kind)), "connect_failed")


MEGABYTE, KILOBYTE = 1_000_000, 1_000

OPENINGS = {
    "COMPLETED": "The images of {name} are ready.",
    "FAILED": "None of the images of {name} could be compressed.",
    "CANCELLED": "The job for {name} was cancelled.",
}


@dataclass(frozen=True)
class Letter:
    """The text of an e-mail: the summary, the failures by reason, and links with their labels."""

    subject: str
    paragraphs: tuple[str, ...]
    failures: tuple[str, ...]
    links: Mapping[str, str]


class Attachment(NamedTuple):
    """A job's output: the ending of its name, such as `.csv`, its media type, and its bytes."""

    ending: str
    media_type: str
    content: bytes


def job_mail(
    payload: Mapping[str, Any],
    *,
    event_id: str,
    sender: str,
    recipient: str,
    now: datetime,
    attachment: Attachment | None,
) -> EmailMessage:
    """Return the e-mail about a job from the outbox's payload.

    If the output is too large for an `attachment`, the e-mail has a link to it. The Message-ID is
    the same in every attempt, so that duplicates can be recognised.
    """
    letter = _letter(payload, attached=attachment is not None)
    message = EmailMessage()
    message["Subject"] = letter.subject
    message["From"] = sender
    message["To"] = recipient
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{event_id}@{parseaddr(sender)[1].rpartition('@')[2]}>"
    # RFC 3834: no out-of-office answer is wanted.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_as_text(letter))
    message.add_alternative(_as_html(letter), subtype="html")
    if attachment is not None:
        kind, _, parameters = attachment.media_type.partition("; ")
        maintype, _, subtype = kind.partition("/")
        message.add_attachment(
            attachment.content,
            maintype=maintype,
            subtype=subtype,
            filename=output_name(payload["source_filename"], f"-compressed{attachment.ending}"),
            params={"charset": "utf-8"} if parameters else {},
        )
    return message


def _letter(payload: Mapping[str, Any], *, attached: bool) -> Letter:
    name, done, total = (
        payload["source_filename"],
        payload["completed_images"],
        payload["total_images"],
    )
    subject = {
        "COMPLETED": f"{name}: {done:,} of {total:,} images compressed",
        "FAILED": f"{name}: no image could be compressed",
        "CANCELLED": f"{name}: cancelled after {done:,} of {total:,} images",
    }[payload["status"]]
    links = {"All images, with the reasons for failures": payload["details_url"]}
    if not attached:
        links = {"The output, which is too large to attach": payload["download_url"]} | links
    closing = ("The output is attached: your file with the new URLs.",) if attached else ()
    return Letter(subject, (*_summary(payload), *closing), _failures(payload), links)


def _summary(payload: Mapping[str, Any]) -> tuple[str, ...]:
    before, after = payload["input_bytes"], payload["output_bytes"]
    lines = [
        OPENINGS[payload["status"]].format(name=payload["source_filename"]),
        f"{payload['completed_images']:,} of {payload['total_images']:,} images were compressed,"
        f" {payload['failed_images']:,} failed.",
    ]
    if before:
        saved = 100 * (before - after) / before
        lines.append(f"Their size went from {_size(before)} to {_size(after)}: {saved:.0f} % less.")
    return tuple(lines)


def _failures(payload: Mapping[str, Any]) -> tuple[str, ...]:
    lines = []
    for failure in payload["failures"]:
        error = IMAGE_ERRORS.get(failure["code"])
        found = f"{failure['found']}. " if failure["found"] else ""
        lines.append(
            f"{failure['count']:,} from {failure['host'] or 'no host'}"
            f" (row {failure['example_row']}): {found}{error.advice if error else failure['code']}"
        )
    return tuple(lines)


def _size(count: int) -> str:
    if count >= MEGABYTE:
        return f"{count / MEGABYTE:,.1f} MB"
    return f"{count / KILOBYTE:,.1f} kB" if count >= KILOBYTE else f"{count} bytes"


def _as_text(letter: Letter) -> str:
    parts = ["\n".join(letter.paragraphs)]
    if letter.failures:
        parts.append("Images that failed:\n" + "\n".join(f"- {line}" for line in letter.failures))
    parts.append("\n".join(f"{label}:\n{url}" for label, url in letter.links.items()))
    return "\n\n".join(parts) + "\n"


def _as_html(letter: Letter) -> str:
    paragraphs = "".join(f"<p>{escape(line)}</p>\n" for line in letter.paragraphs)
    failures = "".join(f"<li>{escape(line)}</li>\n" for line in letter.failures)
    listed = f"<p>Images that failed:</p>\n<ul>\n{failures}</ul>\n" if failures else ""
    links = "".join(
        f'<p><a href="{escape(url)}">{escape(label)}</a></p>\n'
        for label, url in letter.links.items()
    )
    return f"<!doctype html>\n<html><body>\n{paragraphs}{listed}{links}</body></html>\n"
