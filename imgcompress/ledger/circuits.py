"""The circuits of hosts that images come from, shared by all workers.

A circuit is written only when it opens, when one worker takes the right to try, and when it closes.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, delete, or_, select, update
from sqlalchemy.orm import Session

from .models import FOUND_CHARS, HostCircuit
from .sessions import insert_into, reading, rowcount, writing
from .types import utcnow

# A circuit that nobody has come by for so long says nothing about its host any more.
FORGOTTEN_AFTER = timedelta(days=1)


def circuits_of(authorities: Collection[str]) -> list[HostCircuit]:
    """Return the circuits of those of these hosts that are not known to be well."""
    with reading() as session:
        return list(session.scalars(_KNOWN_CIRCUITS, {
            "authorities": authorities, "forgotten_by": utcnow() - FORGOTTEN_AFTER}))


_KNOWN_CIRCUITS = select(HostCircuit).where(
    HostCircuit.authority.in_(bindparam("authorities", expanding=True)),
    HostCircuit.open_until > bindparam("forgotten_by"))


def open_circuit(authority: str, fault: str, *, seconds: float) -> bool:
    """Open a circuit for `seconds`, unless it is open; return whether this call opened it."""
    with writing() as session:
        now = utcnow()
        session.execute(delete(HostCircuit)
                        .where(HostCircuit.open_until <= now - FORGOTTEN_AFTER)
                        .execution_options(synchronize_session=False))
        opened = {"open_until": now + timedelta(seconds=seconds), "probe_until": None,
                  "fault": fault[:FOUND_CHARS]}
        return bool(rowcount(session.execute(_upsert(session, authority, opened))))


def _upsert(session: Session, authority: str, opened: dict[str, Any]) -> Any:
    return insert_into(session, HostCircuit).values(authority=authority, openings=1, **opened).\
        on_conflict_do_update(index_elements=("authority",),
                              set_=opened | {"openings": HostCircuit.openings + 1},
                              where=HostCircuit.open_until <= utcnow())


def claim_probe(authority: str, *, seconds: float) -> bool:
    """Take the right to try one image of a half-open circuit; return False if another has it.

    Unless the circuit is closed or opened again within `seconds`, the right goes to the next one.
    """
    circuit, now = HostCircuit, utcnow()
    with writing() as session:
        return bool(rowcount(session.execute(
            update(circuit)
            .where(circuit.authority == authority, circuit.open_until <= now,
                   or_(circuit.probe_until.is_(None), circuit.probe_until <= now))
            .values(probe_until=now + timedelta(seconds=seconds))
            .execution_options(synchronize_session=False))))


def close_circuit(authority: str) -> bool:
    """Close a circuit, for its host is well; return whether this call closed it."""
    with writing() as session:
        return bool(rowcount(session.execute(
            delete(HostCircuit).where(HostCircuit.authority == authority)
            .execution_options(synchronize_session=False))))
