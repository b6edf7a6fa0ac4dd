"""Many processes at one ledger: a job is closed once, and a busy SQLite refuses nobody."""

from __future__ import annotations

from pathlib import Path

from ..faults.ledger_races import race_of_last_slices, write_from_many


def test_two_last_slices_that_finish_together_close_the_job_once(
    ledger_url: str, tmp_path: Path
) -> None:
    race = race_of_last_slices(ledger_url, tmp_path, rounds=40)
    assert race == (40, 0, 40, 40)


def test_many_writers_on_sqlite_never_meet_a_locked_database(
    sqlite_url: str, tmp_path: Path
) -> None:
    pressure = write_from_many(sqlite_url, tmp_path, processes=4, seconds=3)
    assert pressure.rejected == 0 and pressure.writes > 0 and pressure.reads > 0
