"""The connections to one host: halved when it complains, growing back when it is well."""

from __future__ import annotations

import threading

import pytest

from imgcompress.errors import ImageError
from imgcompress.net import fetcher
from imgcompress.net.fetcher import HostBusy, PerHostLimiter, SourceStatus

HOST = "shop.example"


def use(hosts: PerHostLimiter, error: ImageError | None = None, times: int = 1) -> None:
    """Use a connection that ends well, or with an error."""
    for _ in range(times):
        try:
            with hosts.connection(HOST, 1):
                if error:
                    raise error
        except ImageError as raised:
            assert raised is error


@pytest.mark.parametrize(
    "error", [SourceStatus(429, "2"), SourceStatus(503), ImageError("source_timeout")]
)
def test_a_complaint_halves_the_limit_down_to_one(error):
    hosts = PerHostLimiter(8)
    seen = []
    for _ in range(5):
        use(hosts, error)
        seen.append(hosts.limit(HOST))
    assert seen == [4, 2, 1, 1, 1]
    assert hosts.limit("other.example") == 8


@pytest.mark.parametrize(
    "error", [SourceStatus(404), ImageError("source_broken"), ImageError("too_large")]
)
def test_other_errors_leave_the_limit_unchanged(error):
    hosts = PerHostLimiter(8)
    use(hosts, error, times=20)
    assert hosts.limit(HOST) == 8


def test_the_limit_grows_back_and_not_beyond():
    hosts = PerHostLimiter(8)
    use(hosts, ImageError("source_timeout"), times=2)
    use(hosts, times=3)
    assert hosts.limit(HOST) == 3
    use(hosts, times=100)
    assert hosts.limit(HOST) == 8


def test_requests_that_were_under_way_together_complain_once():
    hosts = PerHostLimiter(8)
    inside = threading.Barrier(8)

    def fail() -> None:
        with pytest.raises(ImageError), hosts.connection(HOST, 5):
            inside.wait(5)
            raise ImageError("source_timeout")

    threads = [threading.Thread(target=fail) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert hosts.limit(HOST) == 4


def test_without_a_free_connection_the_host_is_busy():
    hosts = PerHostLimiter(1)
    with hosts.connection(HOST, 1):
        with pytest.raises(HostBusy) as caught, hosts.connection(HOST, 0.05):
            pytest.fail("there was no free connection")
        with hosts.connection("other.example", 0.05):
            assert hosts.limit("other.example") == 1
    assert (caught.value.code, caught.value.retryable) == ("host_suspended", True)
    use(hosts)


def test_a_connection_that_comes_free_is_taken():
    hosts = PerHostLimiter(1)
    taken = threading.Event()

    def wait() -> None:
        with hosts.connection(HOST, 10):
            taken.set()

    with hosts.connection(HOST, 1):
        thread = threading.Thread(target=wait)
        thread.start()
        assert not taken.wait(0.1)
    assert taken.wait(10)
    thread.join()


def test_an_unexpected_error_frees_the_connection():
    hosts = PerHostLimiter(1)
    with pytest.raises(KeyError), hosts.connection(HOST, 1):
        raise KeyError(HOST)
    use(hosts)
    assert hosts.limit(HOST) == 1


def test_hosts_are_forgotten_in_the_end(monkeypatch):
    monkeypatch.setattr(fetcher, "REMEMBERED_HOSTS", 2)
    hosts = PerHostLimiter(8)
    use(hosts, ImageError("source_timeout"))
    for host in ("one.example", "two.example", "three.example"):
        with hosts.connection(host, 1):
            pass
    assert hosts.limit(HOST) == 8


def test_a_complaint_about_one_owner_leaves_the_limit_of_others():
    hosts = PerHostLimiter(8)
    for _ in range(3):
        with pytest.raises(ImageError), hosts.connection(HOST, 1, "anna"):
            raise SourceStatus(503)
    assert [hosts.limit(HOST, owner) for owner in ("anna", "ben")] == [1, 8]


def test_all_owners_together_have_no_more_connections_than_the_host_may_get():
    hosts = PerHostLimiter(2)
    with hosts.connection(HOST, 1, "anna"), hosts.connection(HOST, 1, "ben"):
        with pytest.raises(HostBusy), hosts.connection(HOST, 0.05, "cleo"):
            pytest.fail("there was no free connection")


def test_a_free_connection_goes_to_the_least_recently_served_owner():
    hosts, order = PerHostLimiter(1), []

    def take(owner: str) -> None:
        with hosts.connection(HOST, 10, owner):
            order.append(owner)

    threads = [
        threading.Thread(target=take, args=[owner]) for owner in ("anna", "anna", "anna", "ben")
    ]
    with hosts.connection(HOST, 1, "anna"):
        for thread in threads:
            thread.start()
        while sum(share.waiting for share in hosts._hosts[HOST].values()) < len(threads):
            threading.Event().wait(0.01)
    for thread in threads:
        thread.join(10)
    assert order == ["ben", "anna", "anna", "anna"]
