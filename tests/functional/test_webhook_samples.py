"""docs/webhooks.md: its samples verify what the service signs, and nothing else."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import requests

from imgcompress.api.openapi import EXAMPLE
from imgcompress.config import load_settings
from imgcompress.net import DialPolicy, Session
from imgcompress.notify.webhook import send_webhook, signed_headers

from tests.support.documents import samples
from tests.support.service import ROOT, free_port, wait_until

DOCUMENT = "docs/webhooks.md"
SECRET, OTHER = (f"whsec_{b64encode(letter * 32).decode()}" for letter in (b"s", b"o"))
BODY = json.dumps(EXAMPLE)
LOOPBACK = DialPolicy((ip_network("127.0.0.0/8"),), ((1024, 65535),))

# Take headers and a body, and return the status of the receiver's answer.
Post = Callable[[dict[str, str], bytes], int]


@pytest.fixture(scope="module")
def node_url(node_folder: Path) -> Iterator[str]:
    """Run the sample in JavaScript with the packages that are locked; yield its URL."""
    (sample,) = samples(DOCUMENT, "js")
    (node_folder / "receiver.js").write_text(sample, encoding="utf-8")
    port = free_port()
    receiver = subprocess.Popen(
        ["node", "receiver.js"],
        cwd=node_folder,
        env=os.environ | {"PORT": str(port), "WEBHOOK_SECRET": SECRET},
        stdin=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: _listens(port), 20)
        yield f"http://127.0.0.1:{port}/"
    finally:
        receiver.terminate()
        receiver.wait(timeout=10)


@pytest.fixture(params=["python", "js"])
def post(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Post:
    """Return a function that posts to each of the two samples."""
    if request.param == "python":
        client = _python_sample(monkeypatch).test_client()
        return lambda headers, body: (
            client.post("/hooks/images", data=body, headers=headers).status_code
        )
    url = request.getfixturevalue("node_url")
    return lambda headers, body: requests.post(url, body, headers=headers, timeout=10).status_code


def _python_sample(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    namespace: dict[str, Any] = {"__name__": "receiver"}
    (sample,) = samples(DOCUMENT, "python")
    exec(compile(sample, DOCUMENT, "exec"), namespace)
    return namespace["app"]


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _headers(*secrets: str) -> dict[str, str]:
    return signed_headers(secrets, "msg_0", BODY, datetime.now(UTC))


def test_a_signed_webhook_is_accepted(post: Post) -> None:
    assert post(_headers(SECRET), BODY.encode()) == 204


@pytest.mark.parametrize("secrets", [(SECRET, OTHER), (OTHER, SECRET)])
def test_it_is_accepted_while_secrets_are_rotated(post: Post, secrets: tuple[str, str]) -> None:
    assert post(_headers(*secrets), BODY.encode()) == 204


def test_another_secret_is_rejected(post: Post) -> None:
    assert post(_headers(OTHER), BODY.encode()) == 401


@pytest.mark.parametrize("changed", ["webhook-id", "webhook-timestamp", "body"])
def test_one_changed_byte_is_rejected(post: Post, changed: str) -> None:
    headers, body = _headers(SECRET), BODY.encode()
    if changed == "body":
        body = body.replace(b"COMPLETED", b"COMPLETEE", 1)
    else:
        last = headers[changed][-1]
        headers[changed] = headers[changed][:-1] + str((int(last) + 1) % 10)
    assert post(headers, body) == 401


def test_node_accepts_a_webhook_from_the_wire(node_url: str) -> None:
    with closing(Session(LOOPBACK, pool_size=1, connect_timeout=5)) as session:
        attempt = send_webhook(
            session,
            node_url,
            secrets=(SECRET,),
            event_id="msg_1",
            payload=BODY,
            now=datetime.now(UTC),
            timeout=10,
        )
    assert (attempt.delivered, attempt.status) == (True, 204)


def test_the_payload_that_is_shown_is_the_documented_example() -> None:
    (shown,) = samples(DOCUMENT, "json")
    assert json.dumps(json.loads(shown)) == json.dumps(EXAMPLE)


def test_the_schedule_that_is_shown_is_the_default() -> None:
    units = {"s": 1, "min": 60, "h": 3600}
    rows = [
        line.split("|")[2].split()
        for line in _text().splitlines()
        if line.startswith("| ") and line.split("|")[1].strip().isdigit()
    ]
    assert rows[0] == ["at", "once"]
    pauses = tuple(int(number) * units[unit] for number, unit in rows[1:])
    assert pauses == load_settings(None).webhook_retry_pauses


def _text() -> str:
    return Path(ROOT / DOCUMENT).read_text(encoding="utf-8")
