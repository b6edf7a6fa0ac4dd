from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from threading import Event, get_ident

import pytest

from imgcompress.ledger.bulk import prefetch

place = ContextVar("place", default="elsewhere")


def test_the_next_item_is_taken_while_one_is_in_use() -> None:
    taken = Event()

    def source() -> Iterator[int]:
        yield get_ident()
        taken.set()
        yield 2

    items = prefetch(source())
    assert next(items) != get_ident()
    assert taken.wait(30)
    assert list(items) == [2]


def test_the_source_runs_in_the_context_of_the_caller() -> None:
    place.set("here")
    assert list(prefetch(place.get() for _ in range(2))) == ["here", "here"]


def test_an_error_of_the_source_follows_its_items() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise KeyError("the file went away")

    items = prefetch(source())
    assert next(items) == 1
    with pytest.raises(KeyError, match="the file went away"):
        next(items)
