from __future__ import annotations

import io
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient

from imgcompress import create_app
from imgcompress.api.limits import MAX_BODY_BYTES, counter_uri
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
    for path, status in (("/healthz", 200), (f"/image/{UUID(int=7)}.jpg", 404), ("/nothing", 404)):
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
    client = create_app(replace(settings, trusted_proxies=proxies,
                                allowed_hosts=("images.example.com",))).test_client()
    answer = client.post("/upload", headers=FORWARDED,
                         data={"file": (io.BytesIO(CATALOGUE), "products.csv")})
    assert answer.headers["Location"].startswith(f"{address}job/status/")


def test_a_forged_address_opens_no_new_account(client: FlaskClient) -> None:
    codes = [client.get("/job", headers={"X-Forwarded-For": f"10.0.0.{number}"}).status_code
             for number in range(4)]
    assert codes == [200, 200, 200, 429]


@pytest.mark.parametrize(("method", "path"), [
    ("POST", "/session"), ("GET", "/job"), ("DELETE", "/job"), ("GET", "/healthz"), ("GET", "/"),
    ("POST", f"/job/cancel/{UUID(int=7)}"), ("POST", f"/job/retry/{UUID(int=7)}"),
    ("POST", f"/job/webhooks/{UUID(int=7)}/redeliver"), ("POST", "/nothing")])
def test_no_call_but_the_upload_takes_a_large_body(client: FlaskClient, method: str,
                                                   path: str) -> None:
    answer = client.open(path, method=method, data=bytes(MAX_BODY_BYTES + 1))
    assert (answer.status_code, answer.json["code"]) == (413, "too_large")
    assert "16,384 bytes" in answer.json["detail"]
    assert client.open(path, method=method, data=bytes(MAX_BODY_BYTES)).status_code != 413


def test_a_body_without_a_length_is_bounded_as_it_is_read(client: FlaskClient) -> None:
    answer = client.post(
        "/session", input_stream=io.BytesIO(b"a&" * MAX_BODY_BYTES),
        content_type="application/x-www-form-urlencoded",
        environ_overrides={"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"})
    assert (answer.status_code, answer.json["code"]) == (413, "too_large")


def test_an_upload_is_bounded_by_its_own_setting(settings: Settings) -> None:
    client = create_app(replace(settings, max_upload_bytes=100_000)).test_client()
    for size, status in ((90_000, 400), (100_000, 413)):
        answer = client.post("/upload", data={"file": (io.BytesIO(bytes(size)), "products.csv")})
        answer.request.environ["wsgi.input"].close()
        assert answer.status_code == status
    assert "100,000 bytes" in answer.json["detail"]


@pytest.mark.parametrize("fields", [
    {"format": "x" * 300_000}, {f"field{number}": "x" for number in range(60)},
    {"file": "a,b,c\n" * 60_000}], ids=["long", "many", "text"])
def test_the_fields_of_a_form_are_bounded(client: FlaskClient, fields: dict[str, str]) -> None:
    answer = client.post("/upload", data=fields, content_type="multipart/form-data")
    assert (answer.status_code, answer.json["code"]) == (413, "too_large")
