"""The programs of `imgcompress serve`, and what it shows: text for people, or nothing but JSON."""

from __future__ import annotations

import errno
import io
import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from threading import Event, Timer

import pytest

from imgcompress.cli.supervisor import (
    DEATHS_ALLOWED,
    Console,
    GaveUp,
    ProcessSlot,
    Program,
    Reaper,
    Supervisor,
)

# A program that leaves its process id, and says so when it is asked to end.
POLITE = """
import os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit()))
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(60)
"""
STUBBORN = POLITE.replace("sys.exit()", "0")
# One that dies when it is started first.
FRAIL = f"""
import pathlib, sys
well = pathlib.Path(sys.argv[1] + ".well")
if not well.exists():
    well.touch()
    sys.exit(3)
{POLITE}"""


def program(name: str, mark: Path, code: str = POLITE, stop_seconds: float = 10) -> Program:
    return Program(
        name, (sys.executable, "-c", code, str(mark)), "blue", stop_seconds, ready=mark.exists
    )


def runs(mark: Path) -> bool:
    """Return whether the program that left this mark runs."""
    try:
        os.kill(int(mark.read_text(encoding="ascii")), 0)
    except ProcessLookupError:
        return False
    return True


def test_programs_end_in_the_reverse_order_of_their_start(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = Event()
    supervisor = Supervisor([program("one", tmp_path / "1"), program("two", tmp_path / "2")], ended)
    assert supervisor.start()
    ended.set()
    supervisor.watch()
    supervisor.stop(Event())

    assert capfd.readouterr().out.splitlines() == ["two     | bye", "one     | bye"]


def test_the_last_program_waits_until_the_others_are_ready(tmp_path: Path) -> None:
    last, first = tmp_path / "last", tmp_path / "first"
    alone = []

    def ready() -> bool:
        alone.append(not last.exists())
        return first.exists()

    supervisor = Supervisor(
        [
            replace(program("last", last), starts_last=True),
            replace(program("first", first), ready=ready),
        ],
        Event(),
    )
    try:
        assert supervisor.start()
        assert runs(last) and all(alone)
    finally:
        supervisor.stop(Event())


def test_a_program_that_dies_is_restarted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    mark = tmp_path / "mark"
    supervisor = Supervisor([program("frail", mark, FRAIL)], Event())
    try:
        assert supervisor.start()
        assert runs(mark)
    finally:
        supervisor.stop(Event())

    assert "frail ended (with exit code 3); restarting it in 0.5 s." in capfd.readouterr().out


def test_a_stop_during_the_start_is_obeyed(tmp_path: Path) -> None:
    ended = Event()
    never_ready = Program(
        "slow",
        (sys.executable, "-c", "import time; time.sleep(60)"),
        "blue",
        10,
        ready=lambda: False,
    )
    supervisor = Supervisor([never_ready, program("next", tmp_path / "next")], ended)
    Timer(0.3, ended.set).start()

    assert not supervisor.start()
    supervisor.stop(Event())
    assert not (tmp_path / "next").exists()


def test_a_program_that_does_not_end_is_killed(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    supervisor = Supervisor([program("stubborn", mark, STUBBORN, stop_seconds=0.2)], Event())
    assert supervisor.start()
    supervisor.stop(Event())

    assert not runs(mark)


def test_a_second_signal_kills_at_once(tmp_path: Path) -> None:
    mark, hurry = tmp_path / "mark", Event()
    supervisor = Supervisor([program("stubborn", mark, STUBBORN, stop_seconds=600)], Event())
    assert supervisor.start()
    hurry.set()
    supervisor.stop(hurry)

    assert not runs(mark)


def test_pauses_grow_until_the_supervisor_gives_up(tmp_path: Path) -> None:
    post = ProcessSlot(program("frail", tmp_path / "mark"))
    pauses = [post.record_death(now=100.0 + second) for second in range(DEATHS_ALLOWED - 1)]

    assert pauses == [0.5, 1.0, 2.0, 4.0]
    with pytest.raises(GaveUp, match="frail ended 5 times within 60 s"):
        post.record_death(now=110.0)


def test_deaths_of_long_ago_do_not_count(tmp_path: Path) -> None:
    post = ProcessSlot(program("frail", tmp_path / "mark"))

    assert [post.record_death(now=100.0 * day) for day in range(20)] == [0.5] * 20


def test_deaths_of_a_program_that_worked_do_not_count(tmp_path: Path) -> None:
    post = ProcessSlot(program("steady", tmp_path / "mark"))
    for death in range(100, 200, 4):
        post.started = death - 3.5
        assert post.record_death(now=float(death)) == 0.5


def test_the_reaper_kills_groups_that_were_not_released() -> None:
    left, released = (subprocess.Popen(["sleep", "60"], process_group=0) for _ in range(2))
    guardian = Reaper()
    guardian.guard(left.pid)
    guardian.guard(released.pid)
    guardian.release(released.pid)
    guardian.close()
    try:
        assert left.wait(timeout=10) == -9
        assert released.poll() is None
    finally:
        released.kill()
        released.wait()


def test_a_revived_guardian_knows_its_groups() -> None:
    child = subprocess.Popen(["sleep", "60"], process_group=0)
    guardian = Reaper()
    guardian.guard(child.pid)
    guardian._process.kill()
    guardian._process.wait()
    guardian.revive()
    guardian.close()

    assert child.wait(timeout=10) == -9


def test_lines_are_labelled_with_their_program(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.say("Starting", fg="yellow")
    console.pass_on("web", "Listening", "cyan")

    assert capsys.readouterr().out == "Starting\nweb     | Listening\n"


def test_objects_are_passed_on_and_all_else_becomes_one(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    console = Console(json=True)
    console.say("Starting", bold=True)
    console.pass_on("web", '{"event": "Listening"}', "cyan")
    console.pass_on("beat", "Segmentation fault", "yellow")

    assert capsys.readouterr().out == '{"event": "Listening"}\n'
    found = [(record.getMessage(), vars(record).get("program")) for record in caplog.records]
    assert found == [("Starting", None), ("Segmentation fault", "beat")]


class _FullDisk(io.StringIO):
    rejected = ""

    def write(self, text: str) -> int:
        self.rejected += text
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_stops_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = _FullDisk()
    monkeypatch.setattr(sys, "stdout", disk)
    Console().say("Starting")
    Console().pass_on("web", "Listening", "cyan")
    Console(json=True).pass_on("web", "{}", "cyan")
    assert [word in disk.rejected for word in ("Starting", "Listening", "{}")] == [True] * 3


# A timer's signal reaches the code that waits at any of its steps, unlike one from another process.
INTERRUPTED_WAITS = """if True:
    import random, signal
    from imgcompress.cli.supervisor import StopSignals

    signals = StopSignals()
    signal.signal(signal.SIGALRM, signal.getsignal(signal.SIGTERM))
    for _ in range(5000):
        signals.ended.clear()
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 1.2e-4))
        while not signals.ended.wait(2e-5):
            pass
"""


def test_a_signal_stops_the_service_at_any_moment() -> None:
    subprocess.run([sys.executable, "-c", INTERRUPTED_WAITS], check=True, timeout=60)
