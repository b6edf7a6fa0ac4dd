"""What the service needs around it, and whether it is at work."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from urllib.parse import unquote, urlsplit

import redis
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from ...config import Settings
from ...errors import ImgcompressError
from ...extensions import db
from ...ledger.clock import TOLERATED_SECONDS, clock_difference
from ...ledger.encoding import encoding_fault
from ...ledger.gauges import STALLED_AFTER, read_gauges
from ...ledger.heartbeat import WRITTEN_EVERY, recovery_age, seconds_put_back
from ...ledger.readiness import check_writing
from ...notify.smtp import greet_server
from ...storage import open_storage
from ...tasks import publish
from .finding import Finding, fault, ok, warning

MIGRATIONS = Path(__file__).parents[3] / "migrations"
# The database's clock decides what is due. But receivers of webhooks refuse times that are further
# off (Standard Webhooks leaves that to them; its libraries take five minutes).
HARMFUL_SECONDS = 240.0
LITTLE_SPACE, NO_SPACE = 2 * 2**30, 200 * 2**20
# One of them is enough to tell, and a storage may have millions.
FILES_LOOKED_AT = 1_000
OTHERS_ENTER = stat.S_IXGRP | stat.S_IXOTH


def check_database(_: Settings) -> Iterator[Finding]:
    """Tell whether the ledger can be read and written, and has the schema of this version."""
    database = db.engine.url.database
    if db.engine.dialect.name == "sqlite" and not Path(database or "").exists():
        # To look into it would make an empty one.
        yield fault("database", f"There is none at {database}: run flask db upgrade")
        return
    newest = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    with db.engine.connect() as connection:
        if unusable := encoding_fault(connection):
            yield fault("database", unusable)
            return
        found = MigrationContext.configure(connection).get_current_revision()
    if found == newest:
        check_writing()
        yield ok("database", f"{db.engine.dialect.name} answers, with the newest schema ({newest})")
    elif found is None or newest is None or found < newest:
        yield fault("database", f"The schema is {found or 'missing'}, and this version needs"
                                f" {newest}: run flask db upgrade")
    else:
        yield warning("database", f"The schema ({found}) is newer than this version ({newest})."
                                  " This works for one version only: upgrade this machine too.")


def check_clock(_: Settings) -> Iterator[Finding]:
    """Tell whether this machine's clock agrees with the database's."""
    ahead = clock_difference()
    told = f"This machine's clock and the database's differ by {abs(ahead):.1f} s"
    if abs(ahead) > HARMFUL_SECONDS:
        yield fault("clock", f"{told}: receivers reject webhooks as forged or old, and links expire"
                             " at the wrong time. Synchronise the clocks (chrony,"
                             " systemd-timesyncd).")
    elif abs(ahead) > TOLERATED_SECONDS:
        yield warning("clock", f"{told}. Synchronise them (chrony, systemd-timesyncd).")
    else:
        yield ok("clock", told)


def check_broker(settings: Settings) -> Iterator[Finding]:
    """Tell whether messages can be sent, and are not thrown away when memory is short."""
    try:
        publish.check_broker()
    except Exception as error:
        start = " Start it: make run" if settings.embedded_broker else ""
        yield fault("broker", f"It accepts no messages ({error}). Check CELERY_BROKER_URL, and the"
                              " broker's memory and disk; meanwhile uploads are accepted and"
                              f" wait.{start}")
        return
    yield _policy(settings) or ok("broker", "It answers")


def _policy(settings: Settings) -> Finding | None:
    """Look at a Redis that would drop messages; one that does not tell its settings is trusted."""
    if not settings.celery_broker_url.startswith(("redis://", "rediss://")):
        return None
    with suppress(redis.RedisError), redis.Redis.from_url(
            settings.celery_broker_url, socket_timeout=2) as client:
        policy = client.config_get("maxmemory-policy").get("maxmemory-policy")
        if policy not in (None, "noeviction"):
            return warning("broker", f"Redis drops messages when its memory is full ({policy}):"
                                     " set maxmemory-policy noeviction")
    return None


def check_storage(settings: Settings) -> Iterator[Finding]:
    """Tell whether files can be written and deleted."""
    open_storage(settings).check()
    yield ok("storage", "Files can be written and deleted")


def check_space(settings: Settings) -> Iterator[Finding]:
    """Tell how much room there is where this machine writes."""
    for folder in sorted({settings.data_dir, *_stored_here(settings)}):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(there).free
        told = f"{free / 2**30:.1f} GiB are free in {folder}"
        if free < NO_SPACE:
            yield fault("space", f"{told}: free some space, or set RETENTION_DAYS")
        elif free < LITTLE_SPACE:
            yield warning("space", f"{told}: free some space soon, or set RETENTION_DAYS")
        else:
            yield ok("space", told)


def _stored_here(settings: Settings) -> list[Path]:
    """Return the folder of the storage, unless that is elsewhere."""
    parts = urlsplit(settings.storage_url)
    return [Path(unquote(parts.path))] if parts.scheme == "file" else []


def check_privacy(settings: Settings) -> Iterator[Finding]:
    """Tell whether other users of this machine can read what the service keeps."""
    database = db.engine.url.database if db.engine.dialect.name == "sqlite" else None
    places = {settings.data_dir, *_stored_here(settings), *([Path(database)] if database else [])}
    for place in sorted(place for place in places if place.exists()):
        # Below one of the others it was looked at with that.
        if places.isdisjoint(place.parents):
            number, first = _readable_by_others(place)
            if number:
                yield warning("privacy", f"Other users can read {number:,} files in {place}, such"
                                         f" as {first}: chmod -R go= '{place}'")
            else:
                yield ok("privacy", f"Other users can read nothing in {place}")


def _readable_by_others(place: Path) -> tuple[int, Path | None]:
    """Return how many files other users can read, FILES_LOOKED_AT at most, and one of them."""
    found = [path for path, mode in islice(_within_reach(place), FILES_LOOKED_AT)
             if mode & (stat.S_IRGRP | stat.S_IROTH)]
    return len(found), found[0] if found else None


def _within_reach(place: Path) -> Iterator[tuple[Path, int]]:
    """Yield the files that others reach from here, those at the top first, and their modes."""
    # What is deleted meanwhile is passed over.
    with suppress(FileNotFoundError):
        mode = place.lstat().st_mode
        if stat.S_ISREG(mode):
            yield place, mode
        elif stat.S_ISDIR(mode) and mode & OTHERS_ENTER:
            for below in sorted(place.iterdir(), key=lambda path: (path.is_dir(), path.name)):
                yield from _within_reach(below)


def check_recovery(settings: Settings) -> Iterator[Finding]:
    """Tell whether recovery, which beat rings for and a courier does, was at work lately."""
    age, patience = recovery_age(), 3 * settings.recovery_interval + 2 * WRITTEN_EVERY
    if age is None or age > patience:
        since = "has never run" if age is None else f"last ran {age:.0f} s ago"
        if seconds_put_back() > WRITTEN_EVERY:
            since = "has not run since the clock was set back"
        yield warning("recovery", f"It {since}: are beat and a courier (a worker for the queues of"
                                  " deliveries and recovery) running?")
    else:
        yield ok("recovery", "It is running")


def check_workers(_: Settings) -> Iterator[Finding]:
    """Tell whether work is taken up, as far as there is any."""
    gauges = read_gauges()
    if gauges.oldest_slice > STALLED_AFTER.total_seconds():
        yield warning("workers", f"Images have waited for {gauges.oldest_slice:.0f} s: is a worker"
                                 " for the queue of images running?")
    elif gauges.oldest_delivery > STALLED_AFTER.total_seconds():
        yield warning("workers", "A webhook or e-mail has been due for"
                                 f" {gauges.oldest_delivery:.0f} s: is a courier running?")
    else:
        yield ok("workers", "No work is waiting longer than it should")


def check_engine(settings: Settings) -> Iterator[Finding]:
    """Tell whether JPEGs are compressed the fast way."""
    # Here, because with it come all decoders, which no other command needs.
    from ...pipeline.compress import missing_engine

    if not settings.jpeg_engine:
        yield ok("engine", "JPEG_ENGINE is off, so every JPEG is decoded and encoded again")
    elif missing := missing_engine():
        yield warning("engine", f"{missing} JPEGs take longer to compress and look slightly"
                                " worse. Install a C compiler and run make setup.")
    else:
        yield ok("engine", "JPEGs are compressed by the JPEG engine")


def check_mail(settings: Settings) -> Iterator[Finding]:
    """Tell whether the mail server, if there is one, answers and accepts the login."""
    if settings.smtp_server is None:
        yield ok("mail", "No e-mail is sent, because SMTP_URL is unset")
        return
    refused = greet_server(settings.smtp_server)
    if refused:
        yield fault("mail", f"{settings.smtp_server.host} cannot be used ({refused}): check"
                            " SMTP_URL; e-mails wait, and are given up after a day")
    else:
        yield ok("mail", f"{settings.smtp_server.host} answers"
                         + (" and accepts the login" if settings.smtp_server.user else ""))


def check_user(_: Settings) -> Iterator[Finding]:
    """Tell whether the processes have more rights than they need."""
    if os.geteuid() == 0:
        yield warning("user", "This runs as root: give the service its own user")
    else:
        yield ok("user", "This does not run as root")


def explain(error: Exception) -> str:
    """Return what an unforeseen error says, in a line; it may come from a driver."""
    told = error.detail if isinstance(error, ImgcompressError) else str(error)
    return " ".join((told or repr(error)).split())
