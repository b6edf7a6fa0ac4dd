"""URLs judged by their text."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgcompress.errors import NetworkError
from imgcompress.net import DialPolicy, check_url, origin_of

from .cases import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case.url))
def test_urls_are_rejected_by_their_text_without_dns(case: Case):
    if case.text_decides:
        with pytest.raises(NetworkError) as caught:
            check_url(case.url, DialPolicy())
        assert caught.value.code == "url_not_allowed"
        assert caught.value.detail
    else:
        check_url(case.url, DialPolicy())


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/a,b;c.jpg?x=[1]#top",
        "HTTP://SHOP.EXAMPLE./a.jpg",
        "http://münchen.example/bild.jpg",
        "http://例え.テスト/a.jpg",
        "http://my_cdn.example",
        "http://shop.example:/a.jpg",
        "http://xn--mnchen-3ya.example/",
        "http://4chan.example/",
        "http://0x7f.example/",
        "https://[2606:4700:4700::1111]:443/",
    ],
)
def test_usual_urls_pass(url):
    check_url(url, DialPolicy())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http",
        "http:/shop.example/",
        "http:shop.example",
        "https://",
        "http://?x",
        "http://:80/",
        "http://shop.example:99999/",
        "http://shop.example:٨٠/",
        "http://shop.example:80:80/",
        "http://shop..example/",
        "http://.example/",
        "http://./",
        "http://-shop.example/",
        "http://sh%6fp.example/",
        "http://shop.example\\@10.0.0.1/",
        "http://user@shop.example/",
        "http://shop.example/a b",
        "http://shop.example/a\nb",
        "http://shop.example/\x00",
        "http://shop.example/\x85",
        "http://[::1",
        "http://::1/",
        "http://[::1]x/",
        "http://[v1.fe80::a]/",
        "http://" + "a" * 64 + ".example/",
        "http://" + "a." * 130 + "example/",
        "http://shop.example/" + "a" * 8192,
        "http://1.2.3.4.5/",
        "http://1.2.3.256/",
        "http://0177.0.0.1/",
        "http://shop.example.0x/",
        "http://⑧.8.8.8/",
        "http://8.8.8.⑧/",
        "http://foo.localhost/",
        "http://shop!.example/",
        "http://①②⑦.0.0.1/",
    ],
)
def test_odd_urls_are_rejected(url):
    with pytest.raises(NetworkError, match="url_not_allowed"):
        check_url(url, DialPolicy())


def test_the_ports_are_those_of_the_policy():
    policy = DialPolicy(allowed_ports=((80, 80), (8000, 8100)))
    check_url("http://shop.example:8050/", policy)
    for url in ("https://shop.example/", "http://shop.example:8101/", "http://shop.example:0/"):
        with pytest.raises(NetworkError):
            check_url(url, policy)


def test_localhost_is_loopback():
    check_url("http://localhost/", DialPolicy((ip_network("127.0.0.0/8"),)))
    with pytest.raises(NetworkError):
        check_url("http://localhost/", DialPolicy())


def test_the_origin_names_the_default_port():
    origin = origin_of("HTTPS://Shop.Example/A.jpg", DialPolicy())
    assert (origin.scheme, origin.host, origin.port) == ("https", "shop.example", 443)


@given(st.text(max_size=60))
def test_any_text_is_judged_without_another_error(text):
    for url in (text, f"http://{text}/", f"http://{text}@shop.example/", f"http://[{text}]/"):
        try:
            check_url(url, DialPolicy())
        except NetworkError as error:
            assert error.code == "url_not_allowed"
