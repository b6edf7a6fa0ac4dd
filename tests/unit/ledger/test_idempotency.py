"""Idempotency keys: one claim, one answer, and a key whose request died is free again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from imgcompress.ledger import idempotency
from imgcompress.ledger.idempotency import (
    KeyClaim,
    KeyInUse,
    KeyReused,
    claim_key,
    delete_expired_keys,
    free_key,
    keep_answer,
)
from imgcompress.ledger.models import IdempotencyKey, utcnow
from imgcompress.ledger.session import reading, writing

from tests.support.parallel import in_parallel

pytestmark = pytest.mark.usefixtures("app")
ANSWER = {"request_id": "1", "total_rows": 2}


def _claim(key: str = "k", fingerprint: str = "f", owner: str | None = None) -> KeyClaim:
    claim = claim_key(owner, key, fingerprint)
    assert isinstance(claim, KeyClaim)
    return claim


def _keep(claim: KeyClaim, answer: dict[str, Any] | None = None) -> None:
    with writing() as session:
        keep_answer(session, claim, answer or ANSWER)


def _set(**values: object) -> None:
    with writing() as session:
        session.execute(update(IdempotencyKey).values(**values))


def test_a_kept_answer_is_returned_again() -> None:
    _keep(_claim())
    assert claim_key(None, "k", "f") == ANSWER
    assert claim_key(None, "k", "f") == ANSWER


def test_another_request_with_the_key_is_rejected() -> None:
    claim = _claim()
    with pytest.raises(KeyReused):
        claim_key(None, "k", "other")
    _keep(claim)
    with pytest.raises(KeyReused):
        claim_key(None, "k", "other")


def test_the_first_request_has_the_key_while_it_goes_on() -> None:
    _claim()
    with pytest.raises(KeyInUse):
        claim_key(None, "k", "f")


def test_a_key_belongs_to_one_owner() -> None:
    _keep(_claim(owner="shop"))
    _claim(owner="agency", fingerprint="other")
    _claim(owner=None, fingerprint="another")


def test_a_freed_key_can_be_used_for_something_else() -> None:
    free_key(_claim())
    _keep(_claim(fingerprint="other"))
    assert claim_key(None, "k", "other") == ANSWER


def test_an_answer_that_is_kept_is_not_freed() -> None:
    claim = _claim()
    _keep(claim)
    free_key(claim)
    assert claim_key(None, "k", "f") == ANSWER


def test_a_key_whose_request_died_is_free_after_its_lease() -> None:
    dead = _claim()
    _set(lease_until=utcnow() - timedelta(seconds=1))
    present = _claim(fingerprint="other")
    with pytest.raises(KeyInUse):
        _keep(dead)
    free_key(dead)
    _keep(present)
    assert claim_key(None, "k", "other") == ANSWER


def test_after_a_day_a_key_is_new() -> None:
    _keep(_claim())
    _set(created_at=utcnow() - timedelta(hours=24, seconds=1))
    _claim(fingerprint="other")


def test_old_keys_are_forgotten() -> None:
    for key in ("a", "b"):
        _keep(_claim(key))
    assert delete_expired_keys() == 0
    _set(created_at=utcnow() - idempotency.KEPT - timedelta(seconds=1))
    _claim("c")
    assert delete_expired_keys() == 2
    with reading() as session:
        assert session.scalar(select(func.count()).select_from(IdempotencyKey)) == 1


def test_of_many_at_the_same_time_one_has_the_claim(app: Flask) -> None:
    def claim(_: int) -> str:
        with app.app_context():
            try:
                return type(claim_key(None, "k", "f")).__name__
            except KeyInUse:
                return "in use"

    assert sorted(in_parallel(claim, 10)) == ["KeyClaim"] + ["in use"] * 9
