"""The supervisor: starts the programs in order, restarts what dies, stops all in reverse order."""

from __future__ import annotations

import signal
import time
from collections import deque
from threading import Event
from types import FrameType

from .child import Child
from .console import Console
from .guardian import Guardian
from .programs import Program

TICK_SECONDS = 0.1
READY_SECONDS = 60.0
# A program that dies this often within the window, each time soon after its start, will not get
# well by itself.
DEATHS_ALLOWED = 5
DEATHS_WINDOW = 60.0
FIRST_PAUSE = 0.5
# One that has lived this long can do its work: then its death has a cause outside, and it is
# started again however often that happens.
STEADY_SECONDS = 3.0


class GaveUp(Exception):
    """A program could not be kept running; the message tells which."""


class Post:
    """The place of one program: its process, and the deaths of those before it."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.child: Child | None = None
        self.started = 0.0
        self.next_start = 0.0
        self._deaths: deque[float] = deque(maxlen=DEATHS_ALLOWED)

    def record_death(self, now: float) -> float:
        """Return the seconds to wait before the next start. Raise GaveUp after too many deaths."""
        if self.started and now - self.started >= STEADY_SECONDS:
            self._deaths.clear()
        self._deaths.append(now)
        recent = [death for death in self._deaths if now - death < DEATHS_WINDOW]
        if len(recent) >= DEATHS_ALLOWED:
            raise GaveUp(f"{self.program.name} ended {len(recent)} times within {DEATHS_WINDOW:.0f}"
                         f" s; see {self.program.traces} for the cause.")
        pause: float = FIRST_PAUSE * 2 ** (len(recent) - 1)
        self.next_start = now + pause
        return pause


class Supervisor:
    """Keep the programs running until a signal, or `ended`, says that it is enough."""

    def __init__(self, programs: list[Program], ended: Event,
                 console: Console = Console()) -> None:
        self._posts = [Post(program) for program in programs]
        self._ended = ended
        self._console = console
        self._guardian = Guardian()

    def start(self) -> bool:
        """Start all programs; return False when told to stop meanwhile. Raise GaveUp."""
        for post in sorted(self._posts, key=lambda post: post.program.starts_last):
            self._start(post)
            if not self._wait_until_ready(post):
                return False
        return True

    def watch(self) -> None:
        """Restart what dies, until told to stop. Raise GaveUp when something keeps dying."""
        while not self._ended.wait(TICK_SECONDS):
            self._tend()

    def stop(self, hurry: Event) -> None:
        """Stop all programs in reverse order; when `hurry` is set, kill those that still run."""
        for post in reversed(self._posts):
            if post.child:
                post.child.stop(hurry.is_set)
                self._release(post)
        self._guardian.close()

    def _wait_until_ready(self, post: Post) -> bool:
        end = time.monotonic() + READY_SECONDS
        while not post.program.ready():
            if time.monotonic() > end:
                raise GaveUp(f"{post.program.name} did not answer within {READY_SECONDS:.0f} s; see"
                             f" {post.program.traces} for the cause.")
            if self._ended.wait(TICK_SECONDS):
                return False
            self._tend()
        return not self._ended.is_set()

    def _tend(self) -> None:
        self._guardian.revive()
        now = time.monotonic()
        for post in self._posts:
            if post.child and post.child.exit_code() is not None:
                self._bury(post, now)
            elif not post.child and 0 < post.next_start <= now:
                self._start(post)

    def _start(self, post: Post) -> None:
        post.child = Child(post.program, self._console)
        post.started = time.monotonic()
        self._guardian.guard(post.child.group)

    def _bury(self, post: Post, now: float) -> None:
        assert post.child is not None
        post.child.sweep()
        code = post.child.exit_code()
        self._release(post)
        pause = post.record_death(now)
        self._console.say(f"{post.program.name} ended ({_describe(code)}); restarting it in"
                          f" {pause:g} s.")

    def _release(self, post: Post) -> None:
        if post.child:
            self._guardian.release(post.child.group)
            post.child = None


class StopSignals:
    """Turn the first signal to stop into `ended`, and a second one into `hurry`."""

    def __init__(self) -> None:
        self.ended, self.hurry = Event(), Event()
        numbers = [signal.SIGINT, signal.SIGTERM]
        # Under nohup a closed terminal ends nothing.
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        for number in numbers:
            signal.signal(number, self._receive)

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        (self.hurry if self.ended.is_set() else self.ended).set()


def _describe(code: int | None) -> str:
    if code is not None and code < 0:
        return f"by {signal.Signals(-code).name}"
    return f"with exit code {code}"
