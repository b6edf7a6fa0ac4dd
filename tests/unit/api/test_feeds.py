"""The calls for feeds, without a broker: what they keep, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from imgcompress import create_app
from imgcompress.api.feeds import NewFeedSchema
from imgcompress.config import Settings
from imgcompress.extensions import db
from imgcompress.ledger.api_keys import create_key

ROOT = Path(__file__).parents[3]
TABLE = "https://shop.test/export.csv"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return the settings of an installation whose callers have two feeds at most."""
    return replace(settings, max_feeds=2)


def create(client: FlaskClient, **fields: str) -> Any:
    """Create a feed and return the answer."""
    return client.post("/feeds", data={"csv_url": TABLE, "every": "1d"} | fields)


def test_a_feed_is_created_paused_resumed_and_deleted(client: FlaskClient) -> None:
    answer = create(client, quality="60", user_agent="ShopBot/1.0", url_columns="A,B")
    assert answer.status_code == 201, answer.text
    made = answer.json
    assert (made["state"], made["every_seconds"], made["last_run"]) == ("ACTIVE", 86_400, None)
    assert made["options"]["quality"] == 60 and made["next_run_at"]
    url = f"/feeds/{made['feed_id']}"
    assert client.get("/feeds").json == {"feeds": [made]}
    paused = client.post(f"{url}/pause").json
    assert (paused["state"], paused["next_run_at"]) == ("PAUSED", None)
    rejected = client.post(f"{url}/run")
    assert (rejected.status_code, rejected.json["code"]) == (409, "feed_paused")
    assert client.post(f"{url}/resume").json == made
    assert client.post(f"{url}/run").status_code == 202
    assert client.delete(url).status_code == 204
    assert client.get(url).json["code"] == "feed_not_found"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"every": "14m"}, "every"),
        ({"every": "31d"}, "every"),
        ({"csv_url": "file:///etc/passwd"}, "csv_url"),
        ({"csv_url": "http://169.254.169.254/table.csv"}, "csv_url"),
        ({"webhook_url": "http://127.0.0.1/"}, "webhook_url"),
        ({"trust": "1d", "fresh": "true"}, "trust"),
        ({"since": "latest"}, "since"),
    ],
)
def test_a_bad_feed_is_rejected_by_name(
    client: FlaskClient, fields: dict[str, str], field: str
) -> None:
    answer = create(client, **fields)
    assert answer.status_code == 400
    assert [issue["field"] for issue in answer.json["errors"]] == [field]
    assert client.get("/feeds").json == {"feeds": []}


def test_feeds_per_caller_are_limited_and_private(settings: Settings) -> None:
    app = create_app(replace(settings, require_api_key=True, uploads_per_minute=0))
    with app.app_context():
        keys = [{"X-API-Key": create_key(name)} for name in ("anna", "ben")]
    anna, ben = (_client(app, key) for key in keys)
    made = create(anna).json
    assert create(anna).status_code == 201
    rejected = create(anna)
    assert (rejected.status_code, rejected.json["code"]) == (409, "too_many_feeds")
    assert create(ben).status_code == 201
    url = f"/feeds/{made['feed_id']}"
    assert len(ben.get("/feeds").json["feeds"]) == 1
    assert ben.get(url).status_code == ben.post(f"{url}/pause").status_code == 404
    assert ben.delete(url).status_code == 404
    assert anna.get(url).json["state"] == "ACTIVE"
    with app.app_context():
        db.engine.dispose()


def _client(app: Flask, headers: dict[str, str]) -> FlaskClient:
    client = app.test_client()
    client.environ_base["HTTP_X_API_KEY"] = headers["X-API-Key"]
    return client


def test_the_documentation_names_every_field() -> None:
    text = (ROOT / "docs" / "feeds.md").read_text(encoding="utf-8")
    assert [name for name in NewFeedSchema().fields if f"`{name}`" not in text] == []
