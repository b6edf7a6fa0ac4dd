"""Parsers and checks of settings: the text of a variable becomes a value, or a clear error.

A parser raises ValueError, a check ValidationError; the message follows the name of the variable.
"""

from __future__ import annotations

import binascii
import ipaddress
import re
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.utils import parseaddr
from importlib.util import find_spec
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from environs import ValidationError, validate

from .catalogue import EFFORTS, METADATA

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
PortRanges = tuple[tuple[int, int], ...]

SECRET_CHARS = 32
# A host name, or a domain with all names below it.
HOST_NAME = re.compile(r"\.?[a-z0-9-]+(\.[a-z0-9-]+)*", re.ASCII)


def parse_allowed_hosts(text: str) -> tuple[str, ...]:
    """Return the host names in lower case. Raise ValueError.

    `.example.com` stands for example.com and its subdomains, `*` for every name.
    """
    names = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    for name in names:
        if name != "*" and not HOST_NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} must be a host name such as images.example.com, or"
                " .example.com for all names below it, without http:// and without a"
                " port; IP addresses are always accepted"
            )
    return names


def parse_secret(text: str, *, required: bool = False) -> str | None:
    """Read a secret set by the operator; the error message does not repeat it."""
    if not text and not required:
        return None
    if len(text) < SECRET_CHARS:
        raise ValueError(
            f"must have at least {SECRET_CHARS} characters; create one with: openssl rand -hex 32"
        )
    return text


FORMATS = ("console", "json")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def parse_format(text: str) -> str:
    """Return one of FORMATS. Raise ValueError."""
    if text.lower() not in FORMATS:
        raise ValueError(f"must be one of {', '.join(FORMATS)}")
    return text.lower()


def parse_effort(text: str) -> str:
    """Return one of EFFORTS. Raise ValueError."""
    if text.lower() not in EFFORTS:
        raise ValueError(f"must be one of {', '.join(EFFORTS)}")
    return text.lower()


def parse_metadata(text: str) -> str:
    """Return one of METADATA. Raise ValueError."""
    if text.lower() not in METADATA:
        raise ValueError(f"must be one of {', '.join(METADATA)}")
    return text.lower()


def parse_level(text: str) -> str:
    """Return one of LEVELS. Raise ValueError."""
    if text.upper() not in LEVELS:
        raise ValueError(f"must be one of {', '.join(LEVELS)}")
    return text.upper()


# The kinds of encryption of a connection to a mail server, and their usual ports.
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
    """Read the URL of a mail server; the error does not repeat it, since it has a password."""
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
        return SmtpServer(
            parts.hostname,
            parts.port or port,
            security,
            unquote(parts.username) if parts.username else None,
            unquote(parts.password or ""),
        )
    except (ValueError, KeyError):
        raise ValueError(
            "must look like smtp+starttls://user:password@mail.example.com:587;"
            " also smtp:// and smtps://; write special characters as %XX"
        ) from None


def parse_mail_from(text: str, *, required: bool = False) -> str | None:
    """Return the sender for the header: an address, with or without a name.

    An empty text means None. Raise ValueError.
    """
    if not text and not required:
        return None
    name, address = parseaddr(text)
    try:
        if not text.isprintable():
            raise ValueError("a line end or another control character")
        return str(Address(name, addr_spec=address))
    except (ValueError, IndexError):
        raise ValueError(
            "must be an address: images@example.com, or Images <images@example.com>"
        ) from None


STREAM, REDIRECT = "stream", "redirect"
# Amazon S3 User Guide, "General purpose bucket naming rules"; other makers allow no others.
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def parse_storage_url(text: str) -> str | None:
    """Return the URL, or None for an empty one. Raise ValueError, which does not show it."""
    if not text:
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = SplitResult("", "", "", "", "")
    if not (_names_folder(parts) or _names_bucket(parts)):
        raise ValueError("must look like file:///absolute/path or s3://bucket/prefix")
    if parts.scheme == "s3" and find_spec("boto3") is None:
        raise ValueError("S3 needs boto3: pip install -r requirements-s3.txt")
    return text


def _names_folder(parts: SplitResult) -> bool:
    return parts.scheme == "file" and not parts.netloc and parts.path.startswith("/")


def _names_bucket(parts: SplitResult) -> bool:
    folders = parts.path.strip("/").split("/") if parts.path.strip("/") else []
    return (
        parts.scheme == "s3"
        and BUCKET.fullmatch(parts.netloc) is not None
        and not parts.query
        and not parts.fragment
        and not any(folder in ("", ".", "..") for folder in folders)
    )


def parse_image_delivery(text: str, *, storage_url: str | None) -> str:
    """Return how images are delivered. Raise ValueError if the storage cannot do it."""
    text = text or STREAM
    if text not in (STREAM, REDIRECT):
        raise ValueError(f"must be {STREAM} or {REDIRECT}")
    if text == REDIRECT and not (storage_url or "").startswith("s3:"):
        raise ValueError(f"{REDIRECT} needs a STORAGE_URL such as s3://bucket/prefix")
    return text


# Standard Webhooks, "Signature scheme": a secret is 24 to 64 random bytes, behind this prefix.
SECRET_PREFIX = "whsec_"
SECRET_BYTES = range(24, 65)
# The schedule that Standard Webhooks proposes ("Deliverability and reliability"): the pauses, in
# seconds, after the first, second … attempt, about three days in all.
RETRY_PAUSES = "5,300,1800,7200,18000,36000,50400,72000,86400"
LONGEST_PAUSE = 86_400
SECRETS_KEY_BYTES = 32
STANDARD_BASE64 = str.maketrans("-_", "+/")


def check_webhook_secret(text: str) -> None:
    """Raise ValueError, which does not show it, if `text` is not a secret of Standard Webhooks."""
    try:
        key = b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(SECRET_PREFIX) or len(key) not in SECRET_BYTES:
        raise ValueError(
            "must be whsec_ and 24 to 64 bytes in base64; create one with: echo"
            " whsec_$(openssl rand -base64 32)"
        )


def parse_secrets(text: str) -> tuple[str, ...]:
    """Return the active secrets, the newest first. Raise ValueError."""
    secrets = tuple(part.strip() for part in text.split(",") if part.strip())
    if len(secrets) > 2:
        raise ValueError("can hold at most two secrets: the new one and the old one")
    for secret in secrets:
        check_webhook_secret(secret)
    return secrets


def parse_secrets_keys(text: str) -> tuple[str, ...]:
    """Return the keys that encrypt secrets in the ledger, the newest first. Raise ValueError."""
    keys = [part.strip() for part in text.split(",") if part.strip()]
    try:
        raw = [b64decode(key.translate(STANDARD_BASE64), validate=True) for key in keys]
    except (binascii.Error, ValueError):
        raw = [b""]
    if any(len(key) != SECRETS_KEY_BYTES for key in raw):
        raise ValueError(
            "must be 32 bytes in base64, or several such keys separated by commas,"
            " newest first; create one with: openssl rand -base64 32"
        )
    return tuple(urlsafe_b64encode(key).decode() for key in raw)


def parse_pauses(text: str) -> tuple[float, ...]:
    """Return the pauses between attempts, in seconds. Raise ValueError."""
    try:
        pauses = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        pauses = (0.0,)
    if not all(0 < pause <= LONGEST_PAUSE for pause in pauses):
        raise ValueError(
            "must be a list of seconds, each above 0 and up to 86400, such as 5,300,1800"
        )
    return pauses


def parse_base_url(text: str) -> str | None:
    """Return the URL without a slash at its end, or None for an empty one. Raise ValueError."""
    if not text:
        return None
    try:
        parts = urlsplit(text)
        port_is_valid = parts.port != 0  # Reading an invalid port raises ValueError.
    except ValueError:
        parts, port_is_valid = SplitResult("", "", "", "", ""), False
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or not port_is_valid
        or "@" in parts.netloc
        or parts.query
        or parts.fragment
    ):
        raise ValueError("must look like https://images.example.com or http://host:9000")
    return text.rstrip("/")


# The names in SQLAlchemy of the supported databases, and in kombu of the brokers.
DATABASES = ("sqlite", "postgresql", "postgres", "postgresql+psycopg2")
BROKERS = ("redis", "rediss", "redis+socket", "amqp", "amqps", "pyamqp")


def parse_database_url(text: str) -> str:
    """Return the URL. Raise ValueError, which does not show it, for it has a password."""
    # Clients and codec processes have no database, and start without SQLAlchemy.
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        if make_url(text).drivername in DATABASES:
            return text
    except (ArgumentError, ValueError):
        pass  # Not a URL, or one with an invalid port.
    raise ValueError(
        "must look like postgresql://user:password@host:5432/name or"
        " sqlite:////absolute/path.sqlite3; other databases are not supported. Write special"
        " characters in the password as %XX"
    )


def parse_broker_url(text: str) -> str:
    """Return the URL. Raise ValueError, which does not show it, for it has a password."""
    if urlsplit(text).scheme in BROKERS:
        return text
    raise ValueError(
        "must look like redis://host:6379/0 or amqp://user:password@host:5672//; other brokers are"
        " not supported"
    )


def parse_otlp_endpoint(text: str) -> str | None:
    """Return the URL, or None for an empty one. Raise ValueError."""
    url = parse_base_url(text)
    if url and find_spec("opentelemetry") is None:
        raise ValueError("traces need OpenTelemetry: pip install -r requirements-otel.txt")
    return url


def parse_networks(text: str) -> tuple[IPNetwork, ...]:
    """Return the networks. Raise ValueError."""
    return tuple(_parse_network(part.strip()) for part in text.split(",") if part.strip())


def _parse_network(text: str) -> IPNetwork:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(
            f"{text!r} must be a network such as 10.1.0.0/16 or fd12::/48, without bits set behind"
            " its prefix"
        ) from None


def parse_ports(text: str) -> PortRanges:
    """Return the ranges of ports. Raise ValueError."""
    return tuple(_parse_port_range(part.strip()) for part in text.split(",") if part.strip())


def _parse_port_range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    try:
        low, high = int(first), int(last or first)
    except ValueError:
        low = high = 0
    if not 1 <= low <= high <= 65535:
        raise ValueError(
            f"{text!r} must be a port between 1 and 65535, or a range of ports such as 8000-8080"
        )
    return low, high


POSITIVE = validate.Range(min=1, error="must be at least {min}")
NOT_NEGATIVE = validate.Range(min=0, error="must be at least {min}")


def between(low: int, high: int) -> validate.Range:
    """Return a check that a number lies between `low` and `high`, both included."""
    return validate.Range(low, high, error="must be between {min} and {max}")


def zero_or(least: int) -> Callable[[int], None]:
    """Return a check that a number is 0, which switches a limit off, or no less than `least`."""

    def check(number: int) -> None:
        if number and number < least:
            raise ValidationError(f"must be 0 or at least {least}")

    return check
