"""The places to wait: no owner of jobs takes those of another, and no job those of another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from imgcompress.api.jobs import Place, Places


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
    with places.taken("a", "a/1"), places.taken("b", "b/1") as refused:
        assert refused is None
    with ExitStack() as lost:
        places = Places(2)
        _come(lost, places, *["a/1"] * 2)
        _come(stack, places, "b/1")
    # Who had lost a place gives none back.
    assert Counter(place is None for place in _come(stack, places, *["c/1"] * 2)) == {
        False: 1,
        True: 1,
    }
