"""The results of many images as the rows of one UPDATE, on Postgres and on SQLite.

They travel as one JSON value, which the database takes apart: a statement for each image would
cost more than all else that the ledger does for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Dialect, String, bindparam, column, func, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from .models import IMAGES
from .states import ImageStatus

# What a result sets; where a row does not name one of these, it becomes NULL.
SET = tuple(IMAGES.c[name] for name in (
    "status", "outcome", "error_code", "error_message", "image_url", "input_bytes", "output_bytes",
    "width", "height", "output_format", "quality", "similarity", "storage_key", "not_before"))
# What a result adds to.
ADDED = tuple(IMAGES.c[name] for name in ("attempts", "waits"))
COLUMNS = (IMAGES.c.image_id, *SET, *ADDED)

Row = Mapping[str, Any]


def update_pending(session: Session, rows: Iterable[Row]) -> set[UUID]:
    """Write rows to the images of these ids that are still PENDING; return the ids of those.

    A row holds `image_id`, `status`, `attempts` and `waits`, and what else it sets.
    """
    dialect = session.get_bind().dialect
    values = json.dumps([_as_json(row, dialect) for row in rows])
    return set(session.scalars(_statement(dialect.name), {"rows": values}))


def _as_json(row: Row, dialect: Dialect) -> dict[str, Any]:
    """Return a row as the database keeps it: SQLite has no types for ids and times."""
    stored = {name: convert(row[name]) for name, convert in _converters(dialect).items()
              if row.get(name) is not None}
    return {**row, **stored}


@cache
def _converters(dialect: Dialect) -> dict[str, Callable[[Any], str]]:
    return {kept.name: _converter(kept.type, dialect)
            for kept in COLUMNS if kept.name in ("image_id", "not_before")}


def _converter(kept: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], str]:
    bind = kept.dialect_impl(dialect).bind_processor(dialect)
    return lambda value: str(bind(value) if bind else value)


@cache
def _statement(dialect: str) -> Any:
    rows = _on_sqlite() if dialect == "sqlite" else _on_postgres()
    values = {kept.name: rows[kept.name] for kept in SET}
    values |= {kept.name: kept + rows[kept.name] for kept in ADDED}
    return (update(IMAGES)
            .where(IMAGES.c.image_id == rows["image_id"], IMAGES.c.status == ImageStatus.PENDING)
            .values(values).returning(IMAGES.c.image_id))


def _on_postgres() -> dict[str, ColumnElement[Any]]:
    taken = func.jsonb_to_recordset(bindparam("rows", type_=String).cast(JSONB)).table_valued(
        *(column(kept.name, kept.type) for kept in COLUMNS))
    rows = taken.render_derived(name="result", with_types=True)
    return {kept.name: rows.c[kept.name] for kept in COLUMNS}


def _on_sqlite() -> dict[str, ColumnElement[Any]]:
    rows = func.json_each(bindparam("rows", type_=String)).table_valued("value", name="result")
    return {kept.name: func.json_extract(rows.c.value, f"$.{kept.name}", type_=kept.type)
            for kept in COLUMNS}
