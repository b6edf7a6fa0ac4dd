from __future__ import annotations

import io
from dataclasses import replace
from uuid import uuid4

import pytest
from flask.testing import FlaskClient

from imgcompress import create_app
from imgcompress.api.limits import counter_uri
from imgcompress.config import Settings

from ...servers import fresh_broker
from .conftest import CATALOGUE, Upload


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return the settings of an installation that lets each caller call a few times."""
    return replace(settings, uploads_per_minute=2, reads_per_minute=3)


def _answers(client: FlaskClient, number: int, **headers: str) -> list[int]:
    return [client.get("/job", headers=headers).status_code for _ in range(number)]


def test_who_reads_too_often_is_told_when_to_come_back(client: FlaskClient) -> None:
    assert _answers(client, 3) == [200, 200, 200]
    answer = client.get("/job")
    assert (answer.status_code, answer.json["code"]) == (429, "too_many_requests")
    assert answer.content_type == "application/problem+json" and answer.json["retryable"] is True
    assert 1 <= int(answer.headers["Retry-After"]) <= 60


def test_all_reads_count_together_and_uploads_apart(client: FlaskClient, upload: Upload) -> None:
    request_id = upload().json["request_id"]
    for call in ("status", "details"):
        assert client.get(f"/job/{call}/{request_id}").status_code == 200
    assert _answers(client, 2) == [200, 429]
    assert [upload().status_code for _ in range(2)] == [202, 429]


def test_health_and_images_are_not_counted(client: FlaskClient) -> None:
    assert _answers(client, 4)[-1] == 429
    for path, status in (("/healthz", 200), (f"/image/{uuid4()}.jpg", 404), ("/nothing", 404)):
        assert client.get(path).status_code == status


def test_each_address_counts_by_itself(client: FlaskClient) -> None:
    assert _answers(client, 4)[-1] == 429
    assert client.get("/job", environ_base={"REMOTE_ADDR": "10.0.0.9"}).status_code == 200


def test_without_keys_a_header_opens_no_new_account(client: FlaskClient) -> None:
    codes = [client.get("/job", headers={"X-API-Key": str(number)}).status_code
             for number in range(4)]
    assert codes == [200, 200, 200, 429]


def test_with_keys_each_key_counts_by_itself(settings: Settings) -> None:
    client = create_app(replace(settings, require_api_key=True)).test_client()
    for key in ("one", "two"):
        headers = {"Authorization": f"Bearer {key}"}
        assert _answers(client, 4, **headers) == [401, 401, 401, 429]


def test_without_a_limit_nothing_is_counted(settings: Settings) -> None:
    client = create_app(replace(settings, reads_per_minute=0, uploads_per_minute=0)).test_client()
    assert set(_answers(client, 20)) == {200}


@pytest.mark.redis
def test_all_processes_count_together_in_redis(settings: Settings) -> None:
    prefix = f"test-{uuid4().hex[:8]}"
    with fresh_broker("redis", prefix) as url:
        shared = replace(settings, celery_broker_url=url, queue_prefix=prefix)
        one, two = (create_app(shared).test_client() for _ in range(2))
        codes = [client.get("/job").status_code for client in (one, two, one, two)]
    assert codes == [200, 200, 200, 429]


@pytest.mark.parametrize(("broker", "uri"), [
    ("redis://queue:6379/0", "redis://queue:6379/0"), ("rediss://queue/1", "rediss://queue/1"),
    ("redis+socket:///var/valkey.sock", "redis+unix:///var/valkey.sock"),
    ("amqp://guest@queue//", "memory://")])
def test_calls_are_counted_in_the_broker_if_it_can(broker: str, uri: str) -> None:
    assert counter_uri(broker) == uri


FORWARDED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https",
             "X-Forwarded-Host": "images.example.com"}


@pytest.mark.parametrize(("proxies", "address"), [
    (0, "http://localhost/"), (1, "https://images.example.com/")])
def test_a_proxy_is_believed_only_where_there_is_one(settings: Settings, proxies: int,
                                                     address: str) -> None:
    client = create_app(replace(settings, trusted_proxies=proxies)).test_client()
    answer = client.post("/upload", headers=FORWARDED,
                         data={"file": (io.BytesIO(CATALOGUE), "products.csv")})
    assert answer.headers["Location"].startswith(f"{address}job/status/")


def test_a_forged_address_opens_no_new_account(client: FlaskClient) -> None:
    codes = [client.get("/job", headers={"X-Forwarded-For": f"10.0.0.{number}"}).status_code
             for number in range(4)]
    assert codes == [200, 200, 200, 429]


@pytest.mark.parametrize("fields", [
    {"format": "x" * 300_000}, {f"field{number}": "x" for number in range(60)},
    {"file": "a,b,c\n" * 60_000}], ids=["long", "many", "text"])
def test_the_fields_of_a_form_are_bounded(client: FlaskClient, fields: dict[str, str]) -> None:
    answer = client.post("/upload", data=fields, content_type="multipart/form-data")
    assert (answer.status_code, answer.json["code"]) == (413, "too_large")
