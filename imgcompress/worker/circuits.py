"""The circuits of failing hosts: which ones are suspended, as far as this worker process knows."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ..errors import ImageError, LedgerUnavailable
from ..ledger import hosts
from ..ledger.hosts import KnownCircuit, Source
from ..ledger.session import met_trouble
from ..net.fetcher import Deferred

log = logging.getLogger(__name__)

# A process suspends a host for an owner after this many consecutive failures of the owner's images,
# and for everyone after this many consecutive attempts that could not reach it at all.
FAILURES_TO_OPEN = 10
# After this many consecutive suspensions, the owner's images of the host fail instead of waiting,
# once this process has tried one of their job: only another job's URLs may be to blame.
OPENINGS_TO_FAIL = 3
# The pause between two checks while another worker probes the host.
VERDICT_SECONDS = 5.0
# If retryable, these errors are caused by the host, not by the one image.
HOST_ERRORS = frozenset(
    ("dns_failed", "connect_failed", "source_timeout", "source_status", "source_broken")
)
REMEMBERED_HOSTS = 1024
REMEMBERED_TRIALS = 10_000


@dataclass(frozen=True)
class _Suspension:
    """An open circuit, or a half-open one that this process tries or another one does."""

    reason: str
    until: float
    trying: bool = False
    final: bool = False


class HostCircuits:
    """The circuits of the hosts of the claimed slices, separate for each owner of jobs.

    Only one thread calls `look_up` and `note`; any thread may call the other methods.
    """

    def __init__(self, *, pause: float, probe_seconds: float, download_seconds: float) -> None:
        self.pause = pause
        self.probe_seconds = probe_seconds
        self.download_seconds = download_seconds
        self._suspended: dict[Source, _Suspension] = {}
        # Consecutive failures: of the images of one owner, and of attempts to reach a host at all.
        self._failures: Counter[Source] = Counter()
        self._unreached: Counter[str] = Counter()
        # The jobs and hosts for which an image was tried.
        self._tried: set[tuple[UUID, str]] = set()

    def look_up(self, owner: str, authorities: Collection[str]) -> None:
        """Look up which of these hosts are suspended, and probe those that are due.

        While the ledger is unavailable, none is suspended.
        """
        unknown = [
            source
            for source in (Source(owner, authority) for authority in authorities)
            if not self.trying(source)
        ]
        for source in unknown:
            self._suspended.pop(source, None)
        try:
            self._read(owner, [source.authority for source in unknown])
        except LedgerUnavailable as error:
            log.warning("The host circuits cannot be read: %s", error)

    def check(self, source: Source, job: UUID) -> None:
        """Raise ImageError `host_suspended` for an image of a job whose host is suspended.

        The image is Deferred while waiting may help; otherwise it fails, after the host was tried.
        """
        found = self._suspended.get(source)
        if found is None or found.trying:
            return
        if found.final and (job, source.authority) not in self._tried:
            return
        if found.final:
            raise ImageError("host_suspended", found.reason, retryable=False)
        rest = max(found.until - time.monotonic(), 1.0)
        raise Deferred(
            found.reason, detail=f"the circuit of {source.authority} is open", retry_after=rest
        )

    def trying(self, source: Source) -> bool:
        """Return whether this process tries the host, whose circuit is half-open, for an owner."""
        found = self._suspended.get(source)
        return found is not None and found.trying

    def one_at_a_time(self, source: Source) -> bool:
        """Return whether only one image at a time may try the host."""
        found = self._suspended.get(source)
        return found is not None and (found.trying or found.final)

    def note(self, source: Source, error: ImageError | None, job: UUID) -> None:
        """Record the result of an image, which may open or close its host's circuit."""
        if error is not None and error.code in ("host_suspended", "internal_error"):
            return  # It is no evidence about the host.
        if len(self._tried) >= REMEMBERED_TRIALS:
            self._tried.clear()
        self._tried.add((job, source.authority))
        try:
            if error is not None and error.retryable and error.code in HOST_ERRORS:
                self._failed(source, error)
            else:
                self._succeeded(source)
        except LedgerUnavailable as away:
            log.warning("The circuit of %s could not be saved: %s", source.authority, away)

    def _failed(self, source: Source, error: ImageError) -> None:
        trying = self.trying(source)
        if met_trouble(within=self.download_seconds) and not trying:
            # When the attempt began, this machine may have been cut off from the network. It must
            # not make all workers suspend a host that works (seen).
            return
        reason = error.found or error.code
        if error.answered:
            del self._unreached[source.authority]
            if trying:
                hosts.note_reached(source.authority)
        suspended = self._count(self._failures, source) or trying
        unreached = not error.answered and self._count(self._unreached, source.authority)
        if suspended:
            del self._failures[source]
            if hosts.open_circuit(source, reason, seconds=self.pause):
                log.warning("%s is suspended for %g s: %s", source.authority, self.pause, reason)
        if unreached:
            del self._unreached[source.authority]
            hosts.open_for_everybody(source.authority, reason, seconds=self.pause)
        if suspended or unreached:
            self._read(source.owner, [source.authority])

    def _count(self, failures: Counter[Any], key: Any) -> bool:
        """Count one more consecutive failure; return whether there are too many."""
        if len(failures) >= REMEMBERED_HOSTS:
            failures.clear()
        failures[key] += 1
        return failures[key] >= FAILURES_TO_OPEN

    def _succeeded(self, source: Source) -> None:
        del self._failures[source]
        del self._unreached[source.authority]
        if self.one_at_a_time(source):
            hosts.close_circuit(source)
            del self._suspended[source]
            log.warning("%s works again", source.authority)

    def _read(self, owner: str, authorities: Collection[str]) -> None:
        for circuit in hosts.circuits_of(owner, authorities):
            source = Source(owner, circuit.authority)
            self._suspended[source] = self._suspension(source, circuit)

    def _suspension(self, source: Source, circuit: KnownCircuit) -> _Suspension:
        # Slices do not return at the same time, but the images of one slice do.
        now = time.monotonic() + random.uniform(0.1, 1.0)
        if circuit.rest > 0:
            return _Suspension(
                circuit.reason, now + circuit.rest, final=circuit.openings >= OPENINGS_TO_FAIL
            )
        return _Suspension(
            circuit.reason,
            now + VERDICT_SECONDS,
            trying=hosts.claim_probe(source, seconds=self.probe_seconds),
        )
