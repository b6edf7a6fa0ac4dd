"""Fetching from origins that behave, and what their statuses and redirects mean."""

from __future__ import annotations

import csv
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import ip_network

import pytest

from imgcompress import __version__
from imgcompress.errors import ImageError
from imgcompress.net import DialPolicy
from imgcompress.net.fetcher import Fetcher, FetchLimits
from imgcompress.shipped import SAMPLE_CATALOGUE, SAMPLE_HOST, SAMPLES

from tests.origin import HostileOrigin, PlainOrigin
from tests.support.parallel import in_parallel

IMAGE = b"\xff\xd8\xff\xe0 an image, " * 500
POLICY = DialPolicy((ip_network("127.0.0.1/32"),), ((1, 65_535),))
LIMITS = FetchLimits(total_seconds=5, connect_seconds=2, max_bytes=20_000)


@pytest.fixture
def origin() -> Iterator[PlainOrigin]:
    with PlainOrigin({"/a.jpg": (200, "image/jpeg", IMAGE)}) as origin:
        yield origin


@pytest.fixture
def hostile() -> Iterator[HostileOrigin]:
    with HostileOrigin() as origin:
        yield origin


@pytest.fixture
def fetcher() -> Fetcher:
    return Fetcher(POLICY, LIMITS, per_host=4)


def redirect(origin: PlainOrigin, path: str, location: str, status: int = 302) -> None:
    origin.files[path] = (status, "text/plain", b"moved")
    origin.headers[path] = {"Location": location}


def test_an_image_is_fetched(fetcher, origin):
    fetched = fetcher.fetch(origin.url("/a.jpg"))
    assert fetched.data == IMAGE
    assert fetched.final_url == origin.url("/a.jpg")


def test_sample_photos_need_no_network_and_no_allowed_port():
    sealed = Fetcher(DialPolicy((), ()), LIMITS, per_host=1)
    for url in (
        url
        for row in csv.DictReader((SAMPLES / SAMPLE_CATALOGUE).read_text("utf-8").splitlines())
        for url in row["Input Image Urls"].split(",")
    ):
        assert sealed.fetch(url).data == (SAMPLES / url.rpartition("/")[2]).read_bytes()


@pytest.mark.parametrize(
    "path", ["", "none.jpg", "../setup.py", "..%2fsetup.py", "/etc/passwd", "*.csv", "."]
)
def test_the_sample_host_serves_nothing_else(fetcher, path):
    with pytest.raises(ImageError) as caught:
        fetcher.fetch(f"https://{SAMPLE_HOST}/{path}")
    assert (caught.value.code, caught.value.retryable) == ("source_status", False)


def test_path_and_query_arrive_as_they_are(fetcher, origin):
    path = "/a%20b,c;d.jpg?x=%C3%A4&y='(1)'*!$|2"
    origin.files[path.replace("|", "%7C")] = (200, "image/jpeg", IMAGE)
    assert fetcher.fetch(origin.url(path) + "#fragment").data == IMAGE


def test_connections_are_kept_after_images_errors_and_redirects(fetcher, origin):
    redirect(origin, "/old.jpg", "/a.jpg")
    for path in ("/a.jpg", "/old.jpg", "/missing.jpg", "/a.jpg"):
        try:
            fetcher.fetch(origin.url(path))
        except ImageError as error:
            assert error.code == "source_status"
    assert origin.connections == 1


def test_threads_of_several_owners_keep_all_connections_to_a_host(fetcher, origin, caplog):
    redirect(origin, "/old.jpg", "/a.jpg")
    origin.delay = 0.02
    in_parallel(
        lambda number: [
            fetcher.fetch(origin.url(path), owner=f"owner-{number % 3}")
            for path in ("/a.jpg", "/old.jpg") * 3
        ],
        12,
    )
    assert origin.most_at_once == origin.connections == fetcher.hosts.per_host
    assert "pool is full" not in caplog.text


def test_threads_share_a_fetcher(fetcher, origin):
    with ThreadPoolExecutor(16) as threads:
        results = list(threads.map(fetcher.fetch, [origin.url("/a.jpg")] * 100))
    assert [result.data for result in results] == [IMAGE] * 100
    assert origin.connections <= 4
    assert origin.most_at_once <= 4


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed(fetcher, origin, status):
    redirect(origin, "/old/a.jpg", "../a.jpg?new#x", status)
    origin.files["/a.jpg?new"] = (200, "image/webp", IMAGE)
    fetched = fetcher.fetch(origin.url("/old/a.jpg"))
    assert fetched.data == IMAGE
    assert fetched.final_url == origin.url("/a.jpg?new#x")


@pytest.mark.parametrize(
    ("encoding", "path"), [("utf-8", "/b%C3%A4r%20.jpg"), ("latin-1", "/b%E4r%20.jpg")]
)
def test_a_redirect_may_leave_the_host_and_hold_other_letters(fetcher, origin, encoding, path):
    with PlainOrigin({path: (200, "image/jpeg", IMAGE)}) as other:
        redirect(origin, "/old.jpg", other.url("/bär .jpg").encode(encoding).decode("latin-1"))
        assert fetcher.fetch(origin.url("/old.jpg")).data == IMAGE


def test_five_redirects_are_followed_and_not_six(fetcher, hostile):
    assert fetcher.fetch(hostile.url("/redirect-chain/4")).data == hostile.image
    with pytest.raises(ImageError, match="too_many_redirects"):
        fetcher.fetch(hostile.url("/redirect-chain/5"))
    assert hostile.hits["/good"] == 1


def test_a_cookie_of_a_redirect_is_sent_only_within_its_chain(fetcher, hostile):
    for image in (1, 2):
        assert fetcher.fetch(hostile.url("/cookie-wall")).data == hostile.image
        assert hostile.hits["/cookie-wall"] == 2 * image


def test_a_cookie_goes_to_no_other_host(fetcher, origin):
    with PlainOrigin({"/b.jpg": (200, "image/jpeg", IMAGE)}, address="127.0.0.2") as other:
        other_fetcher = Fetcher(
            DialPolicy((ip_network("127.0.0.0/30"),), ((1, 65_535),)), LIMITS, per_host=1
        )
        redirect(origin, "/old.jpg", other.url("/b.jpg"))
        origin.headers["/old.jpg"]["Set-Cookie"] = "a=1; Path=/"
        assert other_fetcher.fetch(origin.url("/old.jpg")).data == IMAGE
        assert "cookie" not in other.requests[0].headers


def test_a_cookie_that_is_too_long_is_not_sent(fetcher, origin):
    redirect(origin, "/old.jpg", "/a.jpg")
    origin.headers["/old.jpg"]["Set-Cookie"] = f"a={'x' * 9000}; Path=/"
    assert fetcher.fetch(origin.url("/old.jpg")).data == IMAGE
    assert "cookie" not in origin.requests[1].headers


def test_headers_of_the_caller_stand_before_ours(fetcher, origin):
    redirect(origin, "/old.jpg", "/a.jpg")
    fetcher.fetch(origin.url("/old.jpg"), headers={"User-Agent": "Shop/2", "Referer": "http://x/"})
    assert [
        (request.headers["user-agent"], request.headers["referer"]) for request in origin.requests
    ] == [("Shop/2", "http://x/")] * 2
    fetcher.fetch(origin.url("/a.jpg"))
    assert origin.requests[2].headers["user-agent"] == f"imgcompress/{__version__}"


def test_a_redirect_loop_ends(fetcher, hostile):
    with pytest.raises(ImageError, match="too_many_redirects"):
        fetcher.fetch(hostile.url("/redirect-loop"))
    assert hostile.hits["/redirect-loop"] == 6


@pytest.mark.parametrize(
    "target",
    [
        "http://10.0.0.1/",
        "http://127.0.0.2/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://[fd00:ec2::254]/",
        "http://[::ffff:127.0.0.1]/",
        "http://2130706433/",
        "http://0.0.0.0/",
        "http://[64:ff9b::7f00:1]/",
        "http://100.64.0.1/",
        "http://224.0.0.1/",
        "http://user@127.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "//10.0.0.1/",
        "http://[",
        "http://a b/",
        "http://127.0.0.1:0/",
    ],
)
def test_a_redirect_passes_the_same_checks(fetcher, origin, target):
    redirect(origin, "/a.jpg", target)
    with pytest.raises(ImageError) as caught:
        fetcher.fetch(origin.url("/a.jpg"))
    assert caught.value.code == "url_not_allowed"
    assert caught.value.message == ImageError("url_not_allowed").message
    assert origin.connections == 1


@pytest.mark.parametrize("status", [201, 204, 206, 304, 400, 403, 404, 410, 418, 599])
def test_other_statuses_are_final(fetcher, hostile, status):
    with pytest.raises(ImageError) as caught:
        fetcher.fetch(hostile.url(f"/status/{status}"))
    assert caught.value.code == "source_status"
    assert caught.value.message.startswith(f"HTTP {status}")
    assert not caught.value.retryable
    assert caught.value.retry_after is None


@pytest.mark.parametrize("status", [408, 425, 500, 502, 504])
def test_some_statuses_are_temporary(fetcher, hostile, status):
    with pytest.raises(ImageError) as caught:
        fetcher.fetch(hostile.url(f"/status/{status}"))
    assert (caught.value.code, caught.value.retryable) == ("source_status", True)


@pytest.mark.parametrize(
    ("form", "least", "most"),
    [
        ("seconds", 2, 2),
        ("date", 25, 30),
        ("huge", 300, 300),
        ("garbage", None, None),
        ("negative", None, None),
    ],
)
def test_retry_after_is_honoured_up_to_five_minutes(fetcher, hostile, form, least, most):
    with pytest.raises(ImageError) as caught:
        fetcher.fetch(hostile.url(f"/429/{form}"))
    assert caught.value.retryable
    if least is None:
        assert caught.value.retry_after is None
    else:
        assert least <= caught.value.retry_after <= most


def test_a_source_that_recovers_gives_the_image_at_the_third_attempt(fetcher, hostile):
    for _ in range(2):
        with pytest.raises(ImageError) as caught:
            fetcher.fetch(hostile.url("/503-twice"))
        assert caught.value.retryable
    assert fetcher.fetch(hostile.url("/503-twice")).data == hostile.image


def test_the_limit_of_bytes_is_inclusive(fetcher, origin):
    origin.files["/fits"] = (200, "image/jpeg", bytes(LIMITS.max_bytes))
    origin.files["/too-large"] = (200, "image/jpeg", bytes(LIMITS.max_bytes + 1))
    assert len(fetcher.fetch(origin.url("/fits")).data) == LIMITS.max_bytes
    with pytest.raises(ImageError, match="too_large") as caught:
        fetcher.fetch(origin.url("/too-large"))
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("path", "answered"),
    [
        ("/status/503", True),
        ("/status/404", True),
        ("/silent-body", True),
        ("/reset", True),
        ("/bad-status-line", True),
        ("/silence", False),
        ("/hang-up", False),
        ("/reset-at-once", False),
    ],
)
def test_an_error_says_whether_the_host_had_answered(hostile, path, answered):
    limits = replace(LIMITS, total_seconds=0.5)
    with pytest.raises(ImageError) as caught:
        Fetcher(POLICY, limits, per_host=1).fetch(hostile.url(path))
    assert caught.value.answered is answered


def test_a_host_that_redirects_to_one_that_is_away_has_answered(fetcher, origin):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        redirect(origin, "/old.jpg", f"http://127.0.0.1:{closed.getsockname()[1]}/")
        with pytest.raises(ImageError) as caught:
            fetcher.fetch(origin.url("/old.jpg"))
    assert (caught.value.code, caught.value.answered) == ("connect_failed", True)
