"""A job's images are read in batches, of which each reads no more than itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, text

from imgcompress.extensions import db
from imgcompress.ledger import queries
from imgcompress.ledger.queries import ANY_IMAGE
from imgcompress.ledger.slices import pending_images

from .conftest import MakeJob
from tests.support.records import claim, failure, record, success

IMAGES, BATCH = 1000, 50

Read = Callable[[UUID], object]


@pytest.fixture
def statements() -> Iterator[list[tuple[str, Any]]]:
    """Return the queries of images that are executed, with their parameters."""
    seen: list[tuple[str, Any]] = []

    def note(
        _connection: object, _cursor: object, statement: str, parameters: Any, *_: object
    ) -> None:
        if "FROM compressed_images" in statement and statement.startswith("SELECT"):
            seen.append((statement, parameters))

    for engine in db.engines.values():
        event.listen(engine, "before_cursor_execute", note)
    yield seen
    for engine in db.engines.values():
        event.remove(engine, "before_cursor_execute", note)


def _most_rows(plan: dict[str, Any]) -> int:
    """Return how many rows that step of a plan read which read the most."""
    return max(
        [
            plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0),
            *map(_most_rows, plan.get("Plans", [])),
        ]
    )


@pytest.mark.postgres
@pytest.mark.parametrize("ledger_url", ["postgres"], indirect=True)
@pytest.mark.parametrize(
    "read",
    [
        lambda job: list(queries.outcomes(job, lambda url: url)),
        lambda job: list(queries.compressed_images(job)),
        lambda job: queries.list_images(job, ANY_IMAGE, after=None, skip=100, size=BATCH - 1),
        lambda job: queries.list_images(job, ANY_IMAGE, after=99, skip=0, size=BATCH - 1),
    ],
    ids=["outcomes", "compressed", "page", "page_after"],
)
def test_a_batch_reads_no_other_rows_whatever_postgres_expects(
    make_job: MakeJob,
    monkeypatch: pytest.MonkeyPatch,
    read: Read,
    statements: list[tuple[str, Any]],
) -> None:
    monkeypatch.setattr(queries, "OUTCOME_BATCH", BATCH)
    request_id = make_job(IMAGES, slice_size=IMAGES)
    make_job(IMAGES)
    held = claim(request_id)
    record(held, *map(success, pending_images(held)))
    statements.clear()
    read(request_id)
    asked, rows = list(statements), []
    with db.engine.connect() as connection:
        # What Postgres chooses of a table without statistics, in large as in small.
        for choice in ("enable_seqscan", "enable_indexscan", "enable_indexonlyscan"):
            connection.execute(text(f"SET LOCAL {choice} = off"))
        for statement, parameters in asked:
            found = connection.exec_driver_sql(
                f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters
            ).scalar_one()
            plan = found if isinstance(found, list) else json.loads(found)
            rows.append(_most_rows(plan[0]["Plan"]))
    # An index leads to two versions of each row, since a result was written to it.
    assert rows and max(rows) <= 2 * BATCH


def test_batches_without_a_compressed_image_are_passed_over(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "OUTCOME_BATCH", 2)
    request_id = make_job(7, slice_size=7)
    held = claim(request_id)
    images = pending_images(held)
    record(
        held, *(success(image) if image.ordinal in (0, 6) else failure(image) for image in images)
    )
    assert [image.ordinal for image in queries.compressed_images(request_id)] == [0, 6]
    found = queries.outcomes(request_id, lambda url: url)
    assert [outcome.ordinal for outcome in found] == list(range(7))


def test_a_job_that_is_gone_has_no_images(make_job: MakeJob) -> None:
    make_job(1)
    assert list(queries.outcomes(UUID(int=1), lambda url: url)) == []
