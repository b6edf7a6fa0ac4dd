"""What the real web server makes of Host headers, and of headers that proxies write."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from .service import Service

CSV = "S. No.,Product Name,Input Image Urls\n1,A,https://shop.example.com/a.jpg\n"
FORM = (f'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n{CSV}\r\n'
        "--b--\r\n")


def _send(service: Service, call: str, *headers: str, body: str = "") -> tuple[int, str, str]:
    """Send a request as it stands; return the status, the headers and the body of the answer."""
    lines = (call, *headers, "Connection: close", f"Content-Length: {len(body)}", "", body)
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as client:
        client.sendall("\r\n".join(lines).encode())
        with client.makefile("rb") as answer:
            head, _, told = answer.read().decode().partition("\r\n\r\n")
    return int(head.split()[1]), head, told


def _upload(service: Service, *headers: str) -> dict[str, Any]:
    """Upload a CSV; return what is told of the job."""
    status, _, body = _send(service, "POST /upload HTTP/1.1", *headers,
                            "Content-Type: multipart/form-data; boundary=b", body=FORM)
    assert status == 202, body
    told: dict[str, Any] = json.loads(body)
    return told


@pytest.mark.parametrize(("call", "hosts", "status"), [
    ("GET /job HTTP/1.1", ["localhost"], 200), ("GET /job HTTP/1.1", ["[::1]:5000"], 200),
    ("GET /job HTTP/1.1", ["127.0.0.1"], 200), ("GET /job HTTP/1.0", [], 200),
    ("GET /job HTTP/1.1", ["attacker.example:5000"], 421),
    ("GET /job HTTP/1.0", ["attacker.example"], 421),
    ("GET http://localhost/job HTTP/1.1", ["attacker.example"], 421),
    ("GET /job HTTP/1.1", [], 400), ("GET /job HTTP/1.1", [""], 400),
    ("GET /job HTTP/1.1", ["a b"], 400), ("GET /job HTTP/1.1", ["u@evil.com"], 400),
    ("GET /job HTTP/1.1", ["localhost:99999"], 400), ("GET /job HTTP/1.1", ["[1:2]"], 400),
    ("GET /job HTTP/1.1", ["localhost", "localhost"], 400)])
def test_only_calls_to_a_known_host_are_answered(embedded_service: Service, call: str,
                                                 hosts: list[str], status: int) -> None:
    answer = _send(embedded_service, call, *(f"Host: {host}" for host in hosts))
    assert answer[0] == status, answer
    assert "request_id" not in answer[2] or status == 200
