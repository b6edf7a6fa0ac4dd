from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from uuid import UUID, uuid4

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient

from imgcompress import create_app
from imgcompress.api.middleware import (
    ADDRESS_COUNTERS,
    MAX_BODY_BYTES,
    address_counter,
    counter_uri,
)
from imgcompress.config import Settings
from imgcompress.ledger.api_keys import create_key, revoke_key

from .conftest import CATALOGUE, Upload
from tests.support.servers import fresh_broker

Headers = Callable[[int], dict[str, str]]
Spelling = Callable[[str, int], dict[str, str]]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return the settings of an installation that lets each caller call a few times."""
    return replace(settings, uploads_per_minute=2, reads_per_minute=3)


def _answers(client: FlaskClient, number: int, **headers: str) -> list[int]:
    return [client.get("/job", headers=headers).status_code for _ in range(number)]


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a client that sends the cookies that a test gives it, and keeps none."""
    return app.test_client(use_cookies=False)


def _create(app: Flask, name: str) -> str:
    with app.app_context():
        token = create_key(name)
    assert token is not None
    return token


def test_a_caller_over_the_limit_learns_when_to_retry(client: FlaskClient) -> None:
    assert _answers(client, 3) == [200, 200, 200]
    answer = client.get("/job")
    assert (answer.status_code, answer.json["code"]) == (429, "too_many_requests")
    assert answer.content_type == "application/problem+json" and answer.json["retryable"] is True
    seconds = int(answer.headers["Retry-After"])
    assert 1 <= seconds <= 60
    assert re.fullmatch(
        f"Too many requests; try again in {seconds} seconds?[.]", answer.json["detail"]
    )


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


# Ways to write something beside a key, or in its place; the number is another one in every call.
DECOYS = [
    lambda n: {},
    lambda n: {"X-API-Key": f"imgc_{n}"},
    lambda n: {"Authorization": f"Basic {n}"},
    lambda n: {"Authorization": f"Bearer imgc_{n}"},
    lambda n: {"Authorization": f"{n}"},
    lambda n: {"Authorization": f"Bearer {' ' * n}x"},
    lambda n: {"x-api-KEY": " " * n},
    lambda n: {"Authorization": f"bEARER imgc_{n}", "X-API-Key": f"imgc_{n + 1}"},
    lambda n: {"Cookie": f"imgcompress_key=imgc_{n}"},
]


@pytest.mark.parametrize("decoy", DECOYS)
def test_without_keys_a_header_opens_no_new_account(client: FlaskClient, decoy: Headers) -> None:
    codes = [client.get("/job", headers=decoy(number)).status_code for number in range(4)]
    assert codes == [200, 200, 200, 429]


class TestWithKeys:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, require_api_key=True)

    @pytest.fixture
    def key(self, app: Flask) -> str:
        return _create(app, "shop")

    def test_each_owner_counts_by_itself(self, app: Flask, client: FlaskClient, key: str) -> None:
        other = _create(app, "agency")
        for token in (key, other):
            assert _answers(client, 4, Authorization=f"Bearer {token}") == [200, 200, 200, 429]

    @pytest.mark.parametrize(
        "spell",
        [
            lambda key, n: {"X-API-Key": key, "Authorization": f"Basic {n}"},
            lambda key, n: {"X-API-Key": key, "Authorization": f"bearer imgc_{n}"},
            lambda key, n: {"X-API-Key": key, "Authorization": ""},
            lambda key, n: {"Authorization": f"Bearer {key}", "X-API-Key": f"imgc_{n}"},
            lambda key, n: {"Authorization": f"Bearer {' ' * n}{key}"},
            lambda key, n: {"Authorization": f"{'bearer'[:n]}{'BEARER'[n:]} {key}"},
            lambda key, n: {["X-API-KEY", "x-api-key", "X-Api-Key", "x-API-key"][n]: key},
            lambda key, n: {"Cookie": f"other{n}=1; imgcompress_key={key}"},
        ],
    )
    def test_no_spelling_of_a_key_opens_a_new_account(
        self, client: FlaskClient, key: str, spell: Spelling
    ) -> None:
        codes = [client.get("/job", headers=spell(key, number)).status_code for number in range(4)]
        assert codes == [200, 200, 200, 429]
        assert _answers(client, 1, Authorization=f"Bearer {key}") == [429]

    def test_a_new_key_opens_no_new_account(
        self, app: Flask, client: FlaskClient, key: str
    ) -> None:
        assert _answers(client, 3, Authorization=f"Bearer {key}") == [200, 200, 200]
        with app.app_context():
            revoke_key("shop")
        assert _answers(client, 1, Authorization=f"Bearer {_create(app, 'shop')}") == [429]

    @pytest.mark.parametrize("decoy", DECOYS)
    def test_wrong_keys_count_by_address(
        self, client: FlaskClient, key: str, decoy: Headers
    ) -> None:
        codes = [client.get("/job", headers=decoy(number)).status_code for number in range(5)]
        assert codes == [401, 401, 401, 429, 429]
        assert client.get("/job", environ_base={"REMOTE_ADDR": "10.0.0.9"}).status_code == 401

    def test_wrong_keys_do_not_block_valid_ones(self, client: FlaskClient, key: str) -> None:
        assert _answers(client, 5, Authorization="Bearer imgc_wrong")[-1] == 429
        assert _answers(client, 4, Authorization=f"Bearer {key}") == [200, 200, 200, 429]

    def test_uploads_with_wrong_keys_are_counted(self, client: FlaskClient, key: str) -> None:
        codes = [
            client.post("/upload", headers={"X-API-Key": f"imgc_{number}"}).status_code
            for number in range(3)
        ]
        assert codes == [401, 401, 429]

    def test_a_wrong_key_of_a_session_is_counted_too(self, client: FlaskClient, key: str) -> None:
        codes = [
            client.post("/session", data={"key": f"imgc_{number}"}).status_code
            for number in range(2)
        ]
        assert [*codes, *_answers(client, 2)] == [401, 401, 401, 429]
        answer = client.post("/session", data={"key": key})
        assert (answer.status_code, answer.json["code"]) == (429, "too_many_requests")

    @pytest.mark.redis
    def test_wrong_keys_leave_one_counter_in_the_broker(self, settings: Settings) -> None:
        prefix = f"test-{uuid4().hex[:8]}"
        with fresh_broker("redis", prefix) as url, redis.Redis.from_url(url) as broker:
            client = create_app(
                replace(settings, celery_broker_url=url, queue_prefix=prefix)
            ).test_client()
            for number, decoy in product(range(10), DECOYS):
                assert client.get("/job", headers=decoy(number)).status_code in (401, 429)
            (counter,) = broker.scan_iter(f"*{prefix}*")
            assert broker.get(counter) == str(10 * len(DECOYS)).encode()
            assert 0 < broker.ttl(counter) <= 60
            broker.delete(counter)


def test_sessions_are_counted_without_keys_too(client: FlaskClient) -> None:
    codes = [
        client.post("/session", data={"key": f"imgc_{number}"}).status_code for number in range(4)
    ]
    assert codes == [401, 401, 401, 429]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("2001:db8::1", "2001:db8::ffff:1234:5678:9abc", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("", None, True),
    ],
)
def test_an_ipv6_network_is_one_caller(one: str, other: str | None, same: bool) -> None:
    assert (address_counter(one) == address_counter(other)) is same


def test_the_number_of_counters_is_bounded_for_any_number_of_addresses() -> None:
    counters = {
        address_counter(f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1")
        for number in range(6 * ADDRESS_COUNTERS)
    }
    assert ADDRESS_COUNTERS * 0.99 < len(counters) <= ADDRESS_COUNTERS


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


@pytest.mark.parametrize(
    ("broker", "uri"),
    [
        ("redis://queue:6379/0", "redis://queue:6379/0"),
        ("rediss://queue/1", "rediss://queue/1"),
        ("redis+socket:///var/valkey.sock", "redis+unix:///var/valkey.sock"),
        ("amqp://guest@queue//", "memory://"),
    ],
)
def test_calls_are_counted_in_the_broker_if_it_can(broker: str, uri: str) -> None:
    assert counter_uri(broker) == uri


FORWARDED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "images.example.com",
}


@pytest.mark.parametrize(
    ("proxies", "address"), [(0, "http://localhost/"), (1, "https://images.example.com/")]
)
def test_forwarded_headers_count_only_behind_a_trusted_proxy(
    settings: Settings, proxies: int, address: str
) -> None:
    client = create_app(
        replace(settings, trusted_proxies=proxies, allowed_hosts=("images.example.com",))
    ).test_client()
    answer = client.post(
        "/upload", headers=FORWARDED, data={"file": (io.BytesIO(CATALOGUE), "products.csv")}
    )
    assert answer.headers["Location"].startswith(f"{address}job/status/")


def test_a_forged_address_opens_no_new_account(client: FlaskClient) -> None:
    codes = [
        client.get("/job", headers={"X-Forwarded-For": f"10.0.0.{number}"}).status_code
        for number in range(4)
    ]
    assert codes == [200, 200, 200, 429]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/session"),
        ("GET", "/job"),
        ("DELETE", "/job"),
        ("GET", "/healthz"),
        ("GET", "/"),
        ("POST", f"/job/cancel/{UUID(int=7)}"),
        ("POST", f"/job/retry/{UUID(int=7)}"),
        ("POST", f"/job/webhooks/{UUID(int=7)}/redeliver"),
        ("POST", "/nothing"),
    ],
)
def test_no_call_but_the_upload_takes_a_large_body(
    client: FlaskClient, method: str, path: str
) -> None:
    answer = client.open(path, method=method, data=bytes(MAX_BODY_BYTES + 1))
    assert (answer.status_code, answer.json["code"]) == (413, "too_large")
    assert "16,384 bytes" in answer.json["detail"]
    assert client.open(path, method=method, data=bytes(MAX_BODY_BYTES)).status_code != 413


def test_a_body_without_a_length_is_bounded_as_it_is_read(client: FlaskClient) -> None:
    answer = client.post(
        "/session",
        input_stream=io.BytesIO(b"a&" * MAX_BODY_BYTES),
        content_type="application/x-www-form-urlencoded",
        environ_overrides={"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"},
    )
    assert (answer.status_code, answer.json["code"]) == (413, "too_large")


def test_an_upload_is_bounded_by_its_own_setting(settings: Settings) -> None:
    client = create_app(replace(settings, max_upload_bytes=100_000)).test_client()
    for size, status in ((90_000, 400), (100_000, 413)):
        answer = client.post("/upload", data={"file": (io.BytesIO(bytes(size)), "products.csv")})
        answer.request.environ["wsgi.input"].close()
        assert answer.status_code == status
    assert "100,000 bytes" in answer.json["detail"]


@pytest.mark.parametrize(
    "fields",
    [
        {"format": "x" * 300_000},
        {f"field{number}": "x" for number in range(60)},
        {"file": "a,b,c\n" * 60_000},
    ],
    ids=["long", "many", "text"],
)
def test_the_fields_of_a_form_are_bounded(client: FlaskClient, fields: dict[str, str]) -> None:
    answer = client.post("/upload", data=fields, content_type="multipart/form-data")
    assert (answer.status_code, answer.json["code"]) == (413, "too_large")
