"""`imgcompress doctor`: check an installation, and report problems with advice."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import click
import redis
from alembic.migration import MigrationContext
from flask.cli import with_appcontext

from ..config import Settings
from ..env_file import misspelt_settings
from ..errors import ImgcompressError, StorageUnavailable
from ..extensions import current_settings, db
from ..ledger.clock import TOLERATED_SECONDS, clock_difference
from ..ledger.gauges import read_gauges
from ..ledger.health import check_writing, encoding_error
from ..ledger.metrics import WRITTEN_EVERY, recovery_age, seconds_put_back
from ..ledger.queries import STALLED_AFTER
from ..notify.email import greet_server
from ..storage import open_storage
from ..worker import celeryconfig, queue
from .ledger import newest_schema


class Level(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Finding(NamedTuple):
    """The result of one check: its severity, the name of the check, and a text with advice."""

    level: Level
    name: str
    text: str


def ok(name: str, text: str) -> Finding:
    """Return the finding of a passed check."""
    return Finding(Level.OK, name, text)


def warning(name: str, text: str) -> Finding:
    """Return the finding of a risk."""
    return Finding(Level.WARNING, name, text)


def broken(name: str, text: str) -> Finding:
    """Return the finding of a problem that stops the service from working."""
    return Finding(Level.ERROR, name, text)


# The database's clock decides what is due. But receivers of webhooks reject times that are further
# off (Standard Webhooks leaves that to them; its libraries take five minutes).
HARMFUL_SECONDS = 240.0
LITTLE_SPACE, NO_SPACE = 2 * 2**30, 200 * 2**20
# The most files that are checked: a storage may have millions.
FILES_CHECKED = 1_000
OTHERS_ENTER = stat.S_IXGRP | stat.S_IXOTH


def check_database(_: Settings) -> Iterator[Finding]:
    """Check that the ledger can be read and written, and has the schema of this version."""
    database = db.engine.url.database
    if db.engine.dialect.name == "sqlite" and not Path(database or "").exists():
        # Connecting would create an empty one.
        yield broken("database", f"There is no database at {database}: run imgcompress db upgrade")
        return
    newest = newest_schema()
    with db.engine.connect() as connection:
        if unusable := encoding_error(connection):
            yield broken("database", unusable)
            return
        found = MigrationContext.configure(connection).get_current_revision()
    if found == newest:
        check_writing()
        yield ok("database", f"{db.engine.dialect.name} answers, with the newest schema ({newest})")
    elif found is None or newest is None or found < newest:
        yield broken(
            "database",
            f"The schema is {found or 'missing'}, and this version needs"
            f" {newest}: run imgcompress db upgrade",
        )
    else:
        yield warning(
            "database",
            f"The schema ({found}) is newer than this version ({newest})."
            " This works for one version only: upgrade this machine too.",
        )


def check_clock(_: Settings) -> Iterator[Finding]:
    """Check that this machine's clock agrees with the database's."""
    ahead = clock_difference()
    text = f"This machine's clock and the database's differ by {abs(ahead):.1f} s"
    if abs(ahead) > HARMFUL_SECONDS:
        yield broken(
            "clock",
            f"{text}: receivers reject webhooks as forged or old, and links expire"
            " at the wrong time. Synchronise the clocks (chrony,"
            " systemd-timesyncd).",
        )
    elif abs(ahead) > TOLERATED_SECONDS:
        yield warning("clock", f"{text}. Synchronise them (chrony, systemd-timesyncd).")
    else:
        yield ok("clock", text)


def check_broker(settings: Settings) -> Iterator[Finding]:
    """Check that messages can be sent, and are not dropped when memory is short."""
    try:
        queue.check_broker()
    except Exception as error:
        advice = (
            "Start it with imgcompress serve if it does not run, and check that DATA_DIR has room"
            if settings.embedded_broker
            else "Check CELERY_BROKER_URL, and the broker's memory and disk"
        )
        yield broken(
            "broker",
            f"It accepts no messages ({explain(error)}). {advice}; meanwhile uploads are accepted"
            " and wait.",
        )
        return
    yield _policy(settings) or ok("broker", "It answers")


def _policy(settings: Settings) -> Finding | None:
    """Return a warning about a Redis that drops messages; one without CONFIG is trusted."""
    if not settings.celery_broker_url.startswith(("redis://", "rediss://")):
        return None
    with (
        suppress(redis.RedisError),
        redis.Redis.from_url(settings.celery_broker_url, socket_timeout=2) as client,
    ):
        policy = client.config_get("maxmemory-policy").get("maxmemory-policy")
        if policy not in (None, "noeviction"):
            return warning(
                "broker",
                f"Redis drops messages when its memory is full ({policy}):"
                " set maxmemory-policy noeviction",
            )
    return None


def check_storage(settings: Settings) -> Iterator[Finding]:
    """Check that files can be written and deleted."""
    try:
        open_storage(settings).check()
    except StorageUnavailable as error:
        folders = _stored_here(settings)
        advice = (
            f"Check that {folders[0]} has room, and that this user can write there."
            if folders
            else "Check STORAGE_URL, the credentials and what they permit."
        )
        yield broken("storage", f"Files cannot be written ({explain(error)}). {advice}")
        return
    yield ok("storage", "Files can be written and deleted")


def check_space(settings: Settings) -> Iterator[Finding]:
    """Check the free space where this machine writes."""
    for folder in sorted({settings.data_dir, *_stored_here(settings)}):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(there).free
        text = f"{free / 2**30:.1f} GiB are free in {folder}"
        if free < NO_SPACE:
            yield broken("space", f"{text}: free some space, or set RETENTION_DAYS")
        elif free < LITTLE_SPACE:
            yield warning("space", f"{text}: free some space soon, or set RETENTION_DAYS")
        else:
            yield ok("space", text)


def _stored_here(settings: Settings) -> list[Path]:
    """Return the folder of the storage, unless that is elsewhere."""
    parts = urlsplit(settings.storage_url)
    return [Path(unquote(parts.path))] if parts.scheme == "file" else []


def check_privacy(settings: Settings) -> Iterator[Finding]:
    """Check that other users of this machine cannot read the files of the service."""
    database = db.engine.url.database if db.engine.dialect.name == "sqlite" else None
    places = {settings.data_dir, *_stored_here(settings), *([Path(database)] if database else [])}
    for place in sorted(place for place in places if place.exists()):
        # A folder below another was checked with that one.
        if places.isdisjoint(place.parents):
            number, first = _readable_by_others(place)
            if number:
                yield warning(
                    "privacy",
                    f"Other users can read {number:,} files in {place}, such"
                    f" as {first}: chmod -R go= '{place}'",
                )
            else:
                yield ok("privacy", f"Other users can read nothing in {place}")


def _readable_by_others(place: Path) -> tuple[int, Path | None]:
    """Return how many files other users can read, FILES_CHECKED at most, and one of them."""
    found = [
        path
        for path, mode in islice(_within_reach(place), FILES_CHECKED)
        if mode & (stat.S_IRGRP | stat.S_IROTH)
    ]
    return len(found), found[0] if found else None


def _within_reach(place: Path) -> Iterator[tuple[Path, int]]:
    """Yield the files that other users can reach below a place, and their modes, top down."""
    # Files deleted meanwhile are skipped.
    with suppress(FileNotFoundError):
        mode = place.lstat().st_mode
        if stat.S_ISREG(mode):
            yield place, mode
        elif stat.S_ISDIR(mode) and mode & OTHERS_ENTER:
            for below in sorted(place.iterdir(), key=lambda path: (path.is_dir(), path.name)):
                yield from _within_reach(below)


def check_recovery(settings: Settings) -> Iterator[Finding]:
    """Check that recovery, scheduled by Celery beat for a delivery worker, ran recently."""
    age, patience = recovery_age(), 3 * settings.recovery_interval + 2 * WRITTEN_EVERY
    if age is None or age > patience:
        since = "has never run" if age is None else f"last ran {age:.0f} s ago"
        if seconds_put_back() > WRITTEN_EVERY:
            since = "has not run since the clock was set back"
        yield warning(
            "recovery",
            f"It {since}: are beat and the delivery worker (for the queues of"
            " deliveries and recovery) running?",
        )
    else:
        yield ok("recovery", "It is running")


def check_workers(_: Settings) -> Iterator[Finding]:
    """Check that workers take up queued work, if there is any."""
    gauges = read_gauges()
    if gauges.oldest_slice > STALLED_AFTER.total_seconds():
        yield warning(
            "workers",
            f"Images have waited for {gauges.oldest_slice:.0f} s: is a worker"
            " for the queue of images running?",
        )
    elif gauges.oldest_delivery > STALLED_AFTER.total_seconds():
        yield warning(
            "workers",
            "A webhook or e-mail has been due for"
            f" {gauges.oldest_delivery:.0f} s: is the delivery worker running?",
        )
    else:
        yield ok("workers", "No work is waiting longer than it should")


def check_engine(settings: Settings) -> Iterator[Finding]:
    """Check that JPEGs are compressed by the fast engine."""
    # Here, because with it come all decoders, which no other command needs.
    from ..imaging import missing_engine

    if not settings.jpeg_engine:
        yield ok("engine", "JPEG_ENGINE is off, so every JPEG is decoded and encoded again")
    elif missing := missing_engine():
        yield warning(
            "engine",
            f"{missing} JPEGs take longer to compress and look slightly"
            " worse. Install a C compiler and run make setup.",
        )
    else:
        yield ok("engine", "JPEGs are compressed by the JPEG engine")


def check_mail(settings: Settings) -> Iterator[Finding]:
    """Check that the mail server, if there is one, answers and accepts the login."""
    if settings.smtp_server is None:
        yield ok("mail", "No e-mail is sent, because SMTP_URL is unset")
        return
    rejected = greet_server(settings.smtp_server)
    if rejected:
        yield broken(
            "mail",
            f"{settings.smtp_server.host} cannot be used ({rejected}): check"
            " SMTP_URL; e-mails wait, and are given up after a day",
        )
    else:
        yield ok(
            "mail",
            f"{settings.smtp_server.host} answers"
            + (" and accepts the login" if settings.smtp_server.user else ""),
        )


def check_user(_: Settings) -> Iterator[Finding]:
    """Check that the processes do not have more rights than they need."""
    if os.geteuid() == 0:
        yield warning("user", "This runs as root: give the service its own user")
    else:
        yield ok("user", "This does not run as root")


def explain(error: Exception) -> str:
    """Return the text of an unexpected error in one line; it may come from a driver."""
    text = error.detail if isinstance(error, ImgcompressError) else str(error)
    return " ".join((text or repr(error)).split())


NAME = "settings"
DAY = 86_400
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# A decoded pixel, its converted copy, and what the encoder keeps.
BYTES_PER_PIXEL = 12
# The memory of a worker process without its images.
PROCESS_BYTES = 150 * 2**20


class Rule(NamedTuple):
    """A contradiction between settings, found if `broken` is true."""

    broken: Callable[[Settings], bool]
    text: str
    level: Level = Level.WARNING


def _is_open(settings: Settings) -> bool:
    return settings.host not in LOOPBACK


def _is_sqlite(settings: Settings) -> bool:
    return settings.database_url.startswith("sqlite")


def _longest_task(settings: Settings) -> float:
    return celeryconfig.SLICE_SECONDS + settings.fetch_timeout + settings.compress_timeout


def _needed_memory(settings: Settings) -> int:
    """Return the peak memory of a worker process in bytes."""
    return (
        PROCESS_BYTES
        + settings.max_image_pixels * BYTES_PER_PIXEL
        + settings.fetch_concurrency * settings.max_image_bytes
    )


RULES = (
    Rule(
        lambda s: _longest_task(s) > celeryconfig.task_soft_time_limit,
        "FETCH_TIMEOUT and COMPRESS_TIMEOUT are so long that Celery ends healthy tasks"
        f" (task_soft_time_limit = {celeryconfig.task_soft_time_limit} s in worker/celeryconfig.py):"
        " shorten them.",
        Level.ERROR,
    ),
    Rule(
        lambda s: s.fetch_connect_timeout > s.fetch_timeout,
        "FETCH_CONNECT_TIMEOUT is longer than FETCH_TIMEOUT, which ends the download first.",
    ),
    Rule(
        lambda s: s.fetch_per_host > s.fetch_concurrency,
        "FETCH_PER_HOST is more than FETCH_CONCURRENCY, which is the limit for all hosts together.",
    ),
    Rule(
        lambda s: 0 < s.max_process_memory < _needed_memory(s),
        "MAX_PROCESS_MEMORY is less than the largest images and downloads can need: some fail as"
        " out_of_memory.",
    ),
    Rule(
        lambda s: s.recovery_interval > s.lease_seconds,
        "RECOVERY_INTERVAL is longer than LEASE_SECONDS: the work of a dead worker is picked up"
        " late.",
    ),
    Rule(
        lambda s: not s.require_api_key and _is_open(s),
        "HOST opens the service to the network, and REQUIRE_API_KEY is off: anybody who can reach"
        " it can see and delete all jobs. Set REQUIRE_API_KEY=true, or use a proxy that"
        " authenticates users.",
    ),
    Rule(
        lambda s: _is_open(s) and s.public_base_url is None,
        "PUBLIC_BASE_URL is unset: links begin with the address to which each upload was sent, and"
        " besides IP addresses only the names in HOST and ALLOWED_HOSTS are accepted.",
    ),
    Rule(
        lambda s: "*" in s.allowed_hosts and not s.require_api_key,
        "ALLOWED_HOSTS is * and REQUIRE_API_KEY is off: any web page open in a browser that can"
        " reach this service can read all jobs (DNS rebinding). List the names.",
    ),
    Rule(
        lambda s: (
            (s.public_base_url or "").startswith("https:")
            and s.trusted_proxies == 0
            and bool(s.uploads_per_minute or s.reads_per_minute)
            and not s.require_api_key
        ),
        "TRUSTED_PROXIES is 0 behind a proxy: all callers share the limits per minute of its"
        " address.",
    ),
    Rule(
        lambda s: _is_sqlite(s) and not s.embedded_broker,
        "CELERY_BROKER_URL names a broker, but SQLite works on this machine only: for several"
        " machines set DATABASE_URL=postgresql://…",
    ),
    Rule(
        lambda s: not _is_sqlite(s) and s.embedded_broker,
        "The ledger is on a server, but the embedded broker works on this machine only: for"
        " several machines set CELERY_BROKER_URL.",
    ),
    Rule(
        lambda s: (
            not _is_sqlite(s)
            and not s.embedded_broker
            and not s.secrets_keys
            and not s.webhook_secrets
        ),
        "SECRETS_KEY is unset: if there are several machines, none can read the webhook secrets of"
        " uploads that another one accepted. Set the same key on all of them.",
    ),
    Rule(
        lambda s: not _is_sqlite(s) and not s.embedded_broker and s.storage_url.startswith("file:"),
        "STORAGE_URL is a folder: if there are several machines, all must mount the same folder"
        " there.",
    ),
    Rule(
        lambda s: s.signed_image_urls and s.image_base_url is not None,
        "SIGNED_IMAGE_URLS with IMAGE_BASE_URL: configure the CDN to forward the query string and"
        " to cache by it, or it serves images after their URLs expire.",
    ),
    Rule(
        lambda s: 0 < s.retention_days * DAY < sum(s.webhook_retry_pauses),
        "RETENTION_DAYS is shorter than all WEBHOOK_RETRY_PAUSES together: jobs are deleted while"
        " their webhooks are still being retried.",
    ),
    Rule(
        lambda s: 0 < s.retention_days * DAY < s.image_url_seconds and s.signed_image_urls,
        "RETENTION_DAYS is shorter than IMAGE_URL_SECONDS: images are deleted before their URLs"
        " expire.",
    ),
)


def check_settings(settings: Settings) -> Iterator[Finding]:
    """Yield every contradiction between settings, or a passed check."""
    found = [
        warning(NAME, f"{name} is not a setting of imgcompress; did you mean {meant}?")
        for name, meant in misspelt_settings().items()
    ]
    found += [Finding(rule.level, NAME, rule.text) for rule in RULES if rule.broken(settings)]
    found += _check_memory(settings)
    yield from found or [ok(NAME, "No limits contradict each other.")]


def _check_memory(settings: Settings) -> Iterator[Finding]:
    """Compare the peak memory of the worker processes with the machine's memory."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return
    processes = settings.worker_processes or os.cpu_count() or 1
    each = _needed_memory(settings)
    if processes * each > memory:
        finding = broken if each > memory else warning
        yield finding(
            NAME,
            f"{processes} worker processes with the largest images need about"
            f" {processes * each / 2**30:.1f} GiB, and this machine has"
            f" {memory / 2**30:.1f}: lower WORKER_PROCESSES, MAX_IMAGE_PIXELS,"
            " MAX_IMAGE_BYTES or FETCH_CONCURRENCY.",
        )


Check = Callable[[Settings], Iterator[Finding]]

CHECKS: dict[str, Check] = {
    "database": check_database,
    "clock": check_clock,
    "broker": check_broker,
    "storage": check_storage,
    "space": check_space,
    "privacy": check_privacy,
    "engine": check_engine,
    "recovery": check_recovery,
    "workers": check_workers,
    "mail": check_mail,
    "user": check_user,
    "settings": check_settings,
}
NEED_DATABASE = {"clock", "recovery", "workers"}
COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "red"}


@click.command("doctor")
@with_appcontext
def doctor() -> None:
    """Check this installation.

    Each check prints one line, which says what to do. The exit code is 1 if one fails.
    """
    failed = set()
    for finding in _all_findings(current_settings()):
        level = click.style(f"{finding.level:8}", fg=COLOURS[finding.level])
        click.echo(f"{level} {finding.name:9} {finding.text}")
        if finding.level == Level.ERROR:
            failed.add(finding.name)
    if failed:
        raise click.exceptions.Exit(1)


def _all_findings(settings: Settings) -> Iterator[Finding]:
    """Yield the findings of all checks; without a database some are left out."""
    usable = True
    for name, check in CHECKS.items():
        if not usable and name in NEED_DATABASE:
            continue
        for finding in _findings(name, check, settings):
            yield finding
            if finding.level == Level.ERROR and finding.name == "database":
                usable = False


def _findings(name: str, check: Check, settings: Settings) -> Iterator[Finding]:
    """Yield the findings of a check; an exception in it is a finding too."""
    try:
        yield from check(settings)
    except Exception as error:
        yield broken(name, f"Cannot be checked: {explain(error)}")
