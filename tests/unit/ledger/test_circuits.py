"""The circuits of hosts: opened once, tried by one worker, closed by a success."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask

from imgcompress.ledger import clock
from imgcompress.ledger.hosts import (
    Source,
    circuits_of,
    claim_probe,
    close_circuit,
    note_reached,
    open_circuit,
    open_for_everybody,
)
from imgcompress.ledger.models import utcnow

HOST = Source("", "cdn.test:443")

Later = Callable[[float], None]


@pytest.fixture
def later(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Later:
    """Return a function that lets some seconds pass."""

    def pass_by(seconds: float) -> None:
        monkeypatch.setattr(clock, "ADVANCED", clock.ADVANCED + timedelta(seconds=seconds))

    return pass_by


def test_a_healthy_host_has_no_circuit(app: Flask) -> None:
    assert circuits_of("", [HOST.authority]) == circuits_of("", []) == []
    assert claim_probe(HOST, seconds=9) is False
    assert close_circuit(HOST) is False


def test_of_many_simultaneous_openings_one_succeeds(later: Later) -> None:
    assert [open_circuit(HOST, "connect_failed", seconds=60) for _ in range(3)] == [
        True,
        False,
        False,
    ]
    (circuit,) = circuits_of("", [HOST.authority, "other.test:443"])
    assert (circuit.openings, circuit.reason) == (1, "connect_failed")
    assert 50 < (circuit.open_until - utcnow()).total_seconds() <= 60


def test_an_open_circuit_is_not_tried(later: Later) -> None:
    open_circuit(HOST, "connect_failed", seconds=60)
    later(50)
    assert claim_probe(HOST, seconds=30) is False


def test_a_half_open_circuit_is_tried_by_one_worker(later: Later) -> None:
    open_circuit(HOST, "connect_failed", seconds=60)
    later(61)
    assert [claim_probe(HOST, seconds=30) for _ in range(2)] == [True, False]
    later(31)  # The worker died.
    assert claim_probe(HOST, seconds=30) is True


def test_openings_without_a_success_between_are_counted(later: Later) -> None:
    for openings, reason in enumerate(("connect_failed", "HTTP 503", "source_timeout"), start=1):
        assert open_circuit(HOST, reason, seconds=60) is True
        (circuit,) = circuits_of("", [HOST.authority])
        assert (circuit.openings, circuit.reason) == (openings, reason)
        later(61)
        assert claim_probe(HOST, seconds=600) is True
    assert close_circuit(HOST) is True
    assert circuits_of("", [HOST.authority]) == []
    open_circuit(HOST, "connect_failed", seconds=60)
    assert circuits_of("", [HOST.authority])[0].openings == 1


def test_old_circuits_are_forgotten(later: Later) -> None:
    open_circuit(HOST, "connect_failed", seconds=60)
    open_circuit(Source("", "other.test:80"), "connect_failed", seconds=60)
    later(25 * 3600)
    assert circuits_of("", [HOST.authority]) == []
    open_circuit(HOST, "connect_failed", seconds=60)
    assert circuits_of("", [HOST.authority])[0].openings == 1


def test_a_long_reason_is_truncated(app: Flask) -> None:
    open_circuit(HOST, "x" * 500, seconds=60)
    assert circuits_of("", [HOST.authority])[0].reason == "x" * 80


def test_owners_have_circuits_of_their_own(later: Later) -> None:
    mine, theirs = Source("me", HOST.authority), Source("them", HOST.authority)
    open_circuit(mine, "HTTP 503", seconds=60)
    assert circuits_of("them", [HOST.authority]) == []
    later(61)
    open_circuit(mine, "HTTP 503", seconds=60)
    open_circuit(theirs, "HTTP 503", seconds=60)
    assert [
        circuit.openings
        for owner in ("me", "them")
        for circuit in circuits_of(owner, [HOST.authority])
    ] == [2, 1]
    assert close_circuit(theirs) is True
    assert len(circuits_of("me", [HOST.authority])) == 1


def test_a_host_that_others_could_not_reach_is_waited_for_once(later: Later) -> None:
    assert open_for_everybody(HOST.authority, "connect_failed", seconds=60) is True
    assert open_for_everybody(HOST.authority, "connect_failed", seconds=60) is False
    (circuit,) = circuits_of("me", [HOST.authority])
    assert (circuit.openings, circuit.reason) == (0, "connect_failed")
    later(61)
    open_for_everybody(HOST.authority, "connect_failed", seconds=60)
    (again,) = circuits_of("me", [HOST.authority])
    assert again.open_until == circuit.open_until
    assert claim_probe(Source("me", HOST.authority), seconds=30) is True
    assert open_circuit(Source("me", HOST.authority), "connect_failed", seconds=60) is True
    assert circuits_of("me", [HOST.authority])[0].openings == 1


def test_a_host_that_answers_has_nobody_wait_any_longer(app: Flask) -> None:
    open_for_everybody(HOST.authority, "connect_failed", seconds=60)
    note_reached(HOST.authority)
    assert circuits_of("me", [HOST.authority]) == []
    open_for_everybody(HOST.authority, "connect_failed", seconds=60)
    close_circuit(Source("them", HOST.authority))
    assert circuits_of("me", [HOST.authority]) == []
