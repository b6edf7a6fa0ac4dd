"""Dialling: one lookup, every answer checked, nothing rejected ever reached; and deadlines, which wake
whoever waits for a socket, and disturb nobody else.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgcompress.errors import ImageError, NetworkError
from imgcompress.net import Deadline, DialPolicy, Session
from imgcompress.net.connection import Dialer, current_deadline
from imgcompress.net.fetcher import Fetcher, FetchLimits

from .cases import CASES, Case
from .conftest import LOOPBACK, PUBLIC

LIMITS = FetchLimits(total_seconds=5, connect_seconds=2, max_bytes=10_000)


@pytest.fixture
def dialled(monkeypatch) -> list[str]:
    """Let every connection be rejected by its peer, and return which were tried."""
    tried: list[str] = []

    def refuse(address, timeout=None):
        tried.append(address[0])
        raise ConnectionRefusedError("nobody listens")

    monkeypatch.setattr(socket, "create_connection", refuse)
    return tried


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case.url))
def test_only_allowed_addresses_are_dialled(case: Case, dialled):
    policy = DialPolicy()
    session = Session(policy, pool_size=1, connect_timeout=1, resolve=case.resolve)
    fetcher = Fetcher(policy, LIMITS, per_host=1, session=session)
    with pytest.raises(ImageError) as caught:
        fetcher.fetch(case.url)
    blocked = caught.value.code == "url_not_allowed"
    assert blocked == (case.expect == "block")
    assert bool(dialled) == (case.expect == "allow")


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_ends_in_an_image_error(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "create_connection", _refuse)
        fetcher = Fetcher(PUBLIC, LIMITS, per_host=1, session=SESSION)
        for url in (f"http://{text}/", f"http://shop.example/{text}", f"http://8.8.8.8:{text}"):
            with pytest.raises(ImageError) as caught:
                fetcher.fetch(url)
            assert caught.value.code in ("url_not_allowed", "connect_failed")


def _refuse(address, timeout=None):
    raise ConnectionRefusedError("nobody listens")


SESSION = Session(PUBLIC, pool_size=1, connect_timeout=1, resolve=lambda host: ["93.184.216.34"])


def test_a_session_judges_urls_by_itself(dialled):
    session = Session(
        DialPolicy(), pool_size=1, connect_timeout=1, resolve=lambda host: ["93.184.216.34"]
    )
    with pytest.raises(NetworkError, match="url_not_allowed"):
        session.ask(
            "GET", "http://user:password@shop.example/", headers={}, body=None, stall_seconds=1
        )
    assert not dialled


def test_a_name_that_changes_its_address_is_checked_at_each_lookup(dialled, canary):
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])
    dialer = Dialer(PUBLIC, 1, lambda host: next(answers))
    with pytest.raises(NetworkError, match="connect_failed"):
        dialer.dial("rebind.example", canary.port)
    with pytest.raises(NetworkError, match="url_not_allowed"):
        dialer.dial("rebind.example", canary.port)
    assert dialled == ["93.184.216.34"]


def test_the_checked_lookup_is_the_one_that_is_dialled(dialled):
    lookups: list[str] = []

    def resolve(host):
        lookups.append(host)
        return ["93.184.216.34", "93.184.216.35"]

    with pytest.raises(NetworkError, match="connect_failed"):
        Dialer(DialPolicy(), 1, resolve).dial("shop.example", 80)
    assert lookups == ["shop.example"]
    assert dialled == ["93.184.216.34", "93.184.216.35"]


def test_the_peer_is_checked_once_more(monkeypatch, origin):
    real = socket.create_connection
    monkeypatch.setattr(
        socket,
        "create_connection",
        lambda address, timeout: real(("127.0.0.1", origin.port), timeout),
    )
    with pytest.raises(NetworkError, match="url_not_allowed"):
        Dialer(PUBLIC, 1, lambda host: ["93.184.216.34"]).dial("shop.example", 80)
    assert not origin.hits


def test_the_next_address_is_tried(origin):
    dialer = Dialer(LOOPBACK, 1, lambda host: ["127.0.0.9", "127.0.0.1"])
    with dialer.dial("shop.example", origin.port) as sock:
        assert sock.getpeername() == ("127.0.0.1", origin.port)


def test_loopback_is_never_reached(canary):
    fetcher = Fetcher(PUBLIC, LIMITS, per_host=1)
    for host in ("127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "0.0.0.0"):
        with pytest.raises(ImageError, match="url_not_allowed"):
            fetcher.fetch(f"http://{host}:{canary.port}/")


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), False),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), True),
        (UnicodeError("label too long"), False),
    ],
)
def test_a_name_that_does_not_resolve(error, retryable):
    def resolve(host):
        raise error

    with pytest.raises(NetworkError) as caught:
        Dialer(DialPolicy(), 1, resolve).dial("shop.example", 80)
    assert (caught.value.code, caught.value.retryable) == ("dns_failed", retryable)


def test_a_name_without_addresses():
    with pytest.raises(NetworkError, match="dns_failed"):
        Dialer(DialPolicy(), 1, lambda host: []).dial("shop.example", 80)


def test_a_lookup_that_stalls_ends_with_the_deadline():
    stalled = threading.Event()

    def resolve(host):
        stalled.wait(10)
        return ["93.184.216.34"]

    with pytest.raises(NetworkError, match="timeout"), Deadline(0.1):
        Dialer(DialPolicy(), 1, resolve).dial("shop.example", 80)
    stalled.set()


def test_a_peer_that_does_not_answer_a_connect(monkeypatch):
    waits: list[float] = []

    def stall(address, timeout):
        waits.append(timeout)
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", stall)
    with pytest.raises(NetworkError, match="timeout") as caught:
        Dialer(DialPolicy(), 6, lambda host: ["93.184.216.34"] * 2).dial("shop.example", 80)
    assert caught.value.retryable
    assert all(timeout <= 6 for timeout in waits) and waits[0] <= 3


def test_an_allowed_network_can_be_reached(origin):
    policy = DialPolicy((ip_network("127.0.0.1/32"),), ((origin.port, origin.port),))
    assert Fetcher(policy, LIMITS, per_host=1).fetch(origin.url("/a.jpg")).data


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


def test_a_met_deadline_does_not_close_the_socket(pair):
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
