"""Leave hosts alone that fail too often: the circuits of the ledger, as one process knows them."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..errors import ImageError, LedgerUnavailable
from ..ledger import circuits
from ..ledger.models import HostCircuit
from ..ledger.reach import met_trouble
from ..ledger.types import utcnow
from ..pipeline.fetch_hosts import NotTried

log = logging.getLogger(__name__)

# After so many failures in a row, as one process sees them, a host is left alone.
FAILURES_TO_OPEN = 10
# After so many openings in a row, the images of the host fail instead of waiting on.
OPENINGS_TO_FAIL = 3
# Where another worker tries the host, its verdict is awaited for so long at a time.
VERDICT_SECONDS = 5.0
# Where these may pass, the host is to blame for them, and not the one image.
HOST_FAULTS = frozenset(("dns_failed", "connect_failed", "source_timeout", "source_status",
                         "source_broken"))
REMEMBERED_HOSTS = 1024


@dataclass(frozen=True)
class _Suspension:
    """An open circuit, or a half-open one that this process tries or another one does."""

    fault: str
    until: datetime
    trying: bool = False
    final: bool = False


class HostCircuits:
    """The circuits of the hosts of the slices in hand.

    One thread reads and writes them by `look_up` and `note`; any other may ask.
    """

    def __init__(self, *, pause: float, probe_seconds: float, download_seconds: float) -> None:
        self.pause = pause
        self.probe_seconds = probe_seconds
        self.download_seconds = download_seconds
        self._suspended: dict[str, _Suspension] = {}
        self._failures: Counter[str] = Counter()

    def look_up(self, authorities: Collection[str]) -> None:
        """Learn which of these hosts are left alone, and try those whose turn it is.

        While the ledger is away, none is left alone.
        """
        unknown = [authority for authority in authorities if not self.trying(authority)]
        for authority in unknown:
            self._suspended.pop(authority, None)
        try:
            self._read(unknown)
        except LedgerUnavailable as error:
            log.warning("The circuits of the hosts are unknown: %s", error)

    def check(self, authority: str) -> None:
        """Raise ImageError `host_suspended` for a host that is left alone.

        It is NotTried while waiting may help, and else a failure.
        """
        found = self._suspended.get(authority)
        if found is None or found.trying:
            return
        if found.final:
            raise ImageError("host_suspended", found.fault, retryable=False)
        rest = max((found.until - utcnow()) / timedelta(seconds=1), 1.0)
        raise NotTried(found.fault, detail=f"the circuit of {authority} is open", retry_after=rest)

    def trying(self, authority: str) -> bool:
        """Tell whether this process tries the host, and should do so by one image."""
        found = self._suspended.get(authority)
        return found is not None and found.trying

    def note(self, authority: str, error: ImageError | None) -> None:
        """Take note of how an image of the host ended, which may open or close its circuit."""
        if error is not None and error.code in ("host_suspended", "internal_error"):
            return  # It says nothing about the host.
        try:
            if error is not None and error.retryable and error.code in HOST_FAULTS:
                self._failed(authority, error.found or error.code)
            else:
                self._succeeded(authority)
        except LedgerUnavailable as away:
            log.warning("The circuit of %s was not written: %s", authority, away)

    def _failed(self, authority: str, fault: str) -> None:
        if met_trouble(within=self.download_seconds) and not self.trying(authority):
            # When it began, this machine may have been cut off from everything. It must not have
            # all workers leave a host alone that is well (seen).
            return
        if len(self._failures) >= REMEMBERED_HOSTS:
            self._failures.clear()
        self._failures[authority] += 1
        if self._failures[authority] < FAILURES_TO_OPEN and not self.trying(authority):
            return
        del self._failures[authority]
        if circuits.open_circuit(authority, fault, seconds=self.pause):
            log.warning("%s is left alone for %g s: %s", authority, self.pause, fault)
        self._read([authority])

    def _succeeded(self, authority: str) -> None:
        del self._failures[authority]
        if self.trying(authority):
            circuits.close_circuit(authority)
            del self._suspended[authority]
            log.warning("%s is well again", authority)

    def _read(self, authorities: Collection[str]) -> None:
        for circuit in circuits.circuits_of(authorities):
            self._suspended[circuit.authority] = self._suspension(circuit)

    def _suspension(self, circuit: HostCircuit) -> _Suspension:
        # Slices do not return in step, but the images of one slice together.
        jitter = timedelta(seconds=random.uniform(0.1, 1.0))
        if circuit.open_until > utcnow():
            return _Suspension(circuit.fault, circuit.open_until + jitter,
                               final=circuit.openings >= OPENINGS_TO_FAIL)
        return _Suspension(
            circuit.fault, utcnow() + timedelta(seconds=VERDICT_SECONDS) + jitter,
            trying=circuits.claim_probe(circuit.authority, seconds=self.probe_seconds))
