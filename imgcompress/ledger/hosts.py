"""The circuits of hosts that images come from, shared by all workers.

Each owner of jobs has separate circuits: a host's answers to its URLs say nothing about the URLs of
others. A host that cannot be reached at all is suspended for everybody: other owners wait once for
its pause too, and then try it themselves.

A circuit is written only when it opens, when a worker claims the probe, and when it closes.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete, exists, literal, or_, select, union_all, update
from sqlalchemy.orm import Session

from .clock import NOW, from_now
from .models import FOUND_CHARS, HostCircuit, OwnerCircuit
from .session import insert_into, reading, rowcount, writing

# A circuit unused for this long is no evidence about its host any more.
FORGOTTEN_AFTER = timedelta(days=1)


class Source(NamedTuple):
    """A host and port, as used by the jobs of one owner."""

    owner: str
    authority: str


class KnownCircuit(NamedTuple):
    """An owner's circuit, as it was read: open for `rest` seconds, and half-open from 0 on."""

    authority: str
    openings: int
    open_until: datetime
    reason: str
    rest: float


def circuits_of(owner: str, authorities: Collection[str]) -> list[KnownCircuit]:
    """Return this owner's circuits for these hosts; a host that works has none.

    A host that others could not reach gets a circuit for this owner too, open until the same time.
    """
    with reading() as session:
        rows = session.execute(_KNOWN_CIRCUITS, {"owner": owner, "authorities": authorities}).all()
    found = [
        KnownCircuit(
            row.authority,
            row.openings,
            row.open_until,
            row.reason,
            (row.open_until - row.now).total_seconds(),
        )
        for row in rows
    ]
    adopted = [
        {
            "owner": owner,
            "authority": circuit.authority,
            "openings": 0,
            "open_until": circuit.open_until,
            "reason": circuit.reason,
        }
        for circuit, row in zip(found, rows, strict=True)
        if row.shared
    ]
    if adopted:
        with writing() as session:
            session.execute(insert_into(session, OwnerCircuit).on_conflict_do_nothing(), adopted)
    return found


def _known_circuits() -> Any:
    own, shared = OwnerCircuit, HostCircuit
    is_own = (own.owner == bindparam("owner"), own.open_until > from_now(-FORGOTTEN_AFTER))
    has_own = exists().where(own.authority == shared.authority, *is_own)
    wanted: Any = bindparam("authorities", expanding=True)
    return union_all(
        select(
            own.authority,
            own.openings,
            own.open_until,
            own.reason,
            literal(False).label("shared"),
            NOW.label("now"),
        ).where(*is_own, own.authority.in_(wanted)),
        select(
            shared.authority, literal(0), shared.open_until, shared.reason, literal(True), NOW
        ).where(
            shared.authority.in_(wanted), shared.open_until > from_now(-FORGOTTEN_AFTER), ~has_own
        ),
    )


_KNOWN_CIRCUITS = _known_circuits()


def open_circuit(source: Source, reason: str, *, seconds: float) -> bool:
    """Open an owner's circuit for `seconds`, unless it is open; return whether this call did."""
    return _open(OwnerCircuit, source._asdict(), reason, seconds)


def open_for_everybody(authority: str, reason: str, *, seconds: float) -> bool:
    """Make owners wait who have not tried this host; return False if they already do."""
    return _open(HostCircuit, {"authority": authority}, reason, seconds)


def _open(
    circuit: type[OwnerCircuit] | type[HostCircuit],
    key: dict[str, str],
    reason: str,
    seconds: float,
) -> bool:
    with writing() as session:
        session.execute(
            delete(circuit)
            .where(circuit.open_until <= from_now(-FORGOTTEN_AFTER))
            .execution_options(synchronize_session=False)
        )
        opened = {
            "open_until": from_now(seconds),
            "probe_until": None,
            "reason": reason[:FOUND_CHARS],
        }
        return bool(
            rowcount(
                session.execute(
                    insert_into(session, circuit)
                    .values(openings=1, **key, **opened)
                    .on_conflict_do_update(
                        index_elements=list(key),
                        set_=opened | {"openings": circuit.openings + 1},
                        where=circuit.open_until <= NOW,
                    )
                )
            )
        )


def claim_probe(source: Source, *, seconds: float) -> bool:
    """Claim the probe of a half-open circuit with one image; return False if another worker has it.

    Unless the circuit is closed or opened again within `seconds`, the next worker may claim it.
    """
    circuit = OwnerCircuit
    with writing() as session:
        return bool(
            rowcount(
                session.execute(
                    update(circuit)
                    .where(
                        circuit.owner == source.owner,
                        circuit.authority == source.authority,
                        circuit.open_until <= NOW,
                        or_(circuit.probe_until.is_(None), circuit.probe_until <= NOW),
                    )
                    .values(probe_until=from_now(seconds))
                    .execution_options(synchronize_session=False)
                )
            )
        )


def close_circuit(source: Source) -> bool:
    """Close an owner's circuit since the host works; return whether this call closed it."""
    with writing() as session:
        _note_reached(session, source.authority)
        return bool(
            rowcount(
                session.execute(
                    delete(OwnerCircuit)
                    .where(
                        OwnerCircuit.owner == source.owner,
                        OwnerCircuit.authority == source.authority,
                    )
                    .execution_options(synchronize_session=False)
                )
            )
        )


def note_reached(authority: str) -> None:
    """End the suspension for everybody of a host that answers, whatever its answer is."""
    with writing() as session:
        _note_reached(session, authority)


def _note_reached(session: Session, authority: str) -> None:
    session.execute(
        delete(HostCircuit)
        .where(HostCircuit.authority == authority)
        .execution_options(synchronize_session=False)
    )
