"""The settings of mail: the server that sends it, and the sender."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.headerregistry import Address
from email.utils import parseaddr
from urllib.parse import parse_qsl, unquote, urlsplit

# The securities of a connection to a mail server, and their usual ports.
SMTP_SCHEMES = {"smtp": ("none", 25), "smtp+starttls": ("starttls", 587), "smtps": ("tls", 465)}


@dataclass(frozen=True)
class SmtpServer:
    """A mail server; `security` is none, starttls or tls, and `user` is None without a login."""

    host: str
    port: int
    security: str = "none"
    user: str | None = None
    password: str = field(default="", repr=False)


def parse_smtp_url(text: str) -> SmtpServer | None:
    """Read the address of a mail server; the fault does not repeat it, for it has a password."""
    if not text:
        return None
    try:
        parts = urlsplit(text)
        scheme = parts.scheme
        if scheme == "smtp" and "starttls" in dict(parse_qsl(parts.query, keep_blank_values=True)):
            scheme = "smtp+starttls"
        security, port = SMTP_SCHEMES[scheme]
        if not parts.hostname or parts.path not in ("", "/"):
            raise ValueError("no host, or a path")
        return SmtpServer(parts.hostname, parts.port or port, security,
                          unquote(parts.username) if parts.username else None,
                          unquote(parts.password or ""))
    except (ValueError, KeyError):
        raise ValueError("must look like smtp+starttls://user:password@mail.example.com:587;"
                         " also smtp:// and smtps://; write special characters as %XX") from None


def parse_mail_from(text: str, *, required: bool = False) -> str | None:
    """Return the sender as the header will have it: an address, with or without a name.

    An empty text is none at all. Raise ValueError.
    """
    if not text and not required:
        return None
    name, address = parseaddr(text)
    try:
        if not text.isprintable():
            raise ValueError("a line end or another control character")
        return str(Address(name, addr_spec=address))
    except (ValueError, IndexError):
        raise ValueError("must be an address: images@example.com, or"
                         " Images <images@example.com>") from None
