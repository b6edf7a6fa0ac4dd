"""Ask a source whether it has changed, by what it said of itself before."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from imgcompress.errors import ImageError
from imgcompress.net import DialPolicy
from imgcompress.net.fetcher import Fetcher, FetchLimits

from ...origin import PlainOrigin

LIMITS = FetchLimits(total_seconds=5, connect_seconds=1, max_bytes=100)
DATE = "Sun, 22 Nov 2026 08:00:00 GMT"
OLDER = "Sat, 21 Nov 2026 08:00:00 GMT"


@pytest.fixture
def origin() -> Iterator[PlainOrigin]:
    """Return an origin with one image."""
    with PlainOrigin({"/1.jpg": (200, "image/jpeg", b"one")}) as origin:
        yield origin


@pytest.fixture
def fetcher(origin: PlainOrigin) -> Iterator[Fetcher]:
    """Return a fetcher that may ask it."""
    policy = DialPolicy((ip_network("127.0.0.0/8"),), ((1, 65_535),))
    fetcher = Fetcher(policy, LIMITS, per_host=2)
    yield fetcher
    fetcher.session.close()


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({}, None),
        ({"ETag": '"a"', "Last-Modified": DATE}, '"a"'),
        ({"ETag": 'W/"a"'}, 'W/"a"'),
        ({"Last-Modified": DATE}, DATE),
        ({"ETag": "a", "Last-Modified": DATE}, DATE),
        ({"ETag": f'"{"a" * 200}"'}, None),
        ({"Last-Modified": "yesterday"}, None),
    ],
)
def test_conditional_requests_repeat_the_validators_of_the_source(
    origin: PlainOrigin, fetcher: Fetcher, headers: dict[str, str], validator: str | None
) -> None:
    url = origin.url("/1.jpg")
    origin.headers["/1.jpg"] = headers
    first = fetcher.fetch(url)
    assert (first.data, first.validator, first.not_modified) == (b"one", validator, False)
    again = fetcher.fetch(url, validator=first.validator)
    assert again.not_modified is (validator is not None)
    assert again.data == (b"" if validator else b"one") and again.validator == validator
    assert origin.connections == 1


def test_a_changed_source_is_fetched(origin: PlainOrigin, fetcher: Fetcher) -> None:
    origin.headers["/1.jpg"] = {"ETag": '"b"'}
    fetched = fetcher.fetch(origin.url("/1.jpg"), validator='"a"')
    assert (fetched.data, fetched.validator) == (b"one", '"b"')


def test_a_304_to_an_unconditional_request_is_an_error(
    origin: PlainOrigin, fetcher: Fetcher
) -> None:
    origin.files["/1.jpg"] = (304, "image/jpeg", b"")
    with pytest.raises(ImageError) as error:
        fetcher.fetch(origin.url("/1.jpg"))
    assert error.value.found == "HTTP 304 Not Modified"


def test_behind_a_redirect_a_date_is_not_trusted(origin: PlainOrigin, fetcher: Fetcher) -> None:
    url = origin.url("/1.jpg")
    origin.files |= {
        "/1.jpg": (302, "text/plain", b""),
        "/2.jpg": (200, "image/jpeg", b"two"),
    }
    origin.headers |= {"/1.jpg": {"Location": "/2.jpg"}, "/2.jpg": {"Last-Modified": OLDER}}
    assert fetcher.fetch(url).validator is None
    assert fetcher.fetch(url, validator=DATE).data == b"two"
    assert "if-modified-since" not in origin.requests[-1].headers
    origin.headers["/2.jpg"]["ETag"] = '"two"'
    assert fetcher.fetch(url).validator == '"two"'
    assert fetcher.fetch(url, validator='"two"').not_modified
