"""Every setting: read once from the environment and `.env`, typed, all errors reported at once."""

from __future__ import annotations

import binascii
import hashlib
import ipaddress
import os
import re
import sys
import tempfile
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from email.headerregistry import Address
from email.utils import parseaddr
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from textwrap import wrap
from typing import Any, NamedTuple, cast
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from dotenv import dotenv_values
from environs import Env, EnvValidationError, ValidationError, validate
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from .errors import SettingsError
from .options import BOUNDS, EFFORTS, MAX_SIDE, METADATA

SECRET_CHARS = 32
# A host name, or a domain with all names below it.
HOST_NAME = re.compile(r"\.?[a-z0-9-]+(\.[a-z0-9-]+)*", re.ASCII)
# Where keys are required, callers are independent, and none may crowd out the others.
WITH_KEYS = {"uploads_per_minute": 60, "reads_per_minute": 600}


def rate_limits(values: Mapping[str, Any]) -> dict[str, int]:
    """Return the limits per minute, 0 for none: as set, or else by whether keys are asked for."""
    return {
        name: _limit(values[name], default if values["require_api_key"] else 0)
        for name, default in WITH_KEYS.items()
    }


def _limit(value: int | None, default: int) -> int:
    return default if value is None else value


def parse_allowed_hosts(text: str) -> tuple[str, ...]:
    """Return the host names, in small letters. Raise ValueError.

    `.example.com` stands for example.com and all that is below it, `*` for every name.
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
    """Return the sender as the header will have it: an address, with or without a name.

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
    """Return how images are delivered. Raise ValueError where the storage cannot do it."""
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
    """Raise ValueError, which does not show it, if `text` is no secret of Standard Webhooks."""
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


__all__ = [
    "IPNetwork",
    "PortRanges",
    "Settings",
    "SmtpServer",
    "check_webhook_secret",
    "embedded_broker_socket",
    "embedded_broker_url",
    "load_settings",
]

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
PortRanges = tuple[tuple[int, int], ...]

# A Unix socket's path is limited to 108 bytes on Linux and 104 on macOS, the final NUL included.
SOCKET_PATH_LIMIT = 100


def parse_base_url(text: str) -> str | None:
    """Return the URL without a slash at its end, or None for an empty one. Raise ValueError."""
    if not text:
        return None
    try:
        parts = urlsplit(text)
        port_is_valid = parts.port != 0  # Reading a faulty port raises ValueError.
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
        raise ValueError("must look like https://images.example.com")
    return text.rstrip("/")


# The names in SQLAlchemy of the supported databases, and in kombu of the brokers.
DATABASES = ("sqlite", "postgresql", "postgres", "postgresql+psycopg2")
BROKERS = ("redis", "rediss", "redis+socket", "amqp", "amqps", "pyamqp")


def parse_database_url(text: str) -> str:
    """Return the URL. Raise ValueError, which does not show it, for it has a password."""
    try:
        if make_url(text).drivername in DATABASES:
            return text
    except (ArgumentError, ValueError):
        pass  # Not a URL, or one with a faulty port.
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


def between(low: int, high: int) -> validate.Range:
    """Return a check that a number lies between `low` and `high`, both included."""
    return validate.Range(low, high, error="must be between {min} and {max}")


def zero_or(least: int) -> Callable[[int], None]:
    """Return a check that a number is 0, which switches a limit off, or no less than `least`."""

    def check(number: int) -> None:
        if number and number < least:
            raise ValidationError(f"must be 0 or at least {least}")

    return check


@dataclass(frozen=True)
class Setting:
    """How one setting is read and explained.

    Its variable is the name of the field in capitals, unless `variable` gives another. `check`
    raises ValidationError for a value, `parse` makes a value of the text, or raises ValueError;
    `given` makes further arguments of `parse` from the settings before it, of which `required`
    asks for the variable to be set. `help` is the comment in `.env.example`, where a setting without a
    default stands with its `example`; a setting without help shares that of the one before it.
    `section` begins a section there.
    """

    default: Any
    help: str
    variable: str | None = None
    check: Callable[[Any], Any] | None = None
    parse: Callable[..., Any] | None = None
    given: Callable[[Mapping[str, Any]], dict[str, Any]] = lambda values: {}
    example: str = ""
    section: str | None = None


def setting(default: Any, help: str = "", *, secret: bool = False, **options: Any) -> Any:
    """Declare a setting; the type of its field says how it is read where there is no parser."""
    return field(repr=not secret, metadata={"setting": Setting(default, help, **options)})


POSITIVE = validate.Range(min=1, error="must be at least {min}")
NOT_NEGATIVE = validate.Range(min=0, error="must be at least {min}")


@dataclass(frozen=True)
class Settings:
    """The settings of one installation.

    `.env.example` is made from this: `python -m imgcompress.config > .env.example`
    """

    data_dir: Path = setting(
        Path("var"),
        "Folder for the database, files and broker, unless the settings below say otherwise.",
        section="Data",
    )
    database_url: str = setting(
        None,
        "The database. Unset: SQLite in DATA_DIR. Postgres: postgresql://user:password@host:5432/name"
        "\nThe database must use UTF-8: CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0",
        parse=parse_database_url,
    )
    celery_broker_url: str = setting(
        None,
        "The broker: redis://host:6379/0 or amqp://user:password@host:5672//"
        "\nUnset: `make run` starts its own Valkey server on a private socket.",
        parse=parse_broker_url,
    )
    queue_prefix: str = setting(
        "imgcompress",
        "Prefix of all queue names, so that several installations can share one broker.",
    )
    storage_url: str = setting(
        "",
        "Storage of uploaded CSVs and compressed images: file:///absolute/path, or"
        " s3://bucket/prefix, which needs pip install -r requirements-s3.txt. Unset: a folder in"
        " DATA_DIR. S3 uses the credentials and region of boto3: AWS_ACCESS_KEY_ID,"
        " AWS_SECRET_ACCESS_KEY, AWS_DEFAULT_REGION, or a role.",
        parse=parse_storage_url,
    )
    storage_endpoint: str | None = setting(
        "",
        "Endpoint of an S3-compatible service other than Amazon's, such as http://minio:9000",
        parse=parse_base_url,
    )
    storage_public_endpoint: str | None = setting(
        "",
        "Endpoint for the viewers of images, if it differs. Used with IMAGE_DELIVERY=redirect.",
        parse=parse_base_url,
    )
    image_delivery: str = setting(
        STREAM,
        "How images are served. stream: through the web server. redirect: from S3, by a redirect to"
        " a URL that is signed for ten minutes.",
        parse=parse_image_delivery,
        given=lambda values: {"storage_url": values["storage_url"]},
    )
    image_base_url: str | None = setting(
        "",
        "Base of image URLs, if it differs from PUBLIC_BASE_URL: the address of a CDN that uses this"
        " service as its origin, such as https://cdn.example.com",
        parse=parse_base_url,
    )

    host: str = setting(
        "127.0.0.1",
        "Address and port that `make run` listens on. 0.0.0.0 exposes it to the network.",
        section="Web server",
    )
    port: int = setting(5000, check=between(1, 65535))
    public_base_url: str | None = setting(
        "",
        "Base of the links in responses, CSVs and webhooks, such as https://images.example.com"
        "\nUnset: the address that the upload was sent to.",
        parse=parse_base_url,
    )
    allowed_hosts: tuple[str, ...] = setting(
        "",
        "Further host names that the service answers to: images.example.com, or .example.com with"
        " all names below it, or * for every name. It always answers to the names in HOST,"
        " PUBLIC_BASE_URL and IMAGE_BASE_URL, to localhost, and to all IP addresses. It rejects"
        " requests to other names, which protects against DNS rebinding.",
        parse=parse_allowed_hosts,
        example="images.internal,.example.com",
    )
    trusted_proxies: int = setting(
        0,
        "Number of proxies in front of the web server. Only their X-Forwarded-For, -Proto and -Host"
        " headers are trusted.",
        check=NOT_NEGATIVE,
    )
    max_upload_bytes: int = setting(200 * 2**20, "Largest CSV file, in bytes.", check=POSITIVE)
    max_images_per_job: int = setting(1_000_000, "Most images in one CSV.", check=POSITIVE)

    require_api_key: bool = setting(
        False,
        "Require an API key for everything except images, health checks and documentation. Create"
        " keys with `imgcompress keys create NAME`. A key sees only the jobs of its name.",
        section="Callers",
    )
    metrics_key: str | None = setting(
        "",
        "Key for /metrics, at least 32 characters: openssl rand -hex 32"
        "\nUnset: /metrics is closed with REQUIRE_API_KEY, and open without.",
        parse=parse_secret,
        secret=True,
    )
    uploads_per_minute: int = setting(
        None,
        "Requests per minute: uploads, and all others. They count per owner of a key; requests"
        " without a valid key count per address, and an IPv6 /64 network counts as one address. 0:"
        " no limit."
        f"\nUnset: {WITH_KEYS['uploads_per_minute']} and {WITH_KEYS['reads_per_minute']} with"
        " REQUIRE_API_KEY, no limit without.",
        check=NOT_NEGATIVE,
    )
    reads_per_minute: int = setting(None, check=NOT_NEGATIVE)
    max_active_jobs: int = setting(100, "Most running jobs of one key.", check=POSITIVE)
    max_feeds: int = setting(
        20,
        "Most feeds of one key, or of all callers together without REQUIRE_API_KEY.",
        check=POSITIVE,
    )
    signed_image_urls: bool = setting(
        False,
        "Make image URLs expire after this many seconds. They are signed with a secret of at least"
        f" {SECRET_CHARS} characters, the same on all machines: openssl rand -hex 32",
    )
    image_url_secret: str | None = setting(
        "",
        parse=parse_secret,
        given=lambda values: {"required": values["signed_image_urls"]},
        secret=True,
    )
    image_url_seconds: int = setting(7 * 86_400, check=POSITIVE)

    compression_percentage: int = setting(
        50,
        "Percentage of its bytes that each image must lose, if the upload specifies none.",
        check=between(*BOUNDS["compression_percentage"]),
        section="Compression",
    )
    min_quality: int = setting(
        30,
        "Lowest quality on the JPEG scale ({}-{}), whatever the percentage.".format(
            *BOUNDS["quality"]
        ),
        check=between(*BOUNDS["quality"]),
    )
    min_score: int = setting(
        None,
        "Lowest score, from {} to {}, in place of MIN_QUALITY, if the upload specifies none. Unset:"
        " MIN_QUALITY is the floor.".format(*BOUNDS["min_score"]),
        check=between(*BOUNDS["min_score"]),
    )
    metadata: str = setting(
        "none",
        "What images keep of their metadata, if the upload specifies nothing: none, or rights, which"
        " is creator, copyright, licence and source type.",
        parse=parse_metadata,
    )
    effort: str = setting(
        "medium",
        "Time that an image may take, if the upload specifies none: low, medium or high.",
        parse=parse_effort,
    )
    jpeg_engine: bool = setting(
        True,
        "Compress JPEGs that stay JPEGs without decoding their pixels, which is faster and looks"
        " better. Needs the JPEG engine, which `make setup` builds if there is a C compiler.",
    )
    max_image_bytes: int = setting(
        25 * 2**20,
        "Larger images fail before they are decoded. Pixels are width x height x frames; a frame"
        f" counts as at least 4,096. A side may have at most {MAX_SIDE:,} pixels.",
        check=POSITIVE,
    )
    max_image_pixels: int = setting(50_000_000, check=POSITIVE)
    max_frames: int = setting(2_000, "Most frames of an animation.", check=POSITIVE)
    compress_timeout: float = setting(
        60.0, "Longest time to compress an image, in seconds.", check=POSITIVE
    )

    fetch_timeout: float = setting(
        25.0,
        "Time limits of a download, in seconds: in total, and to connect.",
        check=POSITIVE,
        section="Downloads",
    )
    fetch_connect_timeout: float = setting(5.0, check=POSITIVE)
    fetch_concurrency: int = setting(
        16, "Concurrent downloads in each worker process.", check=POSITIVE
    )
    fetch_per_host: int = setting(
        None,
        "Concurrent downloads from one host in each worker process. Unset: FETCH_CONCURRENCY. With 4"
        " worker processes on each of 3 machines, a host sees at most 12 times as many connections."
        " A process halves its own limit when the host is overloaded.",
        check=POSITIVE,
    )
    fetch_suspend_seconds: float = setting(
        60.0,
        "How long a host is suspended after ten failures in a row, in seconds.",
        check=POSITIVE,
    )
    allowed_private_networks: tuple[IPNetwork, ...] = setting(
        "",
        "Private networks that images may be fetched from and webhooks sent to:"
        " 10.1.0.0/16,fd12::/48",
        parse=parse_networks,
    )
    allowed_ports: PortRanges = setting(
        "80,443", "Ports, and ranges of ports, that may be connected to.", parse=parse_ports
    )

    webhook_secrets: tuple[str, ...] = setting(
        "",
        "Secret that signs webhooks: `whsec_` and 24 to 64 bytes in base64. Unset: created at first"
        " use and kept in the database, for all machines; `imgcompress webhooks secret` shows it. To"
        " rotate it, set new,old: both sign until you remove the old one.",
        variable="WEBHOOK_SECRET",
        parse=parse_secrets,
        secret=True,
        section="Webhooks",
    )
    secrets_keys: tuple[str, ...] = setting(
        "",
        "Key that encrypts the webhook_secret of an upload in the database: 32 bytes in base64, from"
        " openssl rand -base64 32. Unset: derived from WEBHOOK_SECRET, or else created at first use"
        " and kept in DATA_DIR/secrets_key. All machines need the same key. To rotate it, set"
        " new,old, and remove the old one after two hours.",
        variable="SECRETS_KEY",
        parse=parse_secrets_keys,
        secret=True,
    )
    webhook_timeout: float = setting(15.0, "Time limit of one attempt, in seconds.", check=POSITIVE)
    webhook_retry_pauses: tuple[float, ...] = setting(
        RETRY_PAUSES,
        "Pauses after the first, second, … failed attempt to send a webhook or an e-mail, in"
        " seconds.",
        parse=parse_pauses,
    )

    smtp_server: SmtpServer | None = setting(
        "",
        "Mail server: smtp+starttls://user:password@mail.example.com:587,"
        " smtps://user:password@mail.example.com:465, or smtp://127.0.0.1:25, which is not"
        " encrypted. Write special characters in the password as %XX. Unset: uploads with an `email`"
        " are rejected.",
        variable="SMTP_URL",
        parse=parse_smtp_url,
        section="E-mail",
    )
    mail_from: str | None = setting(
        "",
        "Sender of e-mails: images@example.com, or Images <images@example.com>",
        parse=parse_mail_from,
        given=lambda values: {"required": values["smtp_server"] is not None},
    )
    mail_max_attachment_bytes: int = setting(
        5 * 2**20,
        "A larger output CSV is linked instead of attached, in bytes.",
        check=NOT_NEGATIVE,
    )

    retention_days: int = setting(
        0,
        "Delete jobs and their images this many days after they end. 0: never.",
        check=NOT_NEGATIVE,
        section="Retention",
    )

    log_format: str = setting(
        "console",
        "Format of log lines: console, for people, or json, one object per line.",
        parse=parse_format,
        section="Logs",
    )
    log_level: str = setting(
        "info",
        "Lowest level that is logged: debug, info, warning or error.",
        parse=parse_level,
    )
    otlp_endpoint: str | None = setting(
        "",
        "OpenTelemetry collector that receives a trace of each job, by OTLP over HTTP:"
        " http://collector:4318. Needs pip install -r requirements-otel.txt. Unset: no traces.",
        variable="OTEL_EXPORTER_OTLP_ENDPOINT",
        parse=parse_otlp_endpoint,
        section="Traces",
    )

    worker_processes: int = setting(
        0,
        "Image processes that `make run` starts. 0: one per core.",
        check=NOT_NEGATIVE,
        section="Workers",
    )
    max_process_memory: int = setting(
        2 * 2**30,
        "Memory limit of an image process, in bytes, without the stacks of its threads. An image"
        " that needs more fails with out_of_memory. Linux only. 0: no limit.",
        check=zero_or(256 * 2**20),
    )
    slice_size: int = setting(
        64, "Images in a slice, the unit of work that a worker process claims.", check=POSITIVE
    )
    lease_seconds: float = setting(
        30.0,
        "A worker that renews no lease for this long, in seconds, is considered dead, and others"
        " take over its slices. Use the same value on all machines.",
        check=validate.Range(min=3, error="must be at least {min}"),
    )
    recovery_interval: float = setting(
        5.0,
        "How often recovery looks for lost work, in seconds.",
        check=validate.Range(min=0.2, error="must be at least {min}"),
    )

    @property
    def embedded_broker(self) -> bool:
        """Return whether the broker is the Valkey server that `make run` starts itself."""
        return self.celery_broker_url == embedded_broker_url(self.data_dir)


class SparseEnv(Env):
    """An environment in which an empty value counts as unset.

    Compose files and service managers pass `NAME=` for what is not set, and no setting has a use
    for an empty text.
    """

    def _get_value(self, env_key: str, default: Any) -> Any:
        for values in (os.environ, self._environ):
            value = values.get(env_key, "")
            if value.strip():
                return value
        return default


def load_settings(env_file: Path | None = Path(".env"), **overrides: Any) -> Settings:
    """Read all settings; raise SettingsError with every error at once.

    The process environment wins over `.env`, and an empty value counts as unset in either;
    `overrides` (for tests) win over both.
    """
    env = SparseEnv(eager=False)
    if env_file is not None and env_file.is_file():
        env.read_env(str(env_file), recurse=False)
    values = _read(env)
    try:
        env.seal()
    except EnvValidationError as error:
        raise SettingsError(_explain(error)) from error
    values.update(overrides)
    return Settings(**_derive(values))


# Postgres in parts, instead of a URL: the type and the default of each.
DATABASE_PARTS: dict[str, tuple[str, Any]] = {
    "DB_HOST": ("str", ""),
    "DB_PORT": ("int", 5432),
    "DB_NAME": ("str", "imgcompress"),
    "DB_USER": ("str", ""),
    "DB_PASSWORD": ("str", ""),
}


class _Declared(NamedTuple):
    """A field of Settings, its variable, its type without `| None`, and how it is declared."""

    name: str
    variable: str
    type: str
    setting: Setting


def _declared() -> Iterator[_Declared]:
    for each in fields(Settings):
        declared: Setting = each.metadata["setting"]
        yield _Declared(
            each.name,
            declared.variable or each.name.upper(),
            str(each.type).removesuffix(" | None"),
            declared,
        )


def variables() -> list[str]:
    """Return the names of all variables that are read, in the order of `.env.example`."""
    names = [each.variable for each in _declared()]
    after = names.index("DATABASE_URL") + 1
    return [*names[:after], *DATABASE_PARTS, *names[after:]]


def _read(env: Env) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, variable, kind, declared in _declared():
        if declared.parse is None:
            read = getattr(env, kind.lower())
            values[name] = read(variable, declared.default, validate=declared.check)
        else:
            arguments = declared.given(values)
            default = ... if arguments.get("required") else declared.default
            parse = partial(declared.parse, **arguments)
            values[name] = _parsed(env, variable, default, parse)
    values["database_url"] = values["database_url"] or _database_url_of_parts(env)
    return values


def _parsed(env: Env, name: str, default: Any, parse: Callable[[str], Any]) -> Any:
    """Read a text and parse it; a ValueError of the parser becomes an error of this setting.

    With `...` as its default, the setting has to be set.
    """

    def check(text: str) -> None:
        try:
            parse(text)
        except ValueError as error:
            raise ValidationError(str(error)) from error

    text = env.str(name, default, validate=check)
    # An invalid value is None here, and is reported with all others when the Env is sealed.
    return None if text is None else parse(text)


def _derive(values: dict[str, Any]) -> dict[str, Any]:
    data_dir = Path(values["data_dir"]).absolute()
    return values | {
        "data_dir": data_dir,
        "database_url": _with_driver(
            values["database_url"] or f"sqlite:///{data_dir / 'imgcompress.sqlite3'}"
        ),
        "celery_broker_url": values["celery_broker_url"] or embedded_broker_url(data_dir),
        "fetch_per_host": values["fetch_per_host"] or values["fetch_concurrency"],
        "storage_url": values["storage_url"] or (data_dir / "storage").as_uri(),
        **rate_limits(values),
    }


def _database_url_of_parts(env: Env) -> str | None:
    parts = [getattr(env, kind)(name, default) for name, (kind, default) in DATABASE_PARTS.items()]
    host, port, name, user, password = parts
    if not host:
        return None
    login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    return f"postgresql://{login}{'@' if login else ''}{host}:{port}/{quote(name, safe='')}"


def _with_driver(url: str) -> str:
    """Name psycopg2: SQLAlchemy 2.1 reads a bare postgresql:// as psycopg 3."""
    scheme, separator, rest = url.partition("://")
    if scheme in ("postgres", "postgresql"):
        return f"postgresql+psycopg2{separator}{rest}"
    return url


def embedded_broker_url(data_dir: Path) -> str:
    """Return the address of the embedded broker: a Unix socket that only this user can open."""
    return f"redis+socket://{embedded_broker_socket(data_dir)}"


def embedded_broker_socket(data_dir: Path) -> Path:
    """Return the socket's path under `data_dir`, or a short private one where that is too long."""
    socket = data_dir / "broker" / "valkey.sock"
    if len(str(socket).encode()) <= SOCKET_PATH_LIMIT:
        return socket
    digest = hashlib.sha256(str(data_dir).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"imgcompress-{digest}" / "valkey.sock"


# Errors of environs for a value of the wrong type, in the words of the checks.
TYPE_ERRORS = {
    "Not a valid integer.": "must be a whole number",
    "Not a valid number.": "must be a number",
    "Not a valid boolean.": "must be true or false",
    "Environment variable not set.": "must be set",
}


def _explain(error: EnvValidationError) -> str:
    by_name = cast("Mapping[str, list[str]]", error.error_messages)
    errors = [
        f"  {name}: {' '.join(TYPE_ERRORS.get(each, each) for each in messages)}"
        for name, messages in by_name.items()
    ]
    return "These settings are wrong:\n" + "\n".join(sorted(errors))


# Shorter names, and names that differ more, belong to other programs too often.
SHORTEST_MISSPELT = 6
LEAST_ALIKE = 0.85


def misspelt_settings(env_file: Path | None = Path(".env")) -> dict[str, str]:
    """Return the names in the environment and `.env` that nearly are a setting's, with that setting."""
    known = variables()
    given = set(os.environ)
    if env_file is not None and env_file.is_file():
        given |= set(dotenv_values(env_file))
    close = {
        name: get_close_matches(name.upper(), known, n=1, cutoff=LEAST_ALIKE)
        for name in given.difference(known)
        if len(name) >= SHORTEST_MISSPELT
    }
    return {name: matches[0] for name, matches in sorted(close.items()) if matches}


EXAMPLE_WIDTH = 100
EXAMPLE_BEGINNING = """\
# All settings of imgcompress. Copy this file to `.env` and change what you need. A setting that is
# missing, commented or empty has its default. Environment variables override `.env`.
"""


def env_example() -> str:
    """Return the text of `.env.example`: each setting with its default, behind its help."""
    lines = []
    for _, variable, _, declared in _declared():
        if declared.section:
            lines += ["", f"# --- {declared.section} ".ljust(EXAMPLE_WIDTH - 2, "-"), ""]
        lines += _comment(declared.help)
        unset = declared.default in (None, "")
        value = declared.example if unset else _written(declared.default)
        lines.append(f"{'# ' if unset else ''}{variable}={value}")
        if variable == "DATABASE_URL":
            lines += _comment(
                "Postgres in parts, used if DATABASE_URL is unset and DB_HOST is set."
            )
            lines += [f"# {part}={default}" for part, (_, default) in DATABASE_PARTS.items()]
    return EXAMPLE_BEGINNING + "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return [
        f"# {line}"
        for paragraph in text.splitlines()
        for line in wrap(
            paragraph, EXAMPLE_WIDTH - 2, break_long_words=False, break_on_hyphens=False
        )
    ]


def _written(default: Any) -> str:
    """Return a default as its variable would be set to it."""
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)


if __name__ == "__main__":
    sys.stdout.write(env_example())
