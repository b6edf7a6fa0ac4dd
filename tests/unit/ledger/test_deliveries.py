"""The outbox: whose turn it is, one attempt at a time, recorded by the claimant alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select, update

from imgcompress.ledger import receivers
from imgcompress.ledger.deliveries import (
    LONGEST_WAIT,
    DueDelivery,
    claim_due,
    claimable,
    fail_suspended_deliveries,
    record_delivered,
    record_undelivered,
    redeliver,
)
from imgcompress.ledger.jobs import cancel_job
from imgcompress.ledger.models import (
    RECEIVER_CHARS,
    Channel,
    ReceiverCircuit,
    WebhookDelivery,
    utcnow,
)
from imgcompress.ledger.receivers import (
    FAILURES_TO_OPEN,
    MAIL_SERVER,
    delete_old_circuits,
    failing_receivers,
    host_of,
    receiver_of,
    reset_circuit,
)
from imgcompress.ledger.session import reading, writing

from .conftest import MakeJob
from tests.support.records import attempts_of, claim, events_of

HOLD = {Channel.WEBHOOK: 60.0, Channel.EMAIL: 60.0}
LOST = {Channel.WEBHOOK: -1.0, Channel.EMAIL: -1.0}
RECEIVER = "https://hooks.test:443"


@pytest.fixture
def delivery_id(make_job: MakeJob) -> str:
    """Return the id of a due delivery."""
    request_id = make_job()
    claim(request_id)
    return events_of(request_id)[0].id


def _claimed(hold: dict[Channel, float] = HOLD) -> DueDelivery:
    delivery = claim_due(hold)
    assert delivery is not None
    return delivery


def _cancelled(make_job: MakeJob, url: str = "https://hooks.test/", number: int = 1) -> list[UUID]:
    """Make jobs with one due event each; return their ids."""
    ids = [make_job(1, webhook_url=url) for _ in range(number)]
    assert all(map(cancel_job, ids))
    return ids


def _fail(delivery: DueDelivery, *, after: float | None = 5, failing: bool = True) -> bool:
    return record_undelivered(
        delivery,
        seconds=0.1,
        status=500,
        error="status 500",
        next_in=after,
        receiver_failing=failing,
    )


def _delivered(delivery: DueDelivery) -> bool:
    return record_delivered(delivery, seconds=0.1, status=204)


class TestOneDelivery:
    def test_a_new_event_is_due_at_once(self, delivery_id: str) -> None:
        assert delivery_id.startswith("msg_")
        assert claimable(10) > 0
        delivery = _claimed()
        assert (delivery.id, delivery.channel, delivery.receiver, delivery.target) == (
            delivery_id,
            "webhook",
            RECEIVER,
            "https://hooks.test/",
        )
        assert (delivery.attempt, delivery.step) == (1, 1)

    def test_a_claimed_delivery_is_not_due_until_the_hold_ends(self, delivery_id: str) -> None:
        _claimed()
        assert claimable(10) == 0 and claim_due(HOLD) is None

    def test_an_attempt_that_was_never_recorded_is_made_again(self, delivery_id: str) -> None:
        _claimed(LOST)
        again = _claimed()
        assert (again.id, again.attempt) == (delivery_id, 2)
        assert [attempt.seconds for attempt in attempts_of(delivery_id)] == [None, None]

    def test_an_accepted_event_is_delivered_for_good(self, delivery_id: str) -> None:
        assert _delivered(_claimed()) is True
        assert claimable(10) == 0
        (attempt,) = attempts_of(delivery_id)
        assert (attempt.attempt, attempt.response_status, attempt.seconds, attempt.error) == (
            1,
            204,
            0.1,
            None,
        )

    def test_only_the_claimant_records(self, delivery_id: str) -> None:
        late, present = _claimed(LOST), _claimed()
        assert _delivered(late) is False and _fail(late) is False
        assert _delivered(present) is True
        assert [attempt.seconds for attempt in attempts_of(delivery_id)] == [None, 0.1]

    def test_a_failed_attempt_is_due_again_at_its_time(self, delivery_id: str) -> None:
        assert _fail(_claimed()) is True
        assert claim_due(HOLD) is None
        _make_due(delivery_id)
        assert _claimed().step == 2

    def test_without_a_next_attempt_the_delivery_has_failed(self, delivery_id: str) -> None:
        _fail(_claimed(), after=None)
        assert claim_due(HOLD) is None

    def test_it_can_be_sent_again_with_the_same_id_and_the_whole_schedule(
        self, delivery_id: str
    ) -> None:
        _fail(_claimed(), after=None)
        assert redeliver(delivery_id) is True
        again = _claimed()
        assert (again.id, again.attempt, again.step) == (delivery_id, 2, 1)

    def test_one_that_is_under_way_is_not_sent_again_beside_it(self, delivery_id: str) -> None:
        under_way = _claimed()
        assert redeliver(delivery_id) is True
        assert claim_due(HOLD) is None
        assert _delivered(under_way) is True

    def test_what_does_not_exist_cannot_be_sent_again(self, app: Flask) -> None:
        assert redeliver("msg_unknown") is False

    def test_the_secret_of_the_upload_comes_with_it_and_is_not_shown(
        self, make_job: MakeJob
    ) -> None:
        cancel_job(make_job(1, webhook_secret="whsec_of-the-upload"))
        delivery = _claimed()
        assert delivery.secret == "whsec_of-the-upload"
        assert "whsec" not in repr(delivery)


class TestTurns:
    def test_a_receiver_gets_two_at_once(self, make_job: MakeJob) -> None:
        _cancelled(make_job, number=3)
        first, _ = _claimed(), _claimed()
        assert claim_due(HOLD) is None
        _delivered(first)
        assert claim_due(HOLD) is not None and claim_due(HOLD) is None

    def test_a_failing_receiver_gets_one_delivery_at_once_until_it_recovers(
        self, make_job: MakeJob
    ) -> None:
        _cancelled(make_job, number=4)
        _fail(_claimed(), after=1000)
        trial = _claimed()
        assert claim_due(HOLD) is None
        _delivered(trial)
        assert claim_due(HOLD) is not None and claim_due(HOLD) is not None

    def test_receivers_take_turns_however_many_wait_for_one(self, make_job: MakeJob) -> None:
        _cancelled(make_job, "https://many.test/", 5)
        _cancelled(make_job, "https://few.test/", 2)
        order = [_claimed().receiver.split("/")[2].split(".")[0] for _ in range(4)]
        assert sorted(order[:2]) == sorted(order[2:]) == ["few", "many"]

    def test_healthy_receivers_come_first(self, make_job: MakeJob) -> None:
        _cancelled(make_job, "https://failing.test/", 2)
        _fail(_claimed(), after=1000)
        _cancelled(make_job, "https://well.test/", 2)
        assert [_claimed().target for _ in range(3)] == [
            "https://well.test/",
            "https://well.test/",
            "https://failing.test/",
        ]

    def test_the_events_of_a_job_come_in_their_order(self, make_job: MakeJob) -> None:
        request_id = make_job()
        claim(request_id)
        cancel_job(request_id)
        first = _claimed()
        assert claim_due(HOLD) is None
        _delivered(first)
        assert [event.id for event in events_of(request_id)] == [first.id, _claimed().id]

    def test_the_repeats_of_an_event_hold_up_no_later_one(self, make_job: MakeJob) -> None:
        request_id = make_job()
        claim(request_id)
        cancel_job(request_id)
        first = _claimed()
        _fail(first, failing=False)
        second = _claimed()
        assert second.id != first.id

    def test_of_many_simultaneous_claims_two_succeed(self, app: Flask, make_job: MakeJob) -> None:
        _cancelled(make_job, number=8)

        def run(_: int) -> DueDelivery | None:
            with app.app_context():
                return claim_due(HOLD)

        with ThreadPoolExecutor(8) as pool:
            claimed = [delivery for delivery in pool.map(run, range(16)) if delivery]
        assert len(claimed) == len({delivery.id for delivery in claimed}) == 2


class TestCircuit:
    def test_the_circuit_opens_after_consecutive_failures(self, make_job: MakeJob) -> None:
        _open_circuit(make_job)
        _cancelled(make_job)
        assert claim_due(HOLD) is None
        (circuit,) = failing_receivers()
        assert (circuit.receiver, circuit.failures) == (RECEIVER, FAILURES_TO_OPEN)
        assert circuit.open_until is not None and circuit.open_until > utcnow()

    def test_other_receivers_go_on(self, make_job: MakeJob) -> None:
        _open_circuit(make_job)
        _cancelled(make_job, "https://other.test/")
        assert _claimed().target == "https://other.test/"

    def test_a_failure_that_says_nothing_about_the_receiver_opens_nothing(
        self, make_job: MakeJob
    ) -> None:
        _cancelled(make_job, number=FAILURES_TO_OPEN + 1)
        for _ in range(FAILURES_TO_OPEN):
            _fail(_claimed(), after=1000, failing=False)
        assert claim_due(HOLD) is not None

    def test_after_the_pause_one_is_tried_and_closes_it(self, make_job: MakeJob) -> None:
        _open_circuit(make_job)
        _cancelled(make_job, number=3)
        _end_pause()
        trial = _claimed()
        assert claim_due(HOLD) is None
        _delivered(trial)
        assert failing_receivers() == [] and claim_due(HOLD) is not None

    def test_a_failed_trial_opens_it_for_longer(self, make_job: MakeJob) -> None:
        _open_circuit(make_job)
        first = failing_receivers()[0].open_until
        _cancelled(make_job)
        _end_pause()
        _fail(_claimed(), after=1000)
        second = failing_receivers()[0].open_until
        assert first and second and second - first > timedelta(seconds=55)
        assert claim_due(HOLD) is None

    def test_it_can_be_reset(self, make_job: MakeJob) -> None:
        _open_circuit(make_job)
        _cancelled(make_job)
        assert reset_circuit(RECEIVER) is True
        assert claim_due(HOLD) is not None
        assert reset_circuit("https://unknown.test:443") is False

    def test_redelivery_closes_the_circuit(self, make_job: MakeJob) -> None:
        _open_circuit(make_job)
        (request_id,) = _cancelled(make_job)
        assert redeliver(events_of(request_id)[0].id) is True
        assert _claimed().request_id == request_id

    def test_deliveries_that_waited_for_more_than_a_day_are_given_up(
        self, make_job: MakeJob
    ) -> None:
        _open_circuit(make_job)
        old, new = (events_of(request_id)[0].id for request_id in _cancelled(make_job, number=2))
        _make_due(old, ago=LONGEST_WAIT + timedelta(minutes=1))
        assert fail_suspended_deliveries() == 1
        states = {row.id: row.state for row in _rows(old, new)}
        assert states == {old: "FAILED", new: "PENDING"}


class TestOwners:
    """Owners at one host: what a URL of one answers holds up nobody else."""

    @staticmethod
    def _one(make_job: MakeJob, owner: str, path: str = "") -> str:
        """Make a job of an owner with one due event; return the event's id."""
        request_id = make_job(1, webhook_url=f"https://hooks.test/{path}", owner=owner)
        assert cancel_job(request_id)
        return events_of(request_id)[0].id

    @staticmethod
    def _fail_unanswered(delivery: DueDelivery) -> None:
        record_undelivered(
            delivery,
            seconds=15,
            status=None,
            error="timeout",
            receiver_failing=True,
            unanswered=True,
            next_in=1000,
        )

    def _fail_in_a_row(self, make_job: MakeJob, owner: str, *, answered: bool) -> None:
        for _ in range(FAILURES_TO_OPEN):
            self._one(make_job, owner)
            (_fail if answered else self._fail_unanswered)(_claimed())  # type: ignore[operator]

    def test_responses_count_only_for_their_owner_and_url(self, make_job: MakeJob) -> None:
        self._fail_in_a_row(make_job, "anna", answered=True)
        self._one(make_job, "anna")
        assert claim_due(HOLD) is None
        for owner, path in (("ben", ""), ("anna", "other")):
            wanted = self._one(make_job, owner, path)
            assert _claimed().id == wanted

    def test_other_receivers_of_an_unresponsive_host_wait(self, make_job: MakeJob) -> None:
        wanted = self._one(make_job, "ben")
        _make_due(wanted, ago=timedelta(minutes=-1))
        self._fail_in_a_row(make_job, "anna", answered=False)
        _make_due(wanted)
        assert claim_due(HOLD) is None
        _end_pause()
        assert _claimed().id == wanted

    def test_a_receiver_that_waited_and_was_not_tried_waits_no_longer(
        self, make_job: MakeJob
    ) -> None:
        wanted = self._one(make_job, "ben")
        _make_due(wanted, ago=timedelta(minutes=-1))
        self._fail_in_a_row(make_job, "anna", answered=False)
        _end_pause()
        self._one(make_job, "anna", "more")
        self._fail_unanswered(_claimed())
        _make_due(wanted)
        assert _claimed().id == wanted

    def test_an_answer_to_anybody_starts_the_count_for_the_host_again(
        self, make_job: MakeJob
    ) -> None:
        self._fail_in_a_row(make_job, "anna", answered=False)
        self._one(make_job, "cleo")
        _delivered(_claimed())
        wanted = self._one(make_job, "ben")
        _make_due(wanted, ago=timedelta(minutes=-1))
        self._one(make_job, "anna", "more")
        self._fail_unanswered(_claimed())
        _make_due(wanted)
        assert _claimed().id == wanted

    def test_nothing_is_given_up_since_others_could_not_reach_its_host(
        self, make_job: MakeJob
    ) -> None:
        wanted = self._one(make_job, "ben")
        _make_due(wanted, ago=timedelta(minutes=-1))
        self._fail_in_a_row(make_job, "anna", answered=False)
        _make_due(wanted, ago=LONGEST_WAIT + timedelta(minutes=1))
        assert claim_due(HOLD) is None and fail_suspended_deliveries() == 0

    def test_the_owner_with_the_fewest_under_way_comes_first(self, make_job: MakeJob) -> None:
        ids = [self._one(make_job, "anna", str(number)) for number in range(5)]
        assert _claimed().id == ids[0]
        late = self._one(make_job, "ben")
        _fail(_claimed(), after=-1)  # It is tried again before one of anna's that never failed.
        assert [_claimed().id for _ in range(2)] == [late, ids[1]]

    def test_a_receiver_that_works_leaves_no_circuit(self, make_job: MakeJob) -> None:
        for number in range(3):
            self._one(make_job, "anna", str(number))
            _delivered(_claimed())
        assert _circuits() == []

    def test_all_receivers_of_a_host_can_be_reset_together(self, make_job: MakeJob) -> None:
        self._fail_in_a_row(make_job, "anna", answered=False)
        wanted = self._one(make_job, "anna")
        names = [circuit.receiver for circuit in failing_receivers()]
        assert [name.split()[:2] for name in names] == [[RECEIVER, "*"], [RECEIVER, "anna"]]
        assert reset_circuit(RECEIVER) is True
        assert failing_receivers() == [] and _claimed().id == wanted

    def test_old_circuits_are_forgotten(
        self, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self._fail_in_a_row(make_job, "anna", answered=True)
        delete_old_circuits()
        assert len(_circuits()) == 1
        monkeypatch.setattr(receivers, "FORGOTTEN_AFTER", -timedelta(days=1))
        delete_old_circuits()
        assert _circuits() == []


@pytest.mark.parametrize("url", ["https://hooks.test/a", f"https://{'a.' * 125}test/b"])
def test_a_receiver_of_an_owner_is_one_url(url: str) -> None:
    owner = "o" * 64
    names = {receiver_of(url, owner), receiver_of(f"{url}?", owner), receiver_of(url, "other")}
    assert len(names) == 3 and all(len(name) <= RECEIVER_CHARS for name in names)
    assert receiver_of("https://hooks.test/a", owner).startswith(f"{RECEIVER} {owner} ")
    assert host_of(receiver_of("https://hooks.test/a", owner)) == RECEIVER
    assert host_of(MAIL_SERVER) == MAIL_SERVER


@pytest.mark.parametrize(
    "url, receiver",
    [
        ("https://hooks.test/a?b=c", "https://hooks.test:443"),
        ("http://hooks.test", "http://hooks.test:80"),
        ("HTTPS://Hooks.Test:8443/", "https://hooks.test:8443"),
        ("http://[2001:db8::1]/", "http://[2001:db8::1]:80"),
    ],
)
def test_a_receiver_is_a_scheme_a_host_and_a_port(url: str, receiver: str) -> None:
    assert receiver_of(url) == receiver


def _open_circuit(make_job: MakeJob) -> None:
    _cancelled(make_job, number=FAILURES_TO_OPEN)
    for _ in range(FAILURES_TO_OPEN):
        _fail(_claimed(), after=1000)


def _end_pause() -> None:
    with writing() as session:
        session.execute(update(ReceiverCircuit).values(open_until=utcnow()))


def _circuits() -> list[ReceiverCircuit]:
    with reading() as session:
        return list(session.scalars(select(ReceiverCircuit).order_by(ReceiverCircuit.receiver)))


def _make_due(delivery_id: str, ago: timedelta = timedelta()) -> None:
    with writing() as session:
        session.execute(
            update(WebhookDelivery)
            .where(WebhookDelivery.id == delivery_id)
            .values(next_attempt_at=utcnow() - ago)
        )


def _rows(*ids: str) -> list[WebhookDelivery]:
    with writing() as session:
        return [session.get_one(WebhookDelivery, delivery_id) for delivery_id in ids]
