"""Who comes by a name that is not known reads why, as a page in a browser."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize("path", ["/", "/jobs/nothing", "/docs", "/job/status/nothing"])
def test_a_person_gets_a_page(client: FlaskClient, path: str) -> None:
    answer = client.get(path, base_url="http://server.internal:5000", headers={"Accept": BROWSER})
    assert (answer.status_code, answer.mimetype) == (421, "text/html")
    assert "“server.internal”" in answer.text and "ALLOWED_HOSTS" in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("accept", ["*/*", "application/json", "image/avif,image/*,*/*;q=0.8", ""])
def test_a_program_gets_a_problem(client: FlaskClient, accept: str) -> None:
    answer = client.get("/", base_url="http://server.internal:5000", headers={"Accept": accept})
    assert (answer.status_code, answer.json["code"]) == (421, "unknown_host")
