"""What the caller's jobs saved."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from imgcompress.ledger.models import utcnow

from tests.support.work import PHOTO, process

TODAY = utcnow().date()


def test_savings_are_summed_by_period(app: Flask, client: FlaskClient, request_id: str) -> None:
    process(app, request_id, fails={2})
    expected = {
        "jobs": 1,
        "images": 2,
        "failed_images": 1,
        "unchanged_images": 0,
        "input_bytes": 2 * 4096,
        "output_bytes": 2 * len(PHOTO),
        "bytes_not_downloaded": 0,
        "failures": {"source_status": 1},
    }
    by_day = client.get("/stats").json
    assert by_day["total"] == expected and by_day["group_by"] == "day"
    assert by_day["periods"][-1]["period"] in (f"{TODAY}", f"{TODAY + timedelta(days=1)}")
    by_month = client.get(f"/stats?from={TODAY - timedelta(days=1)}&group_by=month").json
    (month,) = by_month["periods"]
    assert month.pop("period") in (f"{TODAY:%Y-%m}", f"{TODAY + timedelta(days=1):%Y-%m}")
    assert month == expected
    earlier = client.get(f"/stats?from=2026-01-01&to={TODAY - timedelta(days=1)}").json
    assert earlier["periods"] == [] and earlier["total"]["jobs"] == 0


@pytest.mark.parametrize(
    "query",
    [
        "from=today",
        "from=2026-02-02&to=2026-02-01",
        "group_by=year",
        "from=2010-01-01",
        "from=2020-01-01&to=2026-01-01",
    ],
)
def test_an_invalid_period_is_rejected(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/stats?{query}")
    assert answer.status_code == 400 and answer.json["errors"]
