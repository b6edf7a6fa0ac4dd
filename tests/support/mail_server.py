"""A real mail server on loopback: keeps what it takes, and gives the answers that a test has set."""

from __future__ import annotations

import ssl
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "images", "p@ss/word"


class MailServer:
    """A server on loopback; `answers` holds the next answers to RCPT, then all is accepted.

    `security` is none, starttls or tls, and nothing is taken over less; with `login` it knows one
    user; `utf8` is whether it takes addresses with other letters than ASCII.
    """

    def __init__(
        self,
        security: str = "none",
        tls: ssl.SSLContext | None = None,
        *,
        login: bool = False,
        utf8: bool = True,
    ) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.answers: list[str] = []
        self.answers_to_data: list[str] = []
        self.logged_in: list[bool] = []
        starttls = security == "starttls"
        self._controller = _Controller(
            self,
            hostname="127.0.0.1",
            port=0,
            ready_timeout=10,
            enable_SMTPUTF8=utf8,
            ssl_context=tls if security == "tls" else None,
            tls_context=tls if starttls else None,
            require_starttls=starttls,
            authenticator=_authenticate if login else None,
            auth_required=login and starttls,
            auth_require_tls=starttls,
        )

    def __enter__(self) -> MailServer:
        self._controller.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._controller.stop()

    @property
    def port(self) -> int:
        """Return the port that the server listens on."""
        port: int = self._controller.server.sockets[0].getsockname()[1]
        return port

    async def handle_RCPT(
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        """Give the next answer, or take the recipient."""
        if self.answers:
            return self.answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:
        """Give the next answer, or keep the mail."""
        if self.answers_to_data:
            return self.answers_to_data.pop(0)
        self.mails.append(
            cast(
                "EmailMessage",
                message_from_bytes(cast("bytes", envelope.content), policy=policy.default),
            )
        )
        self.recipients += envelope.rcpt_tos
        self.logged_in.append(bool(session.authenticated))
        return "250 OK"


class _Controller(Controller):
    """A controller that finds its own port."""

    def __init__(self, handler: Any, **options: Any) -> None:
        super().__init__(handler, **options)

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


def _authenticate(
    _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
) -> AuthResult:
    known = isinstance(data, LoginPassword) and (data.login, data.password) == (
        USER.encode(),
        PASSWORD.encode(),
    )
    return AuthResult(success=known, handled=False)
