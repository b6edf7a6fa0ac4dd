from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from imgcompress.config import Settings
from imgcompress.ledger.api_keys import create_key, revoke_key

from .conftest import CATALOGUE
from tests.support.work import images, process

# What everybody may call, by the name of its endpoint. A new call belongs here only if it reveals
# nothing about any job.
PUBLIC = {"health.healthz", "health.readyz", "image.image", "image.image_by_id"}
PUBLIC_ROOMS = {"docs", "web"}
# What asks for the operator's key instead of a caller's.
OPERATOR = {"metrics.metrics"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return the settings of an installation that asks for keys."""
    return replace(settings, require_api_key=True)


@pytest.fixture
def shop(app: Flask) -> str:
    """Return the key of one caller."""
    return _create(app, "shop")


@pytest.fixture
def agency(app: Flask) -> str:
    """Return the key of another caller."""
    return _create(app, "agency")


def _create(app: Flask, name: str) -> str:
    with app.app_context():
        token = create_key(name)
    assert token is not None
    return token


def _with(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _upload(client: FlaskClient, key: str) -> TestResponse:
    return client.post(
        "/upload", headers=_with(key), data={"file": (io.BytesIO(CATALOGUE), "products.csv")}
    )


@pytest.fixture
def job(app: Flask, client: FlaskClient, shop: str) -> str:
    """Return the id of a job of the shop, which has ended."""
    answer = _upload(client, shop)
    assert answer.status_code == 202, answer.text
    request_id: str = answer.json["request_id"]
    process(app, request_id, fails={1})
    return request_id


@pytest.mark.parametrize(
    "header", ["Authorization: Bearer {}", "Authorization: bearer {}", "X-API-Key: {}"]
)
def test_a_valid_key_gives_access(client: FlaskClient, shop: str, header: str) -> None:
    name, value = header.format(shop).split(": ")
    assert client.get("/job", headers={name: value}).status_code == 200


def test_without_a_key_nothing_is_revealed(client: FlaskClient, shop: str) -> None:
    answer = client.get("/job")
    assert (answer.status_code, answer.json["code"]) == (401, "api_key_required")
    assert answer.content_type == "application/problem+json"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer imgc_wrong"},
        {"X-API-Key": "imgc_wrong"},
        {"Authorization": "Basic c2hvcDpzaG9w"},
        {"X-API-Key": "shop"},
        {"Authorization": "Bearer " + "A" * 5000},
    ],
)
def test_a_wrong_key_gives_no_access(
    client: FlaskClient, shop: str, headers: dict[str, str]
) -> None:
    answer = client.get("/job", headers=headers)
    assert (answer.status_code, answer.json["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": ""},
        {"X-API-Key": " "},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "bearer", "X-API-Key": ""},
    ],
)
def test_an_empty_key_is_reported_as_missing(
    client: FlaskClient, shop: str, headers: dict[str, str]
) -> None:
    answer = client.get("/job", headers=headers)
    assert (answer.status_code, answer.json["code"]) == (401, "api_key_required")
    assert "empty" in answer.json["detail"]


def test_a_revoked_key_gives_no_access(app: Flask, client: FlaskClient, shop: str) -> None:
    with app.app_context():
        revoke_key("shop")
    assert client.get("/job", headers=_with(shop)).status_code == 401


def test_each_caller_lists_its_own_jobs(
    client: FlaskClient, job: str, agency: str, shop: str
) -> None:
    assert client.get("/job", headers=_with(agency)).json["jobs"] == []
    listed = client.get("/job", headers=_with(shop)).json["jobs"]
    assert [entry["request_id"] for entry in listed] == [job]


def _calls(app: Flask) -> Iterator[tuple[str, Rule]]:
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"}):
            yield method, rule


def _path(app: Flask, rule: Rule, request_id: str) -> str:
    values: dict[str, Any] = {name: request_id for name in rule.arguments}
    with app.test_request_context():
        built = rule.build(values)
    assert built is not None
    return built[1]


def _is_public(rule: Rule) -> bool:
    return rule.endpoint in PUBLIC or rule.endpoint.split(".")[0] in PUBLIC_ROOMS


def test_every_call_but_the_public_ones_asks_for_a_key(
    app: Flask, client: FlaskClient, job: str
) -> None:
    for method, rule in _calls(app):
        answer = client.open(_path(app, rule, job), method=method, buffered=True)
        code = answer.json.get("code") if answer.is_json else None
        asked = code == (
            "operator_key_required" if rule.endpoint in OPERATOR else "api_key_required"
        )
        assert asked != _is_public(rule), f"{method} {rule}"


def test_every_call_hides_the_jobs_of_others(
    app: Flask, client: FlaskClient, job: str, agency: str, shop: str
) -> None:
    hidden = [
        (method, rule)
        for method, rule in _calls(app)
        if "request_id" in rule.arguments and not _is_public(rule)
    ]
    assert len(hidden) >= 9
    for method, rule in hidden:
        path = _path(app, rule, job)
        answer = client.open(path, method=method, headers=_with(agency), buffered=True)
        assert (answer.status_code, answer.json["code"]) == (404, "job_not_found"), path
    result = client.get(f"/job/status/{job}", headers=_with(shop)).json
    assert result["status"] == "COMPLETED" and result["failed_images"] == 1


def test_a_caller_deletes_only_its_own_jobs(
    client: FlaskClient, job: str, agency: str, shop: str
) -> None:
    assert client.delete("/job?all=true", headers=_with(agency)).json == {"deleted_jobs": 0}
    assert client.get(f"/job/status/{job}", headers=_with(shop)).status_code == 200
    assert client.delete("/job?all=true", headers=_with(shop)).json == {"deleted_jobs": 1}


def test_an_image_is_public_by_its_id(app: Flask, client: FlaskClient, job: str) -> None:
    image = images(app, job)[0]
    assert client.get(f"/image/{image.image_id}.jpg", buffered=True).status_code == 200


def test_a_key_that_replaces_another_sees_its_jobs(
    app: Flask, client: FlaskClient, job: str, shop: str
) -> None:
    with app.app_context():
        revoke_key("shop")
    new = _create(app, "shop")
    assert client.get(f"/job/status/{job}", headers=_with(new)).status_code == 200


class TestQuota:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, max_active_jobs=2)

    def test_active_jobs_per_caller_are_limited(
        self, client: FlaskClient, shop: str, agency: str
    ) -> None:
        first, second = (_upload(client, shop).json["request_id"] for _ in range(2))
        answer = _upload(client, shop)
        assert (answer.status_code, answer.json["code"]) == (429, "too_many_active_jobs")
        assert answer.headers["Retry-After"] == "30" and answer.json["retryable"] is True
        assert _upload(client, agency).status_code == 202
        client.post(f"/job/cancel/{first}", headers=_with(shop))
        assert _upload(client, shop).status_code == 202
        client.delete(f"/job/{second}", headers=_with(shop))
        assert _upload(client, shop).status_code == 202
