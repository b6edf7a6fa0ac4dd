"""Receivers of deliveries: who they are, and the circuit that spares those that are ill."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from .models import ReceiverCircuit
from .sessions import insert_into, reading, rowcount, writing
from .types import utcnow

# All mail goes through one server, whoever it is for.
MAIL_SERVER = "mail server"
DEFAULT_PORTS = {"http": 80, "https": 443}

# After so many failures in a row the circuit opens. It stays open for a minute, and for twice as
# long after each further failure, up to an hour.
FAILURES_TO_OPEN = 5
FIRST_PAUSE, LONGEST_PAUSE = 60.0, 3600.0


def receiver_of(url: str) -> str:
    """Return the receiver that a checked webhook URL belongs to: its scheme, host and port."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{_port(parts)}"


def _port(parts: Any) -> int:
    port: int = parts.port or DEFAULT_PORTS[parts.scheme]
    return port


def lock_receiver(session: Session, receiver: str) -> int | None:
    """Lock the receiver's row until the transaction ends; return its failures in a row.

    Return None, and lock nothing, while its circuit is open.
    """
    circuit = ReceiverCircuit
    return session.scalar(
        insert_into(session, circuit).values(receiver=receiver, failures=0)
        .on_conflict_do_update(
            index_elements=["receiver"], set_={"receiver": receiver},
            where=circuit.open_until.is_(None) | (circuit.open_until <= utcnow()))
        .returning(circuit.failures))


def count_failure(session: Session, receiver: str) -> None:
    """Count a failure that tells of an ill receiver, and open the circuit when they are many."""
    circuit = ReceiverCircuit
    failures = session.scalar(
        update(circuit).where(circuit.receiver == receiver)
        .values(failures=circuit.failures + 1).returning(circuit.failures))
    if failures is not None and failures >= FAILURES_TO_OPEN:
        pause = min(FIRST_PAUSE * 2.0 ** min(failures - FAILURES_TO_OPEN, 10), LONGEST_PAUSE)
        session.execute(
            update(circuit).where(circuit.receiver == receiver)
            .values(open_until=utcnow() + timedelta(seconds=pause)))


def close_circuit(session: Session, receiver: str) -> bool:
    """Forget the receiver's failures; return whether there is such a receiver."""
    return bool(rowcount(session.execute(
        update(ReceiverCircuit).where(ReceiverCircuit.receiver == receiver)
        .values(failures=0, open_until=None))))


def reset_circuit(receiver: str) -> bool:
    """Close the circuit of a receiver that is well again; return whether there is such a one."""
    with writing() as session:
        return close_circuit(session, receiver)


def ailing_receivers() -> list[ReceiverCircuit]:
    """Return the receivers whose last attempt failed, those with the most failures first."""
    with reading() as session:
        return list(session.scalars(
            select(ReceiverCircuit).where(ReceiverCircuit.failures > 0)
            .order_by(ReceiverCircuit.failures.desc(), ReceiverCircuit.receiver)))
