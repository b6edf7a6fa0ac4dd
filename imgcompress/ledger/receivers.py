"""Receivers of webhooks: which is next, and which are suspended.

Without API keys a receiver is a scheme, host and port. With them it is one URL of one owner, so
that the answers of a URL delay nobody else. If a host does not answer at all, its other receivers
wait once for a minute too, and are then tried themselves.
"""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import CTE, ColumnElement, Select, case, delete, exists, func, select, update
from sqlalchemy.orm import Session, aliased

from ..catalogue import DEFAULT_PORTS
from .clock import NOW, from_now
from .models import RECEIVER_CHARS, DeliveryState, ReceiverCircuit, WebhookDelivery
from .session import insert_into, reading, rowcount, writing

# The most concurrent attempts at one receiver, over all delivery workers. A receiver whose last
# attempt failed gets one at a time, until one succeeds.
AT_ONCE = 2
CONCURRENCY_WHILE_FAILING = 1


class Turn(NamedTuple):
    """A receiver with a due delivery, and how many more attempts may start."""

    receiver: str
    room: int


def turns(limit: int) -> list[Turn]:
    """Return receivers in a fair order.

    Receivers of the owners with the fewest running attempts come first. Among these, working
    receivers come before failing ones, so that receivers that hang delay only each other, and then
    those without a running attempt. The cost grows with the number of receivers, not of deliveries.
    """
    delivery, circuit, waiting = WebhookDelivery, ReceiverCircuit, receivers_waited_for()
    due = (
        select(delivery.next_attempt_at)
        .where(delivery.state == DeliveryState.PENDING, delivery.receiver == waiting.c.receiver)
        .order_by(delivery.next_attempt_at)
        .limit(1)
        .correlate(waiting)
    )
    due_since = due.scalar_subquery()
    owner = func.coalesce(due.with_only_columns(delivery.owner).scalar_subquery(), "")
    busy = (
        select(func.coalesce(delivery.owner, "").label("owner"), func.count().label("attempts"))
        .where(delivery.held_until > NOW)
        .group_by(func.coalesce(delivery.owner, ""))
        .subquery("busy")
    )
    failing = func.coalesce(circuit.failures, 0) > 0
    number = under_way(waiting.c.receiver).correlate(waiting).scalar_subquery()
    room = case((failing, CONCURRENCY_WHILE_FAILING), else_=AT_ONCE) - number
    with reading() as session:
        rows = session.execute(
            select(waiting.c.receiver, room)
            .outerjoin(circuit, circuit.receiver == waiting.c.receiver)
            .outerjoin(busy, busy.c.owner == owner)
            .where(
                waiting.c.receiver.is_not(None),
                due_since <= NOW,
                room > 0,
                circuit.open_until.is_(None) | (circuit.open_until <= NOW),
            )
            .order_by(
                func.coalesce(busy.c.attempts, 0), case((failing, 1), else_=0), number, due_since
            )
            .limit(limit)
        )
        return [Turn(*row) for row in rows]


def receivers_waited_for() -> CTE:
    """Return the receivers of all pending deliveries, by a loose index scan."""
    delivery = WebhookDelivery
    pending = select(func.min(delivery.receiver).label("receiver")).where(
        delivery.state == DeliveryState.PENDING
    )
    found = pending.cte("waited_for", recursive=True)
    following = pending.where(delivery.receiver > found.c.receiver).correlate(found)
    return found.union_all(select(following.scalar_subquery()).where(found.c.receiver.is_not(None)))


def under_way(receiver: ColumnElement[str]) -> Select[int]:
    """Count the running attempts at a receiver."""
    other = aliased(WebhookDelivery)
    return select(func.count()).where(other.receiver == receiver, other.held_until > NOW)


def first_due(receiver: str) -> Select[str]:
    """Find the delivery that has been due at a receiver for the longest time.

    An event waits for the first attempts of the job's earlier events. So events arrive in order
    unless one fails, and the retries of one event do not delay the others.
    """
    earlier, delivery = aliased(WebhookDelivery), aliased(WebhookDelivery)
    waits = (delivery.step == 0) & exists().where(
        earlier.request_id == delivery.request_id,
        earlier.channel == delivery.channel,
        earlier.created_at < delivery.created_at,
        earlier.next_attempt_at.is_not(None),
        (earlier.step == 0) | (earlier.step == 1) & (earlier.held_until > NOW),
    ).correlate(delivery)
    return (
        select(delivery.id)
        .where(
            delivery.state == DeliveryState.PENDING,
            delivery.receiver == receiver,
            delivery.next_attempt_at <= NOW,
            ~waits,
        )
        .order_by(delivery.next_attempt_at, delivery.created_at)
        .limit(1)
    )


# All mail goes through one server, whatever its recipient.
MAIL_SERVER = "mail server"
# In the name of a receiver: enough of the SHA-256 of its URL to be unique.
DIGEST_CHARS = 32
# In the name of the circuit of a host, in place of an owner.
EVERYBODY = "*"

# The circuit opens after this many consecutive failures. It stays open for a minute, and for twice
# as long after each further failure, up to an hour.
FAILURES_TO_OPEN = 5
FIRST_PAUSE, LONGEST_PAUSE = 60.0, 3600.0
# The schedule of a delivery takes about three days.
FORGOTTEN_AFTER = timedelta(days=7)


def receiver_of(url: str, owner: str | None = None) -> str:
    """Return the receiver that a checked webhook URL belongs to.

    It is the URL's scheme, host and port; with an owner, these, the owner and a digest of the URL.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    host = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    if owner is None:
        return host
    name = f" {owner} {sha256(url.encode()).hexdigest()[:DIGEST_CHARS]}"
    return host[: RECEIVER_CHARS - len(name)] + name


def host_of(receiver: str) -> str:
    """Return a receiver's scheme, host and port, or the mail server."""
    return receiver if receiver == MAIL_SERVER else receiver.partition(" ")[0]


def _host_circuit(receiver: str) -> str | None:
    """Return the name of the circuit that a receiver shares with others at its host, if any."""
    host = host_of(receiver)
    return None if host == receiver else f"{host} {EVERYBODY}"


def lock_receiver(session: Session, receiver: str) -> int | None:
    """Lock the receiver's row until the transaction ends; return its consecutive failures.

    Return None, and lock nothing, while its circuit is open.
    """
    circuit = ReceiverCircuit
    return session.scalar(
        insert_into(session, circuit)
        .values(receiver=receiver, failures=0)
        .on_conflict_do_update(
            index_elements=["receiver"],
            set_={"receiver": receiver},
            where=circuit.open_until.is_(None) | (circuit.open_until <= NOW),
        )
        .returning(circuit.failures)
    )


def count_failure(session: Session, receiver: str, *, unanswered: bool = False) -> None:
    """Count a failure that concerns the whole receiver; after several, open the circuit.

    If this and enough previous attempts at the host were `unanswered`, its other receivers wait
    too.
    """
    circuit = ReceiverCircuit
    shared = _host_circuit(receiver) if unanswered else None
    # The order of locks is the host's row, then those of its receivers.
    if shared is not None and _unanswered(session, shared) >= FAILURES_TO_OPEN:
        _have_others_wait(session, receiver)
    failures = session.scalar(
        update(circuit)
        .where(circuit.receiver == receiver)
        .values(failures=circuit.failures + 1, waits_for_host=False)
        .returning(circuit.failures)
    )
    if failures is not None and failures >= FAILURES_TO_OPEN:
        pause = min(FIRST_PAUSE * 2.0 ** min(failures - FAILURES_TO_OPEN, 10), LONGEST_PAUSE)
        session.execute(
            update(circuit).where(circuit.receiver == receiver).values(open_until=from_now(pause))
        )


def _unanswered(session: Session, shared: str) -> int:
    """Count one more attempt that a host did not answer; return how many are consecutive."""
    circuit = ReceiverCircuit
    return (
        session.scalar(
            insert_into(session, circuit)
            .values(receiver=shared, failures=1)
            .on_conflict_do_update(
                index_elements=["receiver"], set_={"failures": circuit.failures + 1}
            )
            .returning(circuit.failures)
        )
        or 0
    )


def _have_others_wait(session: Session, receiver: str) -> None:
    """Open the circuits of the other receivers at this host that have deliveries.

    None of them waits a second time before its own attempt, since its URL may answer.
    """
    waiting = receivers_waited_for()
    others = session.scalars(
        select(waiting.c.receiver)
        .where(
            waiting.c.receiver.startswith(f"{host_of(receiver)} ", autoescape=True),
            waiting.c.receiver != receiver,
        )
        .order_by(waiting.c.receiver)
    ).all()
    if not others:
        return
    circuit = ReceiverCircuit
    until = {"open_until": from_now(FIRST_PAUSE), "waits_for_host": True}
    session.execute(
        insert_into(session, circuit)
        .values(failures=0, **until)
        .on_conflict_do_update(
            index_elements=["receiver"],
            set_=until,
            where=~circuit.waits_for_host
            & (circuit.open_until.is_(None) | (circuit.open_until <= NOW)),
        ),
        [{"receiver": other} for other in others],
    )


def close_circuit(session: Session, receiver: str) -> None:
    """Reset the receiver's failures."""
    circuit = ReceiverCircuit
    if _host_circuit(receiver) is None:
        session.execute(
            update(circuit).where(circuit.receiver == receiver).values(failures=0, open_until=None)
        )
    else:
        # Each job may have its own URL, so the number of rows would grow without a limit.
        session.execute(delete(circuit).where(circuit.receiver == receiver))


def delete_old_circuits() -> None:
    """Delete circuits that opened so long ago that all deliveries of that time have ended."""
    with writing() as session:
        session.execute(
            delete(ReceiverCircuit)
            .where(ReceiverCircuit.open_until < from_now(-FORGOTTEN_AFTER))
            .execution_options(synchronize_session=False)
        )


def note_answer(session: Session, receiver: str) -> None:
    """Record that the receiver's host answers; others are tried once their wait ends."""
    circuit, shared = ReceiverCircuit, _host_circuit(receiver)
    if shared is not None:
        session.execute(
            update(circuit)
            .where(circuit.receiver == shared, circuit.failures > 0)
            .values(failures=0)
        )


def reset_circuit(receiver: str) -> bool:
    """Close the circuit of a receiver, or of all at a host; return whether there are any."""
    circuit = ReceiverCircuit
    with writing() as session:
        return bool(
            rowcount(
                session.execute(
                    update(circuit)
                    .where(
                        (circuit.receiver == receiver)
                        | circuit.receiver.startswith(f"{receiver} ", autoescape=True)
                    )
                    .values(failures=0, open_until=None, waits_for_host=False)
                    .execution_options(synchronize_session=False)
                )
            )
        )


def failing_receivers() -> list[ReceiverCircuit]:
    """Return the receivers that fail or wait for their host, those with the most failures first."""
    circuit = ReceiverCircuit
    with reading() as session:
        return list(
            session.scalars(
                select(circuit)
                .where((circuit.failures > 0) | (circuit.open_until > NOW))
                .order_by(circuit.failures.desc(), circuit.receiver)
            )
        )
