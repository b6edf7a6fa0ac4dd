"""A status that waits, and its places: no owner of jobs takes those of another, and no job those of another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from flask import Flask
from flask.testing import FlaskClient

from imgcompress.api import jobs
from imgcompress.api.jobs import Place, Places

from tests.support.work import process


class Clock:
    """A clock that moves when somebody sleeps, and does something when they do."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept = 0
        self.on_sleep: Callable[[int], None] = lambda _: None

    def monotonic(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.slept += 1
        self.on_sleep(self.slept)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Put a clock of the test in place of the real one."""
    clock = Clock()
    monkeypatch.setattr(jobs, "time", clock)
    return clock


def test_the_answer_comes_when_the_percentage_changes(
    app: Flask, client: FlaskClient, request_id: str, clock: Clock
) -> None:
    def work(slept: int) -> None:
        if slept == 3:
            process(app, request_id, only={0})

    clock.on_sleep = work
    answer = client.get(f"/job/status/{request_id}?wait=30").json
    assert (answer["status"], answer["completion_percentage"]) == ("PROCESSING", 33)
    assert clock.slept == 3


def test_without_a_change_the_current_state_is_returned_in_the_end(
    client: FlaskClient, request_id: str, clock: Clock
) -> None:
    answer = client.get(f"/job/status/{request_id}?wait=10")
    assert (answer.status_code, answer.json["status"]) == (200, "PENDING")
    assert clock.now == pytest.approx(10)


def test_a_caller_with_the_current_state_waits_for_the_next(
    app: Flask, client: FlaskClient, request_id: str, clock: Clock
) -> None:
    path = f"/job/status/{request_id}?wait=5"
    seen = {"If-None-Match": client.get(f"/job/status/{request_id}").headers["ETag"]}
    assert client.get(path, headers=seen).status_code == 304
    assert clock.now == pytest.approx(5)
    clock.on_sleep = lambda _: process(app, request_id)
    answer = client.get(path, headers=seen)
    assert (answer.status_code, answer.json["status"]) == (200, "COMPLETED")


def test_a_caller_who_missed_a_change_is_answered_at_once(
    app: Flask, client: FlaskClient, request_id: str, clock: Clock
) -> None:
    seen = {"If-None-Match": client.get(f"/job/status/{request_id}").headers["ETag"]}
    process(app, request_id, only={0})
    assert client.get(f"/job/status/{request_id}?wait=5", headers=seen).status_code == 200
    assert clock.slept == 0


def test_nobody_waits_for_an_ended_job(
    app: Flask, client: FlaskClient, request_id: str, clock: Clock
) -> None:
    process(app, request_id)
    assert client.get(f"/job/status/{request_id}?wait=5").json["status"] == "COMPLETED"
    assert clock.slept == 0


def test_nobody_waits_for_a_job_that_is_not_there(client: FlaskClient, clock: Clock) -> None:
    for name in ("1", "c1a7e3f0-5a0f-4a8e-9a57-2f5d1c0b7e11"):
        assert client.get(f"/job/status/{name}?wait=5").json["code"] == "job_not_found"
    assert clock.slept == 0


def test_a_job_that_is_deleted_meanwhile_is_not_found(
    client: FlaskClient, request_id: str, clock: Clock
) -> None:
    clock.on_sleep = lambda _: client.delete(f"/job/{request_id}")
    assert client.get(f"/job/status/{request_id}?wait=5").status_code == 404
    assert clock.slept == 1


def test_beyond_the_limit_of_waiting_calls_the_next_is_answered_at_once(
    client: FlaskClient, request_id: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_places", Places(1))
    slept = []

    def another(_: int) -> None:
        before = clock.slept
        assert client.get(f"/job/status/{request_id}?wait=5").json["status"] == "PENDING"
        slept.append(clock.slept - before)

    clock.on_sleep = another
    client.get(f"/job/status/{request_id}?wait=1")
    assert slept == [0, 0]
    clock.on_sleep = lambda _: None
    client.get(f"/job/status/{request_id}?wait=1")
    assert clock.slept == 4


def test_a_call_that_loses_its_place_is_answered_at_once(
    client: FlaskClient, request_id: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_places", places := Places(2))
    with ExitStack() as others:

        def come(slept: int) -> None:
            if slept == 1:
                others.enter_context(places.taken("", request_id))
            if slept == 3:
                others.enter_context(places.taken("agency", "another"))

        clock.on_sleep = come
        assert client.get(f"/job/status/{request_id}?wait=10").status_code == 200
        assert clock.slept == 3


def test_a_server_that_stops_answers_all_waiting_calls(
    app: Flask, client: FlaskClient, request_id: str, clock: Clock
) -> None:
    app.extensions["serving"] = lambda: clock.slept < 2
    assert client.get(f"/job/status/{request_id}?wait=30").status_code == 200
    assert clock.slept == 2


@pytest.mark.parametrize("wait", ["-1", "31", "soon", "1e9"])
def test_a_bad_wait_is_rejected_by_name(client: FlaskClient, request_id: str, wait: str) -> None:
    answer = client.get(f"/job/status/{request_id}?wait={wait}")
    assert answer.status_code == 400 and answer.json["errors"][0]["field"] == "wait"


def test_a_wait_for_the_end_ignores_other_changes(
    app: Flask, client: FlaskClient, request_id: str, clock: Clock
) -> None:
    outdated = {"If-None-Match": client.get(f"/job/status/{request_id}").headers["ETag"]}

    def work(slept: int) -> None:
        if slept == 2:
            process(app, request_id, only={0})
        if slept == 5:
            client.post(f"/job/cancel/{request_id}")

    clock.on_sleep = work
    answer = client.get(f"/job/status/{request_id}?wait_for=end", headers=outdated)
    assert (answer.status_code, answer.json["status"]) == (200, "CANCELLED")
    assert clock.slept == 5


@pytest.mark.parametrize("more, seconds", [("", 30), ("&wait=3", 3), ("&wait=0", 0)])
def test_a_wait_for_the_end_is_held_for_half_a_minute_at_most(
    client: FlaskClient, request_id: str, clock: Clock, more: str, seconds: int
) -> None:
    answer = client.get(f"/job/status/{request_id}?wait_for=end{more}")
    assert (answer.status_code, answer.json["status"]) == (200, "PENDING")
    assert clock.now == pytest.approx(seconds)


def test_a_wait_for_the_end_takes_a_place(
    client: FlaskClient, request_id: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_places", Places(0))
    assert client.get(f"/job/status/{request_id}?wait_for=end").json["status"] == "PENDING"
    assert clock.slept == 0


def test_a_wait_for_the_end_ends_with_the_job_that_is_deleted(
    client: FlaskClient, request_id: str, clock: Clock
) -> None:
    clock.on_sleep = lambda _: client.delete(f"/job/{request_id}")
    assert client.get(f"/job/status/{request_id}?wait_for=end").status_code == 404
    assert clock.slept == 1


def test_a_bad_wait_for_is_rejected_by_name(client: FlaskClient, request_id: str) -> None:
    answer = client.get(f"/job/status/{request_id}?wait_for=ever")
    assert answer.status_code == 400 and answer.json["errors"][0]["field"] == "wait_for"
    assert answer.json["errors"][0]["message"] == "wait_for must be one of change, end."


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Return what holds the places of a test."""
    with ExitStack() as stack:
        yield stack


def _come(stack: ExitStack, places: Places, *wanted: str) -> list[Place | None]:
    """Have one come for each job of an owner, such as "a/1"."""
    return [stack.enter_context(places.taken(job.partition("/")[0], job)) for job in wanted]


def _waiting(found: list[Place | None]) -> int:
    return sum(place is not None and not place.lost for place in found)


def test_one_owner_may_have_all_places(stack: ExitStack) -> None:
    places = Places(8)
    found = _come(stack, places, *["a/1"] * 1000)
    assert _waiting(found) == 8 and found[8:] == [None] * 992


@pytest.mark.parametrize("jobs", [["a/1"] * 1000, [f"a/{number}" for number in range(1000)]])
def test_an_owner_with_a_thousand_calls_leaves_half_to_another(
    stack: ExitStack, jobs: list[str]
) -> None:
    places = Places(8)
    many = _come(stack, places, *jobs)
    few = _come(stack, places, *["b/1"] * 3)
    assert (_waiting(many), _waiting(few)) == (5, 3)
    _come(stack, places, *jobs)
    assert _waiting(few) == 3
    more = _come(stack, places, *["b/2"] * 3)
    assert _waiting(few) + _waiting(more) == 4 == _waiting(many)


def test_several_owners_share_the_places_equally(stack: ExitStack) -> None:
    places = Places(9)
    found = {owner: _come(stack, places, *[f"{owner}/1"] * 20) for owner in "abc"}
    assert {owner: _waiting(taken) for owner, taken in found.items()} == {"a": 3, "b": 3, "c": 3}
    assert _come(stack, places, "d/1") != [None]


def test_the_longest_wait_for_the_job_with_the_most_waits_makes_room(stack: ExitStack) -> None:
    places = Places(5)
    small, large = _come(stack, places, "a/1"), _come(stack, places, *["a/2"] * 4)
    _come(stack, places, "b/1")
    assert _waiting(small) == 1
    assert [place.lost for place in large if place] == [True, False, False, False]


def test_jobs_of_one_owner_share_likewise(stack: ExitStack) -> None:
    places = Places(6)
    found = {job: _come(stack, places, *[job] * 10) for job in ("a/1", "a/2", "a/3")}
    assert {job: _waiting(taken) for job, taken in found.items()} == {"a/1": 2, "a/2": 2, "a/3": 2}


def test_a_place_that_is_left_is_free(stack: ExitStack) -> None:
    places = Places(1)
    with places.taken("a", "a/1"), places.taken("b", "b/1") as rejected:
        assert rejected is None
    with ExitStack() as lost:
        places = Places(2)
        _come(lost, places, *["a/1"] * 2)
        _come(stack, places, "b/1")
    # Who had lost a place gives none back.
    assert Counter(place is None for place in _come(stack, places, *["c/1"] * 2)) == {
        False: 1,
        True: 1,
    }
