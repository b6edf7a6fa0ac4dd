"""The watchdog: it wakes whoever waits for a socket, and disturbs nobody else."""

from __future__ import annotations

import os
import socket
import threading
import time

import pytest

from imgcompress.errors import NetworkError
from imgcompress.net import Deadline
from imgcompress.net.deadline import current_deadline


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_blocked_read_is_woken(pair):
    ours, _ = pair
    with Deadline(0.1) as deadline:
        deadline.watch(ours)
        assert ours.recv(1) == b""
        assert deadline.passed
        with pytest.raises(NetworkError, match="timeout"):
            deadline.check()


def test_a_deadline_that_is_met_leaves_the_socket_alone(pair):
    ours, theirs = pair
    with Deadline(0.05) as deadline:
        deadline.watch(ours)
        deadline.check()
    time.sleep(0.1)
    theirs.sendall(b"x")
    assert ours.recv(1) == b"x"


def test_a_socket_that_comes_too_late_is_shut_at_once(pair):
    ours, _ = pair
    with Deadline(0.01) as deadline:
        time.sleep(0.05)
        deadline.watch(ours)
        assert ours.recv(1) == b""


def test_a_later_deadline_does_not_delay_an_earlier_one(pair):
    ours, _ = pair
    with Deadline(60), Deadline(0.1) as inner:
        inner.watch(ours)
        assert ours.recv(1) == b""


def test_many_deadlines_share_one_thread():
    def use() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs, Deadline(0.2) as deadline:
            deadline.watch(ours)
            woken.append(ours.recv(1))

    woken: list[bytes] = []
    threads = [threading.Thread(target=use) for _ in range(20)]
    for thread in threads:
        thread.start()
    watchdogs = [thread for thread in threading.enumerate() if thread.name == "watchdog"]
    for thread in threads:
        thread.join(10)
    assert woken == [b""] * 20
    assert len(watchdogs) == 1


def test_the_current_deadline_is_the_innermost_of_the_thread():
    assert current_deadline() is None
    with Deadline(1) as outer:
        with Deadline(1) as inner:
            assert current_deadline() is inner
        assert current_deadline() is outer
        seen: list[Deadline | None] = []
        thread = threading.Thread(target=lambda: seen.append(current_deadline()))
        thread.start()
        thread.join()
        assert seen == [None]
    assert current_deadline() is None


def test_no_descriptor_is_left_behind(pair):
    ours, _ = pair
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        with Deadline(60) as deadline:
            deadline.watch(ours)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_has_a_watchdog_of_its_own(pair):
    ours, _ = pair
    with Deadline(0.01):
        pass
    child = os.fork()
    if not child:
        os._exit(_was_woken(ours))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == WOKEN


WOKEN = 17


def _was_woken(sock: socket.socket) -> int:
    """Return WOKEN if a deadline ends a read; a child must never return into pytest."""
    try:
        sock.settimeout(5)
        with Deadline(0.1) as deadline:
            deadline.watch(sock)
            return WOKEN if sock.recv(1) == b"" else 1
    except BaseException:
        return 2
