"""Every setting: read once from the environment and `.env`, typed, all errors reported at once."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import quote

from environs import Env, EnvValidationError, ValidationError, validate

from .catalogue import BOUNDS, MAX_SIDE
from .errors import SettingsError
from .setting_parsers import (
    NOT_NEGATIVE,
    POSITIVE,
    RETRY_PAUSES,
    SECRET_CHARS,
    STREAM,
    IPNetwork,
    PortRanges,
    SmtpServer,
    between,
    parse_allowed_hosts,
    parse_base_url,
    parse_broker_url,
    parse_database_url,
    parse_effort,
    parse_format,
    parse_image_delivery,
    parse_level,
    parse_mail_from,
    parse_metadata,
    parse_networks,
    parse_otlp_endpoint,
    parse_pauses,
    parse_ports,
    parse_secret,
    parse_secrets,
    parse_secrets_keys,
    parse_smtp_url,
    parse_storage_url,
    zero_or,
)

# If keys are required, callers are independent, and none may crowd out the others.
WITH_KEYS = {"uploads_per_minute": 60, "reads_per_minute": 600}


def rate_limits(values: Mapping[str, Any]) -> dict[str, int]:
    """Return the limits per minute, 0 for none: as set, or else by whether keys are required."""
    return {
        name: _limit(values[name], default if values["require_api_key"] else 0)
        for name, default in WITH_KEYS.items()
    }


def _limit(value: int | None, default: int) -> int:
    return default if value is None else value


# A Unix socket's path is limited to 108 bytes on Linux and 104 on macOS, the final NUL included.
SOCKET_PATH_LIMIT = 100


@dataclass(frozen=True)
class Setting:
    """How one setting is read and explained.

    Its variable is the name of the field in capitals, unless `variable` is another. `check` raises
    ValidationError for a bad value; `parse` converts the text, or raises ValueError; `given` makes
    further arguments of `parse` from the settings before it, of which `required` demands that the
    variable is set. `help` is the comment in `.env.example`, where a setting without a default
    stands with its `example`; a setting without help shares that of the one before it. `section`
    begins a section there.
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
    """Declare a setting; without a parser, the type of its field decides how it is read."""
    return field(repr=not secret, metadata={"setting": Setting(default, help, **options)})


@dataclass(frozen=True)
class Settings:
    """The settings of one installation.

    `.env.example` is made from this: `python -m imgcompress.env_file > .env.example`
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

    Compose files and service managers pass `NAME=` for unset variables, and no setting has an empty
    value.
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


class DeclaredSetting(NamedTuple):
    """A field of Settings, its variable, its type without `| None`, and how it is declared."""

    name: str
    variable: str
    type: str
    setting: Setting


def declared_settings() -> Iterator[DeclaredSetting]:
    """Return all settings, in the order of `.env.example`."""
    for each in fields(Settings):
        declared: Setting = each.metadata["setting"]
        yield DeclaredSetting(
            each.name,
            declared.variable or each.name.upper(),
            str(each.type).removesuffix(" | None"),
            declared,
        )


def variables() -> list[str]:
    """Return the names of all variables that are read, in the order of `.env.example`."""
    names = [each.variable for each in declared_settings()]
    after = names.index("DATABASE_URL") + 1
    return [*names[:after], *DATABASE_PARTS, *names[after:]]


def _read(env: Env) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, variable, kind, declared in declared_settings():
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
    """Return the socket's path under `data_dir`, or a short private one if that is too long."""
    socket = data_dir / "broker" / "valkey.sock"
    if len(str(socket).encode()) <= SOCKET_PATH_LIMIT:
        return socket
    digest = hashlib.sha256(str(data_dir).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"imgcompress-{digest}" / "valkey.sock"


# Errors of environs for a value of the wrong type, worded like those of the checks.
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
