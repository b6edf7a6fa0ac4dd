"""Settings that contradict each other, or the machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import celeryconfig

from ...config import Settings
from .finding import Finding, Level, fault, ok, warning

NAME = "settings"
DAY = 86_400
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# A task takes on slices for so long (tasks/shift.py), and then ends those that it has.
SHIFT_SECONDS = 60.0
# A decoded pixel, its converted copy, and what the encoder keeps.
BYTES_PER_PIXEL = 12
# What a worker process takes beside its images.
PROCESS_BYTES = 150 * 2**20


class Rule(NamedTuple):
    """What is wrong with settings of which `broken` is true."""

    broken: Callable[[Settings], bool]
    text: str
    level: Level = Level.WARNING


def _is_open(settings: Settings) -> bool:
    return settings.host not in LOOPBACK


def _is_sqlite(settings: Settings) -> bool:
    return settings.database_url.startswith("sqlite")


def _longest_task(settings: Settings) -> float:
    return SHIFT_SECONDS + settings.fetch_timeout + settings.compress_timeout


def _needed_memory(settings: Settings) -> int:
    """Return what a worker process takes at the worst."""
    return (PROCESS_BYTES + settings.max_image_pixels * BYTES_PER_PIXEL
            + settings.fetch_concurrency * settings.max_image_bytes)


RULES = (
    Rule(lambda s: _longest_task(s) > celeryconfig.task_soft_time_limit,
         "FETCH_TIMEOUT and COMPRESS_TIMEOUT are so long that Celery ends healthy tasks"
         f" (task_soft_time_limit = {celeryconfig.task_soft_time_limit} s in celeryconfig.py):"
         " shorten them.", Level.FAULT),
    Rule(lambda s: s.fetch_connect_timeout > s.fetch_timeout,
         "FETCH_CONNECT_TIMEOUT is longer than FETCH_TIMEOUT, which ends the download first."),
    Rule(lambda s: s.fetch_per_host > s.fetch_concurrency,
         "FETCH_PER_HOST is more than FETCH_CONCURRENCY, which is the limit for all hosts"
         " together."),
    Rule(lambda s: 0 < s.max_process_memory < _needed_memory(s),
         "MAX_PROCESS_MEMORY is less than the largest images and downloads can need: some fail as"
         " out_of_memory."),
    Rule(lambda s: s.recovery_interval > s.lease_seconds,
         "RECOVERY_INTERVAL is longer than LEASE_SECONDS: the work of a dead worker is picked up"
         " late."),
    Rule(lambda s: not s.require_api_key and _is_open(s),
         "HOST opens the service to the network, and REQUIRE_API_KEY is off: anybody who can reach"
         " it can see and delete all jobs. Set REQUIRE_API_KEY=true, or use a proxy that"
         " authenticates users."),
    Rule(lambda s: _is_open(s) and s.public_base_url is None,
         "PUBLIC_BASE_URL is unset: links begin with the address to which each upload was sent, and"
         " besides IP addresses only the names in HOST and ALLOWED_HOSTS are accepted."),
    Rule(lambda s: "*" in s.allowed_hosts and not s.require_api_key,
         "ALLOWED_HOSTS is * and REQUIRE_API_KEY is off: any web page open in a browser that can"
         " reach this service can read all jobs (DNS rebinding). List the names."),
    Rule(lambda s: (s.public_base_url or "").startswith("https:") and s.trusted_proxies == 0
         and bool(s.uploads_per_minute or s.reads_per_minute) and not s.require_api_key,
         "TRUSTED_PROXIES is 0 behind a proxy: all callers share the limits per minute of its"
         " address."),
    Rule(lambda s: _is_sqlite(s) and not s.embedded_broker,
         "CELERY_BROKER_URL names a broker, but SQLite works on this machine only: for several"
         " machines set DATABASE_URL=postgresql://…"),
    Rule(lambda s: not _is_sqlite(s) and s.embedded_broker,
         "The ledger is on a server, but the embedded broker works on this machine only: for"
         " several machines set CELERY_BROKER_URL."),
    Rule(lambda s: not _is_sqlite(s) and not s.embedded_broker and not s.webhook_secrets,
         "WEBHOOK_SECRET is unset: each machine signs with its own secret, and cannot read the"
         " secrets of uploads that another one accepted. Run `flask webhooks secret`, and set its"
         " value on all machines."),
    Rule(lambda s: not _is_sqlite(s) and not s.embedded_broker
         and s.storage_url.startswith("file:"),
         "STORAGE_URL is a folder: if there are several machines, all must mount the same folder"
         " there."),
    Rule(lambda s: s.signed_image_urls and s.image_base_url is not None,
         "SIGNED_IMAGE_URLS with IMAGE_BASE_URL: configure the CDN to forward the query string and"
         " to cache by it, or it serves images after their URLs expire."),
    Rule(lambda s: 0 < s.retention_days * DAY < sum(s.webhook_retry_pauses),
         "RETENTION_DAYS is shorter than all WEBHOOK_RETRY_PAUSES together: jobs are deleted while"
         " their webhooks are still being retried."),
    Rule(lambda s: 0 < s.retention_days * DAY < s.image_url_seconds and s.signed_image_urls,
         "RETENTION_DAYS is shorter than IMAGE_URL_SECONDS: images are deleted before their URLs"
         " expire."),
)


def check_settings(settings: Settings) -> Iterator[Finding]:
    """Yield every contradiction, or that there is none."""
    found = [Finding(rule.level, NAME, rule.text) for rule in RULES if rule.broken(settings)]
    found += _check_memory(settings)
    yield from found or [ok(NAME, "No limits contradict each other.")]


def _check_memory(settings: Settings) -> Iterator[Finding]:
    """Compare what the worker processes take at the worst with what the machine has."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return
    processes = settings.worker_processes or os.cpu_count() or 1
    each = _needed_memory(settings)
    if processes * each > memory:
        tell = fault if each > memory else warning
        yield tell(NAME, f"{processes} worker processes with the largest images need about"
                         f" {processes * each / 2**30:.1f} GiB, and this machine has"
                         f" {memory / 2**30:.1f}: lower WORKER_PROCESSES, MAX_IMAGE_PIXELS,"
                         " MAX_IMAGE_BYTES or FETCH_CONCURRENCY.")
