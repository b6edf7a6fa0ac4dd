"""The guarded session against real servers on loopback."""

from __future__ import annotations

import socket
import ssl
import time

import pytest
import trustme

from imgcompress.errors import NetworkError
from imgcompress.net import Deadline, Session, exchange

from .conftest import LOOPBACK
from tests.origin import HostileOrigin, OriginServer, PlainOrigin, SilentOrigin


@pytest.fixture
def session() -> Session:
    return Session(LOOPBACK, pool_size=4, connect_timeout=2)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_session(authority) -> Session:
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    return Session(
        LOOPBACK, pool_size=4, connect_timeout=2, tls=tls, resolve=lambda host: ["127.0.0.1"]
    )


@pytest.fixture
def tls_origin(authority):
    """Return the function that starts an HTTPS origin with a certificate for a name."""
    started: list[PlainOrigin] = []

    def start(name: str) -> PlainOrigin:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(tls)
        origin = PlainOrigin({"/": (200, "text/plain", b"hello")}, tls=tls, hostname="shop.example")
        started.append(origin)
        return origin

    yield start
    for origin in started:
        origin.close()


def get(session: Session, url: str, seconds: float = 5) -> tuple[int, bytes]:
    """Return the status and body of a GET."""
    with Deadline(seconds) as deadline, exchange(session, "GET", url, deadline) as response:
        return response.status, response.read()


def test_proxy_variables_are_ignored(session, origin, canary, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, canary.url())
    monkeypatch.setenv("NO_PROXY", "")
    assert get(session, origin.url("/a.jpg"))[0] == 200


def test_netrc_is_not_read(session, origin, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    get(session, origin.url("/a.jpg"))
    assert "authorization" not in origin.requests[0].headers


def test_cookies_are_not_sent_back(session, origin):
    origin.headers["/a.jpg"] = {"Set-Cookie": "session=1; Path=/"}
    for _ in range(2):
        get(session, origin.url("/a.jpg"))
    assert "cookie" not in origin.requests[1].headers


def test_uncompressed_content_is_requested(session, origin):
    get(session, origin.url("/a.jpg"))
    assert origin.requests[0].headers["accept-encoding"] == "identity"


def test_redirects_are_not_followed(session, origin):
    origin.files["/old"] = (302, "text/plain", b"moved")
    origin.headers["/old"] = {"Location": "/a.jpg"}
    assert get(session, origin.url("/old"))[0] == 302
    assert origin.hits == {"/old": 1}


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/", "data:,x", "//x/", ""])
def test_other_schemes_are_rejected(session, url):
    with pytest.raises(NetworkError, match="url_not_allowed"):
        get(session, url)


def test_connections_are_kept(session, origin):
    for _ in range(3):
        get(session, origin.url("/a.jpg"))
    assert origin.connections == 1


def test_host_and_certificate_are_those_of_the_url(tls_session, tls_origin):
    origin = tls_origin("shop.example")
    assert get(tls_session, origin.url()) == (200, b"hello")
    assert origin.requests[0].headers["host"] == f"shop.example:{origin.port}"


def test_a_certificate_for_another_name_is_rejected(tls_session, tls_origin):
    origin = tls_origin("other.example")
    with pytest.raises(NetworkError) as caught:
        get(tls_session, origin.url())
    assert (caught.value.code, caught.value.retryable) == ("tls_invalid", False)
    assert not origin.hits


def test_a_certificate_for_the_address_is_not_one_for_the_name(tls_session, tls_origin):
    with pytest.raises(NetworkError, match="tls_invalid"):
        get(tls_session, tls_origin("127.0.0.1").url())


def test_an_unknown_authority_is_rejected(tls_origin):
    session = Session(LOOPBACK, pool_size=1, connect_timeout=2, resolve=lambda host: ["127.0.0.1"])
    with pytest.raises(NetworkError, match="tls_invalid"):
        get(session, tls_origin("shop.example").url())


class PlainSpeaker(OriginServer):
    """Answers a greeting of TLS in plain HTTP, as a server does at the wrong port."""

    def serve(self, connection: socket.socket) -> None:
        connection.recv(1)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def test_a_server_without_tls(tls_session):
    with PlainSpeaker() as server, pytest.raises(NetworkError) as caught:
        get(tls_session, f"https://shop.example:{server.port}/")
    assert caught.value.code in ("tls_invalid", "connect_failed")


def test_a_handshake_that_stalls_ends_with_the_deadline():
    session = Session(LOOPBACK, pool_size=1, connect_timeout=60)
    began = time.monotonic()
    with SilentOrigin() as silent, pytest.raises(NetworkError, match="timeout"):
        get(session, f"https://127.0.0.1:{silent.port}/", seconds=0.3)
    assert time.monotonic() - began < 20


def test_a_refused_connection(session):
    with SilentOrigin() as gone:
        url = gone.url()
    with pytest.raises(NetworkError) as caught:
        get(session, url)
    assert (caught.value.code, caught.value.retryable) == ("connect_failed", True)


@pytest.mark.parametrize("path", ["/dies-when-reused", "/closes-idle"])
def test_a_kept_connection_that_died_is_replaced(session, hostile: HostileOrigin, path):
    for _ in range(4):
        assert get(session, hostile.url(path)) == (200, hostile.image)
    assert hostile.connections == 4


def test_a_new_connection_that_dies_is_not_tried_again(session, hostile: HostileOrigin):
    for path in ("/hang-up", "/reset-at-once"):
        with pytest.raises(NetworkError, match="connection_broken"):
            get(session, hostile.url(path))
        assert hostile.hits[path] == 1


def test_a_post_is_never_sent_twice(session, hostile: HostileOrigin):
    url = hostile.url("/dies-when-reused")
    get(session, url)
    with (
        pytest.raises(NetworkError, match="connection_broken"),
        Deadline(5) as deadline,
        exchange(session, "POST", url, deadline, body=b"once"),
    ):
        pass
    assert hostile.hits["/dies-when-reused"] == 2


@pytest.fixture
def tls_hostile(authority):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("shop.example").configure_cert(tls)
    with HostileOrigin(tls=tls, hostname="shop.example", drip_seconds=0.05) as hostile:
        yield hostile


def test_a_dead_kept_connection_over_tls_is_replaced(tls_session, tls_hostile):
    for _ in range(3):
        assert get(tls_session, tls_hostile.url("/dies-when-reused"))[0] == 200
    assert tls_hostile.connections == 3


@pytest.mark.parametrize("path", ["/drip-head", "/drip-body", "/silence"])
def test_the_deadline_holds_over_tls(tls_session, tls_hostile, path):
    for _ in range(2):
        get(tls_session, tls_hostile.url("/good"))
        began = time.monotonic()
        with pytest.raises(NetworkError, match="timeout"):
            get(tls_session, tls_hostile.url(path), seconds=0.3)
        assert time.monotonic() - began < 5


def test_an_unread_answer_costs_its_connection_and_nothing_else(session, origin):
    for _ in range(2):
        with (
            Deadline(5) as deadline,
            exchange(session, "GET", origin.url("/a.jpg"), deadline) as response,
        ):
            assert response.status == 200
    assert origin.connections == 2
