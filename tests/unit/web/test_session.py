"""The key of the session: taken once, kept where no script sees it, used for every call."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from imgcompress.api.middleware import COOKIE, COOKIE_OF_HOST
from imgcompress.config import Settings
from imgcompress.ledger.api_keys import create_key, revoke_key

TLS = "https://images.example.com"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return the settings of an installation that asks for keys."""
    return replace(settings, require_api_key=True, allowed_hosts=("images.example.com",))


@pytest.fixture
def key(app: Flask) -> str:
    """Return a valid key."""
    with app.app_context():
        token = create_key("catalogue-team")
    assert token is not None
    return token


def test_pages_are_open_and_calls_are_not(client: FlaskClient) -> None:
    assert client.get("/").status_code == 200
    with client.get("/web/icon.svg") as answer:
        assert answer.status_code == 200
    assert client.get("/job").status_code == 401


def test_a_valid_key_is_kept_and_stands_for_the_header(client: FlaskClient, key: str) -> None:
    answer = client.post("/session", data={"key": f" {key}\n"})
    assert answer.status_code == 204
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Secure" not in cookie
    assert "Expires" not in cookie and "Max-Age" not in cookie
    assert client.get("/job").status_code == 200
    assert 'id="forget-key" hidden' not in client.get("/").text


def test_over_https_the_cookie_is_for_https_only(client: FlaskClient, key: str) -> None:
    answer = client.post("/session", data={"key": key}, base_url=TLS)
    assert "Secure" in answer.headers["Set-Cookie"]


def test_over_https_the_cookie_is_bound_to_the_host(client: FlaskClient, key: str) -> None:
    """RFC 6265bis: browsers take the prefix with Secure and Path=/, and without Domain, alone."""
    cookie = client.post("/session", data={"key": key}, base_url=TLS).headers["Set-Cookie"]
    assert cookie.startswith(f"__Host-{COOKIE}=")
    attributes = {part.strip() for part in cookie.split(";")[1:]}
    assert attributes == {"Secure", "HttpOnly", "Path=/", "SameSite=Strict"}
    assert client.get("/job", base_url=TLS).status_code == 200
    assert 'id="forget-key" hidden' not in client.get("/", base_url=TLS).text
    gone = client.delete("/session", base_url=TLS).headers["Set-Cookie"]
    assert gone.startswith(f"__Host-{COOKIE}=;") and "Secure" in gone and "Max-Age=0" in gone
    assert client.get("/job", base_url=TLS).status_code == 401


def test_over_https_a_cookie_that_others_can_set_is_ignored(client: FlaskClient, key: str) -> None:
    client.set_cookie(COOKIE, key, domain="images.example.com")
    assert client.get("/job", base_url=TLS).status_code == 401
    client.set_cookie(COOKIE_OF_HOST, key, domain="images.example.com")
    assert client.get("/job", base_url=TLS).status_code == 200


@pytest.mark.parametrize("wrong", ["", "imgc_wrong", "x" * 10_000])
def test_a_wrong_key_is_not_kept(client: FlaskClient, wrong: str) -> None:
    answer = client.post("/session", data={"key": wrong})
    assert answer.status_code == 401 and answer.json["code"] == "invalid_api_key"
    assert "Set-Cookie" not in answer.headers


def test_a_revoked_key_is_rejected_in_the_cookie(app: Flask, client: FlaskClient, key: str) -> None:
    client.post("/session", data={"key": key})
    with app.app_context():
        assert revoke_key("catalogue-team")
    assert client.get("/job").status_code == 401


def test_the_key_is_forgotten(client: FlaskClient, key: str) -> None:
    client.post("/session", data={"key": key})
    assert client.delete("/session").status_code == 204
    assert client.get_cookie(COOKIE) is None
    assert client.get("/job").status_code == 401


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_a_header_goes_before_the_cookie(client: FlaskClient, key: str, header: str) -> None:
    client.post("/session", data={"key": key})
    assert client.get("/job", headers={header: "Bearer wrong"}).status_code == 401
