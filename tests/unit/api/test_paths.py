"""No path leads out of what is served, however it is spelled."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

SPELLINGS = [
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%5c..%5cetc%5cpasswd",
    "..\\..\\etc\\passwd",
    "%252e%252e%252f%252e%252e%252fetc%252fpasswd",
    "....//....//etc/passwd",
    "..;/..;/etc/passwd",
    "%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd",
    "..%c0%af..%c0%afetc%c0%afpasswd",
    "..%ef%bc%8f..%ef%bc%8fetc%ef%bc%8fpasswd",
    "%uff0e%uff0e/etc/passwd",
    "/etc/passwd",
    "//etc/passwd",
    "%2fetc%2fpasswd",
    "file:///etc/passwd",
    "%00",
    "passwd%00.jpg",
    "..%00/..%00/etc/passwd",
    ".",
    "..",
    "...",
    "~root",
    "C:\\Windows\\win.ini",
    "%0d%0aSet-Cookie:a",
    "a" * 4000,
    "../imgcompress.sqlite3",
    "..%2f..%2fwebhook_secret",
]


@pytest.mark.parametrize(
    "prefix", ["/image/", "/job/status/", "/job/download/", "/job/archive/", "/job/details/"]
)
@pytest.mark.parametrize("ending", ["", ".jpg"])
def test_no_spelling_of_a_path_leads_out(client: FlaskClient, prefix: str, ending: str) -> None:
    for spelling in SPELLINGS:
        answer = client.get(f"{prefix}{spelling}{ending}", buffered=True)
        assert answer.status_code == 404, (spelling, answer.text)
        assert answer.content_type == "application/problem+json", spelling
        assert "root:" not in answer.text and "Traceback" not in answer.text, spelling
        assert "Set-Cookie" not in answer.headers, spelling
