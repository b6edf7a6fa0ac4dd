"""Calls are answered at the hosts that are known, so that no page can make itself one of them."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse, create_environ, run_wsgi_app

from imgcompress import create_app
from imgcompress.config import Settings

from .conftest import CATALOGUE

NAMED = {
    "public_base_url": "https://Images.example.com/here",
    "image_base_url": "https://cdn.test",
    "host": "Photos.internal",
    "allowed_hosts": ("shop.test", ".example.org"),
}
UNKNOWN = [
    "attacker.example",
    "attacker.example:5000",
    "localhost.attacker.example",
    "xlocalhost",
    "127.0.0.1.attacker.example",
    "127.1",
    "0x7f000001",
    "2130706433",
    "com",
]


def _client(settings: Settings, **changed: Any) -> FlaskClient:
    return create_app(replace(settings, **changed)).test_client()


def _get(client: FlaskClient, host: str, path: str = "/job", **headers: str) -> TestResponse:
    return client.get(path, headers=headers, environ_overrides={"HTTP_HOST": host})


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:5000",
        "LocalHost",
        "localhost.",
        "app.localhost:80",
        "127.0.0.1",
        "127.0.0.1:5000",
        "10.1.2.3",
        "203.0.113.9:65535",
        "[::1]",
        "[::1]:5000",
        "[2001:db8::9]",
        "[::ffff:10.1.2.3]:80",
    ],
)
def test_loopback_names_and_ip_addresses_are_known(client: FlaskClient, host: str) -> None:
    assert _get(client, host).status_code == 200


@pytest.mark.parametrize("host", UNKNOWN)
@pytest.mark.parametrize("path", ["/job", "/", "/healthz", "/docs", "/web/icon.svg", "/nothing"])
def test_any_other_host_is_rejected(client: FlaskClient, host: str, path: str) -> None:
    answer = _get(client, host, path, Origin=f"http://{host}")
    assert (answer.status_code, answer.json["code"]) == (421, "unknown_host")
    assert answer.content_type == "application/problem+json"
    assert "ALLOWED_HOSTS" in answer.json["detail"] and host.split(":")[0] in answer.json["detail"]


def test_a_page_that_rebinds_dns_changes_nothing(client: FlaskClient, request_id: str) -> None:
    for site in ({}, {"Sec-Fetch-Site": "same-origin"}):
        answer = client.post(
            f"/job/cancel/{request_id}",
            base_url="http://attacker.example:5000",
            headers={"Origin": "http://attacker.example:5000", **site},
        )
        assert answer.status_code == 421
    assert client.get(f"/job/status/{request_id}").json["status"] == "PENDING"


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "a b",
        "u@evil.com",
        "u:p@localhost",
        "localhost,localhost",
        "localhost, evil.com",
        "localhost/",
        "localhost#",
        "localhost?a",
        "localhost\\evil.com",
        "localhost:",
        "localhost:0",
        "localhost:080",
        "localhost:65536",
        "localhost:x",
        "localhost:80:80",
        "localhost:8٠",
        "-a.com",
        "a..b",
        ".localhost",
        "a_b",
        "lócalhost",
        "[::1",
        "::1",
        "[::1]x",
        "[]",
        "[::1%25lo]",
        "[127.0.0.1]",
        "localhost\x00",
        "localhost\n",
        ("a" * 62 + ".") * 5 + "com",
        "*",
        "%6c",
    ],
)
def test_a_malformed_host_is_rejected(client: FlaskClient, host: str) -> None:
    answer = _get(client, host)
    assert (answer.status_code, answer.json["code"]) == (400, "malformed_host")
    assert not host.strip() or host not in answer.text


def test_a_malformed_host_is_rejected_even_if_any_name_is_allowed(settings: Settings) -> None:
    client = _client(settings, allowed_hosts=("*",))
    assert [_get(client, host).status_code for host in ("a b", "any.test")] == [400, 200]


@pytest.mark.parametrize(
    "host",
    [
        "images.example.com",
        "images.example.com:8443",
        "IMAGES.EXAMPLE.COM",
        "cdn.test",
        "photos.internal",
        "shop.test",
        "example.org",
        "a.example.org",
        "a.b.example.org:80",
    ],
)
def test_hosts_of_the_settings_are_known(settings: Settings, host: str) -> None:
    assert _get(_client(settings, **NAMED), host).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "a.images.example.com",
        "www.shop.test",
        "badexample.org",
        "example.org.test",
        *UNKNOWN,
    ],
)
def test_similar_host_names_are_rejected(settings: Settings, host: str) -> None:
    assert _get(_client(settings, **NAMED), host).status_code == 421


@pytest.mark.parametrize(("protocol", "status"), [("HTTP/1.0", 200), ("HTTP/1.1", 400)])
def test_only_http_1_0_needs_no_host(client: FlaskClient, protocol: str, status: int) -> None:
    environ = create_environ("/job") | {"SERVER_PROTOCOL": protocol}
    del environ["HTTP_HOST"]
    _, answer, _ = run_wsgi_app(client.application, environ, buffered=True)
    assert answer.startswith(str(status))


def _location(client: FlaskClient, **headers: str) -> tuple[int, str]:
    answer = client.post(
        "/upload", headers=headers, data={"file": (io.BytesIO(CATALOGUE), "products.csv")}
    )
    return answer.status_code, answer.headers.get("Location", "")


def test_links_carry_no_host_that_is_not_known(settings: Settings) -> None:
    client = _client(settings, allowed_hosts=("shop.test",))
    assert _location(client, Host="attacker.example") == (421, "")
    assert _location(client, Host="u@shop.test") == (400, "")
    status, link = _location(client, Host="shop.test:8080")
    assert status == 202 and link.startswith("http://shop.test:8080/job/status/")


@pytest.mark.parametrize(
    ("received", "forwarded", "status"),
    [
        ("127.0.0.1:5000", "shop.test", 200),
        ("shop.test", "shop.test", 200),
        ("shop.test", "attacker.example", 421),
        ("attacker.example", "shop.test", 421),
        ("attacker.example", "localhost", 421),
        ("127.0.0.1:5000", "a b", 400),
        ("a b", "shop.test", 400),
        ("127.0.0.1:5000", "attacker.example, shop.test", 200),
        ("127.0.0.1:5000", "shop.test, attacker.example", 421),
    ],
)
def test_behind_a_proxy_both_hosts_have_to_be_known(
    settings: Settings, received: str, forwarded: str, status: int
) -> None:
    client = _client(settings, allowed_hosts=("shop.test",), trusted_proxies=1)
    answer = _get(client, received, **{"X-Forwarded-Host": forwarded})
    assert answer.status_code == status


def test_without_a_proxy_a_forwarded_host_is_ignored(settings: Settings) -> None:
    client = _client(settings, allowed_hosts=("shop.test",))
    assert _get(client, "attacker.example", **{"X-Forwarded-Host": "localhost"}).status_code == 421
    link = _location(client, **{"X-Forwarded-Host": "attacker.example"})[1]
    assert link.startswith("http://localhost/job/status/")
