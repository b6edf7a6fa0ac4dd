"""Lanes: threads that are started as they are needed, stay, and end when they are told to."""

from __future__ import annotations

import threading
from queue import SimpleQueue

from imgcompress.worker.pipeline import Lane


def test_one_thread_takes_one_act_after_the_other() -> None:
    lane, acted = Lane("codec", 1), SimpleQueue[tuple[int, str]]()
    for number in range(50):
        lane.begin(lambda number=number: acted.put((number, threading.current_thread().name)))
    assert [acted.get(timeout=10) for _ in range(50)] == [(n, "codec-1") for n in range(50)]
    lane.close()


def test_as_many_threads_act_at_once_as_there_may_be() -> None:
    lane, together = Lane("store", 4), threading.Barrier(5, timeout=10)
    for _ in range(4):
        lane.begin(lambda: together.wait() and None)
    together.wait()
    lane.close()


def test_no_more_threads_are_started_than_are_needed() -> None:
    lane, go_on, acted = Lane("download", 16), threading.Semaphore(0), SimpleQueue[str]()

    def act() -> None:
        acted.put(threading.current_thread().name)
        go_on.acquire()

    for _ in range(2):
        lane.begin(act)
    assert {acted.get(timeout=10) for _ in range(2)} == {"download-1", "download-2"}
    go_on.release(2)
    lane.close()


def test_threads_end_when_the_lane_is_closed() -> None:
    lane, acting = Lane("store", 2), SimpleQueue[threading.Thread]()
    lane.begin(lambda: acting.put(threading.current_thread()))
    thread = acting.get(timeout=10)
    lane.close()
    thread.join(10)
    assert not thread.is_alive()
