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
class _Share:
    """What one owner of jobs has of a host.

    Its limit is halved by each complaint, and one higher after `limit` successes.
    """

    limit: float
    in_use: int = 0
    waiting: int = 0
    halved_at: float = 0.0
    served_at: int = 0

    @property
    def has_room(self) -> bool:
        """Tell whether the owner may open one more connection, if the host has one left."""
        return self.in_use < int(self.limit)


class HostLimits:
    """Shares each host's connections among the threads of a process, and among owners of jobs.

    The host has `per_host` in all. Of these each owner may take as many as its own requests have
    earned, so that an owner whose URLs the host complains about slows down nobody else; where
    several wait, the one that was served longest ago comes next.
    """

    def __init__(self, per_host: int) -> None:
        self.per_host = per_host
        self._freed = threading.Condition()
        self._hosts: OrderedDict[str, dict[str, _Share]] = OrderedDict()
        self._served = 0

    @contextmanager
    def connection(self, host: str, seconds: float, owner: str = "") -> Iterator[None]:
        """Hold one of the host's connections; raise HostBusy if none is free within `seconds`.

        An ImageError that passes through is judged: 429, 503 and timeouts halve the limit.
        """
        began = self._acquire(host, owner, seconds)
        try:
            yield
        except ImageError as error:
            self._release(host, owner, began, complained=is_complaint(error))
            raise
        except BaseException:
            self._release(host, owner, began)
            raise
        self._release(host, owner, began, succeeded=True)

    def limit(self, host: str, owner: str = "") -> int:
        """Return how many connections to this host may be open for an owner at the moment."""
        with self._freed:
            share = self._hosts.get(host, {}).get(owner)
            return int(share.limit) if share else self.per_host

    def _acquire(self, host: str, owner: str, seconds: float) -> float:
        with self._freed:
            share = self._share(host, owner)
            share.waiting += 1
            try:
                free = self._freed.wait_for(lambda: self._is_next(host, share), seconds)
            finally:
                share.waiting -= 1
            if not free:
                self._freed.notify_all()
                raise HostBusy(host, seconds)
            share.in_use += 1
            self._served += 1
            share.served_at = self._served
            return time.monotonic()

    def _is_next(self, host: str, share: _Share) -> bool:
        shares = self._hosts[host].values()
        return (share.has_room and sum(each.in_use for each in shares) < self.per_host
                and not any(each.waiting and each.has_room and each.served_at < share.served_at
                            for each in shares))

    def _release(self, host: str, owner: str, began: float, *, complained: bool = False,
                 succeeded: bool = False) -> None:
        with self._freed:
            share = self._share(host, owner)
            share.in_use -= 1
            if complained and began >= share.halved_at:
                # Requests that were under way when the limit was halved are the same complaint.
                share.limit = max(share.limit / 2, 1.0)
                share.halved_at = time.monotonic()
            elif succeeded:
                share.limit = min(share.limit + 1 / share.limit, float(self.per_host))
            self._freed.notify_all()

    def _share(self, host: str, owner: str) -> _Share:
        if host not in self._hosts:
            self._forget_idle()
        shares = self._hosts.setdefault(host, {})
        self._hosts.move_to_end(host)
        return shares.setdefault(owner, _Share(float(self.per_host)))

    def _forget_idle(self) -> None:
        """Make room by the host that was used longest ago, if nobody uses or awaits it."""
        if len(self._hosts) < REMEMBERED_HOSTS:
            return
        oldest, shares = next(iter(self._hosts.items()))
        if not any(share.in_use or share.waiting for share in shares.values()):
            del self._hosts[oldest]


def is_complaint(error: ImageError) -> bool:
    """Tell whether an error says that the host has too much to do."""
    overloaded = isinstance(error, SourceStatus) and error.http_status in (429, 503)
    return overloaded or error.code == "source_timeout"
