"""The results of many images as the rows of one UPDATE, on Postgres and on SQLite.

They travel as one JSON value, which the database takes apart: a statement for each image would
cost more than all else that the ledger does for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Dialect, Interval, String, bindparam, column, func, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeEngine

from .clock import NOW, Span
from .models import IMAGES
from .states import ImageStatus

# What a result sets; where a row does not name one of these, it becomes NULL.
SET = tuple(IMAGES.c[name] for name in (
    "status", "outcome", "error_code", "error_message", "image_url", "input_bytes", "output_bytes",
    "width", "height", "output_format", "quality", "similarity", "storage_key", "not_before"))
# What a result adds to.
ADDED = tuple(IMAGES.c[name] for name in ("attempts", "waits"))
COLUMNS = (IMAGES.c.image_id, *SET, *ADDED)
_NAMES = tuple(kept.name for kept in COLUMNS)

Row = Mapping[str, Any]


def update_pending(session: Session, rows: Iterable[Row]) -> set[UUID]:
    """Write rows to the images of these ids that are still PENDING; return the ids of those.

    A row holds `image_id`, `status`, `attempts` and `waits`, and what else it sets; `not_before` as
    a span from now.
    """
    dialect = session.get_bind().dialect
    # A list finds its values by their places: SQLite takes twice as long to find them by names.
    values = [list(map(row.get, _NAMES)) for row in rows]
    return set(session.scalars(_statement(dialect.name), {
        "rows": json.dumps(values, default=_storing(dialect))}))


@cache
def _storing(dialect: Dialect) -> Callable[[UUID | timedelta], str]:
    """Return what tells an id or a span as the database takes it: SQLite has no types for them."""
    store_id = _converter(IMAGES.c.image_id.type, dialect)
    store_span = (_converter(Span(), dialect) if dialect.name == "sqlite"
                  else lambda span: f"{span.total_seconds()} s")
    return lambda value: store_id(value) if isinstance(value, UUID) else store_span(value)


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
    array = func.jsonb_array_elements(bindparam("rows", type_=String).cast(JSONB))
    row = array.table_valued(column("value", JSONB), name="result").c.value
    rows = {kept.name: _typed(row[place].astext, kept.type) for place, kept in enumerate(COLUMNS)}
    rest = row[COLUMNS.index(IMAGES.c.not_before)].astext
    return rows | {"not_before": NOW + rest.cast(Interval)}


def _typed(value: ColumnElement[str], kept: TypeEngine[Any]) -> ColumnElement[Any]:
    # A cast would cut off a text that is too long for its column.
    return value if isinstance(kept, String) else value.cast(kept)


def _on_sqlite() -> dict[str, ColumnElement[Any]]:
    rows = func.json_each(bindparam("rows", type_=String)).table_valued("value", name="result")
    return {kept.name: func.json_extract(rows.c.value, f"$[{place}]", type_=kept.type)
            for place, kept in enumerate(COLUMNS)}
