"""Pages of other sites change nothing; our own pages and programs do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from imgcompress.config import Settings

PUBLIC = "https://images.example.com"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return the settings of an installation with a public address."""
    return replace(settings, public_base_url=PUBLIC)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": PUBLIC},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:1234"},
        {"Origin": "null"},
        {"Origin": ""},
    ],
)
@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("POST", "/job/cancel"),
        ("POST", "/job/retry"),
        ("DELETE", "/job"),
        ("POST", "/job/webhooks"),
    ],
)
def test_another_site_changes_nothing(
    client: FlaskClient, request_id: str, method: str, call: str, headers: dict[str, str]
) -> None:
    answer = client.open(f"{call}/{request_id}", method=method, headers=headers)
    assert (answer.status_code, answer.json["code"]) == (403, "cross_site")
    assert answer.mimetype == "application/problem+json"
    assert client.get(f"/job/status/{request_id}").json["status"] == "PENDING"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://localhost"},
        {"Origin": PUBLIC},
    ],
)
def test_our_pages_and_programs_do(
    client: FlaskClient, request_id: str, headers: dict[str, str]
) -> None:
    answer = client.post(f"/job/cancel/{request_id}", headers=headers)
    assert answer.json["status"] == "CANCELLED"


def test_reading_is_left_to_the_browser_which_shows_it_to_no_other_site(
    client: FlaskClient,
) -> None:
    answer = client.get("/job", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer.headers
