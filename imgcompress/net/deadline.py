"""A limit in wall-clock time: when it has passed, the sockets in use are shut.

A timeout of a socket is per call, so that a peer which sends one byte now and then gets around
it. Shutting the socket ends a blocked read at once, in TLS too; but the reader may take it for
the regular end of the answer, so the deadline must be asked afterwards (`check`).
"""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from types import TracebackType

from ..errors import NetworkError


class Deadline:
    """The wall-clock limit of this thread's work inside `with Deadline(seconds) as deadline:`.

    Every guarded connection that is used inside is shut when the time is over.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.ends = math.inf
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._outer: Deadline | None = None

    def __enter__(self) -> Deadline:
        self.ends = time.monotonic() + self.seconds
        self._outer, _thread.deadline = current_deadline(), self
        _watchdog.add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _watchdog.discard(self)
        _thread.deadline = self._outer
        with self._lock:
            for watched in self._sockets:
                watched.close()
            self._sockets.clear()

    @property
    def passed(self) -> bool:
        """Return whether the time is over; data read after that cannot be trusted."""
        return time.monotonic() >= self.ends

    @property
    def remaining(self) -> float:
        """Return the seconds that are left, 0 at least."""
        return max(self.ends - time.monotonic(), 0.0)

    def check(self) -> None:
        """Raise NetworkError `timeout` if the time is over."""
        if self.passed:
            raise NetworkError("timeout", detail=f"not done within {self.seconds:g} s")

    def watch(self, sock: socket.socket) -> None:
        """Shut this socket when the time is over.

        A duplicate is kept: TLS takes the descriptor away from the first socket object, and a
        closed descriptor's number may belong to someone else by then.
        """
        watched = socket.socket(sock.family, sock.type, sock.proto, os.dup(sock.fileno()))
        with self._lock:
            self._sockets.append(watched)
        if self.passed:
            self.shut()

    def shut(self) -> None:
        """Shut every watched socket, so that threads waiting for one wake up."""
        with self._lock:
            for watched in self._sockets:
                try:
                    watched.shutdown(socket.SHUT_RDWR)
                except OSError:
                    # The peer was quicker.
                    pass


class _Watchdog:
    """The one thread of this process that shuts the sockets of passed deadlines.

    It sleeps until the earliest deadline that it knows and is woken for an earlier one alone, so
    that a deadline which is met costs two set operations.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: set[Deadline] = set()
        self._wakes = math.inf
        self._started = False

    def add(self, deadline: Deadline) -> None:
        with self._changed:
            self._running.add(deadline)
            if deadline.ends < self._wakes:
                self._wakes = deadline.ends
                self._changed.notify()
            if not self._started:
                self._started = True
                threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def discard(self, deadline: Deadline) -> None:
        with self._changed:
            self._running.discard(deadline)

    def _run(self) -> None:
        while True:
            for deadline in self._wait():
                deadline.shut()

    def _wait(self) -> list[Deadline]:
        """Sleep until a deadline may have passed; return those that have."""
        with self._changed:
            now = time.monotonic()
            if self._wakes > now:
                self._changed.wait(min(self._wakes - now, threading.TIMEOUT_MAX))
            now = time.monotonic()
            passed = [deadline for deadline in self._running if deadline.ends <= now]
            self._running.difference_update(passed)
            self._wakes = min((deadline.ends for deadline in self._running), default=math.inf)
            return passed


class _ThreadState(threading.local):
    deadline: Deadline | None = None


_thread = _ThreadState()
_watchdog = _Watchdog()


def current_deadline() -> Deadline | None:
    """Return the innermost deadline of this thread, if there is one."""
    return _thread.deadline


def _replace_watchdog() -> None:
    """Forget the parent's thread: it does not exist in a forked child."""
    global _watchdog
    _watchdog = _Watchdog()


os.register_at_fork(after_in_child=_replace_watchdog)
