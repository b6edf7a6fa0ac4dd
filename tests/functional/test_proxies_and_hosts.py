"""What the real web server makes of Host headers, and of headers that proxies write."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.service import Service

CSV = "S. No.,Product Name,Input Image Urls\n1,A,http://127.0.0.1:1024/a.jpg\n"
FORM = (
    f'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n{CSV}\r\n'
    "--b--\r\n"
)


def _send(service: Service, call: str, *headers: str, body: str = "") -> tuple[int, str, str]:
    """Send a request as it stands; return the status, the headers and the body of the answer."""
    lines = (call, *headers, "Connection: close", f"Content-Length: {len(body)}", "", body)
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as client:
        client.sendall("\r\n".join(lines).encode())
        with client.makefile("rb") as answer:
            head, _, result = answer.read().decode().partition("\r\n\r\n")
    return int(head.split()[1]), head, result


def _upload(service: Service, *headers: str) -> dict[str, Any]:
    """Upload a CSV; return the answer."""
    status, _, body = _send(
        service,
        "POST /upload HTTP/1.1",
        *headers,
        "Content-Type: multipart/form-data; boundary=b",
        body=FORM,
    )
    assert status == 202, body
    found: dict[str, Any] = json.loads(body)
    return found


@pytest.mark.parametrize(
    ("call", "hosts", "status"),
    [
        ("GET /job HTTP/1.1", ["localhost"], 200),
        ("GET /job HTTP/1.1", ["[::1]:5000"], 200),
        ("GET /job HTTP/1.1", ["127.0.0.1"], 200),
        ("GET /job HTTP/1.0", [], 200),
        ("GET /job HTTP/1.1", ["attacker.example:5000"], 421),
        ("GET /job HTTP/1.0", ["attacker.example"], 421),
        ("GET http://localhost/job HTTP/1.1", ["attacker.example"], 421),
        ("GET /job HTTP/1.1", [], 400),
        ("GET /job HTTP/1.1", [""], 400),
        ("GET /job HTTP/1.1", ["a b"], 400),
        ("GET /job HTTP/1.1", ["u@evil.com"], 400),
        ("GET /job HTTP/1.1", ["localhost:99999"], 400),
        ("GET /job HTTP/1.1", ["[1:2]"], 400),
        ("GET /job HTTP/1.1", ["localhost", "localhost"], 400),
    ],
)
def test_only_calls_to_a_known_host_are_answered(
    embedded_service: Service, call: str, hosts: list[str], status: int
) -> None:
    answer = _send(embedded_service, call, *(f"Host: {host}" for host in hosts))
    assert answer[0] == status, answer
    assert "request_id" not in answer[2] or status == 200


FORWARDED = [
    "X-Forwarded-Proto: https",
    "X-Forwarded-Protocol: ssl",
    "X-Forwarded-Ssl: on",
    "X-Forwarded-Host: attacker.example",
    "X-Forwarded-Port: 8443",
    "X-Forwarded-Prefix: /evil",
    "X-Forwarded-For: 203.0.113.9",
    "Forwarded: for=203.0.113.9;proto=https;host=attacker.example",
    "X-Script-Name: /evil",
    "SCRIPT_NAME: /job",
    "PATH_INFO: /evil",
]


def test_without_a_trusted_proxy_forwarded_headers_are_ignored(embedded_service: Service) -> None:
    """Every test comes from loopback, which gunicorn by itself would trust."""
    for headers in (FORWARDED, *([header] for header in FORWARDED)):
        answer = _upload(embedded_service, "Host: localhost:5000", *headers)
        assert answer["status_url"] == f"http://localhost:5000/job/status/{answer['request_id']}"
        status, head, _ = _send(embedded_service, "GET /job HTTP/1.1", "Host: 10.0.0.1", *headers)
        assert status == 200 and "strict-transport-security" not in head.lower(), headers
        status, head, _ = _send(
            embedded_service, "DELETE /session HTTP/1.1", "Host: 10.0.0.1", *headers
        )
        assert status == 204 and "set-cookie: imgcompress_key=" in head.lower(), headers
        assert "secure" not in head.lower(), headers
    assert "203.0.113.9" not in embedded_service.log


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service that believes one proxy."""
    with Service(
        tmp_path_factory.mktemp("proxied") / "var",
        TRUSTED_PROXIES="1",
        ALLOWED_HOSTS="images.example.com",
    ) as service:
        yield service


def test_the_headers_of_a_trusted_proxy_are_used(proxied: Service) -> None:
    headers = (
        "Host: 127.0.0.1:5000",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: images.example.com",
    )
    answer = _upload(proxied, *headers)
    assert answer["status_url"].startswith("https://images.example.com/job/status/")
    _, head, _ = _send(proxied, "DELETE /session HTTP/1.1", *headers)
    assert "Strict-Transport-Security: max-age=31536000" in head
    assert "Set-Cookie: __Host-imgcompress_key=;" in head and "; Secure;" in head


@pytest.mark.parametrize(
    "headers",
    [
        ("Host: 127.0.0.1", "X-Forwarded-Host: attacker.example"),
        ("Host: attacker.example", "X-Forwarded-Host: images.example.com"),
    ],
)
def test_behind_a_proxy_both_hosts_have_to_be_known(
    proxied: Service, headers: tuple[str, ...]
) -> None:
    assert _send(proxied, "GET /job HTTP/1.1", *headers)[0] == 421
