"""One job on two hosts: both work at it, and when one is cut off the other one ends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..hosts.cluster import cluster
from ..hosts.ordeal import cut_one_off

IMAGES = 200


@pytest.mark.postgres
@pytest.mark.parametrize(
    "broker",
    [
        pytest.param("redis", marks=pytest.mark.redis),
        pytest.param("rabbitmq", marks=pytest.mark.rabbitmq),
    ],
)
def test_a_job_outlives_a_host_that_is_cut_off(broker: str, tmp_path: Path) -> None:
    with cluster(broker, tmp_path, SLICE_SIZE="20") as service:
        ordeal = cut_one_off(service, IMAGES, delay=0.3)
        assert ordeal.verdict.clean, (ordeal, service.log[-5000:])
        assert all(ordeal.fetched.values()), ordeal
        assert ordeal.again.clean, (ordeal, service.log[-5000:])
        assert all(ordeal.fetched_again.values()), (ordeal, service.log[-5000:])
