"""Whose turn it is: the receivers that something is due for and that have room."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import CTE, ColumnElement, Select, case, exists, func, select
from sqlalchemy.orm import aliased

from .clock import NOW
from .models import ReceiverCircuit, WebhookDelivery
from .sessions import reading
from .states import DeliveryState

# At most so many attempts at once at one receiver, over all couriers. One that failed last gets
# one at a time, until it is well again.
AT_ONCE = 2
AT_ONCE_WHILE_ILL = 1


class Turn(NamedTuple):
    """A receiver that something is due for, and how many more attempts it has room for."""

    receiver: str
    room: int


def turns(limit: int) -> list[Turn]:
    """Return receivers in a fair order.

    Those come first whose owners have the fewest attempts under way. Of these, receivers that work
    come before all others, so that those that hang can only hold up each other, and then those that
    have nothing under way. The cost grows with the receivers and not with what waits for them.
    """
    delivery, circuit, waiting = WebhookDelivery, ReceiverCircuit, receivers_waited_for()
    due = (select(delivery.next_attempt_at)
           .where(delivery.state == DeliveryState.PENDING,
                  delivery.receiver == waiting.c.receiver)
           .order_by(delivery.next_attempt_at).limit(1).correlate(waiting))
    due_since = due.scalar_subquery()
    owner = func.coalesce(due.with_only_columns(delivery.owner).scalar_subquery(), "")
    busy = (select(func.coalesce(delivery.owner, "").label("owner"),
                   func.count().label("attempts"))
            .where(delivery.held_until > NOW).group_by(func.coalesce(delivery.owner, ""))
            .subquery("busy"))
    ill = func.coalesce(circuit.failures, 0) > 0
    number = under_way(waiting.c.receiver).correlate(waiting).scalar_subquery()
    room = case((ill, AT_ONCE_WHILE_ILL), else_=AT_ONCE) - number
    with reading() as session:
        rows = session.execute(
            select(waiting.c.receiver, room)
            .outerjoin(circuit, circuit.receiver == waiting.c.receiver)
            .outerjoin(busy, busy.c.owner == owner)
            .where(waiting.c.receiver.is_not(None), due_since <= NOW, room > 0,
                   circuit.open_until.is_(None) | (circuit.open_until <= NOW))
            .order_by(func.coalesce(busy.c.attempts, 0), case((ill, 1), else_=0), number,
                      due_since)
            .limit(limit))
        return [Turn(*row) for row in rows]


def receivers_waited_for() -> CTE:
    """Return the receivers of all pending deliveries, found by leaps over the index."""
    delivery = WebhookDelivery
    pending = select(func.min(delivery.receiver).label("receiver")).where(
        delivery.state == DeliveryState.PENDING)
    found = pending.cte("waited_for", recursive=True)
    following = pending.where(delivery.receiver > found.c.receiver).correlate(found)
    return found.union_all(
        select(following.scalar_subquery()).where(found.c.receiver.is_not(None)))


def under_way(receiver: ColumnElement[str]) -> Select[int]:
    """Count the attempts that are under way at a receiver."""
    other = aliased(WebhookDelivery)
    return select(func.count()).where(other.receiver == receiver, other.held_until > NOW)


def first_due(receiver: str) -> Select[str]:
    """Find the delivery that has been due at a receiver for the longest time.

    An event waits for the first attempts of the job's earlier ones. So events come in their order
    as long as all goes well, and the repeats of one hold up no other.
    """
    earlier, delivery = aliased(WebhookDelivery), aliased(WebhookDelivery)
    waits = (delivery.step == 0) & exists().where(
        earlier.request_id == delivery.request_id, earlier.channel == delivery.channel,
        earlier.created_at < delivery.created_at, earlier.next_attempt_at.is_not(None),
        (earlier.step == 0) | (earlier.step == 1) & (earlier.held_until > NOW)
    ).correlate(delivery)
    return (select(delivery.id)
            .where(delivery.state == DeliveryState.PENDING, delivery.receiver == receiver,
                   delivery.next_attempt_at <= NOW, ~waits)
            .order_by(delivery.next_attempt_at, delivery.created_at).limit(1))
