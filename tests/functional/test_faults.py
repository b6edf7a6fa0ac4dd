"""Whatever dies, goes away or comes twice: no image is lost or done twice, every job ends once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..faults import scenarios
from ..faults.fairness import healthy_beside_hanging, small_beside_large
from ..faults.installation import SHAPES, Installation, installation
from ..faults.verdict import Watched, catalogue_of, photo_origin, through
from .conftest import SHAPES as MARKS
from tests.support.receiver import Receiver

IMAGES = 120
# An image that hangs is given up after this many seconds.
COMPRESS_SECONDS = "15"

embedded = pytest.mark.parametrize("service", ["embedded"], indirect=True)
on_postgres = pytest.mark.parametrize(
    "service", [pytest.param(shape, marks=MARKS[shape]) for shape in SHAPES[1:]], indirect=True
)


@pytest.fixture(
    scope="module", params=[pytest.param(shape, marks=MARKS[shape]) for shape in SHAPES]
)
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Return an installation that may be harmed, in each shape."""
    folder = tmp_path_factory.mktemp("harmed")
    with installation(request.param, folder, COMPRESS_TIMEOUT=COMPRESS_SECONDS) as running:
        yield running


def test_killed_workers_cost_no_image(service: Installation) -> None:
    harms = iter([scenarios.kill_child, scenarios.kill_worker, scenarios.kill_child])
    verdict = through(service, IMAGES, 3, lambda job: next(harms)(job), delay=0.3)
    assert verdict.clean, (verdict, service.log[-5000:])


def test_lost_messages_are_sent_again(service: Installation) -> None:
    verdict = through(service, IMAGES, 2, scenarios.flush_broker, delay=0.3)
    assert verdict.clean, (verdict, service.log[-5000:])


def test_messages_that_arrive_three_times_are_processed_once(service: Installation) -> None:
    verdict = scenarios.triple_delivery(service, IMAGES)
    assert verdict.clean, (verdict, service.log[-5000:])
    assert verdict.fetches_per_image <= 1.02


@on_postgres
def test_a_job_goes_on_while_the_broker_is_away(service: Installation) -> None:
    verdict = through(service, IMAGES, 1, lambda job: scenarios.broker_away(job, 3), delay=0.2)
    assert verdict.clean, (verdict, service.log[-5000:])


@on_postgres
def test_an_upload_is_accepted_while_the_broker_is_down(service: Installation) -> None:
    with photo_origin(3) as origin, Receiver() as receiver:
        service.broker.go_away()
        request_id = service.submit(catalogue_of(origin, 3), webhook_url=receiver.url)
        service.broker.come_back()
        assert Watched(service, origin, receiver, request_id).verdict().clean, service.log[-5000:]


@on_postgres
def test_a_job_waits_for_a_database_that_is_away(service: Installation) -> None:
    verdict = through(service, IMAGES, 1, lambda job: scenarios.database_away(job, 4), delay=0.2)
    assert verdict.clean, (verdict, service.log[-5000:])


@embedded
def test_a_broker_that_dies_is_replaced(service: Installation) -> None:
    verdict = through(service, IMAGES, 1, scenarios.kill_broker, delay=0.2)
    assert verdict.clean, (verdict, service.log[-5000:])


@embedded
def test_a_worker_paused_past_its_lease_writes_nothing(service: Installation) -> None:
    verdict = through(service, IMAGES, 1, lambda job: scenarios.pause_child(job, 5), delay=0.2)
    assert verdict.clean, (verdict, service.log[-5000:])


@embedded
def test_a_deployment_releases_its_work(service: Installation) -> None:
    took = []
    verdict = through(
        service, IMAGES, 1, lambda job: took.append(scenarios.restart(job)), delay=0.5
    )
    assert verdict.clean, (verdict, service.log[-5000:])
    assert took[0] < 45


@embedded
def test_a_job_that_was_committed_and_not_published_runs(service: Installation) -> None:
    verdict = scenarios.killed_before_publishing(service, 20)
    assert verdict.clean, (verdict, service.log[-5000:])


@embedded
def test_a_delivery_worker_that_dies_sends_the_same_id_again(service: Installation) -> None:
    verdict = scenarios.delivery_worker_killed_while_sending(service, 20)
    assert verdict.clean, (verdict, service.log[-5000:])


@embedded
def test_an_image_that_kills_or_hangs_its_worker_fails_alone(service: Installation) -> None:
    found = scenarios.killer_images(service, 20, 120, apart=5)
    assert found.completed == 17
    assert found.failures == dict.fromkeys(scenarios.HARMS.values(), 1)
    assert found.same_worker


@embedded
def test_a_small_job_does_not_wait_for_a_large_one(service: Installation) -> None:
    company = small_beside_large(service, 600, 3)
    assert company.company_was_running, company


@embedded
def test_a_job_whose_origin_hangs_leaves_workers_to_others(service: Installation) -> None:
    company = healthy_beside_hanging(service, IMAGES, 200)
    assert company.company_was_running, company
    assert company.beside < 30, company  # The slices of the other job last for 60 s.


@pytest.mark.parametrize("harm", scenarios.SECOND_RUNS)
def test_a_second_run_loses_nothing(service: Installation, harm: str) -> None:
    verdict = scenarios.second_run(service, IMAGES, scenarios.SECOND_RUNS[harm])
    assert verdict.clean, (verdict, service.log[-5000:])
