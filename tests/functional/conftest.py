"""The service in its three shapes, an origin of images and a webhook receiver."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from ..origin import PlainOrigin
from tests.support.databases import fresh_database
from tests.support.node import install_packages
from tests.support.receiver import Receiver
from tests.support.servers import fresh_broker
from tests.support.service import Service

SHAPES = {
    "embedded": (),
    "postgres+redis": (pytest.mark.postgres, pytest.mark.redis),
    "postgres+rabbitmq": (pytest.mark.postgres, pytest.mark.rabbitmq),
}


# Ends with its file, whose tests `make test` runs in one process: an idle service that looks for lost
# work every second takes several per cent of a processor.
@pytest.fixture(
    scope="module", params=[pytest.param(shape, marks=marks) for shape, marks in SHAPES.items()]
)
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Return the running service, in each of its shapes."""
    data_dir = tmp_path_factory.mktemp("service") / "var"
    with ExitStack() as stack:
        settings = {}
        if request.param != "embedded":
            prefix = f"test-{uuid4().hex[:8]}"
            broker = stack.enter_context(fresh_broker(request.param.split("+")[1], prefix))
            settings = {
                "DATABASE_URL": stack.enter_context(fresh_database()),
                "CELERY_BROKER_URL": broker,
                "QUEUE_PREFIX": prefix,
            }
        yield stack.enter_context(Service(data_dir, **settings))


@pytest.fixture(scope="package")
def embedded_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a running service with nothing but its own database, storage and broker.

    It lives long, so it looks for lost work as seldom as one that is not tested.
    """
    data_dir = tmp_path_factory.mktemp("embedded") / "var"
    with Service(data_dir, RECOVERY_INTERVAL="5") as service:
        yield service


@pytest.fixture(scope="session")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the npm packages of tests/node."""
    folder = tmp_path_factory.mktemp("node")
    install_packages(folder)
    return folder


@pytest.fixture
def origin() -> Iterator[PlainOrigin]:
    """Return an origin of images on loopback."""
    with PlainOrigin() as origin:
        yield origin


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Return a webhook receiver on loopback."""
    with Receiver() as receiver:
        yield receiver
