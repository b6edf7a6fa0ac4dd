"""Run the programs of one installation, log their output, and restart those that die."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from types import FrameType
from typing import Any

import click

log = logging.getLogger(__name__)

NAME_WIDTH = 7


@dataclass(frozen=True)
class Program:
    """A program to keep running.

    `stop_seconds` is the time it may take to end, and `traces` the place where to look up why it
    died. One that `starts_last` leaves the cores to those that the first images need.
    """

    name: str
    command: tuple[str, ...]
    colour: str
    stop_seconds: float
    ready: Callable[[], bool] = lambda: True
    traces: str = "its lines above"
    starts_last: bool = False


@dataclass(frozen=True)
class Console:
    """A place for lines: text for people, or only JSON, where logs are written so.

    The reader may be gone, or the disk full: the service goes on anyway.
    """

    json: bool = False

    def say(self, text: str, **style: Any) -> None:
        """Print a line of the supervisor itself."""
        if self.json:
            log.info(text)
        else:
            _write(click.style(text, **style))

    def pass_on(self, program: str, line: str, colour: str) -> None:
        """Show a line of a program."""
        if not self.json:
            _write(click.style(f"{program:{NAME_WIDTH}} | ", fg=colour) + line)
        elif line.startswith("{"):
            _write(line)
        else:
            log.info(line, extra={"program": program})


def _write(line: str) -> None:
    with suppress(OSError):
        click.echo(line)


LIFELINE = Path(__file__).parents[1] / "process.py"
POLL_SECONDS = 0.05
# Output written just before the end of a process is still shown.
LAST_WORDS_SECONDS = 2.0


class Child:
    """A started program; its lines appear on our standard output behind its name."""

    def __init__(self, program: Program, console: Console) -> None:
        self.program = program
        self._console = console
        # A group of its own: Ctrl-C in a terminal reaches the supervisor alone, which ends the
        # programs in their order.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LIFELINE), str(os.getpid()), *program.command],
            process_group=0,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._printer = threading.Thread(target=self._print_lines, daemon=True)
        self._printer.start()

    @property
    def group(self) -> int:
        """Return the id of the process group, which is that of its first process."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Return the exit code of the main process, or None while it runs."""
        return self._process.poll()

    def stop(self, hurry: Callable[[], bool]) -> None:
        """Ask the program to end; kill it when its time is up, or as soon as `hurry` is set."""
        end = time.monotonic() + self.program.stop_seconds
        with suppress(ProcessLookupError):
            self._process.terminate()
        while self.exit_code() is None and time.monotonic() < end and not hurry():
            time.sleep(POLL_SECONDS)
        self.sweep()

    def sweep(self) -> None:
        """Kill the rest of the process group, and wait for its end."""
        # macOS answers EPERM for a group in which only zombies are left.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.group, signal.SIGKILL)
        self._process.wait()
        self._printer.join(LAST_WORDS_SECONDS)

    def _print_lines(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if line.strip():
                    self._console.pass_on(self.program.name, line.rstrip(), self.program.colour)


TICK_SECONDS = 0.1
READY_SECONDS = 60.0
# A program that dies this often within the window, each time soon after its start, will not
# recover by itself.
DEATHS_ALLOWED = 5
DEATHS_WINDOW = 60.0
FIRST_PAUSE = 0.5
# One that has run this long works: its death has an external cause, and it is
# restarted however often that happens.
STEADY_SECONDS = 3.0


class Reaper:
    """A small process that kills what a killed supervisor leaves behind.

    It reads the ids of process groups from a pipe whose other end only the supervisor holds. When
    the supervisor ends, however that happens, the pipe does too, and the groups still named are
    killed. This covers grandchildren, and systems without PR_SET_PDEATHSIG.
    """

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._process = self._start()

    def guard(self, group: int) -> None:
        """Kill this process group should the supervisor end before `release`."""
        self._groups.add(group)
        self._send(f"+{group}")

    def release(self, group: int) -> None:
        """Guard this process group no longer."""
        self._groups.discard(group)
        self._send(f"-{group}")

    def revive(self) -> None:
        """Start a new reaper when the last one has ended."""
        if self._process.poll() is None:
            return
        self.close()
        self._process = self._start()
        for group in self._groups:
            self._send(f"+{group}")

    def close(self) -> None:
        """Close the pipe and wait for the reaper, which kills what is still guarded."""
        self._process.communicate()

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        # A reaper that has just died is replaced by `revive`, which sends all groups again.
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()

    @staticmethod
    def _start() -> subprocess.Popen[str]:
        # A separate session: a signal to the supervisor's process group does not reach the reaper.
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(LIFELINE), "reap"],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


class GaveUp(Exception):
    """A program could not be kept running; the message names it."""


class ProcessSlot:
    """One program: its current process, and the deaths of earlier ones."""

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
            raise GaveUp(
                f"{self.program.name} ended {len(recent)} times within {DEATHS_WINDOW:.0f}"
                f" s; see {self.program.traces} for the cause."
            )
        pause: float = FIRST_PAUSE * 2 ** (len(recent) - 1)
        self.next_start = now + pause
        return pause


class Supervisor:
    """Keep the programs running until a signal arrives or `ended` is set."""

    def __init__(self, programs: list[Program], ended: Event, console: Console = Console()) -> None:
        self._posts = [ProcessSlot(program) for program in programs]
        self._ended = ended
        self._console = console
        self._reaper = Reaper()

    def start(self) -> bool:
        """Start all programs; return False if asked to stop meanwhile. Raise GaveUp."""
        for post in sorted(self._posts, key=lambda post: post.program.starts_last):
            self._start(post)
            if not self._wait_until_ready(post):
                return False
        return True

    def watch(self) -> None:
        """Restart programs that die, until asked to stop. Raise GaveUp if one keeps dying."""
        while not self._ended.wait(TICK_SECONDS):
            self._tend()

    def stop(self, hurry: Event) -> None:
        """Stop all programs in reverse order; when `hurry` is set, kill those that still run."""
        for post in reversed(self._posts):
            if post.child:
                post.child.stop(hurry.is_set)
                self._release(post)
        self._reaper.close()

    def _wait_until_ready(self, post: ProcessSlot) -> bool:
        end = time.monotonic() + READY_SECONDS
        while not post.program.ready():
            if time.monotonic() > end:
                raise GaveUp(
                    f"{post.program.name} did not answer within {READY_SECONDS:.0f} s; see"
                    f" {post.program.traces} for the cause."
                )
            if self._ended.wait(TICK_SECONDS):
                return False
            self._tend()
        return not self._ended.is_set()

    def _tend(self) -> None:
        self._reaper.revive()
        now = time.monotonic()
        for post in self._posts:
            if post.child and post.child.exit_code() is not None:
                self._bury(post, now)
            elif not post.child and 0 < post.next_start <= now:
                self._start(post)

    def _start(self, post: ProcessSlot) -> None:
        post.child = Child(post.program, self._console)
        post.started = time.monotonic()
        self._reaper.guard(post.child.group)

    def _bury(self, post: ProcessSlot, now: float) -> None:
        assert post.child is not None
        post.child.sweep()
        code = post.child.exit_code()
        self._release(post)
        pause = post.record_death(now)
        self._console.say(
            f"{post.program.name} ended ({_describe(code)}); restarting it in {pause:g} s."
        )

    def _release(self, post: ProcessSlot) -> None:
        if post.child:
            self._reaper.release(post.child.group)
            post.child = None


class StopSignals:
    """Turn the first signal to stop into `ended`, and a second one into `hurry`.

    Another thread sets them. A handler that did would wait forever for the lock of an event for
    which the interrupted code is just beginning to wait, or has just waited.
    """

    def __init__(self) -> None:
        self.ended, self.hurry = Event(), Event()
        # Its put() may interrupt anything, even another put().
        self._received: SimpleQueue[int] = SimpleQueue()
        threading.Thread(target=self._set_events, name="stop-signals", daemon=True).start()
        numbers = [signal.SIGINT, signal.SIGTERM]
        # Under nohup a closed terminal ends nothing.
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        for number in numbers:
            signal.signal(number, self._receive)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self._received.put(number)

    def _set_events(self) -> None:
        while self._received.get():
            (self.hurry if self.ended.is_set() else self.ended).set()


def _describe(code: int | None) -> str:
    if code is not None and code < 0:
        return f"by {signal.Signals(-code).name}"
    return f"with exit code {code}"
