"""A RabbitMQ that is short of memory, or that hangs, takes no messages: nothing waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from ..faults.installation import QUICK, Installation
from ..faults.verdict import Watched, catalogue_of, photo_origin
from tests.support.databases import fresh_database
from tests.support.rabbit_node import RabbitNode
from tests.support.receiver import Receiver
from tests.support.service import wait_until

pytestmark = [pytest.mark.postgres, pytest.mark.rabbitmq]

IMAGES = 300


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """Return a RabbitMQ node that may be harmed."""
    node = RabbitNode(tmp_path_factory.mktemp("rabbit"))
    try:
        yield node
    finally:
        node.stop()


@pytest.fixture(scope="module")
def service(node: RabbitNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Return a running installation on that node."""
    with (
        fresh_database() as url,
        Installation(
            tmp_path_factory.mktemp("alarm") / "var",
            DATABASE_URL=url,
            CELERY_BROKER_URL=node.url,
            **QUICK | {"LEASE_SECONDS": "10"},
        ) as running,
    ):
        yield running  # type: ignore[misc]


@pytest.fixture(params=["alarm", "hang"])
def trouble(
    request: pytest.FixtureRequest, node: RabbitNode
) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """Return what brings the broker into trouble, and what helps it out of it."""
    begin, end = (
        (node.set_alarm, node.clear_alarm) if request.param == "alarm" else (node.pause, node.go_on)
    )
    yield begin, end
    end()


def _leases_ended(service: Installation) -> int:
    rows = service.query("SELECT value FROM ledger_counter WHERE name = 'leases_expired'")
    return int(rows[0].value) if rows else 0


def test_uploads_and_jobs_continue_while_the_broker_accepts_no_messages(
    service: Installation, trouble: tuple[Callable[[], None], Callable[[], None]]
) -> None:
    begin, end = trouble
    ended_before = _leases_ended(service)
    with (
        photo_origin(IMAGES, delay=0.5) as origin,
        photo_origin(3) as other,
        Receiver() as receiver,
    ):
        wait_until(lambda: service.get("/readyz").json()["status"] == "ok", 30)
        running = Watched(
            service,
            origin,
            receiver,
            service.submit(catalogue_of(origin, IMAGES), webhook_url=receiver.url),
        )
        running.wait_for(20)
        begin()
        wait_until(lambda: service.get("/readyz").json()["checks"]["broker"] == "unavailable", 30)
        new = Watched(
            service,
            other,
            receiver,
            service.submit(catalogue_of(other, 3), webhook_url=receiver.url),
        )

        # All of it happens before the broker takes messages again.
        assert running.verdict().clean, service.log[-5000:]
        assert new.verdict().clean, service.log[-5000:]
        assert "Traceback" not in service.log
        end()
        wait_until(lambda: service.get("/readyz").json()["status"] == "ok", 30)
        later = Watched(
            service,
            other,
            receiver,
            service.submit(catalogue_of(other, 3), webhook_url=receiver.url),
        )
        assert later.verdict().lost == 0
    assert _leases_ended(service) == ended_before
