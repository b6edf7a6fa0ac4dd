"""Every setting: read once from the environment and `.env`, typed, all faults told at once."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit

from environs import Env, EnvValidationError, ValidationError, validate

from ..errors import SettingsError
from .callers import parse_allowed_hosts, parse_secret, rate_limits
from .logs import parse_format, parse_level
from .mail import SmtpServer, parse_mail_from, parse_smtp_url
from .storage import STREAM, parse_image_delivery, parse_storage_url
from .webhooks import (
    RETRY_PAUSES,
    check_webhook_secret,
    parse_pauses,
    parse_secrets,
    parse_secrets_keys,
)

__all__ = ["IPNetwork", "PortRanges", "Settings", "SmtpServer", "check_webhook_secret",
           "embedded_broker_socket", "embedded_broker_url", "load_settings"]

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
        "image_delivery": _parsed(env, "IMAGE_DELIVERY", STREAM,
                                  partial(parse_image_delivery, storage_url=storage_url)),
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
        "max_process_memory": env.int("MAX_PROCESS_MEMORY", 2 * 2**30,
                                      validate=_zero_or(256 * 2**20)),
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
        "mail_from": _parsed(env, "MAIL_FROM", ... if server else "",
                             partial(parse_mail_from, required=server is not None)),
        "mail_max_attachment_bytes": env.int("MAIL_MAX_ATTACHMENT_BYTES", 5 * 2**20,
                                             validate=validate.Range(min=0)),
        "slice_size": env.int("SLICE_SIZE", 64, validate=positive),
        "lease_seconds": env.float("LEASE_SECONDS", 30.0, validate=validate.Range(min=3)),
        "recovery_interval": env.float("RECOVERY_INTERVAL", 5.0, validate=validate.Range(min=0.2)),
        "require_api_key": env.bool("REQUIRE_API_KEY", False),
        "metrics_key": _parsed(env, "METRICS_KEY", "", parse_secret),
        "uploads_per_minute": env.int("UPLOADS_PER_MINUTE", None, validate=not_negative),
        "reads_per_minute": env.int("READS_PER_MINUTE", None, validate=not_negative),
        "max_active_jobs": env.int("MAX_ACTIVE_JOBS", 100, validate=positive),
        "signed_image_urls": signed,
        "image_url_secret": _parsed(env, "IMAGE_URL_SECRET", ... if signed else "",
                                    partial(parse_secret, required=signed)),
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
            values["database_url"] or f"sqlite:///{data_dir / 'imgcompress.sqlite3'}"),
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
    if (parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc
            or parts.query or parts.fragment):
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
