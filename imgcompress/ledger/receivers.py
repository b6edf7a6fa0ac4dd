"""Receivers of deliveries: their names, and the circuits that spare those that fail.

Without API keys a receiver is a scheme, host and port. With them it is one URL of one owner, so
that what a URL answers holds up nobody else. Where a host does not answer at all, the other
receivers there wait for a minute too, once, and are then tried for themselves.
"""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from urllib.parse import urlsplit

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from .clock import NOW, from_now
from .models import RECEIVER_CHARS, ReceiverCircuit
from .sessions import insert_into, reading, rowcount, writing
from .turns import receivers_waited_for

# All mail goes through one server, whoever it is for.
MAIL_SERVER = "mail server"
DEFAULT_PORTS = {"http": 80, "https": 443}
# In the name of a receiver: as much of the SHA-256 of its URL as keeps it apart from all others.
DIGEST_CHARS = 32
# In the name of the circuit of a host, in place of an owner.
EVERYBODY = "*"

# After so many failures in a row the circuit opens. It stays open for a minute, and for twice as
# long after each further failure, up to an hour.
FAILURES_TO_OPEN = 5
FIRST_PAUSE, LONGEST_PAUSE = 60.0, 3600.0
# The schedule of a delivery takes some three days.
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
    return host[:RECEIVER_CHARS - len(name)] + name


def host_of(receiver: str) -> str:
    """Return a receiver's scheme, host and port, or the mail server."""
    return receiver if receiver == MAIL_SERVER else receiver.partition(" ")[0]


def _host_circuit(receiver: str) -> str | None:
    """Return the name of the circuit that a receiver shares with others at its host, if it does."""
    host = host_of(receiver)
    return None if host == receiver else f"{host} {EVERYBODY}"


def lock_receiver(session: Session, receiver: str) -> int | None:
    """Lock the receiver's row until the transaction ends; return its failures in a row.

    Return None, and lock nothing, while its circuit is open.
    """
    circuit = ReceiverCircuit
    return session.scalar(
        insert_into(session, circuit).values(receiver=receiver, failures=0)
        .on_conflict_do_update(
            index_elements=["receiver"], set_={"receiver": receiver},
            where=circuit.open_until.is_(None) | (circuit.open_until <= NOW))
        .returning(circuit.failures))


def count_failure(session: Session, receiver: str, *, unanswered: bool = False) -> None:
    """Count a failure that tells of a failing receiver, and open the circuit when they are many.

    Where it was `unanswered`, as so many attempts at this host were in a row, the other receivers
    there wait too.
    """
    circuit = ReceiverCircuit
    shared = _host_circuit(receiver) if unanswered else None
    # The order of locks is the host's row, then those of its receivers.
    if shared is not None and _unanswered(session, shared) >= FAILURES_TO_OPEN:
        _have_others_wait(session, receiver)
    failures = session.scalar(
        update(circuit).where(circuit.receiver == receiver)
        .values(failures=circuit.failures + 1, waits_for_host=False)
        .returning(circuit.failures))
    if failures is not None and failures >= FAILURES_TO_OPEN:
        pause = min(FIRST_PAUSE * 2.0 ** min(failures - FAILURES_TO_OPEN, 10), LONGEST_PAUSE)
        session.execute(
            update(circuit).where(circuit.receiver == receiver)
            .values(open_until=from_now(pause)))


def _unanswered(session: Session, shared: str) -> int:
    """Count one more attempt that a host did not answer; return how many there are in a row."""
    circuit = ReceiverCircuit
    return session.scalar(
        insert_into(session, circuit).values(receiver=shared, failures=1)
        .on_conflict_do_update(index_elements=["receiver"],
                               set_={"failures": circuit.failures + 1})
        .returning(circuit.failures)) or 0


def _have_others_wait(session: Session, receiver: str) -> None:
    """Open the circuits of the other receivers at this host that something waits for.

    None of them waits a second time before an attempt of its own: its URL may answer after all.
    """
    waiting = receivers_waited_for()
    others = session.scalars(
        select(waiting.c.receiver)
        .where(waiting.c.receiver.startswith(f"{host_of(receiver)} ", autoescape=True),
               waiting.c.receiver != receiver)
        .order_by(waiting.c.receiver)).all()
    if not others:
        return
    circuit = ReceiverCircuit
    until = {"open_until": from_now(FIRST_PAUSE), "waits_for_host": True}
    session.execute(
        insert_into(session, circuit).values(failures=0, **until).on_conflict_do_update(
            index_elements=["receiver"], set_=until,
            where=~circuit.waits_for_host & (circuit.open_until.is_(None)
                                             | (circuit.open_until <= NOW))),
        [{"receiver": other} for other in others])


def close_circuit(session: Session, receiver: str) -> None:
    """Forget the receiver's failures."""
    circuit = ReceiverCircuit
    if _host_circuit(receiver) is None:
        session.execute(update(circuit).where(circuit.receiver == receiver)
                        .values(failures=0, open_until=None))
    else:
        # Each job may have a URL of its own, so that there would be no end to the rows.
        session.execute(delete(circuit).where(circuit.receiver == receiver))


def forget_old_circuits() -> None:
    """Forget the circuits that opened so long ago that all deliveries of that time have ended."""
    with writing() as session:
        session.execute(
            delete(ReceiverCircuit).where(ReceiverCircuit.open_until < from_now(-FORGOTTEN_AFTER))
            .execution_options(synchronize_session=False))


def note_answer(session: Session, receiver: str) -> None:
    """Note that the receiver's host answers; those that wait for it are tried when that ends."""
    circuit, shared = ReceiverCircuit, _host_circuit(receiver)
    if shared is not None:
        session.execute(update(circuit).where(circuit.receiver == shared, circuit.failures > 0)
                        .values(failures=0))


def reset_circuit(receiver: str) -> bool:
    """Close the circuit of a receiver, or of all at a host; return whether there are such."""
    circuit = ReceiverCircuit
    with writing() as session:
        return bool(rowcount(session.execute(
            update(circuit)
            .where((circuit.receiver == receiver)
                   | circuit.receiver.startswith(f"{receiver} ", autoescape=True))
            .values(failures=0, open_until=None, waits_for_host=False)
            .execution_options(synchronize_session=False))))


def ailing_receivers() -> list[ReceiverCircuit]:
    """Return the receivers that fail or wait for their host, those with most failures first."""
    circuit = ReceiverCircuit
    with reading() as session:
        return list(session.scalars(
            select(circuit).where((circuit.failures > 0) | (circuit.open_until > NOW))
            .order_by(circuit.failures.desc(), circuit.receiver)))
