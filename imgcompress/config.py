"""Every setting: read once from the environment and `.env`, typed, all errors reported at once."""

from __future__ import annotations

import binascii
import hashlib
import ipaddress
import os
import re
import tempfile
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.utils import parseaddr
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from environs import Env, EnvValidationError, ValidationError, validate

from .errors import SettingsError

SECRET_CHARS = 32
# A host name, or a domain with all that is below it.
HOST_NAME = re.compile(r"\.?[a-z0-9-]+(\.[a-z0-9-]+)*", re.ASCII)
# Where keys are asked for, callers are strangers to each other, and none may crowd out the rest.
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
    """Read a secret that the operator makes; the fault does not repeat it."""
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
    parts = urlsplit(text)
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
    pauses = tuple(float(part) for part in text.split(",") if part.strip())
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


@dataclass(frozen=True)
class Settings:
    """The settings of one installation; `.env.example` tells what each one means."""

    data_dir: Path
    database_url: str
    celery_broker_url: str
    queue_prefix: str
    storage_url: str
    storage_endpoint: str | None
    storage_public_endpoint: str | None
    image_delivery: str
    image_base_url: str | None
    public_base_url: str | None
    allowed_hosts: tuple[str, ...]
    host: str
    port: int
    worker_processes: int
    compression_percentage: int
    min_quality: int
    jpeg_engine: bool
    trusted_proxies: int
    max_upload_bytes: int
    max_images_per_job: int
    max_image_bytes: int
    max_image_pixels: int
    max_frames: int
    max_process_memory: int
    compress_timeout: float
    fetch_timeout: float
    fetch_connect_timeout: float
    fetch_concurrency: int
    fetch_per_host: int
    fetch_suspend_seconds: float
    allowed_private_networks: tuple[IPNetwork, ...]
    allowed_ports: PortRanges
    webhook_secrets: tuple[str, ...] = field(repr=False)
    secrets_keys: tuple[str, ...] = field(repr=False)
    webhook_timeout: float
    webhook_retry_pauses: tuple[float, ...]
    smtp_server: SmtpServer | None
    mail_from: str | None
    mail_max_attachment_bytes: int
    slice_size: int
    lease_seconds: float
    recovery_interval: float
    require_api_key: bool
    metrics_key: str | None = field(repr=False)
    uploads_per_minute: int
    reads_per_minute: int
    max_active_jobs: int
    signed_image_urls: bool
    image_url_secret: str | None = field(repr=False)
    image_url_seconds: int
    retention_days: int
    log_format: str
    log_level: str

    @property
    def embedded_broker(self) -> bool:
        """Tell whether the broker is the Valkey server that `make run` starts itself."""
        return self.celery_broker_url == embedded_broker_url(self.data_dir)


class SparseEnv(Env):
    """An environment in which an empty value is none at all.

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
    """Read all settings; raise SettingsError with every fault at once.

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


def _read(env: Env) -> dict[str, Any]:
    positive = validate.Range(min=1)
    percentage = validate.Range(min=1, max=95)
    not_negative = validate.Range(min=0)
    server = _parsed(env, "SMTP_URL", "", parse_smtp_url)
    signed = env.bool("SIGNED_IMAGE_URLS", False)
    storage_url = _parsed(env, "STORAGE_URL", "", parse_storage_url)
    return {
        "data_dir": env.path("DATA_DIR", Path("var")),
        "database_url": env.str("DATABASE_URL", None) or _database_url_of_parts(env),
        "celery_broker_url": env.str("CELERY_BROKER_URL", None),
        "queue_prefix": env.str("QUEUE_PREFIX", "imgcompress"),
        "storage_url": storage_url,
        "storage_endpoint": _parsed(env, "STORAGE_ENDPOINT", "", _parse_base_url),
        "storage_public_endpoint": _parsed(env, "STORAGE_PUBLIC_ENDPOINT", "", _parse_base_url),
        "image_delivery": _parsed(
            env, "IMAGE_DELIVERY", STREAM, partial(parse_image_delivery, storage_url=storage_url)
        ),
        "image_base_url": _parsed(env, "IMAGE_BASE_URL", "", _parse_base_url),
        "public_base_url": _parsed(env, "PUBLIC_BASE_URL", "", _parse_base_url),
        "allowed_hosts": _parsed(env, "ALLOWED_HOSTS", "", parse_allowed_hosts),
        "host": env.str("HOST", "127.0.0.1"),
        "port": env.int("PORT", 5000, validate=validate.Range(min=1, max=65535)),
        "worker_processes": env.int("WORKER_PROCESSES", 0, validate=validate.Range(min=0)),
        "compression_percentage": env.int("COMPRESSION_PERCENTAGE", 50, validate=percentage),
        "min_quality": env.int("MIN_QUALITY", 30, validate=percentage),
        "jpeg_engine": env.bool("JPEG_ENGINE", True),
        "trusted_proxies": env.int("TRUSTED_PROXIES", 0, validate=not_negative),
        "max_upload_bytes": env.int("MAX_UPLOAD_BYTES", 200 * 2**20, validate=positive),
        "max_images_per_job": env.int("MAX_IMAGES_PER_JOB", 1_000_000, validate=positive),
        "max_image_bytes": env.int("MAX_IMAGE_BYTES", 25 * 2**20, validate=positive),
        "max_image_pixels": env.int("MAX_IMAGE_PIXELS", 50_000_000, validate=positive),
        "max_frames": env.int("MAX_FRAMES", 2_000, validate=positive),
        "max_process_memory": env.int(
            "MAX_PROCESS_MEMORY", 2 * 2**30, validate=_zero_or(256 * 2**20)
        ),
        "compress_timeout": env.float("COMPRESS_TIMEOUT", 60.0, validate=positive),
        "fetch_timeout": env.float("FETCH_TIMEOUT", 25.0, validate=positive),
        "fetch_connect_timeout": env.float("FETCH_CONNECT_TIMEOUT", 5.0, validate=positive),
        "fetch_concurrency": env.int("FETCH_CONCURRENCY", 16, validate=positive),
        "fetch_per_host": env.int("FETCH_PER_HOST", None, validate=positive),
        "fetch_suspend_seconds": env.float("FETCH_SUSPEND_SECONDS", 60.0, validate=positive),
        "allowed_private_networks": _parsed(env, "ALLOWED_PRIVATE_NETWORKS", "", _parse_networks),
        "allowed_ports": _parsed(env, "ALLOWED_PORTS", "80,443", _parse_ports),
        "webhook_secrets": _parsed(env, "WEBHOOK_SECRET", "", parse_secrets),
        "secrets_keys": _parsed(env, "SECRETS_KEY", "", parse_secrets_keys),
        "webhook_timeout": env.float("WEBHOOK_TIMEOUT", 15.0, validate=positive),
        "webhook_retry_pauses": _parsed(env, "WEBHOOK_RETRY_PAUSES", RETRY_PAUSES, parse_pauses),
        "smtp_server": server,
        "mail_from": _parsed(
            env,
            "MAIL_FROM",
            ... if server else "",
            partial(parse_mail_from, required=server is not None),
        ),
        "mail_max_attachment_bytes": env.int(
            "MAIL_MAX_ATTACHMENT_BYTES", 5 * 2**20, validate=validate.Range(min=0)
        ),
        "slice_size": env.int("SLICE_SIZE", 64, validate=positive),
        "lease_seconds": env.float("LEASE_SECONDS", 30.0, validate=validate.Range(min=3)),
        "recovery_interval": env.float("RECOVERY_INTERVAL", 5.0, validate=validate.Range(min=0.2)),
        "require_api_key": env.bool("REQUIRE_API_KEY", False),
        "metrics_key": _parsed(env, "METRICS_KEY", "", parse_secret),
        "uploads_per_minute": env.int("UPLOADS_PER_MINUTE", None, validate=not_negative),
        "reads_per_minute": env.int("READS_PER_MINUTE", None, validate=not_negative),
        "max_active_jobs": env.int("MAX_ACTIVE_JOBS", 100, validate=positive),
        "signed_image_urls": signed,
        "image_url_secret": _parsed(
            env, "IMAGE_URL_SECRET", ... if signed else "", partial(parse_secret, required=signed)
        ),
        "image_url_seconds": env.int("IMAGE_URL_SECONDS", 7 * 86_400, validate=positive),
        "retention_days": env.int("RETENTION_DAYS", 0, validate=not_negative),
        "log_format": _parsed(env, "LOG_FORMAT", "console", parse_format),
        "log_level": _parsed(env, "LOG_LEVEL", "info", parse_level),
    }


def _zero_or(least: int) -> Callable[[int], None]:
    """Return a check that a number is 0, which switches a limit off, or no less than `least`."""

    def check(number: int) -> None:
        if number and number < least:
            raise ValidationError(f"Must be 0 or at least {least}.")

    return check


def _parsed(env: Env, name: str, default: Any, parse: Callable[[str], Any]) -> Any:
    """Read a text and parse it; a ValueError of the parser becomes a fault of this setting.

    With `...` as its default, the setting has to be set.
    """

    def check(text: str) -> None:
        try:
            parse(text)
        except ValueError as error:
            raise ValidationError(str(error)) from error

    text = env.str(name, default, validate=check)
    # A faulty value reads as None here, and is told with all others when the Env is sealed.
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
    host = env.str("DB_HOST", "")
    port = env.int("DB_PORT", 5432)
    name = env.str("DB_NAME", "imgcompress")
    user = env.str("DB_USER", "")
    password = env.str("DB_PASSWORD", "")
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


def _parse_base_url(text: str) -> str | None:
    if not text:
        return None
    parts = urlsplit(text)
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or "@" in parts.netloc
        or parts.query
        or parts.fragment
    ):
        raise ValueError("must look like https://images.example.com")
    return text.rstrip("/")


def _parse_networks(text: str) -> tuple[IPNetwork, ...]:
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def _parse_ports(text: str) -> PortRanges:
    return tuple(_parse_port_range(part) for part in text.split(",") if part.strip())


def _parse_port_range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    low, high = int(first), int(last or first)
    if not 1 <= low <= high <= 65535:
        raise ValueError(f"{text.strip()!r} is not a port or a range of ports")
    return low, high


def _explain(error: EnvValidationError) -> str:
    told = cast("Mapping[str, list[str]]", error.error_messages)
    faults = [f"  {name}: {' '.join(messages)}" for name, messages in told.items()]
    return "These settings are wrong:\n" + "\n".join(sorted(faults))
