"""How many connections one process opens to a host: fewer when it complains, more again later."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..errors import ImageError
from .fetch_status import SourceStatus

# The hosts whose limit is remembered; the one that was used longest ago is forgotten first.
REMEMBERED_HOSTS = 1024
# An image of a host with all connections in use is tried again after so long.
BUSY_SECONDS = 5.0


class NotTried(ImageError):
    """The host is left alone for now: an attempt that never began, and does not count."""

    def __init__(self, found: str = "", *, detail: str, retry_after: float) -> None:
        super().__init__("host_suspended", found, detail=detail, retry_after=retry_after)


class HostBusy(NotTried):
    """No connection to the host came free in time."""

    def __init__(self, host: str, seconds: float) -> None:
        super().__init__(detail=f"no free connection to {host} in {seconds:g} s",
                         retry_after=BUSY_SECONDS)


@dataclass
class _Host:
    """The limit of one host, halved by each complaint and one higher after `limit` successes."""

    limit: float
    in_use: int = 0
    waiting: int = 0
    halved_at: float = 0.0


class HostLimits:
    """Shares each host's connections among the threads of a process."""

    def __init__(self, per_host: int) -> None:
        self.per_host = per_host
        self._freed = threading.Condition()
        self._hosts: OrderedDict[str, _Host] = OrderedDict()

    @contextmanager
    def connection(self, host: str, seconds: float) -> Iterator[None]:
        """Hold one of the host's connections; raise HostBusy if none is free within `seconds`.

        An ImageError that passes through is judged: 429, 503 and timeouts halve the limit.
        """
        began = self._acquire(host, seconds)
        try:
            yield
        except ImageError as error:
            self._release(host, began, complained=is_complaint(error))
            raise
        except BaseException:
            self._release(host, began)
            raise
        self._release(host, began, succeeded=True)

    def limit(self, host: str) -> int:
        """Return how many connections to this host may be open at the moment."""
        with self._freed:
            known = self._hosts.get(host)
            return int(known.limit) if known else self.per_host

    def _acquire(self, host: str, seconds: float) -> float:
        with self._freed:
            entry = self._entry(host)
            entry.waiting += 1
            try:
                free = self._freed.wait_for(lambda: entry.in_use < int(entry.limit), seconds)
            finally:
                entry.waiting -= 1
            if not free:
                raise HostBusy(host, seconds)
            entry.in_use += 1
            return time.monotonic()

    def _release(self, host: str, began: float, *, complained: bool = False,
                 succeeded: bool = False) -> None:
        with self._freed:
            entry = self._entry(host)
            entry.in_use -= 1
            if complained and began >= entry.halved_at:
                # Requests that were under way when the limit was halved are the same complaint.
                entry.limit = max(entry.limit / 2, 1.0)
                entry.halved_at = time.monotonic()
            elif succeeded:
                entry.limit = min(entry.limit + 1 / entry.limit, float(self.per_host))
            self._freed.notify_all()

    def _entry(self, host: str) -> _Host:
        entry = self._hosts.get(host)
        if entry is None:
            self._forget_idle()
            entry = self._hosts[host] = _Host(float(self.per_host))
        self._hosts.move_to_end(host)
        return entry

    def _forget_idle(self) -> None:
        """Make room by the host that was used longest ago, if nobody uses or awaits it."""
        if len(self._hosts) < REMEMBERED_HOSTS:
            return
        oldest, entry = next(iter(self._hosts.items()))
        if not entry.in_use and not entry.waiting:
            del self._hosts[oldest]


def is_complaint(error: ImageError) -> bool:
    """Tell whether an error says that the host has too much to do."""
    overloaded = isinstance(error, SourceStatus) and error.http_status in (429, 503)
    return overloaded or error.code == "source_timeout"
