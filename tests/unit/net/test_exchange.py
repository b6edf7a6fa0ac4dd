"""Posting, as webhooks do: one attempt, bounded in time and size."""

from __future__ import annotations

import pytest

from imgcompress.errors import NetworkError
from imgcompress.net import Session, post

from .conftest import LOOPBACK, PUBLIC
from tests.origin import HostileOrigin, SilentOrigin

HEADERS = {"Content-Type": "application/json", "webhook-id": "msg_1"}


@pytest.fixture
def session() -> Session:
    return Session(LOOPBACK, pool_size=2, connect_timeout=2)


def test_the_answer_is_returned(session, origin):
    origin.files["/hook"] = (410, "text/plain", b"gone")
    origin.headers["/hook"] = {"Retry-After": "7"}
    answer = post(session, origin.url("/hook"), b"{}", HEADERS, seconds=5)
    assert (answer.status, answer.body, answer.headers["retry-after"]) == (410, b"gone", "7")
    asked = origin.requests[0]
    assert (asked.method, asked.headers["content-length"]) == ("POST", "2")
    assert asked.headers["webhook-id"] == "msg_1"


def test_a_redirect_is_an_answer(session, hostile):
    answer = post(session, hostile.url("/redirect?/good"), b"{}", HEADERS, seconds=5)
    assert answer.status == 302
    assert "/good" not in hostile.hits


def test_the_body_is_cut(session, hostile):
    answer = post(session, hostile.url("/endless"), b"{}", HEADERS, seconds=5)
    assert (answer.status, len(answer.body)) == (200, 4096)


def test_a_body_that_breaks_off_is_an_answer_all_the_same(session, hostile):
    answer = post(session, hostile.url("/length-too-large"), b"{}", HEADERS, seconds=5)
    assert (answer.status, answer.body) == (200, hostile.image[:4096])


@pytest.mark.parametrize("path", ["/silence", "/drip-head", "/drip-body"])
def test_a_slow_receiver_is_cut_off(session, hostile: HostileOrigin, path):
    with pytest.raises(NetworkError, match="timeout"):
        post(session, hostile.url(path), b"{}", HEADERS, seconds=0.3)


def test_a_receiver_that_does_not_read_is_cut_off(session):
    with SilentOrigin() as silent, pytest.raises(NetworkError, match="timeout"):
        post(session, silent.url("/hook"), bytes(20 * 2**20), HEADERS, seconds=0.3)


def test_a_private_receiver_is_rejected(canary):
    session = Session(PUBLIC, pool_size=1, connect_timeout=1)
    with pytest.raises(NetworkError, match="url_not_allowed"):
        post(session, canary.url(), b"{}", HEADERS, seconds=5)
